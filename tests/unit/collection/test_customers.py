"""Stripe customers: found even if their metadata was set late, created once, kept up to date."""

from __future__ import annotations

from typing import Any

import pytest

from billing_pipeline.collection import payments
from billing_pipeline.collection.push import customers
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.stripe_state.profiles import (
    Payer,
    digests,
    fields_to_write,
    profile_of,
)
from billing_pipeline.months import BillingMonth

from .conftest import Company
from .fake_stripe import Refused
from .test_interruptions import at, kill_after

DAY = 86_400
FEBRUARY = BillingMonth(2026, 2)
MARCH = BillingMonth(2026, 3)
ADA: dict[str, Any] = {"name": "Ada", "email": "ada@example.com", "country": "DE"}


def marked(company: Company, customer_id: str) -> list[dict[str, Any]]:
    return [
        item
        for item in company.stripe.objects["cus"].values()
        if isinstance(item["metadata"], dict)
        and item["metadata"].get("billing_customer_id") == customer_id
    ]


def requests(
    company: Company, month: BillingMonth, lines: dict[str, list[int]], **more: Any
) -> Any:
    company.want(lines, month, **more)
    before = len(company.stripe.calls)
    company.apply(month)
    return company.stripe.calls[before:]


# --- found ---


@pytest.fixture(params=[True, False], ids=["a large account", "a small account"])
def account(company: Company, request: pytest.FixtureRequest, monkeypatch: Any) -> Company:
    """With a stranger, and two pushes after them: the list has been read beyond."""
    if request.param:
        monkeypatch.setattr(customers, "MAX_LISTED_CUSTOMERS", 0)
    company.stripe.act("post", "/v1/customers", {"name": "Bob of the web shop"})
    company.clock.advance(3 * DAY)
    company.want({"ada": [1000]})
    company.apply()
    company.clock.advance(DAY)
    return company


def stranger(company: Company) -> dict[str, Any]:
    return next(iter(company.stripe.objects["cus"].values()))


def test_metadata_set_later_is_found(account: Company) -> None:
    path = f"/v1/customers/{stranger(account)['id']}"
    account.stripe.act("post", path, {"metadata": {"billing_customer_id": "bob"}})
    account.clock.advance(DAY)
    account.want({"ada": [1000], "bob": [500]})
    account.apply()
    assert len(marked(account, "bob")) == 1


def test_metadata_set_during_a_long_pause_is_found(account: Company) -> None:
    stranger(account)["metadata"] = {"billing_customer_id": "bob"}
    account.stripe.objects["evt"].clear()
    account.clock.advance(40 * DAY)
    account.want({"bob": [500]}, FEBRUARY)
    account.apply(FEBRUARY)
    assert len(marked(account, "bob")) == 1


def test_the_sensors_events_show_new_metadata_without_further_requests(company: Company) -> None:
    company.stripe.act("post", "/v1/customers", {"name": "Bob"})
    company.want({"ada": [1000]})
    company.apply()
    company.clock.advance(DAY)
    company.wait(payments.stale_months(company.gateway(), company.settings))
    path = f"/v1/customers/{stranger(company)['id']}"
    company.stripe.act("post", path, {"metadata": {"billing_customer_id": "bob"}})
    company.wait(payments.stale_months(company.gateway(), company.settings))
    calls = requests(company, FEBRUARY, {"bob": [500]})
    assert ("get", "/v1/customers") not in [(method, path) for method, path, _ in calls]
    assert len(marked(company, "bob")) == 1


def test_known_customers_are_not_searched_again(company: Company) -> None:
    company.want({"ada": [1000], "bob": [500]}, **ADA)
    company.apply()
    company.clock.advance(28 * DAY)
    calls = requests(company, FEBRUARY, {"ada": [1000], "bob": [500]}, **ADA)
    assert not [path for _, path, _ in calls if path.startswith("/v1/customers")]


def test_a_customer_whose_metadata_cannot_be_read_stops_nobody_else(company: Company) -> None:
    company.stripe._new("cus", {"object": "customer", "metadata": [1]})
    company.want({"ada": [1000]})
    assert not company.apply().problems


