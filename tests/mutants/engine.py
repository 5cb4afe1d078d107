"""Applies one mutant to a copy of the project, and checks whether the tests notice it.

What belongs here: copying, changing, running, judging. What does not: which changes (sql.py,
stripe.py, payments.py), the table of results (`__main__.py`).
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from billing_pipeline.rating.dbt_runner import project_digest

ROOT = Path(__file__).resolve().parents[2]
# What the tests need; without the environment, the state of runs, and the larger sample data.
NEEDED = ("billing_pipeline", "dbt_project", "tests", "data/examples", "docs", "pyproject.toml")
_DBT_PROJECT = "dbt_project"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "target", "logs", ".user.yml", ".hypothesis")
# Tests of one mutant take seconds; one that hangs would otherwise hang the whole score.
TIMEOUT_SECONDS = 900
# SQL that does not even compile fails every test: such a mutant would prove nothing.
_NOT_SQL = ("Parser Error", "Binder Error", "Catalog Error", "Compilation Error")


@dataclass(frozen=True)
class Mutant:
    """One deliberate bug: `old`, which occurs exactly once in the file `path`, becomes `new`.

    `path` is relative to the project; `caught_by` names the tests that must fail, as pytest's
    node ids separated by spaces: as few and as fast ones as possible.
    """

    name: str
    path: str
    old: str
    new: str
    caught_by: str

    @property
    def tests(self) -> list[str]:
        return shlex.split(self.caught_by)


class Verdict(Enum):
    """The result for a mutant. `BROKEN`: the tests could not run, so they did not fail."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    BROKEN = "broken"


@dataclass(frozen=True)
class Outcome:
    mutant: Mutant
    verdict: Verdict
    seconds: float
    output: str


class WrongMutant(ValueError):
    """The mutant cannot be made: its file has changed since it was written down."""


def mutated(mutant: Mutant, text: str) -> str:
    """The text of the mutant's file with the change made. Raises `WrongMutant`."""
    found = text.count(mutant.old)
    if found != 1:
        raise WrongMutant(
            f"mutant {mutant.name}: its old text stands {found} times in {mutant.path}, not once; "
            "write down the text as it is there now"
        )
    if mutant.old == mutant.new:
        raise WrongMutant(f"mutant {mutant.name} changes nothing")
    return text.replace(mutant.old, mutant.new)


@contextmanager
def project_copy(root: Path = ROOT, needed: Iterable[str] = NEEDED) -> Iterator[Path]:
    """A copy of the project to spoil; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
        copy = Path(scratch) / "project"
        for name in needed:
            source, target = root / name, copy / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=_LEFT_OUT)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        _bring_parsed(root / _DBT_PROJECT / "target", copy / _DBT_PROJECT / "target")
        yield copy


def _bring_parsed(made: Path, target: Path) -> None:
    """What dbt has parsed and compiled of the project: else each home of the tests would do it."""
    for source in made.glob(f"*/{project_digest()}*"):
        brought = target / source.relative_to(made)
        brought.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, brought)


def run_tests(copy: Path, tests: list[str]) -> tuple[int, str]:
    """pytest's exit code and output."""
    return _run(copy, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests)


_PARSE = """
from billing_pipeline.rating import dbt_runner
dbt_runner.parse_at_install(next(dbt_runner.INSTALLED_DIR.iterdir(), None))
"""


def _parse_anew(copy: Path) -> None:
    """dbt reads the one file that has changed. Where it cannot, the tests will say so."""
    _run(copy, "-c", _PARSE)


def _run(copy: Path, *arguments: str) -> tuple[int, str]:
    """Python's exit code and output; it imports the copy, not the installed package."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BILLING_", "STRIPE_"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=kept | {"PYTHONPATH": str(copy)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    return done.returncode, done.stdout


def try_mutant(mutant: Mutant, root: Path = ROOT, needed: Iterable[str] = NEEDED) -> Outcome:
    begun = time.monotonic()
    with project_copy(root, needed) as copy:
        path = copy / mutant.path
        path.write_text(mutated(mutant, path.read_text(encoding="utf-8")), encoding="utf-8")
        try:
            if path.is_relative_to(copy / _DBT_PROJECT):
                _parse_anew(copy)
            code, output = run_tests(copy, mutant.tests)
            verdict = judge(code, output)
        except subprocess.TimeoutExpired:
            verdict, output = Verdict.BROKEN, f"no answer within {TIMEOUT_SECONDS} s"
    return Outcome(mutant, verdict, time.monotonic() - begun, output)


def judge(code: int, output: str) -> Verdict:
    """By pytest's exit code: 0 all passed, 1 some failed; the others mean that it could not run."""
    if code == 0:
        return Verdict.SURVIVED
    if code != 1 or any(text in output for text in _NOT_SQL):
        return Verdict.BROKEN
    return Verdict.CAUGHT


def check_unchanged(
    mutants: Iterable[Mutant], root: Path = ROOT, needed: Iterable[str] = NEEDED
) -> str | None:
    """The output of the mutants' tests where they fail without any change; None where they pass.

    A test that fails anyway would "catch" everything.
    """
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    with project_copy(root, needed) as copy:
        code, output = run_tests(copy, tests)
    return None if code == 0 else output
