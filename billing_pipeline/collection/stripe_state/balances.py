"""What a customer's balance in Stripe paid of invoices, or charged with them, besides the wallet.

What belongs here: telling what we can explain (our credit notes, amounts too small to charge that
were carried over) from what somebody else put on the balance; pure. What does not: the wallet
itself (`wallets.py`), reading Stripe.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice


def unexplained(invoices: Iterable[ActualInvoice]) -> dict[str, int]:
    """By Stripe invoice, in minor units: what the balance paid of it (above 0), or charged with it
    (below 0), that neither a wallet nor a credit note nor a carried amount explains.

    `invoices` are all invoices of the customers concerned, of all months. The time of a credit note
    is not known here, so its credit counts from the first invoice on.
    """
    by_balance: dict[tuple[str, str], list[ActualInvoice]] = defaultdict(list)
    for item in invoices:
        if item.is_billed:
            by_balance[item.stripe_customer_id, item.currency].append(item)
    found: dict[str, int] = {}
    for items in by_balance.values():
        found |= _unexplained(items)
    return found


def _unexplained(invoices: list[ActualInvoice]) -> dict[str, int]:
    credit = sum(_given_back(item) for item in invoices)
    debit = 0
    found: dict[str, int] = {}
    for item in sorted(invoices, key=lambda i: (i.finalized_at or 0, i.created, i.number or "")):
        left = item.settled_outside_wallet + _from_total(item)
        if left > 0:
            from_credit = min(left, credit)
            # Too little to charge: Stripe leaves it on the balance for the next invoice.
            carried = min(left - from_credit, max(0, item.ending_balance))
            credit, debit, left = (
                credit - from_credit,
                debit + carried,
                left - from_credit - carried,
            )
        elif left < 0:
            charged = min(-left, debit)
            debit, left = debit - charged, left + charged
        found[item.stripe_invoice_id] = left
    return found


def _given_back(item: ActualInvoice) -> int:
    """What an invoice put on the balance outside the wallet: credit notes on what was paid by other
    means, and a total below 0, less what of it became a lot of the wallet."""
    after_payment = item.credit_notes - item.pre_payment_credit
    to_wallet = item.wallet_declared - item.wallet_taken
    return max(0, after_payment - to_wallet) + _from_total(item)


def _from_total(item: ActualInvoice) -> int:
    """What of a total below 0 came back without becoming a lot: what a card had paid before."""
    return max(0, max(0, -item.total) - max(0, -item.wallet_declared))
