"""Notices about a customer's money and subscriptions that require no action: payments, overdue
invoices, changed subscriptions, low wallets.

What belongs here: pure functions from what is published to notices, as in ``due``. What does not:
what needs a person (the view `needs_attention`), except overdue invoices.

Notices of events are only due for `_NOTICE_WINDOW` after them, so that a release with a new kind of
notice does not send years of history.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import duckdb

from billing_pipeline.money import format_amount, format_quantity
from billing_pipeline.notices.notice import Kind, Notice, Rules

Published = duckdb.DuckDBPyConnection

_NOTICE_WINDOW = timedelta(days=31)

_PAYMENTS = """
SELECT strftime(billing_month, '%Y-%m'), payment_id, stripe_invoice_id, customer_id, invoice_id,
    amount, currency, method, timezone('UTC', paid_at)
FROM payments
WHERE kind = 'payment' AND amount > 0 AND paid_at > $1
ORDER BY paid_at, payment_id, stripe_invoice_id
"""
_OVERDUE = """
SELECT strftime(late.billing_month, '%Y-%m'), late.customer_id, late.invoice_id, late.amount,
    late.currency, due_dates.due_date
FROM needs_attention AS late
LEFT JOIN due_dates USING (invoice_id)
WHERE late.kind = 'overdue'
ORDER BY ALL
"""
# The estimate has the subscriptions as they are now; without one, the newest month is used.
_SUBSCRIPTIONS = """
WITH newest AS (
    SELECT subscription_id, customer_id, plan_id, quantity, starts_at, ends_at
    FROM estimated_subscriptions
    UNION ALL
    SELECT subscription_id, customer_id, plan_id, quantity, starts_at, ends_at
    FROM subscriptions
    WHERE billing_month = (SELECT max(billing_month) FROM subscriptions)
        AND billing_month > ALL (SELECT billing_month FROM estimated_subscriptions)
),
versions AS (
    SELECT *,
        lag(plan_id) OVER of_one AS plan_before,
        lag(quantity) OVER of_one AS quantity_before,
        lag(ends_at) OVER of_one AS ended_before,
        lead(starts_at) OVER of_one AS starts_next
    FROM newest WHERE starts_at IS DISTINCT FROM ends_at
    WINDOW of_one AS (PARTITION BY subscription_id ORDER BY starts_at)
),
changes AS (
    SELECT *, starts_at AS changed_at,
        CASE WHEN ended_before = starts_at THEN 'changed' ELSE 'started' END AS what
    FROM versions
    WHERE ended_before IS DISTINCT FROM starts_at
        OR plan_before <> plan_id OR quantity_before IS DISTINCT FROM quantity
    UNION ALL
    SELECT *, ends_at AS changed_at, 'ended' AS what
    FROM versions WHERE ends_at IS NOT NULL AND starts_next IS DISTINCT FROM ends_at
)
SELECT subscription_id, customer_id, what, timezone('UTC', changed_at), plan_id, plan_before,
    quantity, quantity_before
FROM changes WHERE changed_at > $1 AND changed_at <= $2
ORDER BY changed_at, subscription_id, what
"""
_WALLETS = """
SELECT customer_id, currency, balance - would_be_applied AS remaining, last_lot_id, last_lot_amount
FROM estimated_wallet_balances
WHERE remaining * 100 <= last_lot_amount * $1
ORDER BY ALL
"""


def payments_received(published: Published, now: datetime) -> list[Notice]:
    """Money that came in for an invoice: by card, by debit, outside of Stripe, from a wallet."""
    return [
        Notice(
            Kind.PAYMENT_RECEIVED,
            f"payment_received:{document}:{payment}",
            month,
            f"{customer}: {format_amount(amount, currency)} {currency} of {invoice}"
            f" by {(method or 'an unknown method').replace('_', ' ')} at {at:%Y-%m-%d %H:%M} UTC",
        )
        for (
            *(month, payment, document, customer, invoice, amount, currency, method),
            at,
        ) in published.execute(_PAYMENTS, [now - _NOTICE_WINDOW]).fetchall()
    ]


def overdue(published: Published) -> list[Notice]:
    """Invoices whose due date has passed."""
    return [
        Notice(
            Kind.OVERDUE,
            f"overdue:{invoice}:{due}",
            month,
            f"{customer}: {format_amount(amount, currency)} {currency} of {invoice}, due {due}",
        )
        for month, customer, invoice, amount, currency, due in published.execute(
            _OVERDUE
        ).fetchall()
    ]


def subscriptions_changed(published: Published, now: datetime) -> list[Notice]:
    """Subscriptions that began, moved to another plan or quantity, or ended."""
    return [
        Notice(
            Kind.SUBSCRIPTION_CHANGED,
            f"subscription_{what}:{subscription}:{at:%Y-%m-%dT%H:%M:%S}",
            "",
            f"{customer}: {subscription} {_change(what, plan, before, quantity, quantity_before)}"
            f" at {at:%Y-%m-%d %H:%M} UTC",
        )
        for (
            *(subscription, customer, what, at, plan, before, quantity, quantity_before),
        ) in published.execute(_SUBSCRIPTIONS, [now - _NOTICE_WINDOW, now]).fetchall()
    ]


def _change(
    what: str, plan: str, before: str | None, quantity: Decimal, quantity_before: Decimal | None
) -> str:
    if what == "ended":
        return f"on {plan} ended"
    if what == "started":
        return f"on {plan} began"
    parts = []
    if before != plan:
        parts.append(f"moved from {before} to {plan}")
    if quantity_before is not None and quantity_before != quantity:
        parts.append(
            f"has a quantity of {format_quantity(quantity)}"
            f" instead of {format_quantity(quantity_before)}"
        )
    return " and ".join(parts)


def wallets_low(published: Published, rules: Rules) -> list[Notice]:
    """Wallets that will hold only a small part of the last top-up once the running month so far is
    paid. At 0, the notice of a low wallet is no longer sent."""
    return [
        Notice(
            Kind.WALLET_LOW,
            f"wallet_low:{customer}:{currency}:{lot}:{'empty' if remaining <= 0 else 'low'}",
            "",
            f"{customer}: {format_amount(max(remaining, Decimal(0)), currency)} {currency} would be"
            f" left after the month so far, of {format_amount(last, currency)} put in last ({lot})",
        )
        for customer, currency, remaining, lot, last in published.execute(
            _WALLETS, [rules.wallet_low_percent]
        ).fetchall()
    ]
