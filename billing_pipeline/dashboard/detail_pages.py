"""The pages about one month, one customer or one invoice.

What belongs here: their content. What does not: queries (``detail_queries``), and pieces.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from html import escape

import marimo as mo

from billing_pipeline.dashboard import charts
from billing_pipeline.dashboard.detail_queries import (
    MAX_FILES,
    MAX_SET_ASIDE,
    CustomerDetails,
    InvoiceDetails,
    MonthDetails,
)
from billing_pipeline.dashboard.pages import invoice_cells, money_table, next_links
from billing_pipeline.dashboard.pieces import (
    Column,
    chart_per_currency,
    fold,
    grid,
    heading,
    html_links,
    link,
    note,
    page,
    section,
    stripe_link,
    table,
    table_by_month,
    with_month,
)
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.money import format_amount, format_change
from billing_pipeline.published.month_states import MonthOverview
from billing_pipeline.text import counted

MAX_CHANGES = 100
_DONE = ("done", "unchanged")
_LINES = [
    *(
        Column("line", "description", "long"),
        Column("quantity before", "quantity_before", "quantity"),
    ),
    *(Column("quantity after", "quantity_after", "quantity"), Column("", "currency")),
    *(Column("before", "amount_before", "money"), Column("after", "amount_after", "money")),
    *(Column("change", "change", "money"), Column("cause", "cause")),
    Column("what shows it", "evidence", "long"),
]


def month_page(
    chooser: mo.ui.dropdown, found: MonthDetails | None, overview: MonthOverview | None, ui_url: str
) -> mo.Html:
    """A month's money, what happened in it, its plan down to the row of a file, and its files."""
    if found is None:
        return page(heading("Month"), chooser, note("Choose a month."))
    state = f"{overview.state.value.capitalize()}." if overview else ""
    return page(
        heading(f"{found.month.first_day:%B %Y}"),
        chooser,
        note(state),
        *_next(overview, ui_url),
        money_table(found.money),
        *section("What happened", _HISTORY, found.history),
        *_plan(found),
        *_files(found),
    )


_HISTORY = [
    *(Column("when (UTC)", "happened_at", "time"), Column("what", "what"), Column("", "currency")),
    *(
        Column("amount", "amount", "money"),
        Column("who", "who", "long"),
        Column("", "says", "long"),
    ),
]


def _next(overview: MonthOverview | None, ui_url: str) -> list[mo.Html]:
    if overview is None or not overview.next_command:
        return []
    links = html_links(next_links(overview, ui_url))
    command = escape(overview.next_command)
    return [
        mo.Html(f'<div class="billing"><p>Next, in the Dagster UI: {links}, or {command}</p></div>')
    ]


def _plan(found: MonthDetails) -> list[mo.Html]:
    """Each change that waits, failed or was declined; it unfolds to its lines."""
    open_changes = [row for row in found.changes if row["state"] not in _DONE]
    if not open_changes:
        return []
    lines: dict[str, list[Row]] = defaultdict(list)
    for line in found.lines:
        lines[line["invoice_id"]].append(line)
    shown = open_changes[:MAX_CHANGES]
    more = len(open_changes) - len(shown)
    return [
        heading("The plan"),
        note(_net(open_changes)),
        *(
            fold(
                _change(row, lines[row["invoice_id"]]),
                _change_lines(lines[row["invoice_id"]]),
                is_open=len(shown) == 1,
            )
            for row in shown
        ),
        *([note(f"And {more:,} more: table invoice_plan.")] if more else []),
    ]


