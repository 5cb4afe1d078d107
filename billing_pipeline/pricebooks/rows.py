"""A price book as rows, and writing it.

What belongs here: its files and columns, in the form of a data directory. What does not: where the
prices come from.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Row = Mapping[str, str]


@dataclass(frozen=True)
class Remark:
    """What the book says otherwise than its list, or not at all. `kind`: `left_out`, `rounded` or
    `comment` (the list's own)."""

    kind: str
    name: str
    text: str


@dataclass(frozen=True)
class Book:
    """Rows by file, as in a data directory but without `.csv`."""

    files: Mapping[str, Sequence[Row]]
    remarks: Sequence[Remark] = field(default=())


class FolderInUseError(FileExistsError):
    """There is something in the folder already."""


def write_book(book: Book, directory: Path) -> list[Path]:
    """Write it into a new or empty folder; gives the files. Else raises `FolderInUseError`."""
    taken = sorted(directory.iterdir()) if directory.exists() else []
    if taken:
        raise FolderInUseError(
            f"{taken[0]} already exists: nothing was written. Name a new or an empty folder, and "
            "compare its files with those of your catalog"
        )
    remarks = [{"kind": one.kind, "name": one.name, "text": one.text} for one in book.remarks]
    files = {**book.files, "remarks": remarks}
    return [_write(directory / f"{name}.csv", rows) for name, rows in files.items() if rows]


def _write(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
