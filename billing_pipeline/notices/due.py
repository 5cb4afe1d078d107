"""Derives the notices that are due from the published database, so that no event can be lost.

What belongs here: pure functions from what is published (and which runs closed a month) to
notices. What does not: what needs a person (the published view `needs_attention`), and which
notices were already sent (`record.py`).

A key identifies the fact and does not depend on when it was noticed, so the same state always
gives the same keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import format_amount, format_change, format_quantity, plain_number
from billing_pipeline.months import BillingMonth
from billing_pipeline.notices.due_customers import (
    overdue,
    payments_received,
    subscriptions_changed,
    wallets_low,
)
from billing_pipeline.notices.notice import Kind, Notice, Rules
from billing_pipeline.notices.spikes import published_spikes
from billing_pipeline.published.health import usage_gaps
from billing_pipeline.text import counted
from billing_pipeline.web.links import approval_url


@dataclass(frozen=True)
class Close:
    """The last run that closed a month, and the asset checks that failed in it."""

    run_id: str
    failed_checks: tuple[str, ...] = ()


Published = duckdb.DuckDBPyConnection
Closes = Mapping[BillingMonth, Close]


def due_notices(
    published: Published, closes: Closes, rules: Rules, running: BillingMonth, now: datetime
) -> list[Notice]:
    """All notices that are due now, in the order in which they are sent; none before this release
    has published a month for the first time."""
    if ("needs_attention",) not in published.execute("SHOW TABLES").fetchall():
        return []
    recent = _recent_months(published)
    return [
        *_closed(published, closes, rules),
        *_missing_usage(published),
        *_attention(published, "usage_unpriced", "usage_charged_twice"),
        *_attention(published, "month_drift"),
        *_waiting(published, rules, running),
        *_attention(published, "change_failed"),
        *_failed_payments(published),
        *payments_received(published, now),
        *overdue(published),
        *_attention(published, "uncollectible"),
        *_suspended(published),
        *_expiring_cards(published),
        *_attention(published, *_MONEY_TO_REVIEW),
        *_attention(published, "stripe_unknown"),
        *_spikes(published, recent, rules),
        *_entitlements(published, recent),
        *_trials(published, rules, now),
        *subscriptions_changed(published, now),
        *wallets_low(published, rules),
    ]


def _closed(published: Published, closes: Closes, rules: Rules) -> list[Notice]:
    totals: dict[str, dict[str, tuple[int, Decimal]]] = {}
    for month, currency, count, total in published.execute(
        "SELECT strftime(billing_month, '%Y-%m'), currency, count(*), sum(total)"
        " FROM invoices GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        totals.setdefault(month, {})[currency] = (count, total)
    # If a limit holds the whole plan back, the month is not closed yet.
    unsent = {
        row[0]
        for row in published.execute(
            "SELECT DISTINCT strftime(billing_month, '%Y-%m') FROM invoice_plan"
            " WHERE state <> 'done' AND action IN ('create', 'resume')"
        ).fetchall()
    }
    return [
        Notice(
            Kind.MONTH_CLOSED,
            f"month_closed:{month}",
            str(month),
            "\n".join(
                [
                    *_totals(totals.get(str(month), {}), totals.get(str(month.shift(-1)))),
                    f"failed checks: {', '.join(close.failed_checks) or 'none'}",
                    f"{rules.ui_url}/runs/{close.run_id}",
                ]
            ),
        )
        for month, close in sorted(closes.items())
        if str(month) not in unsent
    ]


_Totals = Mapping[str, tuple[int, Decimal]]


def _totals(present: _Totals, before: _Totals | None) -> list[str]:
    """A line for each currency: the number of invoices, their total, and the change from the month
    before, if that had invoices."""
    lines = []
    for currency in sorted({*present, *(before or {})}):
        count, total = present.get(currency, (0, Decimal(0)))
        line = f"{format_amount(total, currency)} {currency} in {counted(count, 'invoice')}"
        if before is not None:
            _, earlier = before.get(currency, (0, Decimal(0)))
            change = total - earlier
            line += f" ({format_change(change, currency)}"
            line += f", {change * 100 / earlier:+.1f} %" if earlier else ""
            line += " from the month before)"
        lines.append(line)
    return lines or ["no invoices"]


def _missing_usage(published: Published) -> list[Notice]:
    return [
        Notice(
            Kind.USAGE_MISSING,
            f"{gap['kind']}:{gap['month']}:{gap['source']}",
            gap["month"],
            gap["reason"],
        )
        for gap in usage_gaps(published)
    ]


_ATTENTION = """
SELECT strftime(billing_month, '%Y-%m') AS month, * FROM needs_attention
WHERE list_contains($1, kind) ORDER BY ALL
"""
_REVIEW = ("{kind}:{subject}:{number}", "{customer_id}: {money} of {invoice_id}: {reason}")
# Money that was refunded or credited by hand, that was asked for but is not due, and that did not
# reach the bank.
_MONEY_TO_REVIEW = {
    "refunded": (Kind.MONEY_WENT_BACK, *_REVIEW),
    "disputed": (Kind.MONEY_WENT_BACK, *_REVIEW),
    "credited_by_hand": (Kind.MONEY_WENT_BACK, *_REVIEW),
    "stripe_charge_differs": (Kind.CHARGE_DIFFERS, *_REVIEW),
    "stripe_payout_failed": (Kind.PAYOUT_FAILED, *_REVIEW),
}
_FAILED = "failed_in_part:{invoice_id}:{revision}:{plan_hash}"
_GIVEN_UP = "{customer_id}: {money} of {subject}"
_KINDS = {
    "usage_unpriced": (Kind.USAGE_UNPRICED, "{kind}:{month}:{subject}", "{reason}"),
    "usage_charged_twice": (Kind.USAGE_CHARGED_TWICE, "{kind}:{month}:{subject}", "{reason}"),
    "month_drift": (Kind.MONTH_DRIFT, "{kind}:{month}:{currency}:{number}", "{reason}"),
    "change_failed": (Kind.FAILED_IN_PART, _FAILED, "{customer_id}: {reason}"),
    "uncollectible": (Kind.UNCOLLECTIBLE, "{kind}:{invoice_id}:{revision}", _GIVEN_UP),
    "stripe_unknown": (Kind.UNKNOWN_INVOICE, "{kind}:{subject}", "{subject}: {reason}"),
    **_MONEY_TO_REVIEW,
}
"""The notice, its key and its text, by the kind of a row in `needs_attention`."""


def _attention(published: Published, *kinds: str) -> list[Notice]:
    """The notices of these kinds of rows in `needs_attention`."""
    return [_of_row(row) for row in rows(published, _ATTENTION, kinds)]


def _of_row(row: Row) -> Notice:
    kind, key, text = _KINDS[row["kind"]]
    amount, currency = row["amount"], row["currency"]
    if amount is not None:
        row |= {"number": plain_number(amount)}
        row |= {"money": f"{format_amount(amount, currency)} {currency}"}
    # An invoice that nothing here knows is of none of our months.
    month = "" if kind is Kind.UNKNOWN_INVOICE else row["month"]
    return Notice(kind, key.format(**row), month, text.format(**row))


def _waiting(published: Published, rules: Rules, running: BillingMonth) -> list[Notice]:
    found: dict[tuple[str, str], list[str]] = {}
    for month, plan_hash, currency, count, change in published.execute(
        "SELECT strftime(billing_month, '%Y-%m'), plan_hash, currency, count(*),"
        " sum(amount) FROM needs_attention"
        " WHERE kind = 'change_waiting' AND billing_month < $1::DATE GROUP BY ALL ORDER BY ALL",
        [running.key],
    ).fetchall():
        amount = f"{format_change(change, currency)} {currency}"
        line = f"{counted(count, 'change')}, together {amount}"
        found.setdefault((month, plan_hash), []).append(line)
    return [
        Notice(
            Kind.PLAN_WAITING,
            f"plan_waiting:{month}:{plan_hash}",
            month,
            "\n".join(
                [
                    *lines,
                    f"{rules.ui_url}/assets/invoice_plan?view=partitions&partition={month}",
                    approval_url(rules.ui_url, BillingMonth.parse(month), plan_hash),
                    f"billing apply {month} --approve {plan_hash}",
                ]
            ),
        )
        for (month, plan_hash), lines in found.items()
    ]


def _failed_payments(published: Published) -> list[Notice]:
    return [
        Notice(
            Kind.PAYMENT_FAILED,
            f"payment_failed:{invoice}:{attempt}",
            month,
            f"{customer}: {format_amount(outstanding, currency)} {currency} of {invoice}, {error};"
            f" next attempt {following or 'none'}",
        )
        for (
            *(month, invoice, attempt, customer, outstanding, currency, error),
            following,
        ) in published.execute(
            "SELECT strftime(n.billing_month, '%Y-%m'), invoice_id, p.attempt_count, n.customer_id,"
            " n.amount, n.currency, n.reason, strftime(p.next_attempt_at, '%Y-%m-%d %H:%M UTC')"
            " FROM needs_attention AS n JOIN invoice_payments AS p USING (invoice_id)"
            " WHERE n.kind = 'payment_failed' ORDER BY ALL"
        ).fetchall()
    ]


def _suspended(published: Published) -> list[Notice]:
    return [
        Notice(
            Kind.SUSPENDED,
            f"suspended:{customer}:{since}",
            month,
            f"{customer}: {format_amount(outstanding, currency)} {currency} open, {reason}",
        )
        for month, customer, since, outstanding, currency, reason in published.execute(
            "SELECT strftime(billing_month, '%Y-%m'), customer_id, since::DATE::VARCHAR,"
            " outstanding, currency, reason FROM customer_standing WHERE state = 'suspended'"
            " ORDER BY ALL"
        ).fetchall()
    ]


def _expiring_cards(published: Published) -> list[Notice]:
    return [
        Notice(Kind.CARD_EXPIRES, f"card_expires:{customer}:{expires}", month, f"{customer}: {why}")
        for month, customer, expires, why in published.execute(
            "SELECT strftime(n.billing_month, '%Y-%m'), n.customer_id, c.card_expires::VARCHAR,"
            " n.reason FROM needs_attention AS n JOIN paying_cards AS c USING (customer_id)"
            " WHERE n.kind = 'card_expires' ORDER BY ALL"
        ).fetchall()
    ]


def _spikes(published: Published, recent: list[str], rules: Rules) -> list[Notice]:
    return [
        Notice(
            Kind.USAGE_SPIKE,
            f"usage_spike:{spike.month}:{spike.customer_id}:{spike.meter_id}",
            spike.month,
            str(spike),
        )
        for spike in published_spikes(published, recent, rules.spike_factor)
    ]


def _entitlements(published: Published, recent: list[str]) -> list[Notice]:
    """For the running month, from its estimate. At 100 %, the notice of 80 % is no longer sent."""
    columns = "billing_month, customer_id, plan_id, feature, used, limit_quantity, state"
    return [
        Notice(
            Kind.ENTITLEMENT,
            f"entitlement:{month}:{customer}:{plan}:{feature}:{share}",
            month,
            f"{customer}: {share} % of {feature} in {plan}: "
            f"{format_quantity(used)} of {format_quantity(limit)}",
        )
        for month, customer, plan, feature, used, limit, share in published.execute(
            "SELECT strftime(billing_month, '%Y-%m'), customer_id, plan_id, feature, max(used),"
            " max(limit_quantity), CASE WHEN bool_or(used >= limit_quantity) THEN 100 ELSE 80 END"
            f" FROM (SELECT {columns} FROM entitlement_usage"
            f" UNION ALL SELECT {columns} FROM estimated_entitlement_usage)"
            " WHERE state <> 'ok' AND list_contains($1, strftime(billing_month, '%Y-%m'))"
            " GROUP BY billing_month, customer_id, plan_id, feature ORDER BY ALL",
            [recent],
        ).fetchall()
    ]


def _trials(published: Published, rules: Rules, now: datetime) -> list[Notice]:
    return [
        Notice(
            Kind.TRIAL_ENDING,
            f"trial_ending:{subscription}:{ends:%Y-%m-%d}",
            "",
            f"{customer}: {plan} is charged from {ends:%Y-%m-%d %H:%M} UTC",
        )
        for subscription, customer, plan, ends in published.execute(
            "SELECT subscription_id, customer_id, plan_id, timezone('UTC', trial_ends_at)"
            " FROM trials WHERE trial_ends_at > $1 AND trial_ends_at <= $2 ORDER BY ALL",
            [now, now + timedelta(days=rules.trial_days)],
        ).fetchall()
    ]


def _recent_months(published: Published) -> list[str]:
    """The newest two that are rated or estimated; usage of older months needs no notice."""
    return [
        row[0]
        for row in published.execute(
            "SELECT DISTINCT strftime(billing_month, '%Y-%m') FROM (SELECT billing_month FROM"
            " metered_usage UNION ALL SELECT billing_month FROM estimated_charges UNION ALL"
            " SELECT billing_month FROM entitlement_usage) ORDER BY 1 DESC LIMIT 2"
        ).fetchall()
    ]
