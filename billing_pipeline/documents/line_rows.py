"""The rows of a document's table of lines, of one as issued and of a statement alike.

What belongs here: which lines have a row, and the names of further customers among them. What does
not: the cells of a line (``issued_page``, ``invoice``).
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
    """All but taxes. Above the first line of each further customer there is a row with its name."""
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
    """Whether any line has one: else the document has no column for it."""
    return any(row["unit_price"] for row in rows)
