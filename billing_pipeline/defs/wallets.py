"""Wallets in the job `collect_payments`: they pay open invoices, and what has expired is posted."""

from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg

from billing_pipeline.collection import open_invoices, prepaid, stripe_gateway
from billing_pipeline.collection.open_invoices import OpenInvoices, WalletRun, Wallets
from billing_pipeline.collection.push.pay_open import is_unfinished
from billing_pipeline.defs.asset_metadata import markdown_table
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.defs.turns import turn
from billing_pipeline.defs.usage import moved_in_stripe
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.intake.reference.load import has_account_file
from billing_pipeline.money import format_minor
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.publish import publish_wallets
from billing_pipeline.rating.dbt_runner import DbtError
from billing_pipeline.rating.month import StripeMovement, WalletApplication
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.rating.wallets import (
    build_wallets,
    has_expiry_between,
    read_wallets,
    wallets_with_funds,
)
from billing_pipeline.runs.locks import Turn
from billing_pipeline.settings import Settings

_NOTHING = WalletRun([], [])


def pay_from_wallets(
    context: dg.OpExecutionContext, settings: Settings, stripe: Stripe
) -> WalletRun:
    """Pay open invoices from what wallets hold now, and post what has expired. If the wallets
    cannot be computed, for example because an input cannot be read, each customer with a wallet is
    reported as a problem, and the customer's card is not tried."""
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        stripe_gateway.run(
            gateway, lambda: open_invoices.refresh_wallet_movements(gateway, settings)
        )
        now = datetime.fromtimestamp(int(gateway.clock.now()), UTC)
    invoices = open_invoices.open_invoices(settings)
    month = BillingMonth.containing(now, settings.timezone)
    applications, moved = _known(settings, month)
    if not _have_wallets(settings, applications, moved):
        return _NOTHING
    try:
        with scratch_home(settings) as scratch:
            warehouse = read_wallets(scratch, month, applications, moved)
            wanted = _wanted(invoices, wallets_with_funds(warehouse, now))
            since = datetime.fromtimestamp(open_invoices.expired_until(settings), UTC)
            if not wanted and not has_expiry_between(warehouse, since, now):
                return _NOTHING
            with turn(context, settings, Turn.RATING):
                build_wallets(scratch, month)
            wallets = Wallets.read(warehouse, int(now.timestamp()))
            with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
                run = stripe_gateway.run(
                    gateway,
                    lambda: open_invoices.pay_open_invoices(
                        gateway, settings, wallets, wanted, run_id=context.run_id
                    ),
                )
            if run.paid:
                with turn(context, settings, Turn.RATING):
                    read_wallets(scratch, month, *_known(settings, month))
                    build_wallets(scratch, month)
            publish_wallets(settings, month, warehouse)
            return run
    except InvalidInput as error:
        why = error.message(settings.home)
    except DbtError as error:
        why = str(error)
    return WalletRun([], open_invoices.unknown_wallet_problems(settings, invoices, why))


def _known(
    settings: Settings, month: BillingMonth
) -> tuple[list[WalletApplication], list[StripeMovement]]:
    return list(prepaid.known_applications(settings, month)), moved_in_stripe(settings)


def _have_wallets(
    settings: Settings, applications: Iterable[WalletApplication], moved: list[StripeMovement]
) -> bool:
    """Whether anybody has a wallet."""
    files = ("wallet_transactions", "commitments")
    return (
        any(has_account_file(settings, name) for name in files)
        or bool(moved)
        or any(item.amount < 0 for item in applications)
    )


def _wanted(invoices: OpenInvoices, may_pay: set[tuple[str, str]]) -> OpenInvoices:
    """The invoices of wallets that may hold something, or whose payment was interrupted."""
    return {
        key: of_one
        for key, of_one in invoices.items()
        if key in may_pay or any(is_unfinished(invoice) for invoice in of_one)
    }


def paid_table(run: WalletRun) -> str:
    """What was paid, as a table in Markdown."""
    if not run.paid:
        return "Nothing was paid from a wallet."
    rows = [
        (item.customer_id, item.invoice_id, format_minor(item.amount, item.currency))
        for item in run.paid
    ]
    return markdown_table(("customer", "invoice", "from the wallet"), rows)
