"""Actions of people and banks: refunds, disputes, debits, payments outside Stripe.

All of them through the official SDK, with its types.
"""

from __future__ import annotations

import typing
from typing import Any

import pytest
import stripe

from tests.unit.stripe_sandbox.company import Company

DAY = 86_400
DEBIT, REFUSED = "pm_success_de", "pm_failed_de"


@pytest.fixture
def company() -> Company:
    return Company()


def billed(company: Company, amount: int = 1500, method: str = "pm_card_visa") -> stripe.Invoice:
    """An invoice that was finalized and asked to be paid."""
    invoice_id = company.draft(company.customer(method), amount)
    company.v1.invoices.finalize_invoice(invoice_id)
    return company.v1.invoices.pay(invoice_id)


def charge_of(company: Company, invoice: stripe.Invoice) -> stripe.Charge:
    [charge] = company.v1.charges.list({"customer": str(invoice.customer)}).data
    return charge


def types_of(company: Company) -> list[str]:
    """All events, the oldest first."""
    return [event.type for event in company.v1.events.list({"limit": 100}).data][::-1]


def test_a_refund_gives_a_charge_back_and_leaves_the_invoice_paid(company: Company) -> None:
    invoice = billed(company)
    charge = charge_of(company, invoice)
    part = company.v1.refunds.create({"charge": charge.id, "amount": 500})
    assert (part.status, part.amount, part.payment_intent) == (
        "succeeded",
        500,
        charge.payment_intent,
    )
    rest = company.v1.refunds.create({"payment_intent": str(charge.payment_intent)})
    assert rest.amount == 1000
    after = company.v1.charges.retrieve(charge.id)
    assert (after.amount_refunded, after.refunded, after.status) == (1500, True, "succeeded")
    assert company.v1.invoices.retrieve(invoice.id).status == "paid"
    assert {"charge.refunded", "refund.created"} <= set(types_of(company))
    assert len(company.v1.refunds.list({"charge": charge.id}).data) == 2
    with pytest.raises(stripe.InvalidRequestError, match="already been refunded"):
        company.v1.refunds.create({"charge": charge.id})


def test_a_credit_note_refunds_the_charge(company: Company) -> None:
    invoice = billed(company)
    note = company.v1.credit_notes.create(
        {"invoice": invoice.id, "amount": 400, "refund_amount": 400}
    )
    assert charge_of(company, invoice).amount_refunded == 400
    assert company.v1.refunds.retrieve(str(note.refunds[0].refund)).amount == 400


def test_an_invoice_paid_outside_stripe_cannot_be_refunded(company: Company) -> None:
    invoice_id = company.draft(company.customer(), 1500)
    company.v1.invoices.finalize_invoice(invoice_id)
    paid = company.v1.invoices.pay(invoice_id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid, paid.amount_paid_off_stripe) == ("paid", 1500, 1500)
    assert company.v1.charges.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="refund"):
        company.v1.credit_notes.create({"invoice": invoice_id, "amount": 1, "refund_amount": 1})


def reported(company: Company, customer: str, amount: int) -> str:
    """A payment that was made outside of Stripe."""
    record: Any = {
        "amount_requested": {"value": amount, "currency": "usd"},
        "customer_details": {"customer": customer},
        "initiated_at": 1,
        "outcome": "guaranteed",
        "guaranteed": {"guaranteed_at": 1},
        "payment_method_details": {"type": "custom", "custom": {"display_name": "Wallet"}},
    }
    return company.v1.payment_records.report_payment(record).id


def test_reported_payments_pay_an_invoice_in_parts(company: Company) -> None:
    customer = company.customer()
    invoice_id = company.draft(customer, 1500)
    company.v1.invoices.finalize_invoice(invoice_id)
    first = reported(company, customer, 600)
    part = company.v1.invoices.attach_payment(invoice_id, {"payment_record": first})
    assert (part.status, part.amount_paid, part.amount_remaining) == ("open", 600, 900)
    with pytest.raises(stripe.InvalidRequestError, match="attached to an invoice already"):
        company.v1.invoices.attach_payment(invoice_id, {"payment_record": first})
    stranger = reported(company, company.customer(), 900)
    with pytest.raises(stripe.InvalidRequestError, match="another customer"):
        company.v1.invoices.attach_payment(invoice_id, {"payment_record": stranger})
    with pytest.raises(stripe.InvalidRequestError, match="paid in part"):
        company.v1.invoices.void_invoice(invoice_id)
    rest: Any = {"payment_record": reported(company, customer, 1000)}
    paid = company.v1.invoices.attach_payment(invoice_id, rest)
    assert (paid.status, paid.amount_paid, paid.amount_overpaid) == ("paid", 1500, 100)
    assert paid.amount_paid_off_stripe == 1600
    payments = company.v1.invoice_payments.list({"invoice": invoice_id, "status": "paid"}).data
    assert [item.payment.type for item in payments] == ["payment_record"] * 2
    assert company.v1.customers.retrieve(customer).balance == -100