def _net(changes: Sequence[Row]) -> str:
    """The number of changes, and by currency the sum of those that were not declined."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in changes:
        if row["state"] != "declined":
            sums[row["currency"]] += row["amount_change"]
    parts = [
        f"{format_change(total, currency)} {currency}" for currency, total in sorted(sums.items())
    ]
    return f"{', '.join([counted(len(changes), 'change'), *parts])}."


def _change(row: Row, lines: Sequence[Row]) -> str:
    """A change in one line: who, what, how much, what happens with the money, and why. If it waits,
    it names the obstacle instead of the reason, which the lines below give."""
    currency = row["currency"]
    why = "obstacle" if lines and row["state"] == "waiting" else "reason"
    amounts = " → ".join(
        format_amount(row[name], currency) for name in ("amount_before", "amount_after")
    )
    who = link("customer", row["customer_id"], row["customer_name"] or row["customer_id"])
    parts = [
        f"{row['action']}, {row['state']}",
        f"{amounts} {currency} ({format_change(row['amount_change'], currency)})",
        *(row[name] for name in ("collection", "cause", why) if row[name]),
    ]
    invoice = link("invoice", row["invoice_id"], "invoice")
    return f"<b>{who}</b>: {escape('; '.join(parts))} · {invoice}"


def _change_lines(lines: Sequence[Row]) -> mo.Html:
    if not lines:
        return note("No line of an invoice that was sent changes.")
    return table(_LINES, lines)


def _files(found: MonthDetails) -> list[mo.Html]:
    columns = [
        *(Column("file", "source_file"), Column("rows", "rows_read", "number")),
        *(Column("counted", "accepted_rows", "number"),),
        *(Column("set aside", "rejected_rows", "number"),),
        *(Column("repeated", "duplicate_rows", "number"),),
    ]
    rejected = [
        *(Column("file", "source_file"), Column("row", "source_row", "number")),
        *(Column("why", "reason"), Column("the row", "raw", "long")),
    ]
    more = [note(f"The first {MAX_FILES} files.")] if len(found.files) == MAX_FILES else []
    cut = len(found.set_aside) == MAX_SET_ASIDE
    return [
        *section("Usage files", columns, found.files),
        *more,
        *section("Rows set aside", rejected, found.set_aside),
        *([note(f"The first {MAX_SET_ASIDE} rows: table rejected_usage.")] if cut else []),
    ]


def invoice_page(found: InvoiceDetails | None, has_pages: bool) -> mo.Html:
    """One invoice: its lines and how they were computed, its documents and payments."""
    if found is None:
        return page(heading("Invoice"), note("Choose one on the page Invoices."))
    row = found.invoice
    month = f"{row['billing_month']:%Y-%m}"
    who = link("customer", row["customer_id"], row["customer_name"] or row["customer_id"])
    sums = ", ".join(
        f"{name.replace('_', ' ')} {format_amount(row[name], row['currency'])}"
        for name in ("subtotal", "discount", "tax", "total", "wallet_applied", "amount_due")
        if row[name] or name == "total"
    )
    about = f"{who}, {link('month', month, month)}, {escape(row['status'])}: {escape(sums)}"
    documents = [
        {**document, "page": stripe_link(document["number"], document["url"], has_pages)}
        for document in found.documents
    ]
    lines = [
        *(Column("line", "description", "long"), Column("quantity", "quantity", "quantity")),
        *(Column("", "currency"), Column("amount", "amount", "money")),
        Column("how", "calculation", "long"),
    ]
    if len({line["customer_id"] for line in found.lines}) > 1:
        lines.insert(0, Column("for", "customer_id", "customer"))
    sent = [
        *(
            Column("when (UTC)", "happened_at", "time"),
            Column("what", "what"),
            Column("number", "page"),
        ),
        *(Column("", "currency"), Column("amount", "amount", "money"), Column("", "status")),
    ]
    paid = [
        *(
            Column("when (UTC)", "happened_at", "time"),
            Column("what", "kind"),
            Column("", "currency"),
        ),
        *(Column("amount", "amount", "money"), Column("by", "method"), Column("", "status")),
    ]
    return page(
        heading(f"Invoice {row['number'] or row['invoice_id']} {row['currency']}"),
        mo.Html(f'<div class="billing"><p>{about}</p></div>'),
        *section("Lines", lines, found.lines),
        *section("Documents", sent, documents),
        *section("Payments", paid, found.payments),
        note(f"billing explain {row['invoice_id']} shows the events of a line."),
    )


def customer_page(chooser: mo.ui.dropdown, found: CustomerDetails | None) -> mo.Html:
    """One customer: usage, charges and how they were computed, invoices, payments."""
    if found is None:
        return page(heading("Customer"), chooser, note("Choose a customer."))
    who = found.customer
    standing = f"{who['state']}: {who['reason']}" if who["state"] not in (None, "good") else ""
    about = [who["customer_id"], who["country"], who["email"], standing]
    charges = [
        *(Column("month", "month", "month"), Column("charge", "description", "long")),
        *(Column("", "currency"), Column("amount", "amount", "money")),
        *(Column("invoice", "invoice_id", "invoice"), Column("how", "calculation", "long")),
    ]
    usage = [
        *(Column("month", "month", "month"), Column("meter", "meter_id")),
        Column("price", "price_id"),
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
    return page(
        heading(str(who["name"] or who["customer_id"])),
        chooser,
        note(", ".join(str(part) for part in about if part)),
        *chart_per_currency(charts.revenue_by_month, found.revenue),
        heading("Invoices"),
        grid([_without_customer(invoice_cells(row)) for row in found.invoices]),
        *_by_month("Charges", charges, found.charges),
        *_by_month("Usage", usage, found.usage),
        *section("Wallet", wallet, found.wallet),
        *section("Limits", limits, found.limits),
    )


def _by_month(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> list[mo.Html]:
    return [heading(title), *table_by_month(columns, with_month(rows))] if rows else []


def _without_customer(cells: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in cells.items() if name not in ("customer", "id")}
