"""The oracle: what the contract charges for a month, by brute force and in exact fractions.

What belongs here: going from subscriptions and prices to metered quantities, charges and their
tiers, and the result that tests compare. Invoices are put together in invoicing.py. Nothing here
shares code or SQL with the pipeline. If both the contract and docs/decisions.md leave a choice, the
function that makes it documents it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.property import commitments, periods
from tests.property.intake import (
    FOREVER,
    Book,
    Price,
    Rejection,
    Subscription,
    load,
    month_edges,
)
from tests.property.invoicing import (
    AlreadyBilled,
    AppliedElsewhere,
    Bill,
    ChargeLine,
    make_invoices,
)
from tests.property.lines import name_of
from tests.property.margins import Margin, MarginKey, margins
from tests.property.metering import Metered, measure
from tests.property.periods import Period, Run, Window, billed_periods
from tests.property.pricing import ONE, ZERO, Priced, TierPart, price_recurring, price_usage
from tests.property.selection import reads
from tests.property.tables import World, read
from tests.property.unpriced import Unpriced, UnpricedUsage, unpriced_usage
from tests.property.usage_issues import Issue, Shared, charged_by_several, unread_events
from tests.property.usage_limits import Entitlement, entitlement_usage
from tests.property.values import EXPONENTS, instant_of, iso, round_half_away
from tests.property.wallets import Lot, Wallet, limits, wallets_at

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
    sold_in: str  # of a credit: the month whose invoice charged what it gives back
    price: Price = field(compare=False, repr=False)
    subscription: Subscription = field(compare=False, repr=False)

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
    shared: set[Shared]  # customer and meter whose usage several subscriptions charge
    unpriced: dict[Unpriced, UnpricedUsage]  # by customer, event name and reason
    margins: dict[MarginKey, Margin]  # by customer, plan, meter and currency; empty: none

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
    spent_before: Mapping[str, Fraction] | None = None,
    credits_elsewhere: AppliedElsewhere | None = None,
) -> Result:
    """Rate one month (`YYYY-MM`) of a world or of a data directory.

    `wallet_applied_elsewhere`: (customer, currency) to what months' invoices took, by month;
    `already_billed`: to what of this month was billed. `spent_before`: commitment to what earlier
    months count towards it. `credits_elsewhere`: (customer, currency) to what other months whose
    totals are below 0 have put into wallets, by month.
    """
    inputs = read(world) if isinstance(world, Path) else world
    book = load(inputs, month, ZoneInfo(timezone))
    metered: dict[Part, MeteredRow] = {}
    charges: dict[ChargeKey, Charge] = {}
    for subscription in book.subscriptions:
        for run in periods.runs(subscription):
            for price in book.prices[run.plan_id]:
                metered.update(_metered_rows(book, run, price, month))
                for charge in _charges(book, run, price, month):
                    assert charge.key not in charges, f"charged twice: {charge}"
                    charges[charge.key] = charge
    lines = [
        ChargeLine(
            charge.subscription,
            charge.currency,
            charge.amount,
            charge.billing_period,
            charge.sold_in,
            charge.price.price_id,
            charge.price.tax_code,
            charge.period_end,
            line_id(charge),
        )
        for charge in charges.values()
    ]
    taken = wallet_applied_elsewhere or {}
    prepaid = commitments.lots(book)
    for wallet, by_month in (credits_elsewhere or {}).items():
        prepaid.setdefault(wallet, []).extend(credit_lots(book, by_month))
    may_take = limits(book, month, taken, prepaid)
    invoices = make_invoices(
        book, month, lines, may_take, taken, already_billed or {}, spent_before or {}
    )
    return Result(
        month,
        metered,
        charges,
        invoices,
        rejections=book.rejections[month],
        wallets=_balances(book, month, invoices, taken, prepaid),
        entitlements=entitlement_usage(book, month),
        unread=unread_events(book, month),
        shared=charged_by_several(book, month),
        unpriced=unpriced_usage(book, month),
        margins=margins(
            book,
            month,
            {
                line_id(charge): (
                    charge.customer_id,
                    charge.price.plan_id,
                    charge.price.meter.meter_id if charge.price.meter else "",
                    charge.currency,
                )
                for charge in charges.values()
            },
            [(bill.currency, line) for bill in invoices.values() for line in bill.sources],
        ),
    )


def line_id(charge: Charge) -> str:
    """The hash of a charge's id, which is the hash of what identifies the charge."""
    kind = charge.kind
    if charge.price.meter is not None:
        kind = "usage"
    elif charge.price.timing == "advance":
        kind = {"arrears": "advance_start", "credit": "advance_credit"}.get(kind, kind)
    parts = (charge.subscription_id, charge.price_id, kind, str(charge.period_start))
    is_inherited = charge.price.row["plan_id"] != charge.price.plan_id
    text = "|".join(parts) + (f"\n{charge.price.plan_id}" if is_inherited else "")
    return name_of("li_", name_of("ch_", text))


