"""The usage files of a month: finding them, what they contain, and their copies for scanning.

What belongs here: finding files, their fingerprints, and the cache of copies and findings. What
does not: the content of files (text_files.py, parquet_files.py), the view over them (usage.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from billing_pipeline.durable import replacing
from billing_pipeline.intake.files.normalising import (
    FORMAT_VERSION,
    Normaliser,
    reading_connection,
)
from billing_pipeline.intake.files.parquet_files import (
    Content,
    UsageColumn,
    content_of,
    small_file_contents,
)
from billing_pipeline.intake.files.storage import Entry, Storage, local_stamp
from billing_pipeline.intake.files.text_files import BrokenFile
from billing_pipeline.intake.limits import InputLimits, TooLargeError
from billing_pipeline.intake.problems import InvalidInput, Problem
from billing_pipeline.intake.wall_clock import clock_name
from billing_pipeline.months import BillingMonth, InvalidMonthError
from billing_pipeline.settings import Settings

_TEXT_EXTENSIONS = tuple(
    f".{kind}{packed}" for kind in ("csv", "jsonl", "ndjson", "json") for packed in ("", ".gz")
)
_PARQUET = ".parquet"
_KNOWN = "known.json"
_PARQUET_ENDS = b"PAR1"
EXTENSIONS = (_PARQUET, *_TEXT_EXTENSIONS)
DIGEST_LENGTH = 32  # hexadecimal digits of SHA-256 that name a copy
# A file that is rewritten within the clock's resolution keeps its size and time stamp. A file that
# was examined this soon after its last change is therefore examined again next time. Larger is
# safer, but slower.
_SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class UsageFile:
    """One usage file. `scan_path` is the Parquet to read: the file itself or its copy.

    `digest` is the SHA-256 of the content. `columns` are those of a Parquet file, which is read as
    it is; empty for text, which is normalised in its copy. `stamp` is the storage's stamp when the
    file was examined.
    """

    month: BillingMonth
    source_file: str
    scan_path: str
    size: int
    rows: int
    digest: str
    columns: tuple[UsageColumn, ...] = ()
    stamp: str = ""
    is_copy: bool = False


@dataclass(frozen=True)
class UsageFiles:
    """All files of some months, by name. `fingerprint` changes with any name, size or content.

    `earlier` are those of all months before, where their last readings count too; None where none
    of them was read.
    """

    files: tuple[UsageFile, ...]
    earlier: tuple[UsageFile, ...] | None = None

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def fingerprint(self) -> str:
        listed = [(file.source_file, file.size, file.digest) for file in self.files]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


@dataclass
class _Known:
    """What was found out about a file, saved beside its copy. If you add a field, raise
    FORMAT_VERSION."""

    stamp: str
    digest: str
    rows: int
    columns: list[UsageColumn] = field(default_factory=list)
    version: int = FORMAT_VERSION


def usage_months(settings: Settings) -> list[BillingMonth]:
    """The months that have a folder under usage/. Raises `InvalidInput` for a folder that is not a
    month and for usage files outside of month folders: neither would ever be billed."""
    months: list[BillingMonth] = []
    problems: list[Problem] = []
    for entry in Storage.of(settings).entries("usage"):
        place = f"usage/{entry.name}"
        if entry.is_folder:
            try:
                if re.fullmatch(r"\d{4}-\d{2}", entry.name) is None:
                    raise InvalidMonthError("write YYYY-MM, for example 2024-01")
                months.append(BillingMonth.parse(entry.name))
            except InvalidMonthError as error:
                problems.append(Problem(place, None, None, None, f"is not a month: {error}"))
        elif not entry.is_documentation:
            message = "is outside of a month's folder, for example usage/2024-01/"
            problems.append(Problem(place, None, None, None, message))
    if problems:
        raise InvalidInput(problems)
    return months


def usage_files(settings: Settings, months: list[BillingMonth]) -> UsageFiles:
    """The files of these months, ready to be scanned; text files are normalised where needed.

    Raises `InvalidInput` naming every file that cannot be read or lacks a column: billing without
    it would silently bill too little.
    """
    storage = Storage.of(settings)
    limits = InputLimits.of(settings)
    problems: list[Problem] = []
    found = []
    with _Reader(storage, settings, limits) as reader:
        for month in months:
            entries = [
                (name, entry, reader.remembered(month, name, entry))
                for name, entry in month_entries(storage, month)
            ]
            reader.examine_small([(name, entry) for name, entry, known in entries if not known])
            for name, entry, known in entries:
                try:
                    _refuse_unknown(name, entry)
                    limits.refuse_file(entry.size)
                    found.append(reader.prepare(month, name, entry, known))
                except BrokenFile as error:
                    place = (f"usage/{month}/{name}", error.row, error.column)
                    problems.append(Problem(*place, None, str(error)))
                except TooLargeError as error:
                    place = (f"usage/{month}/{name}", None, None)
                    problems.append(Problem(*place, None, str(error)))
    if problems:
        raise InvalidInput(problems)
    return UsageFiles(tuple(found))


def month_entries(storage: Storage, month: BillingMonth | str) -> Iterator[tuple[str, Entry]]:
    """The files in a month's folder, by name. A folder `events.parquet`, as Spark and others write
    a table, counts as the Parquet files in it, such as `events.parquet/part-0.parquet`."""
    folder = f"usage/{month}"
    for entry in storage.entries(folder):
        parts: list[Entry] = []
        if entry.is_folder and entry.name.lower().endswith(_PARQUET):
            parts = storage.entries(f"{folder}/{entry.name}")
        yield from ((f"{entry.name}/{part.name}", part) for part in parts)
        if not parts and not entry.is_documentation:
            yield entry.name, entry


def _refuse_unknown(name: str, entry: Entry) -> None:
    in_table = "/" in name
    allowed = (_PARQUET,) if in_table else EXTENSIONS
    if entry.oddity is not None:
        raise BrokenFile(f"is {entry.oddity} and no file; usage is read from files")
    if entry.is_folder and not in_table and name.lower().endswith(_PARQUET):
        raise BrokenFile("is a folder without Parquet files")
    if entry.is_folder:
        raise BrokenFile("is a folder; usage files lie directly in the month's folder")
    if not name.lower().endswith(allowed):
        raise BrokenFile(f"has no extension of a usage file; allowed: {', '.join(allowed)}")


class _Reader:
    """Examines files, and remembers what was found when they were last examined."""

    def __init__(self, storage: Storage, settings: Settings, limits: InputLimits) -> None:
        self._storage = storage
        self._settings = settings
        self._limits = limits
        self._open = contextlib.ExitStack()
        self._seen: dict[str, Content] = {}

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        """DuckDB, opened only if a file has to be examined."""
        return self._open.enter_context(reading_connection(self._limits))

    @cached_property
    def _normaliser(self) -> Normaliser:
        folder, zone = self._settings.usage_cache_dir, self._settings.timezone
        folder.mkdir(parents=True, exist_ok=True)
        made = Normaliser(self._connection, folder, zone, self._limits)
        self._open.callback(made.written.unlink, missing_ok=True)
        return made

    def remembered(self, month: BillingMonth, name: str, entry: Entry) -> _Known | None:
        """What was found out about a file; None if it is new or has changed."""
        return _remembered(self._cache_dir(month, name) / _KNOWN, entry.stamp)

    def examine_small(self, entries: Sequence[tuple[str, Entry]]) -> None:
        """Examine the small Parquet files among these together."""
        if self._storage.is_remote:
            return  # fetched one by one
        new = [
            entry.path
            for name, entry in entries
            if name.lower().endswith(_PARQUET) and not entry.is_folder and entry.oddity is None
        ]
        if len(new) > 1:
            self._seen |= small_file_contents(self._connection, new, self._limits)

    def _cache_dir(self, month: BillingMonth, name: str) -> Path:
        return self._settings.usage_cache_dir / str(month) / name

    def prepare(
        self, month: BillingMonth, name: str, entry: Entry, known: _Known | None
    ) -> UsageFile:
        """A file ready to be scanned. Raises `BrokenFile` and `TooLargeError`."""
        cache_dir = self._cache_dir(month, name)
        is_parquet = name.lower().endswith(_PARQUET)
        is_copy = self._storage.is_remote or not is_parquet
        if known is None or (is_copy and not _is_whole(self._copy(cache_dir, entry, known.digest))):
            try:
                known = self._examine(entry, cache_dir, is_parquet)
            except OSError as error:
                if str(self._settings.usage_cache_dir) in str(error.filename):
                    raise  # our own cache cannot be written: not the input's fault
                raise BrokenFile(f"cannot be read: {error.strerror or error}") from error
            _remember(cache_dir / _KNOWN, entry, known)
        path = str(self._copy(cache_dir, entry, known.digest)) if is_copy else entry.path
        columns = tuple(UsageColumn(*column) for column in known.columns)
        return UsageFile(
            *(month, f"usage/{month}/{name}", path, entry.size, known.rows, known.digest, columns),
            stamp=entry.stamp,
            is_copy=is_copy,
        )

    def _copy(self, cache_dir: Path, entry: Entry, digest: str) -> Path:
        """The path of a file's copy, whose name contains everything on which the copy depends."""
        extension = entry.name.lower().rsplit(".", 2)[-2:]
        clock = clock_name(self._settings.timezone)
        seed = json.dumps([FORMAT_VERSION, clock, extension, digest])
        return cache_dir / f"{hashlib.sha256(seed.encode()).hexdigest()[:DIGEST_LENGTH]}.parquet"

    def _examine(self, entry: Entry, cache_dir: Path, is_parquet: bool) -> _Known:
        storage = self._storage
        # Digest and copy must come from the same bytes, or a file that is being rewritten would
        # leave a copy under the name of other content.
        with storage.local_copy(entry, cache_dir) as path, path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            target = self._copy(cache_dir, entry, digest)
            if is_parquet:
                seen = self._seen.pop(entry.path, None)
                columns, rows = seen or content_of(self._connection, str(path), self._limits)
                if storage.is_remote:
                    path.replace(target)
                else:
                    _refuse_changed(path, entry)
                return _Known(entry.stamp, digest, rows, columns)
            if entry.size == 0 and entry.name.lower().endswith(".gz"):
                raise BrokenFile("is empty: not even a gzip header")
            if _is_whole(target):
                return _Known(entry.stamp, digest, pq.read_metadata(target).num_rows)
            content.seek(0)
            rows = self._normaliser.write(content, entry.name)
            if not storage.is_remote:
                _refuse_changed(path, entry)
        cache_dir.mkdir(parents=True, exist_ok=True)
        self._normaliser.written.replace(target)
        return _Known(entry.stamp, digest, rows)


def _refuse_changed(path: Path, entry: Entry) -> None:
    """Raise an error if the file has changed since it was listed: digest and columns would not
    match."""
    if local_stamp(path) != entry.stamp:
        raise BrokenFile("was changed while it was read; run again once it is complete")


def _is_whole(copy: Path) -> bool:
    """True if a copy exists and ends as Parquet does; otherwise it is made anew."""
    try:
        with copy.open("rb") as content:
            content.seek(-len(_PARQUET_ENDS), os.SEEK_END)
            return content.read() == _PARQUET_ENDS
    except OSError:
        return False


def _remembered(path: Path, stamp: str) -> _Known | None:
    try:
        known = _Known(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None  # never examined, or noted in another format
    return known if known.stamp == stamp and known.version == FORMAT_VERSION else None


def _remember(path: Path, entry: Entry, known: _Known) -> None:
    changed = entry.stamp.rsplit("-", 1)[-1]
    if changed.isdigit() and time.time() - int(changed) / 1e9 < _SETTLED_SECONDS:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(asdict(known)))
