"""ISO 4217: the active currencies, and the decimal places to which a line is rounded.

What belongs here: that table. What does not: how an amount is written for Stripe (ISK is sent with
two places that must be 00; that is the business of what talks to Stripe). Funds codes, metals and
test codes are left out: nobody is invoiced in them.
"""

from __future__ import annotations

_TWO = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT
MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB
SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
# Stripe counts these in fewer places than ISO 4217, and cannot be sent what is finer: MGA is among
# its zero-decimal currencies, and a currency that it does not name has two places.
_COARSER_IN_STRIPE = {"MGA": 0, "IQD": 2, "LYD": 2}

EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_ZERO.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
    **_COARSER_IN_STRIPE,
}
"""Currency code to the decimal places of a line, never more than Stripe's: USD 2, JPY 0, KWD 3."""
