"""Checks that the sums on documents and in exports agree with the published tables.

What belongs here: reading the amounts back from the files. What does not: how documents look.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import duckdb

from billing_pipeline.documents import rendering
from billing_pipeline.documents.cii import cii
from billing_pipeline.documents.close_report import close_report
from billing_pipeline.documents.electronic import electronic_invoice
from billing_pipeline.documents.exports import export
from billing_pipeline.documents.invoice import invoice_document
from billing_pipeline.documents.issued import read_issued
from billing_pipeline.documents.issued_page import issued_page
from billing_pipeline.documents.journal import differences, journal_files
from billing_pipeline.documents.reading import published, read_invoice
from billing_pipeline.documents.ubl import ubl
from billing_pipeline.duckdb_sql import rows
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from tests.end_to_end.closed_examples import ClosedExample, Row, first_day
from tests.unit.documents.official_rules import broken_rules
from tests.unit.documents.pdf_text import pdf_text


class _Rows(HTMLParser):
    """The table rows of a page, each as its cells' texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._is_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        self._is_cell = tag == "td"

    def handle_endtag(self, tag: str) -> None:
        self._is_cell = False

    def handle_data(self, data: str) -> None:
        if self._is_cell:
            self.rows[-1][-1] += data


def check_documents(example: ClosedExample) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(example.home)})
    invoices = example.tables["invoices"]
    payments = {row["invoice_id"]: row for row in example.tables["invoice_payments"]}
    with published(settings) as connection:
        for invoice in invoices:
            records = read_invoice(connection, invoice["invoice_id"])
            document = invoice_document(records, has_pages=False)
            page = rendering.html("invoice", document)
            _check_page(page, invoice, payments[invoice["invoice_id"]])
        _check_issued(connection)
        content, _ = rendering.pdf("invoice", document, substitute="?")
        in_pdf = pdf_text(content).splitlines()
        assert {row["amount"] for row in document["totals"]} <= set(in_pdf)
        for key in sorted({str(row["billing_month"])[:7] for row in invoices}):
            month = BillingMonth.parse(key)
            of_month = [row for row in invoices if row["billing_month"] == first_day(key)]
            _check_report(close_report(connection, month), of_month, payments)
            _check_exports(
                export(connection, month, "invoices"), export(connection, month, "lines"), of_month
            )
        billed = connection.execute(
            'SELECT "InvoiceId", sum("BilledCost") FROM focus_charges'
            ' WHERE "InvoiceId" IS NOT NULL GROUP BY ALL'
        ).fetchall()
    assert dict(billed) == {row["invoice_id"]: row["total"] for row in invoices}


def check_books(example: ClosedExample) -> None:
    """The journal balances, and agrees with receivables, wallets and what Stripe holds."""
    balance: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in example.tables["journal"]:
        balance[line["entry_id"], line["currency"]] += line["debit"] - line["credit"]
    assert balance
    assert set(balance.values()) == {0}
    checks = example.tables["journal_checks"]
    assert {row["checked"] for row in checks} >= {"receivables", "documents", "stripe", "unbilled"}
    assert [row for row in checks if row["difference"]] == []
    _check_journal_files(example)


def _check_journal_files(example: ClosedExample) -> None:
    """Each month's files balance, in the forms of QuickBooks and Xero too, and DATEV's has every
    amount that is not below 0."""
    settings = Settings.from_env({"BILLING_HOME": str(example.home)})
    for day in {line["accounting_month"] for line in example.tables["journal"]}:
        with published(settings) as connection:
            files = journal_files(connection, BillingMonth.parse(str(day)[:7]))
            assert differences(connection) == []
        for name, content in files.items():
            assert isinstance(content, bytes), content
            text = content.decode("cp1252" if name.startswith("EXTF") else "utf-8")
            if name.startswith("EXTF"):
                amounts = [line.split(";")[0] for line in text.split("\r\n")[2:-1]]
                assert amounts and all(Decimal(a.replace(",", ".")) > 0 for a in amounts)
            elif name.startswith("xero"):
                assert sum(Decimal(row["*Amount"]) for row in _read(text)) == 0
            else:
                debit, credit = (
                    ("debit", "credit") if name == "journal.csv" else ("Debits", "Credits")
                )
                found = _read(text)
                assert sum(Decimal(row[debit] or 0) for row in found) == sum(
                    Decimal(row[credit] or 0) for row in found
                )


