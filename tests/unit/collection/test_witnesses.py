"""A first invoice is safe only if there is no sign that the customer was already billed for the
month, whatever people change in the inputs, in Stripe or in our records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.profiles import Payer
from billing_pipeline.months import BillingMonth

from .conftest import Company
from .test_interruptions import Killed

FEBRUARY = BillingMonth(2026, 2)


def change(company: Company, **fields: Any) -> None:
    """Ada's invoice as other inputs would make it."""
    assert company.desired is not None
    company.desired = tuple(
        replace(item, **fields) if item.customer_id == "ada" else item for item in company.desired
    )


def invoiced(company: Company, customer: str = "ada") -> list[tuple[str, int, str]]:
    names = {
        item["id"]: item["metadata"].get("billing_customer_id")
        for item in company.stripe.objects["cus"].values()
    }
    return [
        (item["currency"], item["total"], item["status"])
        for item in company.invoices()
        if names[item["customer"]] == customer
    ]


def in_euro(company: Company) -> None:
    change(company, invoice_id="in_202601_ada_eur", currency="EUR")


def test_an_invoice_for_others_waits_if_one_of_them_was_billed(company: Company) -> None:
    company.want({"bob": [500]})
    company.apply()
    company.want({"ada": [4000]})
    change(company, billed_for=("bob",))
    outcome = company.apply()
    assert invoiced(company) == []
    (first,) = [a for a in outcome.remaining.waiting if a.kind is ActionKind.CREATE]
    assert "customer bob, the same customer" in first.reason


def test_a_customer_billed_on_anothers_invoice_waits(company: Company) -> None:
    company.want({"ada": [4000]})
    change(company, billed_for=("bob", "eve"))
    company.apply()
    company.want({"ada": [4000], "bob": [500], "joe": [500]})
    outcome = company.apply()
    assert invoiced(company, "joe") == [("usd", 500, "paid")] and invoiced(company, "bob") == []
    (first,) = [a for a in outcome.remaining.waiting if a.kind is ActionKind.CREATE]
    assert "on whose invoice this customer's lines stand" in first.reason


def test_hundreds_of_customers_fit_on_one_invoice() -> None:
    names = tuple(f"customer {number}" for number in range(300))
    marks = metadata_keys.billed_for_marks(names)
    assert len(marks) == 7 and max(map(len, marks.values())) <= 500
    assert metadata_keys.billed_for(marks) == {metadata_keys.customer_digest(n) for n in names}
    assert metadata_keys.billed_for_marks(()) == {metadata_keys.BILLED_FOR: ""}


def test_another_currency_waits_and_so_does_the_credit(company: Company) -> None:
    company.want({"ada": [4000, 700]})
    company.apply()
    in_euro(company)
    outcome = company.apply()
    assert {a.kind for a in outcome.remaining.waiting} == {ActionKind.CREDIT, ActionKind.CREATE}
    assert outcome.needs_approval and invoiced(company) == [("usd", 4700, "paid")]
    (first,) = [a for a in outcome.remaining.waiting if a.kind is ActionKind.CREATE]
    assert "billed for this month before" in first.reason and "USD 47.00" in first.reason


def test_another_currency_is_billed_once_it_is_approved(company: Company) -> None:
    company.want({"ada": [4000, 700]})
    company.apply()
    in_euro(company)
    outcome = company.apply(approved_hash=company.preview().hash)
    assert not outcome.problems and not company.preview().changes
    assert invoiced(company) == [("usd", 4700, "paid"), ("eur", 4700, "paid")]


def test_a_price_in_a_further_currency_waits_for_every_customer(company: Company) -> None:
    company.want({"ada": [1000], "bob": [500]})
    company.apply()
    assert company.desired is not None
    euro = tuple(
        replace(item, invoice_id=f"{item.invoice_id}_eur", currency="EUR")
        for item in company.desired
    )
    company.desired += euro
    outcome = company.apply()
    assert [a.kind for a in outcome.remaining.waiting] == [ActionKind.CREATE] * 2
    assert len(company.invoices()) == 2


def two_currencies(company: Company) -> None:
    company.want({"ada": [1000]})
    assert company.desired is not None
    (dollar,) = company.desired
    line = dollar.lines[0]._replace(line_id="line_of_euro", amount=500)
    company.desired = (
        dollar,
        replace(dollar, invoice_id="in_202601_ada_eur", currency="EUR", lines=(line,)),
    )


def kill_before_the_second(company: Company) -> None:
    def kill(stripe: Any, method: str, path: str, params: Any) -> None:
        created = sum(m == "post" and p == "/v1/invoices" for m, p, _ in stripe.calls)
        if method == "post" and path == "/v1/invoices" and created == 2:
            raise Killed

    company.stripe.faults.append(kill)
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    company.stripe.faults.clear()


