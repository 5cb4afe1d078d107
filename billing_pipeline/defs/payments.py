"""What was paid: read from Stripe, and published.

What belongs here: the asset `invoice_payments`, and the same for a job that reads several months.
What does not: what is read, and how (``collection``).
"""

from typing import NamedTuple

import dagster as dg
from pydantic import Field

from billing_pipeline.collection import payments, prepaid, stripe_gateway
from billing_pipeline.collection.payments import PullResult
from billing_pipeline.collection.prepaid import WalletTables
from billing_pipeline.collection.stripe_state.set_aside import read_set_aside, summary
from billing_pipeline.defs.collection import collection_asset, failed_in_part, payment_metadata
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.defs.turns import month_of, turn
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.publish import publish_rows
from billing_pipeline.runs.locks import Turn
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway


class Pull(dg.Config):
    """How to read the month."""

    in_full: bool = Field(
        default=True,
        description="List the whole month in Stripe. If false, the month is read as Stripe's "
        "events have updated it, as the sensor `stripe_changes` does.",
    )


class Published(NamedTuple):
    """What a pull found, and customer and reason of the wallets that could not be read."""

    pulled: PullResult
    unread: list[tuple[str, str]]


@collection_asset()
def invoice_payments(
    context: dg.AssetExecutionContext,
    config: Pull,
    settings: dg.ResourceParam[Settings],
    stripe: Stripe,
) -> dg.MaterializeResult[None]:
    """Refresh the payment status of the month's invoices."""
    month = month_of(context, settings)
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        pulled, unread = publish_payments(gateway, settings, month, in_full=config.in_full)
    metadata = {
        "dagster/row_count": len(pulled.invoice_payments),
        "invoices_read": len(pulled.stripe_invoices),
        "requests": pulled.requests,
        **set_aside_metadata(settings),
        **payment_metadata(pulled.invoice_payments),
    }
    if unread:
        raise failed_in_part(unread, metadata)
    return dg.MaterializeResult(metadata=metadata)


def publish_payments(
    gateway: StripeGateway, settings: Settings, month: BillingMonth, *, in_full: bool
) -> Published:
    """Pull a month and publish its rows."""
    pulled = stripe_gateway.run(
        gateway, lambda: payments.pull(gateway, settings, month, full=in_full)
    )
    # Each wallet takes two requests, so only if the whole month is listed anyway.
    wallets = wallets_now(gateway, settings, month) if in_full else None
    publish_rows(settings, month, pulled.tables | (wallets.tables if wallets else {}))
    payments.record_published(settings, pulled)
    if wallets is not None:
        prepaid.record_published(settings, month, wallets)
    return Published(pulled, wallets.unread if wallets else [])


def wallets_now(gateway: StripeGateway, settings: Settings, month: BillingMonth) -> WalletTables:
    """The wallets compared with the balances in Stripe, to be published."""
    return stripe_gateway.run(gateway, lambda: prepaid.wallet_tables(gateway, settings, month))


def set_aside_metadata(settings: Settings) -> dict[str, int | str]:
    """Which of Stripe's answers cannot be read, for the metadata of a run."""
    found = read_set_aside(settings.records_dir)
    return {"set_aside": len(found), "set aside": summary(found)} if found else {"set_aside": 0}