def _balances(
    book: Book,
    month: str,
    invoices: Mapping[Wallet, Bill],
    taken: AppliedElsewhere,
    prepaid: Mapping[Wallet, list[Lot]],
) -> dict[Wallet, Fraction]:
    """After the month's end. A total below 0 is put into the wallet there, and never expires."""
    applied = {wallet: dict(by_month) for wallet, by_month in taken.items()}
    put_in = {wallet: list(lots) for wallet, lots in prepaid.items()}
    for wallet, invoice in invoices.items():
        applied.setdefault(wallet, {})[month] = invoice.wallet_applied
        if invoice.total < 0:
            put_in.setdefault(wallet, []).append(_credit(book, month, -invoice.total))
    beyond = {
        wallet: max(Fraction(0), invoice.total - sum(invoice.of_kind("commitment"), Fraction(0)))
        for wallet, invoice in invoices.items()
    }
    states = wallets_at(book, month, applied, put_in, beyond)
    return {wallet: state.balance for wallet, state in states.items()}


def credit_lots(book: Book, by_month: Mapping[str, Fraction]) -> list[Lot]:
    """What months whose totals are below 0 have put into a wallet."""
    return [_credit(book, month, value) for month, value in by_month.items()]


def _credit(book: Book, month: str, value: Fraction) -> Lot:
    """What a total below 0 puts into the wallet in the month's last instant."""
    last = month_edges(month, book.zone)[1] - 1
    return Lot(f"credit of {month}", last, FOREVER, 100, value)


def _metered_rows(
    book: Book, run: Run, price: Price, month: str
) -> Iterator[tuple[Part, MeteredRow]]:
    """Usage of the trial and of the paid part, each its own row, also where nothing was used."""
    if price.meter is None:
        return
    for period in billed_periods(book, run, price.interval, month_edges(month, book.zone)):
        trial = periods.trial_part(run, price, period)
        for part in (trial, periods.paid_part(run, price, period)):
            if part is not None:
                found = _measure(book, run, price, part, period)
                subscription = run.subscription
                key = (subscription.subscription_id, price.price_id, part.start, part.end)
                ids = (subscription.customer_id, price.meter.meter_id)
                figures = (found.quantity, found.event_count)
                yield key, MeteredRow(*ids, *figures, part is trial)


def _measure(book: Book, run: Run, price: Price, part: Window, period: Period) -> Metered:
    assert price.meter is not None
    ids = (run.subscription.customer_id, run.subscription.subscription_id)
    what = reads(book, price)
    return measure(book, price.meter, *ids, what, part.start, part.end, period.start)


