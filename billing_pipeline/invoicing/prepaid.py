"""Prepaid wallets, as the jobs call them: the top-ups that were paid in Stripe, and the balances.

What belongs here: reading the records and the month's warehouse for the steps of `top_ups.py` and
`wallets.py`. What does not: the steps, and posting what a wallet pays (`apply.py`).
"""

from __future__ import annotations

from billing_pipeline.invoicing.account import require_account
from billing_pipeline.invoicing.customers import CustomerDirectory
from billing_pipeline.invoicing.journal import Author
from billing_pipeline.invoicing.payment_tables import Row
from billing_pipeline.invoicing.records import open_records
from billing_pipeline.invoicing.top_ups import TopUp, credited, read_top_ups
from billing_pipeline.invoicing.wallets import Movements, read_movements, wallet_rows
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway


async def pull_top_ups(gateway: StripeGateway, settings: Settings) -> list[TopUp]:
    """The top-ups of wallets that were paid in Stripe since the first billing month."""
    start = settings.first_month.start(settings.timezone)
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        await read_top_ups(gateway, records.mirror, int(start.timestamp()))
        return credited(records.mirror.top_ups())


def known_top_ups(settings: Settings) -> list[TopUp]:
    """Those that `pull_top_ups` found last; asks nothing of Stripe."""
    with open_records(settings.records_dir) as records:
        return credited(records.mirror.top_ups())


async def reconcile_wallets(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    *,
    movements: Movements | None = None,
) -> list[Row]:
    """Rows of `wallet_reconciliation`: the wallets as the month's warehouse knows them against
    the balances in Stripe. Customers that are not in Stripe yet are left out."""
    if movements is None:
        movements = movements_of(settings, month, all_of_them=True)
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        directory = CustomerDirectory(records.desk(gateway, Author("reconciliation")))
        wallets = [
            (customer, of_one)
            for (customer_id, _), of_one in sorted(movements.items())
            for customer in [of_one[0].stripe_customer_id or await directory.find(customer_id)]
            if customer is not None
        ]
    return await wallet_rows(gateway, wallets, int(month.end(settings.timezone).timestamp()))


def movements_of(
    settings: Settings, month: BillingMonth, *, all_of_them: bool = False
) -> Movements:
    """The wallets with their movements up to the month's end, or `all_of_them` that its warehouse
    has."""
    path = settings.warehouse_path(month)
    before = None if all_of_them else int(month.end(settings.timezone).timestamp())
    return read_movements(path, before) if path.exists() else {}
