"""Tax ids in the sandbox, as Stripe documents them."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import stripe
from stripe.params import CustomerTaxIdCreateParams

from billing_pipeline.collection.stripe_state.tax_id_types import tax_id_of
from billing_pipeline.stripe_sandbox import tax_ids
from tests.unit.collection.test_tax_id_types import test_the_rule
from tests.unit.stripe_sandbox.company import Company

EXAMPLES = [case[:2] for mark in test_the_rule.pytestmark for case in mark.args[1]]


@pytest.fixture
def company() -> Company:
    return Company()


def add(company: Company, customer: str, value: str, kind: Any = "eu_vat") -> Any:
    return company.v1.customers.tax_ids.create(customer, {"type": kind, "value": value})


def test_an_invoice_has_those_of_the_time_when_it_is_finalized(company: Company) -> None:
    ada = company.customer()
    draft = company.draft(ada, 1500)
    vat = add(company, ada, "DE123456789")
    add(company, ada, "XI123456789")
    shown = [("eu_vat", "DE123456789"), ("eu_vat", "XI123456789")]
    seen = company.v1.invoices.retrieve(draft).customer_tax_ids or []
    assert [(item.type, item.value) for item in seen] == shown
    company.v1.invoices.finalize_invoice(draft)
    company.v1.customers.tax_ids.delete(ada, vat.id)
    for name, those in ((draft, shown), (company.draft(ada, 9), shown[1:])):
        seen = company.v1.invoices.retrieve(name).customer_tax_ids or []
        assert [(item.type, item.value) for item in seen] == those


@pytest.mark.parametrize(
    ("kind", "value", "country", "status"),
    [
        ("eu_vat", "DE123456789", "DE", "pending"),
        ("eu_vat", "EL123456789", "GR", "pending"),
        ("eu_vat", "XI123456789", "GB", "pending"),
        ("us_ein", "12-3456789", "US", "unavailable"),
        ("zm_tin", "1004751879", "ZM", "unavailable"),
    ],
)
def test_country_and_verification(
    company: Company, kind: str, value: str, country: str, status: str
) -> None:
    made = add(company, company.customer(), value, kind)
    assert (made.country, made.verification.status) == (country, status)
    assert made.owner.customer == made.customer and made.id.startswith("txi_")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("eu_vat", "DE12345678"),
        ("eu_vat", "DE 123456789"),
        ("eu_vat", "GR123456789"),
        ("eu_vat", "123456789"),
        ("gb_vat", "123456789"),
        ("us_ein", "123456789"),
        ("ch_vat", "CHE-123.456.789"),
        ("no_vat", "NO123456789MVA"),
        ("zm_tin", " "),
    ],
)
def test_other_forms_are_refused(company: Company, kind: str, value: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        add(company, company.customer(), value, kind)
    assert (error.value.code, error.value.param) == ("tax_id_invalid", "value")


def test_what_the_push_sends_has_the_documented_form(company: Company) -> None:
    """For all of Stripe's examples: otherwise every push would be refused something."""
    assert len(EXAMPLES) > 90
    for country, text in EXAMPLES:
        found = tax_id_of(country, text)
        assert found is not None
        assert add(company, company.customer(), found.value, found.type).value == found.value


def test_a_customer_has_each_once_and_at_most_five(company: Company) -> None:
    ada = company.customer()
    for number in range(5):
        add(company, ada, f"DE12345678{number}")
    with pytest.raises(stripe.InvalidRequestError, match="up to 5"):
        add(company, ada, "DE999999999")
    with pytest.raises(stripe.InvalidRequestError, match="already"):
        add(company, ada, "DE123456780")
    page = company.v1.customers.tax_ids.list(ada, {"limit": 2})
    assert [item.value for item in page.data] == ["DE123456784", "DE123456783"] and page.has_more
    add(company, company.customer(), "DE123456780")


def test_they_go_with_their_customer_and_belong_to_nobody_else(company: Company) -> None:
    ada, bob = company.customer(), company.customer()
    vat = add(company, ada, "DE123456789")
    for forbidden in (company.v1.customers.tax_ids.delete, company.v1.customers.tax_ids.retrieve):
        with pytest.raises(stripe.InvalidRequestError) as error:
            forbidden(bob, vat.id)
        assert error.value.http_status == 404
    assert company.v1.customers.tax_ids.retrieve(ada, vat.id).value == "DE123456789"
    company.v1.customers.delete(ada)
    with pytest.raises(stripe.InvalidRequestError) as error:
        company.v1.customers.tax_ids.list(ada)
    assert (error.value.http_status, error.value.code) == (404, "resource_missing")


def test_a_repeated_request_makes_one(company: Company) -> None:
    ada = company.customer()
    params: Any = {"type": "eu_vat", "value": "DE123456789"}
    made = {
        company.v1.customers.tax_ids.create(ada, params, {"idempotency_key": "once"}).id
        for _ in range(2)
    }
    assert len(made) == 1 and len(company.v1.customers.tax_ids.list(ada).data) == 1


def test_events_tell_of_them(company: Company) -> None:
    ada = company.customer()
    company.v1.customers.tax_ids.delete(ada, add(company, ada, "DE123456789").id)
    kinds = [event.type for event in company.v1.events.list({"limit": 2}).data]
    assert kinds == ["customer.tax_id.deleted", "customer.tax_id.created"]


def test_every_form_is_of_a_type_that_stripe_has() -> None:
    hint = CustomerTaxIdCreateParams.__annotations__["type"]
    assert set(tax_ids._FORMATS) <= {name for part in get_args(hint) for name in get_args(part)}
