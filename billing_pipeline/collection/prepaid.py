"""Prepaid wallets, as the jobs call them: the top-ups that were paid in Stripe, what invoices took
from wallets, and the balances.

What belongs here: reading the records and the month's warehouse for the steps of `top_ups.py` and
`wallets.py`. What does not: the steps, and posting what a wallet pays (`apply.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import duckdb

from billing_pipeline.collection.plan.desired import read_credits
from billing_pipeline.collection.plan.wallet_ledger import Movements, read_movements
from billing_pipeline.collection.pull.tables import time_of
from billing_pipeline.collection.pull.top_ups import TopUp, credited, read_top_ups
from billing_pipeline.collection.pull.wallet_balances import wallet_row
from billing_pipeline.collection.push.customers import CustomerDirectory
from billing_pipeline.collection.push.requests import StripeSession
from billing_pipeline.collection.push.wallets import stripe_customer_of
from billing_pipeline.collection.records.account import require_account
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.records.request_log import Author
from billing_pipeline.collection.stripe_state.refresh import (
    cached_month,
    each,
    paid_by_wallets,
    paid_later_by_wallets,
    refresh_wallet_payments,
)
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.duckdb_sql import Row, table_names
from billing_pipeline.money import to_major, to_minor
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.month import StripeMovement, WalletApplication
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway
from billing_pipeline.stripe_api.errors import StripeFailure


async def pull_top_ups(gateway: StripeGateway, settings: Settings) -> list[TopUp]:
    """The wallet top-ups that were paid in Stripe since the first billing month, and what was
    refunded or disputed of them."""
    start = settings.first_month.start(settings.timezone)
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        await read_top_ups(gateway, records.cache, int(start.timestamp()))
        return credited(records.cache.top_ups.all(), records.cache.top_ups.returns())


def known_top_ups(settings: Settings) -> list[TopUp]:
    """Those that `pull_top_ups` found last; asks nothing of Stripe."""
    with open_records(settings.records_dir) as records:
        return credited(records.cache.top_ups.all(), records.cache.top_ups.returns())


async def pull_applications(gateway: StripeGateway, settings: Settings) -> None:
    """Read what the invoices of all months took from wallets. Called before a month is rated, since
    others may have been closed, credited or interrupted meanwhile."""
    start = settings.first_month.start(settings.timezone)
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        await refresh_wallet_payments(gateway, records.cache, int(start.timestamp()))


def known_applications(settings: Settings, month: BillingMonth) -> Iterator[WalletApplication]:
    """What invoices took from wallets, as last read from Stripe; asks nothing of Stripe.

    For the month itself every billed invoice counts, also one of which no wallet paid anything:
    what it took is fixed, and only what is billed beyond it may take more. Of the other months,
    only billed invoices have taken anything, not previewed ones. What some invoices of a month gave
    back is deducted from what its others took; an amount below 0 is the credit of a month whose
    total is below 0.
    """
    with open_records(settings.records_dir) as records:
        others = [item for item in paid_by_wallets(records.cache) if item.month_key != month.key]
        known = [*others, *cached_month(records.cache, month.key)]
    months: dict[tuple[str, str, str], list[ActualInvoice]] = defaultdict(list)
    for item in sorted(known, key=lambda item: item.stripe_invoice_id):
        if item.is_billed and item.customer_id and item.month_key:
            months[item.customer_id, item.currency, item.month_key].append(item)
    for key, items in months.items():
        for item, taken in zip(items, _net([item.wallet_taken for item in items]), strict=True):
            yield WalletApplication(
                *key,
                to_major(taken, item.currency),
                to_major(item.net, item.currency),
                item.wallet_after_month,
                to_major(item.committed, item.currency),
                time_of(item.wallet_after_payment),
            )


def known_payments(settings: Settings) -> list[StripeMovement]:
    """What wallets paid of open invoices, as last read from Stripe; asks nothing of Stripe."""
    with open_records(settings.records_dir) as records:
        invoices = paid_later_by_wallets(records.cache)
    return [
        StripeMovement(
            payment.name,
            item.customer_id or "",
            -to_major(payment.amount, item.currency),
            item.currency,
            datetime.fromtimestamp(payment.at, UTC),
            item.invoice_id or item.stripe_invoice_id,
            "payment",
            bool(item.committed),
        )
        for item in invoices
        if item.unreadable is None
        for payment in item.wallet_payments
    ]


def _net(amounts: list[int]) -> list[int]:
    """Amounts with the same sum: what is below 0 is deducted from the others, beginning with the
    first, and only the last can still be below 0. Pure."""
    given = -sum(amount for amount in amounts if amount < 0)
    found = []
    for amount in amounts:
        part = min(max(0, amount), given)
        given -= part
        found.append(max(0, amount) - part)
    return [*found[:-1], found[-1] - given] if found else []


@dataclass(frozen=True)
class WalletTables:
    """What is to be published of a month's wallets. `version` names what they were made from."""

    rows: list[Row]
    version: int

    @property
    def tables(self) -> dict[str, list[Row]]:
        return {"wallet_reconciliation": self.rows}

    @property
    def unread(self) -> list[tuple[str, str]]:
        """Customer and reason of the wallets that could not be read in Stripe."""
        return [(row["customer_id"], row["problem"]) for row in self.rows if row["problem"]]


