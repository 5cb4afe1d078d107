"""Why another system's amount for a line differs from ours: one small function for each cause.

What belongs here: what our line would have been under each cause, and which cause, or which two
together, give exactly the other system's amount. What does not: discounts, minimums and taxes of
an invoice, which follow from its lines (``invoices``).

A cause is accepted if its arithmetic gives the other system's amount to the last digit. If none
does, the price or the quantity must differ: whichever would be the rounder number, because people
choose round prices and quantities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from billing_pipeline.comparison.calculation import Rule, read_rule, rounded
from billing_pipeline.comparison.lines import (
    BY_DAY,
    DISCOUNT,
    LATE,
    MINIMUM,
    MISSING,
    PRICE,
    QUANTITY,
    ROUNDING,
    TAX,
    OurLine,
    Pair,
    Part,
    TheirLine,
)
from billing_pipeline.money import CURRENCY_PLACES, plain_number

_DAY = 86400
# Nobody chooses a price or a quantity with more decimal places than this.
_MAX_DIGITS = 9
# A cause is combined with another price or quantity only if the expected number of equally round
# ones found by chance is at most this.
_MAX_COINCIDENCES = Fraction(1, 2)


@dataclass(frozen=True)
class Variant:
    """Something that another system may do differently, and the rule that this would give."""

    cause: str
    rule: Rule
    evidence: str


def explain(pair: Pair) -> tuple[Part, ...]:
    """The causes of a pair's difference; their parts add up to all of it."""
    if not pair.difference:
        return ()
    if len(pair.ours) == 1:
        return _one_line(pair.ours[0], pair)
    return _several_lines(pair)


# One line of ours


def _one_line(our: OurLine, pair: Pair) -> tuple[Part, ...]:
    if our.kind in ("tax", "discount", "minimum", "commitment"):
        cause = {"tax": TAX, "discount": DISCOUNT}.get(our.kind, MINIMUM)
        return (Part(cause, pair.difference, f"{our.amount:f} here, {pair.their_amount:f} there"),)
    rule = read_rule(our.calculation, our.tiers)
    places = _places(our)
    if rule is None:
        return (_rounding_part(our, pair, places) or _unknown_price(pair),)
    quantity = _plausible_quantity(rule, pair, places)
    if quantity is not None and our.quantity is not None and not _is_quantity(rule, quantity):
        return _other_quantity(our, pair, rule, quantity, places)
    is_same_quantity = quantity is not None
    target = pair.their_amount
    found = (
        _rounded_otherwise(rule, target, places)
        or _first(_single(our, rule, is_same_quantity), rule, target, places)
        or _below_minor_unit(rule, target, places)
        or _first(_combined(our, rule, is_same_quantity), rule, target, places)
    )
    return found or _price_or_quantity(our, rule, pair, places, is_same_quantity)


def _single(our: OurLine, rule: Rule, is_same_quantity: bool) -> Iterator[tuple[Variant, ...]]:
    for variant in _variants(our, rule, is_same_quantity):
        yield (variant,)


def _combined(our: OurLine, rule: Rule, is_same_quantity: bool) -> Iterator[tuple[Variant, ...]]:
    for one in _variants(our, rule, is_same_quantity):
        for two in _variants(our, one.rule, is_same_quantity):
            if two.cause != one.cause:
                yield (one, two)


def _variants(our: OurLine, rule: Rule, is_same_quantity: bool) -> Iterator[Variant]:
    if not is_same_quantity:
        yield from without_late_events(our, rule)
    yield from without_bounds(rule)
    yield from prorated_by_day(our, rule)
    yield from without_included(rule)
    yield from rounded_before_multiplying(our, rule, is_same_quantity)


def without_late_events(our: OurLine, rule: Rule) -> Iterator[Variant]:
    """The rule without the events that came late."""
    if rule.by_event:
        return
    for usage in our.usages:
        changed = rule.with_quantity(Fraction(usage.quantity), usage.events)
        yield Variant(LATE, changed, usage.evidence)


