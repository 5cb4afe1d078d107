"""The rows of a document's table of lines, both for a document as issued and for a statement.

What belongs here: which lines have a row, and the rows that name other customers. What does not:
the cells of a line (``issued_page``, ``invoice``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from billing_pipeline.documents.formatting import plain
from billing_pipeline.duckdb_sql import Row

NO_FIGURES = {"period": "", "quantity": "", "unit_price": "", "amount": ""}


def line_rows(
    lines: Iterable[Row],
    payer: str,
    names: Mapping[str, str | None],
    row: Callable[[Row], dict[str, Any]],
) -> list[dict[str, Any]]:
    """A row for each line except taxes, and above each other customer's lines a row with the
    customer's name."""
    rows: list[dict[str, Any]] = []
    last = payer
    for line in lines:
        if line["kind"] == "tax":
            continue
        whose = str(line.get("customer_id") or payer)
        if whose != last:
            name = plain(names.get(whose)) or plain(whose)
            rows.append({**NO_FIGURES, "kind": "customer", "description": name})
        last = whose
        rows.append(row(line))
    return rows


def has_unit_prices(rows: Iterable[Mapping[str, Any]]) -> bool:
    """True if any row has a unit price; if not, the document has no column for it."""
    return any(row["unit_price"] for row in rows)
