"""Answers of a Stripe that has moved on: fields in another order, fields and words that are new.

What a version adds is read over; a new word for where money stands is refused, with a sentence.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import stripe

from billing_pipeline.collection import payments, prepaid
from billing_pipeline.collection.stripe_state import statuses
from billing_pipeline.collection.stripe_state.set_aside import read_set_aside

from .conftest import Company
from .fake_stripe import FakeStripe
from .test_received import paid_once

Json = dict[str, Any]
DECLINES = "pm_card_chargeCustomerFail"
NEW_WORDS = {
    "billing_reason": "by_telepathy",
    "object": "thing_of_tomorrow",
    "collection_state": "pondered",
    "reason": "a_reason_of_tomorrow",
}


def of_tomorrow(value: Any) -> Any:
    """The answer with its fields in another order, and with new ones and new words."""
    if isinstance(value, list):
        return [of_tomorrow(item) for item in value]
    if not isinstance(value, dict):
        return value
    turned = {name: of_tomorrow(value[name]) for name in reversed(value)}
    if not {"id", "object"} & value.keys():
        return turned  # metadata, or a part
    added = {"zeal": {"level": [1, None], "status": "new"}, "amount_of_joy": 10**30, "paid_in": "₿"}
    # An event says by its object what it is about.
    words = {name: word for name, word in NEW_WORDS.items() if name != "object"}
    return added | turned | words


def credit(company: Company, invoice: Json) -> None:
    """Somebody credits 1.00 by hand."""
    note = {"invoice": invoice["id"], "amount": "100", "metadata": {}, "reason": "duplicate"}
    note |= {"credit_amount": "100"}
    assert company.stripe.act("post", "/v1/credit_notes", note)[0] == 200


def story(company: Company, seen: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    """A month that is billed, paid, refunded, disputed and credited; what of it is published."""
    once = company.stripe._once

    def answered(*request: Any) -> Any:
        status, body, replayed = once(*request)
        return status, seen(body), replayed

    company.stripe._once = answered  # type: ignore[method-assign]
    company.want({"ada": [1000], "bob": [500], "cyd": [250]}, payment_method="pm_card_visa")
    company.apply()
    intents = list(company.stripe.objects["pi"].values())
    company.stripe.refund(intents[0], 300)
    company.stripe.close_dispute(company.stripe.dispute(intents[1]), "won")
    credit(company, company.invoices()[2])
    company.wait(payments.stale_months(company.gateway(), company.settings))
    pulled = company.pull()
    assert not company.apply().problems
    assert read_set_aside(company.settings.records_dir) == []
    return {name: rows for name, rows in pulled.tables.items() if name != "stripe_reads"}


def test_other_answers_give_the_same_tables(tmp_path: Path) -> None:
    today = story(Company(tmp_path / "today"))
    tomorrow = story(Company(tmp_path / "tomorrow"), of_tomorrow)
    for row in tomorrow["credit_notes"]:
        assert row["reason"] == NEW_WORDS["reason"]
        row["reason"] = today["credit_notes"][0]["reason"]
    assert tomorrow == today
    assert [row["kind"] for row in today["payments"]].count("dispute_reversal") == 1


def test_words_are_those_that_stripe_publishes() -> None:
    for kind, known in {
        stripe.CreditNote: statuses.CREDIT_NOTE,
        stripe.Dispute: statuses.DISPUTE,
        stripe.PaymentIntent: statuses.PAYMENT_INTENT,
    }.items():
        literal, *_ = typing.get_args(kind.__annotations__["status"])
        assert set(typing.get_args(literal)) == known
    # Of a refund they stand in its description only.
    described = (stripe.Refund.__doc__ or "") + Path(stripe._refund.__file__).read_text("utf-8")
    assert all(f"`{word}`" in described for word in statuses.REFUND)


@pytest.mark.parametrize("kind", ["re", "dp"])
def test_money_with_a_status_that_is_new_leaves_what_was_known(company: Company, kind: str) -> None:
    intent = paid_once(company)
    moved = {
        "re": lambda: company.stripe.refund(intent, 300),
        "dp": lambda: company.stripe.dispute(intent),
    }
    thing = moved[kind]()
    thing["status"] = "under_telepathy"
    [row] = company.pull().payments
    assert (row["kind"], row["amount"]) == ("payment", Decimal(10))
    [aside] = read_set_aside(company.settings.records_dir)
    assert aside.reason == (
        f"{thing['id']} has the status 'under_telepathy', which this release does not know"
    )
    thing["status"] = "succeeded" if kind == "re" else "lost"
    assert len(company.pull().payments) == 2
    assert read_set_aside(company.settings.records_dir) == []


def test_a_payment_with_a_status_that_is_new_is_waited_for(company: Company) -> None:
    company.bill({"ada": ["10.00"]}, payment_method=DECLINES)
    company.apply()
    [payment] = company.stripe.objects["inpay"].values()
    payment["payment"]["payment_intent"] = {"id": "pi_1", "status": "in_the_post"}
    says = "pi_1 has the status 'in_the_post', which this release does not know: it is waited for"
    [row] = company.pull().invoice_payments
    assert (row["payment_state"], row["last_error"]) == ("processing", says)
    company.clock.advance(200 * 3600)
    tried = company.stripe.posts().count("post /v1/invoices/:id/pay")
    assert company.wait(payments.dun(company.gateway(), company.settings, run_id="r")) == []
    assert company.stripe.posts().count("post /v1/invoices/:id/pay") == tried


def test_a_credit_note_with_a_status_that_is_new_is_reviewed(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    [invoice] = company.invoices()
    credit(company, invoice)
    [note] = company.stripe.objects["cn"].values()
    note["status"] = "revoked"
    [action] = company.preview().actions
    assert action.kind == "review"
    assert "has the status 'revoked'" in action.reason


def test_a_top_up_with_a_status_that_is_new_is_set_aside(company: Company) -> None:
    company.bill({"ada": ["10.00"]})
    marks = {"billing_top_up": "t", "billing_customer_id": "ada"}
    intent = {"amount": 500, "currency": "usd", "metadata": marks, "status": "in_the_post"}
    company.stripe._new("pi", intent)
    company.wait(prepaid.pull_top_ups(company.gateway(), company.settings))
    [aside] = read_set_aside(company.settings.records_dir)
    assert "has the status 'in_the_post'" in aside.reason


def test_an_answer_that_names_another_invoice_is_not_believed(company: Company) -> None:
    def names_another(fake: FakeStripe, method: str, path: str, params: Any) -> Any:
        if not path.endswith("/finalize"):
            return None
        fake.faults.clear()
        status, body, _ = fake._once(method, path, params, fake.key)
        return status, body | {"id": "in_another"}

    company.stripe.faults.append(names_another)
    company.want({"ada": [1000]})
    company.apply()
    company.clock.advance(86_400)
    company.apply()
    assert [invoice["status"] for invoice in company.invoices()] == ["paid"]
    assert not company.preview().changes
