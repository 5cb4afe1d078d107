"""The pages that list: months, invoices, revenue, limits, runs.

What belongs here: the content of each page and its texts. What does not: queries, plots, pieces,
the pages about one thing (``detail_pages``), and the wiring of the app.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any

import marimo as mo

from billing_pipeline.dashboard import charts
from billing_pipeline.dashboard.pieces import (
    STYLE,
    Column,
    chart,
    chart_per_currency,
    exact,
    fold,
    grid,
    heading,
    link,
    note,
    number,
    page,
    quantity,
    section,
    side_by_side,
    table,
    table_by_month,
)
from billing_pipeline.dashboard.queries import MonthSoFar
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.published.health import Health
from billing_pipeline.published.month_states import MonthOverview, MonthState
from billing_pipeline.runs.recent_runs import RecentRun
from billing_pipeline.web.links import approval_url, close_url, plan_url

PAGES = {
    "#/": "Months",
    "#/month": "Month",
    "#/so-far": "So far",
    "#/invoices": "Invoices",
    "#/revenue": "Revenue",
    "#/limits": "Limits",
    "#/activity": "Activity",
    "#/customer": "Customer",
}
_CURRENT = ' aria-current="page"'
_MONEY = [
    *(Column("", "currency"), Column("invoices", "invoices", "number")),
    *(Column("computed", "total", "money"), Column("billed", "billed", "money")),
    *(Column("outstanding", "outstanding", "money"), Column("paid", "paid", "money")),
    *(Column("by wallet", "settled_by_balance", "money"), Column("credited", "credited", "money")),
    Column("refunded", "refunded", "money"),
]
_MONEY_NOTE = (
    "Billed = outstanding + paid + by wallet (or other credit in Stripe) + credited. "
    "Refunded was paid back later."
)


def navigation(current: str) -> mo.Html:
    """Links to all pages, with the current one marked."""
    links = "".join(
        f'<a href="{place}"{_CURRENT if place == current else ""}>{title}</a>'
        for place, title in PAGES.items()
    )
    return mo.Html(f'{STYLE}<div class="billing"><nav aria-label="Pages">{links}</nav></div>')


def with_navigation(
    pages: Mapping[str, Callable[[], mo.Html]], *choosers: mo.Html
) -> dict[str, Callable[[], mo.Html]]:
    """Each page, below the navigation and the `choosers` that all pages share."""

    def framed(place: str, shown: Callable[[], mo.Html]) -> Callable[[], mo.Html]:
        return lambda: mo.vstack([navigation(place), *choosers, shown()])

    return {place: framed(place, shown) for place, shown in pages.items()}


def months_page(
    overviews: Sequence[MonthOverview],
    sums: Sequence[Row],
    plots: tuple[Sequence[Row], Sequence[Row]],
    parts: Sequence[Health],
    ui_url: str,
) -> mo.Html:
    """What waits, with links to it in the Dagster UI; revenue by plan and receivables by age
    (`plots`); each month's state and money; and the health of each part."""
    states = {str(overview.month): overview for overview in overviews}
    months = [
        {**row, "month": f"{row['billing_month']:%Y-%m}", "state": _state(states, row)}
        for row in sorted(sums, key=lambda row: row["billing_month"], reverse=True)
    ]
    waiting = [
        {
            "month": str(item.month),
            "state": item.state.value,
            "next": item.next_command,
            "links": next_links(item, ui_url),
        }
        for item in overviews
        if item.next_command
    ]
    waits = [
        *(Column("month", "month", "month"), Column("state", "state")),
        *(Column("in the Dagster UI", "links", "links"), Column("or", "next", "id")),
    ]
    wrong = [part for part in parts if not part.is_well]
    return page(
        *section("What waits", waits, waiting),
        heading("Is everything well?"),
        *([_health(wrong)] if wrong else []),
        fold(f"{len(parts) - len(wrong)} of {len(parts)} components are healthy", _health(parts)),
        *_plots(*plots),
        heading("Months"),
        *table_by_month(
            [Column("month", "month", "month"), Column("state", "state"), *_MONEY], months
        ),
        note(_MONEY_NOTE),
    )


def _plots(revenue: Sequence[Row], receivables: Sequence[Row]) -> list[mo.Html]:
    if not revenue:
        return []
    unpaid = chart_per_currency(charts.receivables_by_age, receivables, "Unpaid, by days overdue")
    return [
        side_by_side(
            mo.vstack(
                chart_per_currency(charts.revenue_by_month, revenue, "Revenue by month and plan")
            ),
            mo.vstack(unpaid or [heading("Unpaid"), note("Nothing is unpaid.")]),
        )
    ]


def money_table(rows: Sequence[Row]) -> mo.Html:
    """A month's money, with a row for each currency."""
    if not rows:
        return note("Nothing is invoiced.")
    return mo.vstack([table(_MONEY, rows), note(_MONEY_NOTE)])