def without_bounds(rule: Rule) -> Iterator[Variant]:
    """The rule without its minimum or its maximum, or with a minimum that is not prorated."""
    if rule.minimum is not None:
        changed = replace(rule, minimum=None)
        yield Variant(MINIMUM, changed, f"without the minimum of {_text(rule.minimum)}")
        if rule.share != 1:
            whole = replace(rule, minimum=rule.minimum / rule.share)
            yield Variant(MINIMUM, whole, f"the minimum of {_text(rule.minimum)} whole")
    if rule.maximum is not None:
        changed = replace(rule, maximum=None)
        yield Variant(PRICE, changed, f"without the maximum of {_text(rule.maximum)}")


def prorated_by_day(our: OurLine, rule: Rule) -> Iterator[Variant]:
    """The rule prorated by days instead of seconds: days rounded up or down, or calendar days, out
    of the period's days, 30, 31 or a twelfth of a year; or not prorated at all."""
    if rule.seconds is None or rule.period_seconds is None:
        return
    days = rule.seconds / _DAY
    period = rule.period_seconds / _DAY
    wholes = sorted({math.floor(days), math.ceil(days), math.floor(days) + 1, *_calendar_days(our)})
    seen = {rule.share}
    for whole in (round(period), 30, 31, Fraction(365, 12)):
        for part in wholes:
            share = min(Fraction(part) / whole, Fraction(1))
            if share not in seen:
                seen.add(share)
                changed = replace(rule, seconds=share * rule.period_seconds)
                text = f"{part} of {_text(Fraction(whole))} days; here {_text(days)}"
                yield Variant(BY_DAY, changed, text)
    if Fraction(1) not in seen:
        changed = replace(rule, seconds=rule.period_seconds)
        yield Variant(BY_DAY, changed, f"the whole period; here {_text(days)} days of it")


def without_included(rule: Rule) -> Iterator[Variant]:
    if rule.included:
        changed = replace(rule, included=Fraction(0))
        yield Variant(QUANTITY, changed, f"without the {_text(rule.included)} that are included")


def rounded_before_multiplying(
    our: OurLine, rule: Rule, is_same_quantity: bool
) -> Iterator[Variant]:
    """The rule with a quantity or a price that is rounded before multiplying, or with a quantity
    that is not."""
    if rule.rounding is not None:
        changed = replace(rule, rounding=None)
        yield Variant(ROUNDING, changed, "the quantity is not rounded")
    elif not is_same_quantity and rule.quantity.denominator != 1:
        for how, text in (("up", "up"), ("half_up", "to the nearest"), ("down", "down")):
            changed = replace(rule, rounding=how)
            yield Variant(ROUNDING, changed, f"the quantity is rounded {text} to a whole number")
    unit = Fraction(rounded(rule.rate, _places(our)))
    # Nobody rounds a percentage to cents.
    if unit != rule.rate and rule.rate and rule.model != "percentage":
        text = f"the price of {_text(rule.rate)} is rounded to {_text(unit)} first"
        yield Variant(ROUNDING, replace(rule, rate=unit), text)


def _rounded_otherwise(rule: Rule, target: Decimal, places: int) -> tuple[Part, ...]:
    """Our exact amount, rounded another way: cut off, half to even, up, to more places than the
    minor unit, or tier by tier."""
    exact = rule.amount()
    scaled = abs(exact) * 10**places
    wholes = {
        "cut off": math.floor(scaled),
        "half to even": round(scaled),
        "up": math.ceil(scaled),
    }
    sign = 1 if exact >= 0 else -1
    difference = target - rounded(exact, places)
    for how, whole in wholes.items():
        if sign * Decimal(whole).scaleb(-places) == target:
            text = f"exactly {_text(exact)}: {how} there, half away from zero here"
            return (Part(ROUNDING, difference, text),)
    is_finer = Fraction(target) * 10**places % 1 != 0
    if is_finer and abs(Fraction(target) - exact) < Fraction(1, 10**places):
        text = f"exactly {_text(exact)}: not rounded to {places} places there"
        return (Part(ROUNDING, difference, text),)
    parts = rule.parts()
    by_tier = sum((Fraction(rounded(part, places)) for part in parts), Fraction(0))
    if len(parts) > 1 and rule.share == 1 and rounded(by_tier, places) == target:
        text = f"exactly {_text(exact)}: each of {len(parts)} tiers is rounded there"
        return (Part(ROUNDING, difference, text),)
    return ()


