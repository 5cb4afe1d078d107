"""One-off charges and credits, and invoices for several customers, worked out by hand.

What belongs here: on whose invoice a line stands, and what it adds to it. What does not: what tells
of an earlier billing (tests/unit/collection/test_witnesses.py), random worlds (tests/property).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import save_versions
from tests.dbt.inputs import Inputs, Rated, rated, settings_of

BEGIN, LAST, END = "2024-04-01T00:00:00Z", "2024-04-30T23:59:59.999999Z", "2024-05-01T00:00:00Z"


def company() -> Inputs:
    inputs = Inputs()
    inputs.add("tax_rates", tax_rate_id="de", country="DE", percentage="19")
    inputs.add("tax_rates", tax_rate_id="de-books", country="DE", percentage="7", tax_code="books")
    inputs.add("tax_rates", tax_rate_id="fr", country="FR", percentage="20")
    cells = {"percent_off": "10", "duration": "forever"}
    inputs.add("coupons", coupon_id="TENTH", **cells)
    inputs.fee("fee", "100")
    for name in ("adjusted", "credited", "only adjusted", "early and late"):
        inputs.add("customers", customer_id=name, currency="EUR", country="DE")
    for name in ("adjusted", "credited", "early and late"):
        inputs.subscribe(name, "fee", coupon_id="TENTH")
    adjust(inputs, "set-up", "adjusted", "50", description="Set-up")
    adjust(inputs, "books", "adjusted", "-10.005", tax_code="books", subscription="adjusted/fee")
    adjust(inputs, "goodwill", "credited", "-150")
    adjust(inputs, "alone", "only adjusted", "7")
    adjust(inputs, "too-late", "early and late", "1", occurred_at=END)
    adjust(inputs, "too-early", "early and late", "2", occurred_at="2024-03-31T23:59:59.999999Z")
    adjust(inputs, "first", "early and late", "4", occurred_at=BEGIN)
    adjust(inputs, "last", "early and late", "8", occurred_at=LAST)
    _add_group(inputs)
    return inputs


def adjust(inputs: Inputs, name: str, customer: str, amount: str, **cells: str) -> None:
    cells = {"occurred_at": "2024-04-10T00:00:00Z"} | cells
    if "subscription" in cells:
        cells["subscription_id"] = cells.pop("subscription")
    ids = {"adjustment_id": name, "customer_id": customer, "currency": "EUR"}
    inputs.add("adjustments", amount=amount, **ids, **cells)


def _add_group(inputs: Inputs) -> None:
    """A group in France: a branch in Germany, one that leaves as the month ends, one that left a
    microsecond before, one that never pays, and one in dollars; and a payer who is none."""
    inputs.add("customers", customer_id="group", currency="EUR", country="FR")
    inputs.subscribe("group", "fee")
    for name, cells in {
        "branch": {"bill_to": "group", "country": "DE", "tax_exempt": "true"},
        "dollars": {"bill_to": "group", "currency": "USD"},
        "stays": {"bill_to": "group"},
        "left": {"bill_to": "group"},
        "test": {"bill_to": "group", "is_payer": "false"},
        "orphan": {"bill_to": "partner"},
        "partner": {"is_payer": "false"},
    }.items():
        inputs.add("customers", customer_id=name, **{"currency": "EUR", "country": "DE"} | cells)
        inputs.subscribe(name, "fee", coupon_id="TENTH" if name == "branch" else "")
    inputs.add("customers", customer_id="stays", currency="EUR", country="DE", valid_from=END)
    inputs.add("customers", customer_id="left", currency="EUR", country="DE", valid_from=LAST)
    adjust(inputs, "branch-credit", "branch", "-5", description="Credit")


@pytest.fixture(scope="module")
def april(tmp_path_factory: pytest.TempPathFactory) -> Rated:
    return rated(company(), "2024-04", tmp_path_factory.mktemp("april"))


def test_adjustments_come_after_discounts_and_before_taxes(april: Rated) -> None:
    # 19 % of 100 - 10 + 50, 7 % of -10.01.
    assert april.lines("adjusted") == [
        ("fee: fee-1", "100.00"), ("Coupon TENTH: 10 % off", "-10.00"),
        ("Adjustment books", "-10.01"), ("Set-up", "50.00"),
        ("de 19 %", "26.60"), ("de-books 7 %", "-0.70"),
    ]  # fmt: skip
    invoice = april.invoice("adjusted")
    figures = [str(invoice[name].normalize()) for name in ("subtotal", "discount", "tax", "total")]
    assert figures == ["139.99", "1E+1", "25.9", "155.89"]


def test_an_invoice_without_a_charge_is_saved_once_until_it_changes(april: Rated) -> None:
    """As billed: a second version of the same number would double its lines on documents."""
    directory = april.warehouse.parents[3]
    settings, month = settings_of(directory), BillingMonth.parse("2024-04")
    name = april.invoice("only adjusted")["invoice_id"]
    for count in (1, 0):
        assert save_versions(settings, month, [name], "run", datetime.now(UTC)) == count


def test_a_total_below_0_is_due_to_nobody(april: Rated) -> None:
    invoice = april.invoice("credited")
    assert (invoice["total"], invoice["amount_due"]) == (Decimal("-71.40"), 0)


def test_an_adjustment_alone_is_an_invoice(april: Rated) -> None:
    assert april.invoice("only adjusted")["total"] == Decimal("8.33")


def test_an_adjustment_counts_in_the_month_in_which_it_occurred(april: Rated) -> None:
    assert april.lines("early and late", "adjustment") == [
        ("Adjustment first", "4.00"), ("Adjustment last", "8.00"),
    ]  # fmt: skip


def test_lines_of_several_customers_stand_on_the_payers_invoice(april: Rated) -> None:
    (euros,) = april.rows("invoices", customer_id="group", currency="EUR")
    lines = sorted(
        april.rows("invoice_lines", invoice_id=euros["invoice_id"]), key=lambda r: r["position"]
    )
    assert [(row["customer_id"], row["kind"], str(row["amount"].normalize())) for row in lines] == [
        ("group", "charge", "1E+2"), ("branch", "charge", "1E+2"), ("branch", "discount", "-1E+1"),
        ("branch", "adjustment", "-5"), ("stays", "charge", "1E+2"), ("group", "tax", "57"),
    ]  # fmt: skip
    assert (euros["subtotal"], euros["discount"], euros["total"]) == (295, 10, 342)


def test_each_currency_is_an_invoice_of_the_payer(april: Rated) -> None:
    (dollars,) = april.rows("invoices", customer_id="group", currency="USD")
    assert dollars["total"] == 120


def test_a_customer_who_left_the_group_is_billed_separately(april: Rated) -> None:
    assert april.invoice("left")["total"] == 119
    assert not april.rows("invoices", customer_id="stays")


def test_a_non_payer_has_no_lines_on_either_side(april: Rated) -> None:
    for name in ("test", "orphan", "partner"):
        assert april.rows("charges", customer_id=name)
        assert not april.rows("invoice_lines", customer_id=name)
