"""From rounded charges to invoices: minimums, discounts, commitments, adjustments, tax, wallet.

What belongs here: section 4 of the contract, in its order. What does not: charges (oracle.py), and
the rules of each kind of line, which have modules of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from tests.property import periods
from tests.property.commitments import commitments, lines_of, payer_of
from tests.property.discounts import discount
from tests.property.intake import Book, Subscription, amount, flag, month_edges
from tests.property.lines import Line, name_of
from tests.property.taxes import taxes
from tests.property.values import EXPONENTS, read_instant, round_half_away
from tests.property.wallets import AlreadyBilled, AppliedElsewhere, Lot, Wallet

__all__ = ["AlreadyBilled", "AppliedElsewhere", "Bill", "ChargeLine", "make_invoices"]

ZERO = Fraction(0)


@dataclass(frozen=True)
class ChargeLine:
    """The part of a charge that an invoice needs. `amount` is rounded."""

    subscription: Subscription
    currency: str
    amount: Fraction
    billing_period: periods.Period
    sold_in: str  # of a fee that is given back: the month whose invoice charged it
    price_id: str
    tax_code: str
    ends_at: int
    name: str  # in the order of which equal remainders of a discount are given


@dataclass
class Bill:
    """An invoice. `lines` are (kind, subscription or tax rate, amount), without lines of 0."""

    customer_id: str
    currency: str
    lines: list[tuple[str, str, Fraction]] = field(default_factory=list)
    sources: list[Line] = field(default_factory=list)  # with their shares of the discounts
    subtotal: Fraction = ZERO
    discount: Fraction = ZERO
    tax: Fraction = ZERO
    tax_included: Fraction = ZERO
    total: Fraction = ZERO
    wallet_applied: Fraction = ZERO
    amount_due: Fraction = ZERO

    def of_kind(self, kind: str) -> list[Fraction]:
        """The amounts of one kind, in order of size."""
        return sorted(line[2] for line in self.lines if line[0] == kind)


def make_invoices(
    book: Book,
    month: str,
    charges: list[ChargeLine],
    limits: Mapping[Wallet, list[Lot]],
    applied: AppliedElsewhere,
    billed: AlreadyBilled,
    spent_before: Mapping[str, Fraction],
) -> dict[Wallet, Bill]:
    """Every invoice of the month, by payer and currency; who is no payer gets none."""
    lines: dict[Wallet, list[Line]] = defaultdict(list)
    discounts: dict[Wallet, list[tuple[str, str, Fraction]]] = defaultdict(list)
    for subscription in book.subscriptions:
        customer_id = subscription.customer_id
        own = [charge for charge in charges if charge.subscription is subscription]
        by_currency: dict[str, list[Line]] = defaultdict(list)
        for charge in own:
            by_currency[charge.currency].append(_charge_line(charge))
        currency = book.customers[customer_id]["currency"].upper()
        by_currency[currency] += minimums(book, month, subscription, own, currency)
        for used, found in by_currency.items():
            key = (payer_of(book, customer_id), used)
            lines[key] += found
            for _, off in discount(book, month, subscription, found, used):
                discounts[key].append(("discount", subscription.subscription_id, -off))
    for commitment in commitments(book):
        key = (payer_of(book, commitment.customer_id), commitment.currency)
        counted = [line for line in lines[key] if line.kind in ("charge", "minimum")]
        lines[key] += lines_of(book, month, commitment, counted, spent_before)
    for key, adjustment in _adjustments(book, month):
        lines[key].append(adjustment)
    invoices = {}
    for key, found in lines.items():
        paid_for = [line for line in found if _has_payer(book, line.customer_id, key[0])]
        if any(line.amount for line in paid_for):
            invoice = _invoice(book, month, key, paid_for, discounts[key])
            took = applied.get(key, {}).get(month, ZERO)
            anew = max(ZERO, invoice.total - billed.get(key, ZERO))
            may_take = took + min(anew, _from_lots(limits.get(key, []), invoice))
            invoice.wallet_applied = max(ZERO, min(may_take, invoice.total))
            invoice.amount_due = max(ZERO, invoice.total - invoice.wallet_applied)
            invoices[key] = invoice
    return invoices


def _has_payer(book: Book, customer_id: str, payer: str) -> bool:
    return all(flag(book.customers[of]["is_payer"], True) for of in (customer_id, payer))


def _charge_line(charge: ChargeLine) -> Line:
    return Line(
        "charge",
        charge.subscription.subscription_id,
        charge.subscription.customer_id,
        charge.amount,
        charge.name,
        charge.ends_at,
        charge.price_id,
        charge.tax_code,
        sold_in=charge.sold_in,
    )


def minimums(
    book: Book, month: str, subscription: Subscription, charges: list[ChargeLine], currency: str
) -> list[Line]:
    """The lines that raise a subscription's lines of a billing period to its minimum.

    It is the sum over the versions of their minimums times their paid shares. If two periods end in
    one month, each has its own minimum, and an excess in one does not count for the other. Without
    a paid part there is no minimum: a refund stays a refund. The service period of the line is the
    time in which a version names a minimum.
    """
    edges = month_edges(month, book.zone)
    least: dict[periods.Period, Fraction] = {}
    ends: dict[periods.Period, int] = {}
    starts: dict[periods.Period, int] = {}
    known: set[periods.Period] = set()
    for run in periods.runs(subscription):
        for period in periods.billed_periods(book, run, "", edges):
            known.add(period)
            for version in run.versions:
                stay = (version.starts_at, version.ends_at)
                paid = periods.window((period.start, period.end), stay, run.paid)
                if paid is not None and version.minimum is not None:
                    part = version.minimum * paid.share_of(period)
                    least[period] = least.get(period, ZERO) + part
                    ends[period] = max(paid.end, ends.get(period, paid.end))
                    starts[period] = min(paid.start, starts.get(period, paid.start))
    charged: dict[periods.Period, Fraction] = defaultdict(Fraction)
    whole_month = periods.Period(*edges)
    for charge in charges:
        if charge.currency == currency and known:
            first = min(known, key=lambda period: (period.start, -period.end))
            other = whole_month if whole_month in known else first
            period = charge.billing_period if charge.billing_period in known else other
            charged[period] += charge.amount
    found = []
    for period, minimum in least.items():
        missing = round_half_away(minimum - charged[period], EXPONENTS[currency])
        if missing > 0:
            ids = (subscription.subscription_id, subscription.customer_id)
            text = f"minimum|{subscription.subscription_id}|{currency}|{starts[period]}"
            found.append(Line("minimum", *ids, missing, name_of("li_", text), ends[period]))
    return found


def _adjustments(book: Book, month: str) -> list[tuple[Wallet, Line]]:
    start, end = month_edges(month, book.zone)
    found = []
    for row in book.world.tables["adjustments"]:
        if start <= read_instant(row["occurred_at"], book.zone) < end:
            currency = row["currency"].upper()
            value = round_half_away(amount(row["amount"]), EXPONENTS[currency])
            ids = (row["adjustment_id"], row["customer_id"])
            line = Line("adjustment", *ids, value, "adjustment", tax_code=row["tax_code"])
            found.append(((payer_of(book, row["customer_id"]), currency), line))
    return found


def _invoice(
    book: Book,
    month: str,
    key: Wallet,
    lines: list[Line],
    discounts: list[tuple[str, str, Fraction]],
) -> Bill:
    invoice = Bill(*key)
    invoice.sources = lines
    invoice.lines = [(line.kind, line.source, line.amount) for line in lines if line.amount]
    invoice.subtotal = sum((line.amount for line in lines), ZERO)
    invoice.discount = sum((line.off for line in lines), ZERO)
    of_lines = {line.source for line in lines}
    invoice.lines += [row for row in discounts if row[1] in of_lines]
    for rate, tax in taxes(book, month, book.customers[key[0]], lines, key[1]):
        if flag(rate["inclusive"], False):
            invoice.tax_included += tax
        else:
            invoice.tax += tax
        if tax != 0:
            invoice.lines.append(("tax", rate["tax_rate_id"], tax))
    invoice.total = invoice.subtotal - invoice.discount + invoice.tax
    return invoice


def _from_lots(lots: list[Lot], invoice: Bill) -> Fraction:
    """What the wallet can pay of it, in whole minor units. What was paid for beforehand pays no
    line of a commitment."""
    committed = sum(invoice.of_kind("commitment"), ZERO)
    left = invoice.total
    prepaid_may = max(ZERO, invoice.total - committed)
    for lot in lots:
        part = min(lot.held, left, prepaid_may) if lot.is_prepaid else min(lot.held, left)
        left -= part
        prepaid_may -= part if lot.is_prepaid else ZERO
    unit = Fraction(1, 10 ** EXPONENTS[invoice.currency])
    return max(ZERO, invoice.total - left) // unit * unit
