"""Test clocks: what depends on the time of a customer, and not on that of the account."""

from __future__ import annotations

import pytest
import stripe

from tests.unit.stripe_sandbox.company import Company

DAY = 86_400
START = 1_900_000_000


@pytest.fixture
def company() -> Company:
    return Company()


def clock_of(company: Company) -> str:
    return company.v1.test_helpers.test_clocks.create({"frozen_time": START}).id


def advance(company: Company, clock: str, seconds: int) -> None:
    """Advance a clock, and wait until it is ready."""
    clocks = company.v1.test_helpers.test_clocks
    to = clocks.retrieve(clock).frozen_time + seconds
    assert clocks.advance(clock, {"frozen_time": to}).status == "advancing"
    assert clocks.retrieve(clock).status == "advancing"
    company.clock.advance(1)
    ready = clocks.retrieve(clock)
    assert (ready.status, ready.frozen_time) == ("ready", to)


def test_a_draft_is_finalized_by_the_time_of_its_customer(company: Company) -> None:
    clock = clock_of(company)
    draft = company.draft(company.customer(test_clock=clock), 1500, auto_advance=True)
    company.clock.advance(2 * DAY)
    assert company.v1.invoices.retrieve(draft).status == "draft"
    advance(company, clock, 3599)
    assert company.v1.invoices.retrieve(draft).status == "draft"
    advance(company, clock, DAY)
    paid = company.v1.invoices.retrieve(draft)
    assert (paid.status, paid.test_clock, paid.created) == ("paid", clock, START)
    assert paid.status_transitions.finalized_at == START + 3600


def test_a_debit_and_a_due_date_follow_the_clock(company: Company) -> None:
    clock = clock_of(company)
    payer = company.customer("pm_success_de", test_clock=clock)
    sent = company.draft(payer, 700, collection_method="send_invoice", days_until_due=7)
    advance(company, clock, DAY)
    assert company.v1.invoices.finalize_invoice(sent).due_date == START + 8 * DAY
    debited = company.draft(payer, 1500)
    company.v1.invoices.finalize_invoice(debited)
    assert company.v1.invoices.pay(debited).status == "open"
    company.clock.advance(30 * DAY)
    assert company.v1.invoices.retrieve(debited).status == "open"
    advance(company, clock, 20 * DAY)
    paid = company.v1.invoices.retrieve(debited)
    assert (paid.status, paid.status_transitions.paid_at) == ("paid", START + 6 * DAY)


def test_its_customers_are_listed_by_their_clock_alone(company: Company) -> None:
    clock, other = clock_of(company), company.customer()
    inside = [company.customer(test_clock=clock) for _ in range(3)]
    assert [item.id for item in company.v1.customers.list().data] == [other]
    listed = company.v1.customers.list({"test_clock": clock}).data
    assert {item.id for item in listed} == set(inside)
    with pytest.raises(stripe.InvalidRequestError, match="up to 3 customers"):
        company.customer(test_clock=clock)
    company.v1.test_helpers.test_clocks.delete(clock)
    assert company.v1.customers.retrieve(inside[0]).deleted


def test_a_customer_joins_a_clock_when_it_is_made_and_it_goes_forward_only(
    company: Company,
) -> None:
    clocks, customer = company.v1.test_helpers.test_clocks, company.customer()
    clock = clocks.create({"frozen_time": START, "customer": customer}).id
    assert company.v1.customers.retrieve(customer).test_clock == clock
    for to in (START, START + 800 * DAY):
        with pytest.raises(stripe.InvalidRequestError, match="two years"):
            clocks.advance(clock, {"frozen_time": to})
    clocks.advance(clock, {"frozen_time": START + 1})
    with pytest.raises(stripe.InvalidRequestError, match="still advancing"):
        clocks.advance(clock, {"frozen_time": START + 2})
