"""Payment records: payments that were made outside of Stripe, reported to it.

What belongs here: reporting and reading them, and attaching one to an invoice. What does not: what
a payment does to its invoice (`collecting.py`), and payments that Stripe makes (`payments.py`).
"""

from __future__ import annotations

from typing import Any

from billing_pipeline.stripe_sandbox.context import Call, route
from billing_pipeline.stripe_sandbox.customers import existing_customer
from billing_pipeline.stripe_sandbox.errors import ApiError
from billing_pipeline.stripe_sandbox.payments import new_invoice_payment, record_paid
from billing_pipeline.stripe_sandbox.validation import merge_metadata

Json = dict[str, Any]

_REPORT = "amount_requested customer_details customer_presence description guaranteed initiated_at"
_REPORT += " metadata outcome payment_method_details processor_details"
_AMOUNTS = ("authorized", "canceled", "failed", "refunded")


@route("POST", "payment_records/report_payment", "PaymentRecordReportPaymentParams", _REPORT)
def report(call: Call) -> Json:
    given = call.params
    amount, method = given["amount_requested"], given["payment_method_details"]
    currency = amount["currency"].lower()
    if amount["value"] < 1:
        raise ApiError("Invalid positive integer", param="amount_requested[value]")
    if given.get("outcome") != "guaranteed" or "guaranteed" not in given:
        raise ApiError("The sandbox knows payments that are guaranteed", param="outcome")
    if method.get("type") != "custom":
        raise ApiError("The sandbox knows custom payment methods", param="payment_method_details")
    customer = (given.get("customer_details") or {}).get("customer")
    if customer is not None:
        existing_customer(call, customer, "customer_details[customer]")
    nothing = {"currency": currency, "value": 0}
    whole = {"currency": currency, "value": amount["value"]}
    body = {
        **{f"amount_{name}": nothing for name in _AMOUNTS},
        "amount": whole,
        "amount_requested": whole,
        "amount_guaranteed": whole,
        "customer_details": given.get("customer_details"),
        "customer_presence": given.get("customer_presence"),
        "description": given.get("description"),
        "metadata": merge_metadata({}, given.get("metadata")),
        "payment_method_details": method,
        "processor_details": given.get("processor_details") or {"type": "custom"},
        "reported_by": "self",
    }
    return call.new("payment_record", body, customer=customer)


@route("GET", "payment_records/*", "PaymentRecordRetrieveParams")
def retrieve(call: Call, record_id: str) -> Json:
    return call.get("payment_record", record_id)


def attach_record(call: Call, invoice: Json, record_id: str) -> int:
    """Use a reported payment for an invoice; returns its amount."""
    record = call.get("payment_record", record_id, "payment_record")
    paid = record["amount_guaranteed"]
    customer = (record["customer_details"] or {}).get("customer")
    if customer not in (None, invoice["customer"]) or paid["currency"] != invoice["currency"]:
        raise ApiError("The PaymentRecord is of another customer or currency than the invoice.")
    condition = ("json_extract(body, '$.payment.payment_record') = ?", record_id)
    if call.store.select("invoice_payment", [condition], limit=1):
        raise ApiError("The PaymentRecord is attached to an invoice already.")
    what = {"type": "payment_record", "payment_record": record_id}
    payment = new_invoice_payment(call, invoice, paid["value"], what, is_default=False)
    record_paid(call, payment, paid["value"])
    return int(paid["value"])
