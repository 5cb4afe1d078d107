"""From rounded charges to invoices: minimums, discounts, tax, wallet.

What belongs here: section 4 of the contract, in its order. What does not: charges (oracle.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from tests.property import periods
from tests.property.intake import FOREVER, Book, Subscription, amount, flag, month_edges
from tests.property.tables import Cells
from tests.property.values import EXPONENTS, instant_of, read_instant, round_half_away

ZERO = Fraction(0)
Wallet = tuple[str, str]  # customer and currency
# What months' invoices took, and what of the month itself was billed already.
AppliedElsewhere = Mapping[Wallet, Mapping[str, Fraction]]
AlreadyBilled = Mapping[Wallet, Fraction]


@dataclass(frozen=True)
class ChargeLine:
    """The part of a charge that an invoice needs. `amount` is rounded."""

    subscription_id: str
    customer_id: str
    currency: str
    amount: Fraction
    billing_period: periods.Period
    is_given_back: bool = False


@dataclass
class Bill:
    """An invoice. `lines` are (kind, subscription or tax rate, amount), without lines of 0."""

    customer_id: str
    currency: str
    lines: list[tuple[str, str, Fraction]] = field(default_factory=list)
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
    limits: Mapping[Wallet, Fraction],
    applied: AppliedElsewhere,
    billed: AlreadyBilled,
) -> dict[Wallet, Bill]:
    """Every invoice of the month; customers who are not payers get none."""
    lines: dict[Wallet, dict[str, list[tuple[str, Fraction]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    given_back: dict[tuple[str, str], list[ChargeLine]] = defaultdict(list)
    charged: dict[tuple[str, str, periods.Period], Fraction] = defaultdict(Fraction)
    for charge in charges:
        key = (charge.customer_id, charge.currency)
        lines[key][charge.subscription_id].append(("charge", charge.amount))
        charged[(charge.subscription_id, charge.currency, charge.billing_period)] += charge.amount
        if charge.is_given_back:
            given_back[(charge.subscription_id, charge.currency)].append(charge)
    for subscription in book.subscriptions:
        currency = book.customers[subscription.customer_id]["currency"].upper()
        found = lines[(subscription.customer_id, currency)][subscription.subscription_id]
        for period in periods.billed_periods(book, subscription, month):
            already = charged[(subscription.subscription_id, currency, period)]
            missing = true_up(subscription, period, already, currency)
            if missing > 0:
                found.append(("minimum", missing))
    subscriptions = {row.subscription_id: row for row in book.subscriptions}
    invoices = {}
    for (customer_id, currency), of_subscriptions in lines.items():
        if not flag(book.customers[customer_id]["is_payer"], True):
            continue
        invoice = Bill(customer_id, currency)
        _add_lines(book, month, invoice, of_subscriptions, subscriptions, given_back)
        if invoice.lines:
            held = limits.get((customer_id, currency), ZERO)
            places = 10 ** EXPONENTS[currency]
            whole_minor_units = Fraction(held * places // 1, places)
            took = applied.get((customer_id, currency), {}).get(month, ZERO)
            anew = max(ZERO, invoice.total - billed.get((customer_id, currency), ZERO))
            may_take = took + min(anew, max(ZERO, whole_minor_units))
            invoice.wallet_applied = max(ZERO, min(may_take, invoice.total))
            invoice.amount_due = invoice.total - invoice.wallet_applied
            invoices[(customer_id, currency)] = invoice
    return invoices


def true_up(
    subscription: Subscription, period: periods.Period, charged: Fraction, currency: str
) -> Fraction:
    """The amount that raises the charges of one billing period to the minimum, for its paid share.

    If two periods of 30 days end in one month, each has its own minimum, and an excess in one does
    not count for the other. A subscription that was not active, or in trial, for the whole period
    has no minimum: a refund to it stays a refund.
    """
    paid = periods.window(
        (period.start, period.end), (subscription.trial_ends_at, subscription.ends_at)
    )
    if subscription.minimum is None or paid is None:
        return ZERO
    missing = subscription.minimum * paid.share_of(period) - charged
    return round_half_away(missing, EXPONENTS[currency])


def _add_lines(
    book: Book,
    month: str,
    invoice: Bill,
    of_subscriptions: Mapping[str, list[tuple[str, Fraction]]],
    subscriptions: Mapping[str, Subscription],
    given_back: Mapping[tuple[str, str], list[ChargeLine]],
) -> None:
    discounts = []
    for subscription_id, lines in of_subscriptions.items():
        invoice.lines += [(kind, subscription_id, value) for kind, value in lines if value != 0]
        total = sum((value for _, value in lines), ZERO)
        unused = given_back.get((subscription_id, invoice.currency), [])
        discount = _discount(
            book, month, subscriptions[subscription_id], total, unused, invoice.currency
        )
        if discount:
            discounts.append(("discount", subscription_id, -discount))
        invoice.subtotal += total
        invoice.discount += discount
    invoice.lines += discounts
    _add_tax(book, month, invoice)
    invoice.total = invoice.subtotal - invoice.discount + invoice.tax


def _discount(
    book: Book,
    month: str,
    subscription: Subscription,
    total: Fraction,
    unused: list[ChargeLine],
    currency: str,
) -> Fraction:
    """The coupon's part of a subscription's lines; never more than they are.

    `unused`: those of them that give fees back, in each the percentage that the invoice had on
    which it was charged: the one before its period began.
    """
    if not subscription.coupon_id:
        return ZERO
    coupon = book.coupons[subscription.coupon_id]
    covers = _coupon_covers(book, month, subscription, coupon)
    if coupon["percent_off"]:
        back = sum((line.amount for line in unused), ZERO)
        covered = total - back if covers else ZERO
        for line in unused:
            sold = instant_of(line.billing_period.start - 1).astimezone(book.zone)
            if _coupon_covers(book, f"{sold:%Y-%m}", subscription, coupon):
                covered += line.amount
        off = covered * amount(coupon["percent_off"]) / 100
    elif coupon["currency"].upper() == currency and covers:
        off = max(ZERO, min(amount(coupon["amount_off"]), total))
    else:
        return ZERO
    return round_half_away(off, EXPONENTS[currency])


def _coupon_covers(book: Book, month: str, subscription: Subscription, coupon: Cells) -> bool:
    """Months are counted from the first that invoices an instant that is paid for."""
    if coupon["duration"] == "forever":
        return True
    paid_from = min(subscription.trial_ends_at, FOREVER - 1)
    if book.cycles[subscription.plan_id] == "30_days":
        number = (paid_from - subscription.starts_at) // periods.THIRTY_DAYS
        end = subscription.starts_at + (number + 1) * periods.THIRTY_DAYS
        paid_from = min(end, FOREVER) - 1
    first = instant_of(paid_from).astimezone(book.zone)
    now = datetime.fromisoformat(f"{month}-01")
    passed = (now.year - first.year) * 12 + now.month - first.month
    months = 1 if coupon["duration"] == "once" else int(coupon["duration_in_months"])
    return 0 <= passed < months


def _add_tax(book: Book, month: str, invoice: Bill) -> None:
    """One line for each rate that is valid in the month's last microsecond."""
    customer = book.customers[invoice.customer_id]
    if customer["tax_exempt"] in ("true", "exempt", "reverse") or not invoice.lines:
        return
    last = month_edges(month, book.zone)[1] - 1
    rates = [
        row
        for row in book.world.tables["tax_rates"]
        if row["country"].upper() == customer["country"].upper()
        and (not row["valid_from"] or read_instant(row["valid_from"], book.zone) <= last)
        and (not row["valid_to"] or last < read_instant(row["valid_to"], book.zone))
    ]
    base = invoice.subtotal - invoice.discount
    inclusive = sum(
        (amount(row["percentage"]) for row in rates if flag(row["inclusive"], False)), ZERO
    )
    for row in rates:
        percentage = amount(row["percentage"])
        is_inclusive = flag(row["inclusive"], False)
        exact = base * percentage / (100 + inclusive if is_inclusive else 100)
        tax = round_half_away(exact, EXPONENTS[invoice.currency])
        if is_inclusive:
            invoice.tax_included += tax
        else:
            invoice.tax += tax
        if tax != 0:
            invoice.lines.append(("tax", row["tax_rate_id"], tax))


def wallet_limits(
    book: Book, month: str, applied_elsewhere: AppliedElsewhere
) -> dict[Wallet, Fraction]:
    """The amount that this invoice may take from each wallet: its balance at the month's end,
    but at most the lowest balance after any later month whose invoice took from it."""
    limits = wallet_balances(book, month, applied_elsewhere)
    for wallet, taken in applied_elsewhere.items():
        for later in (other for other in taken if other > month):
            held = wallet_balances(book, later, applied_elsewhere)[wallet]
            limits[wallet] = min(limits[wallet], held)
    return limits


def wallet_balances(
    book: Book, month: str, applied_elsewhere: AppliedElsewhere
) -> dict[Wallet, Fraction]:
    """Each wallet's balance at the month's end, less the amounts that invoices took until then."""
    end = month_edges(month, book.zone)[1]
    balances: dict[Wallet, Fraction] = defaultdict(Fraction)
    for row in book.world.tables["wallet_transactions"]:
        if read_instant(row["occurred_at"], book.zone) < end:
            balances[(row["customer_id"], row["currency"].upper())] += amount(row["amount"])
    for wallet, taken in applied_elsewhere.items():
        balances[wallet] -= sum(part for other, part in taken.items() if other <= month)
    return dict(balances)
