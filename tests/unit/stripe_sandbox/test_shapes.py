"""Every route of the sandbox, every event and every kind of error, against Stripe's own types."""

from __future__ import annotations

import base64
from typing import Any

import stripe

from billing_pipeline.stripe_sandbox.context import ROUTES
from billing_pipeline.stripe_sandbox.reading import EMPTY_LISTS
from tests.unit.stripe_sandbox.company import KEY, Company
from tests.unit.stripe_sandbox.published_types import ERROR_CODES, class_of, problems

Json = dict[str, Any]
DEBIT = "pm_success_de"


class Walk:
    """Sends requests and collects what is wrong with the answers."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.walked: set[tuple[str, ...]] = set()
        self.wrong: list[str] = []

    def __call__(self, method: str, path: str, *ids: str, **params: str) -> Json:
        """`path` has a ``*`` for each id; `params` are form-encoded, ``a__b`` for ``a[b]``."""
        self.walked.add((method, *path.split("/")))
        target = "/v1/" + path
        for object_id in ids:
            target = target.replace("*", object_id, 1)
        pairs = [f"{_bracketed(name)}={value}" for name, value in params.items()]
        query = "&".join(pairs)
        is_read = method == "GET"
        answer = self.company.raw(
            method, f"{target}?{query}" if is_read else target, "" if is_read else query
        )
        body: Json = answer.json()
        assert answer.status == 200, (method, target, body)
        self.wrong += [f"{method} {path}: {problem}" for problem in problems(body)]
        return body


def _bracketed(name: str) -> str:
    first, *rest = name.split("__")
    return first + "".join(f"[{part}]" for part in rest)


def _ids(page: Json) -> list[str]:
    return [item["id"] for item in page["data"]]


def _customers(walk: Walk) -> str:
    created = walk(
        *("POST", "customers"),
        email="ada@example.com",
        payment_method="pm_card_visa",
        address__country="DE",
        metadata__plan="a",
    )
    name: str = created["id"]
    [card] = _ids(walk("GET", "customers/*/payment_methods", name))
    settings = {"invoice_settings__default_payment_method": card}
    walk("POST", "customers/*", name, name="Ada", **settings)
    walk("POST", "payment_methods/*/attach", DEBIT, customer=name)
    debit = _ids(walk("GET", "payment_methods", customer=name, type="sepa_debit"))[0]
    walk("GET", "payment_methods/*", card)
    changed = walk("POST", "payment_methods/*", card, card__exp_month="4", card__exp_year="2024")
    assert (changed["card"]["exp_month"], changed["card"]["exp_year"]) == (4, 2024)
    walk("POST", "payment_methods/*/detach", debit)
    moved = walk("POST", "customers/*/balance_transactions", name, amount="5", currency="usd")
    walk("GET", "customers/*/balance_transactions", name)
    walk("GET", "customers/*/balance_transactions/*", name, moved["id"])
    walk("POST", "customers/*/balance_transactions", name, amount="-5", currency="usd")
    walk("GET", "customers/*", name)
    walk("GET", "customers", email="ada@example.com", expand__0="data.invoice_credit_balance")
    walk("GET", "customers/search", query="email:'ada@example.com'")
    vat = walk("POST", "customers/*/tax_ids", name, type="eu_vat", value="DE123456789")["id"]
    walk("GET", "customers/*/tax_ids/*", name, vat)
    walk("GET", "customers/*/tax_ids", name)
    assert walk("GET", "customers/*", name, expand__0="tax_ids")["tax_ids"]["data"][0]["id"] == vat
    other = walk("POST", "customers/*/tax_ids", name, type="us_ein", value="12-3456789")["id"]
    walk("DELETE", "customers/*/tax_ids/*", name, other)
    gone = walk("POST", "customers", name="Gone")["id"]
    walk("DELETE", "customers/*", gone)
    walk("GET", "customers/*", gone)
    return name


def _drafts(walk: Walk, customer: str) -> None:
    draft = walk("POST", "invoices", customer=customer, auto_advance="true")["id"]
    body = {f"lines__{at}__{key}": str(value) for at in (0, 1) for key, value in _line(at).items()}
    lines = walk("POST", "invoices/*/add_lines", draft, **body)["lines"]["data"]
    first, second = _ids({"data": lines})
    walk("POST", "invoices/*/lines/*", draft, first, description="y", quantity="2")
    walk("POST", "invoices/*/update_lines", draft, lines__0__id=second, lines__0__amount="7")
    removed = {"lines__0__id": second, "lines__0__behavior": "unassign"}
    walk("POST", "invoices/*/remove_lines", draft, **removed)
    walk("GET", "invoices/*/lines", draft)
    walk("POST", "invoices/*", draft, description="Footing")
    item = walk("POST", "invoiceitems", customer=customer, amount="3", currency="usd")["id"]
    walk("POST", "invoiceitems/*", item, amount="4")
    walk("GET", "invoiceitems/*", item)
    walk("GET", "invoiceitems", customer=customer)
    walk("DELETE", "invoiceitems/*", item)
    walk("DELETE", "invoices/*", draft)


def _line(at: int) -> Json:
    period = {"period__start": 1, "period__end": 9} if at else {}
    return {"amount": 700 + at, "description": "x", **period}


def _finalized(walk: Walk, customer: str, amount: int = 1500, **more: str) -> Json:
    draft = walk("POST", "invoices", customer=customer, currency="usd", **more)["id"]
    walk("POST", "invoices/*/add_lines", draft, lines__0__amount=str(amount))
    return walk("POST", "invoices/*/finalize", draft)


def _invoices(walk: Walk, customer: str) -> None:
    paid = _finalized(walk, customer)["id"]
    walk("POST", "invoices/*/pay", paid, expand__0="customer")
    walk("GET", "invoices/*", paid)
    expand = {"expand__0": "data.payment.payment_intent.latest_charge"}
    payments = walk("GET", "invoice_payments", invoice=paid, **expand)
    walk("GET", "invoice_payments/*", payments["data"][0]["id"])
    walk("GET", "invoices/search", query="total>0")
    sent = _finalized(walk, customer, collection_method="send_invoice", days_until_due="3")["id"]
    walk("POST", "invoices/*/send", sent)
    own = walk(
        *("POST", "payment_intents"),
        amount="600",
        currency="usd",
        customer=customer,
        payment_method="pm_card_visa",
        confirm="true",
        allowed_payment_method_types__0="card",
    )["id"]
    walk("POST", "invoices/*/attach_payment", sent, payment_intent=own)
    walk("POST", "invoices/*/mark_uncollectible", sent)
    outside = _reported(walk, customer)
    walk("GET", "payment_records/*", outside)
    walk("POST", "invoices/*/attach_payment", sent, payment_record=outside)
    walk("POST", "invoices/*/void", _finalized(walk, customer)["id"])
    walk("POST", "invoices/*/pay", _finalized(walk, customer)["id"], paid_out_of_band="true")
    _finalized(walk, customer, -40)
    walk("GET", "invoices", limit="100")
    _credit_notes(walk, paid, _finalized(walk, customer)["id"])


def _reported(walk: Walk, customer: str) -> str:
    record = walk(
        *("POST", "payment_records/report_payment"),
        amount_requested__value="700",
        amount_requested__currency="usd",
        customer_details__customer=customer,
        initiated_at="1",
        outcome="guaranteed",
        guaranteed__guaranteed_at="1",
        payment_method_details__type="custom",
        payment_method_details__custom__display_name="Wallet",
        processor_details__type="custom",
        processor_details__custom__payment_reference="in:1:1",
    )
    return str(record["id"])


def _credit_notes(walk: Walk, paid: str, unpaid: str) -> None:
    note = walk("POST", "credit_notes", invoice=paid, amount="300", refund_amount="300")["id"]
    walk("POST", "credit_notes", invoice=paid, amount="200", credit_amount="200")
    walk("GET", "credit_notes/*", note)
    walk("GET", "credit_notes/*/lines", note)
    walk("GET", "credit_notes", invoice=paid)
    before = walk("POST", "credit_notes", invoice=unpaid, amount="9", reason="duplicate")["id"]
    walk("POST", "credit_notes/*", before, memo="m")
    walk("POST", "credit_notes/*/void", before)


def _payments(walk: Walk, customer: str) -> None:
    back = {"return_url": "https://shop.example/paid"}
    intent = walk("POST", "payment_intents", amount="900", currency="usd", customer=customer)["id"]
    walk("POST", "payment_intents/*", intent, description="Top-up")
    walk("POST", "payment_intents/*/confirm", intent, payment_method="pm_card_mastercard", **back)
    walk("GET", "payment_intents/*", intent, expand__0="latest_charge")
    walk("GET", "payment_intents", customer=customer)
    walk("GET", "payment_intents/search", query="amount>1")
    unused = walk("POST", "payment_intents", amount="900", currency="usd", customer=customer)["id"]
    walk("POST", "payment_intents/*/cancel", unused, cancellation_reason="abandoned")
    charge = walk("GET", "charges", payment_intent=intent)["data"][0]["id"]
    walk("POST", "charges/*", charge, description="d")
    walk("GET", "charges/*", charge)
    refund = walk("POST", "refunds", charge=charge, amount="100", reason="fraudulent")["id"]
    walk("GET", "refunds/*", refund)
    walk("GET", "refunds", payment_intent=intent)
    won = walk.company.sandbox.open_dispute(charge, 50)
    walk("GET", "disputes/*", won)
    walk("POST", "disputes/*", won, evidence__uncategorized_text="winning_evidence")
    walk("GET", "disputes", payment_intent=intent)
    other = walk("POST", "payment_intents", amount="900", currency="usd", customer=customer)["id"]
    walk("POST", "payment_intents/*/confirm", other, payment_method="pm_card_amex", **back)
    walk("POST", "disputes/*/close", walk.company.sandbox.open_dispute(_charge(walk, other)))
    for method in (DEBIT, "pm_failed_de"):
        slow = walk("POST", "payment_intents", amount="900", currency="eur", customer=customer)[
            "id"
        ]
        walk("POST", "payment_intents/*/confirm", slow, payment_method=method, **back)
    walk.company.clock.advance(15 * 86_400)
    walk("GET", "charges", limit="100", expand__0="data.customer")
    paid_out = walk("GET", "payouts", status="paid", expand__0="data.balance_transaction")
    name = paid_out["data"][0]["id"]
    walk("GET", "payouts/*", name)
    assert walk("GET", "balance_transactions", payout=name)["data"][0]["source"] == name
    walk.company.sandbox.fail_payout(name)


def _clocks(walk: Walk) -> None:
    place = "test_helpers/test_clocks"
    clock = walk("POST", place, frozen_time="1700000000", name="A year")["id"]
    customer = walk("POST", "customers", email="b@example.com", test_clock=clock)["id"]
    assert _finalized(walk, customer)["created"] == 1_700_000_000
    walk("GET", "customers", test_clock=clock, expand__0="data.test_clock")
    walk("POST", f"{place}/*/advance", clock, frozen_time="1700009000")
    walk("GET", place)
    walk.company.clock.advance(2)
    walk("GET", f"{place}/*", clock)
    walk("DELETE", f"{place}/*", clock)


def _charge(walk: Walk, intent: str) -> str:
    return str(walk("GET", "payment_intents/*", intent)["latest_charge"])


def test_every_answer_and_event_has_the_published_shape() -> None:
    walk = Walk(Company(others=True))
    walk("GET", "accounts/*", walk("GET", "account")["id"])
    for kind in ("products", "prices", "balance_transactions"):
        walk("GET", f"{kind}/*", walk("GET", kind)["data"][0]["id"])
    for place in EMPTY_LISTS:
        walk("GET", place, limit="100")
    customer = _customers(walk)
    _drafts(walk, customer)
    _invoices(walk, customer)
    _payments(walk, customer)
    _clocks(walk)
    after: Json = {}
    while True:
        page = walk("GET", "events", limit="100", **after)
        if not page["has_more"]:
            break
        after = {"starting_after": page["data"][-1]["id"]}
    walk("GET", "events/*", page["data"][0]["id"])
    assert sorted(set(walk.wrong)) == []
    assert set(ROUTES) - walk.walked == set()


def test_errors_have_the_published_shape() -> None:
    company = Company()
    customer = company.customer("pm_card_chargeCustomerFail")
    unpaid = company.draft(customer, 1500)
    company.v1.invoices.finalize_invoice(unpaid)
    intent = (
        f"amount=900&currency=usd&customer={customer}&payment_method=pm_card_chargeCustomerFail"
    )
    refused = {
        ("POST", f"invoices/{unpaid}/pay", ""): 402,
        (
            "POST",
            "payment_intents",
            f"{intent}&confirm=true&allowed_payment_method_types[0]=card",
        ): 402,
        ("GET", "invoices/in_none", ""): 404,
        ("GET", "nothing", ""): 404,
        ("POST", "customers", "nme=A"): 400,
        ("POST", "invoices", ""): 400,
        ("POST", "invoices", "collection_method=never"): 400,
        ("POST", f"invoices/{unpaid}/finalize", ""): 400,
        ("GET", "customers?limit=0", ""): 400,
        ("POST", f"customers/{customer}/tax_ids", "type=eu_vat&value=DE123"): 400,
        ("GET", "customers?expand[0]=data.wishes", ""): 400,
    }
    for (method, target, body), status in refused.items():
        answer = company.raw(method, f"/v1/{target}", body)
        assert answer.status == status, (target, answer.body)
        assert answer.headers["Stripe-Should-Retry"] == "false"
        _is_an_error(answer.json()["error"])
    declined = company.raw("POST", f"/v1/invoices/{unpaid}/pay", "").json()["error"]
    assert (declined["code"], declined["decline_code"]) == ("card_declined", "generic_decline")
    for name in ("payment_intent", "payment_method"):
        assert problems(declined[name]) == []
    assert declined["payment_intent"]["latest_charge"] == declined["charge"]


def _is_an_error(error: Json) -> None:
    published = stripe.ErrorObject.__annotations__
    assert set(error) <= set(published), error
    assert error["type"] in ("card_error", "idempotency_error", "invalid_request_error")
    assert error["message"] and error["request_log_url"]
    assert ("code" in error) == ("doc_url" in error)
    assert error.get("code", "rate_limit") in ERROR_CODES, error


def test_all_error_codes_of_the_sandbox_are_stripes() -> None:
    assert class_of("invoice") is stripe.Invoice
    assert {"resource_missing", "card_declined", "amount_too_large"} <= ERROR_CODES


def test_a_key_may_come_as_the_user_name_of_basic_authentication() -> None:
    company = Company()
    encoded = base64.b64encode(f"{KEY}:".encode()).decode()
    headers = {"Authorization": f"Basic {encoded}"}
    assert company.sandbox.handle("GET", "/v1/account", headers, "").status == 200
    wrong = {"Authorization": "Basic !!"}
    assert company.sandbox.handle("GET", "/v1/account", wrong, "").status == 401
