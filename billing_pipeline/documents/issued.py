"""A document as it was issued: the rows that it consists of, unchanged.

What belongs here: finding an invoice, a supplement or a credit note by its id or number, and
reading its rows from the published database. What does not: the present state of a month
(``reading``), taxes by rate (``tax_groups``), wording and layout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from billing_pipeline.documents.reading import NoDocumentError
from billing_pipeline.duckdb_sql import Row, rows

_FOUND = """
SELECT * FROM documents WHERE document_id = $1 OR number = $1 OR invoice_id = $1 ORDER BY position
"""
_KIND_ORDER = {"charge": 0, "minimum": 2, "discount": 3}
_LATER_KINDS = {"commitment": 4, "overage": 5, "adjustment": 6, "correction": 7}
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class IssuedDocument:
    """One document: its row, the lines that it bills, in order, the parts of its taxes, and the
    parties as they were when it was billed."""

    document: Row
    lines: list[Row]
    taxes: list[Row]
    seller: Row
    buyer: Row
    names: Mapping[str, str | None] = field(default_factory=dict)
    """Names of the other customers whose lines are on it, by id."""
    corrects: IssuedDocument | None = None
    """For a credit note, the document that it credits; for a supplement, the first document."""

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def is_credit_note(self) -> bool:
        return self.kind == "credit_note"

    @property
    def is_itemized(self) -> bool:
        """True if the lines that it bills are recorded; then they add up to its amount."""
        return self.document["version_before"] is not None

    @property
    def number(self) -> str:
        return str(self.document["number"] or self.document["document_id"])


def find_documents(connection: duckdb.DuckDBPyConnection, name: str) -> list[Row]:
    """The documents with that id or number; for our invoice id, all documents of the invoice in
    the order of issue."""
    return rows(connection, _FOUND, name)


def read_issued(connection: duckdb.DuckDBPyConnection, document: Row) -> IssuedDocument:
    """The rows of one document that `find_documents` returned.

    Raises `NoDocumentError` if its parties were not recorded, because an earlier release billed it.
    """
    key, invoice_id = document["document_id"], document["invoice_id"]
    parties = rows(
        connection,
        "SELECT * FROM parties_as_billed WHERE invoice_id = $1 AND version = ("
        " SELECT max(version) FROM parties_as_billed WHERE invoice_id = $1"
        " AND version <= coalesce(nullif($2, 0), 1000000000)) ORDER BY customer_id",
        invoice_id,
        document["version"],
    )
    seller = next((row for row in parties if row["role"] == "seller"), None)
    buyer = next((row for row in parties if row["role"] == "buyer"), None)
    if seller is None or buyer is None:
        raise NoDocumentError(
            f"{document['number'] or key} was billed by an earlier release, which did not record "
            f"its lines: `billing invoice {invoice_id}` shows the month's statement"
        )

    def of_document(table: str) -> list[Row]:
        return rows(connection, f"SELECT * FROM {table} WHERE document_id = $1", key)

    return IssuedDocument(
        document=document,
        lines=in_order(of_document("document_lines"), str(document["customer_id"])),
        taxes=of_document("document_taxes"),
        seller=seller,
        buyer=buyer,
        names={row["customer_id"]: row["name"] for row in parties if row["role"] == "customer"},
        corrects=_corrected(connection, document),
    )


def _corrected(connection: duckdb.DuckDBPyConnection, document: Row) -> IssuedDocument | None:
    earlier = [
        row
        for row in find_documents(connection, document["invoice_id"])
        if row["position"] < document["position"]
        and (row["document_id"] == document["corrects_id"] or not document["corrects_id"])
        and row["kind"] != "credit_note"
    ]
    return read_issued(connection, earlier[0]) if earlier else None


def in_order(lines: list[Row], payer: str) -> list[Row]:
    """The payer's own lines, then each other customer's, taxes last. A customer's lines are sorted
    by subscription, fees before usage, and by name, with numbers in names by value: 9, 10, 109.
    Lines of one price are sorted by time, whatever months their names contain."""
    names: dict[object, str] = {}
    for line in sorted(lines, key=_start):
        names.setdefault(_price(line), line["description"] or "")
    return sorted(lines, key=lambda line: _place(line, payer, names[_price(line)]))


def _price(line: Row) -> object:
    return (line.get("subscription_id"), line.get("price_id") or line["description"])


def _start(line: Row) -> str:
    return str(line.get("period_start") or "")


def _place(line: Row, payer: str, name: str) -> tuple[Any, ...]:
    customer = str(line.get("customer_id") or payer)
    is_tax = line["kind"] == "tax"
    rank = _KIND_ORDER.get(line["kind"])
    if rank == 0 and line.get("meter_id"):
        rank = 1
    return (
        is_tax,
        customer != payer,
        natural(customer),
        # Lines such as discounts come after those of all subscriptions.
        rank is None,
        _LATER_KINDS.get(line["kind"], 8) if rank is None else 0,
        natural(line.get("subscription_id") or ""),
        rank or 0,
        natural(name),
        _start(line),
        natural(line["description"] or ""),
        line.get("position") or 0,
    )


def natural(text: str) -> list[tuple[int, int | str]]:
    """A key that sorts the numbers in a text by their value."""
    parts = _DIGITS.split(text)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]
