"""The demo: close the sample's months against the embedded sandbox and say what happened.

What belongs here: the order of the months and a summary to read. What does not: any work, which
is done by the same jobs as everywhere, and what people do in Stripe meanwhile (``demo_dashboard``).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from billing_pipeline.__main__ import run
from billing_pipeline.commands import demo_dashboard
from billing_pipeline.commands.execution import execute
from billing_pipeline.commands.terminal import once, table
from billing_pipeline.money import format_amount
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

MONTHS = ("2024-01", "2024-02", "2024-03")


def main() -> None:
    """Close the demo's months; exits with 1 where a month could not be closed."""
    settings = Settings.from_env()
    console = Console(highlight=False)
    console.print(f"Closing {len(MONTHS)} months of {settings.data_dir}/ against the sandbox:")
    before = _stripe_invoices(settings)
    for text in MONTHS:
        started = time.monotonic()
        _run(console, settings, "close_month", text, "load, rate, plan, apply, pull")
        console.print(f"  {text}  closed in {time.monotonic() - started:.0f} s")
        if text == MONTHS[0] and settings.uses_sandbox:
            _meanwhile(console, settings, text)
    console.print()
    path = settings.published_dir / "billing.duckdb"
    with duckdb.connect(str(path), read_only=True) as published:
        console.print(_usage_table(published))
        console.print(_money_table(published))
        example = published.execute(
            "SELECT line_id FROM invoice_lines JOIN charges USING (charge_id)"
            " WHERE charges.charge_model = 'graduated'"
            " ORDER BY invoice_lines.amount DESC, line_id LIMIT 1"
        ).fetchall()[0][0]
    new = _stripe_invoices(settings) - before
    console.print(
        f"{new} invoices were sent to the sandbox."
        if new
        else "Nothing has changed since the last time: no invoice was sent."
    )
    console.print("\nWhere to look next:")
    console.print("  make dev", "the Dagster UI, with these runs in its history", sep="\n      ")
    console.print("  .venv/bin/billing status", "what needs attention", sep="\n      ")
    console.print(f"  {_near(path)}", "every table, for any DuckDB client", sep="\n      ")
    console.print(
        f"  .venv/bin/billing explain {example}", "how that line came about", sep="\n      "
    )


def _run(console: Console, settings: Settings, job: str, month: str, steps: str) -> None:
    with console.status(f"{month}: {steps}"):
        result = execute(settings, job, BillingMonth.parse(month))
    if not result.is_success:
        console.print(f"  {month}  failed: {result.reason or 'see the run in the UI'}")
        sys.exit(1)


def _meanwhile(console: Console, settings: Settings, month: str) -> None:
    """What the books do not know of: people act in Stripe, and the next pull finds it."""
    with duckdb.connect(str(settings.published_dir / "billing.duckdb"), read_only=True) as known:
        done = demo_dashboard.act(settings, known, BillingMonth.parse(month))
    _run(console, settings, "pull_payments", month, "pull")
    for sentence in done:
        console.print(f"    in Stripe, somebody {sentence}")


def _near(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _stripe_invoices(settings: Settings) -> int:
    path = settings.published_dir / "billing.duckdb"
    if not path.exists():
        return 0
    with duckdb.connect(str(path), read_only=True) as published:
        found: int = published.execute("SELECT count(*) FROM stripe_invoices").fetchall()[0][0]
    return found


def _usage_table(published: duckdb.DuckDBPyConnection) -> Table:
    rows = published.execute(
        "SELECT strftime(billing_month, '%Y-%m'), sum(rows_read)::BIGINT,"
        " sum(accepted_rows)::BIGINT, sum(duplicate_rows)::BIGINT, sum(rejected_rows)::BIGINT,"
        " (SELECT count(DISTINCT customer_id) FROM invoices"
        "  WHERE invoices.billing_month = usage_files.billing_month)"
        " FROM usage_files GROUP BY billing_month ORDER BY 1"
    ).fetchall()
    columns = ("month", "events in", "counted", "duplicates", "rejected", "customers billed")
    return table("Usage", columns, rows)


def _money_table(published: duckdb.DuckDBPyConnection) -> Table:
    rows = published.execute(
        "SELECT strftime(i.billing_month, '%Y-%m'), i.currency, p.status, count(*),"
        " sum(i.total), sum(i.wallet_applied), sum(p.paid),"
        " sum(p.outstanding)"
        " FROM invoices AS i JOIN invoice_payments AS p USING (invoice_id)"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    ).fetchall()
    columns = (
        *("month", "", "status", "invoices", "invoiced", "by wallet", "paid", "outstanding"),
    )
    shown = [[*row[:4], *(format_amount(amount, row[1]) for amount in row[4:])] for row in rows]
    return table("Invoices", columns, once(shown))


if __name__ == "__main__":
    run(main)
