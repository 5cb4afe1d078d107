"""Is what was published of a month what its inputs and records come to: recomputed and compared.

What belongs here: rating the month aside, and the digests and differing rows of each table. What
does not: the records of what was billed (``collection.records``), and showing it
(``commands.verify``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

from billing_pipeline.duckdb_sql import Row, glob_literal, rows, sql_name, sql_text
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.manifest import Manifest
from billing_pipeline.published.reading import NotPublishedError, attach, utc_session
from billing_pipeline.published.tables import published_tables
from billing_pipeline.rating.corrections import known_corrections
from billing_pipeline.rating.month import StripeMovement, WalletApplication, rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.settings import Settings

MAX_ROWS = 5
"""Rows of a table that are shown on each side; the rest is counted."""

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

    @property
    def is_equal(self) -> bool:
        return self.digest == self.recomputed_digest


def verify_month(
    settings: Settings,
    month: BillingMonth,
    applications: Iterable[WalletApplication] = (),
    moved: Iterable[StripeMovement] = (),
) -> list[TableCheck]:
    """Every table that dbt makes of the month, in the order of their names. Tables and columns of
    a release since the month's last run are left out.

    Raises `NotPublishedError`, and `InvalidInput` and `DbtError` as a run of the month would.
    """
    manifest = Manifest.read(settings.published_dir)
    published = manifest.months.get(str(month))
    if not published:
        raise NotPublishedError(f"nothing is published of {month}: there is nothing to compare")
    models = sorted(published_tables(settings).models.keys() & published.keys())
    with scratch_home(settings) as aside, utc_session() as connection:
        # Corrections of closed months are found from other months: they are taken as they were.
        corrections = known_corrections(settings.warehouse_path(month))
        recomputed = rate_month(aside, month, applications, moved, corrections)
        attach(connection, recomputed, "recomputed")
        found = []
        for name in models:
            entry = published[name]
            path = glob_literal(str(manifest.root / entry["file"]))
            source = f"read_parquet({sql_text(path)})"
            columns = [column for column, _ in manifest.layouts[entry["layout"]]]
            found.append(_compared(connection, name, source, columns))
        connection.execute("DETACH recomputed")
    return found


def _compared(
    connection: duckdb.DuckDBPyConnection, name: str, published: str, columns: Sequence[str]
) -> TableCheck:
    recomputed = f"recomputed.main.{sql_name(name)}"
    present = {row[0] for row in connection.execute(f"DESCRIBE {recomputed}").fetchall()}
    shared = [sql_name(column) for column in columns if column in present]
    counts = [
        connection.execute(
            _DIGEST.format(
                values=", ".join(f"{column}::VARCHAR" for column in shared), source=source
            )
        ).fetchall()[0]
        for source in (published, recomputed)
    ]
    (there, digest), (anew, recomputed_digest) = counts
    check = TableCheck(name, there, anew, digest, recomputed_digest)
    if check.is_equal:
        return check
    listed = ", ".join(shared)
    sides = [
        rows(
            connection,
            f"SELECT {listed} FROM {one} EXCEPT ALL SELECT {listed} FROM {other}"
            f" ORDER BY ALL LIMIT {MAX_ROWS}",
        )
        for one, other in ((published, recomputed), (recomputed, published))
    ]
    return TableCheck(name, there, anew, digest, recomputed_digest, *sides)
