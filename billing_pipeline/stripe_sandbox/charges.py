"""Charges, refunds and disputes: the money on its way in and back out.

A refund or a dispute does not change the invoice: it stays paid. What belongs here: these objects,
and everything that a person or a bank does with a charge afterwards. What does not: charging for
an invoice or a payment intent (`payments.py`).
"""

from __future__ import annotations

from typing import Any

from billing_pipeline.stripe_sandbox.context import Call, json_equal, route, saved
from billing_pipeline.stripe_sandbox.errors import ApiError
from billing_pipeline.stripe_sandbox.payouts import enter
from billing_pipeline.stripe_sandbox.validation import merge_metadata

Json = dict[str, Any]

EVIDENCE_PERIOD = 7 * 86_400
"""Seconds to respond to a dispute; with Stripe it depends on the card."""
DISPUTE_FEE = 1500
"""Stripe's fee for a dispute, lost or won, in minor units of whatever currency."""
OPEN = "needs_response"
_CLOSED = ("won", "lost")


def new_charge(call: Call, intent: Json, method: Json, error: Json | None, *, waits: bool) -> Json:
    """Create the charge of a payment intent. `waits`: the bank has not answered yet."""
    is_paid = error is None and not waits
    amount = intent["amount"]
    details = method[method["type"]]
    body: Json = {
        "amount": amount,
        "amount_captured": amount if error is None else 0,
        "amount_refunded": 0,
        "billing_details": method["billing_details"],
        "captured": error is None,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_code": error["code"] if error else None,
        "failure_message": error["message"] if error else None,
        "fraud_details": {},
        "metadata": dict(intent["metadata"]),
        "paid": is_paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"type": method["type"], method["type"]: details},
        "refunded": False,
        "status": "failed" if error else "pending" if waits else "succeeded",
    }
    charge = call.new("charge", body, customer=intent["customer"], parent=intent["id"])
    if is_paid:
        _book(call, charge, "charge", amount)
    call.event(f"charge.{charge['status']}", charge)
    return charge


def settle_charge(call: Call, charge: Json, error: Json | None) -> None:
    if error is None:
        charge |= {"status": "succeeded", "paid": True}
        _book(call, charge, "payment", charge["amount"])
    else:
        charge |= {"status": "failed", "captured": False, "amount_captured": 0}
        charge |= {"failure_code": error["code"], "failure_message": error["message"]}
    call.save(charge)
    call.event(f"charge.{charge['status']}", charge)


@route("GET", "charges/*", "ChargeRetrieveParams")
def retrieve(call: Call, charge_id: str) -> Json:
    return call.get("charge", charge_id)


@route("GET", "charges", "ChargeListParams", "customer payment_intent")
def list_all(call: Call) -> Json:
    customer, intent = call.params.get("customer"), call.params.get("payment_intent")
    return call.page("charge", "/v1/charges", customer=customer, parent=intent)


@route("POST", "charges/*", "ChargeUpdateParams", "description metadata")
def update(call: Call, charge_id: str) -> Json:
    charge = call.get("charge", charge_id)
    charge["description"] = call.params.get("description", charge["description"])
    charge["metadata"] = merge_metadata(charge["metadata"], call.params.get("metadata"))
    call.event("charge.updated", charge)
    return call.save(charge)


# Refunds.
@route("POST", "refunds", "RefundCreateParams", "amount charge payment_intent reason metadata")
def create_refund(call: Call) -> Json:
    given = call.params
    if "charge" not in given and "payment_intent" not in given:
        raise ApiError("One of the following params should be provided: payment_intent or charge.")
    charge_id = given.get("charge")
    if charge_id is None:
        intent = call.get("payment_intent", given["payment_intent"], "payment_intent")
        charge_id = intent["latest_charge"]
        if charge_id is None:
            raise ApiError("This PaymentIntent does not have a successful charge to refund.")
    charge = call.get("charge", charge_id, "charge")
    left = charge["amount"] - charge["amount_refunded"]
    return refund(
        call,
        charge,
        given.get("amount", left),
        reason=given.get("reason"),
        metadata=merge_metadata({}, given.get("metadata")),
    )


def refund(call: Call, charge: Json, amount: int, **more: Any) -> Json:
    """Give back part of a charge to its payment method."""
    left = charge["amount"] - charge["amount_refunded"]
    if charge["status"] != "succeeded":
        raise ApiError(f"Charge {charge['id']} has not succeeded.", code="charge_not_refundable")
    if charge["disputed"]:
        text = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise ApiError(text, code="charge_disputed")
    if left == 0:
        text = f"Charge {charge['id']} has already been refunded."
        raise ApiError(text, code="charge_already_refunded")
    if not 1 <= amount <= left:
        text = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise ApiError(text, param="amount")
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    kind = charge["payment_method_details"]["type"]
    body = {
        "amount": amount,
        "charge": charge["id"],
        "currency": charge["currency"],
        "customer": charge["customer"],
        "destination_details": {"type": kind, kind: {"type": "refund"}},
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "status": "succeeded",
        **more,
    }
    made = call.new("refund", body, customer=charge["customer"], parent=charge["payment_intent"])
    _book(call, made, "refund", -amount)
    call.save(charge)
    call.event("charge.refunded", charge)
    call.event("refund.created", made)
    return made