def _below_minor_unit(rule: Rule, target: Decimal, places: int) -> tuple[Part, ...]:
    """A difference of less than a minor unit: rounding, though by no rule that we know, for
    example of floats."""
    exact = rule.amount()
    if abs(Fraction(target) - exact) >= Fraction(1, 10**places):
        return ()
    text = f"exactly {_text(exact)}, rounded here once, half away from zero"
    return (Part(ROUNDING, target - rounded(exact, places), text),)


def _first(
    candidates: Iterator[tuple[Variant, ...]], rule: Rule, target: Decimal, places: int
) -> tuple[Part, ...]:
    """The first candidate that gives the other system's amount: each of its variants, with its part
    of the difference."""
    for variants in candidates:
        last = variants[-1].rule
        if rounded(last.amount(), places) == target:
            return _parts(variants, rule, target, places)
    return ()


def _parts(
    variants: Sequence[Variant], rule: Rule, target: Decimal, places: int
) -> tuple[Part, ...]:
    before = rounded(rule.amount(), places)
    parts = []
    for number, variant in enumerate(variants):
        is_last = number == len(variants) - 1
        after = target if is_last else rounded(variant.rule.amount(), places)
        if after != before:
            parts.append(Part(variant.cause, after - before, variant.evidence))
        before = after
    return tuple(parts)


def _other_quantity(
    our: OurLine, pair: Pair, rule: Rule, quantity: Decimal, places: int
) -> tuple[Part, ...]:
    """The export states another quantity: the difference that the quantity makes, and the causes of
    the rest."""
    late = next((usage for usage in our.usages if usage.quantity == quantity), None)
    if late is not None:
        changed = rule.with_quantity(Fraction(quantity), late.events)
        variant = Variant(LATE, changed, late.evidence)
    else:
        text = f"{_text(rule.quantity)} here, {quantity:f} there"
        is_rounding = _is_rounding_of(rule.quantity, Fraction(quantity))
        cause = ROUNDING if is_rounding else QUANTITY
        variant = Variant(cause, rule.with_quantity(Fraction(quantity)), text)
    target = pair.their_amount
    if rounded(variant.rule.amount(), places) == target:
        return _parts([variant], rule, target, places)
    middle = rounded(variant.rule.amount(), places)
    first = Part(variant.cause, middle - pair.our_amount, variant.evidence)
    rest = (
        _rounded_otherwise(variant.rule, target, places)
        or _below_minor_unit(variant.rule, target, places)
        or _first(_single(our, variant.rule, True), variant.rule, target, places)
        or (_price(variant.rule, target - middle, target),)
    )
    if middle == pair.our_amount:
        return rest
    # If one cause explains the whole amount, the stated quantity was only shown, not multiplied.
    alone = _first(_single(our, rule, True), rule, target, places)
    return alone or (first, *rest)


def _price_or_quantity(
    our: OurLine, rule: Rule, pair: Pair, places: int, is_same_quantity: bool
) -> tuple[Part, ...]:
    """The price or the quantity that would give the amount, together with another cause if that
    makes it rounder."""
    target = pair.their_amount
    variants = list(_variants(our, rule, is_same_quantity))
    best: tuple[Fraction, Variant | None, Part] | None = None
    for variant in (None, *variants):
        changed = variant.rule if variant else rule
        # Two causes are less likely than one, and many attempts find a round number by chance.
        tries = 3 * len(variants) if variant else 1
        for chance, part in _implied(changed, target, places, is_same_quantity):
            is_by_chance = variant is not None and chance * tries > _MAX_COINCIDENCES
            if not is_by_chance and (best is None or chance * tries < best[0]):
                best = (chance * tries, variant, part)
    if best is None:
        return (_price(rule, pair.difference, target),)
    _, variant, part = best
    if variant is None:
        return (part,)
    beside = rounded(variant.rule.amount(), places) - pair.our_amount
    return (Part(variant.cause, beside, variant.evidence), part) if beside else (part,)


