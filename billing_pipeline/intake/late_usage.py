"""Late usage: files that are there now and were not when a month was rated, or are others by now.

What belongs here: writing down what a rating read, and comparing. What does not: reading rows
(``intake``), and what is done about it (``defs.sensors``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from billing_pipeline.intake.files.storage import Entry, Storage
from billing_pipeline.intake.usage_files import UsageFiles, month_entries, replacing
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

_FILE_NAME = "usage_files.json"


@dataclass(frozen=True)
class LateUsage:
    """How a month's usage files differ from those that it was rated with. `fingerprint` is the
    same as long as they stay as they are now."""

    month: BillingMonth
    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    fingerprint: str

    def __str__(self) -> str:
        parts = (("new", self.new), ("changed", self.changed), ("gone", self.gone))
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)


def note_rated(
    settings: Settings, month: BillingMonth, folders: list[BillingMonth], files: UsageFiles
) -> None:
    """Write down which files the month is being rated with, and the folders they came from."""
    known = {
        "folders": [str(folder) for folder in folders],
        "files": {file.source_file: [file.stamp, file.size, file.digest] for file in files.files},
    }
    with replacing(settings.month_dir(month) / _FILE_NAME) as unfinished:
        unfinished.write_text(json.dumps(known), encoding="utf-8")


def rated_files(settings: Settings, month: BillingMonth) -> dict[str, str]:
    """The usage files that the month was rated with last, each with what names its content;
    nothing where the month was never rated here."""
    try:
        known = json.loads((settings.month_dir(month) / _FILE_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {name: digest or stamp for name, (stamp, _, digest) in known["files"].items()}


def late_usage(settings: Settings, month: BillingMonth) -> LateUsage | None:
    """What is different by now; None where nothing is, or the month was never rated here.

    Raises `InvalidInput` where the usage cannot be listed.
    """
    path = settings.month_dir(month) / _FILE_NAME
    if not path.exists():
        return None
    known = json.loads(path.read_text(encoding="utf-8"))
    rated: dict[str, tuple[str, int, str]] = known["files"]
    storage = Storage.of(settings)
    present = {
        f"usage/{folder}/{name}": entry
        for folder in known["folders"]
        for name, entry in month_entries(storage, folder)
    }
    different = {
        name: content
        for name, entry in present.items()
        for content in [_other_content(storage, entry, *rated.get(name, ("", -1, "")))]
        if content is not None
    }
    gone = sorted(set(rated) - set(present))
    if not different and not gone:
        return None
    return LateUsage(
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
    with Path(entry.path).open("rb") as content:
        present = hashlib.file_digest(content, "sha256").hexdigest()
    return None if (entry.size, present) == (size, digest) else present
