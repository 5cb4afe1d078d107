"""Our wallets compared with the balances in Stripe: rows of `wallet_reconciliation`.

What belongs here: reading a customer's balance and invoices in Stripe, and the row. What does not:
changing the balance (``push.wallets``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from billing_pipeline.collection.plan.wallet_ledger import (
    EXPIRY,
    PostedTransaction,
    WalletMovement,
)
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.refresh import invoices_of, paid_by_wallets
from billing_pipeline.collection.stripe_state.wallet_payments import PAYMENT
from billing_pipeline.money import to_major
from billing_pipeline.stripe_api.client import Json, StripeGateway


async def wallet_row(
    gateway: StripeGateway,
    cache: StripeCache,
    customer: str,
    key: tuple[str, str],
    movements: Sequence[WalletMovement],
    before: int,
    differs: int,
) -> dict[str, Any]:
    """One of our wallets (`key`: customer and currency) compared with the balance in Stripe: the
    ledger's balance, what we posted of it less what invoices took there, Stripe's balance, and the
    difference (Stripe's less ours), in major units.

    Movements from `before` (epoch seconds) on count only if a later month has posted them. Anything
    else in the balance (credit notes on what was paid by card, amounts too small to charge) has a
    column of its own; what was moved by hand in Stripe is in the difference. `differs` (minor
    units) is what the month's invoices take of the wallet by our tables beyond what they took in
    Stripe.
    """
    customer_id, currency = key
    theirs = await _transactions(gateway, customer, currency)
    marks = [(item.get("metadata") or {}).get(metadata_keys.WALLET_TRANSACTION) for item in theirs]
    posted = [
        PostedTransaction(
            str(mark),
            currency,
            int(item["amount"]),
            int(item["metadata"].get(metadata_keys.WALLET_READ_AT) or 0),
        )
        for item, mark in zip(theirs, marks, strict=True)
        if mark is not None
    ]
    put_in = _deposits(movements, posted, before)
    invoices = await invoices_of(gateway, cache, customer, currency)
    taken = sum(item.wallet_taken for item in invoices)
    elsewhere = sum(
        item.wallet_taken
        for item in paid_by_wallets(cache, customer_id=customer_id)
        if item.stripe_customer_id != customer and item.currency == currency
    )
    # What the customer owes is only in the ledger: Stripe would charge a debit.
    ledger = max(0, put_in - taken - elsewhere - differs)
    credited = -sum(int(item["amount"]) for item in theirs if item["type"] == "credit_note")
    other = credited + taken - sum(item.settled_by_balance for item in invoices)
    balance = -int(theirs[0]["ending_balance"]) if theirs else 0
    sums = {
        "wallet_balance": ledger,
        "posted_balance": -sum(item.amount for item in posted) - taken,
        "other_credit": other,
        "stripe_balance": balance,
        "difference": balance - other - ledger,
    }
    return {
        "customer_id": customer_id,
        "currency": currency,
        **{name: to_major(amount, currency) for name, amount in sums.items()},
        "problem": None,
    }


def _deposits(
    movements: Sequence[WalletMovement], posted: Sequence[PostedTransaction], before: int
) -> int:
    """What the ledger has of a wallet apart from invoices, in minor units. For expiries, and for
    payments of open invoices, what was posted from newer inputs counts instead of this month's
    tables: later invoices and credits change what expires, and later runs pay open invoices."""
    by_name: dict[str | None, list[PostedTransaction]] = defaultdict(list)
    for item in posted:
        by_name[item.transaction_id].append(item)
    sums = 0
    for movement in movements:
        of_one = by_name.pop(movement.transaction_id, [])
        is_newer = any(item.read_at > movement.read_at for item in of_one)
        if movement.is_newest_authoritative and is_newer:
            sums -= sum(item.amount for item in of_one)
        elif of_one or movement.counts_until(before):
            sums += movement.amount
    later = [name for name in by_name if name is not None and name.startswith((EXPIRY, PAYMENT))]
    return sums - sum(item.amount for name in later for item in by_name[name])


async def _transactions(gateway: StripeGateway, customer: str, currency: str) -> list[Json]:
    """A balance's transactions in a currency, newest first: the first has the present balance."""
    path = f"/v1/customers/{customer}/balance_transactions"
    found = [item async for item in gateway.list(path)]
    return [item for item in found if str(item["currency"]).upper() == currency]