@route("GET", "refunds/*", "RefundRetrieveParams")
def retrieve_refund(call: Call, refund_id: str) -> Json:
    return call.get("refund", refund_id)


@route("GET", "refunds", "RefundListParams", "charge payment_intent")
def list_refunds(call: Call) -> Json:
    where = json_equal(call.params, "charge")
    return call.page("refund", "/v1/refunds", parent=call.params.get("payment_intent"), where=where)


# Disputes.
def open_dispute(call: Call, charge_id: str, amount: int | None, reason: str) -> Json:
    """The customer disputes a charge; the bank takes the money back at once."""
    charge = call.get("charge", charge_id)
    left = charge["amount"] - charge["amount_refunded"]
    if charge["status"] != "succeeded" or charge["disputed"] or left == 0:
        raise ApiError(f"Charge {charge_id} cannot be disputed.", code="charge_disputed")
    taken = left if amount is None else amount
    charge["disputed"] = True
    kind = charge["payment_method_details"]["type"]
    body = {
        "amount": taken,
        "balance_transactions": [],
        "charge": charge_id,
        "currency": charge["currency"],
        "evidence": {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": call.now + EVIDENCE_PERIOD,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {"type": kind},
        "reason": reason,
        "status": OPEN,
    }
    intent = charge["payment_intent"]
    dispute = call.new("dispute", body, customer=charge["customer"], parent=intent)
    dispute["balance_transactions"].append(_moved(call, dispute, -taken))
    call.save(dispute)
    call.save(charge)
    call.event("charge.dispute.created", dispute)
    call.event("charge.dispute.funds_withdrawn", dispute)
    return dispute


def close_dispute(call: Call, dispute_id: str, *, won: bool) -> Json:
    dispute = call.get("dispute", dispute_id)
    if dispute["status"] in _CLOSED:
        raise ApiError("This dispute is already closed")
    dispute["status"] = "won" if won else "lost"
    if won:
        dispute["balance_transactions"].append(_moved(call, dispute, dispute["amount"]))
    call.save(dispute)
    call.event("charge.dispute.closed", dispute)
    if won:
        call.event("charge.dispute.funds_reinstated", dispute)
    return dispute


def _moved(call: Call, dispute: Json, amount: int) -> Json:
    category, what = ("dispute", "withdrawal") if amount < 0 else ("dispute_reversal", "reversal")
    about = dispute | {"description": f"Chargeback {what} for {dispute['charge']}"}
    made = saved(_transaction(call, about, "adjustment", amount, category))
    del made["livemode"]  # balance transactions do not have it
    return made


# The account's own balance.
def _book(call: Call, source: Json, kind: str, amount: int) -> None:
    """Enter a charge or a refund in the account's balance, and note it on the object."""
    source["balance_transaction"] = _transaction(call, source, kind, amount, kind)["id"]
    call.save(source)


def _transaction(call: Call, source: Json, kind: str, amount: int, category: str) -> Json:
    fee, what = _fee(amount, category)
    detail = {"amount": fee, "currency": source["currency"], "type": "stripe_fee"}
    body = {
        "amount": amount,
        "currency": source["currency"],
        "description": source.get("description"),
        "fee": fee,
        "fee_details": [detail | {"application": None, "description": what}] if fee else [],
        "net": amount - fee,
        "reporting_category": "charge" if kind == "payment" else category,
        "source": source["id"],
        "type": kind,
    }
    return enter(call, body)


def _fee(amount: int, category: str) -> tuple[int, str | None]:
    """Stripe's fee and its name, as in the United States; in whole minor units, half up."""
    if category in ("charge", "payment"):
        return (amount * 29 + 500) // 1000 + 30, None  # 2.9 % and 30, as for a card
    # Winning a dispute gives back the disputed amount, but not the fee.
    return (DISPUTE_FEE, "Dispute fee") if category == "dispute" else (0, None)


@route("GET", "disputes/*", "DisputeRetrieveParams")
def retrieve_dispute(call: Call, dispute_id: str) -> Json:
    return call.get("dispute", dispute_id)


@route("GET", "disputes", "DisputeListParams", "charge payment_intent")
def list_disputes(call: Call) -> Json:
    where = json_equal(call.params, "charge")
    intent = call.params.get("payment_intent")
    return call.page("dispute", "/v1/disputes", parent=intent, where=where)


@route("POST", "disputes/*/close", "DisputeCloseParams")
def accept(call: Call, dispute_id: str) -> Json:
    """The merchant accepts the dispute, and so loses it."""
    return close_dispute(call, dispute_id, won=False)


@route("POST", "disputes/*", "DisputeUpdateParams", "evidence metadata submit")
def update_dispute(call: Call, dispute_id: str) -> Json:
    """As in test mode, the text of the evidence decides: `winning_evidence`, `losing_evidence`."""
    dispute = call.get("dispute", dispute_id)
    dispute["metadata"] = merge_metadata(dispute["metadata"], call.params.get("metadata"))
    dispute["evidence"] |= call.params.get("evidence") or {}
    call.save(dispute)
    call.event("charge.dispute.updated", dispute)
    text = dispute["evidence"].get("uncategorized_text")
    if text in ("winning_evidence", "losing_evidence"):
        return close_dispute(call, dispute_id, won=text == "winning_evidence")
    return dispute
