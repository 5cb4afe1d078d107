"""Does a published month agree with its inputs and records? Recomputed and compared.

What belongs here: rating the month in a scratch home, and the digests and differing rows of each
table. What does not: the records of what was billed (``collection.records``), and showing it
(``commands.verify``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

from billing_pipeline.duckdb_sql import Row, path_list, rows, sql_name
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.manifest import Manifest
from billing_pipeline.published.reading import NotPublishedError, attach, utc_session
from billing_pipeline.published.tables import published_tables
from billing_pipeline.rating.corrections import known_corrections
from billing_pipeline.rating.month import StripeMovement, WalletApplication, rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.settings import Settings

MAX_ROWS = 5
"""How many rows of a table are shown on each side; the rest are counted."""
_MAX_COMPARED = 1_000
"""How many rows of each side are searched for the counterpart of the first one."""

# The columns besides ids that tell rows of a table apart.
_KEYS = (
    *("period_start", "usage_date", "tier", "feature", "position", "currency", "reason"),
    *("source_file", "source_row"),
)

# A row as text, every value as DuckDB writes it in UTC, so that no number passes through a float;
# the digest does not depend on the order of rows.
_DIGEST = """
SELECT count(*), sha256(coalesce(string_agg(digest, '' ORDER BY digest), ''))
FROM (SELECT sha256(to_json([{values}])::VARCHAR) AS digest FROM {source})
"""


@dataclass(frozen=True)
class TableCheck:
    """One table of the month as published and as recomputed; the rows that only one side has, at
    most `MAX_ROWS` of each."""

    table: str
    rows: int
    recomputed_rows: int
    digest: str
    recomputed_digest: str
    only_published: Sequence[Row] = ()
    only_recomputed: Sequence[Row] = ()
    first_difference: str | None = None
    """The first row that differs and its first differing column, in one sentence."""

    @property
    def is_equal(self) -> bool:
        return self.digest == self.recomputed_digest


def verify_month(
    settings: Settings,
    month: BillingMonth,
    applications: Iterable[WalletApplication],
    moved: Iterable[StripeMovement],
) -> list[TableCheck]:
    """Check every table that dbt makes for the month, from usage to invoices. Tables and columns
    that a release has added since the month's last run are left out.

    Raises `NotPublishedError`, and `InvalidInput` and `DbtError` like a run of the month.
    """
    manifest = Manifest.read(settings.published_dir)
    published = manifest.months.get(str(month))
    if not published:
        raise NotPublishedError(f"nothing is published of {month}: there is nothing to compare")
    models = [name for name in published_tables(settings).models if name in published]
    with scratch_home(settings) as scratch, utc_session() as connection:
        # Corrections of closed months depend on other months, so they are taken as they were.
        corrections = known_corrections(settings.warehouse_path(month))
        recomputed = rate_month(scratch, month, applications, moved, corrections)
        attach(connection, recomputed, "recomputed")
        found = []
        for name in models:
            entry = published[name]
            source = f"read_parquet({path_list([manifest.root / entry['file']])})"
            columns = [column for column, _ in manifest.layouts[entry["layout"]]]
            found.append(_compared(connection, name, source, columns))
        connection.execute("DETACH recomputed")
    return found


def digest(
    connection: duckdb.DuckDBPyConnection, source: str, columns: Sequence[str]
) -> tuple[int, str]:
    """How many rows `source` has, and their digest in a canonical form: the same for the same rows
    on any machine, in any order."""
    values = ", ".join(f"{sql_name(column)}::VARCHAR" for column in columns)
    [(count, found)] = connection.execute(_DIGEST.format(values=values, source=source)).fetchall()
    return int(count), str(found)


def _compared(
    connection: duckdb.DuckDBPyConnection, name: str, published: str, columns: Sequence[str]
) -> TableCheck:
    recomputed = f"recomputed.main.{sql_name(name)}"
    present = {row[0] for row in connection.execute(f"DESCRIBE {recomputed}").fetchall()}
    shared = [column for column in columns if column in present]
    published_count, published_digest = digest(connection, published, shared)
    recomputed_count, recomputed_digest = digest(connection, recomputed, shared)
    if published_digest == recomputed_digest:
        return TableCheck(
            name, published_count, recomputed_count, published_digest, recomputed_digest
        )
    listed = ", ".join(map(sql_name, shared))
    theirs, ours = (
        rows(
            connection,
            f"SELECT {listed} FROM {one} EXCEPT ALL SELECT {listed} FROM {other}"
            f" ORDER BY ALL LIMIT {_MAX_COMPARED}",
        )
        for one, other in ((published, recomputed), (recomputed, published))
    )
    return TableCheck(
        *(
            name,
            published_count,
            recomputed_count,
            published_digest,
            recomputed_digest,
            theirs[:MAX_ROWS],
            ours[:MAX_ROWS],
        ),
        first_difference=first_difference(name, theirs, ours),
    )


def first_difference(table: str, published: Sequence[Row], recomputed: Sequence[Row]) -> str | None:
    """The first differing row and column among the rows that only one side has. A row's counterpart
    is the row with the same ids and the most equal values; a row without one is on one side
    only."""
    if not published and not recomputed:
        return None
    row = published[0] if published else recomputed[0]
    name = _row_name(table, row)
    if not published:
        return f"{name} is not published, only recomputed"
    candidates = [other for other in recomputed if _row_name(table, other) == name]
    if not candidates:
        return f"{name} is published and not recomputed"
    like = max(candidates, key=lambda other: sum(row[key] == other[key] for key in row))
    column = next(key for key in row if row[key] != like[key])
    return f"{name}: {column} is {row[column]} as published and {like[column]} recomputed"


def _row_name(table: str, row: Row) -> str:
    """What identifies a row: its ids and the start of its period."""
    ids = [
        f"{column}={row[column]}"
        for column in row
        if (column.endswith("_id") or column in _KEYS) and row[column] is not None
    ]
    return ", ".join([table, *ids])
