"""Exports of five systems with causes put in, several of them on one line: each is found, in every
form, and nothing else.

What belongs here: what the others did otherwise, and their exports. What does not: one cause at a
time on lines (test_causes.py), and what a column means (test_their_file.py).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from billing_pipeline.comparison.calculation import Tier, rounded
from billing_pipeline.comparison.lines import OurLine, TheirLine, Usage
from billing_pipeline.comparison.their_file import parse_export
from tests.unit.comparison.made import END, START, VAT, causes, charge, line, same, their

BOOK = tuple(
    Tier(None if size is None else Fraction(size), Fraction(rate), Fraction(0))
    for size, rate in ((100, "0.125"), (1400, "0.05"), (None, "0.02"))
)
LATE = {"usages": (Usage(D(1000), 1000, "without an event of usage/2024-04/late.csv"),)}
OURS = [
    charge(name, text, taxes=(VAT,), meter_id=meter, **more)
    for name, text, meter, more in (
        ("Calls", "1001 events, metered 1001; per_unit: 1001 × 0.0125", "calls", LATE),
        ("Fee", "quantity 1; flat: flat 10; × 1749600 / 2592000 seconds of the period", None, {}),
        (
            "Requests",
            "1200 events, metered 1200; graduated: tier 1: 100 × 0.125; tier 2: 1100 × 0.05",
            *("requests", {"tiers": BOOK}),
        ),
        ("Seats", "quantity 5; per_unit: 5 × 15", None, {}),
        ("SMS", "33 events, metered 33; 10 included, 23 billable; per_unit: 23 × 0.125", "sms", {}),
    )
]
CALLS, FEE, TIERS, SEATS, SMS = OURS
Lines = dict[str, TheirLine]


def change(our: OurLine, amount: str, quantity: int | None = None) -> Callable[[Lines], None]:
    def made(lines: Lines) -> None:
        counted = our.quantity if quantity is None else D(quantity)
        lines[our.description] = same(our, amount=D(amount), quantity=counted)

    return made


def add(lines: Lines) -> None:
    lines["Data export"] = their("Data export", "15.50", quantity=D(1))


def drop(lines: Lines) -> None:
    del lines["Seats"]


def convert(lines: Lines) -> None:
    for name, one in lines.items():
        amount = rounded(Fraction(one.amount) * Fraction("1.08"), 2)
        lines[name] = replace(one, currency="EUR", amount=amount)


# What they did, the percentage of their tax, and which causes that has.
CASES: dict[str, tuple[list[Callable[[Lines], None]], int, set[str]]] = {
    "nothing": ([], 20, set()),
    "another tax": ([], 21, {"tax"}),
    "late usage at another price": ([change(CALLS, "15", 1000)], 20, {"late usage", "price"}),
    "begun days of another price": ([change(FEE, "8.40")], 20, {"proration by day", "price"}),
    "a quantity in a tier that ours does not reach": (
        [change(TIERS, "86.50", 1700)],
        *(20, {"quantity"}),
    ),
    "another quantity at another price": ([change(SEATS, "96", 6)], 20, {"quantity", "price"}),
    "a price that is higher by what the tax is": ([change(SEATS, "90")], 20, {"price"}),
    "a price that is higher by what the tax is of it": ([change(SEATS, "93.75")], 20, {"price"}),
    "always up, and nothing included": (
        [change(CALLS, "12.52"), change(SMS, "4.13")],
        *(19, {"rounding", "quantity", "tax"}),
    ),
    "a line less and a line more": ([drop, add], 20, {"missing line", "extra line"}),
    "converted, one of another price": (
        [change(SEATS, "80"), convert],
        *(20, {"currency", "price"}),
    ),
}


@pytest.mark.parametrize("system", ["stripe_lines", "lago", "openmeter", "chargebee", "zuora"])
@pytest.mark.parametrize("case", CASES)
def test_causes_of_exports_are_found(case: str, system: str) -> None:
    changes, percent, expected = CASES[case]
    lines = {our.description: same(our) for our in OURS}
    for one in changes:
        one(lines)
    export = parse_export(written(system, list(lines.values()), percent), system, ZoneInfo("UTC"))
    assert export.columns == system
    base = sum((our.amount for our in OURS), D(0))
    tax = rounded(Fraction(base) / 5, 2)
    vat = line("tax", "VAT 20 %", f"{tax}", f"{base} × 20 / 100; rounded", tax_rate_id="vat")
    theirs = [replace(one, customer_id="ada") for one in export.lines]
    assert set(causes([*OURS, vat], theirs)) == expected


def written(system: str, lines: list[TheirLine], percent: int) -> str:
    """The export, with as much tax on its lines as on their sum."""
    left = rounded(Fraction(sum(one.amount for one in lines)) * percent / 100, 2)
    rows = []
    for number, one in enumerate(lines):
        is_last = number == len(lines) - 1
        tax = left if is_last else rounded(Fraction(one.amount) * percent / 100, 2)
        left -= tax
        rows.append(_ROWS[system](number, one, tax))
    if system == "zuora":
        total = sum((D(row.pop("tax")) for row in rows), D(0))
        tax_row = {"Invoice Item: Charge Name": "Sales tax", "Invoice Item: Processing Type": "Tax"}
        rows.append(rows[0] | tax_row | {"Invoice Item: Charge Amount": f"{total}"})
        rows[-1]["Invoice Item: Quantity"] = ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _stripe(number: int, one: TheirLine, tax: D) -> dict[str, str]:
    return {
        "id": f"il_{number}", "invoice": "in_1", "amount": f"{one.amount * 100:.0f}",
        "currency": one.currency.lower(), "description": f"{one.quantity} × {one.description}",
        "customer": "cus_1", "quantity": f"{one.quantity}",
        "period_start": f"{START.timestamp():.0f}", "period_end": f"{END.timestamp():.0f}",
        "tax_amount": f"{tax * 100:.0f}", "price_id": f"price_1N{number}",
    }  # fmt: skip


def _lago(number: int, one: TheirLine, tax: D) -> dict[str, str]:
    return {
        "invoice_lago_id": "i", "fee_lago_id": f"f{number}", "fee_item_type": "charge",
        "fee_item_code": one.description.lower(), "fee_item_name": one.description,
        "subscription_external_id": "s1", "fee_from_date_utc": "2024-04-01",
        "fee_to_date_utc": "2024-04-30", "fee_amount_currency": one.currency,
        "fee_units": f"{one.quantity}", "fee_taxes_amount_cents": f"{tax * 100:.0f}",
        "fee_total_amount_cents": f"{(one.amount + tax) * 100:.0f}",
    }  # fmt: skip


def _openmeter(number: int, one: TheirLine, tax: D) -> dict[str, str]:
    return {
        "id": f"01H{number}", "customer.id": "01HC", "customer.key": "ada",
        "currency": one.currency, "name": one.description, "quantity": f"{one.quantity}",
        "period.from": START.isoformat(), "period.to": END.isoformat(),
        "totals.amount": f"{one.amount}", "totals.taxes_total": f"{tax}",
    }  # fmt: skip


def _chargebee(number: int, one: TheirLine, tax: D) -> dict[str, str]:
    return {
        "Line Item ID": f"li_{number}", "Customer ID": "ada", "Currency": one.currency,
        "Description": f"{one.description} ({one.quantity})", "Entity ID": f"x-{number}-USD",
        "Date From": "2024-04-01", "Date To": f"{END - timedelta(days=1):%Y-%m-%d}",
        "Quantity": f"{one.quantity}", "Amount": f"{one.amount}", "Tax Amount": f"{tax}",
    }  # fmt: skip


def _zuora(number: int, one: TheirLine, tax: D) -> dict[str, str]:
    return {
        "Account: Account Number": "ada", "Account: Currency": one.currency,
        "Invoice Item: Charge Name": one.description, "Invoice Item: Quantity": f"{one.quantity}",
        "Invoice Item: Charge Amount": f"{one.amount}",
        "Invoice Item: Service Start Date": "2024-04-01",
        "Invoice Item: Service End Date": "2024-04-30",
        "Invoice Item: Processing Type": "Charge", "tax": f"{tax}",
    }  # fmt: skip


_ROWS = {
    "stripe_lines": _stripe,
    "lago": _lago,
    "openmeter": _openmeter,
    "chargebee": _chargebee,
    "zuora": _zuora,
}