@pytest.mark.parametrize("won", [True, False])
def test_a_dispute_takes_the_money_and_gives_it_back_where_it_is_won(
    company: Company, won: bool
) -> None:
    charge = charge_of(company, billed(company))
    name = company.sandbox.open_dispute(charge.id)
    dispute = company.v1.disputes.retrieve(name)
    assert (dispute.status, dispute.amount, dispute.payment_intent) == (
        "needs_response",
        1500,
        charge.payment_intent,
    )
    assert company.v1.charges.retrieve(charge.id).disputed
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        company.v1.refunds.create({"charge": charge.id})
    company.sandbox.close_dispute(name, won=won)
    dispute = company.v1.disputes.list({"charge": charge.id}).data[0]
    assert dispute.status == ("won" if won else "lost")
    moved = [(item.amount, item.fee, item.net) for item in dispute.balance_transactions]
    # The fee is not given back.
    assert moved == [(-1500, 1500, -3000), *([(1500, 0, 1500)] if won else [])]
    [fee] = dispute.balance_transactions[0].fee_details
    assert (fee.amount, fee.description, fee.type) == (1500, "Dispute fee", "stripe_fee")
    names = [name for name in types_of(company) if "dispute" in name]
    back = ["charge.dispute.funds_reinstated"] if won else []
    opened = ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert names == [*opened, "charge.dispute.closed", *back]


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("pm_card_createDispute", "fraudulent"),
        ("pm_card_createDisputeProductNotReceived", "product_not_received"),
    ],
)
def test_some_test_cards_pay_and_dispute_each_charge(
    company: Company, card: str, reason: str
) -> None:
    invoice = billed(company, method=card)
    assert (invoice.status, charge_of(company, invoice).disputed) == ("paid", True)
    [dispute] = company.v1.disputes.list().data
    assert (dispute.status, dispute.amount, dispute.reason) == ("needs_response", 1500, reason)


def test_a_dispute_is_answered_by_evidence_or_accepted(company: Company) -> None:
    first, second = (charge_of(company, billed(company)) for _ in range(2))
    name = company.sandbox.open_dispute(first.id, 300)
    evidence: Any = {"uncategorized_text": "winning_evidence"}
    won = company.v1.disputes.update(name, {"evidence": evidence})
    lost = company.v1.disputes.close(company.sandbox.open_dispute(second.id))
    assert (won.status, won.amount, lost.status) == ("won", 300, "lost")


def test_a_debit_takes_days_and_then_pays(company: Company) -> None:
    invoice = billed(company, method=DEBIT)
    assert (invoice.status, invoice.attempted, invoice.attempt_count) == ("open", True, 1)
    charge = charge_of(company, invoice)
    assert (charge.status, charge.paid) == ("pending", False)
    intent = company.v1.payment_intents.retrieve(str(charge.payment_intent))
    assert (intent.status, intent.payment_method_types) == ("processing", ["sepa_debit"])
    for act in (
        lambda: company.v1.invoices.pay(invoice.id),
        lambda: company.v1.invoices.pay(invoice.id, {"paid_out_of_band": True}),
        lambda: company.v1.invoices.void_invoice(invoice.id),
        lambda: company.v1.credit_notes.create({"invoice": invoice.id, "amount": 100}),
        lambda: company.v1.payment_intents.cancel(intent.id),
    ):
        with pytest.raises(stripe.InvalidRequestError, match="process"):
            act()
    company.clock.advance(4 * DAY)
    assert company.v1.invoices.retrieve(invoice.id).status == "open"
    company.clock.advance(2 * DAY)
    paid = company.v1.invoices.retrieve(invoice.id)
    assert (paid.status, paid.amount_paid) == ("paid", 1500)
    assert company.v1.charges.retrieve(charge.id).paid
    [event] = company.v1.events.list({"type": "invoice.paid"}).data
    # It happened when the bank answered, not when somebody looked.
    assert event.created == charge.created + 5 * DAY


def test_a_debit_that_fails_leaves_the_invoice_open(company: Company) -> None:
    invoice = billed(company, method=REFUSED)
    company.clock.advance(6 * DAY)
    assert company.v1.invoices.retrieve(invoice.id).status == "open"
    charge = charge_of(company, invoice)
    assert (charge.status, charge.failure_code) == ("failed", "debit_not_authorized")
    assert types_of(company)[-3:] == [
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.payment_failed",
    ]
    card = company.v1.payment_methods.attach("pm_card_visa", {"customer": str(invoice.customer)})
    assert company.v1.invoices.pay(invoice.id, {"payment_method": card.id}).status == "paid"


def test_a_debit_that_was_paid_may_be_disputed_at_once(company: Company) -> None:
    invoice = billed(company, method="pm_disputed_fr")
    company.clock.advance(6 * DAY)
    assert company.v1.invoices.retrieve(invoice.id).status == "paid"
    assert [item.amount for item in company.v1.disputes.list().data] == [1500]


