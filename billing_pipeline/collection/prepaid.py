"""Prepaid wallets, as the jobs call them: the top-ups that were paid in Stripe, what invoices took
of wallets, and the balances.

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
from billing_pipeline.collection.pull.tables import Row
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
    read_what_wallets_paid,
)
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.money import to_major, to_minor
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.month import StripeMovement, WalletApplication
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway
from billing_pipeline.stripe_api.errors import StripeFailure


async def pull_top_ups(gateway: StripeGateway, settings: Settings) -> list[TopUp]:
    """The top-ups of wallets that were paid in Stripe since the first billing month, and what
    left again of them."""
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
    """Read what invoices took from wallets, of all months: before a month is rated, whichever
    others were closed, credited or interrupted since."""
    start = settings.first_month.start(settings.timezone)
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        await read_what_wallets_paid(gateway, records.cache, int(start.timestamp()))


def known_applications(settings: Settings, month: BillingMonth) -> Iterator[WalletApplication]:
    """What invoices took from wallets, as Stripe last told it; asks nothing of Stripe.

    Of the month itself everything that was billed is told, also where no wallet paid of it: what
    was billed took what it took, and only what is billed beyond it may take more. Of other months
    what was only previewed has taken nothing. What a month's invoices gave back comes off what its
    others took; an amount below 0 is the credit of a month whose total is below 0.
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
                _instant(item.wallet_after_payment),
            )


def known_payments(settings: Settings) -> list[StripeMovement]:
    """What wallets paid of open invoices, as Stripe last told it; asks nothing of Stripe."""
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


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _net(amounts: list[int]) -> list[int]:
    """The same sum, where what is below 0 is taken off the others, from the first on. Pure."""
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
    """True while no invoice of the month and no wallet has moved since its wallets were
    published, as far as that is known here."""
    with open_records(settings.records_dir) as records:
        return records.cache.months.wallets_are_published(month.key)


def note_published(settings: Settings, month: BillingMonth, wallets: WalletTables) -> None:
    """Say that these are the published ones now."""
    with open_records(settings.records_dir) as records:
        records.cache.months.note_wallets_published(month.key, wallets.version)


async def wallet_tables(
    gateway: StripeGateway, settings: Settings, month: BillingMonth
) -> WalletTables:
    """The month's wallets against the balances in Stripe."""
    with open_records(settings.records_dir) as records:
        # Taken before reading: what changes from now on makes the tables old again.
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
    the balances in Stripe. Customers that are not in Stripe yet are left out; a wallet that cannot
    be read has a row that says why, and keeps no other from being compared."""
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
        tables = connection.execute(
            "select 1 from information_schema.tables "
            "where table_schema = 'main' and table_name = 'invoices'"
        ).fetchall()
        rows = connection.execute(_APPLIED, [month.key]).fetchall() if tables else []
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