def _charges(book: Book, run: Run, price: Price, month: str) -> Iterator[Charge]:
    if price.meter is None and price.timing == "advance":
        if book.cycles[run.plan_id] == "30_days":
            yield from _fees_of_30_days_in_advance(book, run, price, month)
        else:
            yield from _fees_in_advance(book, run, price, month)
        return
    for period in billed_periods(book, run, price.interval, month_edges(month, book.zone)):
        paid = periods.paid_part(run, price, period)
        if paid is not None and price.meter is None:
            for part in _parts(run, price, paid, run.end):
                yield _fee(book, run, price, period, part, "arrears")
        elif paid is not None:
            yield _usage_charge(book, run, price, period, paid)


def _usage_charge(book: Book, run: Run, price: Price, period: Period, paid: Window) -> Charge:
    """`included_per` seats: the average of the subscription's quantity over the service period."""
    found = _measure(book, run, price, paid, period)
    share = paid.share_of(period) if price.prorate else ONE
    parts = periods.split(paid, run.quantity_changes())
    seats = sum((run.quantity_at(part.start) * part.length for part in parts), ZERO) / paid.length
    priced = price_usage(price, found, share, seats)
    quantity = max(found.quantity, ZERO)
    charge = (quantity, found.event_count, share, priced, priced.exact)
    return _charge(book, run, price, period, paid, "arrears", "", *charge)


# --- fees ------------------------------------------------------------------------------------


def _parts(run: Run, price: Price, part: Window, known_until: int) -> list[Window]:
    """A part by quantities, those of changes that are known. What is not prorated is not cut."""
    changes = [at for at in run.quantity_changes() if at < known_until]
    return periods.split(part, changes) if price.prorate else [part]


def _fee(
    book: Book,
    run: Run,
    price: Price,
    period: Period,
    part: Window,
    kind: str,
    at: int | None = None,
    invoiced_with: Period | None = None,
    sold_in: str = "",
) -> Charge:
    """The fee for a part of a period, at the quantity of the instant `at`.

    Without one: of the part's first instant, or, if the price is not prorated, of the first in the
    period in which the subscription has the plan.
    """
    if at is None:
        at = part.start if price.prorate else max(period.start, run.start)
    quantity = run.quantity_at(at)
    share = part.share_of(period) if price.prorate else ONE
    priced = price_recurring(price, quantity, share)
    exact = -priced.exact if kind == "credit" else priced.exact
    charge = (quantity, 0, share, priced, exact)
    return _charge(book, run, price, invoiced_with or period, part, kind, sold_in, *charge)


def _fees_in_advance(book: Book, run: Run, price: Price, month: str) -> Iterator[Charge]:
    """What the month's invoice charges for periods that begin in it or in the next, and gives back.

    A period, or what is left of it, that begins in the month in which the plan begins is charged
    with that month, as far as it is known at that month's end. Every other one is charged whole
    with the month before the one in which it begins, at the quantity of its first instant. From
    then on each month in which something changes gives back the rest and charges the new parts.
    """
    start, end = month_edges(month, book.zone)
    following = month_edges(_month_of(end, book), book.zone)
    first_month = month_edges(_month_of(run.start, book), book.zone)
    for period in periods.periods(book, run, price.interval, following[1]):
        promised = periods.promised_part(run, price, period)
        if promised is None:
            continue
        begins = max(period.start, run.start)
        if first_month[0] <= begins < first_month[1]:
            sold = first_month
            known = _until(promised, run.end if run.end <= sold[1] else FOREVER)
            if sold == (start, end) and known is not None:
                for part in _parts(run, price, known, end):
                    # a trial, or another price, may begin after the last quantity that is known
                    at = min(part.start, end - 1) if price.prorate else None
                    yield _fee(book, run, price, period, part, "arrears", at)
        else:
            sold = month_edges(_month_before(begins, book), book.zone)
            if sold == (start, end):
                yield _fee(book, run, price, period, promised, "advance", begins)
        if sold[0] < start:
            for change in _changes(book, run, price, period, promised, sold, (start, end)):
                part, kind, at, sold_in = change
                yield _fee(book, run, price, period, part, kind, at, sold_in=sold_in)


