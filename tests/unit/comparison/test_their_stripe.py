"""Another system's invoices in Stripe: which lines are a month's, and what is compared of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

from billing_pipeline.comparison.their_stripe import read_stripe
from billing_pipeline.months import BillingMonth
from billing_pipeline.stripe_api.client import StripeGateway
from tests.unit.comparison.made import END, START, VAT, causes, charge, line

APRIL = BillingMonth(2024, 4)
Json = dict[str, Any]


def epoch(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def stripe_line(name: str, amount: int, start: str, end: str, **more: Any) -> Json:
    period = {"start": epoch(start), "end": epoch(end)}
    return {
        "id": f"il_{name}", "description": name, "amount": amount, "currency": "usd",
        "quantity": 1, "period": period, **more,
    }  # fmt: skip


def invoice(*lines: Json, **more: Any) -> Json:
    return {
        "id": "in_1", "customer": "cus_1", "status": "paid", "metadata": {},
        "customer_email": "ada@example.com", "lines": {"data": list(lines), "has_more": False},
        **more,
    }  # fmt: skip


class Stripe:
    """Answers lists as Stripe does: the newest invoice first."""

    def __init__(self, *invoices: Json, more_lines: list[Json] | None = None) -> None:
        self.invoices, self.more_lines = invoices, more_lines
        self.asked: list[tuple[str, Any]] = []

    async def list(self, path: str, params: Any = None) -> AsyncIterator[Json]:
        self.asked.append((path, params))
        for item in self.invoices if path == "/v1/invoices" else self.more_lines or ():
            yield item


def read(stripe: Stripe, **customers: str) -> tuple[Any, ...]:
    gateway = cast(StripeGateway, stripe)
    return asyncio.run(read_stripe(gateway, APRIL, ZoneInfo("UTC"), customers)).lines


def test_lines_of_the_month_on_invoices_that_are_not_ours() -> None:
    usage = stripe_line("calls", 1234, "2024-04-01", "2024-05-01", quantity=1003)
    before = stripe_line("earlier", 1, "2024-03-31", "2024-04-30")
    after = stripe_line("later", 1, "2024-05-01", "2024-06-01")
    once = stripe_line("setup", 500, "2024-04-09", "2024-04-09", quantity=None)
    stripe = Stripe(
        invoice(after, once),
        invoice(usage, status="draft"),
        invoice(usage, status="void"),
        invoice(usage, metadata={"billing_invoice_id": "in_ours"}),
        invoice(before, usage),
    )
    calls, setup = read(stripe)
    assert stripe.asked == [
        ("/v1/invoices", {"created": {"gte": epoch("2024-03-01"), "lt": epoch("2024-06-01")}})
    ]
    assert (calls.row, calls.amount, calls.quantity) == (1, Decimal("12.34"), Decimal(1003))
    assert (calls.period_start, calls.period_end) == (START, END)
    assert (setup.row, setup.amount, setup.period_start) == (2, Decimal(5), None)
    assert calls.customer_id == "ada@example.com", "of an unknown customer the e-mail"
    assert read(Stripe(invoice(usage)), cus_1="ada")[0].customer_id == "cus_1"


def test_discounts_and_taxes_of_either_form_of_the_api() -> None:
    april = ("2024-04-01", "2024-05-01")
    old = stripe_line(
        *("old", 1000, *april),
        discount_amounts=[{"amount": 100, "discount": "di_1"}],
        tax_amounts=[{"amount": 180, "inclusive": False}, {"amount": 9, "inclusive": True}],
        price={"id": "price_old"},
    )
    new = stripe_line(
        *("new", 1000, *april),
        taxes=[
            {"amount": 200, "tax_behavior": "exclusive"},
            {"amount": 9, "tax_behavior": "inclusive"},
        ],
        pricing={"price_details": {"price": "price_new"}},
    )
    found = read(Stripe(invoice(old, new)))
    assert [(one.amount, one.tax, one.line_reference, one.kind) for one in found] == [
        (Decimal(10), Decimal("1.80"), "price_old", "charge"),
        (Decimal(-1), None, None, "discount"),
        (Decimal(10), Decimal(2), "price_new", "charge"),
    ]


def test_an_invoice_of_many_lines_is_read_to_its_end() -> None:
    lines = [stripe_line(str(n), n, "2024-04-01", "2024-05-01") for n in range(1, 13)]
    many = invoice(lines={"data": lines[:10], "has_more": True})
    assert len(read(Stripe(many, more_lines=lines))) == 12


def test_what_differs_has_its_cause() -> None:
    text = "quantity 1003; per_unit: 1003 × 0.0125; exactly 12.5375, rounded to 12.54 USD"
    calls = charge("calls", text, taxes=(VAT,))
    ours = [calls, line("tax", "VAT", "2.51", tax_rate_id="vat")]
    april = ("2024-04-01", "2024-05-01")

    def theirs(amount: int, tax: int, *more: Json) -> list[Any]:
        taxes = [{"amount": tax, "tax_behavior": "exclusive"}]
        calls = stripe_line("calls", amount, *april, quantity=1003, taxes=taxes)
        return list(read(Stripe(invoice(calls, *more)), cus_1="ada"))

    def found(*lines: Any) -> dict[str, Decimal]:
        resolved = [replace(one, customer_id="ada") for one in theirs(*lines)]
        return causes(ours, resolved)

    assert found(1254, 251) == {}
    assert found(1253, 251) == {"rounding": Decimal("-0.01")}
    assert found(1254, 241) == {"tax": Decimal("-0.10")}
    setup = stripe_line("setup", 500, "2024-04-09", "2024-04-09")
    assert found(1254, 251, setup) == {"extra line": Decimal(5)}
