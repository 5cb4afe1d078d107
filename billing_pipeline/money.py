"""Currencies and amounts: decimal places, Stripe's minor units, and how an amount is written.

What belongs here: the table of currencies, conversion between major units (``Decimal``) and
Stripe's whole numbers (``int``), and the one way to write an amount for people. What does not:
rounding. Amounts are rounded once, on the line, in SQL; one that Stripe cannot express is refused
here, never rounded a second time. Only what a wallet holds may be finer, and is cut to what Stripe
can hold. Quantities are written here too, for the same reason: no digit of theirs is rounded away.

Sources: ISO 4217 for the active currencies (funds codes, metals and test codes are left out: nobody
is invoiced in them), https://docs.stripe.com/currencies for Stripe's minor units.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache

_TWO_PLACES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP
MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR
SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD
UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_NO_PLACES = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
# For cards Stripe asks that the third digit be 0; whether an invoice may end in another digit has
# not been confirmed against an account. We send the exact amount: if Stripe refuses it the invoice
# stays a draft and says so, and nobody is billed a rounded amount.
_THREE_PLACES = "BHD JOD KWD OMR TND"
# Stripe counts these in fewer places than ISO 4217 and cannot be sent what is finer: MGA is among
# its zero-decimal currencies, and a currency that it does not name has two places.
_COARSER_IN_STRIPE = {"MGA": 0, "IQD": 2, "LYD": 2}

CURRENCY_PLACES: dict[str, int] = {
    **dict.fromkeys(_TWO_PLACES.split(), 2),
    **dict.fromkeys(_NO_PLACES.split(), 0),
    **dict.fromkeys(_THREE_PLACES.split(), 3),
    **_COARSER_IN_STRIPE,
}
"""Currency code to the decimal places of a line, never more than Stripe's: USD 2, JPY 0, KWD 3."""

_EXACT = Context(prec=60)  # more digits than any amount has; Python's own context rounds to 28

WHOLE_BUT_TWO_DECIMAL = frozenset(["ISK", "UGX"])
"""Currencies without decimals, but with two in Stripe's API, where they must be 00."""


class AmountError(ValueError):
    """The amount has more decimal places than Stripe has for the currency."""


@cache
def stripe_places(currency: str) -> int:
    """Decimal places that Stripe gives the currency: USD 2, JPY 0, KWD 3, ISK 2."""
    code = currency.upper()
    return 2 if code in WHOLE_BUT_TWO_DECIMAL else CURRENCY_PLACES.get(code, 2)


def to_minor(amount: Decimal, currency: str) -> int:
    """Major units to Stripe's whole number; raises `AmountError` instead of rounding."""
    scaled = amount.scaleb(stripe_places(currency))
    minor = int(scaled)
    too_fine = minor != scaled or (currency.upper() in WHOLE_BUT_TWO_DECIMAL and minor % 100)
    if too_fine:
        raise AmountError(f"{amount} {currency} is finer than Stripe's unit of {currency}")
    return minor


def whole_units(amount: Fraction, currency: str) -> int:
    """The most that Stripe can express of an amount in major units, as its whole number."""
    unit = 100 if currency.upper() in WHOLE_BUT_TWO_DECIMAL else 1
    scaled = amount * Fraction(10) ** stripe_places(currency)
    return math.floor(scaled / unit) * unit


def to_major(minor: int, currency: str) -> Decimal:
    """Stripe's whole number to major units, with the currency's places: 1234 USD is 12.34."""
    return Decimal(minor).scaleb(-stripe_places(currency))


def with_places(amount: Decimal, currency: str) -> Decimal:
    """The same number with its currency's places: 12.5 USD is 12.50. Nothing is rounded: where it
    has more places they stay."""
    used = -int(amount.normalize(_EXACT).as_tuple().exponent)
    places = max(CURRENCY_PLACES.get(currency, 2), used)
    return amount.quantize(Decimal(1).scaleb(-places), context=_EXACT)


def format_amount(amount: Decimal, currency: str) -> str:
    """``1,234.50`` for USD, ``1,235`` for JPY; nothing is rounded."""
    return f"{with_places(amount, currency):,f}"


def format_change(change: Decimal, currency: str) -> str:
    """``+1,234.50`` or ``-1,234.50``; ``0.00`` where nothing changes."""
    return f"{'+' if change > 0 else ''}{format_amount(change, currency)}"


def plain_number(number: Decimal) -> str:
    """``1234.5``: all digits, without trailing zeros."""
    return f"{number.normalize(_EXACT):f}"


def format_quantity(quantity: Decimal) -> str:
    """``1,234.5``: the same with thousands separators, for people."""
    return f"{quantity.normalize(_EXACT):,f}"


def format_minor(minor: int, currency: str) -> str:
    """Stripe's whole number with its currency, for people: ``USD 1,234.50``."""
    return f"{currency.upper()} {to_major(minor, currency):,f}"


def format_minor_change(change: int, currency: str) -> str:
    """``+USD 1,234.50`` or ``−USD 1,234.50``; ``USD 0.00`` where nothing changes."""
    sign = "+" if change > 0 else "−" if change < 0 else ""
    return f"{sign}{format_minor(abs(change), currency)}"