def _implied(
    rule: Rule, target: Decimal, places: int, is_same_quantity: bool
) -> Iterator[tuple[Fraction, Part]]:
    """The quantity, then the price, with which the rule would give the amount, each after the
    chance of finding one as round by accident."""
    difference = target - rounded(rule.amount(), places)
    counted, quantity_chance = _implied_quantity(rule, Fraction(target), places)
    if counted is not None and not is_same_quantity:
        text = f"{_text(rule.quantity)} here, as if it were {_text(counted)} there"
        yield quantity_chance, Part(QUANTITY, difference, text)
    priced, price_chance = _implied_price(rule, Fraction(target), places)
    if priced is not None:
        text = f"{_text(_unit(rule))} here, as if it were {_text(priced)} there"
        yield price_chance, Part(PRICE, difference, text)


def _implied_price(rule: Rule, target: Fraction, places: int) -> tuple[Fraction | None, Fraction]:
    """The roundest price that gives the amount, and the chance of finding one as round by
    accident."""
    best: tuple[Fraction | None, Fraction] = (None, Fraction(10))
    amount, half = rule.amount(), Fraction(1, 2 * 10**places)
    for unit, dearer in _prices(rule):
        slope = dearer.amount() - amount
        if not slope:
            continue
        middle, around = unit + (target - amount) / slope, half / abs(slope)
        number, digits = roundest(middle - around, middle + around)
        if number is not None and number >= 0:
            chance = 2 * around * 10**digits * 2 ** max(digits - _digits(unit), 0)
            if chance < best[1]:
                best = (number, chance)
    return best


def _prices(rule: Rule) -> Iterator[tuple[Fraction, Rule]]:
    """Each price in the rule, with the rule in which that price is higher by 1."""
    if rule.tiers:
        for number, tier in enumerate(rule.tiers):
            for name in ("rate", "flat"):
                value = getattr(tier, name)
                if value:
                    dearer = replace(tier, **{name: value + 1})
                    tiers = (*rule.tiers[:number], dearer, *rule.tiers[number + 1 :])
                    yield value, replace(rule, tiers=tiers)
    else:
        if rule.rate:
            yield rule.rate, replace(rule, rate=rule.rate + 1)
        if rule.flat:
            yield rule.flat, replace(rule, flat=rule.flat + 1)


def _implied_quantity(
    rule: Rule, target: Fraction, places: int
) -> tuple[Fraction | None, Fraction]:
    """The roundest quantity that gives the amount, and the chance of finding one as round by
    accident."""
    unit = rule.whole_units()
    if not unit or rule.by_event:
        return None, Fraction(10)
    change = (target - rule.amount()) / (-unit if rule.is_given_back else unit)
    around = Fraction(1, 2 * 10**places) / unit
    start = rule.quantity if rule.rounding is None else rule.billable + rule.included
    middle = start + change
    if rule.billable == 0 and rule.included:
        middle = rule.included + change
    if rule.model == "package":
        middle = math.ceil(rule.billable / rule.package_size) + change
    number, digits = roundest(middle - around, middle + around)
    if number is not None and rule.model == "package":
        number = number * rule.package_size + rule.included
    if number is None or number < 0:
        return None, Fraction(10)
    remade = rounded(rule.with_quantity(number).amount(), places)
    if remade != rounded(target, places):
        return None, Fraction(10)
    return number, 2 * around * 10**digits * 10 ** max(digits - _digits(rule.quantity), 0)


def _digits(number: Fraction) -> int:
    """The number of decimal places, at most `_MAX_DIGITS`."""
    return next((n for n in range(_MAX_DIGITS) if (number * 10**n).denominator == 1), _MAX_DIGITS)


def roundest(low: Fraction, high: Fraction) -> tuple[Fraction | None, int]:
    """The number between `low` and `high` with the fewest decimal places, and how many it has."""
    for digits in range(_MAX_DIGITS + 1):
        scale = 10**digits
        first = math.ceil(low * scale)
        if first <= high * scale:
            last = math.floor(high * scale)
            middle = round((low + high) / 2 * scale)
            return Fraction(min(max(middle, first), last), scale), digits
    return None, _MAX_DIGITS


def _unit(rule: Rule) -> Fraction:
    if rule.tiers:
        return rule.tier.rate or rule.tier.flat
    return rule.rate or rule.flat


def _price(rule: Rule, difference: Decimal, target: Decimal) -> Part:
    return Part(PRICE, difference, f"no quantity of ours makes {target:f} at {_text(_unit(rule))}")


