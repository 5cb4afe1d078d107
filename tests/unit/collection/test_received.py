"""Payments, refunds, disputes and credit notes of invoices, as they are read and published."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from billing_pipeline.collection.stripe_state.set_aside import read_set_aside

from .conftest import Company
from .test_pull import billed, catch_up, publish, requests, stale


def published(company: Company, **more: Any) -> list[tuple[Any, ...]]:
    return [
        (row["kind"], row["amount"], row["method"], row["status"])
        for row in company.pull(**more).payments
    ]


def paid_once(company: Company) -> dict[str, Any]:
    """One invoice of 10.00, paid and published; gives its payment intent."""
    company.bill({"ada": ["10.00"]}, payment_method="pm_card_visa")
    company.apply()
    catch_up(company)
    publish(company)
    [intent] = company.stripe.objects["pi"].values()
    return intent


def test_a_payment_is_read_once_and_adds_up_to_what_was_paid(company: Company) -> None:
    paid_once(company)
    pulled = company.pull(full=False)
    [row] = pulled.payments
    assert (row["kind"], row["amount"], row["method"]) == ("payment", Decimal(10), "card")
    assert row["amount"] == pulled.stripe_invoices[0]["amount_paid"]
    assert row["paid_at"] == pulled.stripe_invoices[0]["finalized_at"]
    assert row["payment_id"].startswith("ch_")
    assert row["card_expires"] == date(2040, 12, 31)
    # The account, and nothing of a payment that is known.
    assert requests(company, lambda: company.pull(full=False)) == 1


def test_a_refund_is_learnt_from_its_event(company: Company) -> None:
    intent = paid_once(company)
    company.clock.advance(7200)
    company.stripe.refund(intent, 300)
    [month] = stale(company)
    assert not month.in_full
    assert published(company, full=False) == [
        ("payment", Decimal(10), "card", "succeeded"),
        ("refund", Decimal(-3), None, "succeeded"),
    ]
    assert company.pull(full=False).payments == company.pull().payments


def test_a_refund_is_found_without_its_event(company: Company) -> None:
    intent = paid_once(company)
    company.stripe.refund(intent, 1000)
    assert [row[:2] for row in published(company)] == [
        ("payment", Decimal(10)),
        ("refund", Decimal(-10)),
    ]


def test_a_refund_that_failed_moved_no_money(company: Company) -> None:
    refund = company.stripe.refund(paid_once(company), 300)
    refund["status"] = "failed"
    assert [row[0] for row in published(company)] == ["payment"]


def test_a_dispute_takes_the_money_and_a_won_one_brings_it_back(company: Company) -> None:
    dispute = company.stripe.dispute(paid_once(company))
    company.clock.advance(86_400)
    assert sum(row[1] for row in published(company)) == 0
    company.stripe.close_dispute(dispute, "won")
    assert [row[:2] for row in published(company)] == [
        ("payment", Decimal(10)),
        ("dispute", Decimal(-10)),
        ("dispute_reversal", Decimal(10)),
    ]


def test_a_dispute_that_was_answered_is_learnt_from_its_event(company: Company) -> None:
    dispute = company.stripe.dispute(paid_once(company))
    catch_up(company)
    company.clock.advance(7200)
    dispute["status"] = "under_review"
    company.stripe._event("charge.dispute.updated", dispute)
    [month] = stale(company)
    assert not month.in_full
    assert [row[3] for row in published(company, full=False)] == ["succeeded", "under_review"]


def test_what_was_paid_outside_of_stripe_is_a_payment_too(company: Company) -> None:
    billed(company, count=1)
    [invoice] = company.stripe.objects["in"].values()
    invoice |= {"status": "paid", "amount_paid": 1000, "amount_remaining": 0}
    [row] = company.pull().payments
    assert (row["amount"], row["method"]) == (Decimal(10), "outside_stripe")
    assert row["payment_id"] == f"{invoice['id']}:outside_stripe"


def test_fees_are_asked_for_once(company: Company) -> None:
    intent = paid_once(company)
    intent["latest_charge"]["balance_transaction"] = "txn_1"
    company.stripe.objects["txn"] = {
        "txn_1": {"id": "txn_1", "created": 0, "fee": 59, "currency": "eur", "metadata": {}}
        | {"net": 841, "available_on": 1}
    }
    [row] = company.pull().payments
    assert (row["fee"], row["net"], row["fee_currency"]) == (
        *(Decimal("0.59"), Decimal("8.41")),
        "EUR",
    )
    asked = [path for _, path, _ in company.stripe.calls if "balance_transactions" in path]
    company.pull()
    assert asked == [path for _, path, _ in company.stripe.calls if "balance_transactions" in path]


def test_without_the_permission_for_fees_all_else_goes_on(company: Company) -> None:
    intent = paid_once(company)
    intent["latest_charge"]["balance_transaction"] = "txn_1"  # which the fake does not know
    [row] = company.pull().payments
    assert (row["amount"], row["fee"]) == (Decimal(10), None)
    [aside] = read_set_aside(company.settings.records_dir)
    assert aside.kind == "fees"


def test_many_payments_are_read_in_lists(company: Company) -> None:
    company.want({f"c{n:03}": [1000] for n in range(120)}, payment_method="pm_card_visa")
    company.apply()
    company.pull()
    assert len(company.pull().payments) == 120
    # account, two pages of invoices, two pages of payments
    assert requests(company, company.pull) <= 6


def test_what_cannot_be_read_of_one_payment_stops_nobody(company: Company) -> None:
    company.want({name: [1000] for name in "abcd"}, payment_method="pm_card_visa")
    company.apply()
    odd, *_ = company.stripe.objects["inpay"].values()
    odd["status_transitions"] = {"paid_at": "yesterday"}
    assert len(company.pull().payments) == 3
    [aside] = read_set_aside(company.settings.records_dir)
    assert aside.target == odd["invoice"]


def test_a_credit_note_is_published_whoever_issued_it(company: Company) -> None:
    billed(company, count=2)
    first, _ = company.invoices()
    note = {"invoice": first["id"], "amount": "100", "metadata": {}, "reason": "duplicate"}
    company.stripe.act("post", "/v1/credit_notes", note)
    [row] = company.pull().credit_notes
    assert (row["amount"], row["tax"], row["reason"]) == (Decimal(1), Decimal(0), "duplicate")
    assert row["stripe_invoice_id"] == first["id"]
    [made] = company.stripe.objects["cn"].values()
    made["status"] = "void"
    assert company.pull().credit_notes == []
