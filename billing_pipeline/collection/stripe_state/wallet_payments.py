"""What wallets paid of open invoices, as marked on those invoices in Stripe.

What belongs here: reading and writing that mark; pure. What does not: paying (`push/pay_open.py`),
and what a wallet paid when an invoice was finalized (`metadata_keys.WALLET_APPLIED`).

The mark of an invoice lists its payments, oldest first, as ``amount@time``, followed by ``:done``
once the payment is attached to the invoice. It is written before any money moves: what it lists
counts as taken from the wallet, even if the rest is interrupted. A payment that could not be
carried out has the amount 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from billing_pipeline.collection.stripe_state import metadata_keys

PAYMENT = "billing_payment:"
"""Begins the names of the movements that are such payments."""
MAX_CHARACTERS = 500
_ENTRY = re.compile(r"(\d{1,15})@(\d{1,12})(:done)?", re.ASCII)


@dataclass(frozen=True)
class WalletPayment:
    """What a wallet paid of an open invoice, in minor units, and when, in epoch seconds. `number`
    counts the payments of one invoice from 1."""

    stripe_invoice_id: str
    number: int
    amount: int
    at: int
    is_done: bool = False

    @property
    def name(self) -> str:
        """The name of the wallet's movement."""
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
    if len(text) > MAX_CHARACTERS:
        raise ValueError("it was paid from the wallet in as many parts as can be written on it")
    return {metadata_keys.WALLET_PAYMENTS: text}
