"""Exports for bookkeeping: exact amounts, ISO times, no formulas, and always a header."""

from __future__ import annotations

import csv
import io
import re

import duckdb
import pytest

from billing_pipeline.documents.exports import export, in_ascii
from billing_pipeline.documents.reading import NoDocumentError, published
from billing_pipeline.settings import Settings
from tests.end_to_end.commands import ROOT
from tests.unit.documents.conftest import FEBRUARY


def exported(settings: Settings, what: str) -> list[dict[str, str]]:
    with published(settings) as connection:
        return list(csv.DictReader(io.StringIO(export(connection, FEBRUARY, what))))


def test_invoices(settings: Settings) -> None:
    rows = exported(settings, "invoices")
    assert [(row["invoice_id"], row["number"], row["total"], row["status"]) for row in rows] == [
        ("feb-a", "N-feb-a", "70.00", "open"),
        ("feb-j", "", "1200", "not sent"),
        ("feb-b", "N-feb-b", "1030.50", "open"),
    ]
    assert rows[0]["customer_name"] == '\'=Ada "A"'  # a spreadsheet reads text, not a formula
    assert (rows[0]["month"], rows[0]["due_date"]) == ("2024-02", "2024-04-09")
    assert rows[1]["due_date"] == "2024-03-31"  # not sent: as computed
    assert rows[1]["outstanding"] == ""


def test_lines(settings: Settings) -> None:
    first = exported(settings, "lines")[0]
    assert (first["quantity"], first["amount"], first["is_inclusive"]) == ("0.5", "70.00", "false")
    assert (first["period_start"], first["period_end"]) == (
        "2024-02-01T00:01:30Z",
        "2024-03-01T00:00:00Z",
    )
    assert (first["price_id"], first["plan_id"]) == ("calls", "pro")


def test_focus(settings: Settings) -> None:
    first = exported(settings, "focus")[0]
    assert "billing_month" not in first
    assert first["BilledCost"] == first["ListCost"] == "70.00"
    assert (first["ConsumedQuantity"], first["ChargeClass"]) == ("0.5", "")
    assert first["BillingPeriodStart"] == "2024-02-01T00:00:00Z"
    assert first["ProviderName"] == "Meridian"


def test_a_quantity_below_0_is_a_number(empty: duckdb.DuckDBPyConnection) -> None:
    """Of a correction. A text with this sign would be taken for a formula, and be quoted."""
    empty.execute(
        "INSERT INTO focus_charges (billing_month, ProviderName, BillingCurrency,"
        " ConsumedQuantity, PricingQuantity) VALUES ('2024-02-01', 'Meridian', 'EUR', -700, 1000)"
    )
    [row] = csv.DictReader(io.StringIO(export(empty, FEBRUARY, "focus")))
    assert (row["ConsumedQuantity"], row["PricingQuantity"]) == ("-700.0", "1000.0")


def test_a_quantity_keeps_all_its_digits(empty: duckdb.DuckDBPyConnection) -> None:
    """An average over time has 18 decimal places: with 11 digits before them it has more than
    Python's own context keeps."""
    quantity = "12345678901.333333333333333333"
    empty.execute(
        "INSERT INTO focus_charges (billing_month, ProviderName, BillingCurrency,"
        f" ConsumedQuantity) VALUES ('2024-02-01', 'Meridian', 'EUR', {quantity})"
    )
    [row] = csv.DictReader(io.StringIO(export(empty, FEBRUARY, "focus")))
    assert row["ConsumedQuantity"] == quantity


def test_focus_has_names_in_ascii() -> None:
    row = {"BillingAccountName": "Müller 株式会社", "BillingAccountId": "münchen"}
    assert in_ascii(row) == {
        "BillingAccountName": "Muller Zhu Shi Hui She",
        "BillingAccountId": "münchen",
    }


def test_the_guide_explains_the_columns_of_focus(settings: Settings) -> None:
    guide = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")
    mapping = guide.partition("## FOCUS")[2].partition("Left out")[0]
    documented = re.findall(r"^\| `(\w+)` \|", mapping, re.MULTILINE)
    assert documented == list(exported(settings, "focus")[0])


@pytest.fixture
def empty(settings: Settings) -> duckdb.DuckDBPyConnection:
    """The same tables without an invoice, and without a seller."""
    with published(settings) as connection:
        tables = ("invoices", "invoice_lines", "charges", "customers", "seller")
        more = ("invoice_payments", "stripe_invoices", "due_dates", "focus_charges")
        memory = duckdb.connect()
        for name in (*tables, *more):
            rows = connection.sql(f"SELECT * FROM {name}").to_arrow_table()
            memory.register("rows", rows)
            where = "true" if name == "seller" else "false"
            memory.execute(f"CREATE TABLE {name} AS SELECT * FROM rows WHERE {where}")
        memory.execute("UPDATE seller SET name = NULL")
    return memory


def test_a_month_without_invoices_has_a_header(empty: duckdb.DuckDBPyConnection) -> None:
    text = export(empty, FEBRUARY, "invoices")
    assert text.startswith("invoice_id,number,month,")
    assert text.count("\n") == 1


def test_focus_without_a_provider_is_refused(empty: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(NoDocumentError, match=r"write accounts/seller\.csv"):
        export(empty, FEBRUARY, "focus")
