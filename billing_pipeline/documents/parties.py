"""Seller and buyer on a document: name, address, tax id.

What belongs here: the lines under a party's name. What does not: the party in an electronic
invoice (``electronic_party``).
"""

from __future__ import annotations

from typing import Any

from billing_pipeline.documents.formatting import address_lines, plain
from billing_pipeline.duckdb_sql import Row


def party(row: Row, fallback: str = "") -> dict[str, Any]:
    lines = address_of(row)
    if row.get("country"):
        lines[-1:] = [", ".join([*lines[-1:], row["country"]])]
    tax_id = plain(row.get("tax_id"))
    return {
        "name": plain(row.get("name")) or plain(fallback),
        "lines": lines,
        "tax_id": f"Tax ID {tax_id}" if tax_id else "",
        "contact": [text for key in ("email", "website") if (text := plain(row.get(key)))],
    }


def address_of(row: Row) -> list[str]:
    """Street, postal code and city if they have columns of their own, else the address's lines."""
    city = " ".join(text for key in ("postal_code", "city") if (text := plain(row.get(key))))
    apart = [text for text in (plain(row.get("street")), city) if text]
    return apart or address_lines(row.get("address"))