def wallets_are_published(settings: Settings, month: BillingMonth) -> bool:
    """True if, as far as is known here, no invoice of the month and no wallet has moved since the
    month's wallets were published."""
    with open_records(settings.records_dir) as records:
        return records.cache.months.wallets_are_published(month.key)


def record_published(settings: Settings, month: BillingMonth, wallets: WalletTables) -> None:
    """Record that these wallets are published."""
    with open_records(settings.records_dir) as records:
        records.cache.months.record_wallets_published(month.key, wallets.version)


async def wallet_tables(
    gateway: StripeGateway, settings: Settings, month: BillingMonth
) -> WalletTables:
    """The month's wallets against the balances in Stripe."""
    with open_records(settings.records_dir) as records:
        # Taken before reading: what changes from now on makes the tables stale again.
        version = records.cache.months.wallets_version(month.key)
    return WalletTables(await reconcile_wallets(gateway, settings, month), version)


async def reconcile_wallets(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    *,
    movements: Movements | None = None,
) -> list[Row]:
    """Rows of `wallet_reconciliation`: the wallets as the month's warehouse knows them against
    the balances in Stripe. Customers that are not in Stripe yet are left out. A wallet that cannot
    be read has a row that says why; the others are compared all the same."""
    if movements is None:
        movements = movements_of(settings, month)
    applied = _applied(settings, month)
    before = int(month.end(settings.timezone).timestamp())
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        cache = records.cache
        directory = CustomerDirectory(
            StripeSession.open(gateway, records, Author("reconciliation"))
        )
        taken: dict[tuple[str | None, str], int] = defaultdict(int)
        for item in cached_month(cache, month.key):
            taken[item.customer_id, item.currency] += item.wallet_taken

        async def row(key: tuple[str, str]) -> Row | None:
            of_one = movements[key]
            try:
                customer = await stripe_customer_of(key[0], of_one, directory.find)
                if customer is None:
                    return None
                differs = applied[key] - taken[key] if key in applied else 0
                return await wallet_row(gateway, cache, customer, key, of_one, before, differs)
            except StripeFailure as failure:
                failure.customer_id = key[0]
                return {"customer_id": key[0], "currency": key[1], "problem": str(failure)}

        rows = await each(sorted(movements), row)
    return [found for found in rows if found is not None]


_APPLIED = """
select customer_id, currency, invoice_id, wallet_applied
from invoices where billing_month = cast(? as date)
"""


def _applied(settings: Settings, month: BillingMonth) -> dict[tuple[str, str], int]:
    """What the month's invoices take from wallets (below 0: put in), as its warehouse has it."""
    path = settings.warehouse_path(month)
    if not path.exists():
        return {}
    with duckdb.connect(str(path), read_only=True) as connection:
        if "invoices" not in table_names(connection, "main"):
            return {}
        rows = connection.execute(_APPLIED, [month.key]).fetchall()
        given = read_credits(connection, month.key)
    return {
        (customer_id, currency.upper()): to_minor(
            amount - given.get(invoice_id, Decimal(0)), currency
        )
        for customer_id, currency, invoice_id, amount in rows
    }


def movements_of(settings: Settings, month: BillingMonth) -> Movements:
    """The wallets as the month's warehouse has them."""
    path = settings.warehouse_path(month)
    return read_movements(path) if path.exists() else {}