def test_an_invoice_is_paid_in_parts_and_too_much_goes_to_the_balance(company: Company) -> None:
    customer = company.customer()
    invoice_id = company.draft(customer, 1500)
    company.v1.invoices.finalize_invoice(invoice_id)
    states = []
    for amount in (600, 1000):
        payment: Any = {"payment_method": "pm_card_visa", "confirm": True, "customer": customer}
        payment |= {"allowed_payment_method_types": ["card"]}
        made = company.v1.payment_intents.create({"amount": amount, "currency": "usd", **payment})
        after = company.v1.invoices.attach_payment(invoice_id, {"payment_intent": made.id})
        states.append((after.status, after.amount_paid, after.amount_remaining))
    assert states == [("open", 600, 900), ("paid", 1500, 0)]
    assert company.v1.invoices.retrieve(invoice_id).amount_overpaid == 100
    assert company.v1.customers.retrieve(customer).balance == -100
    payments = company.v1.invoice_payments.list({"invoice": invoice_id}).data
    assert sorted(item.status for item in payments) == ["canceled", "paid", "paid"]


def test_a_deleted_customer_keeps_only_its_invoices(company: Company) -> None:
    customer = company.customer()
    draft, open_one = company.draft(customer, 700), company.draft(customer, 900)
    company.v1.invoices.finalize_invoice(open_one)
    company.v1.customers.delete(customer)
    assert company.v1.invoices.retrieve(open_one).status == "open"
    for act in (
        lambda: company.v1.invoices.finalize_invoice(draft),
        lambda: company.v1.invoices.pay(open_one),
        lambda: company.v1.customers.balance_transactions.create(
            customer, {"amount": 1, "currency": "usd"}
        ),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            act()
        assert refused.value.code == "resource_missing"
    assert company.v1.invoices.void_invoice(open_one).status == "void"


@pytest.mark.parametrize("kind", [stripe.Charge, stripe.Refund, stripe.Dispute])
def test_they_have_every_field_that_is_always_there(company: Company, kind: type) -> None:
    invoice = billed(company)
    charge = charge_of(company, invoice)
    made: dict[type, Any] = {stripe.Charge: charge}
    made[stripe.Refund] = company.v1.refunds.create({"charge": charge.id, "amount": 1})
    name = company.sandbox.open_dispute(charge.id)
    made[stripe.Dispute] = company.v1.disputes.retrieve(name)
    hints = kind.__annotations__
    always = {
        field
        for field, hint in hints.items()
        if not field.startswith("_")
        and field != "OBJECT_NAME"
        and type(None) not in typing.get_args(hint)
        and typing.get_origin(hint) is not typing.ClassVar
    }
    found = set(made[kind].to_dict())
    assert len(always) >= 5
    assert not always - found


def test_what_is_available_is_paid_out_each_day(company: Company) -> None:
    billed(company)
    [booked] = company.v1.balance_transactions.list().data
    assert (booked.status, booked.net, booked.available_on % DAY) == ("pending", 1426, 0)
    company.clock.advance(2 * DAY + DAY // 2)
    [payout] = company.v1.payouts.list().data
    assert (payout.status, payout.amount, payout.automatic) == ("in_transit", 1426, True)
    assert payout.created == booked.available_on
    # Until Stripe has reconciled it, it does not say what is in it.
    inside: Any = {"payout": payout.id}
    assert company.v1.balance_transactions.list(inside).data == []
    company.clock.advance(DAY)
    assert company.v1.payouts.retrieve(payout.id).reconciliation_status == "completed"
    listed = company.v1.balance_transactions.list(inside).data
    assert [(item.type, item.net) for item in listed] == [("payout", -1426), ("charge", 1426)]
    assert "payout.reconciliation_completed" in types_of(company)


def test_what_was_taken_back_and_a_failed_payout_go_with_the_next_one(company: Company) -> None:
    charge = charge_of(company, billed(company)).id
    company.clock.advance(5 * DAY)
    company.v1.refunds.create({"charge": charge})
    company.clock.advance(5 * DAY)
    [lost] = company.v1.payouts.list().data
    company.sandbox.fail_payout(lost.id)
    company.clock.advance(5 * DAY)
    assert company.v1.payouts.list().data[0].id == lost.id  # 1426 - 1500: nothing to pay out
    billed(company, 2000)
    company.clock.advance(5 * DAY)
    newest, failed = company.v1.payouts.list().data
    assert (failed.status, newest.amount) == ("failed", 1426 - 1500 + 1912)


def test_an_event_of_a_change_tells_what_was_there_before(company: Company) -> None:
    customer = company.customer(None, name="Ada", metadata={"a": "1", "b": "2"})
    company.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    [card] = company.v1.customers.payment_methods.list(customer).data
    settings: Any = {"invoice_settings": {"default_payment_method": card.id}}
    changed: Any = {"name": "Ada L.", "metadata": {"a": "3", "c": "4"}, **settings}
    company.v1.customers.update(customer, changed)
    company.v1.customers.update(customer, {"phone": "1"})
    second, first = company.v1.events.list({"type": "customer.updated"}).data
    assert first.data.to_dict()["previous_attributes"] == {
        "name": "Ada",
        "metadata": {"a": "1", "c": None},
        "invoice_settings": {"default_payment_method": None},
    }
    assert second.data.to_dict()["previous_attributes"] == {"phone": None}
