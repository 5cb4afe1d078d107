"""Reading exports: the documented columns, those of other systems, and what cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from billing_pipeline.comparison.their_file import (
    Export,
    ExportError,
    parse_export,
    read_export,
    read_maps,
)

ZONE = ZoneInfo("UTC")


def read(text: str) -> Export:
    return parse_export(text, "old.csv", ZONE)


def test_the_documented_columns() -> None:
    found = read(
        "customer_id,currency,description,amount,quantity,tax,line_reference,period_start,"
        "period_end\nada,usd,Calls,1.5,3,0.3,calls,2024-04-01,2024-05-01T00:00:00Z\n\n"
    )
    (line,) = found.lines
    assert (line.row, line.customer_id, line.currency, line.amount) == (2, "ada", "USD", D("1.5"))
    assert (line.quantity, line.tax, line.line_reference) == (D(3), D("0.3"), "calls")
    assert line.period_end == datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "old.csv is empty"),
        ("customer_id,amount\nada,1\n", "old.csv row 1: there is no column 'currency'"),
        ("customer_id,currency,amount\nada,USD,1\n,USD,1\n", "old.csv row 3: there is no customer"),
        ("customer_id,currency,amount\nada,XXY,1\n", "old.csv row 2: 'XXY' is not a currency"),
        ("customer_id,currency,amount\nada,USD,\n", "old.csv row 2: there is no amount"),
        ('customer_id,currency,amount\nada,USD,"1,234"\n', "old.csv row 2: '1,234' is not a dec"),
        ("customer_id,currency,amount\nada,USD,1,2\n", "old.csv row 2: 4 cells, 3 columns"),
        (
            "customer_id,currency,amount,Amount\nada,USD,1,2\n",
            "row 1: column 'amount' appears twice",
        ),
        ('customer_id,currency,amount\nada,USD,"1\n', "old.csv is not CSV"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, reason: str) -> None:
    with pytest.raises(ExportError, match=reason.replace(".", "[.]")):
        read(text)


EXPORTS = {
    "stripe_lines": (
        "id,invoice,amount,currency,description,customer,quantity,period_start,period_end\n"
        "il_1,in_1,1234,usd,Calls,cus_1,3,1711929600,1714521600\n"
    ),
    "stripe_invoices": (
        "id,Number,Customer,Currency,Subtotal,Tax,Total,Status\n"
        "in_1,A-1,cus_1,usd,12.34,0,12.34,paid\nin_2,A-2,cus_1,usd,9,0,9,void\n"
    ),
    "lago": (
        "invoice_lago_id,fee_lago_id,fee_item_type,fee_item_code,fee_item_name,"
        "subscription_external_id,fee_from_date_utc,fee_to_date_utc,fee_amount_currency,fee_units,"
        "fee_taxes_amount_cents,fee_total_amount_cents\n"
        "i,f,charge,calls,Calls,s1,2024-04-01,2024-04-30,USD,3,200,1434\n"
    ),
    "openmeter": ("customer.id,currency,name,totals.amount,quantity\n01H,USD,Calls,12.34,3\n"),
    "chargebee": (
        "Line Item ID,Customer ID,Currency,Description,Amount,Quantity,Date From,Date To\n"
        "li_1,ada,USD,Calls,12.34,3,2024-04-01,2024-04-30\n"
    ),
    "zuora": (
        "Account: Account Number,Account: Currency,Invoice Item: Charge Name,"
        "Invoice Item: Charge Amount,Invoice Item: Quantity,Invoice Item: Service Start Date,"
        "Invoice Item: Service End Date\nA1,USD,Calls,12.34,3,2024-04-01,2024-04-30\n"
    ),
}


@pytest.mark.parametrize("system", EXPORTS)
def test_exports_of_other_systems(system: str) -> None:
    found = read(EXPORTS[system])
    assert found.columns == system
    (line,) = found.lines
    assert (line.amount, line.currency) == (D("12.34"), "USD")
    if line.period_end is not None:
        assert line.period_end == datetime(2024, 5, 1, tzinfo=UTC)
    if system == "lago":
        assert line.tax == D(2)
        assert found.subscriptions == {2: "s1"}


def test_every_map_is_tried_here() -> None:
    assert {one.name for one in read_maps(None)} == set(EXPORTS)


def test_a_map_of_ones_own(tmp_path: Path) -> None:
    maps = tmp_path / "maps.toml"
    maps.write_text(
        '[ours]\nknown_by = ["Kunde"]\namounts = "minor"\ncustomer_id = ["Kunde"]\n'
        'currency = ["Währung"]\namount = ["Betrag"]\ndescription = ["Text"]\n'
    )
    export = tmp_path / "export.csv"
    export.write_text("Kunde,Währung,Betrag,Text\nada,JPY,500,Anrufe\n", encoding="utf-8-sig")
    (line,) = read_export(export, ZONE, maps).lines
    assert (line.customer_id, line.amount, line.currency) == ("ada", D(500), "JPY")
    maps.write_text('[ours]\namounts = "cents"\n')
    with pytest.raises(ExportError, match="not major or minor"):
        read_export(export, ZONE, maps)
