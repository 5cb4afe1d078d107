"""Payouts: which of them brought the money of a payment to the bank.

What belongs here: reading Stripe's payouts, and which of our payments, refunds and disputes are in
them. What does not: what was received, and its fees (`received.py`).

A balance transaction does not say which payout it is in. Stripe only lists the transactions of a
payout, if that is automatic and its reconciliation is completed. So a payment waits from the moment
its funds are available, and each payout after that is searched for it once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.cached_payouts import Payout
from billing_pipeline.collection.stripe_state.received import set_aside_unreadable
from billing_pipeline.collection.stripe_state.set_aside import UnreadableError
from billing_pipeline.collection.stripe_state.stripe_invoice import is_time
from billing_pipeline.money import CURRENCY_PLACES
from billing_pipeline.stripe_api.client import Json, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind

DAY = 86_400
PAYOUT_FAILURE_SECONDS = 10 * DAY
"""Seconds after the arrival of a paid payout within which it may still fail; Stripe says five
business days."""
ENDED = ("failed", "canceled")
_KIND, _ALL = "payouts", "of the account"


async def read_payouts(
    gateway: StripeGateway, cache: StripeCache, stripe_invoice_ids: Iterable[str]
) -> None:
    """Bring the cache up to date with how the money of these invoices was paid out.

    If Stripe does not let us read payouts, that is set aside with the reason, and all else goes on.
    """
    kept = cache.invoices.received(stripe_invoice_ids)
    now = int(gateway.clock.now())
    rows = [row for _, of_invoice in kept.values() for row in of_invoice]
    waiting = {str(row["transaction"]): _sought_until(row) for row in rows if _waits(row, now)}
    known = cache.payouts.named({row["payout"] for row in rows if "payout" in row})
    unsettled = [item.created for item in known.values() if _may_change(item, now)]
    if not (waiting or unsettled):
        return
    with set_aside_unreadable(cache, _KIND, _ALL, FailureKind.CREDENTIALS):
        first = min([*waiting.values(), *unsettled])
        query = {"created": {"gte": first}}
        listed = [item async for item in gateway.list("/v1/payouts", query)]
        payouts = [_read(item) for item in listed]
        cache.payouts.store(payouts)
        in_payout: dict[str, str] = {}
        for payout, data in zip(payouts, listed, strict=True):
            if waiting and payout.created >= min(waiting.values()) and _is_complete(data):
                with set_aside_unreadable(cache, "payout", payout.payout_id):
                    found = await _transactions_in(gateway, payout, waiting.keys())
                    in_payout |= dict.fromkeys(found, payout.payout_id)
        until = _searched_until(payouts, listed, first)
        for name, (paid, of_invoice) in kept.items():
            after = [_with_payout(row, in_payout, until, now) for row in of_invoice]
            if after != of_invoice:
                cache.invoices.record_received(name, paid, after)


def _waits(row: Json, now: int) -> bool:
    return "payout" not in row and (row.get("available_on") or now + 1) <= now


def _sought_until(row: Json) -> int:
    """The time up to which no payout has the payment, epoch seconds: at first, when it was
    booked."""
    found = row["sought_until"] if "sought_until" in row else row["booked_at"]
    return int(found)


def _may_change(payout: Payout, now: int) -> bool:
    return payout.status not in ENDED and now < payout.arrives_at + PAYOUT_FAILURE_SECONDS


def _is_complete(data: Mapping[str, Any]) -> bool:
    """True where Stripe lists all transactions of the payout."""
    return bool(data.get("automatic")) and data.get("reconciliation_status") == "completed"


def _searched_until(payouts: list[Payout], listed: list[Json], first: int) -> int:
    """The time (epoch seconds) before which all payouts were searched. A payout whose
    reconciliation is under way is searched again next time, with all after it."""
    open_ones = [
        payout.created
        for payout, data in zip(payouts, listed, strict=True)
        if data.get("reconciliation_status") == "in_progress" and payout.status not in ENDED
    ]
    return min(open_ones, default=max([first - 1, *(item.created for item in payouts)]) + 1)


async def _transactions_in(
    gateway: StripeGateway, payout: Payout, waiting: Collection[str]
) -> set[str]:
    """Which of the waiting transactions are in a payout. The transactions listed must add up to the
    payout's amount: a server that does not know the filter would list the whole balance."""
    found, total = set[str](), 0
    async for item in gateway.list("/v1/balance_transactions", {"payout": payout.payout_id}):
        if item["type"] != "payout":
            total += int(item["net"])
        if item["id"] in waiting:
            found.add(str(item["id"]))
    if total != payout.amount:
        raise UnreadableError(
            f"its transactions come to {total} and not to its amount, {payout.amount}"
        )
    return found


def _with_payout(row: Json, in_payout: Mapping[str, str], until: int, now: int) -> Json:
    name = in_payout.get(str(row.get("transaction")))
    if name is not None:
        return row | {"payout": name}
    return row | {"sought_until": until} if _waits(row, now) else row


def _read(data: Mapping[str, Any]) -> Payout:
    currency = str(data["currency"]).upper()
    if type(data["amount"]) is not int or currency not in CURRENCY_PLACES:
        raise UnreadableError(f"the amount of {data['id']} cannot be read")
    if not (is_time(data["created"]) and is_time(data["arrival_date"])):
        raise UnreadableError(f"the time of {data['id']} cannot be read")
    return Payout(
        str(data["id"]),
        data["created"],
        data["arrival_date"],
        currency,
        data["amount"],
        str(data["status"]),
    )
