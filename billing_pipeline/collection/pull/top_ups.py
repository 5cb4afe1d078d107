"""Top-ups of wallets that were paid in Stripe: payment intents with our metadata.

What belongs here: finding them, and their refunds and disputes, by listing once and by events from
then on, and turning them into wallet movements. What does not: what a wallet pays (dbt), and the
customer's balance in Stripe (`wallets.py`), to which these movements are posted like all others.

A payment intent is a top-up if it has the metadata `billing_top_up` (the top-up's name, which
becomes its `transaction_id`) and `billing_customer_id`; two customers may use the same name. A
top-up is credited once, by its first payment, however often it is reported or paid. A refund or a
dispute takes the money back under its own id in Stripe, and a dispute that is won gives it back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing_pipeline.collection.stripe_state import metadata_keys, statuses
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.cached_wallets import PaidTopUp, TopUpReturn
from billing_pipeline.collection.stripe_state.event_reader import (
    DAY,
    EVENT_RETENTION,
    EVENTS_OVERLAP,
)
from billing_pipeline.collection.stripe_state.refresh import ONE_OBJECT, each, pages
from billing_pipeline.collection.stripe_state.set_aside import UnreadableError, identity
from billing_pipeline.collection.stripe_state.statuses import known_status
from billing_pipeline.collection.stripe_state.stripe_invoice import read_time
from billing_pipeline.money import to_major
from billing_pipeline.stripe_api.client import Json, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

CURSOR = "top_ups_read_until"
_KIND = "payment"
MAX_REREADS = 50
"""The most payments that were set aside and that each call reads once more."""
_EXPANDED = "latest_charge"
_PAID = "payment_intent.succeeded"
_EVENT_TYPES = (
    _PAID,
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "refund.created",
    "refund.updated",
    "refund.failed",
)
_WON = "won"


@dataclass(frozen=True)
class TopUp:
    """A movement of a wallet, in major units: a top-up, or (`kind` `refund`) what was refunded or
    disputed of one, whose name is then the `reference`. `doubles` are further payments of the same
    top-up, which somebody has to refund."""

    transaction_id: str
    customer_id: str
    amount: Decimal
    currency: str
    occurred_at: datetime
    payment_intent: str
    reference: str
    kind: str = "top_up"
    doubles: tuple[str, ...] = ()


async def read_top_ups(gateway: StripeGateway, cache: StripeCache, created_from: int) -> None:
    """Bring the cache's top-ups up to date by events or, where these do not reach back, by listing
    all payments since `created_from` (epoch seconds)."""
    cursor, now = cache.progress.get(CURSOR), int(gateway.clock.now())
    if cursor is None or now - cursor > EVENT_RETENTION - EVENTS_OVERLAP:
        query: Json = {"created": {"gte": created_from}, "expand": [f"data.{_EXPANDED}"]}
        # Page by page: a busy account has many payments, of which few are top-ups.
        async for page in pages(gateway.list("/v1/payment_intents", query)):
            await _store(gateway, cache, page)
        newest = now - DAY
    else:
        unreadable = cache.unreadable.targets(_KIND, MAX_REREADS)
        newest = await _read_events(gateway, cache, cursor - EVENTS_OVERLAP, now - DAY)
        await _read_again(gateway, cache, unreadable)
    cache.progress.advance(CURSOR, newest)


async def _read_again(gateway: StripeGateway, cache: StripeCache, intents: Sequence[str]) -> None:
    """Read these payments again if they are still set aside: no event tells when they become
    readable."""
    left = set(intents) & set(cache.unreadable.targets(_KIND, MAX_REREADS))
    await _store(gateway, cache, await _read_all(gateway, cache, left))


async def _read_events(gateway: StripeGateway, cache: StripeCache, since: int, newest: int) -> int:
    """Read the payments that events since `since` are about. Returns the time of the newest event,
    or `newest` if that is later."""
    paid, returned = set(), set()
    query = {"created": {"gte": since}, "types": list(_EVENT_TYPES)}
    async for event in gateway.list("/v1/events", query):
        with _set_aside_unreadable(cache, "event", event):
            newest = max(newest, read_time(event["created"]))
            thing = event["data"]["object"]
            # The event only says which payment; its state is read from the payment itself.
            if event["type"] == _PAID:
                paid |= {str(thing["id"])} if _is_top_up(thing) else set()
            elif event["type"] in _EVENT_TYPES:
                returned |= {intent for intent in [_id(thing.get("payment_intent"))] if intent}
    fresh = paid - cache.top_ups.known(paid)
    await _store(gateway, cache, await _read_all(gateway, cache, fresh))
    known = sorted(cache.top_ups.known(returned))
    await each(known, lambda intent: _read_returns(gateway, cache, intent))
    return newest


async def _store(gateway: StripeGateway, cache: StripeCache, intents: Sequence[Json]) -> None:
    """Store the top-ups among these payments, with their refunds and disputes."""
    paid, returned, readable = [], [], []
    for intent in intents:
        with _set_aside_unreadable(cache, _KIND, intent):
            found = list(_paid(intent))
            readable.append(identity(intent))
            charge = intent.get(_EXPANDED)
            paid += found
            if found and isinstance(charge, dict):
                is_returned = charge.get("amount_refunded") or charge.get("disputed")
                returned += [found[0].payment_intent] * bool(is_returned)
    cache.top_ups.store(paid)
    cache.unreadable.remove(_KIND, readable)
    await each(returned, lambda intent: _read_returns(gateway, cache, intent))


def credited(payments: Iterable[PaidTopUp], returns: Iterable[TopUpReturn] = ()) -> list[TopUp]:
    """The wallet movements: each customer's top-ups, once for each name, and their refunds and
    disputes. Pure."""
    by_name: dict[tuple[str, str], list[PaidTopUp]] = defaultdict(list)
    for paid in sorted(payments, key=lambda paid: (paid.occurred_at, paid.payment_intent)):
        by_name[paid.transaction_id, paid.customer_id].append(paid)
    by_payment: dict[str, list[TopUpReturn]] = defaultdict(list)
    for item in returns:
        by_payment[item.payment_intent].append(item)
    return [
        movement
        for _, of_one in sorted(by_name.items())
        for movement in _movements(of_one, by_payment)
    ]


def _movements(
    payments: Sequence[PaidTopUp], returns: Mapping[str, Sequence[TopUpReturn]]
) -> Iterator[TopUp]:
    """The movements of one top-up, which may have been paid more than once. Refunds and disputes
    first count against what was paid too much, whichever payment they are of."""
    first, *later = [paid for paid in payments if paid.currency == payments[0].currency]
    spare, moved = 0, []
    taken: dict[str, int] = {}
    happened: list[tuple[int, int, str, PaidTopUp | TopUpReturn]] = [
        (paid.occurred_at, 0, paid.payment_intent, paid) for paid in later
    ]
    happened += [
        (item.occurred_at, 1 if item.amount < 0 else 2, item.return_id, item)
        for paid in (first, *later)
        for item in returns.get(paid.payment_intent, ())
    ]
    for _, _, _, item in sorted(happened, key=lambda entry: entry[:3]):
        if isinstance(item, PaidTopUp):
            spare += item.amount
            continue
        if item.amount < 0:
            amount = -max(0, -item.amount - spare)
            taken[item.return_id] = amount
        else:
            amount = min(item.amount, -taken.get(item.return_id.partition(":")[0], 0))
        spare += item.amount - amount
        if amount:
            moved.append(_movement(first, item.return_id, amount, item.occurred_at))
    others = {paid.currency: paid for paid in payments if paid.currency != first.currency}
    doubles = [
        paid.payment_intent
        for paid in later
        if spare > 0 and paid.amount + sum(i.amount for i in returns.get(paid.payment_intent, ()))
    ] + [paid.payment_intent for paid in others.values()]
    yield _movement(first, first.transaction_id, first.amount, first.occurred_at, doubles)
    yield from moved


def _movement(
    top_up: PaidTopUp, name: str, amount: int, at: int, doubles: Sequence[str] = ()
) -> TopUp:
    is_top_up = name == top_up.transaction_id
    return TopUp(
        name,
        top_up.customer_id,
        to_major(amount, top_up.currency),
        top_up.currency,
        datetime.fromtimestamp(at, UTC),
        top_up.payment_intent,
        top_up.payment_intent if is_top_up else top_up.transaction_id,
        "top_up" if is_top_up else "refund",
        tuple(doubles),
    )


async def _read_all(
    gateway: StripeGateway, cache: StripeCache, intents: Iterable[str]
) -> list[Json]:
    """These payments. One that cannot be read is set aside, one that is gone is left out."""

    async def read(intent: str) -> Json | None:
        try:
            return await gateway.get(f"/v1/payment_intents/{intent}", {"expand": [_EXPANDED]})
        except StripeFailure as failure:
            if failure.kind is FailureKind.NOT_FOUND:
                cache.unreadable.remove(_KIND, [intent])
            elif failure.kind in ONE_OBJECT:
                cache.unreadable.add(_KIND, intent, str(failure))
            else:
                raise
            return None

    found = await each(sorted(intents), read)
    return [intent for intent in found if intent is not None]


async def _read_returns(gateway: StripeGateway, cache: StripeCache, intent: str) -> None:
    """Read and store all refunds and disputes of a payment, as they are now."""
    query = {"payment_intent": intent}
    refunds = [item async for item in gateway.list("/v1/refunds", query)]
    disputes = [item async for item in gateway.list("/v1/disputes", query)]
    # All or none: if one of them cannot be read, what was known of the payment stays.
    with _set_aside_unreadable(cache, _KIND, {"id": intent}):
        found = [move for item in refunds for move in _refunded(item, intent)]
        found += [move for item in disputes for move in _disputed(item, intent)]
        cache.top_ups.store_returns(intent, found)
        cache.unreadable.remove(_KIND, [intent])


def _refunded(refund: Json, intent: str) -> Iterator[TopUpReturn]:
    """What a refund takes, unless it failed."""
    if statuses.is_refunded(refund):
        amount, created_at = _amount(refund["amount"]), read_time(refund["created"])
        yield TopUpReturn(str(refund["id"]), intent, -amount, created_at)


def _disputed(dispute: Json, intent: str) -> Iterator[TopUpReturn]:
    """What a dispute takes, and gives back where it is won."""
    name, amount = str(dispute["id"]), _amount(dispute["amount"])
    status = known_status(dispute, statuses.DISPUTE)
    if not statuses.moves_money(status):
        return
    moves = [item for item in dispute.get("balance_transactions") or [] if isinstance(item, dict)]
    out = [read_time(item["created"]) for item in moves if _amount(item["amount"]) < 0]
    back = [read_time(item["created"]) for item in moves if _amount(item["amount"]) > 0]
    withdrawn_at = min(out, default=read_time(dispute["created"]))
    yield TopUpReturn(name, intent, -amount, withdrawn_at)
    if status == _WON:
        yield TopUpReturn(f"{name}:{_WON}", intent, amount, max(back, default=withdrawn_at))


def _is_top_up(intent: Json) -> bool:
    metadata = intent.get("metadata") or {}
    return bool(metadata.get(metadata_keys.TOP_UP) and metadata.get(metadata_keys.CUSTOMER_ID))


def _paid(intent: Json) -> Iterator[PaidTopUp]:
    if not _is_top_up(intent) or known_status(intent, statuses.PAYMENT_INTENT) != "succeeded":
        return
    charge = intent.get(_EXPANDED)
    # The charge's time is when the money was taken: the intent may have waited for days.
    at = charge["created"] if isinstance(charge, dict) else intent["created"]
    yield PaidTopUp(
        payment_intent=str(intent["id"]),
        transaction_id=str(intent["metadata"][metadata_keys.TOP_UP]),
        customer_id=str(intent["metadata"][metadata_keys.CUSTOMER_ID]),
        currency=str(intent["currency"]).upper(),
        amount=_amount(intent.get("amount_received") or intent["amount"]),
        occurred_at=read_time(at),
    )


@contextmanager
def _set_aside_unreadable(cache: StripeCache, kind: str, thing: Any) -> Iterator[None]:
    """Set aside, with the reason, an object that is not as Stripe's API describes it, so that it
    stops nobody else."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        cache.unreadable.add(kind, identity(thing), f"{type(error).__name__}: {error}")


def _amount(value: Any) -> int:
    if not isinstance(value, int) or abs(value) >= 2**63:
        raise UnreadableError("its amount is not a whole number that can be stored")
    return value


def _id(value: Json | str | None) -> str | None:
    # An expanded field holds the object instead of its id.
    return str(value["id"]) if isinstance(value, dict) else value
