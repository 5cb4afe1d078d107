"""The manifest: which file is current of each published table, and which were replaced when.

What belongs here: reading and writing ``manifest.json``, entering new files, and deleting those
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
from typing import Any, TypedDict

from billing_pipeline.published.durable import fsync

# The columns of a file, in their order: name and type of each.
Columns = list[list[str]]

# What is to be told of a publication that succeeds; on the terminal where nobody listens.
_LOG = logging.getLogger(__name__)

# How long the files of a replaced version stay for readers that have the old database open.
# Longer is safe and only costs disk; shorter breaks a reader's long session.
KEEP_REPLACED_SECONDS = 24 * 3600


class PublishError(RuntimeError):
    """Something could not be published or read; what was published before is untouched."""


class Entry(TypedDict):
    """The current file of a table, relative to the root, and which of the layouts it has."""

    file: str
    layout: int


Tables = dict[str, Entry]


@dataclass
class Manifest:
    """What is published in `root`.

    `months` and `estimate` name the current file of each table; `layouts` are the lists of columns
    that files have, each once, as all months have the same; `retired` says since when (seconds
    since 1970) a file is replaced. `database_inode` is the database of views that was built from
    this manifest.
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
        """As it was last written; empty before the first time. Raises `PublishError`."""
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
        """Replace the file; on the disk when this returns."""
        saved: dict[str, Any] = {"format": 2, **vars(self)}
        del saved["root"]
        path = _path(self.root)
        scratch = path.with_name(f"{path.name}.new")
        # Without an indent, which json writes six times as slowly: the manifest grows with history.
        scratch.write_text(json.dumps(saved, sort_keys=True), encoding="utf-8")
        fsync(scratch)
        scratch.replace(path)
        fsync(self.root)

    def all_tables(self) -> Iterator[Tables]:
        """The newest month first, and at last the running month's estimate."""
        for month in sorted(self.months, reverse=True):
            yield self.months[month]
        yield self.estimate

    def enter(self, tables: Tables, files: Mapping[Path, Columns], now: float) -> None:
        """Enter new files among `tables`, those of a month or of the estimate; a file is named
        after its table. The files that they replace are retired as of now."""
        for path, columns in files.items():
            if path.stem in tables:
                self.retired[tables[path.stem]["file"]] = now
            tables[path.stem] = {"file": self._name(path), "layout": self._layout(columns)}
        self.published_at = datetime.fromtimestamp(now, UTC).isoformat()

    def recover(self, now: float) -> None:
        """After a crash between manifest and swap, readers use the retired files to this day."""
        database = self.root / "billing.duckdb"
        in_place = database.stat().st_ino if database.exists() else None
        if in_place != self.database_inode:
            self.retired = dict.fromkeys(self.retired, now)

    def forget_missing(self) -> list[str]:
        """Take the months of which files are gone out of the manifest, as a whole: nobody is to
        see half a month. Their names; whoever runs them publishes them anew."""
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
        """Format 1 listed the columns in each entry."""
        for tables in self.all_tables():
            for entry in tables.values():
                entry["layout"] = self._layout(entry.pop("columns"))  # type: ignore[typeddict-item]


def _path(root: Path) -> Path:
    return root / "manifest.json"
