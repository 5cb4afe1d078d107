"""The page of a price change: its effect on revenue, who pays more or less, who is unaffected.

What belongs here: the texts of the page, from a simulation. What does not: layout (``templates``),
and what was rated (``simulation``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor
from typing import Any

from billing_pipeline.documents.formatting import amount, plain, share, signed_amount
from billing_pipeline.documents.plots import Bar, Group, bars
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.months import BillingMonth
from billing_pipeline.simulation.simulate import Simulation
from billing_pipeline.text import counted

MAX_CUSTOMERS = 10
"""Customers listed for each kind and currency; `--csv` and the table `simulation_changes` have
all."""
MAX_DIFFERENCES = 40
"""Rows of the price books that the page lists."""

_BINS: tuple[tuple[str, Callable[[Decimal], bool]], ...] = (
    ("down\n> 20 %", lambda percent: percent < -20),
    ("down\n5–20 %", lambda percent: -20 <= percent < -5),
    ("down\n< 5 %", lambda percent: -5 <= percent < 0),
    ("the\nsame", lambda percent: percent == 0),
    ("up\n< 5 %", lambda percent: 0 < percent <= 5),
    ("up\n5–20 %", lambda percent: 5 < percent <= 20),
    ("up\n> 20 %", lambda percent: percent > 20),
)


@dataclass
class _Money:
    """Revenue and cost before and after the change, in one currency, summed over rows."""

    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)
    cost_before: Decimal = Decimal(0)
    cost_after: Decimal = Decimal(0)

    def add(self, row: Row) -> None:
        self.before += row["present_revenue"]
        self.after += row["simulated_revenue"]
        self.cost_before += row["present_cost"]
        self.cost_after += row["simulated_cost"]

    @property
    def change(self) -> Decimal:
        return self.after - self.before

    @property
    def percent(self) -> Decimal:
        """The change as a percentage of the revenue before; 100 if there was none before."""
        if not self.before:
            return Decimal(100) * (self.change > 0)
        return 100 * self.change / abs(self.before)


def price_change(done: Simulation) -> dict[str, Any]:
    """The texts of the page."""
    months = (
        f"{done.months[0]} to {done.months[-1]}" if len(done.months) > 1 else str(done.months[0])
    )
    strays = _strays(done)
    return {
        "title": "Price change",
        "before": plain(done.before.name),
        "after": plain(done.after.name),
        "months": months,
        "month_count": counted(len(done.months), "month"),
        "moves": _moves(done),
        "currencies": [_currency(done, currency) for currency in _currencies(done)],
        "price_book": [
            {**vars(row), "key": plain(row.key), "text": plain(row.text)}
            for row in done.price_book[:MAX_DIFFERENCES]
        ],
        "price_book_count": f"{len(done.price_book):,}",
        "price_book_more": max(len(done.price_book) - MAX_DIFFERENCES, 0),
        "outside": _outside(done),
        "strays": strays,
        "stray_customers": _stray_customers(strays),
        "foot": "Both sides are computed from today's usage and accounts; after discounts and "
        "before tax, without what wallets pay. Nothing that was billed is touched.",
    }


def stray_sentence(done: Simulation) -> str | None:
    """A warning if a customer outside the change would pay a different amount; else None."""
    found = _strays(done)
    if not found:
        return None
    first = found[0]
    return (
        f"{_stray_customers(found)} would be charged differently: "
        f"{first['name']} in {first['month']}, {first['before']} before and {first['after']} "
        f"after, {first['currency']}"
    )


def _currencies(done: Simulation) -> list[str]:
    """The currencies in which the change makes a difference; all of them if there are none."""
    money = _sums(done.differences.margins, lambda row: row["currency"])
    moved = [
        name for name, sums in money.items() if sums.change or sums.cost_before != sums.cost_after
    ]
    return sorted(moved or money)


def _currency(done: Simulation, currency: str) -> dict[str, Any]:
    rows = [row for row in done.differences.margins if row["currency"] == currency]
    (total,) = _sums(rows, lambda row: currency).values()
    has_costs = bool(total.cost_before or total.cost_after)
    months = _sums(rows, lambda row: row["billing_month"])
    customers = _sums(rows, lambda row: row["customer_id"])
    plans = _sums(rows, lambda row: row["plan_id"])
    touched = {name: sums for name, sums in customers.items() if _is_inside(done, name)}
    by_change = sorted(touched.items(), key=lambda item: (-abs(item[1].change), item[0]))
    dearer = [item for item in by_change if item[1].change > 0]
    cheaper = [item for item in by_change if item[1].change < 0]
    return {
        "currency": currency,
        "revenue": _line("Revenue", total.before, total.after, currency),
        "margin": _margin(total, currency) if has_costs else [],
        "customers": counted(len(touched), "customer"),
        "counts": f"customers who pay more: {len(dearer):,}, less: {len(cheaper):,}, "
        f"the same: {len(touched) - len(dearer) - len(cheaper):,}",
        "dearer": _customer_rows(done, dearer, currency),
        "cheaper": _customer_rows(done, cheaper, currency),
        "more_dearer": max(len(dearer) - MAX_CUSTOMERS, 0),
        "more_cheaper": max(len(cheaper) - MAX_CUSTOMERS, 0),
        "plans": [
            _line(plain(str(name)) or "without a plan", sums.before, sums.after, currency)
            for name, sums in sorted(plans.items(), key=lambda item: -abs(item[1].change))
            if sums.change
        ],
        "month_plot": _month_plot(months, currency),
        "month_values": _month_values(months),
        "change_plot": _change_plot(touched, currency),
    }


def _sums(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, _Money]:
    found: dict[Any, _Money] = defaultdict(_Money)
    for row in rows:
        found[key(row)].add(row)
    return found


def _is_inside(done: Simulation, customer_id: str) -> bool:
    """True if the change concerns the customer in any of the months."""
    return any(customer_id in month.inside for month in done.outside)


def _line(label: str, before: Decimal, after: Decimal, currency: str) -> dict[str, str]:
    return {
        "label": label,
        "before": amount(before, currency),
        "after": amount(after, currency),
        "change": signed_amount(after - before, currency),
        "share": share(after - before, before),
    }


def _margin(total: _Money, currency: str) -> list[dict[str, str]]:
    before, after = total.before - total.cost_before, total.after - total.cost_after
    percents = [
        f"{100 * margin / revenue:.1f} %" if revenue else ""
        for margin, revenue in ((before, total.before), (after, total.after))
    ]
    return [
        _line("Cost", total.cost_before, total.cost_after, currency),
        _line("Margin", before, after, currency),
        {
            "label": "Margin of revenue",
            "before": percents[0],
            "after": percents[1],
            "change": "",
            "share": "",
        },
    ]


def _customer_rows(
    done: Simulation, found: Sequence[tuple[str, _Money]], currency: str
) -> list[dict[str, str]]:
    return [
        _line(_name(done, customer_id), sums.before, sums.after, currency)
        | {"customer_id": plain(customer_id)}
        for customer_id, sums in found[:MAX_CUSTOMERS]
    ]


def _name(done: Simulation, customer_id: str) -> str:
    return plain(done.names.get(customer_id)) or plain(customer_id)


def _moves(done: Simulation) -> list[str]:
    """A sentence for each pair of plans."""
    conditions = {(move.from_plan, move.to_plan): move.where for move in done.after.moves}
    return [
        f"From {plain(row['from_plan'])} to {plain(row['to_plan'])}: "
        f"{counted(row['subscriptions'], 'subscription')} of "
        f"{counted(row['customers'], 'customer')}" + _where(conditions, row)
        for row in done.moved
    ]


def _where(conditions: Mapping[tuple[str, str], str], row: Row) -> str:
    condition = conditions.get((row["from_plan"], row["to_plan"]))
    return f", where {plain(condition)}" if condition else ""


def _outside(done: Simulation) -> dict[str, Any]:
    """What the comparison of all customers outside the change covered."""
    customers = frozenset().union(*(month.customers for month in done.outside))
    lines = sum(month.line_count for month in done.outside)
    currencies = sorted({row["currency"] for month in done.outside for row in month.lines})
    sums = [
        f"{amount(sum((month.amount(name) for month in done.outside), Decimal(0)), name)} {name}"
        for name in currencies
    ]
    with_tax = f" ({', '.join(sums)} with tax)" if sums else ""
    return {
        "customers": f"{len(customers):,}",
        "lines": f"{lines:,}",
        "sums": sums,
        "text": f"{counted(lines, 'invoice line')} of {counted(len(customers), 'other customer')} "
        f"are the same on both sides, row by row{with_tax}",
    }


def _stray_customers(strays: Sequence[Mapping[str, str]]) -> str:
    count = len({row["customer_id"] for row in strays})
    return f"{counted(count, 'customer')} whom the change is not about"


def _strays(done: Simulation) -> list[dict[str, str]]:
    return [
        {
            "month": str(month.month),
            "customer_id": plain(row["customer_id"]),
            "name": _name(done, row["customer_id"]),
            "currency": row["currency"],
            "before": amount(row["present_amount"], row["currency"]),
            "after": amount(row["simulated_amount"], row["currency"]),
        }
        for month in done.outside
        for row in month.strays
    ]


def _month_plot(months: Mapping[Any, _Money], currency: str) -> str:
    def bar(month: BillingMonth, value: Decimal, side: str) -> Bar:
        text = f"{month:%B %Y}, {side}: {amount(value, currency)} {currency}"
        return Bar(float(value), text, side)

    groups = [
        Group(
            f"{month:%b}\n{month:%Y}" if month.month == 1 or not place else f"{month:%b}",
            (bar(month, sums.before, "before"), bar(month, sums.after, "after")),
            share(sums.change, sums.before).removesuffix(" %") if sums.change else "",
        )
        for place, (month, sums) in enumerate(sorted(months.items()))
    ]
    return bars(f"Revenue by month, {currency}, before and after", groups)


def _month_values(months: Mapping[Any, _Money]) -> dict[str, Any]:
    """The same values for Mermaid, which draws the plot in Markdown. The axis limits are given
    because Mermaid's axis would not begin at 0."""
    ordered = sorted(months.items())
    values = [value for _, sums in ordered for value in (sums.before, sums.after)]
    return {
        "labels": [f'"{month:%b %y}"' for month, _ in ordered],
        "before": [f"{sums.before:.2f}" for _, sums in ordered],
        "after": [f"{sums.after:.2f}" for _, sums in ordered],
        "low": str(floor(min(Decimal(0), *values))),
        "high": str(ceil(max(Decimal(1), *values) * Decimal("1.05"))),
    }


def _change_plot(touched: Mapping[str, _Money], currency: str) -> str:
    """How many customers' bills change, by percentage range."""
    groups = []
    for place, (label, holds) in enumerate(_BINS):
        found = sum(holds(sums.percent) for sums in touched.values())
        text = f"{counted(found, 'customer')}: {label}".replace("\n", " ")
        colour = "less" if place < 3 else "before" if place == 3 else "more"
        groups.append(Group(label, (Bar(found, text, colour),), f"{found:,}" if found else ""))
    return bars(f"Customers by the change of their bill, {currency}", groups, are_counts=True)
