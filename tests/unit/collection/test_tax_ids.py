"""Tax ids of customers: brought to Stripe once, kept up to date, and nothing depends on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stripe

from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.stripe_state.cached_tax_ids import (
    ALL,
    read_tax_id_problems,
    tax_ids_summary,
)
from billing_pipeline.months import BillingMonth
from billing_pipeline.stripe_sandbox import Sandbox
from tests.in_process import InProcessClient

from .conftest import Company
from .fake_stripe import FakeStripe
from .test_customers import marked
from .test_interruptions import Killed

FEBRUARY = BillingMonth(2026, 2)
MARCH = BillingMonth(2026, 3)
GERMAN: dict[str, Any] = {"country": "DE", "tax_id": "DE 123 456 789"}
OTHER: dict[str, Any] = {"country": "DE", "tax_id": "DE987654321"}
CREATE = "post /v1/customers/:id/tax_ids"


def held(company: Company) -> list[tuple[str, str]]:
    return [(item["type"], item["value"]) for item in company.stripe.objects["txi"].values()]


def about_tax_ids(company: Company) -> list[str]:
    return [f"{method} {path}" for method, path, _ in company.stripe.calls if "tax_ids" in path]


def by_hand(company: Company, value: str, kind: str = "eu_vat") -> str:
    [ada] = marked(company, "ada")
    path = f"/v1/customers/{ada['id']}/tax_ids"
    return str(company.stripe.act("post", path, {"type": kind, "value": value})[1]["id"])


def lose_the_cache(company: Company) -> None:
    for path in company.settings.records_dir.glob("stripe_mirror*"):
        path.unlink()


def problems_of(company: Company) -> dict[str, str]:
    return read_tax_id_problems(company.settings.records_dir)


def test_a_new_customer_has_it_before_the_invoice_is_finalized(company: Company) -> None:
    company.want({"ada": [1000]}, **GERMAN)
    outcome = company.apply()
    assert not outcome.problems and outcome.report.tax_id_problems == {}
    [invoice] = company.invoices()
    assert invoice["customer_tax_ids"] == [{"type": "eu_vat", "value": "DE123456789"}]
    [ada] = marked(company, "ada")
    [tax_id] = company.stripe.objects["txi"].values()
    assert ada["metadata"]["billing_tax_id"].endswith(f" {tax_id['id']}")
    # Nobody else can have given it one: nothing to be listed.
    assert about_tax_ids(company) == [f"post /v1/customers/{ada['id']}/tax_ids"]


def test_what_did_not_change_costs_no_request(company: Company) -> None:
    company.want({"ada": [1000], "bob": [500]}, **GERMAN)
    company.apply()
    before = len(company.stripe.calls)
    company.want({"ada": [1000], "bob": [500]}, FEBRUARY, **GERMAN | {"tax_id": "de123456789"})
    company.apply(FEBRUARY)
    calls = company.stripe.calls[before:]
    assert not [path for _, path, _ in calls if path.startswith("/v1/customers")]


def test_those_without_one_never_cost_a_request(company: Company) -> None:
    for month in (company.settings.first_month, FEBRUARY):
        company.want({"ada": [1000], "bob": [500]}, month, country="DE")
        company.apply(month)
    assert about_tax_ids(company) == []


def test_another_value_takes_the_place_of_ours_and_not_of_others(company: Company) -> None:
    company.want({"ada": [1000]}, **GERMAN)
    company.apply()
    by_hand(company, "ATU12345678")
    company.want({"ada": [1000]}, FEBRUARY, **OTHER)
    company.apply(FEBRUARY)
    assert sorted(held(company)) == [("eu_vat", "ATU12345678"), ("eu_vat", "DE987654321")]
    company.want({"ada": [1000]}, MARCH, **GERMAN)
    company.apply(MARCH)
    assert sorted(held(company)) == [("eu_vat", "ATU12345678"), ("eu_vat", "DE123456789")]
    company.want({"ada": [1000]}, BillingMonth(2026, 4), country="DE")
    company.apply(BillingMonth(2026, 4))
    assert held(company) == [("eu_vat", "ATU12345678")]
    assert not marked(company, "ada")[0]["metadata"]["billing_tax_id"]


def test_a_change_back_and_forth_within_a_day_is_made_each_time(company: Company) -> None:
    """Stripe repeats its answers under a key for a day: one of them is of a tax id that is gone."""
    for more in (GERMAN, OTHER, GERMAN, OTHER):
        company.want({"ada": [1000]}, **more)
        company.apply()
        assert held(company) == [("eu_vat", more["tax_id"].replace(" ", ""))]


def test_a_change_reaches_customers_without_an_invoice(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    company.want({"ada": [1000]}, **GERMAN)
    assert not company.apply().problems
    assert held(company) == [("eu_vat", "DE123456789")]


def test_one_that_somebody_made_is_taken_as_it_is(company: Company) -> None:
    company.want({"ada": [1000]}, country="DE")
    company.apply()
    theirs = by_hand(company, "DE 123456789")
    company.want({"ada": [1000]}, FEBRUARY, **GERMAN)
    company.apply(FEBRUARY)
    assert list(company.stripe.objects["txi"]) == [theirs]
    assert "billing_tax_id" not in marked(company, "ada")[0]["metadata"]
    asked = len(about_tax_ids(company))
    company.want({"ada": [1000]}, MARCH, **GERMAN)
    company.apply(MARCH)
    assert len(about_tax_ids(company)) == asked
    company.want({"ada": [1000]}, MARCH, **OTHER)
    company.apply(MARCH)
    assert sorted(value for _, value in held(company)) == ["DE 123456789", "DE987654321"]


def test_a_lost_cache_repeats_nothing(company: Company) -> None:
    company.want({"ada": [1000]}, **GERMAN)
    company.apply()
    lose_the_cache(company)
    asked = len(about_tax_ids(company))
    company.want({"ada": [1000]}, FEBRUARY, **GERMAN)
    company.apply(FEBRUARY)
    assert len(about_tax_ids(company)) == asked
    # And what we made is still known as ours.
    company.want({"ada": [1000]}, MARCH, **OTHER)
    lose_the_cache(company)
    company.apply(MARCH)
    assert held(company) == [("eu_vat", "DE987654321")]


def test_customers_of_an_earlier_release_get_theirs_once(company: Company) -> None:
    company.want({"ada": [1000], "bob": [500]}, country="DE")
    company.apply()
    with open_records(company.settings.records_dir) as records:
        records.cache._db.executescript(
            "drop table tax_ids_found; drop table tax_id_problems;"
            "alter table customers drop column tax_id"
        )
    company.want({"ada": [1000], "bob": [500]}, **GERMAN)
    company.apply()
    assert len(held(company)) == 2
    asked = len(company.stripe.calls)
    company.apply()
    assert not [path for _, path, _ in company.stripe.calls[asked:] if "customers" in path]


def test_a_customer_with_a_stripe_id_in_the_accounts_gets_it_too(company: Company) -> None:
    _, made = company.stripe.act("post", "/v1/customers", {"name": "Ada", "metadata": {}})
    company.want({"ada": [1000]}, stripe_customer_id=made["id"], **GERMAN)
    company.apply()
    company.want({"ada": [1000]}, FEBRUARY, stripe_customer_id=made["id"], **GERMAN)
    company.apply(FEBRUARY)
    assert held(company) == [("eu_vat", "DE123456789")]
    company.want({"ada": [1000]}, MARCH, stripe_customer_id=made["id"], **OTHER)
    company.apply(MARCH)
    assert held(company) == [("eu_vat", "DE987654321")]


# --- what does not work stops nothing ---


def test_a_refused_tax_id_is_reported_and_the_invoice_is_made(company: Company) -> None:
    wrong = {"country": "US", "tax_id": "INVALID"}
    company.want({"ada": [1000]}, **wrong)
    outcome = company.apply()
    assert not outcome.problems
    assert company.invoices()[0]["status"] == "paid"
    assert set(outcome.report.tax_id_problems) == {"ada"}
    assert "Invalid value for us_ein." in problems_of(company)["ada"]
    assert "tax_id_invalid" in tax_ids_summary(problems_of(company))
    # Tried once in a push, and again by the next.
    assert company.stripe.posts().count(CREATE) == 1
    company.clock.advance(2 * 86_400)
    company.apply()
    assert company.stripe.posts().count(CREATE) > 1 and set(problems_of(company)) == {"ada"}
    company.want({"ada": [1000]}, country="US", tax_id="12-3456789")
    assert company.apply().report.tax_id_problems == {}
    assert problems_of(company) == {} and tax_ids_summary({}) == ""


def test_a_refused_change_leaves_what_was_there(company: Company) -> None:
    company.want({"ada": [1000]}, country="US", tax_id="12-3456789")
    company.apply()
    company.want({"ada": [1000]}, country="US", tax_id="INVALID")
    company.apply()
    assert held(company) == [("us_ein", "12-3456789")] and set(problems_of(company)) == {"ada"}


def test_one_of_no_known_type_is_named_and_costs_no_request(company: Company) -> None:
    company.want({"ada": [1000]}, country="DE", tax_id="see contract")
    outcome = company.apply()
    assert not outcome.problems and about_tax_ids(company) == []
    assert "'see contract' of a customer in DE" in problems_of(company)["ada"]
    company.want({"ada": [1000]}, country="DE")
    company.apply()
    assert problems_of(company) == {}


def _refuse(status: int, **error: Any) -> Any:
    def fault(stripe: FakeStripe, method: str, path: str, params: Any) -> Any:
        if not path.endswith("/tax_ids"):
            return None
        return status, {"error": {"type": "invalid_request_error", "message": "No.", **error}}

    return fault


@pytest.mark.parametrize(
    "fault",
    [_refuse(404), _refuse(404, code="resource_missing"), _refuse(403)],
    ids=["no such route", "no such object", "no permission"],
)
def test_where_none_can_be_sent_one_sentence_says_so(company: Company, fault: Any) -> None:
    company.stripe.faults.append(fault)
    names = [f"customer{number}" for number in range(30)]
    company.want({name: [1000] for name in names}, **GERMAN)
    outcome = company.apply()
    assert not outcome.problems
    assert {invoice["status"] for invoice in company.invoices()} == {"paid"}
    assert len(company.stripe.objects["cus"]) == 30
    assert set(outcome.report.tax_id_problems) == {ALL}
    # As many as were under way when the first was answered.
    assert len(about_tax_ids(company)) <= company.gateway().config.workers
    assert tax_ids_summary(problems_of(company)).startswith(
        "no tax id can be brought to Stripe: No."
    )
    company.stripe.faults.clear()
    company.apply()
    assert len(held(company)) == 30 and problems_of(company) == {}


def test_a_server_that_fails_stops_nothing(company: Company) -> None:
    company.stripe.faults.append(_refuse(500))
    company.want({"ada": [1000]}, **GERMAN)
    assert not company.apply().problems
    assert set(problems_of(company)) == {"ada"}


def apply_interrupted(company: Company, fault: Callable[..., Any]) -> None:
    """A push whose process ends at this fault."""
    company.stripe.faults.append(fault)
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    company.stripe.faults.clear()


def test_an_answer_that_was_lost_makes_no_second_one(company: Company) -> None:
    def loses(stripe: FakeStripe, method: str, path: str, params: Any) -> Any:
        if method == "post" and path.endswith("/tax_ids"):
            stripe.carry_out(method, path, params)
            raise Killed

    company.want({"ada": [1000]}, **GERMAN)
    apply_interrupted(company, loses)
    company.clock.advance(2 * 86_400)
    company.apply()
    assert held(company) == [("eu_vat", "DE123456789")]
    # It is ours: the request log knows that it was asked for.
    company.want({"ada": [1000]}, **OTHER)
    company.apply()
    assert held(company) == [("eu_vat", "DE987654321")]


@pytest.mark.parametrize("step", ["delete", "post"])
def test_a_change_that_was_interrupted_is_brought_to_its_end(company: Company, step: str) -> None:
    company.want({"ada": [1000]}, **GERMAN)
    company.apply()

    def kills(stripe: FakeStripe, method: str, path: str, params: Any) -> Any:
        is_mark = method == "post" and "billing_tax_id" in (params.get("metadata") or {})
        if method == step and (step == "delete" or is_mark):
            raise Killed

    company.want({"ada": [1000]}, **OTHER)
    apply_interrupted(company, kills)
    company.apply()
    assert held(company) == [("eu_vat", "DE987654321")]
    [tax_id] = company.stripe.objects["txi"]
    assert marked(company, "ada")[0]["metadata"]["billing_tax_id"].endswith(tax_id)


def test_a_deleted_customer_is_created_again_with_it(company: Company) -> None:
    company.want({"ada": [1000]}, **GERMAN)
    company.apply()
    [old] = marked(company, "ada")
    company.stripe.act("delete", f"/v1/customers/{old['id']}", {})
    company.want({"ada": [1000]}, FEBRUARY, **OTHER)
    assert not company.apply(FEBRUARY).problems
    [new] = marked(company, "ada")
    assert ("eu_vat", "DE987654321") in [
        (item["type"], item["value"])
        for item in company.stripe.objects["txi"].values()
        if item["customer"] == new["id"]
    ]
    assert problems_of(company) == {}


def test_a_problem_that_no_push_meets_is_forgotten(company: Company) -> None:
    company.want({"ada": [1000], "bob": [500]}, country="DE", tax_id="see contract")
    company.apply()
    company.clock.advance(41 * 86_400)
    company.want({"bob": [500]}, FEBRUARY, country="DE", tax_id="see contract")
    company.apply(FEBRUARY)
    assert set(problems_of(company)) == {"bob"}


def test_without_records_nobody_has_a_problem(tmp_path: Path) -> None:
    assert read_tax_id_problems(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_summary_names_some_and_counts_the_others() -> None:
    problems = {f"customer{number}": "no" for number in range(5)}
    text = tax_ids_summary(problems)
    assert text.startswith("5 tax ids are not in Stripe: customer0: no;")
    assert text.endswith("; and 2 more")


# --- against the sandbox, which has Stripe's documented forms ---


def test_in_the_sandbox_an_invoice_shows_it(company: Company) -> None:
    sandbox = InProcessClient(Sandbox(clock=company.clock.now))
    company.stripe = sandbox  # type: ignore[assignment]
    client = stripe.StripeClient("sk_test_company", http_client=sandbox)
    names = {"ada": GERMAN, "bob": {"country": "GR", "tax_id": "DE123"}}
    for month, more in ((company.settings.first_month, GERMAN), (FEBRUARY, OTHER)):
        names["ada"] = more
        invoices: list[Any] = []
        for name, of in names.items():
            company.want({name: [1000]}, month, **of)
            invoices += company.desired or ()
        company.desired = tuple(invoices)
        outcome = company.apply(month)
        assert not outcome.problems
        assert set(outcome.report.tax_id_problems) == {"bob"}
        assert "Invalid value for eu_vat." in outcome.report.tax_id_problems["bob"]
    shown = {
        (invoice.metadata or {})["billing_invoice_id"]: [
            (one.type, one.value) for one in invoice.customer_tax_ids or []
        ]
        for invoice in client.v1.invoices.list({"limit": 20}).data
        if invoice.metadata and "billing_invoice_id" in invoice.metadata
    }
    assert shown == {
        "in_202601_ada": [("eu_vat", "DE123456789")],
        "in_202602_ada": [("eu_vat", "DE987654321")],
        "in_202601_bob": [],
        "in_202602_bob": [],
    }
