"""The pages, composed of rows and charts.

What belongs here: the content of each page, its texts and its look. What does not: queries, plots,
and the wiring of the app. All text from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

import marimo as mo

from billing_pipeline.dashboard import charts
from billing_pipeline.dashboard.queries import MonthSoFar, OneCustomer
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.money import format_amount
from billing_pipeline.published.health import Health
from billing_pipeline.published.month_states import MonthOverview, MonthState
from billing_pipeline.runs.recent_runs import RecentRun
from billing_pipeline.web.links import approval_url, close_url, plan_url

ROWS_OF_A_PAGE = 15
PLACES = 4
"""Decimal places shown of quantities, which have 18; the published tables have all of them."""
PAGES = {
    "#/": "Months",
    "#/so-far": "So far",
    "#/invoices": "Invoices",
    "#/revenue": "Revenue",
    "#/limits": "Limits",
    "#/activity": "Activity",
    "#/customer": "Customer",
}
_CURRENT = ' aria-current="page"'
STYLE = """
<style>
.billing { max-width: 100%; }
.billing h2 { font-size: 1.25rem; font-weight: 600; margin: 1rem 0 0; }
.billing nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: .5rem 3rem .5rem 0;
    border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
.billing nav a { color: inherit; opacity: .75; text-decoration: none; padding: .25rem 0; }
.billing nav a:hover, .billing nav a[aria-current] { opacity: 1;
    border-bottom: 2px solid #0072B2; }
.billing td a { color: inherit; text-decoration: underline; }
.billing .wide { overflow-x: auto; max-width: 100%; }
.billing table { border-collapse: collapse; font-size: .875rem; min-width: 50%; }
.billing th, .billing td { padding: .3rem .75rem .3rem 0; text-align: left; vertical-align: top;
    border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
.billing th { font-weight: 600; white-space: nowrap; }
.billing .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.billing .t { min-width: 16rem; }
.billing .i { white-space: nowrap; }
.billing .dim { opacity: .7; }
.billing .bad { color: #D55E00; font-weight: 600; }
.billing .good { color: #009E73; font-weight: 600; }
</style>
"""


@dataclass(frozen=True)
class Column:
    """A column of a table: `money` is shown with the places of the row's currency, an `id` is never
    wrapped at its hyphens."""

    title: str
    name: str
    kind: str = "text"


def navigation(current: str) -> mo.Html:
    """Links to all pages, with the current one marked."""
    links = "".join(
        f'<a href="{place}"{_CURRENT if place == current else ""}>{title}</a>'
        for place, title in PAGES.items()
    )
    return mo.Html(f'{STYLE}<div class="billing"><nav aria-label="Pages">{links}</nav></div>')


def framed(pages: Mapping[str, Callable[[], mo.Html]]) -> dict[str, Callable[[], mo.Html]]:
    def under(place: str, page: Callable[[], mo.Html]) -> Callable[[], mo.Html]:
        return lambda: mo.vstack([navigation(place), page()])

    return {place: under(place, page) for place, page in pages.items()}


def months_page(
    overviews: Sequence[MonthOverview],
    sums: Sequence[Row],
    parts: Sequence[Health],
    ui_url: str,
) -> mo.Html:
    """Each month's state and money, what waits with the way to it in the Dagster UI, and the health
    of each part."""
    states = {str(overview.month): overview for overview in overviews}
    rows = [
        {**row, "month": f"{row['billing_month']:%Y-%m}", "state": _state(states, row)}
        for row in sorted(sums, key=lambda row: row["billing_month"], reverse=True)
    ]
    waiting = [
        {
            "month": str(item.month),
            "state": item.state.value,
            "next": item.next_command,
            "links": _next_links(item, ui_url),
        }
        for item in overviews
        if item.next_command
    ]
    return _page(
        _heading("Months"),
        _table(
            [
                *(Column("month", "month", "id"), Column("state", "state")),
                *(Column("", "currency"), Column("invoices", "invoices", "number")),
                Column("computed", "total", "money"),
                *(Column(name, name, "money") for name in ("billed", "outstanding", "paid")),
                Column("by wallet", "settled_by_balance", "money"),
                Column("credited", "credited", "money"),
            ],
            rows,
        ),
        _note("Billed is outstanding, paid, by wallet (or other credit in Stripe) and credited."),
        *_section(
            "What waits",
            [
                *(Column("month", "month", "id"), Column("state", "state")),
                *(Column("in the Dagster UI", "links", "links"), Column("or", "next", "id")),
            ],
            waiting,
        ),
        _heading("Is everything well?"),
        _health(parts),
    )


def so_far_page(found: MonthSoFar) -> mo.Html:
    """Usage and cost per customer of the running month, or of the last computed one."""
    if found.month is None:
        return _page(_note("No month has been computed yet."))
    until = f", usage until {found.usage_until:%Y-%m-%d %H:%M} UTC" if found.usage_until else ""
    title = f"{found.month:%B %Y}: " + ("estimate so far" if found.is_estimate else "as computed")
    text = (
        f"An estimate of the running month{until}. It is never sent."
        if found.is_estimate
        else "The running month has no estimate yet: the schedule daily_estimate makes it."
    )
    return _page(
        _heading(title),
        _note(text),
        *_charts(charts.largest_customers, found.customers, "Largest customers"),
        _heading("Events by day"),
        _chart(charts.events_by_day(found.daily_usage)),
        _heading("Customers"),
        _grid([_total_cells(row) for row in found.customers]),
        _heading("Usage by customer"),
        _grid([_usage_cells(row) for row in found.usage]),
    )


def invoices_page(invoices: Sequence[Row], *, has_pages: bool) -> mo.Html:
    """All invoices, searchable and sortable."""
    return _page(_heading("Invoices"), _grid([_invoice_cells(row, has_pages) for row in invoices]))


def revenue_page(
    revenue: Sequence[Row], receivables: Sequence[Row], months: Sequence[Row]
) -> mo.Html:
    """Charges by month and plan, and paid and unpaid amounts."""
    return _page(
        _heading("Revenue by month and plan"),
        _note("Charges, before discounts and tax."),
        *_charts(charts.revenue_by_month, revenue),
        *_charts(charts.paid_by_month, months, "Billed by month: paid and unpaid"),
        _heading("Unpaid, by days overdue"),
        *(_charts(charts.receivables_by_age, receivables) or [_note("Nothing is unpaid.")]),
    )


def limits_page(limits: Sequence[Row]) -> mo.Html:
    columns = [
        *(Column("customer", "customer_id", "id"), Column("feature", "feature")),
        *(Column("%", "percent", "quantity"), Column("state", "state")),
        *(Column("used", "used", "quantity"), Column("of", "limit_quantity", "quantity")),
        Column("plan", "plan_id"),
    ]
    pressing = [row for row in limits if row["state"] != "ok"]
    text = f"{len(pressing):,} of {len(limits):,} measured limits are above 80 %."
    return _page(_heading("Limits of plans"), _note(text), _table(columns, pressing[:100]))


def activity_page(runs: Sequence[RecentRun]) -> mo.Html:
    columns = [
        *(Column("when (UTC)", "at", "id"), Column("job", "job"), Column("month", "month", "id")),
        *(Column("ended", "ended"), Column("seconds", "seconds", "number")),
        *(Column("what it did", "did", "long"), Column("succeeded", "done", "number")),
        *(Column("failed", "failed", "number"), Column("decided by", "approved_by")),
    ]
    return _page(_heading("What ran"), _table(columns, [vars(run) for run in runs]))


def customer_page(chooser: mo.ui.dropdown, found: OneCustomer | None, has_pages: bool) -> mo.Html:
    """One customer: usage, charges and how they were computed, invoices and payments."""
    if found is None:
        return _page(_heading("Customer"), chooser, _note("Choose a customer."))
    who = found.customer
    about = ", ".join(str(who[name]) for name in ("name", "country", "email") if who[name])
    charges = [
        Column("month", "month", "id"),
        Column("charge", "description"),
        Column("", "currency"),
        Column("amount", "amount", "money"),
        Column("how", "calculation", "long"),
    ]
    usage = [
        *(Column("month", "month", "id"), Column("meter", "meter_id"), Column("price", "price_id")),
        *(Column("quantity", "quantity", "quantity"), Column("events", "event_count", "number")),
    ]
    wallet = [
        *(Column("when", "occurred_at", "time"), Column("what", "kind"), Column("", "currency")),
        *(Column("amount", "amount", "money"), Column("balance", "balance_after", "money")),
    ]
    limits = [
        *(Column("feature", "feature"), Column("used", "used", "quantity")),
        *(Column("of", "limit_quantity", "quantity"), Column("state", "state")),
    ]
    return _page(
        _heading(f"Customer {who['customer_id']}"),
        chooser,
        _note(about),
        *_charts(charts.revenue_by_month, found.revenue),
        _heading("Invoices"),
        _grid([_without_customer(_invoice_cells(row, has_pages)) for row in found.invoices]),
        *_section("Charges", charges, _with_month(found.charges)),
        *_section("Usage", usage, _with_month(found.usage)),
        *_section("Wallet", wallet, found.wallet),
        *_section("Limits", limits, found.limits),
    )


# --- pieces -------------------------------------------------------------------------------------


def _page(*parts: mo.Html) -> mo.Html:
    # Each page includes the style, because marimo renders a route in a shadow DOM.
    return mo.vstack([mo.Html(STYLE), *parts])


def _state(states: dict[str, MonthOverview], row: Row) -> str:
    overview = states.get(f"{row['billing_month']:%Y-%m}")
    return overview.state.value if overview else ""


def _next_links(item: MonthOverview, ui_url: str) -> list[tuple[str, str]]:
    """Where a person does the next step, by what it is called."""
    if item.state is not MonthState.WAITS:
        return [("close it", close_url(ui_url, item.month))]
    read = ("read the plan", plan_url(ui_url, item.month))
    if item.plan_hash is None:
        return [read]
    return [read, ("approve it", approval_url(ui_url, item.month, item.plan_hash))]


def _with_month(rows: Iterable[Row]) -> list[Row]:
    return [{**row, "month": f"{row['billing_month']:%Y-%m}"} for row in rows]


def _total_cells(row: Row) -> dict[str, Any]:
    return {
        "customer": row["customer_id"],
        "total": _exact(row["total"], row["currency"]),
        "cur.": row["currency"],
        "name": row["name"],
    }


def _usage_cells(row: Row) -> dict[str, Any]:
    return {
        "customer": row["customer_id"],
        "meter": row["meter_id"],
        "quantity": _number(_quantity(row["quantity"])),
        "events": Decimal(row["event_count"]),
        "price": row["price_id"],
    }


def _invoice_cells(row: Row, has_pages: bool) -> dict[str, Any]:
    url = row["hosted_invoice_url"] or ""
    number: Any = row["number"] or ""
    if has_pages and url.startswith("https://"):
        link = f'<a href="{escape(url)}" target="_blank" rel="noreferrer">{escape(number)}</a>'
        number = mo.Html(link)
    return {
        # The most important columns come first: on a phone the others are off the screen.
        "customer": row["customer_id"],
        "total": _exact(row["total"], row["currency"]),
        "cur.": row["currency"],
        "status": row["status"],
        "month": f"{row['billing_month']:%Y-%m}",
        **{name: _exact(row[name], row["currency"]) for name in ("outstanding", "paid")},
        "due": str(row["due_date"] or ""),
        "number": number,
        "invoice": row["invoice_id"],
        "last error": row["last_error"] or "",
    }


def _without_customer(cells: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cells.items() if name != "customer"}


def _exact(amount: Decimal, currency: str) -> Decimal:
    return _number(format_amount(amount, currency))


def _number(shown: str) -> Decimal:
    """The number with the places shown. Not text, because text columns sort as text."""
    return Decimal(shown.replace(",", ""))


def _grid(cells: list[dict[str, Any]]) -> mo.Html:
    """A table with search, sorting and pages."""
    if not cells:
        return _note("None.")
    numbers = [name for name, value in cells[0].items() if isinstance(value, Decimal)]
    return mo.ui.table(
        cells,
        page_size=ROWS_OF_A_PAGE,
        selection=None,
        show_column_summaries=False,
        show_download=False,
        format_mapping=dict.fromkeys(numbers, "{:,f}".format),
        text_justify_columns=dict.fromkeys(numbers, "right"),
        label="",
    )


def _charts(chart: Any, rows: Sequence[Row], title: str = "") -> list[mo.Html]:
    """One chart for each currency that has rows."""
    currencies = sorted({row["currency"] for row in rows})
    heading = [_heading(title)] if title and currencies else []
    return [*heading, *(_chart(chart(rows, currency)) for currency in currencies)]


def _chart(chart: Any) -> mo.Html:
    return mo.ui.altair_chart(chart, chart_selection=False, legend_selection=False)


def _section(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> list[mo.Html]:
    """A heading and its table; empty if there are no rows."""
    return [_heading(title), _table(columns, rows)] if rows else []


def _heading(text: str) -> mo.Html:
    return mo.Html(f'<div class="billing"><h2>{escape(text)}</h2></div>')


def _note(text: str) -> mo.Html:
    return mo.Html(f'<div class="billing"><p class="dim">{escape(text)}</p></div>')


def _health(parts: Sequence[Health]) -> mo.Html:
    lines = "".join(
        f'<tr><td class="{"good" if part.is_well else "bad"}">{"✓" if part.is_well else "!"}</td>'
        f"<td>{escape(part.part)}</td><td>{escape(part.says)}</td></tr>"
        for part in parts
    )
    return mo.Html(f'<div class="billing"><div class="wide"><table>{lines}</table></div></div>')


def _table(columns: Sequence[Column], rows: Sequence[Row]) -> mo.Html:
    head = "".join(
        f'<th class="{_class(column)}">{escape(column.title)}</th>' for column in columns
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{_class(column)}">{_cell(column, row)}</td>' for column in columns)
        + "</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return mo.Html(f'<div class="billing"><div class="wide">{table}</div></div>')


def _quantity(value: Decimal) -> str:
    return f"{round(value, PLACES).normalize():,f}"


def _class(column: Column) -> str:
    return {"money": "n", "number": "n", "quantity": "n", "long": "t", "id": "i"}.get(
        column.kind, ""
    )


def _cell(column: Column, row: Row) -> str:
    value = row[column.name]
    if value is None:
        return ""
    if column.kind == "links":
        return " · ".join(f'<a href="{escape(url)}">{escape(text)}</a>' for text, url in value)
    if column.kind == "money":
        return format_amount(value, row["currency"])
    if column.kind == "quantity" and isinstance(value, Decimal):
        return _quantity(value)
    if column.kind == "number":
        return f"{value:,}"
    if column.kind == "time":
        return f"{value:%Y-%m-%d %H:%M}"
    return escape(str(value))
