"""Text files of usage to typed Parquet, by one statement that is planned once for all of them.

What belongs here: turning rows of text into the columns used for billing, with DuckDB. What does
not: rows and their numbers (text_files.py), the meaning of values (expressions.py), where the
result is saved (usage_files.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from billing_pipeline.duckdb_sql import sql_text
from billing_pipeline.intake.files import expressions
from billing_pipeline.intake.files.text_files import RECORD_SCHEMA, BrokenFile, batches
from billing_pipeline.intake.limits import InputLimits
from billing_pipeline.intake.reference.schemas import USAGE_COLUMNS

# Raise this whenever the same file would be normalised differently: cached copies are keyed by it,
# and a stale copy would be billed.
FORMAT_VERSION = 6


@contextmanager
def reading_connection(limits: InputLimits) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection for examining usage files, within the memory limit. One serves all files
    of a month, because opening it takes longer than reading a small file."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set memory_limit = {sql_text(limits.memory)}")
        # Rows carry their own numbers. If order were preserved, row groups could not be limited by
        # bytes.
        connection.execute("set preserve_insertion_order = false")
        yield connection


class Normaliser:
    """Writes text files as Parquet. Planning the statement takes twenty times as long as running it
    for a small file, and a month may have thousands. So it is prepared once, with one output path,
    and reads whichever records come next."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
        zone: ZoneInfo,
        limits: InputLimits,
    ) -> None:
        """`connection` is from `reading_connection`; `written` is in `folder` until it is moved."""
        self._connection = connection
        self._limits = limits
        self._records = _Records()
        self.written = folder / f"{uuid.uuid4().hex}.tmp"
        connection.register("records", self._records)
        connection.execute(
            f"PREPARE normalise AS COPY ({_normalised(zone)}) TO {sql_text(str(self.written))} "
            "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, "
            f"ROW_GROUP_SIZE_BYTES {limits.batch_bytes})"
        )

    def write(self, content: IO[bytes], name: str) -> int:
        """Write the rows of a CSV or JSON Lines file to `written`; returns their number. Raises
        `BrokenFile`, and then `written` is not usable."""
        faults: list[BrokenFile] = []
        self._records.batches = batches(content, name, self._limits, faults)
        [(rows,)] = self._connection.execute("EXECUTE normalise").fetchall()
        if faults:
            raise faults[0]
        return int(rows)


class _Records:
    """The batches of the current file, which DuckDB reads anew by Arrow's protocol at each
    execution."""

    batches: Iterable[pa.RecordBatch] = ()

    def __arrow_c_schema__(self) -> object:
        return RECORD_SCHEMA.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = pa.RecordBatchReader.from_batches(RECORD_SCHEMA, self.batches)
        return reader.__arrow_c_stream__(requested_schema)


def _normalised(zone: ZoneInfo) -> str:
    """SQL from records of text to the columns of the usage view (without those of the file)."""
    types = dict.fromkeys(USAGE_COLUMNS, "VARCHAR")
    values = expressions.event_values(types, zone)
    used = ", ".join(f"{value} AS used_{name}" for name, value in values.items())
    typed = (
        f"SELECT {used}, occurred_at, quantity, properties, source_row, malformed, "
        f"coalesce(raw, {_raw_sql()}) AS raw FROM records"
    )
    named = ", ".join(f"used_{name} AS {name}" for name in USAGE_COLUMNS if name != "quantity")
    return (
        f"SELECT {named}, CASE WHEN NOT malformed THEN used_quantity END AS quantity, source_row, "
        f"CASE WHEN malformed THEN 'malformed_row' ELSE {expressions.event_fault(types)} END "
        f"AS parse_error, raw FROM ({typed})"
    )


def _raw_sql() -> str:
    """A row of cells as JSON text, without a subscription if the row names none."""

    def text(names: Collection[str]) -> str:
        cells = ", ".join(f"{name!r}: {name}" for name in names)
        return f"CAST(to_json({{{cells}}}) AS VARCHAR)"

    others = [name for name in USAGE_COLUMNS if name != "subscription_id"]
    return (
        f"CASE WHEN nullif(subscription_id, '') IS NULL THEN {text(others)} "
        f"ELSE {text(USAGE_COLUMNS)} END"
    )
