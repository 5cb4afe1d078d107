"""Pull: by events and in full end in the same rows, in whatever order events come."""

from __future__ import annotations

import random
from typing import Any

import pytest

from billing_pipeline.invoicing import collection
from billing_pipeline.invoicing.dunning import AfterLastTry, DunningPolicy
from billing_pipeline.invoicing.pull import Changes

from .conftest import JANUARY, Company

CARDS = {"ada": "pm_card_visa", "bob": "pm_card_chargeCustomerFail"}


def events(company: Company) -> Changes:
    return company.wait(collection.changed_months(company.gateway(), company.settings))


def rows(company: Company, **more: Any) -> list[list[dict[str, Any]]]:
    result = company.pull(**more)
    return [result.stripe_invoices, result.invoice_payments, result.reconciliation]


def billed(company: Company) -> None:
    company.want({"ada": [1000], "bob": [500]}, payment_method="pm_card_chargeCustomerFail")
    company.apply()
    assert not events(company).is_complete
    company.pull()


def pay(company: Company, index: int) -> None:
    invoice = company.invoices()[index]
    customer = company.stripe.objects["cus"][invoice["customer"]]
    customer["invoice_settings"]["default_payment_method"] = "pm_card_visa"
    company.stripe.act("post", f"/v1/invoices/{invoice['id']}/pay", {})


def test_events_tell_what_changed_and_the_rows_are_those_of_a_full_pull(company: Company) -> None:
    billed(company)
    company.clock.advance(7200)
    pay(company, 0)
    assert events(company).months == (JANUARY.key,)
    by_events = rows(company, full=False)
    assert sorted(row["status"] for row in by_events[1]) == ["open", "paid"]
    assert by_events == rows(company)


def test_nothing_new_asks_almost_nothing(company: Company) -> None:
    billed(company)
    before = len(company.stripe.calls)
    assert events(company) == Changes(())
    assert len(company.stripe.calls) - before <= 3


@pytest.mark.parametrize("seed", range(5))
def test_repeated_and_shuffled_events_do_no_harm(company: Company, seed: int) -> None:
    billed(company)
    pay(company, 0)
    pay(company, 1)
    kept = list(company.stripe.objects["evt"].items())
    random.Random(seed).shuffle(kept)
    company.stripe.objects["evt"] = dict(kept)
    events(company)
    company.stripe._event("invoice.updated", {"object": "invoice", "id": "in_unknown"})
    company.stripe._event("invoice.payment_failed", company.invoices()[0] | {"status": "open"})
    company.stripe._event("credit_note.created", {"object": "credit_note", "id": "cn_x"})
    events(company)
    by_events = rows(company, full=False)
    assert [row["status"] for row in by_events[1]] == ["paid", "paid"]
    assert by_events == rows(company)


def test_after_a_month_of_silence_events_cannot_tell(company: Company) -> None:
    billed(company)
    company.clock.advance(31 * 86_400)
    pay(company, 0)
    assert not events(company).is_complete
    assert sorted(row["status"] for row in rows(company)[1]) == ["open", "paid"]


def test_sent_and_unpaid_past_its_due_date_is_overdue(company: Company) -> None:
    company.bill({"ada": ["10.00"]}, collection_method="send_invoice", days_until_due=7)
    company.apply()
    assert rows(company)[1][0]["status"] == "open"
    company.clock.advance(8 * 86_400)
    assert rows(company)[1][0]["status"] == "overdue"


def test_left_open_after_its_last_try_is_overdue(company: Company) -> None:
    policy = DunningPolicy((0, 24), AfterLastTry.LEAVE_OPEN)
    company.want({"ada": [1000]}, payment_method="pm_card_chargeCustomerFail")
    company.apply()
    seen = []
    for _ in range(2):
        seen.append(company.pull(policy=policy).invoice_payments[0]["status"])
        company.wait(
            collection.dun(company.gateway(), company.settings, run_id="dun", policy=policy)
        )
        company.clock.advance(24 * 3600)
    seen.append(company.pull(policy=policy).invoice_payments[0]["status"])
    assert seen == ["open", "open", "overdue"]


def test_reconciliation_says_what_is_missing_and_what_is_too_much(company: Company) -> None:
    company.want({"ada": [1000], "bob": [500]})
    company.apply()
    company.want({"ada": [1001], "eve": [300]})
    states = {row["customer_id"]: row for row in rows(company)[2]}
    assert {name: row["state"] for name, row in states.items()} == {
        "ada": "differs",
        "bob": "unexpected",
        "eve": "missing",
    }
    assert str(states["ada"]["difference"]) == "-0.01"
    assert str(states["bob"]["stripe_total"]) == "5.00"
