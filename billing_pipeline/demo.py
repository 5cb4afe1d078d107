"""The demo: close the sample's months against the embedded sandbox and say what happened.

What belongs here: the order of the months and a summary to read. What does not: any work, which
is done by the same jobs as everywhere.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from billing_pipeline.months import BillingMonth
from billing_pipeline.runs import execute
from billing_pipeline.settings import Settings

MONTHS = ("2024-01", "2024-02", "2024-03")


def main() -> None:
    """Close the demo's months; exits with 1 where a month could not be closed."""
    settings = Settings.from_env()
    console = Console()
    before = _stripe_invoices(settings)
    for text in MONTHS:
        started = time.monotonic()
        console.print(f"Closing {text} … ", end="")
        result = execute(settings, "close_month", BillingMonth.parse(text))
        console.print(f"{time.monotonic() - started:.0f} s")
        if not result.is_success:
            console.print(result.reason or "failed")
            sys.exit(1)
    with duckdb.connect(
        str(settings.published_dir / "billing.duckdb"), read_only=True
    ) as published:
        console.print(_usage_table(published))
        console.print(_money_table(published))
        example = published.execute(
            "SELECT invoice_id FROM invoices ORDER BY total DESC, invoice_id LIMIT 1"
        ).fetchall()[0][0]
    new = _stripe_invoices(settings) - before
    console.print(
        f"{new} invoices were sent to the sandbox."
        if new
        else "Nothing has changed since the last time: no invoice was sent."
    )
    console.print("\nWhere to look next:")
    console.print("  make dev                                  the Dagster UI, with these runs")
    console.print(f"  {settings.published_dir}/billing.duckdb   every table, read-only")
    console.print(f"  .venv/bin/billing explain {example}")


def _stripe_invoices(settings: Settings) -> int:
    path = settings.published_dir / "billing.duckdb"
    if not path.exists():
        return 0
    with duckdb.connect(str(path), read_only=True) as published:
        found: int = published.execute("SELECT count(*) FROM stripe_invoices").fetchall()[0][0]
    return found


def _usage_table(published: duckdb.DuckDBPyConnection) -> Table:
    rows = published.execute(
        "SELECT strftime(billing_month, '%Y-%m'), sum(rows_read), sum(accepted_rows),"
        " sum(rejected_rows), sum(duplicate_rows) FROM usage_files GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return _table("Usage", ("month", "rows read", "accepted", "rejected", "duplicates"), rows)


def _money_table(published: duckdb.DuckDBPyConnection) -> Table:
    rows = published.execute(
        "SELECT strftime(i.billing_month, '%Y-%m'), i.currency, p.status,"
        " count(DISTINCT i.customer_id), sum(i.total), sum(i.wallet_applied), sum(p.paid),"
        " sum(p.outstanding)"
        " FROM invoices AS i JOIN invoice_payments AS p USING (invoice_id)"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    ).fetchall()
    columns = (
        "month", "currency", "status", "customers", "invoiced", "from wallets", "paid",
        "outstanding",
    )  # fmt: skip
    return _table("Invoices", columns, rows)


def _table(title: str, columns: tuple[str, ...], rows: list[Any]) -> Table:
    table = Table(title=title)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < 1 or column in _TEXTS else "right")
    for row in rows:
        table.add_row(*(str(cell) if isinstance(cell, str) else f"{cell:,}" for cell in row))
    return table


_TEXTS = ("currency", "status")


if __name__ == "__main__":
    main()
