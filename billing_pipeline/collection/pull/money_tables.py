"""The published tables of money that moved: `payments`, `payouts` and `credit_notes`.

What belongs here: turning what was read of payments and credit notes into rows; pure. Money is in
major units as `Decimal`, times are aware datetimes in UTC. What does not: reading Stripe
(`stripe_state/received.py`), and the tables by invoice (`tables.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from billing_pipeline.collection.stripe_state.cached_payouts import Payout
from billing_pipeline.collection.stripe_state.received import OUTSIDE
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.money import CURRENCY_PLACES, to_major
from billing_pipeline.months import BillingMonth

ByInvoice = Mapping[str, Sequence[Mapping[str, Any]]]
"""What the cache stores beside invoices, by Stripe's invoice id; amounts in minor units."""


def received_rows(invoices: Iterable[ActualInvoice], received: ByInvoice) -> list[Row]:
    """One row for each payment of these invoices, and for each refund and dispute of it.

    What Stripe counts as paid without having a payment was paid outside of Stripe, and gets a row
    of its own. So an invoice's payments add up to what was paid of it.
    """
    rows = []
    for item in invoices:
        if item.stripe_invoice_id not in received:
            continue
        moves = list(received[item.stripe_invoice_id])
        outside = item.amount_paid - sum(m["amount"] for m in moves if m["kind"] == "payment")
        if outside:
            moves.append(_paid_outside(item, outside))
        rows += [_received_row(item, move) for move in moves]
    return sorted(rows, key=_order)


def returned(received: ByInvoice) -> dict[str, int]:
    """What was refunded or disputed of each Stripe invoice's payments, in minor units."""
    return {
        name: -sum(move["amount"] for move in moves if move["kind"] != "payment")
        for name, moves in received.items()
    }


def _order(row: Row) -> tuple[str, datetime, str]:
    return (row["invoice_id"] or "", row["paid_at"], row["payment_id"])


def _paid_outside(item: ActualInvoice, amount: int) -> Mapping[str, Any]:
    return {
        "id": f"{item.stripe_invoice_id}:{OUTSIDE}",
        "kind": "payment",
        "at": item.paid_at or item.finalized_at or item.created,
        "amount": amount,
        "method": OUTSIDE,
        "status": "succeeded",
    }


def _received_row(item: ActualInvoice, move: Mapping[str, Any]) -> Row:
    fee, fee_currency, net = move.get("fee"), move.get("fee_currency"), move.get("net")
    has_fee = fee is not None and fee_currency in CURRENCY_PLACES
    return {
        **_invoice_columns(item),
        "payment_id": move["id"],
        "kind": move["kind"],
        "paid_at": _time(move["at"]),
        "amount": to_major(move["amount"], item.currency),
        "method": move.get("method"),
        "card_expires": _last_day(move.get("card_expires")),
        "fee": to_major(int(fee or 0), str(fee_currency)) if has_fee else None,
        "fee_currency": fee_currency if has_fee else None,
        "net": to_major(net, str(fee_currency)) if has_fee and net is not None else None,
        "payout_id": move.get("payout"),
        "status": move["status"],
    }


def _last_day(month: str | None) -> date | None:
    """The last day of a month, ``YYYY-MM``."""
    return BillingMonth.parse(month).shift(1).first_day - timedelta(days=1) if month else None


def payout_rows(month: date, received: ByInvoice, payouts: Mapping[str, Payout]) -> list[Row]:
    """One row for each payout with money of these invoices."""
    of_month: dict[str, int] = defaultdict(int)
    for moves in received.values():
        for move in moves:
            if move.get("payout"):
                of_month[move["payout"]] += move["net"]
    return [
        {
            "billing_month": month,
            "payout_id": name,
            "status": payouts[name].status,
            "created_at": _time(payouts[name].created),
            "arrives_on": _time(payouts[name].arrives_at).date(),
            "currency": payouts[name].currency,
            "amount": to_major(payouts[name].amount, payouts[name].currency),
            "of_month": to_major(net, payouts[name].currency),
        }
        for name, net in sorted(of_month.items())
    ]


def credit_note_rows(invoices: Iterable[ActualInvoice], notes: ByInvoice) -> list[Row]:
    """One row for each credit note of these invoices that is not void, whoever issued it."""
    return [
        {
            **_invoice_columns(item),
            "credit_note_id": note["id"],
            "number": note["number"],
            "issued_at": _time(note["effective_at"] or note["created"]),
            "amount": to_major(int(note["total"]), item.currency),
            "tax": to_major(_tax(note), item.currency),
            **{name: to_major(part, item.currency) for name, part in _given_back(note).items()},
            "reason": note["reason"] or note["memo"],
            "credit_number": note.get("our_number"),
        }
        for item in invoices
        for note in sorted(notes.get(item.stripe_invoice_id, ()), key=lambda n: n["created"])
    ]


def _tax(note: Mapping[str, Any]) -> int:
    net = note["total_excluding_tax"]
    return 0 if net is None else int(note["total"]) - int(net)


def _given_back(note: Mapping[str, Any]) -> dict[str, int]:
    """How a credit note gave back what was paid, in minor units. All 0 for one that an earlier
    release has read: it did not store this."""
    refunded = sum(int(refund["amount_refunded"]) for refund in note.get("refunds") or ())
    outside = int(note.get("out_of_band_amount") or 0)
    after_payment = int(note.get("post_payment_amount") or 0)
    return {
        "to_balance": after_payment - refunded - outside,
        "refunded": refunded,
        "outside_stripe": outside,
    }


def _invoice_columns(item: ActualInvoice) -> Row:
    return {
        "billing_month": item.month,
        "invoice_id": item.invoice_id,
        "stripe_invoice_id": item.stripe_invoice_id,
        "customer_id": item.customer_id,
        "currency": item.currency,
    }


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
