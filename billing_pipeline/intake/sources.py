"""The source of each of the month's usage files, and the expected sources that have not delivered.

What belongs here: matching files to ``catalog/sources.csv``. What does not: reading the files
(``usage``), and acting on a missing source (``defs.usage``).
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import duckdb

from billing_pipeline.intake.reference.schemas import OTHER_SOURCE
from billing_pipeline.intake.usage_files import UsageFiles
from billing_pipeline.months import BillingMonth


@dataclass(frozen=True)
class Source:
    """A row of ``catalog/sources.csv``; `is_expected`: every month."""

    name: str
    file_pattern: str
    is_expected: bool


def sources(connection: duckdb.DuckDBPyConnection) -> list[Source]:
    """All sources of the price book in a month's warehouse, in the order of the file."""
    found = connection.execute(
        "SELECT source, file_pattern, expected IS NOT NULL FROM raw.sources ORDER BY rowid"
    ).fetchall()
    return [Source(*row) for row in found]


def write_file_sources(
    connection: duckdb.DuckDBPyConnection, month: BillingMonth, usage: UsageFiles
) -> None:
    """Create `raw.usage_file_sources`: each usage file of the month with its source."""
    connection.execute("CREATE TABLE raw.usage_file_sources (source_file VARCHAR, source VARCHAR)")
    known = sources(connection)
    rows = [
        (file.source_file, _source_of(file.source_file, known))
        for file in usage.files
        if file.month == month
    ]
    if rows:
        connection.executemany("INSERT INTO raw.usage_file_sources VALUES (?, ?)", rows)


def _source_of(source_file: str, known: list[Source]) -> str:
    name = source_file.split("/", 2)[2]  # after usage/YYYY-MM/
    matching = (source.name for source in known if fnmatchcase(name, source.file_pattern))
    return next(matching, OTHER_SOURCE)


def missing_sources(connection: duckdb.DuckDBPyConnection) -> list[Source]:
    """The expected sources without a file in the month."""
    delivered = {
        str(name)
        for (name,) in connection.execute("SELECT source FROM raw.usage_file_sources").fetchall()
    }
    return [
        source
        for source in sources(connection)
        if source.is_expected and source.name not in delivered
    ]
