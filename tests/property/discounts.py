"""Coupons of a subscription: which lines they discount, by how much, and each line's share.

What belongs here: discount lines. What does not: the lines that they discount (invoicing.py).
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from tests.property import periods
from tests.property.intake import Book, Subscription, amount, listed, month_edges
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
    """Months are counted from the first that invoices a paid instant of a version that names it.
    That is not always the month of the first such instant: 30 days are invoiced when they end."""
    if coupon["duration"] == "forever":
        return True
    trial_ends_at = subscription.trial_ends_at
    named = [row for row in subscription.versions if coupon["coupon_id"] in row.coupon_ids]
    paid = [max(row.starts_at, trial_ends_at) for row in named if trial_ends_at < row.ends_at]
    if not paid:
        return False
    first = min(_invoiced_in(book, subscription, at) for at in paid)
    now = datetime.fromisoformat(f"{month}-01")
    passed = (now.year - first.year) * 12 + now.month - first.month
    months = 1 if coupon["duration"] == "once" else int(coupon["duration_in_months"])
    return 0 <= passed < months


def _invoiced_in(book: Book, subscription: Subscription, at: int) -> datetime:
    for run in periods.runs(subscription):
        if run.start <= at < run.end and book.cycles[run.plan_id] in ("30_days", "anniversary"):
            at = periods.invoiced_at(book, run, periods.period_at(book, run, "", at)) - 1
            break
    return instant_of(at).astimezone(book.zone)


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
