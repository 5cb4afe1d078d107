"""The journal in the forms that DATEV, QuickBooks and Xero import."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing_pipeline.documents.journal import NoDatevError, datev, quickbooks, xero
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.months import BillingMonth

MONTH = BillingMonth(2024, 2)
NAME = "2024-02-EUR"


def summed(kind: str, number: str, name: str, amount: str, tax: str | None = None) -> Row:
    return {
        "currency": "EUR", "kind": kind, "account_number": number, "account_name": name,
        "xero_tax_rate": tax, "amount": Decimal(amount),
    }  # fmt: skip


SUMS = [
    summed("credit_note", "1200", "Debtors", "-11"),
    summed("credit_note", "2300", "Tax", "1", "20% (VAT on Income)"),
    summed("credit_note", "2100", "Deferred: revenue", "10"),
]


def test_quickbooks() -> None:
    rows = list(csv.DictReader(io.StringIO(quickbooks(MONTH, NAME, SUMS))))
    assert rows[0] == {
        "JournalNo": "2024-02-EUR", "JournalDate": "02/29/2024", "AccountName": "Debtors",
        "Debits": "", "Credits": "11.00", "Description": "credit note", "Currency": "EUR",
    }  # fmt: skip
    assert [row["Debits"] for row in rows] == ["", "1.00", "10.00"]


def test_xero() -> None:
    rows = list(csv.DictReader(io.StringIO(xero(MONTH, NAME, SUMS))))
    assert rows[0] == {
        "*Narration": "Billing 2024-02-EUR", "*Date": "29/02/2024", "Description": "credit note",
        "*AccountCode": "1200", "*TaxRate": "Tax Exempt", "*Amount": "-11.00",
    }  # fmt: skip
    assert rows[1]["*TaxRate"] == "20% (VAT on Income)"
    assert sum(Decimal(row["*Amount"]) for row in rows) == 0


def posting(account: str, contra: str, amount: str = "1234.5") -> Row:
    return {
        "currency": "EUR", "kind": "write_off", "account_number": account,
        "contra_number": contra, "amount": Decimal(amount),
    }  # fmt: skip


def test_datev() -> None:
    now = datetime(2024, 3, 1, 7, 8, 9, tzinfo=UTC)
    made = datev(MONTH, NAME, [posting("6100", "1200")], now, consultant=29098, client=55003)
    lines = made.decode("cp1252").split("\r\n")
    assert lines[0] == (
        '"EXTF";700;21;"Buchungsstapel";13;20240301070809000;;"RE";"";"";29098;55003;20240101;4;'
        '20240201;20240229;"Billing 2024-02-EUR";"";1;0;0;"EUR";;"";;;"";;;"";""'
    )
    assert lines[0].count(";") == 30
    assert lines[1].split(";")[7] == "Gegenkonto (ohne BU-Schlüssel)"
    assert lines[2] == '1234,50;"S";"EUR";;;"";6100;1200;"";2902;"2024-02-EUR";"";;"write off"'
    assert lines[1].count(";") == lines[2].count(";")
    assert lines[3] == ""


def test_datev_takes_two_places_of_every_currency() -> None:
    def made(amount: str, currency: str) -> bytes:
        row = posting("6100", "1200") | {"amount": Decimal(amount), "currency": currency}
        return datev(MONTH, NAME, [row], datetime.now(UTC), consultant=1001, client=1)

    assert b'\n3064,00;"S";"JPY";' in made("3064", "JPY")
    assert b'\n9999999999,99;"S";"EUR";' in made("9999999999.99", "EUR")
    for amount, currency in (("0.435", "KWD"), ("10000000000", "EUR")):
        with pytest.raises(NoDatevError, match=rf"2 decimal places, not {amount}.* {currency}"):
            made(amount, currency)


@pytest.mark.parametrize("contra", ["120", "12000", "12A0", "123456789"])
def test_numbers_that_datev_does_not_take(contra: str) -> None:
    with pytest.raises(NoDatevError, match=r"same 4 to 8 digits: see catalog/accounts\.csv"):
        datev(MONTH, NAME, [posting("6100", contra)], datetime.now(UTC), consultant=1001, client=1)