def _check_issued(connection: duckdb.DuckDBPyConnection) -> None:
    """Each document of Stripe's has its own, with Stripe's total; as an electronic invoice it
    passes the official rules. The examples name no seller: here they have one."""
    made: list[bytes] = []
    found = rows(connection, "SELECT * FROM documents ORDER BY document_id")
    assert found
    for row in found:
        issued = read_issued(connection, row)
        assert issued.is_itemized, row
        page = _Rows(rendering.html("invoice", issued_page(issued))).rows
        lines = sum(_line_amounts(page))
        sums = {cells[0]: _figure(cells[1]) for cells in page if len(cells) == 2}
        assert lines == sums["Subtotal"] + sums.get("Discounts", Decimal(0)), row
        assert abs(sums["Total"]) == abs(row["amount"]), row
        buyer = issued.buyer | {"country": issued.buyer["country"] or "FR"}
        complete = replace(issued, seller=issued.seller | _SELLER, buyer=buyer)
        found_invoice = electronic_invoice(complete)
        assert abs(found_invoice.total) == abs(row["amount"]), row
        made += [cii(found_invoice)]
        if found_invoice.buyer.address[1]:
            made += [ubl(found_invoice)]
    assert broken_rules(made) == []


_SELLER = {
    "name": "Meridian Ltd",
    "country": "IE",
    "tax_id": "IE1234567WA",
    "email": "billing@meridian.example",
}


def _line_amounts(rows: list[list[str]]) -> list[Decimal]:
    """Of the table of lines, with a column of unit prices or without: the last cells."""
    return [_figure(row[-1]) for row in rows if len(row) in (4, 5)]


def _check_page(page: str, invoice: Row, payment: Row) -> None:
    rows = _Rows(page).rows
    assert sum(_line_amounts(rows)) == invoice["subtotal"] - invoice["discount"], invoice
    sums = [(label, _figure(amount)) for label, amount in (row for row in rows if len(row) == 2)]
    labels = [label for label, _ in sums]
    total = labels.index("Total")
    assert labels[0] == "Subtotal"
    assert sums[0][1] == invoice["subtotal"]
    assert sum(amount for _, amount in sums[:total]) == sums[total][1] == invoice["total"]
    steps = [(label, value) for label, value in sums[total:] if not label.startswith("of which")]
    *steps, (last, due) = steps
    assert last == "Amount due"
    assert sum(amount for _, amount in steps) == due == payment["outstanding"], (steps, due)


def _check_report(report: Row, invoices: list[Row], payments: dict[str, Row]) -> None:
    shown = {row["currency"]: row for row in report["totals"]}
    for currency in {row["currency"] for row in invoices}:
        ours = [row for row in invoices if row["currency"] == currency]
        found = shown[currency]
        assert found["invoices"] == str(len(ours))
        for name in ("subtotal", "discount", "tax", "total"):
            assert _figure(found[name]) == sum(row[name] for row in ours), name
        for name in ("billed", "paid", "credited", "outstanding"):
            wanted = sum(payments[row["invoice_id"]][name] for row in ours)
            assert _figure(found[name]) == wanted, name
    assert all(row["passed"] for row in report["checks"][:2]), report["checks"]


def _check_exports(invoice_csv: str, line_csv: str, invoices: list[Row]) -> None:
    exported = _read(invoice_csv)
    wanted = {row["invoice_id"]: row["total"] for row in invoices}
    assert {row["invoice_id"]: Decimal(row["total"]) for row in exported} == wanted
    lines = dict.fromkeys(wanted, Decimal(0))
    for row in _read(line_csv):
        if row["is_inclusive"] == "false":
            lines[row["invoice_id"]] += Decimal(row["amount"])
    assert lines == wanted


def _read(text: str) -> Iterable[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _figure(text: str) -> Decimal:
    """``EUR −1,234.50`` as a number."""
    return Decimal(text.split()[-1].replace(",", "").replace("−", "-"))
