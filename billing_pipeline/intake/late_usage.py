"""What a rating read, and what of it is another by now: late usage, another price book or account.

What belongs here: writing it down, keeping it of what was billed, and comparing. What does not:
reading rows (``intake``), and what is done about it (``defs.sensors``, ``defs.drift``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from billing_pipeline.intake.files.storage import Entry, Storage
from billing_pipeline.intake.usage_files import UsageFiles, month_entries, replacing
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

_FILE_NAME = "usage_files.json"
_REFERENCE = ("catalog", "catalog/costs", "accounts")
# Of a file: its stamp, size and SHA-256; of an object of a store the digest is empty.
_Content = tuple[str, int, str]


class RatedInputs(TypedDict):
    """What a month was rated from: the months whose usage counts in it, their files, and the files
    of catalog/ and accounts/."""

    folders: list[str]
    files: dict[str, _Content]
    reference: dict[str, _Content]
    is_billed: NotRequired[bool]
    """What they come to was billed; left out where they were only compared."""


@dataclass(frozen=True)
class ChangedInputs:
    """How a month's inputs differ from those that it was rated with. `fingerprint` is the same as
    long as they stay as they are now."""

    month: BillingMonth
    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    fingerprint: str

    def __str__(self) -> str:
        parts = (("new", self.new), ("changed", self.changed), ("gone", self.gone))
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)

    def is_in(self, folder: str, but: str = "") -> bool:
        """Whether some file of the folder differs, or of the folders in it but that one."""
        names = (*self.new, *self.changed, *self.gone)
        others = [name for name in names if not (but and name.startswith(f"{but}/"))]
        return any(name.startswith(f"{folder}/") for name in others)


def note_rated(
    settings: Settings, month: BillingMonth, folders: list[BillingMonth], files: UsageFiles
) -> None:
    """Write down what the month is being rated with, and the folders it came from."""
    storage = Storage.of(settings)
    known: RatedInputs = {
        "folders": [str(folder) for folder in folders],
        "files": {file.source_file: (file.stamp, file.size, file.digest) for file in files.files},
        "reference": {
            name: (entry.stamp, entry.size, _digest(storage, entry))
            for name, entry in _reference(storage)
        },
    }
    with replacing(settings.month_dir(month) / _FILE_NAME) as unfinished:
        unfinished.write_text(json.dumps(known), encoding="utf-8")


def rated_inputs(settings: Settings, month: BillingMonth) -> RatedInputs | None:
    """What the month was last rated with in this home; None if it never was, or by an earlier
    release."""
    return _read(settings.month_dir(month) / _FILE_NAME)


def compared_inputs(settings: Settings, month: BillingMonth) -> RatedInputs | None:
    """The inputs of which it is known what they come to, against what was billed."""
    return _read(_compared(settings, month))


def is_rated_as_compared(settings: Settings, month: BillingMonth) -> bool:
    """Whether the month was last rated in this home from the very inputs that were last compared
    with what was billed: then its plan shows what they come to."""
    rated, compared = rated_inputs(settings, month), compared_inputs(settings, month)
    return rated is not None and compared is not None and _contents(rated) == _contents(compared)


def _contents(inputs: RatedInputs) -> dict[str, str]:
    """A name for the content of each file: its digest, or the stamp of an object of a store."""
    files = {**inputs["files"], **inputs["reference"]}
    return {name: digest or stamp for name, (stamp, _, digest) in files.items()}


def note_compared(
    settings: Settings, month: BillingMonth, known: RatedInputs, *, is_billed: bool
) -> None:
    """Keep, with the records, the inputs that were compared with what was billed: those of a month
    that was billed as computed, and those that a look for drift has rated."""
    path = _compared(settings, month)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps({**known, "is_billed": is_billed}), encoding="utf-8")


def forget_compared(settings: Settings, month: BillingMonth) -> None:
    """The next look for drift rates the month, whatever its inputs are."""
    _compared(settings, month).unlink(missing_ok=True)


def _compared(settings: Settings, month: BillingMonth) -> Path:
    return settings.records_dir / "inputs" / f"{month}.json"


def _read(path: Path) -> RatedInputs | None:
    if not path.exists():
        return None
    known: RatedInputs = json.loads(path.read_text(encoding="utf-8"))
    known.setdefault("reference", {})
    return known


def late_usage(settings: Settings, month: BillingMonth) -> ChangedInputs | None:
    """What usage is different since the last rating; None where nothing is, or the month was never
    rated here.

    Raises `InvalidInput` where the usage cannot be listed.
    """
    known = rated_inputs(settings, month)
    if known is None:
        return None
    storage = Storage.of(settings)
    return _compare(storage, month, known["files"], _usage(storage, known["folders"]))


def changed_inputs(
    settings: Settings, month: BillingMonth, known: RatedInputs
) -> ChangedInputs | None:
    """What of usage, price book and accounts differs from what is known; None where nothing does.

    Raises `InvalidInput` where they cannot be listed.
    """
    storage = Storage.of(settings)
    present = [*_usage(storage, known["folders"]), *_reference(storage)]
    return _compare(storage, month, {**known["files"], **known["reference"]}, present)


def _usage(storage: Storage, folders: Iterable[str]) -> Iterator[tuple[str, Entry]]:
    for folder in folders:
        for name, entry in month_entries(storage, folder):
            yield f"usage/{folder}/{name}", entry


def _reference(storage: Storage) -> Iterator[tuple[str, Entry]]:
    for folder in _REFERENCE:
        for entry in storage.entries(folder):
            if not entry.is_folder and not entry.is_documentation:
                yield f"{folder}/{entry.name}", entry


def _compare(
    storage: Storage,
    month: BillingMonth,
    rated: dict[str, _Content],
    found: Iterable[tuple[str, Entry]],
) -> ChangedInputs | None:
    present = dict(found)
    different = {
        name: content
        for name, entry in present.items()
        for content in [_other_content(storage, entry, *rated.get(name, ("", -1, "")))]
        if content is not None
    }
    gone = sorted(set(rated) - set(present))
    if not different and not gone:
        return None
    return ChangedInputs(
        month=month,
        new=tuple(sorted(set(different) - set(rated))),
        changed=tuple(sorted(set(different) & set(rated))),
        gone=tuple(gone),
        fingerprint=hashlib.sha256(json.dumps([different, gone]).encode()).hexdigest()[:16],
    )


def _other_content(
    storage: Storage, entry: Entry, stamp: str, size: int, digest: str
) -> str | None:
    """What names the present content where it is not that of the rating. A file that was only
    touched or copied is read to tell: its stamp is another, its content is not."""
    if entry.stamp == stamp:
        return None
    if storage.is_remote or entry.is_folder or entry.oddity is not None:
        return entry.stamp
    present = _digest(storage, entry)
    return None if (entry.size, present) == (size, digest) else present


def _digest(storage: Storage, entry: Entry) -> str:
    """Of the content of a file; of an object its stamp says enough."""
    if storage.is_remote or entry.oddity is not None:
        return ""
    with Path(entry.path).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
