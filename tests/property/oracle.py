"""The oracle: what the contract charges for a month, by brute force and in exact fractions.

What belongs here: going from subscriptions and prices to metered quantities, charges and their
tiers, and the result that tests compare. Invoices are put together in invoicing.py. Nothing here
shares code or SQL with the pipeline. If both the contract and docs/decisions.md leave a choice, the
function that makes it documents it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.property import periods
from tests.property.intake import Book, Price, Rejection, Subscription, load
from tests.property.invoicing import (
    AlreadyBilled,
    AppliedElsewhere,
    Bill,
    ChargeLine,
    make_invoices,
    wallet_balances,
    wallet_limits,
)
from tests.property.metering import measure
from tests.property.periods import Period, Window
from tests.property.pricing import ONE, ZERO, Priced, TierPart, price_recurring, price_usage
from tests.property.tables import World, read
from tests.property.usage_issues import Issue, unread_events
from tests.property.usage_limits import Entitlement, entitlement_usage
from tests.property.values import EXPONENTS, iso, round_half_away

Part = tuple[str, str, int, int]  # subscription, price, start and end of the service period
# And the kind: in a month in which two periods of 30 days end, the second one can be charged in
# advance and given back on the same invoice.
ChargeKey = tuple[str, str, int, int, str]


@dataclass(frozen=True)
class MeteredRow:
    """metered_usage: `quantity` as metered, negative where corrections outweigh usage."""

    customer_id: str
    meter_id: str
    quantity: Fraction
    event_count: int
    is_trial: bool


@dataclass(frozen=True)
class Charge:
    """`exact` is the true value, `exact_amount` that at 12 places, `amount` it in minor units."""

    subscription_id: str
    customer_id: str
    price_id: str
    period_start: int
    period_end: int
    kind: str  # arrears, advance, credit
    currency: str
    quantity: Fraction
    billable_quantity: Fraction
    event_count: int
    share: Fraction
    exact: Fraction
    exact_amount: Fraction
    amount: Fraction
    tiers: tuple[TierPart, ...]
    billing_period: Period  # the one that it is invoiced with, not the one that it is for
    price: Price = field(compare=False, repr=False)

    @property
    def key(self) -> ChargeKey:
        part = (self.subscription_id, self.price_id, self.period_start, self.period_end)
        return (*part, self.kind)


@dataclass(frozen=True)
class Result:
    """Everything a month's rating gives. Rejections and unread events are those of its folder."""

    month: str
    metered: dict[Part, MeteredRow]
    charges: dict[ChargeKey, Charge]
    invoices: dict[tuple[str, str], Bill]  # by customer and currency
    rejections: list[Rejection]
    wallets: dict[tuple[str, str], Fraction]  # balance after the month, by customer and currency
    entitlements: dict[tuple[str, str], Entitlement]  # by customer and feature
    unread: set[Issue]

    @property
    def cases(self) -> int:
        """How many pairs of a subscription and a price were rated."""
        return len({key[:2] for key in (*self.metered, *self.charges)})


def bill(
    world: World | Path,
    month: str,
    timezone: str = "UTC",
    wallet_applied_elsewhere: AppliedElsewhere | None = None,
    already_billed: AlreadyBilled | None = None,
) -> Result:
    """Rate one month (`YYYY-MM`) of a world or of a data directory.

    `wallet_applied_elsewhere`: (customer, currency) to what months' invoices took, by month;
    `already_billed`: to what of this month was billed.
    """
    inputs = read(world) if isinstance(world, Path) else world
    book = load(inputs, month, ZoneInfo(timezone))
    metered: dict[Part, MeteredRow] = {}
    charges: dict[ChargeKey, Charge] = {}
    by_plan: dict[str, list[Price]] = {}
    for price in book.prices:
        by_plan.setdefault(price.plan_id, []).append(price)
    for subscription in book.subscriptions:
        for price in by_plan.get(subscription.plan_id, []):
            for period in periods.billed_periods(book, subscription, month):
                metered.update(_metered_rows(book, subscription, price, period))
                for charge in _charges(book, subscription, price, period):
                    assert charge.key not in charges, f"charged twice: {charge}"
                    charges[charge.key] = charge
    lines = [
        ChargeLine(
            charge.subscription_id,
            charge.customer_id,
            charge.currency,
            charge.amount,
            charge.billing_period,
            charge.kind == "credit",
        )
        for charge in charges.values()
    ]
    taken = wallet_applied_elsewhere or {}
    balances = wallet_balances(book, month, taken)
    limits = wallet_limits(book, month, taken)
    invoices = make_invoices(book, month, lines, limits, taken, already_billed or {})
    for key, invoice in invoices.items():
        if invoice.wallet_applied:
            balances[key] -= invoice.wallet_applied - taken.get(key, {}).get(month, Fraction(0))
    return Result(
        month,
        metered,
        charges,
        invoices,
        rejections=book.rejections[month],
        wallets=balances,
        entitlements=entitlement_usage(book, month),
        unread=unread_events(book, month),
    )


