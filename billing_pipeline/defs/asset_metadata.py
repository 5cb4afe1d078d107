"""What an asset's page shows at a glance: how many rows, how much money.

What belongs here: queries on a month's warehouse whose results become asset metadata. What does
not: anything that is billed or decided. Dagster plots only floats and integers, so each total
appears twice: as a number to plot, and exact in a table.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg
import duckdb

from billing_pipeline.money import format_amount
from billing_pipeline.text import printable

Metadata = dict[str, Any]
MAX_CHANGES = 10
"""How many customers are shown for each currency."""
MAX_FOUND = 50


def metadata_of(warehouse: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> dict[str, Metadata]:
    """The metadata of each table in the schema ``main``; empty for a view."""
    # Counting a view's rows would compute it again; for views over events, the whole metering.
    stored = warehouse.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'"
        " AND list_contains($1, table_name)",
        [list(tables)],
    ).fetchall()
    metadata: dict[str, Metadata] = {table: {} for table in tables}
    # In one statement: separate statements would take longer than the counting.
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM main.{name}" for (name,) in stored)
    for name, rows in warehouse.execute(counts).fetchall() if stored else ():
        metadata[name]["dagster/row_count"] = rows
    for name in _SPECIAL.keys() & metadata.keys():
        metadata[name] |= _SPECIAL[name](warehouse)
    return metadata


def markdown_table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A table in Markdown; values are escaped, so a customer's text cannot act as markup."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def rows_found(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Metadata:
    """Metadata of a check: how many rows it found, and the first of them."""
    if not rows:
        return {"rows": 0}
    table = markdown_table(header, rows[:MAX_FOUND])
    return {"rows": len(rows), "which": dg.MetadataValue.md(table)}


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    text = printable(" ".join(str(value).split()))
    return "".join(f"\\{char}" if char in r"\`*_{}[]<>()#!|~" else char for char in text)


def _usage(warehouse: duckdb.DuckDBPyConnection) -> Metadata:
    rows = warehouse.execute(
        "SELECT source_file, rows_read, accepted_rows, rejected_rows, duplicate_rows"
        " FROM main.usage_files ORDER BY 1"
    ).fetchall()
    names = ("rows read", "accepted", "rejected", "duplicates")
    sums = [sum(row[place] for row in rows) for place in range(1, 5)]
    # Only the largest: a month may have thousands of files, and the run history stores this.
    largest = sorted(rows, key=lambda row: (-row[1], row[0]))[:MAX_FOUND]
    table = markdown_table(("file", *names), sorted(largest))
    files = {"file count": len(rows), "files": dg.MetadataValue.md(table)}
    return {**dict(zip(names, sums, strict=True)), **files}


def _rejections(warehouse: duckdb.DuckDBPyConnection) -> Metadata:
    rows = warehouse.execute(
        "SELECT reason, count(*), min(source_file), min(source_row) FROM main.usage_rejections"
        " GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    if not rows:
        return {}
    table = markdown_table(("reason", "rows", "first file", "first row"), rows)
    return {"by reason": dg.MetadataValue.md(table)}


def _charges(warehouse: duckdb.DuckDBPyConnection) -> Metadata:
    rows = warehouse.execute(
        "SELECT currency, count(*), sum(amount) FROM main.charges GROUP BY 1 ORDER BY 1"
    ).fetchall()
    by_plan = warehouse.execute(
        "SELECT plan_id, currency, count(DISTINCT customer_id), sum(amount) FROM main.charges"
        " GROUP BY 1, 2 ORDER BY 4 DESC, 1, 2"
    ).fetchall()
    shown = [
        (plan, code, count, format_amount(amount, code)) for plan, code, count, amount in by_plan
    ]
    table = markdown_table(("plan", "currency", "customers", "charged"), shown)
    return {
        **{f"charged {currency}": float(amount) for currency, _, amount in rows},
        "charged by plan": dg.MetadataValue.md(table),
    }


def _invoices(warehouse: duckdb.DuckDBPyConnection) -> Metadata:
    rows = warehouse.execute(
        "SELECT currency, count(*), sum(subtotal), sum(discount), sum(tax), sum(total),"
        " sum(wallet_applied), sum(amount_due) FROM main.invoices GROUP BY 1 ORDER BY 1"
    ).fetchall()
    header = (
        *("currency", "invoices", "subtotal", "discount", "tax", "total"),
        *("from wallets", "due"),
    )
    shown = [
        (row[0], row[1], *(format_amount(amount, row[0]) for amount in row[2:])) for row in rows
    ]
    return {
        **{f"total {row[0]}": float(row[5]) for row in rows},
        "totals": dg.MetadataValue.md(markdown_table(header, shown)),
    }


def largest_changes(
    warehouse: duckdb.DuckDBPyConnection, before: Mapping[tuple[str, str], Decimal], earlier: str
) -> Metadata:
    """The customers whose totals changed most; `before` has the totals of the month `earlier`, by
    customer and currency."""
    found = warehouse.execute("SELECT customer_id, currency, total FROM main.invoices").fetchall()
    now = {(customer, currency): total for customer, currency, total in found}
    changes = {
        key: now.get(key, Decimal(0)) - before.get(key, Decimal(0))
        for key in before.keys() | now.keys()
    }
    # Amounts in different currencies cannot be compared: each currency has its own ranking.
    places: Counter[str] = Counter()
    shown = []
    for key in sorted(changes, key=lambda key: (key[1], -abs(changes[key]), key[0])):
        customer, currency = key
        places[currency] += 1
        if changes[key] and places[currency] <= MAX_CHANGES:
            amounts = (before.get(key, Decimal(0)), now.get(key, Decimal(0)), changes[key])
            shown.append(
                (customer, currency, *(format_amount(amount, currency) for amount in amounts))
            )
    if not shown:
        return {}
    table = markdown_table(("customer", "currency", earlier, "now", "change"), shown)
    return {"largest changes": dg.MetadataValue.md(table)}


_SPECIAL: Mapping[str, Callable[[duckdb.DuckDBPyConnection], Metadata]] = {
    "usage_files": _usage,
    "usage_rejections": _rejections,
    "charges": _charges,
    "invoices": _invoices,
}
