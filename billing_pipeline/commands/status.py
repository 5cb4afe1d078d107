"""`billing status | months | invoices`: reading what was published, changing nothing.

What belongs here: arguments and what the terminal shows. What does not: states (``month_states``)
and health (``health``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click
import duckdb
from rich.console import Console
from rich.text import Text

from billing_pipeline.collection.stripe_state.cached_tax_ids import (
    read_tax_id_problems,
    tax_ids_summary,
)
from billing_pipeline.collection.stripe_state.set_aside import read_set_aside, summary
from billing_pipeline.commands.parameters import MONTH, json_option
from billing_pipeline.commands.terminal import print_json, table
from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import format_amount
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.health import ATTENTION_TABLE, Health, health, usage_gaps
from billing_pipeline.published.month_states import (
    MonthOverview,
    MonthState,
    month_overviews,
    months_with_usage,
)
from billing_pipeline.published.reading import NotPublishedError, database_path, open_published
from billing_pipeline.settings import Settings
from billing_pipeline.text import printable

# Something needs attention.
ATTENTION = 4
STATUSES = ("draft", "open", "overdue", "paid", "void", "uncollectible", "not sent")
_COLOURS = {
    MonthState.FAILED: "red",
    MonthState.WAITS: "yellow",
    MonthState.DUE: "yellow",
    MonthState.HALF_SENT: "yellow",
    MonthState.RUNNING: "cyan",
    MonthState.CLOSED: "green",
}
_AMOUNTS = ("total", "paid", "outstanding")
# The columns of an invoice on a wide terminal, and those for which 80 columns have room.
WIDE = 120
_COLUMNS = {
    "invoice": "invoice_id",
    "number": "number",
    "customer": "customer_id",
    "status": "status",
    "due": "due_date",
    "cur.": "currency",
    "total": "total",
    "paid": "paid",
    "open": "outstanding",
}
_NARROW_COLUMNS = ("invoice", "customer", "status", "cur.", "total", "open")
_INVOICES = """
SELECT invoices.billing_month, invoices.invoice_id, any_value(numbers.numbers) AS number,
    invoices.customer_id, invoices.currency,
    coalesce(any_value(payments.status), 'not sent') AS status, any_value(invoices.total) AS total,
    coalesce(any_value(payments.paid), 0) AS paid,
    coalesce(any_value(payments.outstanding), 0) AS outstanding,
    any_value(due_dates.due_date) AS due_date, any_value(payments.last_error) AS last_error
FROM invoices
LEFT JOIN invoice_payments AS payments USING (invoice_id)
LEFT JOIN due_dates USING (invoice_id)
LEFT JOIN (
    SELECT invoice_id, string_agg(number, ', ' ORDER BY revision) AS numbers
    FROM stripe_invoices GROUP BY invoice_id
) AS numbers USING (invoice_id)
GROUP BY ALL
HAVING ($1 IS NULL OR status = $1)
    AND ($2 IS NULL OR invoices.billing_month = $2::DATE)
    AND ($3 IS NULL OR invoices.customer_id = $3)
