"""The sandbox through the official SDK: what this project relies on, and what it must refuse."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import stripe

from billing_pipeline.stripe_sandbox import Rates, running_sandbox
from tests.unit.stripe_sandbox.company import KEY, Company


@pytest.fixture
def company() -> Company:
    return Company()


def test_an_invoice_is_filled_finalized_and_paid(company: Company) -> None:
    invoice_id = company.draft(company.customer(), 1500, -300)
    open_invoice = company.v1.invoices.finalize_invoice(invoice_id)
    assert (open_invoice.status, open_invoice.total, open_invoice.amount_due) == (
        "open",
        1200,
        1200,
    )
    assert open_invoice.number
    paid = company.v1.invoices.pay(invoice_id)
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 1200, 0)
    payment = company.v1.invoice_payments.list({"invoice": invoice_id}).data[0]
    intent = company.v1.payment_intents.retrieve(str(payment.payment.payment_intent))
    assert (payment.status, intent.status, intent.amount_received) == ("paid", "succeeded", 1200)
    types = [event.type for event in company.v1.events.list({"types": ["invoice.*"]}).data]
    assert types[:2] == ["invoice.payment_succeeded", "invoice.paid"]
    assert types[-1] == "invoice.created"


def test_a_declined_card_is_402_and_on_record(company: Company) -> None:
    invoice_id = company.draft(company.customer("pm_card_chargeCustomerFail"), 1500)
    company.v1.invoices.finalize_invoice(invoice_id)
    with pytest.raises(stripe.CardError) as caught:
        company.v1.invoices.pay(invoice_id)
    assert caught.value.http_status == 402
    assert caught.value.json_body["error"]["decline_code"] == "generic_decline"  # type: ignore[call-overload,index]
    held = company.v1.invoices.retrieve(invoice_id)
    assert (held.status, held.attempted, held.attempt_count) == ("open", True, 1)
    query: Any = {"invoice": invoice_id, "expand": ["data.payment.payment_intent"]}
    payment = company.v1.invoice_payments.list(query).data[0]
    assert payment.payment.payment_intent.last_payment_error.message  # type: ignore[union-attr]


def test_paid_at_finalize_where_nothing_is_due(company: Company) -> None:
    customer = company.customer()
    negative = company.v1.invoices.finalize_invoice(company.draft(customer, -700))
    assert (negative.status, negative.amount_due) == ("paid", 0)
    assert company.v1.customers.retrieve(customer).balance == -700
    rest = company.v1.invoices.finalize_invoice(company.draft(customer, 1000))
    assert (rest.status, rest.total, rest.amount_due) == ("open", 1000, 300)
    moved = company.v1.customers.balance_transactions.list(customer).data
    assert [item.amount for item in moved] == [700, -700]
    company.v1.invoices.void_invoice(rest.id)
    assert company.v1.customers.retrieve(customer).balance == -700


def test_less_than_the_minimum_charge_is_carried_over(company: Company) -> None:
    customer = company.customer()
    invoice = company.v1.invoices.finalize_invoice(company.draft(customer, 30))
    assert (invoice.status, invoice.amount_due, invoice.amount_paid) == ("paid", 0, 0)
    assert company.v1.customers.retrieve(customer).balance == 30


def test_auto_advance_charges_at_finalize_and_drafts_after_an_hour(company: Company) -> None:
    customer = company.customer()
    now = company.v1.invoices.finalize_invoice(company.draft(customer, 900), {"auto_advance": True})
    assert now.status == "paid"
    later = company.draft(customer, 800, auto_advance=True)
    company.clock.advance(3599)
    assert company.v1.invoices.retrieve(later).status == "draft"
    company.clock.advance(2)
    assert company.v1.invoices.retrieve(later).status == "paid"


def test_a_credit_note_lowers_what_is_due_then_goes_to_the_balance(company: Company) -> None:
    customer = company.customer()
    invoice_id = company.draft(customer, 1000)
    company.v1.invoices.finalize_invoice(invoice_id)
    company.v1.credit_notes.create({"invoice": invoice_id, "amount": 400})
    assert company.v1.invoices.retrieve(invoice_id).amount_remaining == 600
    company.v1.invoices.pay(invoice_id)
    with pytest.raises(stripe.InvalidRequestError, match="must equal"):
        company.v1.credit_notes.create({"invoice": invoice_id, "amount": 100})
    company.v1.credit_notes.create({"invoice": invoice_id, "amount": 100, "credit_amount": 100})
    assert company.v1.customers.retrieve(customer).balance == -100
    with pytest.raises(stripe.InvalidRequestError, match="exceeds"):
        company.v1.credit_notes.create({"invoice": invoice_id, "amount": 501, "credit_amount": 501})
    held = company.v1.invoices.retrieve(invoice_id)
    assert held.pre_payment_credit_notes_amount == 400
    assert held.post_payment_credit_notes_amount == 100


def test_finalized_invoices_keep_their_content(company: Company) -> None:
    invoice_id = company.draft(company.customer(), 1000)
    company.v1.invoices.finalize_invoice(invoice_id)
    for change in (
        lambda: company.v1.invoices.add_lines(invoice_id, {"lines": [{"amount": 1}]}),
        lambda: company.v1.invoices.delete(invoice_id),
        lambda: company.v1.invoices.update(invoice_id, {"description": "x"}),
        lambda: company.v1.invoices.finalize_invoice(invoice_id),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            change()
    changed = company.v1.invoices.update(invoice_id, {"metadata": {"a": "b"}})
    assert changed.metadata is not None and changed.metadata["a"] == "b"
    assert company.v1.invoices.mark_uncollectible(invoice_id).status == "uncollectible"


def test_lines_are_changed_removed_and_limited(company: Company) -> None:
    invoice_id = company.draft(company.customer(), *range(1, 13))
    invoice = company.v1.invoices.retrieve(invoice_id)
    assert (len(invoice.lines.data), invoice.lines.has_more, invoice.total) == (10, True, 78)
    lines = company.v1.invoices.line_items.list(invoice_id, {"limit": 100}).data
    assert [line.amount for line in lines] == list(range(1, 13))
    update: Any = {"lines": [{"id": lines[0].id, "amount": 100}]}
    assert company.v1.invoices.update_lines(invoice_id, update).total == 177
    remove: Any = {"lines": [{"id": line.id, "behavior": "delete"} for line in lines]}
    assert company.v1.invoices.remove_lines(invoice_id, remove).total == 0
    company.v1.invoices.add_lines(invoice_id, {"lines": [{"amount": 1}] * 250})
    with pytest.raises(stripe.InvalidRequestError, match="250"):
        company.v1.invoices.add_lines(invoice_id, {"lines": [{"amount": 1}]})
    assert company.v1.invoices.retrieve(invoice_id).total == 250


def test_pending_items_come_when_asked_for(company: Company) -> None:
    customer = company.customer()
    company.v1.invoice_items.create({"customer": customer, "amount": 70, "currency": "usd"})
    assert company.v1.invoices.retrieve(company.draft(customer)).total == 0
    taken = company.draft(customer, pending_invoice_items_behavior="include")
    assert company.v1.invoices.retrieve(taken).total == 70
    assert company.v1.invoice_items.list({"pending": True}).data == []


def test_idempotency_keys(company: Company) -> None:
    options: Any = {"idempotency_key": "k"}
    first = company.v1.customers.create({"name": "A"}, options)
    again = company.v1.customers.create({"name": "A"}, options)
    assert first.id == again.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        company.v1.customers.create({"name": "B"}, options)
    company.clock.advance(86_401)
    assert company.v1.customers.create({"name": "B"}, options).id != first.id


def test_errors_are_saved_under_a_key_except_validation_errors(company: Company) -> None:
    body, key = "customer=cus_none&currency=usd", {"Idempotency-Key": "k"}
    assert company.raw("POST", "/v1/invoices", body, **key).status == 400
    replayed = company.raw("POST", "/v1/invoices", body, **key)
    assert replayed.headers.get("Idempotent-Replayed") == "true"
    key = {"Idempotency-Key": "other"}
    assert company.raw("POST", "/v1/customers", "nme=A", **key).status == 400
    assert "Idempotent-Replayed" not in company.raw("POST", "/v1/customers", "nme=A", **key).headers
    assert company.raw("POST", "/v1/customers", "name=A", **key).status == 200


@pytest.mark.parametrize(
    ("target", "body", "code", "param"),
    [
        ("customers", "nme=A", "parameter_unknown", "nme"),
        ("invoices", "auto_advance=maybe", None, "auto_advance"),
        ("invoices", "collection_method=never", None, "collection_method"),
        ("invoices/in_1/add_lines", "", "parameter_missing", "lines"),
        (
            "invoices/in_1/add_lines",
            "lines[0][unit_amount]=4",
            "parameter_unknown",
            "lines[0][unit_amount]",
        ),
        (
            "invoices/in_1/add_lines",
            "lines[0][amount]=1.5",
            "parameter_invalid_integer",
            "lines[0][amount]",
        ),
        ("invoices", "customer=cus_1&automatic_tax[enabled]=true", "parameter_unknown", None),
    ],
)
def test_wrong_parameters_are_named(
    company: Company, target: str, body: str, code: str | None, param: str | None
) -> None:
    answer = company.raw("POST", f"/v1/{target}", body)
    error = json.loads(answer.body)["error"]
    assert (answer.status, error.get("code")) == (400, code)
    assert param is None or error["param"] == param
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"]


def test_metadata_has_limits_and_merges(company: Company) -> None:
    customer = company.customer(metadata={"a": "1", "b": "2"})
    changed = company.v1.customers.update(customer, {"metadata": {"a": "", "c": "3"}})
    assert changed.metadata is not None and changed.metadata.to_dict() == {"b": "2", "c": "3"}
    wrong: list[dict[str, str]] = [
        {"k" * 41: "v"},
        {"k": "v" * 501},
        {f"k{n}": "v" for n in range(51)},
    ]
    for metadata in wrong:
        with pytest.raises(stripe.InvalidRequestError):
            company.v1.customers.update(customer, {"metadata": metadata})


def test_lists_page_and_filter(company: Company) -> None:
    one, other = company.customer(), company.customer()
    ids = []
    for number in range(5):
        ids.append(company.draft(one, metadata={"n": str(number)}))
        company.clock.advance(10)
    company.draft(other)
    listed = company.v1.invoices.list({"customer": one, "limit": 2})
    assert [item.id for item in listed.data] == [ids[4], ids[3]]
    assert listed.has_more
    assert [item.id for item in listed.auto_paging_iter()] == ids[::-1]
    back = company.v1.invoices.list({"customer": one, "limit": 2, "ending_before": ids[0]})
    assert [item.id for item in back.data] == [ids[2], ids[1]]
    created = company.v1.invoices.retrieve(ids[3]).created
    late = company.v1.invoices.list({"customer": one, "created": {"gte": created}})
    assert {item.id for item in late.data} == {ids[3], ids[4]}
    assert company.v1.invoices.list({"status": "open"}).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        company.v1.invoices.list({"starting_after": "in_none"})


def test_search_lags_and_lists_do_not() -> None:
    company = Company(search_lag=60)
    company.customer(metadata={"m": "x"})
    query: Any = {"query": "metadata['m']:'x'"}
    assert len(company.v1.customers.list().data) == 1
    assert company.v1.customers.search(query).data == []
    company.clock.advance(61)
    assert len(company.v1.customers.search(query).data) == 1


def test_other_keys_are_refused_and_rates_limited() -> None:
    company = Company(rates=Rates(total=3, endpoint=2))
    refused = company.sandbox.handle(
        "GET", "/v1/account", {"Authorization": "Bearer sk_live_x"}, ""
    )
    assert refused.status == 401
    assert [company.raw("GET", "/v1/account").status for _ in range(3)] == [200, 200, 429]
    company.clock.advance(1.1)
    assert company.raw("GET", "/v1/account").status == 200
    assert company.raw("GET", "/v1/nothing").status == 404


def test_requests_beyond_the_limit_get_429_over_http(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, rates=Rates(total=2)) as base:
        request = urllib.request.Request(
            f"{base}/v1/account", headers={"Authorization": f"Bearer {KEY}"}
        )
        for _ in range(2):
            urllib.request.urlopen(request).close()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == 429


def test_top_ups_are_payment_intents(company: Company) -> None:
    customer = company.customer(None)
    params: Any = {"amount": 500, "currency": "usd", "customer": customer, "confirm": True}
    params |= {"return_url": "https://shop.example/paid"}
    intent = company.v1.payment_intents.create({**params, "payment_method": "pm_card_visa"})
    assert (intent.status, intent.amount_received) == ("succeeded", 500)
    with pytest.raises(stripe.CardError):
        company.v1.payment_intents.create(
            {**params, "payment_method": "pm_card_visa_chargeDeclined"}
        )


def test_two_over_one_file_see_each_other(tmp_path: Path) -> None:
    path = tmp_path / "stripe.sqlite"
    one, other = Company(path), Company(path)
    first = one.customer()
    assert other.v1.customers.retrieve(first).id == first
    assert other.customer() != first
    assert len(one.v1.customers.list().data) == 2


def test_over_http_and_durably(tmp_path: Path) -> None:
    for names in (["A"], ["B", "A"]):
        with running_sandbox(tmp_path) as base:
            transport = stripe.UrllibClient()
            client = stripe.StripeClient(
                KEY, base_addresses={"api": base}, http_client=transport, max_network_retries=0
            )
            client.v1.customers.create({"name": names[0]})
            listed = [item.name for item in client.v1.customers.list().data]
            # What others have in a new account is older.
            assert listed == [*names, "No Address", "Somebody Else Ltd"]
            transport.close()


def test_a_connected_account_has_its_own_state() -> None:
    company = Company()
    other = {"Stripe-Account": "acct_1Connected"}
    made = company.raw("POST", "/v1/customers", "name=Theirs", **other).json()["id"]
    assert company.raw("GET", "/v1/account", **other).json()["id"] == "acct_1Connected"
    assert company.raw("GET", f"/v1/customers/{made}", **other).status == 200
    assert company.raw("GET", f"/v1/customers/{made}").status == 404
    refused = company.raw("GET", "/v1/account", **{"Stripe-Account": "nobody"})
    assert (refused.status, refused.json()["error"]["code"]) == (403, "account_invalid")


def test_a_new_account_holds_what_others_made() -> None:
    company = Company(others=True)
    for kind in ("customers", "invoices", "payment_intents", "charges", "products", "prices"):
        assert company.raw("GET", f"/v1/{kind}").json()["data"], kind
    states = {invoice.status for invoice in company.v1.invoices.list({"limit": 100}).data}
    assert states == {"draft", "open", "paid"}
    # Our own numbers begin where they would without them.
    assert company.customer() == "cus_000000000001"
