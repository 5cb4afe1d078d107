"""Test accounts for bank debits: how long the bank takes, and how a payment ends.

What belongs here: Stripe's names for SEPA Direct Debit, and the outcome of each. What does not:
taking a payment (`payments.py`), and cards (`cards.py`).

In test mode Stripe settles such a payment within seconds or minutes. Here it takes days of the
sandbox's clock, as in live mode, so that tests can act while a payment is processing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DAY = 86_400
_USUAL_DELAY, _LONG_DELAY = 5 * DAY, 14 * DAY
_NAMES = re.compile(r"pm_(success|failed|disputed|insufficientFunds)(Delayed)?_([a-z]{2})")

_FAILURES = {
    "failed": ("debit_not_authorized", "The customer's bank has refused the debit."),
    "insufficientFunds": ("insufficient_funds", "The customer's account has insufficient funds."),
}


@dataclass(frozen=True)
class Outcome:
    """The bank's answer, which comes after `after` seconds. `error`: Stripe's error, or None."""

    after: int
    error: dict[str, str] | None = None
    is_disputed: bool = False


def is_test_debit(method: str) -> bool:
    return _NAMES.fullmatch(method) is not None


def outcome_of(test_debit: str) -> Outcome:
    match = _NAMES.fullmatch(test_debit)
    assert match is not None, "only test accounts are attached"
    after = _LONG_DELAY if match[2] else _USUAL_DELAY
    if match[1] not in _FAILURES:
        return Outcome(after, is_disputed=match[1] == "disputed")
    code, message = _FAILURES[match[1]]
    return Outcome(after, {"type": "invalid_request_error", "code": code, "message": message})


def account_of(test_debit: str) -> dict[str, str]:
    """The bank account as a payment method shows it."""
    country = test_debit[-2:].upper()
    return {"bank_code": "19043000", "country": country, "fingerprint": "sandbox", "last4": "3000"}