ORDER BY invoices.billing_month DESC, total DESC, invoice_id
"""


@dataclass(frozen=True)
class _View:
    """The published database; None until something is published."""

    settings: Settings
    published: duckdb.DuckDBPyConnection | None

    def months(self) -> list[MonthOverview]:
        with_usage = months_with_usage(self.settings)
        return month_overviews(self.published, self.settings, with_usage, datetime.now(UTC))

    def usage_gaps(self, attention: str = "needs_attention") -> list[Row]:
        """The usage that has not arrived; empty if an earlier release published the tables."""
        try:
            return [] if self.published is None else usage_gaps(self.published, attention)
        except duckdb.CatalogException:
            return []

    def rows(self, sql: str) -> list[Row]:
        return [] if self.published is None else rows(self.published, sql)


@contextmanager
def _view() -> Iterator[_View]:
    settings = Settings.from_env()
    try:
        published = open_published(settings)
    except NotPublishedError:
        yield _View(settings, None)
        return
    with published:
        yield _View(settings, published)


def _cell(row: Row, column: str) -> object:
    value = row[_COLUMNS[column]]
    return format_amount(value, row["currency"]) if isinstance(value, Decimal) else value


@click.command()
@click.option(
    "--check",
    "checks",
    is_flag=True,
    help=f"Exit with {ATTENTION} if anything needs attention.",
)
@json_option
def status(checks: bool, as_json: bool) -> None:
    """Show the months, what waits for approval, and the health of each component."""
    with _view() as view:
        months, sums = view.months(), view.rows("SELECT * FROM months")
        parts = health(view.published) if view.published is not None else []
        gaps = view.usage_gaps(ATTENTION_TABLE)
        all_well = all(part.is_well for part in parts)
        needs_attention = not all_well or bool(view.rows(f"FROM {ATTENTION_TABLE} LIMIT 1"))
    odd = read_set_aside(view.settings.records_dir)
    if odd:
        parts.append(Health("answers", False, summary(odd)))
    without_tax_id = read_tax_id_problems(view.settings.records_dir)
    if without_tax_id:
        parts.append(Health("tax ids", False, tax_ids_summary(without_tax_id)))
    if as_json:
        print_json(
            {
                "where": _where(view.settings),
                "months": _month_documents(months, sums),
                "health": [vars(part) for part in parts],
            }
        )
    else:
        _show_status(view, months, sums, gaps, parts)
    if checks and (needs_attention or odd or without_tax_id):
        sys.exit(ATTENTION)


def _show_status(
    view: _View,
    months: list[MonthOverview],
    sums: list[Row],
    gaps: list[Row],
    parts: list[Health],
) -> None:
    console = Console(highlight=False)
    for name, value in _where(view.settings).items():
        console.print(Text(printable(f"{name:<10}{value}")))
    _show_months(console, months, sums)
    _show_gaps(console, gaps)
    for line in _next_steps(months):
        console.print(line)
    if parts:
        console.print()
    for part in parts:
        mark = Text("✓ " if part.is_well else "! ", style="green" if part.is_well else "yellow")
        console.print(mark.append(printable(f"{part.part:<10}{part.says}"), style="default"))


@click.command()
@json_option
def months(as_json: bool) -> None:
    """List the billing months: state, invoices, and money by currency."""
    with _view() as view:
        found, sums, gaps = view.months(), view.rows("SELECT * FROM months"), view.usage_gaps()
    if as_json:
        print_json(_month_documents(found, sums))
    else:
        console = Console(highlight=False)
        _show_months(console, found, sums)
        _show_gaps(console, gaps)


@click.command()
@click.option("--status", type=click.Choice(STATUSES), help="Only invoices with this status.")
@click.option("--month", type=MONTH, help="Only invoices of this month, YYYY-MM.")
@click.option("--customer", help="Only invoices of this customer_id.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=40, show_default=True,
    help="Maximum number of invoices; 0: all.",
)  # fmt: skip
@json_option
def invoices(
    status: str | None, month: BillingMonth | None, customer: str | None, limit: int, as_json: bool
) -> None:
    """List invoices with their payments, newest month first."""
    key = month.key if month is not None else None
    with open_published(Settings.from_env()) as published:
        found = rows(published, _INVOICES, status, key, customer)
    if as_json:
        print_json(found)
        return
    shown = found[:limit] if limit else found
    console = Console(highlight=False)
    columns = _COLUMNS if console.width >= WIDE else _NARROW_COLUMNS
    cells = [[_cell(row, column) for column in columns] for row in shown]
    title = f"{len(found):,} invoices"
    console.print(table(title, list(columns), cells, folds="customer"))
    if len(shown) < len(found):
        console.print(f"and {len(found) - len(shown):,} more: --limit 0, or --json")


def _where(settings: Settings) -> dict[str, str]:
    stripe = "the embedded sandbox"
    if not settings.uses_sandbox:
        is_live = (settings.stripe_api_key or "").startswith(("sk_live_", "rk_live_"))
        stripe = settings.stripe_api_base or ("Stripe, LIVE" if is_live else "Stripe, test mode")
    database = database_path(settings)
    at = datetime.fromtimestamp(database.stat().st_mtime, UTC) if database.exists() else None
    return {
        "data": settings.data_dir,
        "home": str(settings.home),
        "Stripe": stripe,
        "time zone": str(settings.timezone),
        "published": f"{at:%Y-%m-%d %H:%M} UTC" if at else "nothing yet: billing plan MONTH",
    }


def _next_steps(months: list[MonthOverview]) -> list[Text]:
    """What a person should do next: for each month that failed or waits, and for the oldest month
    that is to be closed."""
    due = [month for month in months if month.state is MonthState.DUE]
    others = [month for month in months if month.next_command and month not in due]
    lines = []
    for month in [*others, *due[-1:]]:
        what = f"{month.changes:,} changes, " if month.changes else ""
        line = Text(f"{month.month}: {what}{month.state}: ")
        lines.append(line.append(month.next_command or "", style="bold"))
    if len(due) > 1:
        lines.append(Text(f"and {len(due) - 1} later months to be closed, one after the other"))
    return lines


def _month_documents(months: list[MonthOverview], sums: list[Row]) -> list[dict[str, Any]]:
    return [
        {
            "month": str(month.month),
            "state": month.state.value,
            "changes": month.changes,
            "plan_hash": month.plan_hash,
            "next": month.next_command,
            "money": [
                {name: value for name, value in row.items() if name != "billing_month"}
                for row in sums
                if _is_of(row, month)
            ],
        }
        for month in months
    ]


def _is_of(row: Row, month: MonthOverview) -> bool:
    return f"{row['billing_month']:%Y-%m}" == str(month.month)


def _show_gaps(console: Console, gaps: list[Row]) -> None:
    for gap in gaps:
        console.print(Text(f"{gap['month']}: {gap['reason']}", style="red"))


def _show_months(console: Console, months: list[MonthOverview], sums: list[Row]) -> None:
    cells: list[tuple[Any, ...]] = []
    for month in months:
        ours = sorted((row for row in sums if _is_of(row, month)), key=lambda row: row["currency"])
        head: tuple[Any, ...] = (str(month.month), month.state.value)
        for row in ours:
            amounts = (format_amount(row[name], row["currency"]) for name in _AMOUNTS)
            cells.append((*head, row["currency"], row["invoices"], *amounts))
            head = ("", "")
        if not ours:
            cells.append((*head, *[""] * (len(_AMOUNTS) + 2)))
    columns = ("month", "state", "cur.", "invoices", *_AMOUNTS)
    shown = table("Months" if months else "No month has usage yet", columns, cells)
    for cell in shown.columns[1].cells:
        if isinstance(cell, Text) and str(cell):
            cell.stylize(_COLOURS[MonthState(str(cell))])
    console.print(shown)