def _metered_rows(
    book: Book, subscription: Subscription, price: Price, period: Period
) -> Iterator[tuple[Part, MeteredRow]]:
    """Usage of the trial and of the paid part, each its own row, also where nothing was used."""
    if price.meter is None:
        return
    trial = periods.trial_part(subscription, price, period)
    paid = periods.paid_part(subscription, price, period)
    for part in (trial, paid):
        if part is not None:
            found = measure(
                book,
                price.meter,
                subscription.customer_id,
                price.filter,
                part.start,
                part.end,
                period.start,
            )
            key = (subscription.subscription_id, price.price_id, part.start, part.end)
            yield (
                key,
                MeteredRow(
                    subscription.customer_id,
                    price.meter.meter_id,
                    found.quantity,
                    found.event_count,
                    part is trial,
                ),
            )


def _charges(
    book: Book, subscription: Subscription, price: Price, period: Period
) -> Iterator[Charge]:
    if price.meter is not None:
        yield from _usage_charge(book, subscription, price, period)
    elif price.timing == "advance":
        yield from _advance_charges(book, subscription, price, period)
    else:
        paid = periods.paid_part(subscription, price, period)
        if paid is not None:
            yield _recurring(book, subscription, price, period, paid, "arrears")


def _usage_charge(
    book: Book, subscription: Subscription, price: Price, period: Period
) -> Iterator[Charge]:
    paid = periods.paid_part(subscription, price, period)
    if paid is None or price.meter is None:
        return
    found = measure(
        book,
        price.meter,
        subscription.customer_id,
        price.filter,
        paid.start,
        paid.end,
        period.start,
    )
    share = paid.share_of(period) if price.prorate else ONE
    quantity = max(found.quantity, ZERO)
    priced = price_usage(price, quantity, found.event_count, share)
    charge = (quantity, found.event_count, share, priced, priced.exact)
    yield _charge(book, subscription, price, period, paid, "arrears", *charge)


def _recurring(
    book: Book,
    subscription: Subscription,
    price: Price,
    period: Period,
    part: Window,
    kind: str,
    invoiced_with: Period | None = None,
) -> Charge:
    share = part.share_of(period) if price.prorate else ONE
    priced = price_recurring(price, subscription.quantity, share)
    exact = -priced.exact if kind == "credit" else priced.exact
    charge = (subscription.quantity, 0, share, priced, exact)
    return _charge(book, subscription, price, invoiced_with or period, part, kind, *charge)


def _advance_charges(
    book: Book, subscription: Subscription, price: Price, period: Period
) -> Iterator[Charge]:
    """The coming period's fee, this period's fee if it could not be charged before, or a refund.

    A fee that is not prorated is refunded only if its service period had not begun: otherwise it
    would have been charged in full in arrears, too.
    """
    if periods.was_charged_in_advance(subscription, period):
        promised = periods.promised_part(subscription, price, period)
        if promised is not None and subscription.ends_at < promised.end:
            start = max(promised.start, subscription.ends_at)
            if price.prorate or start == promised.start:
                unused = Window(start, promised.end)
                yield _recurring(book, subscription, price, period, unused, "credit")
    else:
        paid = periods.paid_part(subscription, price, period)
        if paid is not None:
            yield _recurring(book, subscription, price, period, paid, "arrears")
    if periods.will_be_charged_in_advance(subscription, period):
        coming = periods.next_period(book, subscription, period)
        promised = periods.promised_part(subscription, price, coming)
        if promised is not None:
            yield _recurring(book, subscription, price, coming, promised, "advance", period)


def _charge(
    book: Book,
    subscription: Subscription,
    price: Price,
    billing_period: Period,
    part: Window,
    kind: str,
    quantity: Fraction,
    event_count: int,
    share: Fraction,
    priced: Priced,
    exact: Fraction,
) -> Charge:
    currency = price.currency or book.customers[subscription.customer_id]["currency"].upper()
    return Charge(
        subscription_id=subscription.subscription_id,
        customer_id=subscription.customer_id,
        price_id=price.price_id,
        period_start=part.start,
        period_end=part.end,
        kind=kind,
        currency=currency,
        quantity=quantity,
        billable_quantity=priced.billable,
        event_count=event_count,
        share=share,
        exact=exact,
        exact_amount=round_half_away(exact, 12),
        amount=round_half_away(exact, EXPONENTS[currency]),
        tiers=priced.tiers,
        billing_period=billing_period,
        price=price,
    )


def describe(charge: Charge) -> str:
    """The charge's calculation in a few lines, for a person who compares it with another."""
    facts = {key: value for key, value in charge.price.row.items() if value}
    tiers = [f"({part.from_quantity}, {part.up_to}]" for part in charge.tiers]
    return (
        f"{charge.kind} {iso(charge.period_start)} .. {iso(charge.period_end)}\n"
        f"  quantity {charge.quantity} billable {charge.billable_quantity} "
        f"events {charge.event_count} share {charge.share} exact {charge.exact}\n"
        f"  price {facts}\n"
        f"  tiers {charge.price.tiers or ''} entered {tiers}"
    )
