"""Money that was received for invoices, and what was refunded or disputed of it.

What belongs here: reading it from Stripe, in lists where many invoices are concerned, and saving it
beside each invoice. What does not: payments that are under way or failed (`payment_status.py`),
top-ups of wallets (`pull/top_ups.py`), and the published rows (`pull/money_tables.py`).

An invoice says how much of it was paid, but not how: that is in its invoice payments, the charges
behind them, and the account's balance transactions, which have the fees. A refund changes none of
the invoice's fields. So what was read is stored with the amount that was paid at the time, and is
read again when that amount changes, or when an event reports a refund or a dispute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from billing_pipeline.collection.stripe_state import metadata_keys, statuses
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.cached_invoices import Window
from billing_pipeline.collection.stripe_state.refresh import ONE_OBJECT, UNREADABLE, each, pages
from billing_pipeline.collection.stripe_state.set_aside import UnreadableError
from billing_pipeline.collection.stripe_state.statuses import known_status
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice, read_time
from billing_pipeline.collection.stripe_state.wallet_payments import PAYMENT
from billing_pipeline.stripe_api.client import Json, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

_EXPANDED = ("payment.payment_intent.latest_charge", "payment.payment_record")
WALLET, OUTSIDE = "wallet", "outside_stripe"
"""The methods by which invoices are paid without a charge in Stripe."""
_FEES = "fees"
_NO_FEES = "balance transactions"
PAGE = 100
MAX_GAP = 3600
"""Seconds: payments closer together than this are read by one listing."""


async def read_received(
    gateway: StripeGateway, cache: StripeCache, invoices: Iterable[ActualInvoice], *, again: bool
) -> None:
    """Bring the cache up to date with what was received for these invoices; `again`: even where
    nothing is known to have changed.

    Payments are listed where that takes fewer requests than asking about each invoice.
    """
    paid = {item.stripe_invoice_id: item for item in invoices if item.amount_paid > 0}
    known = cache.invoices.received(paid)
    wanted = {
        name: item
        for name, item in paid.items()
        if again or known.get(name, (None, []))[0] != item.amount_paid
    }
    found = await _listed(gateway, wanted)
    before = {row["id"]: row for _, rows in known.values() for row in rows}

    async def read(item: ActualInvoice) -> None:
        name = item.stripe_invoice_id
        payments = found.get(name, [])
        with set_aside_unreadable(cache, "payments of", name):
            if sum(_whole(payment, "amount_paid") for payment in payments) != item.amount_paid:
                payments = [
                    _needed_fields(payment) for payment in await _payments_of(gateway, name)
                ]
            rows = await _rows(gateway, payments)
            kept = [_with_known_values(row, before.get(row["id"])) for row in rows]
            cache.invoices.record_received(name, item.amount_paid, kept)

    await each(wanted.values(), read)
    await _read_fees(gateway, cache, paid)


async def read_paid(gateway: StripeGateway, cache: StripeCache, stripe_invoice_id: str) -> bool:
    """Read a paid invoice into the cache together with what was received for it: one request, or
    two if it has no payment, because it was paid from a balance or outside of Stripe.

    False where any of it cannot be read; nothing is stored then.
    """
    moment = cache.progress.moment()
    try:
        listed = await _payments_of(gateway, stripe_invoice_id, "invoice")
        one = f"/v1/invoices/{stripe_invoice_id}"
        invoice = listed[0]["invoice"] if listed else await gateway.get(one)
        amount = _whole(invoice, "amount_paid")
        rows = await _rows(gateway, [_needed_fields(payment) for payment in listed])
    except UNREADABLE as error:
        if isinstance(error, StripeFailure) and error.kind not in ONE_OBJECT:
            raise
        return False
    known = cache.invoices.received([stripe_invoice_id]).get(stripe_invoice_id, (None, []))[1]
    before = {row["id"]: row for row in known}
    cache.invoices.store([invoice], moment=moment)
    kept = [_with_known_values(row, before.get(row["id"])) for row in rows]
    cache.invoices.record_received(stripe_invoice_id, amount, kept)
    return True


async def _listed(
    gateway: StripeGateway, wanted: Mapping[str, ActualInvoice]
) -> dict[str, list[Json]]:
    """Paid invoice payments by invoice, as far as lists find them in fewer requests than there are
    invoices. Stripe makes an invoice's first payment when it is finalized."""
    times = sorted(item.finalized_at or item.created for item in wanted.values())
    query = {"status": "paid", "expand": [f"data.{name}" for name in _EXPANDED]}
    found: dict[str, list[Json]] = defaultdict(list)
    async for payment in _in_windows(gateway, "/v1/invoice_payments", query, times):
        name = _id(payment.get("invoice"))
        if name in wanted:
            # A payment that cannot be read is asked for again by its invoice, and set aside then.
            with suppress(*UNREADABLE):
                found[str(name)].append(_needed_fields(payment))
    return found


