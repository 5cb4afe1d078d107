"""Wallets: what Stripe takes from a balance is what our ledger says, whatever interrupts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.invoicing.wallets import read_top_ups
from billing_pipeline.months import BillingMonth

from .conftest import Company
from .test_interruptions import at, finish, kill_after, kill_before, server_error_after

FEBRUARY = BillingMonth(2026, 2)


def balance(company: Company) -> int:
    (customer,) = company.stripe.objects["cus"].values()
    return int(customer["balance"])


def due(company: Company) -> dict[str, tuple[int, int]]:
    return {
        f"{i['metadata']['billing_invoice_id']}/{i['metadata']['billing_revision']}": (
            i["total"],
            i["amount_due"],
        )
        for i in company.invoices()
    }


def test_the_wallet_pays_what_it_holds_and_the_rest_is_due(company: Company) -> None:
    company.top_up(first=1000)
    company.want({"ada": [1234]}, wallet=1000)
    company.apply()
    assert due(company) == {"in_202601_ada/1": (1234, 234)}
    assert balance(company) == 0
    pulled = company.pull()
    (row,) = pulled.invoice_payments
    assert (str(row["paid"]), str(row["settled_by_balance"])) == ("2.34", "10.00")
    assert str(pulled.stripe_invoices[0]["wallet_applied"]) == "10.00"


def test_what_is_left_of_the_wallet_is_carried_on(company: Company) -> None:
    company.top_up(first=2000)
    company.want({"ada": [1234]}, wallet=1234)
    company.apply()
    assert due(company) == {"in_202601_ada/1": (1234, 0)}
    assert balance(company) == -766
    company.want({"ada": [1000]}, FEBRUARY, wallet=766)
    company.apply(FEBRUARY)
    assert due(company)["in_202602_ada/1"] == (1000, 234)
    assert balance(company) == 0


def test_each_movement_is_posted_once_however_often_the_month_runs(company: Company) -> None:
    company.top_up(first=2000, second=-500)
    company.want({"ada": [100]}, wallet=100)
    company.apply()
    company.apply()
    for path in (company.home / "records").glob("stripe_mirror*"):
        path.unlink()
    company.apply()
    assert balance(company) == -1400
    ours = [t for t in company.stripe.objects["cbtxn"].values() if t["type"] == "adjustment"]
    assert sorted(t["amount"] for t in ours) == [-2000, 500]


def test_a_later_top_up_does_not_pay_for_an_earlier_month(company: Company) -> None:
    """January is closed after February's top-up has been posted."""
    company.top_up(later=2000)
    company.want({"ada": [500]}, FEBRUARY, wallet=500)
    company.apply(FEBRUARY)
    company.movements = {}
    company.want({"ada": [300]}, wallet=0)
    company.movements = {("ada", "USD"): ()}
    company.apply()
    assert due(company)["in_202601_ada/1"] == (300, 300)
    assert balance(company) == -1500
    assert not any("billing_wallet_hold" in i["metadata"] for i in company.invoices())


def test_less_in_stripe_than_the_wallet_pays_leaves_a_draft(company: Company) -> None:
    company.want({"ada": [500]}, wallet=500)
    (failed,) = company.apply().report.failed
    assert "the wallet pays USD 5.00" in failed.message
    assert [i["status"] for i in company.invoices()] == ["draft"]


def test_credit_on_what_the_wallet_paid_goes_back_to_it(company: Company) -> None:
    company.top_up(first=1000)
    company.want({"ada": [400, 600]}, wallet=1000)
    company.apply()
    company.want({"ada": [400]}, wallet=400)
    waiting = company.preview()
    company.apply(approved_hash=waiting.hash)
    assert balance(company) == -600
    company.want({"ada": [700]}, FEBRUARY, wallet=600)
    company.apply(FEBRUARY)
    assert due(company)["in_202602_ada/1"] == (700, 100)


def story(company: Company) -> None:
    company.top_up(later=2000)
    company.want({"ada": [500]}, FEBRUARY, wallet=500)
    finish(company, FEBRUARY)
    company.movements = {("ada", "USD"): ()}
    company.want({"ada": [300]}, wallet=0)
    finish(company)


@pytest.mark.parametrize(
    "fault", [kill_before, kill_after, server_error_after], ids=lambda f: f.__name__
)
def test_one_fault_anywhere_leaves_the_same_balance(fault: Any, tmp_path: Path) -> None:
    plain = Company(tmp_path / "without")
    story(plain)
    for position in range(1, len(plain.stripe.calls) + 1):
        company = Company(tmp_path / str(position))
        company.stripe.faults.append(at(position, fault))
        story(company)
        company.stripe.faults.clear()
        assert due(company) == {"in_202601_ada/1": (300, 300), "in_202602_ada/1": (500, 0)}
        assert balance(company) == -1500


def test_a_top_up_is_read_once_however_often_it_was_paid(company: Company) -> None:
    for status in ("succeeded", "canceled", "succeeded"):
        company.stripe._new(
            "pi",
            {
                "status": status,
                "amount": 2000,
                "currency": "usd",
                "metadata": {"billing_top_up": "top-1", "billing_customer_id": "ada"},
            },
        )
        company.clock.advance(60)
    company.stripe._new("pi", {"status": "succeeded", "amount": 5, "currency": "usd"})
    found = asyncio.run(read_top_ups(company.gateway(), 0))
    (row,) = found.rows
    assert (row["transaction_id"], str(row["amount"]), row["kind"]) == ("top-1", "20.00", "top_up")
    assert len(found.doubles) == 1
