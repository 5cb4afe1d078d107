"""How large inputs may be: limits that keep memory within `BILLING_MEMORY_LIMIT`, whatever arrives.

What belongs here: the limits, how they follow from the settings, and the stream that enforces one.
What does not: reading inputs within the limits.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from typing import IO

from billing_pipeline.settings import Settings

_MIB = 1024 * 1024

# A cell is in memory several times while it is read: as Python text, as Arrow text, in DuckDB, and
# parsed if it is JSON. The fractions of the memory below leave room for that.
_ROWS_PART, _ROW_PART, _TABLE_PART = 64, 64, 16
# More would only cost memory: batches of this size keep DuckDB busy, and no event is this long.
_MAX_BATCH_BYTES, _MAX_ROW_BYTES = 16 * _MIB, 4 * _MIB


class TooLargeError(ValueError):
    """An input exceeds a limit; the message says which, and how to raise it."""


@dataclass(frozen=True)
class InputLimits:
    """Limits in bytes of unpacked content.

    `file_bytes`: a file. `table_bytes`: a table of catalog/ or accounts/, which is held in memory
    as a whole. `row_bytes`: a row of usage. `batch_bytes`: the rows of usage that are read at a
    time. `memory`: what DuckDB may use, as it is written in DuckDB's settings.
    """

    file_bytes: int
    table_bytes: int
    row_bytes: int
    batch_bytes: int
    memory: str

    @classmethod
    def of(cls, settings: Settings) -> InputLimits:
        memory = settings.memory_bytes
        return cls(
            file_bytes=settings.max_input_bytes,
            table_bytes=min(settings.max_input_bytes, memory // _TABLE_PART),
            row_bytes=min(_MAX_ROW_BYTES, memory // _ROW_PART),
            batch_bytes=min(_MAX_BATCH_BYTES, memory // _ROWS_PART),
            memory=settings.memory_limit,
        )

    def refuse_file(self, size: int) -> None:
        """Raise `TooLargeError` for a file that is too large to be read."""
        if size > self.file_bytes:
            raise TooLargeError(
                f"holds more than {shown_bytes(self.file_bytes)}; "
                "BILLING_MAX_INPUT_BYTES allows for more"
            )

    def refuse_table(self, size: int) -> None:
        """Raise `TooLargeError` for a table that is too large to be held in memory."""
        self.refuse_file(size)
        if size > self.table_bytes:
            raise TooLargeError(
                f"holds more than {shown_bytes(self.table_bytes)}, a sixteenth of "
                f"BILLING_MEMORY_LIMIT ({self.memory}); raise it for a table as large as that"
            )


def shown_bytes(size: int) -> str:
    """A size as people write it: 250 MB, 1.5 GB."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


def unpacked(content: IO[bytes], limits: InputLimits, *, is_packed: bool) -> io.BufferedReader:
    """The bytes of a file, decompressed if it is gzip. Reading beyond the limit of a file raises
    `TooLargeError`, because a few megabytes may decompress to any size."""
    plain = gzip.GzipFile(fileobj=content) if is_packed else content
    return io.BufferedReader(_Bounded(plain, limits), _MIB // 8)


class _Bounded(io.RawIOBase):
    """Another stream's bytes, up to a limit."""

    def __init__(self, content: IO[bytes] | gzip.GzipFile, limits: InputLimits) -> None:
        self._content = content
        self._limits = limits
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        found = self._content.read(len(buffer))
        self._read += len(found)
        self._limits.refuse_file(self._read)
        buffer[: len(found)] = found
        return len(found)
