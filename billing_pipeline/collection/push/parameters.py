"""From our invoices to the parameters of Stripe's requests.

What belongs here: the shape of each request body, and the idempotency keys. What does not: sending
them (``apply``) or deciding which (``invoice_plan``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from billing_pipeline.collection.plan.desired import DesiredInvoice, DesiredLine
from billing_pipeline.collection.stripe_state.metadata_keys import (
    CONTENT_HASH,
    CUSTOMER_ID,
    INVOICE_ID,
    LINE_ID,
    LINE_QUANTITY,
    LINES_HASH,
    MONTH,
    PAYMENT_METHOD,
    PROFILE,
    REVISION,
    TOGETHER,
    WALLET_APPLIED,
)
from billing_pipeline.collection.stripe_state.profiles import Payer, digests, params_for, profile_of
from billing_pipeline.collection.stripe_state.texts import clean_text, short_hash

Params = dict[str, Any]

OWED_OUTSIDE = "The customer was deleted in Stripe: to be paid back outside of it"

_PLAIN = re.compile(r"[A-Za-z0-9_.@+-]{1,120}")


def idempotency_key(target: str, revision: int | str, step: str, generation: int) -> str:
    """``{invoice id}:{revision}:{step}:{generation}``.

    Never made of the payload: when two attempts of one step differ, Stripe must notice (and we
    look what is there), not act twice. The revision in it keeps a supplementary invoice from
    getting the original's answer.
    """
    if not _PLAIN.fullmatch(target):
        # Customers' ids are the operator's and may be anything; a header may not.
        target = f"x{short_hash(target)}"
    return f"{target}:{revision}:{step}:{generation}"


def customer_params(payer: Payer, *, with_payment_method: bool) -> Params:
    """A new customer in Stripe, found again by the metadata."""
    ours = profile_of(payer)
    written = [field for field, value in ours.items() if value]
    params: Params = {
        "metadata": {CUSTOMER_ID: payer.customer_id, PROFILE: digests(ours)},
        **params_for(written, ours, {}),
    }
    if with_payment_method and payer.payment_method:
        params["payment_method"] = payer.payment_method
        params["invoice_settings"] = {"default_payment_method": payer.payment_method}
        params["metadata"][PAYMENT_METHOD] = payer.payment_method
    return params


def invoice_metadata(invoice: DesiredInvoice) -> dict[str, str]:
    """Every mark of an invoice, also where it says nothing: Stripe keeps a key that is left out,
    and the draft of an earlier run may have another value under it."""
    return {
        WALLET_APPLIED: str(invoice.wallet_applied),
        INVOICE_ID: invoice.invoice_id,
        # Not needed to find the invoice; says whose it was when the account is gone from our data.
        CUSTOMER_ID: clean_text(invoice.customer_id),
        MONTH: invoice.month_key,
        REVISION: str(invoice.revision),
        CONTENT_HASH: invoice.content_hash,
        TOGETHER: " ".join(invoice.together),
    }


def create_params(invoice: DesiredInvoice, stripe_customer_id: str) -> Params:
    """An empty draft that does nothing by itself."""
    return {
        "customer": stripe_customer_id,
        "currency": invoice.currency.lower(),
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "metadata": invoice_metadata(invoice),
        **collection_params(invoice),
    }


def draft_params(invoice: DesiredInvoice) -> Params:
    """What a draft that is resumed has besides its lines, whatever was written on it before."""
    return {"metadata": invoice_metadata(invoice), **collection_params(invoice)}


def collection_params(invoice: DesiredInvoice) -> Params:
    params: Params = {"collection_method": invoice.collection_method}
    if invoice.collection_method == "send_invoice":
        params["days_until_due"] = invoice.days_until_due
    return params


def lines_params(invoice: DesiredInvoice) -> Params:
    """All lines, and in the same call the mark that they are there."""
    return {
        "lines": [_line(line) for line in invoice.lines],
        "invoice_metadata": {**invoice_metadata(invoice), LINES_HASH: invoice.content_hash},
    }


def remove_lines_params(stripe_line_ids: Iterable[str]) -> Params:
    """Take all lines off, and their mark with them."""
    return {
        "lines": [{"id": line_id, "behavior": "delete"} for line_id in stripe_line_ids],
        "invoice_metadata": {LINES_HASH: ""},
    }


def _line(line: DesiredLine) -> Params:
    metadata = {LINE_ID: line.line_id}
    if line.quantity:
        metadata[LINE_QUANTITY] = line.quantity[:500]
    params: Params = {
        "amount": line.amount,
        "description": line.description,
        # Discounts are lines of ours; nothing that hangs on the customer in Stripe may add more.
        "discountable": False,
        "metadata": metadata,
    }
    if line.period_start is not None and line.period_end is not None:
        # Ours is half-open, Stripe's includes its last second.
        end = max(line.period_start, line.period_end - 1)
        params["period"] = {"start": line.period_start, "end": end}
    return params


def finalize_params(invoice: DesiredInvoice) -> Params:
    """What is charged automatically is paid by a call of ours (so that dunning counts the tries);
    what is sent is left to Stripe, which sends it and its reminders."""
    return {"auto_advance": invoice.collection_method == "send_invoice"}


def credit_params(
    stripe_invoice_id: str,
    amount: int,
    amount_remaining: int,
    metadata: Mapping[str, str],
    *,
    is_customer_gone: bool = False,
) -> Params:
    """A credit note: first off what is still due, the rest to the customer's balance. A customer
    that was deleted has none: it is owed outside Stripe."""
    params: Params = {
        "invoice": stripe_invoice_id,
        "amount": amount,
        "reason": "order_change",
        "metadata": dict(metadata),
    }
    to_balance = amount - min(amount, max(0, amount_remaining))
    if to_balance and is_customer_gone:
        params |= {"out_of_band_amount": to_balance, "memo": OWED_OUTSIDE}
    elif to_balance:
        params["credit_amount"] = to_balance
    return params