def _changes(
    book: Book,
    run: Run,
    price: Price,
    period: Period,
    promised: Window,
    sold: tuple[int, int],
    month: tuple[int, int],
) -> Iterator[tuple[Window, str, int, str]]:
    """What a month gives back of a fee that an earlier one charged, and charges anew.

    As (part, kind, instant whose quantity it is charged at, month in which it was charged).
    """
    start, end = month
    begins = max(period.start, run.start)
    ends_now = start < run.end <= end and run.end < promised.end
    if not price.prorate:
        # It is given back only if its service period had not begun, and no quantity cuts it.
        if ends_now and run.end <= promised.start:
            yield promised, "credit", begins, _month_of(sold[0], book)
        return
    changes = [at for at in run.quantity_changes() if period.start < at < promised.end]
    now = [at for at in changes if start <= at < end]
    cuts = [*now, run.end] if ends_now else now
    if not cuts:
        return
    before = [at for at in changes if at < cuts[0]]
    at = before[-1] if before else begins
    rest = Window(max(cuts[0], promised.start), promised.end)
    sold_in = _month_of(at if before and at >= sold[1] else sold[0], book)
    yield rest, "credit", at, sold_in
    left = _until(rest, run.end if ends_now else FOREVER)
    if left is not None and now:
        for part in periods.split(left, now):
            # another price may begin after the last quantity that is known
            yield part, "arrears", min(max(part.start, now[0]), end - 1), ""


def _fees_of_30_days_in_advance(book: Book, run: Run, price: Price, month: str) -> Iterator[Charge]:
    """All that is charged in advance stands on the invoice of the period before.

    A fee that is not prorated is refunded only if its service period had not begun: otherwise it
    would have been charged in full in arrears, too.
    """
    for period in billed_periods(book, run, "", month_edges(month, book.zone)):
        promised = periods.promised_part(run, price, period)
        paid = periods.paid_part(run, price, period)
        if run.start >= period.start:
            if paid is not None:
                for part in _parts(run, price, paid, run.end):
                    yield _fee(book, run, price, period, part, "arrears")
        elif promised is not None:
            changes = [at for at in run.quantity_changes() if period.start < at < promised.end]
            cuts = changes if price.prorate else []
            if run.end < promised.end and (price.prorate or run.end <= promised.start):
                cuts = [*cuts, run.end]
            if cuts:
                sold_in = _month_of(period.start - 1, book)
                rest = Window(max(cuts[0], promised.start), promised.end)
                yield _fee(book, run, price, period, rest, "credit", period.start, sold_in=sold_in)
                left = _until(rest, run.end)
                if left is not None and price.prorate and changes:
                    for part in periods.split(left, changes):
                        at = max(part.start, changes[0])
                        yield _fee(book, run, price, period, part, "arrears", at)
        if run.start < period.end < run.end:
            coming = periods.period_at(book, run, "", period.end)
            promised = periods.promised_part(run, price, coming)
            if promised is not None:
                at = coming.start
                yield _fee(book, run, price, coming, promised, "advance", at, period)


def _until(part: Window, end: int) -> Window | None:
    return periods.window((part.start, part.end), (part.start, end))


def _month_of(at: int, book: Book) -> str:
    return f"{instant_of(at).astimezone(book.zone):%Y-%m}"


def _month_before(at: int, book: Book) -> str:
    start, _ = month_edges(_month_of(at, book), book.zone)
    return _month_of(start - 1, book)


# --- charges ---------------------------------------------------------------------------------


def _charge(
    book: Book,
    run: Run,
    price: Price,
    billing_period: Period,
    part: Window,
    kind: str,
    sold_in: str,
    quantity: Fraction,
    event_count: int,
    share: Fraction,
    priced: Priced,
    exact: Fraction,
) -> Charge:
    subscription = run.subscription
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
        subscription=subscription,
        sold_in=sold_in,
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
