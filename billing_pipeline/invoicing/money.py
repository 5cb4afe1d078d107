"""Amounts as Stripe counts them: whole numbers of a currency's minor unit.

What belongs here: how many decimal places Stripe gives a currency, and the conversion both ways.
What does not: rounding. Amounts come here already rounded, on the line; one that Stripe cannot
express is refused, never rounded a second time. Only what a wallet holds may be finer, and is cut
to what Stripe can hold of it.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import cache

# https://docs.stripe.com/currencies: sent without decimals.
ZERO_DECIMAL = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "JPY",
        "KMF",
        "KRW",
        "MGA",
        "PYG",
        "RWF",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
# Sent with three. For cards Stripe asks that the last digit be 0; whether an invoice may end in
# another digit has not been confirmed against an account. We send the exact amount: if Stripe
# refuses it the invoice stays a draft and says so, and nobody is billed a rounded amount.
THREE_DECIMAL = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
# Without decimals in the world and with two in Stripe's API, where they must be 00.
WHOLE_BUT_TWO_DECIMAL = frozenset(["ISK", "UGX"])


class AmountError(ValueError):
    """The amount has more decimal places than Stripe has for the currency."""


@cache
def exponent(currency: str) -> int:
    """Decimal places that Stripe gives the currency: USD 2, JPY 0, KWD 3, ISK 2."""
    code = currency.upper()
    if code in ZERO_DECIMAL:
        return 0
    return 3 if code in THREE_DECIMAL else 2


def to_minor(amount: Decimal, currency: str) -> int:
    """Major units to Stripe's whole number; raises `AmountError` instead of rounding."""
    scaled = amount.scaleb(exponent(currency))
    minor = int(scaled)
    too_fine = minor != scaled or (currency.upper() in WHOLE_BUT_TWO_DECIMAL and minor % 100)
    if too_fine:
        raise AmountError(f"{amount} {currency} is finer than Stripe's unit of {currency}")
    return minor


def whole_units(amount: Fraction, currency: str) -> int:
    """The most that Stripe can express of an amount in major units, as its whole number."""
    unit = 100 if currency.upper() in WHOLE_BUT_TWO_DECIMAL else 1
    scaled = amount * Fraction(10) ** exponent(currency)
    return math.floor(scaled / unit) * unit


def to_major(minor: int, currency: str) -> Decimal:
    """Stripe's whole number to major units, with the currency's places: 1234 USD is 12.34."""
    return Decimal(minor).scaleb(-exponent(currency))


def show(minor: int, currency: str) -> str:
    """For people: ``USD 1,234.50``."""
    return f"{currency.upper()} {to_major(minor, currency):,f}"
