"""Reads a charge's published sentence (`calculation`) as a rule that can be computed differently.

What belongs here: reading the sentence, and its arithmetic with other numbers: another quantity,
another share of the period, no minimum. What does not: why another system would use them
(``causes``).

A person checks a charge by this sentence. It contains every number that the charge was computed
from, even for months whose price book has long been replaced. It leaves out what had no effect: a
minimum that was exceeded, and tiers that were not reached. The tiers come from the price book.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

_NUMBER = r"-?\d+(?:\.\d+)?"
_METERED = re.compile(rf"(?:\d+ events(?: and \d+ corrections)?, metered|quantity) ({_NUMBER})")
_EVENTS = re.compile(r"(\d+) events")
_ROUNDED = re.compile(rf"rounded (up|down|half_up) to {_NUMBER}")
_INCLUDED = re.compile(rf"({_NUMBER}) included(?: \({_NUMBER} per seat\))?, {_NUMBER} billable")
_TIER = re.compile(rf"tier (\d+): ({_NUMBER}) × ({_NUMBER})( %)?(?: \+ ({_NUMBER}))?")
_TIMES = re.compile(rf"({_NUMBER}) × ({_NUMBER})( %)?")
_AT_BOUND = re.compile(rf"(\d+) events at ({_NUMBER})")
_PER_EVENT = re.compile(rf"(\d+) events × ({_NUMBER})")
_PACKAGES = re.compile(rf"⌈{_NUMBER} ÷ ({_NUMBER})⌉ = \d+ packages × ({_NUMBER})")
_FLAT = re.compile(rf"flat ({_NUMBER})")
_SHARE = re.compile(rf"(included, .*?)?× ({_NUMBER}) / ({_NUMBER}) seconds of the period")
_MINIMUM = re.compile(rf"raised to the minimum of ({_NUMBER})")
_MAXIMUM = re.compile(rf"held to the maximum of ({_NUMBER})")
_GIVEN_BACK = "given back, as it was charged in advance"

ROUNDINGS: dict[str, Callable[[Fraction], int]] = {
    "up": math.ceil,
    "down": math.floor,
    "half_up": lambda value: math.floor(value + Fraction(1, 2)),
}


@dataclass(frozen=True)
class Tier:
    """A tier. `size` is None for the last known tier, whose end is unknown."""

    size: Fraction | None
    rate: Fraction
    flat: Fraction


@dataclass(frozen=True)
class Rule:
    """What a charge was computed from."""

    model: str
    quantity: Fraction
    events: int
    rounding: str | None = None
    included: Fraction = Fraction(0)
    rate: Fraction = Fraction(0)
    flat: Fraction = Fraction(0)
    package_size: Fraction = Fraction(1)
    tiers: tuple[Tier, ...] = ()
    bounded: Fraction = Fraction(0)
    """The amount of the events that are charged their own minimum or maximum."""
    by_event: bool = False
    """The rate applies to some of the events only, so another quantity cannot be computed."""
    seconds: Fraction | None = None
    period_seconds: Fraction | None = None
    shares_bounds_only: bool = False
    minimum: Fraction | None = None
    maximum: Fraction | None = None
    is_given_back: bool = False

    @property
    def share(self) -> Fraction:
        if self.seconds is None or self.period_seconds is None:
            return Fraction(1)
        return self.seconds / self.period_seconds

    @property
    def billable(self) -> Fraction:
        rounded = self.quantity
        if self.rounding is not None:
            rounded = Fraction(ROUNDINGS[self.rounding](rounded))
        return max(rounded - self.included, Fraction(0))

    def amount(self) -> Fraction:
        """The exact amount, in major units."""
        amount = self.model_amount()
        if not self.shares_bounds_only:
            amount *= self.share
        if self.minimum is not None:
            amount = max(amount, self.minimum * self.share)
        if self.maximum is not None:
            amount = min(amount, self.maximum * self.share)
        return -amount if self.is_given_back else amount

    def model_amount(self) -> Fraction:
        """The charge model's amount for the billable quantity, before shares, minimum and
        maximum."""
        return sum(self.parts(), Fraction(0))

    def parts(self) -> list[Fraction]:
        """The model's amount by tier, for systems that round each tier."""
        billable = self.billable
        if self.model in ("graduated", "graduated_percentage"):
            return _graduated(self.tiers, billable)
        if self.model == "volume":
            return [billable * self.tier.rate + self.tier.flat]
        if self.model == "package":
            return [math.ceil(billable / self.package_size) * self.rate]
        if self.model == "flat":
            return [self.flat]
        return [billable * self.rate + self.bounded + self.flat * self.events]

    @property
    def tier(self) -> Tier:
        """The tier that the billable quantity falls in."""
        rest = self.billable
        for tier in self.tiers:
            if tier.size is None or rest <= tier.size:
                return tier
            rest -= tier.size
        return self.tiers[-1] if self.tiers else Tier(None, Fraction(0), Fraction(0))

    def with_quantity(self, quantity: Fraction, events: int | None = None) -> Rule:
        """The same price for another quantity."""
        flat = self.flat
        if self.model == "flat" and quantity == 0:
            flat = Fraction(0)
        return replace(
            self, quantity=quantity, events=self.events if events is None else events, flat=flat
        )

    def whole_units(self) -> Fraction:
        """What one unit costs at the margin, with the share of the period."""
        if self.model in ("graduated", "graduated_percentage", "volume"):
            rate = self.tier.rate
        elif self.model == "package":
            rate = self.rate
        elif self.model == "flat":
            rate = Fraction(0)
        else:
            rate = self.rate
        return rate if self.shares_bounds_only else rate * self.share