def test_a_customer_deleted_in_stripe_is_created_again(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    [old] = marked(company, "ada")
    company.stripe.act("delete", f"/v1/customers/{old['id']}", {})
    company.clock.advance(28 * DAY)
    company.want({"ada": [1000]}, FEBRUARY)
    assert not company.apply(FEBRUARY).problems
    [new] = marked(company, "ada")
    assert [i["customer"] for i in company.invoices()] == [old["id"], new["id"]]


def test_one_whose_country_changed_before_it_was_deleted_is_created_again(
    company: Company,
) -> None:
    company.want({"ada": [1000]}, country="DE")
    company.apply()
    [old] = marked(company, "ada")
    company.stripe.act("delete", f"/v1/customers/{old['id']}", {})
    company.want({"ada": [1000]}, FEBRUARY, country="FR")
    assert not company.apply(FEBRUARY).problems
    [new] = marked(company, "ada")
    assert new["address"]["country"] == "FR"
    assert [i["customer"] for i in company.invoices()] == [old["id"], new["id"]]


def test_a_change_of_a_deleted_customer_without_invoices_is_no_problem(
    company: Company,
) -> None:
    company.want({"ada": [1000]}, country="DE")
    company.apply()
    [old] = marked(company, "ada")
    company.stripe.act("delete", f"/v1/customers/{old['id']}", {})
    company.want({"ada": [1000]}, country="FR")
    outcome = company.apply()
    assert not outcome.problems
    assert not marked(company, "ada")


def test_an_event_tells_of_a_deletion(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    company.clock.advance(DAY)
    company.wait(payments.stale_months(company.gateway(), company.settings))
    [old] = marked(company, "ada")
    company.stripe.act("delete", f"/v1/customers/{old['id']}", {})
    company.wait(payments.stale_months(company.gateway(), company.settings))
    with open_records(company.settings.records_dir) as records:
        assert records.cache.customers.get(old["id"]) is None


def test_a_deleted_customer_named_in_the_accounts_is_refused(company: Company) -> None:
    made = company.stripe.act("post", "/v1/customers", {"name": "Ada"})[1]
    company.stripe.act("delete", f"/v1/customers/{made['id']}", {})
    company.want({"ada": [1000]}, stripe_customer_id=made["id"])
    [failed] = company.apply().report.failed
    assert f"the accounts name {made['id']}, which was deleted in Stripe" in failed.message


# --- kept up to date ---


@pytest.mark.parametrize("named", [False, True])
def test_only_changed_fields_are_written(company: Company, named: bool) -> None:
    more: dict[str, Any] = dict(ADA)
    if named:
        made = company.stripe.act("post", "/v1/customers", {"name": "Ada", "metadata": {}})[1]
        more["stripe_customer_id"] = made["id"]
    company.want({"ada": [1000]}, **more)
    company.apply()
    [ada] = company.stripe.objects["cus"].values()
    assert ada["email"] == "ada@example.com"
    ada["name"] = "Countess of Lovelace"  # by somebody in Stripe
    ada["address"] = {"line1": "St James's Square 12", "country": "DE"}
    company.want({"ada": [1000]}, FEBRUARY, **more | {"country": "GB", "email": "a@example.org"})
    company.apply(FEBRUARY)
    assert ada["email"] == "a@example.org"
    assert ada["address"] == {"line1": "St James's Square 12", "country": "GB"}
    assert ada["name"] == "Countess of Lovelace"
    company.want({"ada": [1000]}, MARCH, **more | {"name": "Ada L.", "country": "GB"})
    company.apply(MARCH)
    assert (ada["name"], ada["email"]) == ("Ada L.", "ada@example.com")


def test_an_address_is_brought_to_stripe_part_by_part(company: Company) -> None:
    home = {"street": "Dorset Street 1", "city": "London", "postal_code": "W1U"}
    company.want({"ada": [1000]}, **ADA, **home)
    company.apply()
    [ada] = company.stripe.objects["cus"].values()
    parts = {"line1": "Dorset Street 1", "city": "London", "postal_code": "W1U"}
    assert ada["address"] == parts | {"country": "DE"}
    ada["address"] |= {"line1": "Dorset St 1", "line2": "2nd floor"}  # by somebody in Stripe
    company.want({"ada": [1000]}, FEBRUARY, **ADA, **home | {"postal_code": "W1U 4EG"})
    company.apply(FEBRUARY)
    parts |= {"line1": "Dorset St 1", "line2": "2nd floor", "postal_code": "W1U 4EG"}
    assert ada["address"] == parts | {"country": "DE"}
    before = company.stripe.posts().count("post /v1/customers/:id")
    assert not company.apply(FEBRUARY).problems
    assert company.stripe.posts().count("post /v1/customers/:id") == before


def test_an_address_that_comes_after_a_failure_brings_the_invoice_to_its_end(
    company: Company,
) -> None:
    finalize = company.stripe.post_invoices_finalize

    def needs_an_email(params: Any, item_id: str) -> Any:
        customer = company.stripe.objects["cus"][company.stripe.objects["in"][item_id]["customer"]]
        if not customer.get("email"):
            raise Refused(400, "This customer has no email", "missing_email")
        return finalize(params, item_id)

    company.stripe.post_invoices_finalize = needs_an_email  # type: ignore[method-assign]
    sent: dict[str, Any] = {"collection_method": "send_invoice", "days_until_due": 14}
    company.want({"ada": [1000]}, **sent)
    assert company.apply().problems
    company.clock.advance(2 * DAY)
    company.want({"ada": [1000]}, **sent, email="ada@example.com")
    assert not company.apply().problems
    assert company.invoices()[0]["status"] == "open"


def test_customers_without_an_amount_due_get_their_new_address_too(company: Company) -> None:
    company.want({"ada": [1000], "bob": [500]}, **ADA)
    company.apply()
    calls = requests(company, BillingMonth(2026, 1), {"ada": [1000], "bob": [500]}, **ADA)
    assert "post" not in [method for method, _, _ in calls]

    def refuse(stripe: Any, method: str, path: str, params: Any) -> Any:
        of_ada = path == f"/v1/customers/{marked(company, 'ada')[0]['id']}"
        error = {"type": "invalid_request_error", "message": "Invalid email"}
        return (400, {"error": error}) if of_ada and method == "post" else None

    company.stripe.faults.append(refuse)
    company.want({"ada": [1000], "bob": [500]}, **ADA | {"email": "new@example.com"})
    outcome = company.apply()
    assert outcome.problems
    [(customer, why)] = outcome.report.customer_problems
    assert customer == "ada" and why.startswith("Invalid email")
    assert marked(company, "bob")[0]["email"] == "new@example.com"
    company.stripe.faults.clear()
    company.clock.advance(2 * DAY)
    assert not company.apply().problems
    assert marked(company, "ada")[0]["email"] == "new@example.com"


def test_a_field_changed_back_and_forth_is_written_each_time(company: Company) -> None:
    for email in ("a@example.com", "b@example.com", "a@example.com", "b@example.com"):
        company.want({"ada": [1000]}, email=email)
        company.apply()
        assert marked(company, "ada")[0]["email"] == email


def test_without_the_cache_nothing_is_overwritten(company: Company) -> None:
    company.want({"ada": [1000]}, **ADA)
    company.apply()
    [ada] = marked(company, "ada")
    ada["email"] = "hand@example.com"
    for path in company.settings.records_dir.glob("stripe_mirror*"):
        path.unlink()
    company.want({"ada": [500]}, FEBRUARY, **ADA)
    company.apply(FEBRUARY)
    assert ada["email"] == "hand@example.com"


def test_a_cache_of_an_earlier_release_is_read_on(company: Company) -> None:
    company.want({"ada": [1000]}, **ADA)
    company.apply()
    [ada] = marked(company, "ada")
    del ada["metadata"]["billing_profile"], ada["email"]
    with open_records(company.settings.records_dir) as records:
        records.cache._db.executescript(
            "alter table customers drop column held; alter table customers drop column profile;"
            "drop table profiles; alter table invoices drop column moment; drop table set_aside;"
            "delete from state where name = 'customers_read_until'"
        )
    company.want({"ada": [500]}, FEBRUARY, **ADA | {"name": "Ada L."})
    company.apply(FEBRUARY)
    assert ada["email"] == "ada@example.com"  # there was none
    assert ada["name"] == "Ada"  # whoever wrote it
    assert not company.preview(FEBRUARY).changes


def test_the_rule() -> None:
    old = profile_of(Payer("ada", "Ada", "a@example.com", None))
    new = profile_of(Payer("ada", "Ada", "b@example.com", "DE"))
    held = digests({"name": "Ada", "email": "x@example.com", "country": ""})
    assert fields_to_write(new, digests(old), held) == ["email", "country"]
    assert fields_to_write(new, None, held) == ["country"]
    assert fields_to_write(old, digests(new), held) == ["email", "country"]
    assert fields_to_write(new, digests(new), held) == []
    # Of a customer whom an earlier release has read nobody knows the street in Stripe.
    moved = profile_of(Payer("ada", "Ada", "a@example.com", "DE", street="Dorset Street 1"))
    assert "street" not in fields_to_write(moved, digests(dict(list(old.items())[:3])), held)
    assert "street" in fields_to_write(moved, None, f"{held} street:")


# --- how an invoice is collected ---


def test_a_draft_is_collected_as_the_accounts_now_say(company: Company) -> None:
    company.want({"ada": [1000]})
    company.stripe.faults.append(at(6, kill_after))  # right after the draft was made
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    [draft] = company.invoices()
    assert draft["status"] == "draft"
    company.stripe.faults.clear()
    company.want({"ada": [1000]}, collection_method="send_invoice", days_until_due=14)
    company.apply()
    [invoice] = company.invoices()
    assert (invoice["collection_method"], invoice["status"]) == ("send_invoice", "open")
