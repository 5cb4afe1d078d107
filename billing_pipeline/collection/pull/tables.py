"""The published tables about Stripe: `stripe_invoices`, `invoice_payments`, `reconciliation`.

What belongs here: turning invoices into rows; pure. Money is in major units as `Decimal`, times
are aware datetimes in UTC. What does not: reading Stripe (`read_payments.py`), writing tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from billing_pipeline.collection.plan.dunning_policy import (
    DueKind,
    DunningPolicy,
    due_of,
    is_in_dunning,
)
from billing_pipeline.collection.stripe_state.resolutions import Decision
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
    PaymentState,
)
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.money import to_major


class ExpectedInvoice(NamedTuple):
    """An invoice of ours as it should be; `wallet` is what the wallet pays of it. Minor units."""

    customer_id: str
    currency: str
    total: int
    wallet: int = 0


Expected = Mapping[str, ExpectedInvoice]
"""Our invoices by their ids."""

# An invoice and its supplements show the first of these statuses that any of them has.
_WORST_FIRST = ("overdue", "open", "uncollectible", "paid", "draft", "void")


def stripe_invoice_rows(invoices: Iterable[ActualInvoice]) -> list[Row]:
    """One row for each Stripe invoice that is marked as ours."""
    return [
        {
            "billing_month": item.month,
            "invoice_id": item.invoice_id,
            "revision": item.revision,
            "customer_id": item.customer_id,
            "stripe_invoice_id": item.stripe_invoice_id,
            "stripe_customer_id": item.stripe_customer_id,
            "status": item.status.value,
            "number": item.number,
            "currency": item.currency,
            "total": to_major(item.total, item.currency),
            "amount_due": to_major(item.amount_due, item.currency),
            "amount_paid": to_major(item.amount_paid, item.currency),
            "amount_remaining": to_major(item.amount_remaining, item.currency),
            "credited": to_major(item.credit_notes, item.currency),
            "wallet_applied": to_major(item.wallet_taken, item.currency),
            "settled_by_balance": to_major(item.settled_by_balance, item.currency),
            "wallet_at_finalize": to_major(item.wallet_declared, item.currency),
            "created_at": time_of(item.created),
            "finalized_at": time_of(item.finalized_at),
            "due_at": time_of(_due_at(item)),
            "uncollectible_at": time_of(item.given_up_at),
            "hosted_invoice_url": item.hosted_invoice_url,
            "invoice_pdf": item.invoice_pdf,
        }
        for item in sorted(invoices, key=_order)
    ]


_UNKNOWN_INVOICE_COLUMNS = (
    *("stripe_invoice_id", "invoice_id", "customer_id", "status", "number", "currency"),
    *("total", "amount_paid", "amount_remaining", "created_at"),
)


def unknown_rows(month: date, invoices: Iterable[ActualInvoice]) -> list[Row]:
    """One row for each Stripe invoice with marks of ours that is of no month we know, as seen when
    this month was read. Void ones are left out."""
    shown = [item for item in invoices if item.unreadable is None]
    return [
        {"billing_month": month, "marked_month": row["billing_month"]}
        | {name: row[name] for name in _UNKNOWN_INVOICE_COLUMNS}
        for row in stripe_invoice_rows(shown)
        if row["status"] != InvoiceStatus.VOID
    ]


def _due_at(item: ActualInvoice) -> int | None:
    """When the invoice is due (epoch seconds); None for a draft. Stripe gives no due date to
    invoices that it charges automatically: they are due at once."""
    if item.is_draft:
        return None
    return item.finalized_at if item.due_date is None else item.due_date


def payment_rows(
    invoices: Iterable[ActualInvoice],
    now: float,
    policy: DunningPolicy,
    returned: Mapping[str, int],
) -> list[Row]:
    """One row for each invoice of ours: the original and its supplements taken together.

    `billed` = `credited` + `paid` + `outstanding` + `settled_by_balance`, where the last is what
    the customer's balance in Stripe took over (wallet, earlier credit; negative where it gave),
    except that a credit note after the payment is in `paid` and in `credited`. `refunded` is what
    went back of `paid`, by refunds and disputes: `returned` has it by Stripe invoice, minor units.
    """
    grouped: dict[str, list[ActualInvoice]] = defaultdict(list)
    for item in invoices:
        grouped[item.invoice_id or item.stripe_invoice_id].append(item)
    rows = []
    for key in sorted(grouped):
        items = sorted(grouped[key], key=_order)
        back = sum(returned.get(item.stripe_invoice_id, 0) for item in items)
        refunded = {"refunded": to_major(back, items[0].currency)}
        rows.append(_payment_row(key, items, now, policy) | refunded)
    return rows


def _payment_row(
    invoice_id: str, items: Sequence[ActualInvoice], now: float, policy: DunningPolicy
) -> Row:
    statuses = {_status(item, now, policy) for item in items}
    billed = [item for item in items if item.is_billed]
    currency = items[0].currency
    failing = [item for item in billed if item.amount_remaining > 0]
    tries = [at for item in failing for at in [_next_attempt(item, policy)] if at is not None]
    sums = {
        "billed": sum(item.total for item in billed),
        "paid": sum(item.amount_paid for item in billed),
        "credited": sum(item.credit_notes for item in billed),
        "outstanding": sum(item.amount_remaining for item in billed),
        "settled_by_balance": sum(item.settled_by_balance for item in billed),
    }
    return {
        "billing_month": items[0].month,
        "invoice_id": invoice_id,
        "customer_id": items[0].customer_id,
        "currency": currency,
        "status": next(status for status in _WORST_FIRST if status in statuses),
        **{name: to_major(amount, currency) for name, amount in sums.items()},
        "attempt_count": sum(item.attempt_count + item.dunning_tries for item in items),
        "next_attempt_at": time_of(min(tries, default=None)),
        "last_error": next((item.last_error for item in failing if item.last_error), None),
        "payment_state": next((item.payment.value for item in failing if item.payment), None),
    }


def _next_attempt(item: ActualInvoice, policy: DunningPolicy) -> int | None:
    """When our next try is due, or Stripe's own where Stripe collects; None where none is."""
    due = due_of(item, policy)
    if due is not None and due.kind is DueKind.TRY:
        return due.at
    return item.next_payment_attempt


