"""The names of our metadata on Stripe's objects, and what carries it.

What belongs here: one constant for each key, what it holds, and which of them never change. What
does not: the values (``push.stripe_requests`` writes them, ``stripe_invoice`` reads them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing_pipeline.collection.stripe_state.texts import short_hash

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
"""The time from which dunning's due times count, epoch seconds: a late try moves it."""
CARD_TRIED = "billing_card_tried"
"""The customer's payment method as it was when dunning tried last (`cached_cards.Card.digest`)."""
CREDIT_NUMBER = "billing_credit_number"
PAYMENT_METHOD = "billing_payment_method"
PROFILE = "billing_profile"
TAX_ID = "billing_tax_id"
"""The tax id that we have made for a customer: its digest, and Stripe's id of it."""
PAYMENT_NOTE = "billing_payment_note"
WALLET_APPLIED = "billing_wallet_applied"
"""What the wallet pays of the invoice, in minor units. Below 0: what a total below 0 pays into the
wallet."""
WALLET_AFTER = "billing_wallet_after"
"""The latest month that had been billed when the invoice took from the wallet: it took what that
month had left. Empty unless that month is later than the invoice's own."""
WALLET_AFTER_PAYMENT = "billing_wallet_after_payment"
"""When the wallet had last paid an open invoice, if that was after the invoice's month and before
it took from the wallet: it took what that payment had left. Epoch seconds; else empty."""
WALLET_PAYMENTS = "billing_wallet_payments"
"""What the wallet has paid of the invoice since it was finalized (`wallet_payments.py`)."""
COMMITTED = "billing_committed"
"""The part of the total that is lines of commitments, in minor units: lots of prepaid commitments
do not pay it."""
WALLET_HOLD = "billing_wallet_hold"
WALLET_TRANSACTION = "billing_wallet_transaction"
WALLET_READ_AT = "billing_wallet_read_at"
"""When the inputs were read from which a wallet's movement was posted, in epoch seconds."""
TOP_UP = "billing_top_up"
TOGETHER = "billing_together_with"
"""The customer's other invoices for the month in the same plan, one in each further currency. After
an interruption they are still to be sent: this invoice does not make them look billed."""
BILLED_FOR = "billing_billed_for"
"""The other customers whose lines are on the invoice, as `customer_digest`; what does not fit
follows under the same name with a number."""
CORRECTIONS = "billing_corrections"
"""What the invoice's lines correct of months whose books are closed: each month with the amount in
minor units. What does not fit follows under the same name with a number."""
RESOLVED = "billing_resolved"
"""What a person has decided about an invoice that was changed by hand (`resolutions.py`)."""
IDENTITY = (INVOICE_ID, MONTH, REVISION, CUSTOMER_ID)
"""The marks that say which invoice it is. We never change them, so another value is not ours."""
SETTLED = (*IDENTITY, WALLET_APPLIED)
"""The marks of a finalized invoice that never change."""
PREFIX = "billing_"


MAX_VALUE_LENGTH = 500
"""The most characters that Stripe takes under one key."""
MAX_NUMBERED = 32
"""How many of Stripe's 50 keys the marks with numbers may take: the rest is for the 18 others that
an invoice can have, of which some are written only when it is paid, dunned or reviewed."""
_DIGEST_LENGTH = 10


def customer_digest(customer_id: str) -> str:
    """A digest of a customer's id, short enough for hundreds of them on one invoice. If two
    customers share a digest, an invoice waits for a person, and nothing worse happens."""
    return short_hash([customer_id])[:_DIGEST_LENGTH]


def billed_for_marks(customer_ids: Sequence[str]) -> dict[str, str]:
    """The metadata that names the other customers of an invoice."""
    fit = (MAX_VALUE_LENGTH + 1) // (_DIGEST_LENGTH + 1)
    digests = [customer_digest(name) for name in customer_ids]
    parts = [digests[start : start + fit] for start in range(0, len(digests), fit)] or [[]]
    return {
        f"{BILLED_FOR}_{number}" if number > 1 else BILLED_FOR: " ".join(part)
        for number, part in enumerate(parts, start=1)
    }


def billed_for(metadata: Mapping[str, str]) -> frozenset[str]:
    """The digests of the other customers of an invoice."""
    names = billed_for_names(metadata)
    return frozenset(digest for name in names for digest in metadata[name].split())


def billed_for_names(metadata: Mapping[str, Any]) -> list[str]:
    return [name for name in metadata if name.startswith(BILLED_FOR)]


def corrections_marks(mark: str) -> dict[str, str]:
    """The metadata that says what an invoice corrects of closed months (`closed_books`)."""
    parts = [""]
    for word in mark.split():
        if len(parts[-1]) + len(word) >= MAX_VALUE_LENGTH:
            parts.append("")
        parts[-1] = f"{parts[-1]} {word}".strip()
    return {
        f"{CORRECTIONS}_{number}" if number > 1 else CORRECTIONS: part
        for number, part in enumerate(parts, start=1)
    }


def corrections_mark(metadata: Mapping[str, str]) -> str:
    """What `corrections_marks` was made of; empty where an invoice corrects nothing."""
    return " ".join(metadata[name] for name in corrections_names(metadata))


def corrections_names(metadata: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in metadata if name.startswith(CORRECTIONS))


def no_longer_wanted(held: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, str]:
    """What deletes the marks that an earlier run wrote under numbers that are no longer needed:
    Stripe deletes a key whose value is empty."""
    names = (*billed_for_names(held), *corrections_names(held))
    return {name: "" for name in names if name not in wanted}


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
