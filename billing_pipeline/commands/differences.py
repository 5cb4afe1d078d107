"""The difference between two ratings of a month, laid out for a terminal.

What belongs here: the layout, for `billing diff`; `billing simulate` uses one of the tables, too.
What does not: the difference itself (``published.two_ratings``), and how a price change is shown
(``simulate``).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console

from billing_pipeline.commands.terminal import MAX_SHOWN, sums, table
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.money import format_amount
from billing_pipeline.published.two_ratings import Differences

AMOUNTS = ("present_amount", "simulated_amount", "change")
_TOTALS = ("present_total", "simulated_total", "change")
_MARGINS = ("simulated_revenue", "simulated_cost", "present_margin", "simulated_margin", "change")
_SIDES = ("currency", "rows", "present", "simulated", "change")


def show_differences(console: Console, found: Differences) -> None:
    """The changes by plan, price and customer, the largest first, and their sums."""
    for name in ("plan", "price"):
        show_changed(console, f"Charges by {name}", name, found.charges, AMOUNTS)
    show_changed(console, "Charges by customer", "customer", found.charges, AMOUNTS)
    show_changed(console, "Invoices by customer", "customer", found.invoices, _TOTALS)
    if any(row["present_cost"] or row["simulated_cost"] for row in found.margins):
        titles = ("plan", "currency", "rows", *(name.replace("_", " ") for name in _MARGINS))
        margins = sums(found.margins, ("plan_id", "currency"), _MARGINS)
        console.print(table("Margin by plan, after discounts", titles, margins[:MAX_SHOWN]))
    for title, rows, amounts in (
        ("All charges, before discounts and tax", found.charges, AMOUNTS),
        ("All invoices, after both", found.invoices, _TOTALS),
    ):
        console.print(table(title, _SIDES, sums(rows, ("currency",), amounts)))


def show_changed(
    console: Console, title: str, name: str, rows: Sequence[Row], amounts: tuple[str, ...]
) -> None:
    """The sums that change, by plan, price or customer (`name`), the largest change first."""
    changed = [
        row
        for row in sums(rows, (f"{name}_id", "currency"), amounts)
        if row[-1] != format_amount(Decimal(0), row[1])
    ]
    largest = sorted(changed, key=lambda row: -abs(Decimal(row[-1].replace(",", ""))))
    console.print(table(title, (name, *_SIDES), largest[:MAX_SHOWN]))
