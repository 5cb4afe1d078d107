"""Test accounts for bank debits: who they are, how long the bank takes, and how it ends.

What belongs here: names as Stripe has them for SEPA Direct Debit, and what becomes of a payment.
What does not: taking a payment (`payments.py`), and cards (`cards.py`).

In test mode Stripe settles such a payment within seconds or minutes. Here it takes the days that
it takes in life, by the sandbox's clock, so that what happens meanwhile can be tried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DAY = 86_400
_USUAL, _DELAYED = 5 * DAY, 14 * DAY
_NAMES = re.compile(r"pm_(success|failed|disputed|insufficientFunds)(Delayed)?_([a-z]{2})")

_FAILURES = {
    "failed": ("debit_not_authorized", "The customer's bank has refused the debit."),
    "insufficientFunds": ("insufficient_funds", "The customer's account has insufficient funds."),
}


@dataclass(frozen=True)
class Outcome:
    """What the bank says after so many seconds. `error`: as Stripe tells it, or None."""

    after: int
    error: dict[str, str] | None = None
    is_disputed: bool = False


def is_test_debit(method: str) -> bool:
    """True for the names that stand for a bank account in test mode."""
    return _NAMES.fullmatch(method) is not None


def outcome_of(test_debit: str) -> Outcome:
    """How a payment by this account ends."""
    match = _NAMES.fullmatch(test_debit)
    assert match is not None, "only test accounts are attached"
    after = _DELAYED if match[2] else _USUAL
    if match[1] not in _FAILURES:
        return Outcome(after, is_disputed=match[1] == "disputed")
    code, message = _FAILURES[match[1]]
    return Outcome(after, {"type": "invalid_request_error", "code": code, "message": message})


def account_of(test_debit: str) -> dict[str, str]:
    """The bank account as a payment method shows it."""
    country = test_debit[-2:].upper()
    return {"bank_code": "19043000", "country": country, "fingerprint": "sandbox", "last4": "3000"}