def so_far_page(found: MonthSoFar) -> mo.Html:
    """Usage and cost per customer of the running month, or of the last computed one."""
    if found.month is None:
        return page(note("No month has been computed yet."))
    until = f", usage until {found.usage_until:%Y-%m-%d %H:%M} UTC" if found.usage_until else ""
    title = f"{found.month:%B %Y}: " + ("estimate so far" if found.is_estimate else "as computed")
    text = (
        f"An estimate of the running month{until}. It is never sent."
        if found.is_estimate
        else "The running month has no estimate yet: the schedule daily_estimate makes it."
    )
    return page(
        heading(title),
        note(text),
        *chart_per_currency(charts.largest_customers, found.customers, "Largest customers"),
        heading("Events by day"),
        chart(charts.events_by_day(found.daily_usage)),
        heading("Customers"),
        grid([_total_cells(row) for row in found.customers]),
        heading("Usage by customer"),
        grid([_usage_cells(row) for row in found.usage]),
    )


def invoices_page(invoices: Sequence[Row]) -> mo.Html:
    """All invoices, searchable and sortable."""
    return page(heading("Invoices"), grid([invoice_cells(row) for row in invoices]))


def revenue_page(
    revenue: Sequence[Row], receivables: Sequence[Row], months: Sequence[Row]
) -> mo.Html:
    """Charges by month and plan, and paid and unpaid amounts."""
    return page(
        heading("Revenue by month and plan"),
        note("Charges, before discounts and tax."),
        *chart_per_currency(charts.revenue_by_month, revenue),
        *chart_per_currency(charts.paid_by_month, months, "Billed by month: paid and unpaid"),
        heading("Unpaid, by days overdue"),
        *(
            chart_per_currency(charts.receivables_by_age, receivables)
            or [note("Nothing is unpaid.")]
        ),
    )  # fmt: skip


def limits_page(limits: Sequence[Row]) -> mo.Html:
    columns = [
        *(Column("customer", "customer_id", "customer"), Column("feature", "feature")),
        *(Column("%", "percent", "quantity"), Column("state", "state")),
        *(Column("used", "used", "quantity"), Column("of", "limit_quantity", "quantity")),
        Column("plan", "plan"),
    ]
    pressing = [row for row in limits if row["state"] != "ok"]
    text = f"{len(pressing):,} of {len(limits):,} measured limits are above 80 %."
    return page(heading("Limits of plans"), note(text), table(columns, pressing[:100]))


def activity_page(runs: Sequence[RecentRun]) -> mo.Html:
    columns = [
        *(Column("when (UTC)", "at", "id"), Column("job", "job"), Column("month", "month", "id")),
        *(Column("ended", "ended"), Column("seconds", "seconds", "number")),
        *(Column("what it did", "did", "long"), Column("succeeded", "done", "number")),
        *(Column("failed", "failed", "number"), Column("decided by", "approved_by")),
    ]
    return page(heading("What ran"), table(columns, [vars(run) for run in runs]))


def invoice_cells(row: Row) -> dict[str, Any]:
    """The cells of an invoice in a grid."""
    return {
        # The most important columns come first: on a phone the others are off the screen.
        "customer": row["customer_name"] or row["customer_id"],
        "total": exact(row["total"], row["currency"]),
        "cur.": row["currency"],
        "status": row["status"],
        "month": f"{row['billing_month']:%Y-%m}",
        "invoice": mo.Html(link("invoice", row["invoice_id"], row["number"] or "not sent")),
        **{name: exact(row[name], row["currency"]) for name in ("outstanding", "paid")},
        "due": str(row["due_date"] or ""),
        "id": row["customer_id"],
        "last error": row["last_error"] or "",
    }


def next_links(item: MonthOverview, ui_url: str) -> list[tuple[str, str]]:
    """The month's next steps for a person, each with the address where it is done."""
    if item.state is not MonthState.WAITS:
        return [("close it", close_url(ui_url, item.month))]
    read = ("read the plan", plan_url(ui_url, item.month))
    if item.plan_hash is None:
        return [read]
    return [read, ("approve it", approval_url(ui_url, item.month, item.plan_hash))]


def _state(states: dict[str, MonthOverview], row: Row) -> str:
    overview = states.get(f"{row['billing_month']:%Y-%m}")
    return overview.state.value if overview else ""


def _total_cells(row: Row) -> dict[str, Any]:
    return {
        "customer": row["name"],
        "total": exact(row["total"], row["currency"]),
        "cur.": row["currency"],
        "id": row["customer_id"],
    }


def _usage_cells(row: Row) -> dict[str, Any]:
    return {
        "customer": row["name"],
        "meter": row["meter_id"],
        "quantity": number(quantity(row["quantity"])),
        "events": Decimal(row["event_count"]),
        "price": row["price_id"],
        "id": row["customer_id"],
    }


def _health(parts: Sequence[Health]) -> mo.Html:
    lines = "".join(
        f'<tr><td class="{"good" if part.is_well else "bad"}">{"✓" if part.is_well else "!"}</td>'
        f"<td>{escape(part.part)}</td><td>{escape(part.says)}</td></tr>"
        for part in parts
    )
    return mo.Html(f'<div class="billing"><div class="wide"><table>{lines}</table></div></div>')
