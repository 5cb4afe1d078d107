"""How the money of an action moves once it is carried out.

What belongs here: saying so in a few words, before anybody approves. Pure. What does not: charging
(`push/charge.py`), and what a credit note does (`push/stripe_requests.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.plan.stripe_limits import MAX_CHARGE
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice, InvoiceStatus
from billing_pipeline.money import format_minor

CARD = "card today"
TO_BALANCE = "credit to balance"
NOTHING = "nothing"


def collection_of(action: InvoiceAction, held: Mapping[str, ActualInvoice], today: date) -> str:
    """How the action's money moves, in words. `held`: Stripe's invoices by their id; `today`: the
    day in the billing time zone on which the action would be carried out."""
    if action.kind is ActionKind.REVIEW:
        return "nothing before it is decided"
    if action.send is not None:
        return _sent(action.send, today)
    if action.finish:
        return _joined(_finished(held[name], today) for name in action.finish if name in held)
    if action.credits:
        return _credited(action, held)
    if action.resolution is not None and action.resolution.finalize:
        drafts = (held[name] for name in action.resolution.finalize if name in held)
        return _joined(_billed(draft.total, draft, today) for draft in drafts)
    return NOTHING


def obstacle_to_payment(
    action: InvoiceAction, cards: Mapping[str, date], today: date
) -> str | None:
    """What will keep the customer from paying what is sent; None where no obstacle is known.
    `cards`: by customer, the last day of the card that paid last. A payment method that only Stripe
    knows, and that has paid nothing yet, cannot be seen here."""
    send = action.send
    if send is None:
        return None
    due = send.total - max(0, send.wallet_applied)
    if due <= 0:
        return None
    if send.collection_method == "send_invoice":
        return None if (send.payer.email or "").strip() else "no e-mail to send the invoice to"
    if due > MAX_CHARGE:
        amount = format_minor(due, send.currency)
        return f"{amount} is more than Stripe charges at once in most currencies (8 digits)"
    expired = cards.get(send.payer.customer_id)
    if expired is not None and expired < today:
        return f"the card that paid last expired on {expired}, unless it was replaced in Stripe"
    if send.payer.payment_method is None and send.payer.stripe_customer_id is None:
        return "no payment method in the accounts: it stays open unless Stripe has one"
    return None


def _sent(invoice: DesiredInvoice, today: date) -> str:
    if invoice.total < 0:
        return TO_BALANCE
    wallet = max(0, min(invoice.wallet_applied, invoice.total))
    from_wallet = f"{format_minor(wallet, invoice.currency)} from the wallet" if wallet else ""
    return _joined([from_wallet, _billed(invoice.total - wallet, invoice, today)])


def _billed(amount: int, invoice: DesiredInvoice | ActualInvoice, today: date) -> str:
    if amount == 0:
        return ""
    if invoice.collection_method == "send_invoice":
        return f"invoice due on {today + timedelta(days=invoice.days_until_due or 0)}"
    return CARD if amount > 0 else TO_BALANCE


def _finished(invoice: ActualInvoice, today: date) -> str:
    return _billed(invoice.amount_remaining, invoice, today)


def _credited(action: InvoiceAction, held: Mapping[str, ActualInvoice]) -> str:
    """A credit first lowers what is still unpaid; the rest goes to the balance."""
    off = to_balance = 0
    for part in action.credits:
        invoice = held.get(part.stripe_invoice_id)
        is_open = invoice is not None and invoice.status is not InvoiceStatus.PAID
        unpaid = invoice.amount_remaining if invoice is not None and is_open else 0
        off += min(part.amount, unpaid)
        to_balance += max(0, part.amount - unpaid)
    if not off:
        return TO_BALANCE
    less = f"{format_minor(off, action.currency)} less to pay"
    rest = f"{format_minor(to_balance, action.currency)} {TO_BALANCE}" if to_balance else ""
    return _joined([less, rest])


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(part for part in parts if part)) or NOTHING
