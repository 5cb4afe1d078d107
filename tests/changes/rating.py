"""From a world to what a month should be billed: by the oracle, or by the pipeline itself.

What belongs here: the two raters and what they have in common. What does not: the oracle
(`tests/property`), and bringing what is due to Stripe (`story.py`).

The oracle takes a few milliseconds a month, the pipeline seconds: thousands of sequences are
rated by the first, and a few by both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from billing_pipeline.collection.open_invoices import Wallets
from billing_pipeline.collection.plan.desired import DesiredInvoice, DesiredLine, read_desired
from billing_pipeline.collection.plan.wallet_ledger import (
    Movements,
    WalletFunds,
    WalletMovement,
)
from billing_pipeline.collection.stripe_state.profiles import Payer
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.month import StripeMovement, WalletApplication
from tests.changes.company import MONTHS
from tests.property.intake import amount, load
from tests.property.invoicing import Bill
from tests.property.oracle import Result, bill, credit_lots
from tests.property.tables import Cells, World, write
from tests.property.values import EXPONENTS, read_instant
from tests.property.wallets import PAYMENT, valid_lots, wallets_now

UTC_ZONE = ZoneInfo("UTC")
Wallet = tuple[str, str]


@dataclass(frozen=True)
class Taken:
    """What was taken from wallets, as the pipeline reads it from Stripe: by months' invoices, and
    for invoices that were open."""

    applications: Sequence[WalletApplication] = ()
    payments: Sequence[StripeMovement] = ()


@dataclass(frozen=True)
class Rated:
    """A month as it should be billed, and the wallets."""

    desired: tuple[DesiredInvoice, ...]
    movements: Movements

    @property
    def sums(self) -> dict[Wallet, tuple[int, int]]:
        """Total and what the wallet pays of it, minor units: what both raters must agree on."""
        return {
            (item.customer_id, item.currency): (item.total, item.wallet_applied)
            for item in self.desired
        }


Rater = Callable[[World, BillingMonth, Taken], Rated]


def rate(world: World, month: BillingMonth, taken: Taken) -> Rated:
    """By the oracle."""
    key = str(month)
    applied, given = _applied(taken, month)
    billed: dict[Wallet, Fraction] = defaultdict(Fraction)
    for item in taken.applications:
        if item.billing_month == month.key:
            billed[item.customer_id, item.currency] += Fraction(item.billed_amount)
    result = bill(
        _with_payments(world, taken),
        key,
        wallet_applied_elsewhere=applied,
        already_billed=billed,
        credits_elsewhere=given,
    )
    customers = {row["customer_id"]: row for row in world.tables["customers"]}
    desired = [
        _desired(result, invoice, customers[invoice.customer_id], month)
        for _, invoice in sorted(result.invoices.items())
    ]
    # Zero invoices are made by nobody.
    return Rated(
        tuple(sorted(desired, key=lambda item: item.invoice_id)),
        _movements(world, customers, taken),
    )


_ByMonth = dict[Wallet, dict[str, Fraction]]


def _applied(taken: Taken, month: BillingMonth) -> tuple[_ByMonth, _ByMonth]:
    """What months' invoices took, and what those below 0 gave: of other months only, as the month's
    own is computed."""
    applied: _ByMonth = defaultdict(lambda: defaultdict(Fraction))
    given: _ByMonth = defaultdict(lambda: defaultdict(Fraction))
    for item in taken.applications:
        wallet, of = (item.customer_id, item.currency), item.billing_month[:7]
        if item.amount >= 0:
            applied[wallet][of] += Fraction(item.amount)
        elif item.billing_month != month.key:
            given[wallet][of] -= Fraction(item.amount)
    return applied, given


def _with_payments(world: World, taken: Taken) -> World:
    """The world, and what wallets paid of open invoices as rows that take from them."""
    more = World({name: list(rows) for name, rows in world.tables.items()}, world.usage)
    for item in taken.payments:
        more.add(
            "wallet_transactions",
            transaction_id=item.transaction_id,
            customer_id=item.customer_id,
            amount=item.amount,
            currency=item.currency,
            occurred_at=item.occurred_at.isoformat(),
            kind=PAYMENT,
            reference=item.reference,
        )
    return more


AFTER = MONTHS[-1].shift(1)
"""A month that nobody bills: all that was billed is of others."""


def wallets_of(world: World, taken: Taken, at: int) -> Wallets:
    """By the oracle: what moved each wallet until a moment (epoch seconds), and what it holds."""
    more = _with_payments(world, taken)
    book = load(more, str(AFTER), UTC_ZONE)
    applied, given = _applied(taken, AFTER)
    lots = {wallet: credit_lots(book, of_one) for wallet, of_one in given.items()}
    customers = {row["customer_id"]: row for row in world.tables["customers"]}
    moved = _movements(world, customers, taken)
    funds = {}
    for wallet, state in wallets_now(book, at * 1_000_000, applied, lots).items():
        held = sum((lot.held for lot in valid_lots(state, at * 1_000_000, False)), Fraction(0))
        whole = int(held * 10 ** EXPONENTS[wallet[1]])
        funds[wallet] = WalletFunds(*wallet, at, whole, whole)
    known = {key: tuple(m for m in ms if m.occurred_at <= at) for key, ms in moved.items()}
    return Wallets(at, known, funds)


def rate_by_pipeline(world: World, month: BillingMonth, taken: Taken) -> Rated:
    """By the pipeline: files are written, read and rated by dbt."""
    from billing_pipeline.settings import Settings
    from tests.compiled_models import rate_month

    with TemporaryDirectory() as scratch:
        data_dir, home = Path(scratch) / "data", Path(scratch) / "home"
        write(world, data_dir, UTC_ZONE)
        settings = Settings(str(data_dir), home, UTC_ZONE, BillingMonth(2025, 11))
        warehouse = rate_month(settings, month, taken.applications, taken.payments)
        customers = {row["customer_id"]: row for row in world.tables["customers"]}
        return Rated(read_desired(warehouse, month.key), _movements(world, customers, taken))


class DisagreementError(AssertionError):
    """The pipeline rates a month otherwise than the oracle."""


def rate_by_both(world: World, month: BillingMonth, taken: Taken) -> Rated:
    """By the pipeline, which must agree with the oracle."""
    ours, theirs = rate_by_pipeline(world, month, taken), rate(world, month, taken)
    if ours.sums != theirs.sums:
        raise DisagreementError(f"{month}: the pipeline has {ours.sums}, the oracle {theirs.sums}")
    return ours


def _desired(result: Result, invoice: Bill, row: Cells, month: BillingMonth) -> DesiredInvoice:
    is_sent = row["collection_method"] == "send_invoice"
    # As the pipeline has it: of customer, currency and month.
    invoice_id = f"in_{month.year}{month.month:02}_{invoice.customer_id}_{invoice.currency}"
    return DesiredInvoice(
        invoice_id=invoice_id,
        month_key=month.key,
        payer=payer_of(row),
        currency=invoice.currency,
        lines=tuple(_lines(result, invoice, invoice_id)),
        collection_method="send_invoice" if is_sent else "charge_automatically",
        days_until_due=int(row["days_until_due"] or 30) if is_sent else None,
        wallet_applied=_minor(invoice.wallet_applied + min(0, invoice.total), invoice.currency),
    )


def payer_of(row: Cells) -> Payer:
    names = ("name", "email", "country", "stripe_customer_id", "payment_method")
    return Payer(row["customer_id"], *(row[name] or None for name in names))


def _lines(result: Result, invoice: Bill, invoice_id: str) -> Iterator[DesiredLine]:
    currency = invoice.currency
    for charge in result.charges.values():
        if (charge.customer_id, charge.currency) == (invoice.customer_id, currency):
            name = (charge.subscription_id, charge.price_id, charge.kind, charge.period_start)
            start, end = charge.period_start // 1_000_000, charge.period_end // 1_000_000
            value = _minor(charge.amount, currency)
            if value:
                line_id = "li_" + "|".join(map(str, name))
                yield DesiredLine(line_id, "charge", charge.price_id, value, start, end, "1")
    seen: dict[str, int] = defaultdict(int)
    for kind, of, value in invoice.lines:
        if kind != "charge":
            seen[of] += 1
            whose = invoice_id if kind == "tax" else currency
            line_id = f"li_{kind}|{of}|{whose}|{result.month}|{seen[of]}"
            yield DesiredLine(line_id, kind, f"{kind} {of}", _minor(value, currency))


def _minor(value: Fraction, currency: str) -> int:
    minor = value * 10 ** EXPONENTS[currency]
    assert minor.denominator == 1, f"{value} {currency} is no whole minor unit"
    return int(minor)


def _movements(world: World, customers: Mapping[str, Cells], taken: Taken) -> Movements:
    """As the pipeline reads them, in the order in which they occurred; none of a wallet that has
    only what invoices put in."""
    found: dict[Wallet, list[WalletMovement]] = defaultdict(list)
    rows = sorted(
        (read_instant(row["occurred_at"], UTC_ZONE), row["transaction_id"], row)
        for row in _with_payments(world, taken).tables["wallet_transactions"]
    )
    for at, name, row in rows:
        currency = row["currency"].upper()
        known = customers.get(row["customer_id"], {}).get("stripe_customer_id") or None
        value = _minor(amount(row["amount"]), currency)
        movement = WalletMovement(
            name, row["customer_id"], currency, value, at // 1_000_000, row["kind"], known
        )
        found[row["customer_id"], currency].append(movement)
    put_in = {(item.customer_id, item.currency) for item in taken.applications if item.amount < 0}
    return {key: tuple(found.get(key, ())) for key in [*found, *sorted(put_in - found.keys())]}


def instant(text: str) -> float:
    """Epoch seconds of an ISO date or time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
