"""The operator's limits: what may be sent unattended.

What belongs here: which limits a plan exceeds. What does not: reading them (`settings.py`), and
making such a plan wait (`invoice_plan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.money import format_minor, to_major
from billing_pipeline.settings import Settings

DEFAULT_MONTH_CHANGE_PERCENT = Decimal(200)
DEFAULT_NEEDS_INVOICES = 20
"""The default applies only where the month before had at least this many invoices in the currency:
a few customers more or less can change a small month by any percentage."""


@dataclass(frozen=True)
class MonthTotal:
    """What a month was billed in one currency: minor units, and in how many invoices."""

    amount: int
    invoices: int


@dataclass(frozen=True)
class Limits:
    """What the operator lets pass unattended; None: no limit, or the default."""

    max_invoice_total: Decimal | None = None
    """Major units, in whatever currency the invoice has."""
    max_month_change_percent: Decimal | None = None

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(settings.max_invoice_total, settings.max_month_change_percent)

    def month_change_percent(self, before: MonthTotal) -> Decimal | None:
        """By how many percent the month after `before` may differ; None: by any."""
        if self.max_month_change_percent is not None:
            return self.max_month_change_percent
        is_large = before.invoices >= DEFAULT_NEEDS_INVOICES
        return DEFAULT_MONTH_CHANGE_PERCENT if is_large else None


def broken_limits(
    actions: Sequence[InvoiceAction], limits: Limits, previous: Mapping[str, MonthTotal]
) -> tuple[str, ...]:
    """The limits that a plan of these actions exceeds, as sentences. A plan that sends nothing
    exceeds none. `previous`: what the month before was billed, by currency."""
    sending = [action for action in actions if action.send is not None]
    if not sending:
        return ()
    return (*_large_invoices(sending, limits), *_month_change(actions, limits, previous))


def _large_invoices(sending: Sequence[InvoiceAction], limits: Limits) -> list[str]:
    limit = limits.max_invoice_total
    return [
        f"{action.invoice_id} of customer {action.customer_id} is "
        f"{format_minor(action.send.total, action.currency)}: "
        f"above BILLING_MAX_INVOICE_TOTAL {limit}"
        for action in sending
        if limit is not None
        and action.send is not None
        and to_major(abs(action.send.total), action.currency) > limit
    ]


def _month_change(
    actions: Sequence[InvoiceAction], limits: Limits, previous: Mapping[str, MonthTotal]
) -> list[str]:
    # The last action of an invoice has the amount that it ends with.
    last = {a.invoice_id: a for a in actions if a.kind is not ActionKind.WITHDRAW}
    after: dict[str, int] = {}
    for action in last.values():
        after[action.currency] = after.get(action.currency, 0) + action.amount_after
    broken = []
    for currency, before in sorted(previous.items()):
        percent, now = limits.month_change_percent(before), after.get(currency, 0)
        if percent is None or before.amount <= 0:
            continue
        if Decimal(abs(now - before.amount)) * 100 > percent * before.amount:
            broken.append(
                f"the month's total in {currency} is {format_minor(now, currency)} after "
                f"{format_minor(before.amount, currency)} the month before: a change above "
                f"BILLING_MAX_MONTH_CHANGE_PERCENT {percent}"
            )
    return broken