def _unknown_price(pair: Pair) -> Part:
    return Part(PRICE, pair.difference, f"{pair.our_amount:f} here, {pair.their_amount:f} there")


def _rounding_part(our: OurLine, pair: Pair, places: int) -> Part | None:
    if abs(pair.difference) < Decimal(1).scaleb(-places):
        return Part(ROUNDING, pair.difference, f"{our.amount:f} here, rounded once")
    return None


# Several lines of ours for one of theirs


@dataclass(frozen=True)
class _Change:
    """What the other system may do differently with one of several lines."""

    line: int
    cause: str
    difference: Decimal
    evidence: str


def _several_lines(pair: Pair) -> tuple[Part, ...]:
    places = _places(pair.ours[0])
    rules = [
        read_rule(our.calculation, our.tiers) if our.kind == "charge" else None for our in pair.ours
    ]
    exact = sum(
        (
            Fraction(our.amount) if rule is None else rule.amount()
            for our, rule in zip(pair.ours, rules, strict=True)
        ),
        Fraction(0),
    )
    target = pair.their_amount
    count = len(pair.ours)
    if abs(Fraction(target) - exact) < Fraction(1, 10**places):
        text = f"exactly {_text(exact)}; each of {count} lines is rounded here"
        return (Part(ROUNDING, pair.difference, text),)
    changes = list(_changes(pair.ours, rules, places))
    for size in (1, 2):
        added = _changes_adding_up(changes, pair.difference, size)
        if added:
            return tuple(
                Part(
                    change.cause,
                    change.difference,
                    f"{pair.ours[change.line].description}: {change.evidence}",
                )
                for change in added
            )
    if found := _percent_off(pair, places):
        return found
    if abs(pair.difference) <= Decimal(count).scaleb(-places) / 2:
        text = f"{count} lines, each of them rounded here"
        return (Part(ROUNDING, pair.difference, text),)
    return (_guess(pair, rules, places),)


def _changes(
    ours: Sequence[OurLine], rules: Sequence[Rule | None], places: int
) -> Iterator[_Change]:
    for number, (our, rule) in enumerate(zip(ours, rules, strict=True)):
        dropped = {"tax": TAX, "discount": DISCOUNT, "minimum": MINIMUM, "commitment": MINIMUM}
        whole = _with_followers(ours, our, -our.amount, places)
        yield _Change(number, dropped.get(our.kind, MISSING), whole, "it is not there")
        if rule is None:
            continue
        for variant in _variants(our, rule, False):
            difference = rounded(variant.rule.amount(), places) - our.amount
            if difference:
                whole = _with_followers(ours, our, difference, places)
                yield _Change(number, variant.cause, whole, variant.evidence)


def _with_followers(
    ours: Sequence[OurLine], changed: OurLine, difference: Decimal, places: int
) -> Decimal:
    """A line's difference, with the differences that it makes to the discounts and taxes among the
    lines."""
    if changed.kind == "tax":
        return difference
    whole = difference
    for our in ours:
        if (our.subscription_id or "", our.coupon_id or "") in changed.discounts:
            whole += discounted(our, difference) - our.amount
    rates = {tax.tax_rate_id for tax in changed.taxes} if changed.kind != "discount" else None
    before_tax = whole
    for our in ours:
        if our.kind == "tax" and (rates is None or our.tax_rate_id in rates):
            whole += _taxed(our, before_tax, places) - our.amount
    return whole


def discounted(our: OurLine, shift: Decimal) -> Decimal:
    """The amount of a discount line, by its published sentence, if the lines that it covers came to
    `shift` more."""
    off, _, covered = our.calculation.split("; ")[0].partition(" % of ")
    if covered:
        share = Fraction(off) / 100 * Fraction(Decimal(covered) + shift)
        return -rounded(share, _places(our))
    off, _, covered = our.calculation.split("; ")[0].partition(" off ")
    if not covered:
        return our.amount
    return -min(Decimal(off), max(Decimal(covered) + shift, Decimal(0)))


_TAXED = re.compile(r"(-?[\d.]+) × ([\d.]+) / ([\d.]+)")


def _taxed(our: OurLine, shift: Decimal, places: int) -> Decimal:
    """The amount of a tax line, by its published sentence, if its base were `shift` more."""
    found = _TAXED.fullmatch(our.calculation.split("; ")[0])
    if found is None:
        return our.amount
    base = Fraction(found[1]) + Fraction(shift)
    return rounded(base * Fraction(found[2]) / Fraction(found[3]), places)