async def _in_windows(
    gateway: StripeGateway, path: str, query: Json, times: Sequence[int]
) -> AsyncIterator[Json]:
    """What a list has around these times, with at most a third as many requests as there are times:
    much that is not ours may lie in between, and the caller can ask for each object instead."""
    left = len(times) // 3
    for window in _windows(times):
        if left <= 0:
            return
        asked = {**query, "created": window.as_filter()}
        async for page in pages(gateway.list(path, asked), PAGE):
            left -= 1
            for item in page:
                if isinstance(item, Mapping):
                    yield dict(item)
            if left <= 0:
                return


def _windows(times: Sequence[int]) -> list[Window]:
    windows: list[Window] = []
    for time in times:
        if windows and time - int(windows[-1].last or 0) <= MAX_GAP:
            windows[-1] = Window(windows[-1].first, time + 1)
        else:
            windows.append(Window(time - 1, time + 1))
    return windows


async def _payments_of(
    gateway: StripeGateway, stripe_invoice_id: str, *expanded: str
) -> list[Json]:
    expand = [f"data.{name}" for name in (*_EXPANDED, *expanded)]
    query = {"invoice": stripe_invoice_id, "status": "paid", "expand": expand}
    return [item async for item in gateway.list("/v1/invoice_payments", query)]


async def _rows(gateway: StripeGateway, payments: Sequence[Json]) -> list[Json]:
    """The rows of payments, and of what was refunded or disputed of them."""
    rows = [row for payment in payments for row in [_received(payment)] if row]
    return rows + [
        row
        for payment in payments
        if _has_left(payment)
        for row in await _left(gateway, str(_intent(payment)["id"]))
    ]


def _needed_fields(payment: Json) -> Json:
    """The parts of an invoice payment that we need; many may be in memory at once."""
    intent = _intent(payment)
    charge = intent.get("latest_charge")
    charge = charge if isinstance(charge, Mapping) else {}
    names = ("id", "created", "amount_refunded", "disputed", "balance_transaction")
    details = charge.get("payment_method_details") or {}
    short = {name: charge[name] for name in names if name in charge}
    short |= {"type": details.get("type"), "card": details.get("card")}
    return {
        **{name: payment.get(name) for name in ("id", "created", "currency", "amount_paid")},
        "paid_at": (payment.get("status_transitions") or {}).get("paid_at"),
        "kind": _kind(payment.get("payment") or {}),
        "payment": {"payment_intent": {"id": intent.get("id"), "latest_charge": short}},
    }


def _kind(payment: Mapping[str, Any]) -> Any:
    """How it was paid, where there is no charge: from the wallet, or outside of Stripe."""
    record = payment.get("payment_record")
    if record is None:
        return payment.get("type")
    marks = record.get("metadata") or {} if isinstance(record, Mapping) else {}
    ours = str(marks.get(metadata_keys.WALLET_TRANSACTION, "")).startswith(PAYMENT)
    return WALLET if ours else OUTSIDE


def _intent(payment: Json) -> Mapping[str, Any]:
    intent = (payment.get("payment") or {}).get("payment_intent")
    return intent if isinstance(intent, Mapping) else {"id": intent}


def _received(payment: Json) -> Json | None:
    """The row of a payment; amounts in minor units, times in epoch seconds."""
    amount = _whole(payment, "amount_paid")
    intent = _intent(payment)
    charge = intent.get("latest_charge") or {}
    if not amount:
        return None
    return {
        "id": str(charge.get("id") or intent.get("id") or payment["id"]),
        "kind": "payment",
        "at": read_time(payment.get("paid_at") or charge.get("created") or payment["created"]),
        "amount": amount,
        "method": charge.get("type") or payment.get("kind"),
        "status": "succeeded",
        "intent": intent.get("id"),
        "transaction": _id(charge.get("balance_transaction")),
        "card_expires": _expiry(charge.get("card")),
    }


def _expiry(card: Any) -> str | None:
    """``YYYY-MM``, the last month in which the card can be charged; None for all but cards."""
    if not isinstance(card, Mapping):
        return None
    year, month = card.get("exp_year"), card.get("exp_month")
    if not (isinstance(year, int) and isinstance(month, int)):
        return None
    return f"{year:04}-{month:02}" if 0 < year < 9998 and 1 <= month <= 12 else None


def _has_left(payment: Json) -> bool:
    charge = _intent(payment).get("latest_charge") or {}
    return bool(charge.get("amount_refunded") or charge.get("disputed"))


async def _left(gateway: StripeGateway, intent: str) -> list[Json]:
    """The rows of a payment's refunds and disputes, as they are now."""
    query = {"payment_intent": intent}
    refunds = [item async for item in gateway.list("/v1/refunds", query)]
    disputes = [item async for item in gateway.list("/v1/disputes", query)]
    rows = [_refund(item) for item in refunds if statuses.is_refunded(item)]
    rows += [row for item in disputes for row in _dispute(item)]
    return [row | {"intent": intent} for row in rows]


