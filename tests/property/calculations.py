"""Recalculates a charge's `calculation` from its text, as a person with a calculator would.

What belongs here: reading the sentence and doing its arithmetic, nothing else. What does not: the
rules of pricing (the oracle) and the pipeline. It reports a sentence that leaves a step out, shows
a different number than the one used, or does not end at the amount.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction

from tests.property.values import round_half_away

LAST_PLACE = Fraction(1, 10**18)
NUMBER = r"-?\d+(?:\.\d+)?"
ROUNDINGS: dict[str, Callable[[Fraction], int]] = {
    "up": math.ceil,
    "down": math.floor,
    "half_up": lambda value: math.floor(value + Fraction(1, 2)),
}
# What one part of the sentence may look like, in the order in which the parts come.
METERED = re.compile(rf"(?:\d+ events(?: and \d+ corrections)?, metered|quantity) (≈?)({NUMBER})")
ROUNDED = re.compile(rf"rounded (up|down|half_up) to ({NUMBER})")
INCLUDED = re.compile(rf"({NUMBER}) included(?: \({NUMBER} per seat\))?, ({NUMBER}) billable")
TIER = re.compile(rf"tier \d+: ({NUMBER}) × ({NUMBER})( %)?(?: \+ ({NUMBER}))?")
TIMES = re.compile(rf"({NUMBER}) × ({NUMBER})( %)?(?: \+ (\d+) events × ({NUMBER}))?")
# A percentage with bounds of each event's amount, or with free events.
BY_EVENT = re.compile(
    rf"(?:\d+ events free, )?({NUMBER}) × ({NUMBER})( %)((?: \+ \d+ events at {NUMBER})*)"
    rf"(, at least 0)?(?: \+ (\d+) events × ({NUMBER}))?"
)
BOUNDED = re.compile(rf"(\d+) events at ({NUMBER})")
PACKAGES = re.compile(rf"⌈(≈?)({NUMBER}) ÷ ({NUMBER})⌉ = (\d+) packages × ({NUMBER})")
FLAT = re.compile(rf"flat ({NUMBER})")
NOT_DUE = "flat fee not due: nothing billable was used"
SHARE = re.compile(
    rf"(included, minimum and maximum )?× ({NUMBER}) / ({NUMBER}) seconds of the period"
)
BOUND = re.compile(rf"(raised to the minimum|held to the maximum) of ({NUMBER})")
GIVEN_BACK = "given back, as it was charged in advance"
RESULT = re.compile(rf"exactly ({NUMBER}), rounded to ({NUMBER}) ([A-Z]{{3}})")


MINIMUM = re.compile(rf"minimum ({NUMBER})")
CHARGED = re.compile(rf"less ({NUMBER}) charged")
DISCOUNT = re.compile(rf"({NUMBER}) (% of|off) ({NUMBER})")
AT_MOST = re.compile(rf"at most ({NUMBER})")
ADJUSTMENT = re.compile(rf"adjustment of ({NUMBER})")
COMMITTED = re.compile(rf"committed ({NUMBER})")
SPENT = re.compile(rf"less ({NUMBER}) spent")
OVERAGE = re.compile(rf"({NUMBER}) % of ({NUMBER}) beyond {NUMBER}")
TAX = re.compile(rf"({NUMBER}) × ({NUMBER}) / ({NUMBER})")
ENDS = re.compile(rf"rounded to ({NUMBER}) ([A-Z]{{3}})")


class NotRedoneError(AssertionError):
    """The sentence cannot be followed, or leads elsewhere; the message says where."""


def redo(calculation: str, exponent: int) -> tuple[Fraction, Fraction]:
    """The exact and the rounded amount that the sentence leads to, in major units."""
    first, *parts = calculation.split("; ")
    metered = _read(METERED, first)
    quantity = Fraction(metered[2])
    # All that is shortened says so; it matters only where it is rounded to a whole number.
    parts = [part if part.startswith("package") else part.replace("≈", "") for part in parts]
    if parts and (found := ROUNDED.fullmatch(parts[0])):
        wholes = {ROUNDINGS[found[1]](value) for value in _around(metered[1], metered[2])}
        if int(found[2]) not in wholes:
            raise NotRedoneError(f"{first} does not round {found[1]} to {found[2]}")
        quantity = Fraction(found[2])
        parts.pop(0)
    if parts and (found := INCLUDED.fullmatch(parts[0])):
        billable = max(quantity - Fraction(found[1]), Fraction(0))
        _agree("billable quantity", billable, Fraction(found[2]))
        quantity = Fraction(found[2])
        parts.pop(0)
    amount = _model(parts, quantity)
    amount = _share_and_bounds(parts, amount)
    if parts[0] == GIVEN_BACK:
        amount = -amount
        parts.pop(0)
    result = _read(RESULT, parts.pop(0))
    if parts:
        raise NotRedoneError(f"nothing may follow the result: {parts}")
    # A quantity is shown with 18 places, the exact amount with 12: a factor widens what is missing.
    largest = max(abs(Fraction(number)) for number in re.findall(NUMBER, calculation))
    missing = 20 * largest * LAST_PLACE + Fraction(1, 10**12)
    _agree("exact amount", amount, Fraction(result[1]), missing)
    # Rounded from the exact amount itself: the shown one may be a tie by its 12 places only.
    if abs(Fraction(result[2]) - amount) > Fraction(1, 2 * 10**exponent) + missing:
        raise NotRedoneError(f"{result[1]} does not round to {result[2]}")
    if Fraction(result[2]) != round_half_away(Fraction(result[2]), exponent):
        raise NotRedoneError(f"{result[2]} has more places than its currency")
    return Fraction(result[1]), Fraction(result[2])


def redo_line(kind: str, calculation: str, exponent: int) -> Fraction:
    """The amount of a line that is not a charge: a minimum, a discount, a commitment, …"""
    *parts, end = calculation.split("; ")
    amount = {
        "minimum": _minimum,
        "discount": _discount,
        "adjustment": _adjustment,
        "commitment": _commitment,
        "overage": _overage,
        "tax": _tax,
    }[kind](parts)
    shown = Fraction(_read(ENDS, end)[1])
    if round_half_away(amount, exponent) != shown:
        raise NotRedoneError(f"{float(amount)} by hand does not round to {float(shown)}")
    return shown


def _minimum(parts: list[str]) -> Fraction:
    """Of each version of the subscription its minimum, times its share if that is not all."""
    *versions, charged = parts
    amounts: list[Fraction] = []
    for part in versions:
        if found := SHARE.fullmatch(part):
            amounts[-1] *= Fraction(found[2]) / Fraction(found[3])
        else:
            amounts.append(Fraction(_read(MINIMUM, part)[1]))
    return sum(amounts, Fraction(0)) - Fraction(_read(CHARGED, charged)[1])


def _discount(parts: list[str]) -> Fraction:
    discount, *bound = parts
    found = _read(DISCOUNT, discount)
    off = Fraction(found[1])
    if found[2] != "off":
        off = off / 100 * Fraction(found[3])
    # What is given back has no bound.
    return -min([off, *(Fraction(_read(AT_MOST, part)[1]) for part in bound)])


def _adjustment(parts: list[str]) -> Fraction:
    (part,) = parts
    return Fraction(_read(ADJUSTMENT, part)[1])


def _commitment(parts: list[str]) -> Fraction:
    committed, *rest = parts
    if committed.endswith(", paid beforehand"):
        return Fraction(_read(COMMITTED, committed.removesuffix(", paid beforehand"))[1])
    return Fraction(_read(COMMITTED, committed)[1]) - Fraction(_read(SPENT, rest[0])[1])


def _overage(parts: list[str]) -> Fraction:
    found = _read(OVERAGE, parts[0])
    return Fraction(found[1]) / 100 * Fraction(found[2])


def _tax(parts: list[str]) -> Fraction:
    """Lines on which other inclusive rates stand beside this one are a product of their own."""
    (part,) = parts
    products = [_read(TAX, text) for text in part.removesuffix(", included").split(" + ")]
    return sum(
        (Fraction(found[1]) * Fraction(found[2]) / Fraction(found[3]) for found in products),
        Fraction(0),
    )


def _model(parts: list[str], quantity: Fraction) -> Fraction:
    """The charge model's amount for the billable quantity; takes its parts off the list."""
    model, _, text = parts.pop(0).partition(": ")
    if model in ("graduated", "volume", "graduated_percentage"):
        tiers = [text]
        while parts and parts[0].startswith("tier "):
            tiers.append(parts.pop(0))
        found = [_read(TIER, tier) for tier in tiers]
        _agree("sum of the tiers", sum(Fraction(tier[1]) for tier in found), quantity)
        return sum(
            (_product(tier[1], tier[2], tier[3]) + Fraction(tier[4] or 0) for tier in found),
            Fraction(0),
        )
    if model == "flat":
        return Fraction(0) if text == NOT_DUE else Fraction(_read(FLAT, text)[1])
    if model == "package":
        packages = _read(PACKAGES, text)
        _agree("quantity", Fraction(packages[2]), quantity)
        size, values = Fraction(packages[3]), _around(packages[1], packages[2])
        if int(packages[4]) not in {math.ceil(value / size) for value in values}:
            raise NotRedoneError(f"{text}: another number of packages")
        return _product(packages[4], packages[5], None)
    if TIMES.fullmatch(text) is None or text.startswith("-"):
        return _by_event(text)
    times = _read(TIMES, text)
    _agree("quantity", Fraction(times[1]), quantity)
    return _product(*times.group(1, 2, 3)) + Fraction(times[4] or 0) * Fraction(times[5] or 0)