def _percent_off(pair: Pair, places: int) -> tuple[Part, ...]:
    """A discount, if their amount is less than all our lines by a whole percentage."""
    base = pair.our_amount
    if base <= 0 or not -base < pair.difference < 0:
        return ()
    around = Fraction(1, 10**places) / Fraction(base) * 100
    percent = -Fraction(pair.difference) / Fraction(base) * 100
    number = round(percent)
    if number < 1 or around > Fraction(1, 10) or abs(percent - number) > around:
        return ()
    return (Part(DISCOUNT, pair.difference, f"{number} % less than our lines come to"),)


def _changes_adding_up(
    changes: Sequence[_Change], difference: Decimal, size: int
) -> tuple[_Change, ...]:
    if size == 1:
        return next(((one,) for one in changes if one.difference == difference), ())
    by_difference: dict[Decimal, _Change] = {}
    for two in changes:
        one = by_difference.get(difference - two.difference)
        if one is not None and one.line != two.line:
            return one, two
        by_difference.setdefault(two.difference, two)
    return ()


def _guess(pair: Pair, rules: Sequence[Rule | None], places: int) -> Part:
    """The price or quantity of one line that would explain the difference and be the roundest."""
    best: tuple[Fraction, Part] | None = None
    for our, rule in zip(pair.ours, rules, strict=True):
        if rule is None:
            continue
        alone = Fraction(our.amount) + Fraction(pair.difference)
        for cause, (number, chance) in (
            (PRICE, _implied_price(rule, alone, places)),
            (QUANTITY, _implied_quantity(rule, alone, places)),
        ):
            if number is not None and number >= 0 and (best is None or chance < best[0]):
                ours = _unit(rule) if cause == PRICE else rule.quantity
                text = f"{our.description}: {_text(ours)} here, as if {_text(number)} there"
                best = (chance, Part(cause, pair.difference, text))
    if best is not None:
        return best[1]
    text = f"{len(pair.ours)} lines here for one amount there, which no one cause explains"
    return Part(PRICE, pair.difference, text)


# Numbers


def _stated_quantity(theirs: Sequence[TheirLine]) -> Decimal | None:
    known = [line.quantity for line in theirs if line.quantity is not None]
    return sum(known, Decimal(0)) if len(known) == len(theirs) else None


def _plausible_quantity(rule: Rule, pair: Pair, places: int) -> Decimal | None:
    """The quantity that their lines state. A 1 that gives another amount is ignored, because many
    systems write 1 where nothing was multiplied."""
    quantity = _stated_quantity(pair.theirs)
    if quantity is not None and quantity == 1 and not _is_quantity(rule, quantity):
        made = rounded(rule.with_quantity(Fraction(1)).amount(), places)
        return quantity if made == pair.their_amount else None
    return quantity


def _is_quantity(rule: Rule, quantity: Decimal) -> bool:
    """True if it is our quantity, metered or billable, or the 1 of a flat fee, which says
    nothing."""
    billable = rule.billable
    known = {rule.quantity, billable}
    if rule.model == "package":
        known.add(Fraction(math.ceil(billable / rule.package_size)))
    if rule.rounding is not None:
        known.add(billable + rule.included)
    return Fraction(quantity) in known or (quantity == 1 and rule.model == "flat")


def _is_rounding_of(ours: Fraction, theirs: Fraction) -> bool:
    return ours.denominator != 1 and theirs.denominator == 1 and abs(ours - theirs) < 1


def _calendar_days(our: OurLine) -> tuple[int, ...]:
    """The number of calendar days in the line's period, without and with the last one."""
    if our.period_start is None or our.period_end is None:
        return ()
    days = (our.period_end.date() - our.period_start.date()).days
    return (days, days + 1)


def _places(our: OurLine) -> int:
    return CURRENCY_PLACES.get(our.currency, 2)


def _text(number: Fraction) -> str:
    """In full if it has at most 12 decimal places, else rounded to six."""
    scaled = number * 10**12
    places = 12 if scaled.denominator == 1 else 6
    return plain_number(rounded(number, places))