def _graduated(tiers: tuple[Tier, ...], billable: Fraction) -> list[Fraction]:
    amounts = []
    rest = billable
    for number, tier in enumerate(tiers):
        if number and rest <= 0:
            break
        part = rest if tier.size is None else min(rest, tier.size)
        amounts.append(part * tier.rate + tier.flat)
        rest -= part
    return amounts


def read_rule(calculation: str, book: Sequence[Tier] = ()) -> Rule | None:
    """The rule in a charge's sentence, with all tiers of the price book (`book`); None if the
    sentence cannot be read."""
    first, *parts = calculation.replace("≈", "").split("; ")
    metered = _METERED.fullmatch(first)
    if metered is None:
        return None
    events = _EVENTS.match(first)
    rule = Rule("", Fraction(metered[1]), int(events[1]) if events else 0)
    tiers: list[tuple[Fraction, Tier]] = []
    for part in parts:
        found = _TIER.search(part)
        if found is not None:
            tiers.append(_tier(found))
        if found is None or not part.startswith("tier "):
            rule = _with_part(rule, part)
    if not rule.model:
        return None
    sized = replace(rule, tiers=_sized(tiers))
    whole = replace(rule, tiers=tuple(book))
    # The price book may have changed since the charge was computed.
    return whole if tiers and book and whole.amount() == sized.amount() else sized


def _tier(found: re.Match[str]) -> tuple[Fraction, Tier]:
    """A tier and the quantity in it."""
    rate = Fraction(found[3]) / (100 if found[4] else 1)
    return Fraction(found[2]), Tier(None, rate, Fraction(found[5] or 0))


def _sized(tiers: list[tuple[Fraction, Tier]]) -> tuple[Tier, ...]:
    """Every tier but the last one reached is full, so its quantity is its size."""
    full = [replace(tier, size=quantity) for quantity, tier in tiers[:-1]]
    return (*full, *(tier for _, tier in tiers[-1:]))


def _with_part(rule: Rule, part: str) -> Rule:
    if found := _ROUNDED.fullmatch(part):
        return replace(rule, rounding=found[1])
    if found := _INCLUDED.fullmatch(part):
        return replace(rule, included=Fraction(found[1]))
    if found := _SHARE.fullmatch(part):
        return replace(
            rule,
            seconds=Fraction(found[2]),
            period_seconds=Fraction(found[3]),
            shares_bounds_only=found[1] is not None,
        )
    if found := _MINIMUM.fullmatch(part):
        return replace(rule, minimum=Fraction(found[1]))
    if found := _MAXIMUM.fullmatch(part):
        return replace(rule, maximum=Fraction(found[1]))
    if part == _GIVEN_BACK:
        return replace(rule, is_given_back=True)
    model, _, text = part.partition(": ")
    return _with_model(replace(rule, model=model), text) if text else rule


def _with_model(rule: Rule, text: str) -> Rule:
    if found := _PACKAGES.fullmatch(text):
        return replace(rule, package_size=Fraction(found[1]), rate=Fraction(found[2]))
    if found := _FLAT.fullmatch(text):
        return replace(rule, flat=Fraction(found[1]))
    if text.startswith("tier ") or (found := _TIMES.search(text)) is None:
        return rule
    rate = Fraction(found[2]) / (100 if found[3] else 1)
    at_bounds = _AT_BOUND.findall(text)
    bounded = sum((int(count) * Fraction(bound) for count, bound in at_bounds), Fraction(0))
    by_event = bool(at_bounds) or "free" in text or text.startswith("-")
    if by_event:
        # Events at their bounds and free events are not in the quantity that is multiplied.
        bounded += (Fraction(found[1]) - rule.billable) * rate
    per_event = _PER_EVENT.search(text)
    if per_event is not None:
        rule = replace(rule, flat=Fraction(per_event[2]), events=int(per_event[1]))
    return replace(rule, rate=rate, bounded=bounded, by_event=by_event)


def rounded(amount: Fraction, places: int) -> Decimal:
    """Rounded half away from zero to `places` decimal places."""
    scaled = amount * 10**places
    whole = math.floor(abs(scaled) + Fraction(1, 2))
    return Decimal(whole if scaled >= 0 else -whole).scaleb(-places)
