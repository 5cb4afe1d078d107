"""What Stripe refuses, and so does the sandbox."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.unit.stripe_sandbox.company import Company

Json = dict[str, Any]


@pytest.fixture
def company() -> Company:
    return Company()


def refusal(company: Company, method: str, target: str, body: str = "") -> Json:
    answer = company.raw(method, f"/v1/{target}", body)
    assert 400 <= answer.status < 500, answer.body
    error: Json = answer.json()["error"]
    return {"status": answer.status, **error}


@pytest.mark.parametrize(
    ("card", "code", "decline"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
def test_a_declining_card_cannot_be_attached(
    company: Company, card: str, code: str, decline: str | None
) -> None:
    customer = company.customer(None)
    for target, body in (
        (f"payment_methods/{card}/attach", f"customer={customer}"),
        ("customers", f"payment_method={card}"),
    ):
        error = refusal(company, "POST", target, body)
        assert (error["status"], error["code"], error.get("decline_code")) == (402, code, decline)
    assert company.v1.customers.payment_methods.list(customer).data == []
    assert len(company.v1.customers.list().data) == 1


def test_an_invoice_to_be_sent_needs_an_address(company: Company) -> None:
    customer = company.customer(email="")
    sent = f"customer={customer}&collection_method=send_invoice&days_until_due=3"
    assert "Missing email" in refusal(company, "POST", "invoices", sent)["message"]
    assert company.v1.invoices.list().data == []
    draft = company.draft(customer, 1500)
    change = "collection_method=send_invoice&days_until_due=3"
    assert "Missing email" in refusal(company, "POST", f"invoices/{draft}", change)["message"]
    assert refusal(company, "POST", "customers", "email=ada")["code"] == "email_invalid"


@pytest.mark.parametrize(
    ("currency", "amount", "code"),
    [
        ("usd", 49, "amount_too_small"),
        ("gbp", 29, "amount_too_small"),
        ("czk", 1499, "amount_too_small"),
        ("huf", 17_499, "amount_too_small"),
        ("usd", 100_000_000, "amount_too_large"),
        ("jpy", 100_000_000, "amount_too_large"),
    ],
)
def test_a_charge_has_limits(company: Company, currency: str, amount: int, code: str) -> None:
    body = f"amount={amount}&currency={currency}"
    assert refusal(company, "POST", "payment_intents", body)["code"] == code
    inside = amount + 1 if code == "amount_too_small" else amount - 1
    params: Any = {"amount": inside, "currency": currency}
    assert company.v1.payment_intents.create(params).amount == inside


def test_an_invoice_that_no_card_can_pay_stays_a_draft(company: Company) -> None:
    customer = company.customer()
    large = company.draft(customer, 100_000_000)
    error = refusal(company, "POST", f"invoices/{large}/finalize")
    assert error["code"] == "amount_too_large"
    assert company.v1.invoices.retrieve(large).status == "draft"
    sent = company.draft(customer, 100_000_000, collection_method="send_invoice", days_until_due=30)
    assert company.v1.invoices.finalize_invoice(sent).status == "open"


STATES = ("draft", "open", "paid", "uncollectible", "void")


def invoice_in(company: Company, state: str) -> str:
    made = company.draft(company.customer(), 1500)
    if state != "draft":
        company.v1.invoices.finalize_invoice(made)
    if state == "paid":
        company.v1.invoices.pay(made)
    if state == "uncollectible":
        company.v1.invoices.mark_uncollectible(made)
    if state == "void":
        company.v1.invoices.void_invoice(made)
    return made


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ("POST finalize", "draft"),
        ("POST pay", "open uncollectible"),
        ("POST void", "open uncollectible"),
        ("POST mark_uncollectible", "open"),
        ("POST add_lines", "draft"),
        ("DELETE", "draft"),
    ],
)
def test_each_action_has_its_states(company: Company, action: str, allowed: str) -> None:
    method, _, name = action.partition(" ")
    body = "lines[0][amount]=5" if name == "add_lines" else ""
    works = []
    for state in STATES:
        made = invoice_in(company, state)
        target = f"/v1/invoices/{made}/{name}" if name else f"/v1/invoices/{made}"
        if company.raw(method, target, body).status == 200:
            works.append(state)
    assert works == allowed.split()


def test_parameters_that_exclude_each_other(company: Company) -> None:
    customer = company.customer()
    paid = invoice_in(company, "open")
    refused = [
        ("POST", "invoices", f"customer={customer}&days_until_due=1&due_date=9999999999"),
        ("POST", "credit_notes", f"invoice={paid}&amount=1&lines[0][type]=custom_line_item"),
        ("POST", "refunds", "charge=ch_1&payment_intent=pi_1"),
        ("POST", f"invoices/{paid}/pay", "paid_out_of_band=true&payment_method=pm_1"),
        ("GET", "events?type=a&types[0]=b", ""),
        ("GET", "invoices?starting_after=in_1&ending_before=in_2", ""),
    ]
    for method, target, body in refused:
        assert refusal(company, method, target, body)["code"] == "parameters_exclusive", target
    draft = f"customer={customer}&days_until_due=3"
    assert refusal(company, "POST", "invoices", draft)["param"] == "days_until_due"
    assert refusal(company, "POST", "invoices", "currency=xyz")["param"] == "currency"


def test_expand_names_what_exists(company: Company) -> None:
    made = invoice_in(company, "paid")
    for wrong in ("wishes", "status", "automatic_tax", "customer.wishes", "customer.a.b.c.d"):
        assert refusal(company, "GET", f"invoices/{made}?expand[0]={wrong}")["status"] == 400
        # Of an empty page too: the field does not depend on what there is.
        nothing = f"invoices?customer=cus_none&expand[0]=data.{wrong}"
        assert refusal(company, "GET", nothing)["status"] == 400
    query: Any = {"expand": ["customer", "lines", "payments", "discounts", "default_source"]}
    found = company.v1.invoices.retrieve(made, query)
    assert found.customer.email == "a@example.com"  # type: ignore[union-attr]
    assert found.payments is not None and len(found.payments.data) == 1
    # What another version may expand is not known here: clients that are older still sync.
    old = f"/v1/invoices/{made}?expand[0]=total_tax_amounts.tax_rate&expand[1]=customer"
    answer = company.raw("GET", old, **{"Stripe-Version": "2022-11-15"})
    assert (answer.status, answer.json()["customer"]["id"]) == (200, found.customer.id)  # type: ignore[union-attr]


def test_balances_are_shown_where_they_are_asked_for(company: Company) -> None:
    customer = company.customer()
    moved: Any = {"amount": -700, "currency": "usd"}
    company.v1.customers.balance_transactions.create(customer, moved)
    plain = company.raw("GET", f"/v1/customers/{customer}").json()
    assert (plain["balance"], "invoice_credit_balance" in plain) == (-700, False)
    asked = company.raw("GET", f"/v1/customers/{customer}?expand[0]=invoice_credit_balance")
    assert asked.json()["invoice_credit_balance"] == {"usd": -700}


def test_a_payment_that_might_redirect_needs_a_place_to_return_to(company: Company) -> None:
    body = f"amount=900&currency=usd&customer={company.customer()}&payment_method=pm_card_visa"
    error = refusal(company, "POST", "payment_intents", f"{body}&confirm=true")
    assert error["param"] == "return_url"
    for ruled_out in (
        "allowed_payment_method_types[0]=card",
        "automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never",
    ):
        answer = company.raw("POST", "/v1/payment_intents", f"{body}&confirm=true&{ruled_out}")
        assert answer.json()["status"] == "succeeded"


# 3-D Secure.
CONFIRMED = "pm_card_authenticationRequired"


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_card_whose_holder_must_confirm(company: Company, succeeds: bool) -> None:
    made = company.draft(company.customer(CONFIRMED), 1500)
    company.v1.invoices.finalize_invoice(made)
    error = refusal(company, "POST", f"invoices/{made}/pay")
    assert (error["status"], error["code"]) == (402, "invoice_payment_intent_requires_action")
    intent = error["payment_intent"]
    assert (intent["status"], intent["next_action"]["type"]) == (
        "requires_action",
        "use_stripe_sdk",
    )
    held = company.v1.invoices.retrieve(made)
    assert (held.status, held.attempt_count) == ("open", 1)
    company.sandbox.authenticate(intent["id"], succeeds=succeeds)
    held = company.v1.invoices.retrieve(made)
    after = company.v1.payment_intents.retrieve(intent["id"])
    if succeeds:
        assert (held.status, held.amount_paid, after.status) == ("paid", 1500, "succeeded")
    else:
        assert (held.status, after.status) == ("open", "requires_payment_method")
    names = {event.type for event in company.v1.events.list({"limit": 100}).data}
    assert {"invoice.payment_action_required", "payment_intent.requires_action"} <= names


def test_a_confirmation_without_the_customer_is_a_decline(company: Company) -> None:
    body = f"amount=900&currency=usd&customer={company.customer()}&payment_method={CONFIRMED}"
    body += "&confirm=true&allowed_payment_method_types[0]=card"
    on_session = company.raw("POST", "/v1/payment_intents", body).json()
    assert on_session["status"] == "requires_action"
    error = refusal(company, "POST", "payment_intents", f"{body}&off_session=true")
    assert (error["status"], error["code"]) == (402, "authentication_required")
    assert error["payment_intent"]["status"] == "requires_payment_method"


def test_pages_hold_while_the_list_grows(company: Company) -> None:
    names = [company.customer(None) for _ in range(5)]
    seen: list[str] = []
    query: Any = {"limit": 2}
    while True:
        page = company.v1.customers.list(query)
        seen += [item.id for item in page.data]
        company.customer(None)  # somebody else creates one meanwhile
        if not page.has_more:
            break
        query = {"limit": 2, "starting_after": page.data[-1].id}
    assert seen == names[::-1]
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        company.v1.customers.list({"starting_after": "cus_none"})


def test_events_of_twenty_types_can_be_listed_at_once(company: Company) -> None:
    types = [f"types[{at}]=invoice.paid" for at in range(21)]
    assert refusal(company, "GET", f"events?{'&'.join(types)}")["param"] == "types"
    assert company.raw("GET", f"/v1/events?{'&'.join(types[1:])}").status == 200
