"""Paying open invoices from wallets, as the job `collect_payments` calls it: read what moved in
Stripe, find what is open, and pay it.

What belongs here: reading the records and the wallets for the steps of `push/pay_open.py`. What
does not: the steps, computing wallets (`rating/wallets.py`), and trying cards (`payments.dun`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from billing_pipeline.collection import payments
from billing_pipeline.collection.plan.wallet_ledger import (
    Movements,
    WalletFunds,
    read_funds,
    read_movements,
)
from billing_pipeline.collection.pull.top_ups import read_top_ups
from billing_pipeline.collection.push.customers import CustomerDirectory
from billing_pipeline.collection.push.pay_open import (
    OpenInvoicePayer,
    PaidFromWallet,
    is_unfinished,
    may_be_paid,
)
from billing_pipeline.collection.push.requests import NotSentError, StripeSession
from billing_pipeline.collection.push.wallets import WalletBook, stripe_customer_of
from billing_pipeline.collection.records.account import require_account
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.records.request_log import Author
from billing_pipeline.collection.stripe_state.refresh import (
    cached_month,
    each,
    paid_later_by_wallets,
    refresh_wallet_payments,
)
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway
from billing_pipeline.stripe_api.errors import StripeFailure

Wallet = tuple[str, str]
"""Customer and currency."""
OpenInvoices = dict[Wallet, list[ActualInvoice]]
EXPIRED_UNTIL = "wallet_expiries_posted_until"


@dataclass(frozen=True)
class Wallets:
    """All wallets at one moment (`at`, epoch seconds): their movements until then, and what they
    hold."""

    at: int
    movements: Movements
    funds: dict[Wallet, WalletFunds]

    @classmethod
    def read(cls, warehouse: Path, at: int) -> Wallets:
        """Read them from the warehouse in which they were computed."""
        movements = {
            key: tuple(item for item in of_one if item.occurred_at <= at)
            for key, of_one in read_movements(warehouse).items()
        }
        funds = read_funds(warehouse, at)
        return cls(at, movements, {(item.customer_id, item.currency): item for item in funds})


@dataclass(frozen=True)
class WalletRun:
    """What was paid of open invoices; `problems` are customer and reason of each failure."""

    paid: list[PaidFromWallet]
    problems: list[tuple[str, str]]


async def refresh_wallet_movements(gateway: StripeGateway, settings: Settings) -> None:
    """Bring up to date what is open, what topped wallets up, and what invoices took from them."""
    start = int(settings.first_month.start(settings.timezone).timestamp())
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        await payments.refresh_open_invoices(gateway, settings, records)
        await read_top_ups(gateway, records.cache, start)
        await refresh_wallet_payments(gateway, records.cache, start)


def open_invoices(settings: Settings) -> OpenInvoices:
    """By wallet: what is open as last read, and what an interrupted payment concerns."""
    with open_records(settings.records_dir) as records:
        cache = records.cache
        found = [
            invoice
            for month_key in cache.invoices.months_with_open()
            for invoice in cached_month(cache, month_key)
            if may_be_paid(invoice)
        ]
        known = {invoice.stripe_invoice_id for invoice in found}
        found += [
            invoice
            for invoice in paid_later_by_wallets(cache)
            if is_unfinished(invoice) and invoice.stripe_invoice_id not in known
        ]
    grouped: dict[Wallet, list[ActualInvoice]] = defaultdict(list)
    for invoice in found:
        grouped[invoice.customer_id or "", invoice.currency].append(invoice)
    return dict(grouped)


def unknown_wallet_problems(
    settings: Settings, invoices: OpenInvoices, why: str
) -> list[tuple[str, str]]:
    """What to report where the wallets cannot be computed: customer and reason, for each customer
    of these invoices who has a wallet in Stripe."""
    with open_records(settings.records_dir) as records:
        with_wallet = records.cache.posted.customers()
    return [
        (customer_id, f"what the wallet holds is not known: {why}")
        for (customer_id, _), of_one in invoices.items()
        if any(invoice.stripe_customer_id in with_wallet for invoice in of_one)
    ]


def expired_until(settings: Settings) -> int:
    """The time (epoch seconds) up to which expiries are posted in Stripe; 0 if not known."""
    with open_records(settings.records_dir) as records:
        return records.cache.progress.get(EXPIRED_UNTIL) or 0


async def pay_open_invoices(
    gateway: StripeGateway,
    settings: Settings,
    wallets: Wallets,
    invoices: OpenInvoices,
    *,
    run_id: str,
) -> WalletRun:
    """Pay these invoices from the wallets, and post what has expired by `wallets.at`. A wallet that
    fails stops none of the others."""
    movements, funds, at = wallets.movements, wallets.funds, wallets.at
    paid: list[PaidFromWallet] = []
    problems: list[tuple[str, str]] = []
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        session = StripeSession.open(gateway, records, Author(run_id))
        directory = CustomerDirectory(session)
        book = WalletBook(session, movements, at + 1)

        async def pay(key: Wallet) -> None:
            of_one = movements.get(key, ())
            try:
                customer = await stripe_customer_of(key[0], of_one, directory.find)
                if customer is not None:
                    own = funds.get(key) or WalletFunds(*key, at, 0, 0)
                    payer = OpenInvoicePayer(session, book, customer, of_one, own)
                    try:
                        await payer.pay(invoices[key])
                    finally:
                        paid.extend(payer.done)
            except (NotSentError, StripeFailure) as error:
                problems.append((key[0], str(error)))

        await each(_concerned(invoices, funds), pay)
        expired = await book.post_expiries(directory.find)
        problems += [(problem.customer_id, problem.message) for problem in expired]
        if not expired:
            records.cache.progress.advance(EXPIRED_UNTIL, at)
    return WalletRun(paid, problems)


def _concerned(invoices: OpenInvoices, funds: dict[Wallet, WalletFunds]) -> Iterable[Wallet]:
    """The wallets that hold something, or a payment from which was interrupted."""
    for key in sorted(invoices):
        holds = key in funds and funds[key].amount > 0
        if holds or any(is_unfinished(invoice) for invoice in invoices[key]):
            yield key
