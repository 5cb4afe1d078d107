"""Wallets as they stand now: their ledger up to this moment, without rating the month's usage.

What belongs here: computing the ledger in a scratch home, with the same models as a close. What
does not: what is paid from wallets (``collection``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from billing_pipeline.intake.reference.load import load_reference
from billing_pipeline.intake.usage import load_usage
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.dbt_runner import BUILD, check, run_dbt
from billing_pipeline.rating.month import (
    StripeMovement,
    WalletApplication,
    add_stripe_movements,
    open_warehouse,
    write_wallet_applications,
)
from billing_pipeline.settings import Settings

_WALLETS = (
    "--select",
    *("stg_run", "stg_months", "stg_accounts__wallet_transactions", "stg_accounts__commitments"),
    *("prepaid_lots", "wallet_*"),
    *("--indirect-selection", "cautious"),
)
_NO_INVOICES = """
CREATE TABLE main.invoices (
    invoice_id VARCHAR, customer_id VARCHAR, currency VARCHAR, total DECIMAL(38, 4),
    wallet_applied DECIMAL(38, 4));
CREATE TABLE main.invoice_totals (
    invoice_id VARCHAR, customer_id VARCHAR, currency VARCHAR, total DECIMAL(38, 4),
    committed_amount DECIMAL(38, 4))
"""
"""Empty stand-ins for the running month's invoices, whose inputs are not read: they take nothing
from wallets before the month ends."""

# Never less than a wallet holds, because expired amounts still count.
_MAY_PAY = """
WITH moved AS (
    SELECT customer_id, currency, amount FROM raw.wallet_transactions WHERE occurred_at <= $at
    UNION ALL
    SELECT customers.bill_to, commitments.currency, amount
    FROM raw.commitments JOIN raw.customers AS customers USING (customer_id)
    WHERE commitments.kind = 'prepaid'
    UNION ALL
    SELECT customer_id, currency, amount FROM raw.commitments WHERE kind = 'prepaid'
    UNION ALL
    SELECT customer_id, currency, -amount FROM raw.wallet_applications
)
SELECT customer_id, currency FROM moved GROUP BY ALL HAVING sum(amount) > 0
"""
_EXPIRES = """
SELECT count(*) FROM (
    SELECT expires_at FROM raw.wallet_transactions
    UNION ALL
    SELECT ends_at FROM raw.commitments WHERE kind = 'prepaid'
) WHERE expires_at > $since AND expires_at <= $at
"""


def read_wallets(
    scratch: Settings,
    month: BillingMonth,
    applications: Iterable[WalletApplication],
    moved: Iterable[StripeMovement],
) -> Path:
    """Read the inputs of wallets into the warehouse of a scratch home. Raises `InvalidInput`."""
    path = scratch.warehouse_path(month)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open_warehouse(path) as connection, tempfile.TemporaryDirectory() as nothing:
        connection.execute("CREATE SCHEMA raw")
        load_reference(connection, scratch)
        add_stripe_movements(connection, moved)
        # This also writes the month's edges.
        load_usage(connection, replace(scratch, data_dir=nothing), month)
        write_wallet_applications(connection, applications)
        connection.execute("CREATE TABLE raw.intake AS SELECT now() AS read_at, NULL AS digest")
        connection.execute(_NO_INVOICES)
    return path


def wallets_with_funds(warehouse: Path, at: datetime) -> set[tuple[str, str]]:
    """Customer and currency of each wallet that may hold something; all others are certain to be
    empty."""
    with open_warehouse(warehouse, read_only=True) as connection:
        return set(connection.execute(_MAY_PAY, {"at": at}).fetchall())


def has_expiry_between(warehouse: Path, since: datetime, at: datetime) -> bool:
    """True if any lot expires after `since` and not after `at`."""
    with open_warehouse(warehouse, read_only=True) as connection:
        [[count]] = connection.execute(_EXPIRES, {"since": since, "at": at}).fetchall()
    return bool(count)


def build_wallets(scratch: Settings, month: BillingMonth) -> None:
    """Replay the wallets in the scratch home's warehouse. Raises `DbtError`."""
    check(run_dbt(scratch, month, (*BUILD, *_WALLETS)), month)