def test_two_currencies_of_one_plan_are_both_sent_after_an_interruption(company: Company) -> None:
    two_currencies(company)
    kill_before_the_second(company)
    assert not company.apply().needs_approval
    assert sorted(invoiced(company)) == [("eur", 500, "paid"), ("usd", 1000, "paid")]


def test_the_second_currency_waits_where_it_has_changed_since(company: Company) -> None:
    two_currencies(company)
    kill_before_the_second(company)
    assert company.desired is not None
    company.desired = tuple(
        replace(item, lines=(item.lines[0]._replace(amount=9900),))
        if item.currency == "EUR"
        else item
        for item in company.desired
    )
    outcome = company.apply()
    assert [a.kind for a in outcome.remaining.waiting] == [ActionKind.CREATE]
    assert invoiced(company) == [("usd", 1000, "paid")]


def forget(company: Company, *names: str) -> None:
    for pattern in names:
        for path in company.settings.records_dir.glob(pattern):
            path.unlink()


CACHE, RECORDS = ("stripe_mirror.db*",), ("stripe_mirror.db*", "billed.db*", "journal.db*")


@pytest.mark.parametrize("lost", [(), CACHE, RECORDS], ids=["kept", "cache", "records"])
@pytest.mark.parametrize(
    "removed",
    [
        (metadata_keys.INVOICE_ID,),
        (metadata_keys.MONTH,),
        (metadata_keys.CUSTOMER_ID,),
        (metadata_keys.REVISION,),
        metadata_keys.IDENTITY,
        ("*",),
    ],
    ids=lambda names: "+".join(names),
)
def test_with_marks_removed_one_action_waits_and_the_others_go_on(
    company: Company, removed: tuple[str, ...], lost: tuple[str, ...]
) -> None:
    company.want({"ada": [1000]})
    company.apply()
    (invoice,) = company.invoices()
    for name in invoice["metadata"].copy() if "*" in removed else removed:
        del invoice["metadata"][name]
    forget(company, *lost)
    company.clock.advance(86_400)
    company.want({"ada": [1000], "bob": [500]})
    outcome = company.apply()
    (waiting,) = outcome.remaining.waiting
    assert waiting.kind is ActionKind.REVIEW and invoice["id"] in waiting.reason
    assert waiting.customer_id == "ada"
    assert invoiced(company) == [("usd", 1000, "paid")]
    assert invoiced(company, "bob") == [("usd", 500, "paid")]


@pytest.mark.parametrize("lost", [(), CACHE], ids=["kept", "cache"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        (metadata_keys.MONTH, "2025-12-01"),
        (metadata_keys.INVOICE_ID, "in_202601_other"),
        (metadata_keys.CUSTOMER_ID, "bob"),
    ],
)
def test_an_edited_mark_is_not_believed(
    company: Company, name: str, value: str, lost: tuple[str, ...]
) -> None:
    company.want({"ada": [1000]})
    company.apply()
    (invoice,) = company.invoices()
    invoice["metadata"][name] = value
    forget(company, *lost)
    outcome = company.apply()
    assert [a.kind for a in outcome.remaining.waiting] == [ActionKind.REVIEW]
    assert len(company.invoices()) == 1


def test_an_invoice_is_of_the_month_in_which_our_records_have_it(company: Company) -> None:
    """February's invoice says no more which month it is of, and could be a late one of January."""
    company.want({"ada": [1000]})
    company.apply()
    company.clock.advance(28 * 86_400)
    company.want({"ada": [2000]}, FEBRUARY)
    company.apply(FEBRUARY)
    del company.invoices()[1]["metadata"][metadata_keys.MONTH]
    forget(company, *CACHE)
    company.want({"ada": [1000]})
    assert not company.preview().changes
    company.want({"ada": [2000]}, FEBRUARY)
    assert [a.kind for a in company.preview(FEBRUARY).waiting] == [ActionKind.REVIEW]


@pytest.mark.parametrize("lost", [(), CACHE], ids=["kept", "cache"])
def test_what_has_lost_its_marks_is_published(company: Company, lost: tuple[str, ...]) -> None:
    company.want({"ada": [1000], "bob": [500]})
    company.apply()
    ada, bob = company.invoices()
    ada["metadata"].clear()
    bob["metadata"][metadata_keys.MONTH] = "2025-12-01"
    forget(company, *lost)
    pulled = company.pull()
    assert [row["stripe_invoice_id"] for row in pulled.stripe_invoices] == [ada["id"], bob["id"]]
    assert {row["state"] for row in pulled.reconciliation} == {"matched"}