def _by_event(text: str) -> Fraction:
    found = _read(BY_EVENT, text)
    amount = _product(*found.group(1, 2, 3))
    amount += sum(int(times) * Fraction(bound) for times, bound in BOUNDED.findall(found[4]))
    if found[5]:
        amount = max(amount, Fraction(0))
    return amount + Fraction(found[6] or 0) * Fraction(found[7] or 0)


def _share_and_bounds(parts: list[str], amount: Fraction) -> Fraction:
    """Step by step, in the order of the sentence: a share counts for what comes before it, but one
    of the included quantity and the bounds for what comes after it."""
    share_of_bounds = Fraction(1)
    if (found := SHARE.fullmatch(parts[0])) and found[1]:
        share_of_bounds = Fraction(found[2]) / Fraction(found[3])
        parts.pop(0)
    while found := BOUND.fullmatch(parts[0]):
        bound = Fraction(found[2]) * share_of_bounds
        is_needed = bound > amount if found[1].startswith("raised") else bound < amount
        if not is_needed:
            raise NotRedoneError(f"{parts[0]}: the amount was {amount} before")
        amount = bound
        parts.pop(0)
    if (found := SHARE.fullmatch(parts[0])) and not found[1]:
        amount *= Fraction(found[2]) / Fraction(found[3])
        parts.pop(0)
    return amount


def _around(mark: str, number: str) -> tuple[Fraction, Fraction]:
    """The bounds of a number; they differ if ≈ says that it has more places than shown."""
    behind = LAST_PLACE if mark else Fraction(0)
    return Fraction(number) - behind, Fraction(number) + behind


def _product(left: str, right: str, percent: str | None) -> Fraction:
    return Fraction(left) * Fraction(right) / (100 if percent else 1)


def _read(form: re.Pattern[str], part: str) -> re.Match[str]:
    found = form.fullmatch(part)
    if found is None:
        raise NotRedoneError(f"{part!r} says nothing that can be computed")
    return found


def _agree(
    what: str, computed: Fraction | int, shown: Fraction, missing: Fraction = 20 * LAST_PLACE
) -> None:
    if abs(computed - shown) > missing:
        raise NotRedoneError(f"{what}: {float(computed)} by hand, {float(shown)} in the sentence")
