"""Where input files lie: a local directory, or an object store that DuckDB can read.

What belongs here: listing a folder and reading a file's bytes, the same for both. What does not:
what the bytes mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import duckdb

from billing_pipeline.settings import Settings

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://")


def sql_text(value: str) -> str:
    """A string literal. Views cannot hold parameters, so file names get into SQL only this way."""
    return "'" + value.replace("'", "''") + "'"


def glob_literal(path: str) -> str:
    """A path that DuckDB's globbing readers take as it is, whatever its characters."""
    return re.sub(r"([*?\[\]])", r"[\1]", path)


@dataclass(frozen=True)
class Entry:
    """A file or folder inside a folder. `stamp` changes whenever the content may have."""

    name: str
    path: str
    is_folder: bool
    size: int
    stamp: str


def local_stamp(path: Path) -> str:
    """Changes whenever the content of a local file may have."""
    info = path.stat() if path.exists() else path.lstat()
    # The time of the last change of the inode besides the content's: copying tools set the latter
    # back, and a corrected file of the same size would be taken for the old one.
    return f"{info.st_size}-{info.st_mtime_ns}-{info.st_ctime_ns}"


@dataclass(frozen=True)
class Storage:
    """The data directory. `root` is absolute, or a prefix such as ``s3://bucket/billing``."""

    root: str
    is_remote: bool
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Folders that lie under another name."""

    @classmethod
    def of(cls, settings: Settings) -> Storage:
        if _REMOTE.match(settings.data_dir):
            return cls(settings.data_dir.rstrip("/"), True)
        return cls(str(Path(settings.data_dir).expanduser().absolute()), False)

    def path(self, relative: str) -> str:
        return f"{self.root}/{self.renamed.get(relative, relative)}"

    def entries(self, folder: str) -> list[Entry]:
        """What a folder holds, by name; nothing where there is no such folder.

        Names that begin with ``.`` or ``_`` are left out: half-finished uploads and markers such
        as ``_SUCCESS``. Raises OSError or duckdb.Error where the folder cannot be read.
        """
        found = self._remote(folder) if self.is_remote else self._local(folder)
        kept = (entry for entry in found if not entry.name.startswith((".", "_")))
        return sorted(kept, key=lambda entry: entry.name)

    def _local(self, folder: str) -> list[Entry]:
        directory = Path(self.path(folder))
        if not directory.exists():
            return []
        entries = []
        for item in directory.iterdir():
            # A dangling link must be reported when it is read, not overlooked here.
            size = item.stat().st_size if item.exists() else 0
            entries.append(Entry(item.name, str(item), item.is_dir(), size, local_stamp(item)))
        return entries

    def _remote(self, folder: str) -> list[Entry]:
        prefix = self.path(folder) + "/"
        rows = _remote_rows(
            "select filename, size, last_modified from read_blob($1)", [glob_literal(prefix) + "**"]
        )
        depth = len(PurePosixPath(prefix.split("://", 1)[1]).parts)
        entries: dict[str, Entry] = {}
        for filename, size, modified in rows:
            # Some stores answer with the path alone, without the scheme: count parts instead.
            parts = PurePosixPath(str(filename).split("://", 1)[-1]).parts
            name, is_folder = parts[depth], len(parts) > depth + 1
            stamp = f"{size}-{modified}"
            entries[name] = Entry(name, prefix + name, is_folder, int(str(size)), stamp)
        return list(entries.values())

    def read(self, path: str) -> bytes:
        """All bytes of one file. Raises OSError, or duckdb.Error for a remote one."""
        if not self.is_remote:
            return Path(path).read_bytes()
        rows = _remote_rows("select content from read_blob($1)", [glob_literal(path)])
        if not rows:
            raise FileNotFoundError(path)
        content = rows[0][0]
        assert isinstance(content, bytes)
        return content


def _remote_rows(query: str, parameters: list[str]) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(query, parameters).fetchall()
