"""From our invoices to the requests that change Stripe: where each goes, and with what.

What belongs here: path and body of every changing request, and the idempotency keys. What does not:
sending them (``requests``), when (``apply``, ``send_invoice`` and the others), deciding which
(``plan``). No other module of the push knows a parameter of Stripe's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from billing_pipeline.collection.plan.closed_books import written_mark
from billing_pipeline.collection.plan.desired import DesiredInvoice, DesiredLine
from billing_pipeline.collection.stripe_state.metadata_keys import (
    COMMITTED,
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
    TAX_ID,
    TOGETHER,
    WALLET_AFTER,
    WALLET_AFTER_PAYMENT,
    WALLET_APPLIED,
    WALLET_READ_AT,
    WALLET_TRANSACTION,
    billed_for_marks,
    corrections_marks,
    no_longer_wanted,
)
from billing_pipeline.collection.stripe_state.profiles import (
    Payer,
    Profile,
    digests,
    params_for,
    profile_of,
)
from billing_pipeline.collection.stripe_state.tax_id_types import TaxId
from billing_pipeline.collection.stripe_state.texts import clean_text, short_hash

Params = dict[str, Any]


class Request(NamedTuple):
    """A POST that changes Stripe."""

    path: str
    params: Params


OWED_OUTSIDE = "The customer was deleted in Stripe: to be paid back outside of it"

_PLAIN = re.compile(r"[A-Za-z0-9_.@+-]{1,120}")


def idempotency_key(target: str, revision: int | str, step: str, generation: int) -> str:
    """``{invoice id}:{revision}:{step}:{generation}``.

    Never made from the payload: when two attempts of one step differ, Stripe must notice (and we
    read what it has), not act twice. The revision keeps a supplementary invoice from getting the
    original's answer.
    """
    if not _PLAIN.fullmatch(target):
        # The operator's customer ids may have any characters; an HTTP header may not.
        target = f"x{short_hash(target)}"
    return f"{target}:{revision}:{step}:{generation}"


def create_customer(payer: Payer, *, with_payment_method: bool) -> Request:
    """Create a customer that is found again by its metadata."""
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
    return Request("/v1/customers", params)


def write_customer(
    stripe_customer_id: str, fields: list[str], ours: Profile, present: Mapping[str, Any]
) -> Request:
    """Write these fields of ours, and the mark of all our fields; `present` is Stripe's object."""
    params = params_for(fields, ours, present) | {"metadata": {PROFILE: digests(ours)}}
    return Request(f"/v1/customers/{stripe_customer_id}", params)


def create_tax_id(stripe_customer_id: str, tax_id: TaxId) -> Request:
    params = {"type": tax_id.type, "value": tax_id.value}
    return Request(f"/v1/customers/{stripe_customer_id}/tax_ids", params)


def mark_tax_id(stripe_customer_id: str, mark: str) -> Request:
    """Mark on the customer which tax id we have made; empty: none."""
    return Request(f"/v1/customers/{stripe_customer_id}", {"metadata": {TAX_ID: mark}})


def attach_payment_method(method: str, stripe_customer_id: str) -> Request:
    return Request(f"/v1/payment_methods/{method}/attach", {"customer": stripe_customer_id})


def pay_by_default(stripe_customer_id: str, stripe_method_id: str, method: str) -> Request:
    """Make an attached payment method the default; `method` is its name in the accounts."""
    return Request(
        f"/v1/customers/{stripe_customer_id}",
        {
            "invoice_settings": {"default_payment_method": stripe_method_id},
            "metadata": {PAYMENT_METHOD: method},
        },
    )


def post_to_balance(
    stripe_customer_id: str, name: str, amount: int, currency: str, read_at: int
) -> Request:
    """A transaction on the customer's balance, marked with its name. `amount` is in minor units, a
    debit above 0; `read_at`, when its inputs were read, in epoch seconds."""
    return Request(
        f"/v1/customers/{stripe_customer_id}/balance_transactions",
        {
            "amount": amount,
            "currency": currency.lower(),
            "description": clean_text(f"Prepaid wallet {name}", 350),
            "metadata": {WALLET_TRANSACTION: name, WALLET_READ_AT: str(read_at)},
        },
    )


def report_wallet_payment(
    stripe_customer_id: str, name: str, amount: int, currency: str, at: int
) -> Request:
    """Report a payment that was made outside of Stripe, from the wallet: `amount` in minor units,
    made `at` epoch seconds."""
    return Request(
        "/v1/payment_records/report_payment",
        {
            "amount_requested": {"value": amount, "currency": currency.lower()},
            "customer_details": {"customer": stripe_customer_id},
            "customer_presence": "off_session",
            "description": "Paid from the prepaid wallet",
            "initiated_at": at,
            "outcome": "guaranteed",
            "guaranteed": {"guaranteed_at": at},
            "payment_method_details": {
                "type": "custom",
                "custom": {"display_name": "Prepaid wallet"},
            },
            "processor_details": {"type": "custom", "custom": {"payment_reference": name}},
            "metadata": {WALLET_TRANSACTION: name},
        },
    )


def attach_payment(stripe_invoice_id: str, payment_record: str) -> Request:
    """Pay an invoice by a reported payment."""
    return Request(
        f"{_invoice(stripe_invoice_id)}/attach_payment", {"payment_record": payment_record}
    )


