"""The demo: close the sample's months against the embedded sandbox and say what happened.

What belongs here: the order of the months, which files come late or never, and a summary. What does
not: the work, which the same jobs do as everywhere, and what people do in Stripe meanwhile
(``demo_dashboard``).
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from rich.console import Console
from rich.table import Table

from billing_pipeline.__main__ import run
from billing_pipeline.commands import demo_dashboard
from billing_pipeline.commands.execution import RunResult, execute, execute_for_all
from billing_pipeline.commands.terminal import once, table
from billing_pipeline.duckdb_sql import rows
from billing_pipeline.money import format_amount
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings

MONTHS = ("2024-01", "2024-02", "2024-03")
LATE = "*-late.csv"
"""Usage files that come only after all months are closed."""
WITHOUT = {"2024-03": ["archives"]}
"""Sources in catalog/sources.csv whose file never comes: the close is told to go without."""

_PAID_BY_WALLETS = """
SELECT count(DISTINCT customer_id) AS customers, sum(amount) AS amount, currency
FROM payments WHERE kind = 'payment' AND method = 'wallet' GROUP BY currency ORDER BY currency
"""
_DRIFT = """
SELECT strftime(billing_month, '%Y-%m') AS month, customers, difference, currency, cause
FROM month_drift ORDER BY ALL
"""


def main() -> None:
    """Close the demo's months; exits with 1 if a month cannot be closed."""
    settings = Settings.from_env()
    console = Console(highlight=False)
    console.print(f"Closing {len(MONTHS)} months of {settings.data_dir}/ against the sandbox:")
    before = _stripe_invoices(settings)
    with _before_late_files(settings, is_first=not before) as then:
        for text in MONTHS:
            started = time.monotonic()
            without = WITHOUT.get(text, [])
            config: dict[str, object] = {"ops": {"intake": {"config": {"without": without}}}}
            _run(console, then, "close_month", text, "load, rate, plan, apply, pull", config)
            missing = "".join(f", without the usage of {name}: no file came" for name in without)
            console.print(f"  {text}  closed in {time.monotonic() - started:.0f} s{missing}")
            if text == MONTHS[0] and settings.uses_sandbox:
                for sentence in _meanwhile(settings, text):
                    console.print(f"    in Stripe, somebody {sentence}")
    _afterwards(console, settings)
    console.print()
    path = database_path(settings)
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
    console.print(
        "  .venv/bin/billing status", "what needs attention: one case of each", sep="\n      "
    )
    console.print(f"  {_near(path)}", "every table, for any DuckDB client", sep="\n      ")
    console.print(
        f"  .venv/bin/billing explain {example}", "how that line came about", sep="\n      "
    )


@contextmanager
def _before_late_files(settings: Settings, *, is_first: bool) -> Iterator[Settings]:
    """Settings for the inputs as they were before the late files came: a temporary copy without
    these files. A demo that runs again uses all files."""
    if not is_first or not any(Path(settings.data_dir).glob(f"usage/*/{LATE}")):
        yield settings
        return
    with TemporaryDirectory(prefix="billing-demo-") as folder:
        for part in ("catalog", "accounts", "usage"):
            source = Path(settings.data_dir) / part
            shutil.copytree(source, Path(folder) / part, ignore=shutil.ignore_patterns(LATE))
        yield replace(settings, data_dir=folder)


def _run(
    console: Console,
    settings: Settings,
    job: str,
    month: str,
    steps: str,
    config: dict[str, object],
) -> None:
    with console.status(f"{month}: {steps}"):
        _require(console, month, execute(settings, job, BillingMonth.parse(month), config))


def _require(console: Console, what: str, result: RunResult) -> None:
    if not result.is_success:
        console.print(f"  {what}  failed: {result.reason or 'see the run in the UI'}")
        sys.exit(1)


def _meanwhile(settings: Settings, month: str) -> list[str]:
    """What people do in Stripe, behind the pipeline's back; the next pull finds it."""
    with duckdb.connect(str(database_path(settings)), read_only=True) as known:
        return demo_dashboard.act(settings, known, BillingMonth.parse(month))


def _afterwards(console: Console, settings: Settings) -> None:
    """What the daemon does on schedule: wallets pay what is open, and a late file is noticed."""
    for job in ("collect_payments", "detect_drift"):
        with console.status(job):
            _require(console, job, execute_for_all(settings, job))
    with duckdb.connect(str(database_path(settings)), read_only=True) as published:
        for row in rows(published, _PAID_BY_WALLETS):
            amount = format_amount(row["amount"], row["currency"])
            console.print(
                f"  the wallets of {row['customers']} customers paid {amount} {row['currency']} of "
                "invoices that were open"
            )
        for row in rows(published, _DRIFT):
            amount = format_amount(row["difference"], row["currency"])
            customers = f"{row['customers']} customer{'s' * (row['customers'] != 1)}"
            console.print(
                f"  {row['month']}  would be charged differently today, because of {row['cause']}: "
                f"{amount} {row['currency']} of {customers}"
            )


def _near(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _stripe_invoices(settings: Settings) -> int:
    path = database_path(settings)
    if not path.exists():
        return 0
    with duckdb.connect(str(path), read_only=True) as published:
        found: int = published.execute("SELECT count(*) FROM stripe_invoices").fetchall()[0][0]
    return found


def _usage_table(published: duckdb.DuckDBPyConnection) -> Table:
    found = published.execute(
        "SELECT strftime(billing_month, '%Y-%m'), sum(rows_read)::BIGINT,"
        " sum(accepted_rows)::BIGINT, sum(duplicate_rows)::BIGINT, sum(rejected_rows)::BIGINT,"
        " (SELECT count(DISTINCT customer_id) FROM invoices"
        "  WHERE invoices.billing_month = usage_files.billing_month)"
        " FROM usage_files GROUP BY billing_month ORDER BY 1"
    ).fetchall()
    columns = ("month", "events in", "counted", "duplicates", "rejected", "customers billed")
    return table("Usage", columns, found)


def _money_table(published: duckdb.DuckDBPyConnection) -> Table:
    found = published.execute(
        "SELECT strftime(i.billing_month, '%Y-%m'), i.currency, count(*),"
        " sum(i.total), sum(i.wallet_applied), sum(p.paid),"
        " sum(p.outstanding)"
        " FROM invoices AS i JOIN invoice_payments AS p USING (invoice_id)"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    columns = ("month", "cur.", "invoices", "invoiced", "by wallet", "paid", "outstanding")
    shown = [[*row[:3], *(format_amount(amount, row[1]) for amount in row[3:])] for row in found]
    return table("Invoices", columns, once(shown))


if __name__ == "__main__":
    run(main)