def _refund(refund: Json) -> Json:
    kind = (refund.get("destination_details") or {}).get("type")
    return {
        "id": str(refund["id"]),
        "kind": "refund",
        "at": read_time(refund["created"]),
        "amount": -_whole(refund, "amount"),
        "method": kind,
        "status": statuses.refund_status(refund),
        "transaction": _id(refund.get("balance_transaction")),
    }


def _dispute(dispute: Json) -> Iterator[Json]:
    """The row of what the bank took back and, if the dispute is won, of what it gave back."""
    status, amount = known_status(dispute, statuses.DISPUTE), _whole(dispute, "amount")
    if not statuses.moves_money(status):
        return
    moves = [item for item in dispute.get("balance_transactions") or [] if isinstance(item, dict)]
    out = [item for item in moves if item["amount"] < 0]
    back = [item for item in moves if item["amount"] > 0]
    about = {"method": (dispute.get("payment_method_details") or {}).get("type"), "status": status}
    at = read_time(out[0]["created"] if out else dispute["created"])
    name = str(dispute["id"])
    yield {"id": name, "kind": "dispute", "at": at, "amount": -amount, **about, **_booked(out)}
    if status == "won":
        at = read_time(back[0]["created"]) if back else at
        kind = "dispute_reversal"
        won = {"id": f"{name}:won", "kind": kind, "at": at, "amount": amount}
        yield won | about | _booked(back)


# The account's balance: fees, and what can be paid out.
_BOOKED = ("fee", "fee_currency", "net", "booked_at", "available_on", "transaction")


def _booked(transactions: Sequence[Json]) -> Json:
    """What the account's balance has of a payment, refund or dispute, in minor units; empty where
    its transactions were not read."""
    if not transactions or "fee" not in transactions[0]:
        return {}
    first, has_net = transactions[0], all("net" in item for item in transactions)
    return {
        "fee": sum(_whole(item, "fee") for item in transactions),
        "fee_currency": str(first["currency"]).upper(),
        "net": sum(_whole(item, "net") for item in transactions) if has_net else None,
        "booked_at": read_time(first["created"]),
        "available_on": max(_whole(item, "available_on") for item in transactions) or None,
        "transaction": _id(first),
    }


def _with_known_values(row: Json, before: Json | None) -> Json:
    """The row with what is known of its balance transaction, which does not change, and of its
    payout."""
    if before is None or "net" not in before:
        return row
    if before["transaction"] != row.get("transaction"):
        return row
    return row | {name: before[name] for name in (*_BOOKED, "payout") if name in before}


async def _read_fees(
    gateway: StripeGateway, cache: StripeCache, stripe_invoice_ids: Iterable[str]
) -> None:
    """Read the fees that are not known yet. Without the permission to read them they stay empty,
    which is set aside with the reason, and all else goes on."""
    kept = cache.invoices.received(stripe_invoice_ids)
    lacking = {
        str(row["transaction"]): int(row["at"])
        for _, rows in kept.values()
        for row in rows
        if row.get("transaction") and "net" not in row
    }
    if not lacking:
        return
    path, found = "/v1/balance_transactions", {}
    with set_aside_unreadable(cache, _FEES, _NO_FEES, FailureKind.CREDENTIALS):
        async for item in _in_windows(gateway, path, {}, sorted(lacking.values())):
            if item.get("id") in lacking:
                found[str(item["id"])] = _booked([item])
        left = sorted(lacking.keys() - found.keys())
        asked = await each(left, lambda name: gateway.get(f"{path}/{name}"))
        found |= {name: _booked([item]) for name, item in zip(left, asked, strict=True)}
    for name, (paid, rows) in kept.items():
        more = [found.get(str(row.get("transaction")), {}) for row in rows]
        if any(more):
            rows = [row | booked for row, booked in zip(rows, more, strict=True)]
            cache.invoices.record_received(name, paid, rows)


@contextmanager
def set_aside_unreadable(
    cache: StripeCache, kind: str, target: str, *tolerated: FailureKind
) -> Iterator[None]:
    """Set aside, with the reason, what cannot be read in the block, so that it stops nothing else.
    Raises failures that are not of one object, except those of a `tolerated` kind."""
    try:
        yield
    except UNREADABLE as error:
        if isinstance(error, StripeFailure) and error.kind not in (*ONE_OBJECT, *tolerated):
            raise
        reason = str(error) if isinstance(error, StripeFailure | UnreadableError) else repr(error)
        cache.unreadable.add(kind, target, reason)
    else:
        cache.unreadable.remove(kind, [target])


def _whole(data: Mapping[str, Any], name: str) -> int:
    value = data.get(name)
    if value is None:
        return 0
    if type(value) is not int or abs(value) >= 2**63:
        raise UnreadableError(f"its {name} is not a whole number that can be stored")
    return value


def _id(value: Any) -> str | None:
    # An expanded field holds the object instead of its id.
    return value.get("id") if isinstance(value, Mapping) else value
