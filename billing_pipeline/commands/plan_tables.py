"""The invoice plan and the payments of a month as tables for the terminal.

What belongs here: their columns. What does not: running the job that makes them (``close``), and
how a table looks (``terminal``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console

from billing_pipeline.collection.plan_pages import quantities
from billing_pipeline.collection.plan_rows import customer_text
from billing_pipeline.commands.terminal import MAX_SHOWN, sums, table
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.money import format_amount, format_change


def show(plan: Sequence[Row], changes: Iterable[Row], payments: Iterable[Row]) -> None:
    """Print the totals by action, customers who will not be able to pay, what needs a person, with
    its lines, and the state of the payments."""
    _show_totals(plan)
    unpaid = [row for row in plan if row["obstacle"] and row["state"] in ("ready", "waiting")]
    title = "Cannot be collected as things are"
    _show_first(title, ("customer", "after", "why"), list(map(_unpaid, unpaid)), "invoice_plan")
    attention = [row for row in plan if row["state"] in ("waiting", "failed", "declined")]
    columns: tuple[str, ...]
    columns = ("customer", "action", "state", "before", "after", "change", "money", "why")
    title = "Waiting, failed or declined"
    _show_first(title, columns, list(map(_change, attention)), "invoice_plan")
    names = {row["customer_id"]: row["customer_name"] for row in plan}
    shown = {row["invoice_id"] for row in attention}
    lines = [
        _line(row, names.get(row["customer_id"])) for row in changes if row["invoice_id"] in shown
    ]
    columns = ("customer", "line", "quantity", "before", "after", "cause", "what shows it")
    _show_first("Line by line", columns, lines, "plan_changes")
    states = sums(payments, ("status", "currency"), ("billed", "paid", "outstanding"))
    if states:
        columns = ("status", "currency", "invoices", "billed", "paid", "outstanding")
        Console().print(table("Invoices and payments", columns, states))


def _show_totals(plan: Sequence[Row]) -> None:
    amounts = ("amount_before", "amount_after", "amount_change")
    actions = sums(plan, ("action", "state", "currency"), amounts)
    if not actions:
        return
    columns = ("action", "state", "currency", "invoices", "before", "after", "change")
    # Unchanged invoices come last, and below them the total in each currency.
    actions.sort(key=lambda cells: cells[0] == "unchanged")
    total = [["net", "", *cells] for cells in net(plan, *amounts)]
    Console().print(table("Invoice plan", columns, [*actions, *total]))


def _show_first(title: str, columns: Sequence[str], rows: Sequence[list[str]], source: str) -> None:
    """Print the first `MAX_SHOWN` rows; the last column may take several lines. `source` names the
    table with all rows."""
    if rows:
        Console().print(table(title, columns, rows[:MAX_SHOWN], folds=columns[-1]))
    if len(rows) > MAX_SHOWN:
        Console().print(f"and {len(rows) - MAX_SHOWN} more: see --json, or {source}")


def net(plan: Sequence[Row], *amounts: str) -> list[list[Any]]:
    """The totals of the plan by currency, without what was declined."""
    return sums([row for row in plan if row["state"] != "declined"], ("currency",), amounts)


def _change(row: Row) -> list[str]:
    currency, name = row["currency"], row["customer_name"]
    before, after = (
        format_amount(row[column], currency) for column in ("amount_before", "amount_after")
    )
    return [
        customer_text(row["customer_id"], name),
        row["action"],
        row["state"],
        before,
        after,
        f"{format_change(row['amount_change'], currency)} {currency}",
        row["collection"],
        row["reason"],
    ]


def _unpaid(row: Row) -> list[str]:
    return [
        customer_text(row["customer_id"], row["customer_name"]),
        f"{format_amount(row['amount_after'], row['currency'])} {row['currency']}",
        row["obstacle"],
    ]


def _line(row: Row, name: str | None) -> list[str]:
    currency = row["currency"]
    return [
        customer_text(row["customer_id"], name),
        row["description"],
        quantities(row),
        format_amount(row["amount_before"], currency),
        f"{format_amount(row['amount_after'], currency)} {currency}",
        row["cause"],
        row["evidence"],
    ]