def invoice_metadata(
    invoice: DesiredInvoice, held: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Every mark of an invoice, including empty ones: Stripe keeps a key that is left out, and a
    draft of an earlier run may have another value under it. `held`: the metadata of that draft."""
    marks = {
        WALLET_APPLIED: str(invoice.wallet_applied),
        WALLET_AFTER: invoice.wallet_after_month or "",
        WALLET_AFTER_PAYMENT: str(invoice.wallet_after_payment or ""),
        COMMITTED: str(invoice.committed),
        INVOICE_ID: invoice.invoice_id,
        # Not needed to find the invoice; says whose it was if the account leaves our data.
        CUSTOMER_ID: clean_text(invoice.customer_id),
        MONTH: invoice.month_key,
        REVISION: str(invoice.revision),
        CONTENT_HASH: invoice.content_hash,
        TOGETHER: " ".join(invoice.together),
        **billed_for_marks(invoice.billed_for),
        **corrections_marks(written_mark(invoice.corrections)),
    }
    return marks | no_longer_wanted(held or {}, marks)


def create_invoice(invoice: DesiredInvoice, stripe_customer_id: str) -> Request:
    """An empty draft that does nothing by itself."""
    return Request(
        "/v1/invoices",
        {
            "customer": stripe_customer_id,
            "currency": invoice.currency.lower(),
            "auto_advance": False,
            "pending_invoice_items_behavior": "exclude",
            "metadata": invoice_metadata(invoice),
            **_collection(invoice),
        },
    )


def rewrite_draft(
    stripe_invoice_id: str, invoice: DesiredInvoice, held: Mapping[str, str]
) -> Request:
    """Write all that a resumed draft has besides its lines, over what was there before; `held`: its
    metadata."""
    params = {"metadata": invoice_metadata(invoice, held), **_collection(invoice)}
    return Request(_invoice(stripe_invoice_id), params)


def _collection(invoice: DesiredInvoice) -> Params:
    params: Params = {"collection_method": invoice.collection_method}
    if invoice.collection_method == "send_invoice":
        params["days_until_due"] = invoice.days_until_due
    return params


def add_lines(stripe_invoice_id: str, invoice: DesiredInvoice, held: Mapping[str, str]) -> Request:
    """Add all lines and, in the same call, the mark that they are there; `held`: the draft's
    metadata."""
    marks = {**invoice_metadata(invoice, held), LINES_HASH: invoice.content_hash}
    return Request(
        f"{_invoice(stripe_invoice_id)}/add_lines",
        {
            "lines": [_line(line) for line in invoice.lines],
            "invoice_metadata": marks,
        },
    )


def remove_lines(stripe_invoice_id: str, stripe_line_ids: Iterable[str]) -> Request:
    """Take all lines off, and their mark with them."""
    return Request(
        f"{_invoice(stripe_invoice_id)}/remove_lines",
        {
            "lines": [{"id": line_id, "behavior": "delete"} for line_id in stripe_line_ids],
            "invoice_metadata": {LINES_HASH: ""},
        },
    )


def _line(line: DesiredLine) -> Params:
    metadata = {LINE_ID: line.line_id}
    if line.quantity:
        metadata[LINE_QUANTITY] = line.quantity[:500]
    params: Params = {
        "amount": line.amount,
        "description": line.description,
        # Our discounts are lines; a coupon on the customer in Stripe must not add another.
        "discountable": False,
        "metadata": metadata,
    }
    if line.period_start is not None and line.period_end is not None:
        # Our periods are half-open; Stripe's include their last second.
        end = max(line.period_start, line.period_end - 1)
        params["period"] = {"start": line.period_start, "end": end}
    return params


def finalize(stripe_invoice_id: str, collection_method: str) -> Request:
    """Finalize a draft. An invoice that is charged automatically is collected by a call of our own,
    so that dunning counts the attempts; one that is sent, Stripe sends, and its reminders too."""
    is_sent = collection_method == "send_invoice"
    return Request(f"{_invoice(stripe_invoice_id)}/finalize", {"auto_advance": is_sent})


def pay(stripe_invoice_id: str) -> Request:
    """Charge the customer's default payment method."""
    return Request(f"{_invoice(stripe_invoice_id)}/pay", {})


def mark_uncollectible(stripe_invoice_id: str) -> Request:
    return Request(f"{_invoice(stripe_invoice_id)}/mark_uncollectible", {})


def write_metadata(stripe_invoice_id: str, metadata: Mapping[str, str]) -> Request:
    return Request(_invoice(stripe_invoice_id), {"metadata": dict(metadata)})


def _invoice(stripe_invoice_id: str) -> str:
    return f"/v1/invoices/{stripe_invoice_id}"


def credit(
    stripe_invoice_id: str,
    amount: int,
    amount_remaining: int,
    metadata: Mapping[str, str],
    *,
    is_customer_gone: bool,
) -> Request:
    """A credit note of `amount` (minor units): it first lowers what is still due, the rest goes to
    the customer's balance. A deleted customer has no balance: the rest is owed outside Stripe."""
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
    return Request("/v1/credit_notes", params)
