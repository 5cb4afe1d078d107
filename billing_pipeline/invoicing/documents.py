"""From our invoices to the parameters of Stripe's requests, and the names of our metadata.

What belongs here: the shape of each request body and the idempotency keys. What does not:
sending them (`apply.py`) or deciding which (`plan.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from billing_pipeline.invoicing.desired import (
    DesiredInvoice,
    DesiredLine,
    Payer,
    clean_text,
    short_hash,
)
from billing_pipeline.invoicing.profiles import digests, params_for, profile_of

INVOICE_ID = "billing_invoice_id"
MONTH = "billing_month"
REVISION = "billing_revision"
CONTENT_HASH = "billing_content_hash"
LINES_HASH = "billing_lines_hash"
"""Set by the very call that adds the lines: a draft has either all of them and this, or none."""
LINE_ID = "billing_line_id"
LINE_QUANTITY = "billing_quantity"
CUSTOMER_ID = "billing_customer_id"
TRIES = "billing_payment_tries"
FIRST_FAILURE = "billing_first_failure_at"
"""From when the due times of dunning count: moved by as much as a try was late."""
CREDIT_NUMBER = "billing_credit_number"
PAYMENT_METHOD = "billing_payment_method"
PROFILE = "billing_profile"
PAYMENT_NOTE = "billing_payment_note"
WALLET_APPLIED = "billing_wallet_applied"
WALLET_HOLD = "billing_wallet_hold"
WALLET_TRANSACTION = "billing_wallet_transaction"
WALLET_READ_AT = "billing_wallet_read_at"
"""When the inputs were read from which a wallet's movement was posted, in epoch seconds."""
TOP_UP = "billing_top_up"
TOGETHER = "billing_together_with"
"""What else the customer is billed for the month by the same plan: an invoice in each further
currency. After an interruption these are still to be sent, and not a second time."""
RESOLVED = "billing_resolved"
"""What a person has decided about an invoice that was changed by hand (`resolutions.py`)."""
IDENTITY = (INVOICE_ID, MONTH, REVISION, CUSTOMER_ID)
"""The marks that say what an invoice is. We never change them, so another value is not ours."""
SETTLED = (*IDENTITY, WALLET_APPLIED)
"""The marks of a finalized invoice that never change."""
PREFIX = "billing_"

Params = dict[str, Any]

OWED_OUTSIDE = "The customer was deleted in Stripe: to be paid back outside of it"

_PLAIN = re.compile(r"[A-Za-z0-9_.@+-]{1,120}")


def idempotency_key(subject: str, revision: int | str, step: str, epoch: int) -> str:
    """``{invoice id}:{revision}:{step}:{epoch}``.

    Never made of the payload: when two attempts of one step differ, Stripe must notice (and we
    look what is there), not act twice. The revision in it keeps a supplementary invoice from
    getting the original's answer.
    """
    if not _PLAIN.fullmatch(subject):
        # Customers' ids are the operator's and may be anything; a header may not.
        subject = f"x{short_hash(subject)}"
    return f"{subject}:{revision}:{step}:{epoch}"


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


def is_marked(invoice: Mapping[str, Any]) -> bool:
    """True where Stripe's invoice object carries any mark of ours, on itself or on a line."""
    metadata = invoice.get("metadata")
    names = metadata if isinstance(metadata, Mapping) else {}
    return any(str(name).startswith(PREFIX) for name in names) or bool(line_ids(invoice))


def line_ids(invoice: Mapping[str, Any]) -> list[str]:
    """The ids of the lines of ours that come with Stripe's invoice object: the first ten."""
    lines = invoice.get("lines")
    found = lines.get("data") if isinstance(lines, Mapping) else None
    marks = [
        line["metadata"].get(LINE_ID)
        for line in (found if isinstance(found, list) else [])
        if isinstance(line, Mapping) and isinstance(line.get("metadata"), Mapping)
    ]
    return [mark for mark in marks if isinstance(mark, str)]


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
