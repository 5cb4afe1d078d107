"""Payouts: the account's balance on its way to the bank, by Stripe's default schedule.

What belongs here: automatic payouts, one a day for each currency, and which balance transactions
are in them. What does not: what enters the balance (`charges.py`).
"""

from __future__ import annotations

from typing import Any

from billing_pipeline.stripe_sandbox.context import CLOCK, Call, json_equal, json_range, route

Json = dict[str, Any]

DAY = 86_400
AVAILABILITY_DELAY = 2 * DAY
"""Seconds until a charge is available, rounded up to the next midnight. With Stripe it depends on
country and payment method."""
ARRIVAL_DELAY = DAY
BALANCE = "balance"
"""The prefix of the name under which a currency's balance falls due: ``balance/usd/1900022400``."""


def enter(call: Call, body: Json) -> Json:
    """Enter a transaction in the balance; it can be paid out from a later midnight (UTC) on."""
    at = -(-(call.now + AVAILABILITY_DELAY) // DAY) * DAY
    pending = {"available_on": at, "balance_type": "payments", "status": "pending"}
    made = call.new("balance_transaction", body | pending)
    clock = made.get("_clock")
    call.set_due("/".join([BALANCE, made["currency"], str(at), *([clock] if clock else [])]), at)
    return made


def pay_out(call: Call, currency: str, clock: str | None) -> None:
    """Pay out what is available in a currency, for a test clock's customers or for all others.

    If the sum is not above 0, refunds and disputes wait for later payments, as with Stripe.
    """
    if clock is not None:
        call.join(call.get(CLOCK, clock))
    found = call.store.select(
        "balance_transaction",
        [
            ("parent is null and json_extract(body, '$.available_on') <= ?", call.now),
            ("json_extract(body, '$.currency') = ?", currency),
            ("json_extract(body, '$._clock') is ?", clock),
        ],
        limit=1_000_000,
    )
    for item in found:
        call.save(item | {"status": "available"})
    amount = sum(item["net"] for item in found)
    if amount <= 0:
        return
    payout = call.new("payout", _body(call, currency, amount))
    for item in found:
        call.store.move("balance_transaction", item["id"], payout["id"])
    own = call.new(
        "balance_transaction",
        _entry(payout, "payout", -amount, "payout")
        | {"available_on": call.now, "balance_type": "payments", "status": "available"},
        parent=payout["id"],
    )
    payout["balance_transaction"] = own["id"]
    call.save(payout)
    call.set_due(payout["id"], payout["arrival_date"])
    call.event("payout.created", payout)


def _body(call: Call, currency: str, amount: int) -> Json:
    return {
        "amount": amount,
        "arrival_date": call.now + ARRIVAL_DELAY,
        "automatic": True,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "metadata": {},
        "method": "standard",
        "reconciliation_status": "in_progress",
        "source_type": "card",
        "status": "in_transit",
        "trace_id": {"status": "pending"},
        "type": "bank_account",
    }


def _entry(payout: Json, kind: str, amount: int, category: str) -> Json:
    """Enter a payout in the balance, which it reduces; it is listed among what it pays out."""
    return {
        "amount": amount,
        "currency": payout["currency"],
        "description": payout["description"],
        "fee": 0,
        "fee_details": [],
        "net": amount,
        "reporting_category": category,
        "source": payout["id"],
        "type": kind,
    }


def arrive(call: Call, payout: Json) -> None:
    """Record that the bank has the money; from then on, what is in the payout can be listed."""
    payout |= {"status": "paid", "reconciliation_status": "completed"}
    call.save(payout)
    call.event("payout.paid", payout)
    call.event("payout.reconciliation_completed", payout)


def fail(call: Call, payout_id: str) -> Json:
    """Record that the bank sent the money back after it had arrived: it is in the balance again,
    and is paid out with the next payout."""
    payout = call.get("payout", payout_id)
    made = enter(call, _entry(payout, "payout_failure", payout["amount"], "payout_reversal"))
    payout |= {"status": "failed", "failure_code": "account_closed"}
    payout |= {"failure_message": "The bank account has been closed."}
    payout["failure_balance_transaction"] = made["id"]
    call.event("payout.failed", payout)
    return call.save(payout)


@route("GET", "payouts/*", "PayoutRetrieveParams")
def retrieve(call: Call, payout_id: str) -> Json:
    return call.get("payout", payout_id)


@route("GET", "payouts", "PayoutListParams", "arrival_date status")
def list_all(call: Call) -> Json:
    where = json_equal(call.params, "status")
    where += json_range("arrival_date", call.params.get("arrival_date"))
    return call.page("payout", "/v1/payouts", where=where)


@route("GET", "balance_transactions/*", "BalanceTransactionRetrieveParams")
def transaction(call: Call, transaction_id: str) -> Json:
    return call.get("balance_transaction", transaction_id)


@route(
    *("GET", "balance_transactions", "BalanceTransactionListParams"),
    "currency payout source type",
)
def transactions(call: Call) -> Json:
    """List balance transactions. With `payout`, list what is in an automatic payout, once its
    reconciliation is completed."""
    where, payout = json_equal(call.params, "currency", "source", "type"), None
    if "payout" in call.params:
        payout = call.get("payout", call.params["payout"], "payout")
        if payout["reconciliation_status"] != "completed":
            where.append(("? is null", payout["id"]))
    name = payout["id"] if payout else None
    return call.page("balance_transaction", "/v1/balance_transactions", parent=name, where=where)
