"""A closed home in which one file is damaged or gone, and the commands after it.

What belongs here: which files a home has, what can happen to each, and what must hold then. What
does not: faults of Stripe and of the network (`trials.py`).

After each damage, reading and closing again either work or end with a last line that names the
file; what that line says to do is done, and then they work. What Stripe holds never changes.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.end_to_end.closed_once import EXAMPLE, MONTH, closed_once
from tests.end_to_end.commands import billing

SANDBOX = Path("sandbox") / "stripe.sqlite"
# What no command reads: what was printed by a run, and dbt's own notes of what it did.
UNREAD = re.compile(r"compute_logs|/dbt/|\.lock$|^locks/")
# What differs between files of one kind: ids, months, times and the names of tables.
_NAMES = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}|\d{4}-\d{2}|T\d+-[0-9a-f]+|\d+|[a-z_]+(?=.parquet)"
)
_TECHNICAL = re.compile(r"Traceback|ExceptionGroup|KeyError|TypeError|sqlalche|unhandled errors")


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _overwritten(path: Path) -> None:
    path.write_bytes(b"no longer what it was\n" * (path.stat().st_size // 22 + 1))


DAMAGES: tuple[Callable[[Path], None], ...] = (Path.unlink, _emptied, _cut, _overwritten)


@dataclass(frozen=True)
class Damage:
    """What happened to one file of a home, and the problems that followed."""

    file: Path
    kind: str
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f"{self.file} {self.kind}: {problem}\n" for problem in self.problems)


@contextmanager
def closed_home() -> Iterator[Path]:
    """A home whose month is closed."""
    with TemporaryDirectory() as scratch:
        closed_once(Path(scratch) / "closed")
        yield Path(scratch) / "closed" / "home"


def files_of(home: Path) -> list[Path]:
    """One file of each kind: of those whose names differ by ids, months or tables, the first."""
    found: dict[str, Path] = {}
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home)
        if path.is_file() and not path.is_symlink() and not UNREAD.search(str(name)):
            found.setdefault(_NAMES.sub("*", str(name)), name)
    return list(found.values())


def every_damage(home: Path) -> Iterator[Damage]:
    """Each file of a closed home, damaged in each way, in a copy of it. The sandbox's books are not
    deleted or emptied: they are what Stripe has, and that would be another account."""
    for file in files_of(home):
        for damage in DAMAGES:
            if file != SANDBOX or damage not in (Path.unlink, _emptied):
                yield damaged(home, file, damage)


def damaged(closed: Path, file: Path, damage: Callable[[Path], None]) -> Damage:
    """One damage to a copy of the closed home."""
    with TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        shutil.copytree(closed, home)
        damage(home / file)
        problems = tuple(_problems(home, closed, file))
    return Damage(file, damage.__name__.strip("_"), problems)


def _problems(home: Path, closed: Path, file: Path) -> Iterator[str]:
    for command in (("status",), ("run", MONTH)):
        yield from _after(home, closed, file, *command)
    if file != SANDBOX and _invoices(home) != _invoices(closed):
        yield f"Stripe holds {_invoices(home)}, before {_invoices(closed)}"


def _after(home: Path, closed: Path, file: Path, *command: str) -> Iterator[str]:
    done = billing(home, EXAMPLE, *command)
    if _TECHNICAL.search(done.stdout + done.stderr):
        yield f"{command[0]} shows the inside: {done.stderr[-500:]}"
    if done.returncode == 0:
        return
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if str(home / file) not in last and file.name not in last:
        yield f"{command[0]} ends with {done.returncode}, and does not name the file: {last}"
    if "put it back" in last or "restore it" in last:
        shutil.copy2(closed / file, home / file)
    elif "elete" in last:
        (home / file).unlink(missing_ok=True)
    elif "billing pull" in last:
        billing(home, EXAMPLE, "pull", MONTH)
    again = billing(home, EXAMPLE, *command)
    if again.returncode:
        yield f"{command[0]}: {last}; after that it still ends with {again.stderr[-500:]}"


def _invoices(home: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(home / SANDBOX)) as books:
        return books.execute(
            "SELECT id, json_extract(body, '$.total') FROM objects WHERE kind = 'invoice'"
        ).fetchall()