def _status(item: ActualInvoice, now: float, policy: DunningPolicy) -> str:
    """Stripe's status, or `overdue`: unpaid past its due date, or after dunning's last try where
    the policy leaves the invoice open."""
    if item.payment is PaymentState.PROCESSING:
        return item.status.value  # the customer has done their part
    late = item.due_date is not None and item.due_date < now
    left = is_in_dunning(item) and due_of(item, policy) is None
    if item.status is InvoiceStatus.OPEN and item.amount_remaining > 0 and (late or left):
        return "overdue"
    return item.status.value


def reconciliation_rows(
    month_key: str,
    expected: Expected,
    invoices: Iterable[ActualInvoice],
    unexplained: Mapping[str, int],
) -> list[Row]:
    """One row for each invoice that is due or is marked as ours: what should be billed and what
    was, in total, from the wallet, and to be paid by the customer.

    `difference` = `stripe_total` − `expected_total`. `state`: ``matched``; ``differs``;
    ``missing`` (not finalized in Stripe yet, or not there); ``unexpected`` (billed, and nothing
    is due); ``adopted`` or ``written_off`` where a person has decided to leave that difference;
    where the total is right, ``wallet_differs`` (the wallet paid another part of it) and
    ``charge_differs`` (the customer's balance paid some of it, or was charged with it, for an
    `unexplained` reason). A credit note made by hand in Stripe counts as a difference.
    """
    grouped: dict[str, list[ActualInvoice]] = defaultdict(list)
    for item in invoices:
        grouped[item.invoice_id or item.stripe_invoice_id].append(item)
    rows = []
    for invoice_id in sorted({*expected, *grouped}):
        items = grouped.get(invoice_id, [])
        ours = expected.get(invoice_id)
        if ours is None:
            if not any(item.is_billed or item.is_draft for item in items):
                continue  # only void, and nothing is due: nothing to reconcile
            ours = ExpectedInvoice(items[0].customer_id or "", items[0].currency, 0)
        billed = [item for item in items if item.is_billed]
        by_balance = sum(unexplained.get(item.stripe_invoice_id, 0) for item in billed)
        left = sum(item.total - item.credit_notes for item in billed) - ours.total
        state = _state(ours, billed, invoice_id in expected, bool(by_balance))
        state = _decided(items, left) or state
        rows.append(_reconciled(month_key, invoice_id, ours, billed) | {"state": state})
    return rows


def _reconciled(
    month_key: str, invoice_id: str, ours: ExpectedInvoice, billed: Sequence[ActualInvoice]
) -> Row:
    held = sum(item.total - item.credit_notes for item in billed)
    wallet = sum(item.wallet_taken for item in billed)
    besides = sum(item.settled_outside_wallet for item in billed)
    sums = {
        "expected_total": ours.total,
        "stripe_total": held,
        "difference": held - ours.total,
        "expected_wallet": ours.wallet,
        "stripe_wallet": wallet,
        "expected_due": ours.total - ours.wallet,
        "charged": held - wallet - besides,
    }
    return {
        "billing_month": date.fromisoformat(month_key),
        "invoice_id": invoice_id,
        "customer_id": ours.customer_id,
        "currency": ours.currency,
        **{name: to_major(amount, ours.currency) for name, amount in sums.items()},
    }


_DECIDED = {Decision.ADOPT: "adopted", Decision.WRITE_OFF: "written_off"}


def _decided(items: Iterable[ActualInvoice], difference: int) -> str | None:
    """The decision that explains a difference to the last minor unit, or None."""
    left, words = difference, []
    for item in items:
        if item.resolution is None:
            continue
        left += item.resolution.adjustment
        if f"credited:{item.credited_by_hand}" in item.resolution.answers:
            left += item.credited_by_hand
        words.append(_DECIDED.get(item.resolution.decision))
    return words[-1] if words and difference and not left else None


def _state(
    ours: ExpectedInvoice, billed: Sequence[ActualInvoice], is_expected: bool, by_balance: bool
) -> str:
    if not billed:
        return "missing" if is_expected else "matched"
    if ours.total != sum(item.total - item.credit_notes for item in billed):
        return "differs" if is_expected else "unexpected"
    if ours.wallet != sum(item.wallet_taken for item in billed):
        return "wallet_differs"
    return "charge_differs" if by_balance else "matched"


def _order(item: ActualInvoice) -> tuple[str, int, int, str]:
    return (item.invoice_id or "", item.revision or 0, item.created, item.stripe_invoice_id)


def time_of(seconds: int | None) -> datetime | None:
    """Epoch seconds as tables have them."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
