"""A month's journal as CSV: every entry, and its sums in the formats of accounting software.

What belongs here: columns and the format of their values. What does not: what is posted
(``reports/accounting``).

DATEV, QuickBooks and Xero accept a few hundred lines in one currency. So each gets a file for each
currency, with a single entry for the month: the sums by kind of entry and account. The lines behind
the sums are in ``journal.csv``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from billing_pipeline.documents.reading import NoDocumentError
from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import with_places
from billing_pipeline.months import BillingMonth
from billing_pipeline.text import csv_text

_LINES = """
SELECT * EXCLUDE (xero_tax_rate) FROM journal
WHERE accounting_month = $1::DATE
ORDER BY posted_on, entry_id, debit = 0, account, account_detail, contra_account, contra_detail
"""
_SUMS = """
SELECT
    currency, kind, account_number, account_name, xero_tax_rate, sum(debit - credit) AS amount
FROM journal
WHERE accounting_month = $1::DATE
GROUP BY ALL
HAVING sum(debit - credit) <> 0
ORDER BY currency, kind, account_number, account_name
"""
# Each posting once, from its debit side, added up for each pair of accounts.
_PAIRS = """
SELECT currency, kind, account_number, contra_number, sum(debit) AS amount
FROM journal
WHERE accounting_month = $1::DATE AND debit > 0 AND account_number <> contra_number
GROUP BY ALL
ORDER BY currency, kind, account_number, contra_number
"""
_DIFFERENCES = """
SELECT * FROM journal_checks WHERE difference <> 0 ORDER BY billing_month, checked, currency
"""


class NoDatevError(ValueError):
    """DATEV does not accept an account number or an amount."""


def journal_files(
    connection: duckdb.DuckDBPyConnection, month: BillingMonth
) -> dict[str, bytes | NoDatevError]:
    """The content of each file, by its name; for DATEV possibly the reason why there is none.
    Raises `NoDocumentError` if nothing is posted in the month, even if nothing was billed in it."""
    lines = rows(connection, _LINES, month.key)
    columns = [column[0] for column in connection.description]
    if not lines:
        raise NoDocumentError(f"nothing is posted in {month}: table journal")
    written = [_exact(row, "debit", "credit") for row in lines]
    files: dict[str, bytes | NoDatevError] = {"journal.csv": csv_text(written, columns).encode()}
    sums = rows(connection, _SUMS, month.key)
    pairs = rows(connection, _PAIRS, month.key)
    consultant, client = _datev_numbers(connection)
    for currency in sorted({row["currency"] for row in lines}):
        of_currency = [row for row in sums if row["currency"] == currency]
        name = f"{month}-{currency}"
        files[f"quickbooks-{name}.csv"] = quickbooks(month, name, of_currency).encode()
        files[f"xero-{name}.csv"] = xero(month, name, of_currency).encode()
        postings = [row for row in pairs if row["currency"] == currency]
        try:
            content: bytes | NoDatevError = datev(
                month, name, postings, datetime.now(UTC), consultant=consultant, client=client
            )
        except NoDatevError as error:
            content = error
        files[f"EXTF_Buchungsstapel_{name}.csv"] = content
    return files


def _datev_numbers(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Consultant and client numbers of the newest month's seller; where seller.csv has none, the
    lowest that DATEV accepts."""
    seller = rows(connection, "SELECT * FROM seller ORDER BY billing_month DESC LIMIT 1")[0]
    return seller.get("datev_consultant") or 1001, seller.get("datev_client") or 1


