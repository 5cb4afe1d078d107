"""The inputs of a rating, and which have changed since: late usage, a changed price book or
account.

What belongs here: noting the inputs of a rating, saving those that were billed, and comparing. What
does not: reading rows (``intake``), and acting on changes (``defs.sensors``, ``defs.drift``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from billing_pipeline.durable import replacing
from billing_pipeline.intake.files.storage import Entry, Storage
from billing_pipeline.intake.usage_files import (
    UsageFile,
    UsageFiles,
    month_entries,
    usage_months,
)
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

_FILE_NAME = "usage_files.json"
_REFERENCE = ("catalog", "catalog/costs", "accounts")
# A file's stamp, size and SHA-256; the digest is empty for an object in a store.
_Content = tuple[str, int, str]


class RatedInputs(TypedDict):
    """The inputs of a month's rating: the months whose usage counts in it, their files, and the
    files of catalog/ and accounts/."""

    folders: list[str]
    files: dict[str, _Content]
    reference: dict[str, _Content]
    earlier: NotRequired[dict[str, _Content]]
    """Files of all folders before these, where the last readings of earlier months count: of a
    counter, or of a gauge that is carried forward. Missing: none was read."""
    earlier_lines: NotRequired[str]
    """A name for the lines of earlier months, as published then, that count towards commitments.
    Missing: none can count."""
    is_billed: NotRequired[bool]
    """True if their result was billed; False if it was only compared with what was billed."""


@dataclass(frozen=True)
class ChangedInputs:
    """How a month's inputs differ from those with which it was rated. `fingerprint` stays the same
    as long as the inputs do."""

    month: BillingMonth
    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    fingerprint: str

    def __str__(self) -> str:
        parts = (("new", self.new), ("changed", self.changed), ("gone", self.gone))
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)

    def is_in(self, folder: str, but: str = "") -> bool:
        """True if a file in the folder or its subfolders differs, ignoring the folder `but`."""
        names = (*self.new, *self.changed, *self.gone)
        others = [name for name in names if not (but and name.startswith(f"{but}/"))]
        return any(name.startswith(f"{folder}/") for name in others)


def record_rated(
    settings: Settings,
    month: BillingMonth,
    folders: list[BillingMonth],
    files: UsageFiles,
    earlier_lines: str | None = None,
) -> None:
    """Note the inputs with which the month is being rated, and the folders of its usage."""
    storage = Storage.of(settings)
    known: RatedInputs = {
        "folders": [str(folder) for folder in folders],
        "files": _contents_of(files.files),
        "reference": {
            name: (entry.stamp, entry.size, _digest(storage, entry))
            for name, entry in _reference(storage)
        },
    }
    if files.earlier is not None:
        known["earlier"] = _contents_of(files.earlier)
    if earlier_lines is not None:
        known["earlier_lines"] = earlier_lines
    with replacing(settings.month_dir(month) / _FILE_NAME) as unfinished:
        unfinished.write_text(json.dumps(known), encoding="utf-8")


def _contents_of(files: Iterable[UsageFile]) -> dict[str, _Content]:
    return {file.source_file: (file.stamp, file.size, file.digest) for file in files}


def rated_inputs(settings: Settings, month: BillingMonth) -> RatedInputs | None:
    """The inputs with which the month was last rated in this home; None if it never was, or by an
    earlier release."""
    return _read(settings.month_dir(month) / _FILE_NAME)


def compared_inputs(settings: Settings, month: BillingMonth) -> RatedInputs | None:
    """The inputs whose result was last compared with what was billed."""
    return _read(_compared(settings, month))


def is_rated_as_compared(settings: Settings, month: BillingMonth) -> bool:
    """True if the month was last rated in this home from exactly the inputs that were last compared
    with what was billed: then its plan shows their result."""
    rated, compared = rated_inputs(settings, month), compared_inputs(settings, month)
    return rated is not None and compared is not None and _contents(rated) == _contents(compared)


def _contents(inputs: RatedInputs) -> dict[str, str]:
    """A name for the content of each file: its digest, or the stamp of an object of a store; and
    for the lines of earlier months."""
    files = {**inputs["files"], **inputs.get("earlier", {}), **inputs["reference"]}
    contents = {name: digest or stamp for name, (stamp, _, digest) in files.items()}
    return contents | {"lines of earlier months": inputs.get("earlier_lines", "")}


def record_compared(
    settings: Settings, month: BillingMonth, known: RatedInputs, *, is_billed: bool
) -> None:
    """Save in the records the inputs that were compared with what was billed: those of a month that
    was billed as computed, and those that a drift check has rated."""
    path = _compared(settings, month)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps({**known, "is_billed": is_billed}), encoding="utf-8")


def forget_compared(settings: Settings, month: BillingMonth) -> None:
    """Make the next drift check rate the month, whatever its inputs."""
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
    """The usage that has changed since the last rating; None if none has, or if the month was never
    rated here.

    Raises `InvalidInput` if the usage cannot be listed.
    """
    known = rated_inputs(settings, month)
    if known is None:
        return None
    storage = Storage.of(settings)
    return _compare(storage, month, known["files"], _usage(storage, known["folders"]))


def changed_inputs(
    settings: Settings, month: BillingMonth, known: RatedInputs
) -> ChangedInputs | None:
    """The usage, price book and accounts that differ from the known inputs; None if nothing does.
    Usage of earlier months is compared where the month rests on its last readings.

    Raises `InvalidInput` if they cannot be listed.
    """
    storage = Storage.of(settings)
    folders, files = known["folders"], {**known["files"], **known["reference"]}
    if "earlier" in known:
        before = (str(folder) for folder in usage_months(settings))
        folders = [*folders, *(folder for folder in before if folder < min(known["folders"]))]
        files |= known["earlier"]
    present = [*_usage(storage, folders), *_reference(storage)]
    return _compare(storage, month, files, present)


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
    """A name for the present content if it differs from that of the rating. A file whose stamp has
    changed is read, because it may only have been touched or copied."""
    if entry.stamp == stamp:
        return None
    if storage.is_remote or entry.is_folder or entry.oddity is not None:
        return entry.stamp
    present = _digest(storage, entry)
    return None if (entry.size, present) == (size, digest) else present


def _digest(storage: Storage, entry: Entry) -> str:
    """The digest of a file's content; empty for an object in a store, whose stamp is enough."""
    if storage.is_remote or entry.oddity is not None:
        return ""
    with Path(entry.path).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
