"""A month with nothing to do is listed once by a run, and again as soon as anything moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from billing_pipeline.collection import payments
from billing_pipeline.collection.plan.empty_plan import REUSE_SECONDS
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.records.request_log import Author
from billing_pipeline.collection.steps import ApplyOutcome

from .conftest import JANUARY, Company
from .test_billed import alter


def listings(company: Company) -> int:
    """Of a month's invoices: those of one customer tell what they took of a wallet."""
    return sum(
        path == "/v1/invoices" and "customer" not in params
        for _, path, params in company.stripe.calls
    )


def close(company: Company, between: Callable[[], object] = lambda: None) -> ApplyOutcome:
    """As the job does it: preview and apply with one run's id; `between` happens in between."""
    company.preview(run_id=f"run-{company.runs + 1}")
    between()
    return company.apply()


def listed_by_apply(company: Company, between: Callable[[], object] = lambda: None) -> int:
    """How often the second step of a close lists invoices."""
    before: list[int] = []

    def note() -> None:
        between()
        before.append(listings(company))

    close(company, note)
    return listings(company) - before[0]


def closed(company: Company, **more: str) -> Company:
    company.want({"ada": [1000], "bob": [700]}, **more)
    company.apply()
    return company


def test_nothing_to_do_is_found_by_one_listing(company: Company) -> None:
    closed(company)
    posts = len(company.stripe.posts())
    assert listed_by_apply(company) == 0
    outcome = close(company)
    assert [action.kind.value for action in outcome.report.plan.actions] == ["unchanged"] * 2
    assert outcome.remaining == outcome.report.plan
    assert not outcome.report.results
    assert len(company.stripe.posts()) == posts


def test_with_credit_notes_too(company: Company) -> None:
    closed(company)
    company.want({"ada": [1000], "bob": [600]})
    company.apply(approved_hash=company.preview().hash)
    assert listed_by_apply(company) == 0


def test_pending_work_is_planned_again(company: Company) -> None:
    company.want({"ada": [1000]})
    before: list[int] = []
    close(company, lambda: before.append(len(company.stripe.calls)))
    asked = [(method, path) for method, path, _ in company.stripe.calls[before[0] :]]
    assert asked.index(("get", "/v1/invoices")) < asked.index(("post", "/v1/invoices"))
    assert len(company.invoices()) == 1
    company.want({"ada": [1200]})
    assert listed_by_apply(company) == 1


def test_another_run_looks_for_itself(company: Company) -> None:
    closed(company)
    company.preview(run_id="another")
    before = listings(company)
    company.apply()
    assert listings(company) == before + 1


def test_a_month_rated_again_in_between_is_listed_and_billed(company: Company) -> None:
    closed(company)
    close(company, lambda: company.want({"ada": [1000], "bob": [700], "eve": [500]}))
    assert [invoice["total"] for invoice in company.invoices()] == [1000, 700, 500]


def test_a_request_of_ours_in_between_whose_answer_is_missing_leads_to_a_listing(
    company: Company,
) -> None:
    closed(company)

    def send() -> None:
        with open_records(company.settings.records_dir) as records:
            records.request_log.log_request(
                Author("second"),
                customer_id="ada",
                invoice_id="in_202601_ada",
                method="post",
                path="/v1/invoices",
                key="in_202601_ada:1:create:0",
                now=company.clock.now(),
            )

    assert listed_by_apply(company, send) == 1


def test_an_invoice_that_changed_in_between_leads_to_a_listing(company: Company) -> None:
    closed(company, payment_method="pm_card_chargeCustomerFail")
    first = company.invoices()[0]

    def void() -> None:
        _, body = company.stripe.act("post", f"/v1/invoices/{first['id']}/void", {})
        with open_records(company.settings.records_dir) as records:
            records.cache.invoices.store([body])

    outcome = close(company, void)
    assert [action.kind.value for action in outcome.remaining.waiting] == ["review"]


@pytest.mark.parametrize("seconds", [REUSE_SECONDS + 1, -1.0])
def test_after_a_while_or_with_a_clock_set_back_it_is_listed(
    company: Company, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(company)
    now = company.clock.now()
    later = lambda: monkeypatch.setattr(company.clock, "now", lambda: now + seconds)  # noqa: E731
    assert listed_by_apply(company, later) == 1


def test_a_record_that_was_changed_in_between_leads_to_a_listing(company: Company) -> None:
    closed(company)
    outcome = close(company, lambda: alter(company, "replace(body, '1000', '1001')"))
    assert [action.customer_id for action in outcome.remaining.waiting] == ["ada"]


def test_wallets_are_topped_up_where_nothing_else_is_to_do(company: Company) -> None:
    closed(company)
    company.top_up(gift=500)
    before = listings(company)
    close(company)
    assert listings(company) == before + 1
    assert [item["amount"] for item in company.stripe.objects["cbtxn"].values()] == [-500]


def test_the_account_is_asked_for_once_by_a_gateway(company: Company) -> None:
    closed(company)
    gateway = company.gateway()
    before = len(company.stripe.calls)
    for _ in range(2):
        company.wait(
            payments.pull(gateway, company.settings, JANUARY, full=False, desired=company.desired)
        )
    assert [path for _, path, _ in company.stripe.calls[before:]].count("/v1/account") == 1
