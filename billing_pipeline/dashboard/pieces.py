"""The pieces that pages are composed of: tables, grids, headings, links.

What belongs here: how rows look. What does not: which rows, and the content of a page (``pages``,
``detail_pages``). All text from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any
from urllib.parse import quote

import marimo as mo

from billing_pipeline.duckdb_sql import Row
from billing_pipeline.money import format_amount, format_quantity
from billing_pipeline.text import counted

ROWS_PER_PAGE = 15
MONTHS_SHOWN = 13
"""Months that a table shows; older ones are folded."""
PLACES = 4
"""Decimal places of the quantities shown; the published tables have all 18 of them."""
DETAIL_PAGES = ("month", "customer", "invoice")
"""The pages about one thing, which their address names."""
STYLE = """
<style>
.billing { max-width: 100%; }
.billing h2 { font-size: 1.25rem; font-weight: 600; margin: 1rem 0 0; }
.billing nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: .5rem 3rem .5rem 0;
    border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
.billing nav a { color: inherit; opacity: .75; text-decoration: none; padding: .25rem 0; }
.billing nav a:hover, .billing nav a[aria-current] { opacity: 1;
    border-bottom: 2px solid #0072B2; }
.billing td a, .billing p a { color: inherit; text-decoration: underline; }
.billing .wide { overflow-x: auto; max-width: 100%; --shade: color-mix(in srgb, currentColor 35%,
    transparent); /* at an edge beyond which there is more; covered where the table ends */
    background: linear-gradient(to right, var(--background) 50%, transparent) left / 2rem 101%
    no-repeat local, linear-gradient(to left, var(--background) 50%, transparent) right -1px top /
    2rem 101% no-repeat local, linear-gradient(to right, var(--shade), transparent) left / .75rem
    100% no-repeat, linear-gradient(to left, var(--shade), transparent) right / .75rem 100%
    no-repeat; }
.billing table { border-collapse: collapse; font-size: .875rem; min-width: 50%; }
.billing th, .billing td { padding: .3rem .75rem .3rem 0; text-align: left; vertical-align: top;
    border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
.billing th { font-weight: 600; white-space: nowrap; }
.billing .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.billing .t { min-width: min(16rem, 40vw); }
.billing .t:last-child { min-width: 16rem; }
.billing .i { white-space: nowrap; }
.billing .dim { opacity: .7; }
.billing .bad { color: #D55E00; font-weight: 600; }
.billing details { border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent);
    padding: .4rem 0; font-size: .875rem; }
.billing summary { cursor: pointer; }
.billing details .wide { padding: .25rem 0 .5rem 1rem; }
.billing .beside { display: grid; gap: 0 2rem;
    grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
.billing .good { color: #009E73; font-weight: 600; }
</style>
"""


@dataclass(frozen=True)
class Column:
    """A column of a table: `money` is shown with the decimal places of the row's currency, an `id`
    is never wrapped at its hyphens, a `month`, `customer` or `invoice` links to its page. A
    customer is shown by name, from the row's `customer_name`."""

    title: str
    name: str
    kind: str = "text"


def page(*parts: mo.Html) -> mo.Html:
    # Each page includes the style, because marimo renders a route in a shadow DOM.
    return mo.vstack([mo.Html(STYLE), *parts])


def with_month(rows: Iterable[Row]) -> list[Row]:
    return [{**row, "month": f"{row['billing_month']:%Y-%m}"} for row in rows]


def exact(amount: Decimal, currency: str) -> Decimal:
    return number(format_amount(amount, currency))


def number(shown: str) -> Decimal:
    """The number with the decimal places shown: not text, because text would not sort as
    numbers."""
    return Decimal(shown.replace(",", ""))


def grid(cells: list[dict[str, Any]]) -> mo.Html:
    """A table with search, sorting and pages."""
    if not cells:
        return note("None.")
    numbers = [name for name, value in cells[0].items() if isinstance(value, Decimal)]
    return mo.ui.table(
        cells,
        page_size=ROWS_PER_PAGE,
        selection=None,
        show_column_summaries=False,
        show_download=False,
        format_mapping=dict.fromkeys(numbers, "{:,f}".format),
        text_justify_columns=dict.fromkeys(numbers, "right"),
        label="",
    )


def chart_per_currency(draw: Any, rows: Sequence[Row], title: str = "") -> list[mo.Html]:
    """One chart for each currency that has rows."""
    currencies = sorted({row["currency"] for row in rows})
    above = [heading(title)] if title and currencies else []
    return [*above, *(chart(draw(rows, currency)) for currency in currencies)]


def chart(drawn: Any) -> mo.Html:
    return mo.ui.altair_chart(drawn, chart_selection=False, legend_selection=False)


def section(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> list[mo.Html]:
    """A heading and its table; empty if there are no rows."""
    return [heading(title), table(columns, rows)] if rows else []


def heading(text: str) -> mo.Html:
    return mo.Html(f'<div class="billing"><h2>{escape(text)}</h2></div>')


def note(text: str) -> mo.Html:
    return mo.Html(f'<div class="billing"><p class="dim">{escape(text)}</p></div>')


def table(columns: Sequence[Column], rows: Sequence[Row]) -> mo.Html:
    head = "".join(
        f'<th class="{_class(column)}">{escape(column.title)}</th>' for column in columns
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{_class(column)}">{_cell(column, row)}</td>' for column in columns)
        + "</tr>"
        for row in rows
    )
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return mo.Html(f'<div class="billing"><div class="wide">{html}</div></div>')


def table_by_month(columns: Sequence[Column], rows: Sequence[Row]) -> list[mo.Html]:
    """The rows of the newest `MONTHS_SHOWN` months, and the older ones folded."""
    months = sorted({row["month"] for row in rows}, reverse=True)
    shown, older = months[:MONTHS_SHOWN], months[MONTHS_SHOWN:]
    found = [table(columns, [row for row in rows if row["month"] in shown])]
    if older:
        before = table(columns, [row for row in rows if row["month"] in older])
        found.append(fold(f"{counted(len(older), 'month')} before", before))
    return found


def quantity(value: Decimal) -> str:
    return format_quantity(round(value, PLACES))


def link(what: str, name: str, text: str) -> str:
    """A link to the page about one month, customer or invoice. It has its own style, because the
    page's style does not apply in grids."""
    look = "color: inherit; text-decoration: underline"
    place = f"?{what}={quote(name, safe='')}#/{what}"
    return f'<a style="{look}" href="{place}">{escape(text)}</a>'


def html_links(links: Sequence[tuple[str, str]]) -> str:
    """The links, given by text and address."""
    return " · ".join(f'<a href="{escape(url)}">{escape(text)}</a>' for text, url in links)


def stripe_link(text: str | None, url: str | None, has_pages: bool) -> mo.Html:
    """A link to Stripe's page of a document, or only the text if Stripe has no pages."""
    shown = escape(text or "")
    if has_pages and (url or "").startswith("https://"):
        shown = f'<a href="{escape(url or "")}" target="_blank" rel="noreferrer">{shown}</a>'
    return mo.Html(shown)


def fold(summary: str, body: mo.Html, *, is_open: bool = False) -> mo.Html:
    """`body`, folded under a line of HTML."""
    state = " open" if is_open else ""
    html = f"<details{state}><summary>{summary}</summary>{body.text}</details>"
    return mo.Html(f'<div class="billing">{html}</div>')


def side_by_side(*parts: mo.Html) -> mo.Html:
    """Side by side where there is room, else one below the other."""
    cells = "".join(f"<div>{part.text}</div>" for part in parts)
    return mo.Html(f'<div class="billing"><div class="beside">{cells}</div></div>')


def _class(column: Column) -> str:
    return {
        "money": "n",
        "number": "n",
        "quantity": "n",
        "long": "t",
        "id": "i",
        "month": "i",
        "time": "i",
    }.get(column.kind, "")


def _link_text(column: Column, row: Row) -> str:
    name = row.get("customer_name") if column.kind == "customer" else None
    return str(name or row[column.name])


def _cell(column: Column, row: Row) -> str:
    value = row[column.name]
    if value is None:
        return ""
    if isinstance(value, mo.Html):
        return str(value.text)
    if column.kind == "links":
        return html_links(value)
    if column.kind in DETAIL_PAGES:
        return link(column.kind, str(value), _link_text(column, row))
    if column.kind == "money":
        return format_amount(value, row["currency"])
    if column.kind == "quantity" and isinstance(value, Decimal):
        return quantity(value)
    if column.kind == "number":
        return f"{value:,}"
    if column.kind == "time":
        return f"{value:%Y-%m-%d %H:%M}"
    return escape(str(value))