def test_an_invoice_that_lost_its_month_does_not_hold_up_the_next_month(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    (invoice,) = company.invoices()
    invoice["metadata"].clear()
    forget(company, *RECORDS)
    company.clock.advance(28 * 86_400)
    company.want({"ada": [2000]}, FEBRUARY)
    assert company.desired is not None
    (february,) = company.desired
    line = february.lines[0]._replace(line_id="line_of_february")
    company.desired = (replace(february, lines=(line,)),)
    assert not company.apply(FEBRUARY).needs_approval
    assert len(company.invoices()) == 2


def renamed(payer: Payer, line_id: str | None = None) -> DesiredInvoice:
    """Ada's invoices after her id in the accounts has changed."""
    company = Company.__new__(Company)
    company.want({"ada": [1000]})
    assert company.desired is not None
    (before,) = company.desired
    lines = before.lines if line_id is None else (before.lines[0]._replace(line_id=line_id),)
    return replace(before, invoice_id="in_202601_lovelace", payer=payer, lines=lines)


@pytest.mark.parametrize(
    "after",
    [
        renamed(Payer("lovelace")),
        renamed(Payer("lovelace", email="Ada@example.com"), "other"),
        renamed(Payer("lovelace", name="Ada "), "other"),
    ],
    ids=["by the charge", "by the e-mail address", "by the name"],
)
def test_a_renamed_customer_waits(company: Company, after: DesiredInvoice) -> None:
    company.want({"ada": [1000], "bob": [1]})
    change(company, payer=Payer("ada", name="Ada", email="ada@example.com"))
    company.apply()
    assert company.desired is not None
    company.desired = (after, company.desired[1])
    outcome = company.apply()
    kinds = {a.kind for a in outcome.remaining.waiting}
    assert kinds == {ActionKind.CREATE, ActionKind.CREDIT}
    assert len(company.invoices()) == 2


def test_a_customer_billed_in_one_currency_counts_as_billed_in_another(company: Company) -> None:
    """The new invoice shares only the customer with the billed one."""
    company.want({"ada": [1000]})
    change(company, payer=Payer("ada", name="Ada", email="ada@example.com"))
    company.apply()
    again = renamed(Payer("lovelace"))
    line = again.lines[0]._replace(line_id="other")
    euro = replace(again, invoice_id="in_202601_lovelace_eur", currency="EUR", lines=(line,))
    company.desired = (again, euro)
    waiting = company.apply().remaining.waiting
    assert [a.kind for a in waiting].count(ActionKind.CREATE) == 2
    assert len(company.invoices()) == 1


def test_a_voided_invoice_of_a_renamed_customer_is_a_witness(company: Company) -> None:
    """Somebody has decided that it is not to be billed: another id changes nothing about that."""
    company.want({"ada": [1000]})
    company.apply()
    (invoice,) = company.invoices()
    company.stripe.post_invoices_void({}, invoice["id"])
    company.desired = (renamed(Payer("lovelace")),)
    outcome = company.apply()
    assert [a.kind for a in outcome.remaining.waiting] == [ActionKind.CREATE]
    assert len(company.invoices()) == 1


def test_a_renamed_customer_on_the_same_stripe_customer_waits(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    (customer,) = company.stripe.objects["cus"]
    company.desired = (renamed(Payer("lovelace", stripe_customer_id=customer), "other"),)
    outcome = company.apply()
    (first,) = [a for a in outcome.remaining.waiting if a.kind is ActionKind.CREATE]
    assert "the same Stripe customer" in first.reason
    assert len(company.invoices()) == 1


def test_a_new_customer_is_billed_although_another_has_left(company: Company) -> None:
    company.want({"ada": [1000], "bob": [1]})
    company.apply()
    company.want({"cyd": [300], "bob": [1]})
    outcome = company.apply()
    assert [a.kind for a in outcome.remaining.waiting] == [ActionKind.CREDIT]
    assert invoiced(company, "cyd") == [("usd", 300, "paid")]


@pytest.mark.parametrize("end", ["paid", "killed before"])
def test_a_billed_invoice_is_collected_while_a_supplement_waits(company: Company, end: str) -> None:
    company.want({"ada": [1000]})

    def kill(stripe: Any, method: str, path: str, params: Any) -> None:
        if path.endswith("/pay"):
            raise Killed

    if end == "killed before":
        company.stripe.faults.append(kill)
        with pytest.raises(BaseExceptionGroup):
            company.apply()
        company.stripe.faults.clear()
    else:
        company.apply()
    company.want({"ada": [1000, 200]})
    outcome = company.apply()
    assert [a.kind for a in outcome.remaining.waiting] == [ActionKind.SUPPLEMENT]
    assert invoiced(company) == [("usd", 1000, "paid")]


def test_an_invoice_is_not_collected_while_a_credit_waits(company: Company) -> None:
    company.want({"ada": [1000]})

    def kill(stripe: Any, method: str, path: str, params: Any) -> None:
        if path.endswith("/pay"):
            raise Killed

    company.stripe.faults.append(kill)
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    company.stripe.faults.clear()
    company.want({"ada": [400]})
    outcome = company.apply()
    assert [a.kind for a in outcome.remaining.waiting] == [ActionKind.CREDIT]
    assert invoiced(company) == [("usd", 1000, "open")]
