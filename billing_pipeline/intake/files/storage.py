"""The storage of input files: a local directory, or an object store.

What belongs here: listing a folder and reading a file's bytes, the same for both. What does not:
what the bytes mean, the store's protocol (object_store.py).
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO

from billing_pipeline.intake.files.object_store import ObjectStore
from billing_pipeline.intake.problems import InvalidInput, Problem
from billing_pipeline.settings import Settings


@dataclass(frozen=True)
class Entry:
    """An entry of a folder. `stamp` changes whenever the content may have changed. If the entry is
    neither a file nor a folder, `oddity` says what it is: opening a pipe would wait for ever, and a
    device has no end."""

    name: str
    path: str
    is_folder: bool
    size: int
    stamp: str
    oddity: str | None = None

    @property
    def is_documentation(self) -> bool:
        """True for what people keep beside their data: README, README.txt, notes.md."""
        name = self.name.lower()
        return not self.is_folder and (name.startswith("readme") or name.endswith((".md", ".rst")))


_ODDITIES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def local_stamp(path: Path) -> str:
    """A stamp that changes whenever the content of a local file may have changed."""
    info = path.stat() if path.exists() else path.lstat()
    # Both the inode's change time and the content's: copying tools set the latter back, and then a
    # corrected file of the same size would be taken for the old one.
    return f"{info.st_size}-{info.st_mtime_ns}-{info.st_ctime_ns}"


def _refuse_invalid_names(folder: str, entries: Sequence[Entry]) -> None:
    """Refuse names that no table or message could contain. Raises `InvalidInput`."""
    shown = [
        os.fsencode(entry.name).decode(errors="backslashreplace")
        for entry in entries
        if any("\ud800" <= char <= "\udfff" for char in entry.name)
    ]
    if shown:
        message = "has a name that is not UTF-8; rename it"
        raise InvalidInput(
            Problem(f"{folder}/{name}", None, None, None, message) for name in sorted(shown)
        )


@dataclass(frozen=True)
class Storage:
    """The data directory. `root` is absolute, or a prefix in `store` such as
    ``s3://bucket/billing``."""

    root: str
    store: ObjectStore | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Folders of the data directory that are stored under another name."""

    @classmethod
    def of(cls, settings: Settings) -> Storage:
        """The storage of the settings' data directory. Raises OSError if the store cannot be used
        at all."""
        renamed = settings.renamed_folders
        if "://" in settings.data_dir:
            return cls(settings.data_dir.rstrip("/"), ObjectStore(settings.data_dir), renamed)
        return cls(str(Path(settings.data_dir).expanduser().absolute()), None, renamed)

    @property
    def is_remote(self) -> bool:
        return self.store is not None

    def path(self, relative: str) -> str:
        if not relative:
            return self.root
        first, slash, rest = relative.partition("/")
        return f"{self.root}/{self.renamed.get(first, first)}{slash}{rest}"

    def entries(self, folder: str) -> list[Entry]:
        """The entries of a folder (of the data directory itself: ``""``), by name; none if there is
        no such folder.

        Names that begin with ``.`` or ``_`` are left out: half-finished uploads and markers such
        as ``_SUCCESS``. Raises `InvalidInput` if the folder cannot be listed: its entries are then
        unknown, which is not the same as none.
        """
        try:
            found = self._local(folder) if self.store is None else self._stored(self.store, folder)
        except OSError as error:
            place = folder or "the data directory"
            problem = Problem(place, None, None, None, f"cannot be listed: {error}")
            raise InvalidInput([problem]) from error
        kept = [entry for entry in found if not entry.name.startswith((".", "_"))]
        _refuse_invalid_names(folder, kept)
        return sorted(kept, key=lambda entry: entry.name)

    def _local(self, folder: str) -> list[Entry]:
        directory = Path(self.path(folder))
        if not directory.exists():
            return []
        entries = []
        for item in directory.iterdir():
            # A dangling link must be reported when it is read, not overlooked here.
            info = item.stat() if item.exists() else None
            size, kind = (info.st_size, stat.S_IFMT(info.st_mode)) if info else (0, 0)
            is_folder = kind == stat.S_IFDIR
            stamp = local_stamp(item)
            oddity = _ODDITIES.get(kind)
            if oddity is None and item.is_symlink() and not self._leads_inside(item, directory):
                oddity = "a link out of the data directory"
            entries.append(Entry(item.name, str(item), is_folder, size, stamp, oddity))
        return entries

    def _leads_inside(self, link: Path, folder: Path) -> bool:
        """True if a link leads into the data directory, or to something in its own folder, which
        may be elsewhere as a whole. Otherwise anybody who may put files here could have any file of
        this machine read and shown, such as its keys."""
        # Not `resolve`, which raises for a link to itself.
        target = Path(os.path.realpath(link))
        return any(target.is_relative_to(own.resolve()) for own in (Path(self.root), folder))

    def _stored(self, store: ObjectStore, folder: str) -> list[Entry]:
        place = self.path(folder)
        return [
            Entry(found.name, f"{place}/{found.name}", found.is_folder, found.size, found.etag)
            for found in store.listed(place)
        ]

    @contextmanager
    def opened(self, entry: Entry) -> Iterator[IO[bytes]]:
        """The bytes of one file; from a store, all of them in memory. Raises OSError."""
        if self.store is None:
            with Path(entry.path).open("rb") as content:
                yield content
            return
        fetched = BytesIO()
        self.store.fetch(entry.path, entry.stamp, fetched)
        fetched.seek(0)
        yield fetched

    @contextmanager
    def local_copy(self, entry: Entry, folder: Path) -> Iterator[Path]:
        """The path of the file on this machine: the file itself, or a temporary copy in `folder`
        that the caller may move away. Raises OSError."""
        if self.store is None:
            yield Path(entry.path)
            return
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / f"{uuid.uuid4().hex}.tmp"
        try:
            with copy.open("xb") as target:
                self.store.fetch(entry.path, entry.stamp, target)
            yield copy
        finally:
            copy.unlink(missing_ok=True)
