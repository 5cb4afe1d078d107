"""Coupons of a subscription: which lines they discount, by how much, and each line's share.

What belongs here: discount lines. What does not: the lines that they discount (invoicing.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction

from tests.property import periods
from tests.property.intake import Book, Subscription, Version, amount, listed, month_edges
from tests.property.lines import Line
from tests.property.tables import Cells
from tests.property.values import EXPONENTS, instant_of, round_half_away

ZERO = Fraction(0)


def discount(
    book: Book, month: str, subscription: Subscription, lines: list[Line], currency: str
) -> list[tuple[str, Fraction]]:
    """One amount for each coupon; takes its share off each of the subscription's lines.

    A fee that is given back had the coupons of the month whose invoice charged it.
    """
    now = coupons_of(subscription, month, book)
    sold = {
        line.sold_in: coupons_of(subscription, line.sold_in, book) for line in lines if line.sold_in
    }
    every = [*now, *(coupon for then in sorted(sold) for coupon in sold[then])]
    found = []
    for coupon_id in dict.fromkeys(every):
        coupon = book.coupons[coupon_id]
        only = listed(coupon.get("price_ids", ""))
        own = [line for line in lines if not only or line.price_id in only]
        is_due = coupon_id in now and covers(book, month, subscription, coupon)
        if coupon["percent_off"]:
            covered = [
                line
                for line in own
                if (is_due if not line.sold_in else _had(book, line.sold_in, subscription, coupon))
            ]
            off = sum((line.net for line in covered), ZERO) * amount(coupon["percent_off"]) / 100
        elif is_due and coupon["currency"].upper() == currency:
            covered = own
            total = sum((line.net for line in covered), ZERO)
            off = max(ZERO, min(amount(coupon["amount_off"]), total))
        else:
            continue
        rounded = round_half_away(off, EXPONENTS[currency])
        if rounded:
            spread(rounded, covered, currency)
            found.append((coupon_id, rounded))
    return found


def coupons_of(subscription: Subscription, month: str, book: Book) -> tuple[str, ...]:
    """Those of the last version that begins before the month's end."""
    end = month_edges(month, book.zone)[1]
    begun = [row for row in subscription.versions if row.starts_at < end]
    return begun[-1].coupon_ids if begun else ()


def _had(book: Book, month: str, subscription: Subscription, coupon: Cells) -> bool:
    is_named = coupon["coupon_id"] in coupons_of(subscription, month, book)
    return is_named and covers(book, month, subscription, coupon)


def covers(book: Book, month: str, subscription: Subscription, coupon: Cells) -> bool:
    """Months are counted from the first invoice that charges time of a version that names it. That
    is not always the month of the version's first paid instant: a period in arrears is invoiced
    when it ends, a fee in advance before it begins."""
    if coupon["duration"] == "forever":
        return True
    named = [row for row in subscription.versions if coupon["coupon_id"] in row.coupon_ids]
    charged = [at for row in named for at in _invoiced(book, subscription, row)]
    if not charged:
        return False
    first = instant_of(min(charged)).astimezone(book.zone)
    now = datetime.fromisoformat(f"{month}-01")
    passed = (now.year - first.year) * 12 + now.month - first.month
    months = 1 if coupon["duration"] == "once" else int(coupon["duration_in_months"])
    return 0 <= passed < months


def _invoiced(book: Book, subscription: Subscription, version: Version) -> Iterator[int]:
    """An instant of each month whose invoice charges a first paid period of the version: of each
    price of its plan that is valid at the first paid instant."""
    paid = max(version.starts_at, subscription.trial_ends_at)
    [run] = [one for one in periods.runs(subscription) if version in one.versions] or [None]
    if run is None:  # it never was active
        return
    cycle = book.cycles[run.plan_id]
    prices = [p for p in book.prices[run.plan_id] if p.valid_from <= paid < p.valid_to]
    ways = {(p.interval, p.meter is None and p.timing == "advance") for p in prices}
    for interval, in_advance in ways or {("", False)}:
        period = periods.period_at(book, run, interval, paid)
        if not in_advance:
            if paid < version.ends_at:
                yield periods.invoiced_at(book, run, period) - 1
            continue
        begins = period.start
        if begins < version.starts_at and not _begins_fees(run, version):
            begins = period.end  # the running period was paid before
        if cycle == "30_days":
            began_before = version.starts_at < period.start
            at = known_until = (period.start if began_before else period.end) - 1
        else:
            known_until = _month(book, version.starts_at)[1]
            at = max(version.starts_at, _month(book, begins)[0] - 1)
        # Charged as if the plan went on, unless its end is known by then.
        goes_on = begins < run.end and (paid < run.end or known_until < run.end)
        if at < version.ends_at and goes_on:
            yield at


def _begins_fees(run: periods.Run, version: Version) -> bool:
    place = run.versions.index(version)
    return place == 0 or run.versions[place - 1].quantity != version.quantity


def _month(book: Book, at: int) -> tuple[int, int]:
    return month_edges(instant_of(at).astimezone(book.zone).strftime("%Y-%m"), book.zone)


def spread(discount: Fraction, lines: list[Line], currency: str) -> None:
    """In proportion to what the lines are now, in minor units, the largest remainder first."""
    unit = Fraction(1, 10 ** EXPONENTS[currency])
    total = sum((line.net for line in lines), ZERO)
    exact = {id(line): discount * line.net / total for line in lines}
    shares = {key: value // unit * unit for key, value in exact.items()}
    missing = (discount - sum(shares.values(), ZERO)) / unit
    by_remainder = sorted(lines, key=lambda line: (shares[id(line)] - exact[id(line)], line.name))
    for line in by_remainder[: int(missing)]:
        shares[id(line)] += unit
    for line in lines:
        line.off += shares[id(line)]
