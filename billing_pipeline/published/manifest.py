"""The manifest: the current file of each published table, and when the earlier ones were replaced.

What belongs here: reading and writing ``manifest.json``, entering new files, and deleting files
that nobody reads any more. What does not: making the files (``export``) and the order of a
publication (``publish``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

from billing_pipeline.durable import fsync

# The columns of a file in order, each with its name and type.
Columns = list[list[str]]

# Warnings of publications that succeed; without a handler they go to the terminal.
_LOG = logging.getLogger(__name__)

# How long the files of a replaced version stay for readers that have the old database open.
# Longer is safe and only costs disk; shorter breaks a reader's long session.
KEEP_REPLACED_SECONDS = 24 * 3600


class PublishError(RuntimeError):
    """Something could not be published or read; the previous publication is untouched."""


class Written(NamedTuple):
    """What is known of a new file without opening it."""

    columns: Columns
    rows: int


class Entry(TypedDict):
    """The current file of a table, relative to the root, the number of its layout, and the number
    of its rows, which earlier releases did not note."""

    file: str
    layout: int
    rows: NotRequired[int]


Tables = dict[str, Entry]


@dataclass
class Manifest:
    """What is published in `root`.

    `months` and `estimate` name the current file of each table. `layouts` holds each distinct list
    of columns once, because nearly all months have the same. `retired` says when a file was
    replaced (seconds since 1970). `database_inode` identifies the database of views that was built
    from this manifest.
    """

    root: Path
    months: dict[str, Tables] = field(default_factory=dict)
    estimate: Tables = field(default_factory=dict)
    layouts: list[Columns] = field(default_factory=list)
    retired: dict[str, float] = field(default_factory=dict)
    published_at: str | None = None
    database_inode: int | None = None

    @classmethod
    def read(cls, root: Path) -> Manifest:
        """The manifest as last written; empty before the first publication. Raises
        `PublishError`."""
        path = _path(root)
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            version = saved.pop("format")
            manifest = cls(root, **saved)
        except FileNotFoundError:
            return cls(root)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise PublishError(
                f"{path} is damaged ({error}): delete {root} and run the months again"
            ) from error
        if version == 1:
            manifest._move_columns_into_layouts()
        return manifest

    def write(self) -> None:
        """Replace the file; it is on the disk when this returns."""
        saved: dict[str, Any] = {"format": 2, **vars(self)}
        del saved["root"]
        path = _path(self.root)
        scratch = path.with_name(f"{path.name}.new")
        # Not indented, because json is six times slower then and the manifest grows with history.
        scratch.write_text(json.dumps(saved, sort_keys=True), encoding="utf-8")
        fsync(scratch)
        scratch.replace(path)
        fsync(self.root)

    def all_tables(self) -> Iterator[Tables]:
        """The newest month first, and the running month's estimate last."""
        for month in sorted(self.months, reverse=True):
            yield self.months[month]
        yield self.estimate

    def enter(self, tables: Tables, files: Mapping[Path, Written], now: float) -> None:
        """Enter new files among `tables`, those of a month or of the estimate; a file is named
        after its table. The files that they replace are retired as of now."""
        for path, (columns, rows) in files.items():
            if path.stem in tables:
                self.retired[tables[path.stem]["file"]] = now
            layout = self._layout(columns)
            tables[path.stem] = {"file": self._name(path), "layout": layout, "rows": rows}
        self.published_at = datetime.fromtimestamp(now, UTC).isoformat()

    def recover(self, now: float) -> None:
        """After a crash between manifest and swap, readers still use the retired files: keep them
        for another day."""
        database = self.root / "billing.duckdb"
        in_place = database.stat().st_ino if database.exists() else None
        if in_place != self.database_inode:
            self.retired = dict.fromkeys(self.retired, now)

    def forget_missing(self) -> list[str]:
        """Remove each month that lacks a file from the manifest, as a whole, so that nobody sees
        half a month. Returns the months; running one again publishes it again."""
        gone = [month for month, tables in self.months.items() if self._is_missing(tables)]
        for month in gone:
            del self.months[month]
        if self._is_missing(self.estimate):
            self.estimate = {}
        if gone:
            listed = ", ".join(gone)
            _LOG.warning("files of %s are gone from %s: run these months again", listed, self.root)
        return gone

    def delete_replaced(self, place: Path, now: float) -> None:
        """Delete what was replaced long enough ago, and leftovers of publications that crashed.

        Only `place`, the folder of the month or of the estimates, is searched for leftovers, so
        the cost does not grow with history. The manifest forgets deleted files at its next
        writing: a name without a file is harmless.
        """
        current = {entry["file"] for tables in self.all_tables() for entry in tables.values()}
        retired = self.retired
        gone = {file for file, since in retired.items() if now - since > KEEP_REPLACED_SECONDS}
        for path in place.glob("*/*"):
            name = self._name(path)
            is_abandoned = name not in current and name not in retired
            if is_abandoned and now - path.stat().st_mtime > KEEP_REPLACED_SECONDS:
                gone.add(name)
        for file in sorted(gone - current):
            (self.root / file).unlink(missing_ok=True)
            folder = (self.root / file).parent
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        if gone:
            self.retired = {file: since for file, since in retired.items() if file not in gone}
            self.write()

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _layout(self, columns: Columns) -> int:
        if columns not in self.layouts:
            self.layouts.append(columns)
        return self.layouts.index(columns)

    def _is_missing(self, tables: Tables) -> bool:
        return not all((self.root / entry["file"]).exists() for entry in tables.values())

    def _move_columns_into_layouts(self) -> None:
        """Convert format 1, which listed the columns in each entry."""
        for tables in self.all_tables():
            for entry in tables.values():
                entry["layout"] = self._layout(entry.pop("columns"))  # type: ignore[typeddict-item]


def _path(root: Path) -> Path:
    return root / "manifest.json"
