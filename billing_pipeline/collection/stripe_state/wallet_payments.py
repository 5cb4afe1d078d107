"""What wallets paid of invoices that were open, as it is written on those invoices in Stripe.

What belongs here: that mark, read and written; pure. What does not: paying (`push/pay_open.py`),
and what a wallet paid when an invoice was finalized (`metadata_keys.WALLET_APPLIED`).

The mark of an invoice lists its payments, the oldest first, as ``amount@time``, and ``:done`` once
the invoice has been paid by it. It is written before any money moves: what it lists is taken from
the wallet, whatever interrupts the rest. One that could not be carried out has the amount 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from billing_pipeline.collection.stripe_state import metadata_keys

PAYMENT = "billing_payment:"
"""What the names of the movements begin with that are such payments."""
MOST_CHARACTERS = 500
_ENTRY = re.compile(r"(\d{1,15})@(\d{1,12})(:done)?", re.ASCII)


@dataclass(frozen=True)
class WalletPayment:
    """What a wallet paid of an open invoice, minor units, and when, epoch seconds. `number` counts
    those of one invoice from 1."""

    stripe_invoice_id: str
    number: int
    amount: int
    at: int
    is_done: bool = False

    @property
    def name(self) -> str:
        """Of the movement."""
        return f"{PAYMENT}{self.stripe_invoice_id}:{self.number}"

    @property
    def entry(self) -> str:
        return f"{self.amount}@{self.at}{':done' * self.is_done}"


class UnreadableMarkError(ValueError):
    """The mark is not as we write it."""


def read_payments(stripe_invoice_id: str, metadata: Mapping[str, str]) -> tuple[WalletPayment, ...]:
    """The payments that an invoice's metadata list. Raises `UnreadableMarkError`."""
    found = []
    for number, text in enumerate(metadata.get(metadata_keys.WALLET_PAYMENTS, "").split(), 1):
        entry = _ENTRY.fullmatch(text)
        if entry is None:
            raise UnreadableMarkError(f"its metadata {metadata_keys.WALLET_PAYMENTS} has {text!a}")
        amount, at, done = entry.groups()
        found.append(WalletPayment(stripe_invoice_id, number, int(amount), int(at), bool(done)))
    return tuple(found)


def mark_of(payments: Iterable[WalletPayment]) -> dict[str, str]:
    """The metadata that list these payments. Raises `ValueError` where they do not fit."""
    text = " ".join(payment.entry for payment in payments)
    if len(text) > MOST_CHARACTERS:
        raise ValueError("it was paid from the wallet in as many parts as can be written on it")
    return {metadata_keys.WALLET_PAYMENTS: text}