def differences(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Sentences that say where the journal differs from other published tables."""
    return [
        f"{row['checked']} of {row['billing_month']:%Y-%m} in {row['currency']}: the journal has "
        f"{with_places(row['in_journal'], row['currency'])}, not "
        f"{with_places(row['published'], row['currency'])} (table journal_checks)"
        for row in rows(connection, _DIFFERENCES)
    ]


def quickbooks(month: BillingMonth, name: str, sums: Sequence[Row]) -> str:
    """For "Import data", "Journal entries" in QuickBooks Online, which finds accounts by name."""
    return csv_text(
        [
            {
                "JournalNo": name,
                "JournalDate": f"{_last_day(month):%m/%d/%Y}",
                "AccountName": row["account_name"],
                "Debits": _amount(row) if row["amount"] > 0 else None,
                "Credits": -_amount(row) if row["amount"] < 0 else None,
                "Description": _words(row["kind"]),
                "Currency": row["currency"],
            }
            for row in sums
        ]
    )


def xero(month: BillingMonth, name: str, sums: Sequence[Row]) -> str:
    """In Xero's template for manual journals: debits are above 0, credits below."""
    return csv_text(
        [
            {
                "*Narration": f"Billing {name}",
                "*Date": f"{_last_day(month):%d/%m/%Y}",
                "Description": _words(row["kind"]),
                "*AccountCode": row["account_number"],
                "*TaxRate": row["xero_tax_rate"] or "Tax Exempt",
                "*Amount": _amount(row),
            }
            for row in sums
        ]
    )


_DATEV_COLUMNS = (
    "Umsatz (ohne Soll/Haben-Kz)",
    "Soll/Haben-Kennzeichen",
    "WKZ Umsatz",
    "Kurs",
    "Basis-Umsatz",
    "WKZ Basis-Umsatz",
    "Konto",
    "Gegenkonto (ohne BU-Schlüssel)",
    "BU-Schlüssel",
    "Belegdatum",
    "Belegfeld 1",
    "Belegfeld 2",
    "Skonto",
    "Buchungstext",
)


def datev(
    month: BillingMonth,
    name: str,
    postings: Sequence[Row],
    now: datetime,
    *,
    consultant: int,
    client: int,
) -> bytes:
    """In DATEV's format (EXTF 700, category 21, version 13), encoded as Windows-1252. Raises
    `NoDatevError` for an account number that DATEV does not accept, or an amount with too many
    digits."""
    numbers = {row[side] for row in postings for side in ("account_number", "contra_number")}
    lengths = {len(number) for number in numbers}
    if len(lengths) > 1 or not all(n.isdecimal() and 4 <= len(n) <= 8 for n in numbers):
        raise NoDatevError(
            "DATEV takes numbers of accounts that have the same 4 to 8 digits: see "
            "catalog/accounts.csv"
        )
    first, last = month.first_day, _last_day(month)
    header: list[Any] = ["EXTF", 700, 21, "Buchungsstapel", 13, int(f"{now:%Y%m%d%H%M%S}000"), None]
    header += ["RE", "", "", consultant, client, int(f"{first:%Y}0101"), max(lengths, default=4)]
    header += [int(f"{first:%Y%m%d}"), int(f"{last:%Y%m%d}"), f"Billing {name}", "", 1, 0, 0]
    header += [name[-3:], None, "", None, None, "", None, None, "", ""]
    out = io.StringIO()
    out.write(_datev_line(header))
    out.write(";".join(_DATEV_COLUMNS) + "\r\n")
    for row in postings:
        out.write(_datev_line(_datev_cells(row, name, last)))
    return out.getvalue().encode("cp1252")


def _datev_cells(row: Row, name: str, day: date) -> list[Any]:
    amount = _datev_amount(row)
    account, contra = int(row["account_number"]), int(row["contra_number"])
    cells = [_Number(amount), "S", row["currency"], None, None, "", account, contra, ""]
    return [*cells, _Number(f"{day:%d%m}"), name, "", None, _words(row["kind"])]


def _datev_amount(row: Row) -> str:
    """The amount with two decimal places in every currency, and at most ten digits before them."""
    written = f"{row['amount']:.2f}"
    if Decimal(written) != row["amount"] or len(written) > len("1234567890.12"):
        raise NoDatevError(
            "DATEV takes amounts of up to 10 digits and 2 decimal places, not "
            f"{_amount(row)} {row['currency']}"
        )
    return written.replace(".", ",")


class _Number(str):
    """A value that is written without quotes."""

    __slots__ = ()


def _datev_line(cells: Sequence[Any]) -> str:
    written = (
        str(cell) if isinstance(cell, int | _Number) else "" if cell is None else f'"{cell}"'
        for cell in cells
    )
    return ";".join(written) + "\r\n"


def _last_day(month: BillingMonth) -> date:
    return month.shift(1).first_day - timedelta(days=1)


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _amount(row: Row) -> Decimal:
    return with_places(row["amount"], row["currency"])


def _exact(row: Mapping[str, Any], *amounts: str) -> Row:
    return {
        name: with_places(value, row["currency"]) if name in amounts else value
        for name, value in row.items()
    }
