"""One customer's month: its lines paired and explained, then what follows from them.

What belongs here: discounts, minimums and taxes that differ because the lines under them differ,
and what remains after that; lines in another currency; lines that one side lacks. What does not:
why a line differs (``causes``).

What follows from a line has the line's cause: if another price makes a line dearer, the additional
tax is not a tax difference. A tax, a discount or a minimum has a difference of its own only where
it is not what our rules would give for the other system's lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from billing_pipeline.comparison.calculation import read_rule, rounded
from billing_pipeline.comparison.causes import discounted, explain
from billing_pipeline.comparison.lines import (
    CURRENCY,
    DISCOUNT,
    EXTRA,
    LATE,
    MINIMUM,
    MISSING,
    ROUNDING,
    TAX,
    Difference,
    OurLine,
    Pair,
    Part,
    Tax,
    TheirLine,
)
from billing_pipeline.comparison.matching import (
    Matched,
    is_same_text,
    likeness,
    match,
    total,
)
from billing_pipeline.money import CURRENCY_PLACES

_OWN_KINDS = {"tax": TAX, "discount": DISCOUNT, "minimum": MINIMUM, "commitment": MINIMUM}


@dataclass
class _Currency:
    """The findings for one currency of a customer."""

    currency: str
    found: Matched
    taxes: Decimal | None
    """The sum of their column `tax`; None where the column is empty."""
    causes: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """The difference of the lines before tax, by cause: the weights by which differences that
    follow from the lines are divided."""
    shifted: dict[int, Decimal] = field(default_factory=dict)
    """By how much their amount differs from each of our lines, by the line's `id()`."""
    differences: list[Difference] = field(default_factory=list)


def compare_customer(
    customer_id: str, ours: Sequence[OurLine], theirs: Sequence[TheirLine]
) -> list[Difference]:
    """All differences of a customer's month, in all currencies. In each currency they add up to
    what the other system billed minus what we bill."""
    currencies = sorted({line.currency for line in ours} | {line.currency for line in theirs})
    sides = {currency: _matched(currency, ours, theirs) for currency in currencies}
    _other_currencies(customer_id, list(sides.values()))
    for side in sides.values():
        _explain_side(customer_id, side)
    return [difference for side in sides.values() for difference in side.differences]


def _matched(currency: str, ours: Sequence[OurLine], theirs: Sequence[TheirLine]) -> _Currency:
    mine = [
        line
        for line in ours
        if line.currency == currency and not (line.kind == "tax" and line.is_inclusive)
    ]
    others = [line for line in theirs if line.currency == currency]
    included = [
        line
        for line in ours
        if line.currency == currency and line.kind == "tax" and line.is_inclusive
    ]
    others = _without_included_tax(included, others)
    mine, others = _same_view(mine, others)
    found = match(mine, others)
    taxes = [line.tax for line in others if line.tax is not None]
    return _Currency(currency, found, sum(taxes, Decimal(0)) if taxes else None)


def _same_view(
    ours: list[OurLine], theirs: list[TheirLine]
) -> tuple[list[OurLine], list[TheirLine]]:
    """Both sides stated the same way. Their amounts may already contain the tax in their column, or
    have discounts deducted that are separate lines here."""
    if any(line.tax for line in theirs):
        readings = [theirs, _plus_included_tax(ours, theirs)]
        if _may_contain_tax(ours, theirs):
            readings.append(_less_tax(theirs))
        theirs = max(readings, key=lambda lines: _equal(ours, lines))
    has_discount = any(line.kind == "discount" for line in theirs)
    if not has_discount and any(line.discount_share for line in ours):
        folded = [
            replace(line, amount=line.amount - line.discount_share)
            for line in ours
            if line.kind != "discount"
        ]
        if total(folded) == total(ours) and _equal(folded, theirs) > _equal(ours, theirs):
            ours = folded
    return ours, theirs


def _may_contain_tax(ours: Sequence[OurLine], theirs: Sequence[TheirLine]) -> bool:
    """True if their tax rate is closer to ours when read as part of their amounts than when added
    to them. Also true where we have no tax to compare with."""
    mine = total(line for line in ours if line.kind == "tax")
    net = total(line for line in ours if line.kind != "tax")
    tax = sum((line.tax or Decimal(0) for line in theirs), Decimal(0))
    whole = total(theirs)
    if not mine or not net or whole in (0, tax):
        return True
    rate = Fraction(mine) / Fraction(net)
    on_top, within = Fraction(tax) / Fraction(whole), Fraction(tax) / Fraction(whole - tax)
    return abs(within - rate) < abs(on_top - rate)


def _without_included_tax(included: Sequence[OurLine], theirs: list[TheirLine]) -> list[TheirLine]:
    """Their lines without those that only state a tax contained in the others, as ours do too."""
    rest = list(theirs)
    for our in included:
        for their in rest:
            is_same = our.amount == their.amount or is_same_text(our, their)
            if their.kind == "tax" and is_same:
                rest.remove(their)
                break
    return rest


def _less_tax(theirs: Iterable[TheirLine]) -> list[TheirLine]:
    return [replace(line, amount=line.amount - (line.tax or 0)) for line in theirs]


def _plus_included_tax(ours: Sequence[OurLine], theirs: Sequence[TheirLine]) -> list[TheirLine]:
    """Their lines with the tax added to the amounts, if our amounts contain tax."""
    if not any(tax.is_inclusive for line in ours for tax in line.taxes):
        return list(theirs)
    return [replace(line, amount=line.amount + (line.tax or 0), tax=None) for line in theirs]


def _equal(ours: Iterable[OurLine], theirs: Iterable[TheirLine]) -> int:
    amounts = [line.amount for line in ours]
    count = 0
    for line in theirs:
        if line.amount and line.amount in amounts:
            amounts.remove(line.amount)
            count += 1
    return count


# Lines in another currency


def _other_currencies(customer_id: str, sides: list[_Currency]) -> None:
    """Pair our leftover lines in one currency with their leftover lines in another."""
    for mine in sides:
        for other in sides:
            if mine is other:
                continue
            scored = [
                (-likeness(our, their) - _amount_bonus(our, their), i, j)
                for i, our in enumerate(mine.found.ours)
                for j, their in enumerate(other.found.theirs)
                if our.amount and likeness(our, their) >= 6
            ]
            ours, theirs = list(mine.found.ours), list(other.found.theirs)
            used: set[tuple[str, int]] = set()
            pairs = []
            for _, i, j in sorted(scored):
                if ("o", i) not in used and ("t", j) not in used:
                    used |= {("o", i), ("t", j)}
                    pairs.append((ours[i], theirs[j]))
            rate = _rate_of([(our, their) for our, their in pairs if our.kind != "tax"])
            for our, their in pairs:
                _note_currency(customer_id, mine, other, our, their, rate)


def _rate_of(pairs: Sequence[tuple[OurLine, TheirLine]]) -> Fraction | None:
    """The rate at which most amounts were converted; 1 if most of them are equal; None if there is
    no such rate, for example with a single converted line."""
    spans = [_rates(our, their) for our, their in pairs]
    if 2 * sum(low <= 1 <= high for low, high in spans) >= len(spans) > 0:
        return Fraction(1)
    # The most spans overlap at the start of one of them, so only the starts are tried.
    best = max((low for low, _ in spans), key=lambda rate: _count(spans, rate), default=None)
    if best is None or _count(spans, best) < max(2, len(spans) / 2):
        return None
    return (best + min(high for low, high in spans if low <= best <= high)) / 2


def _rates(our: OurLine, their: TheirLine) -> tuple[Fraction, Fraction]:
    """The lowest and the highest rate at which our amount, once rounded, becomes theirs."""
    half = Fraction(_unit(their.currency)) / 2
    rates = [(Fraction(their.amount) + side) / Fraction(our.amount) for side in (-half, half)]
    return min(rates), max(rates)


def _count(spans: Sequence[tuple[Fraction, Fraction]], rate: Fraction) -> int:
    return sum(low <= rate <= high for low, high in spans)


def _amount_bonus(our: OurLine, their: TheirLine) -> int:
    return 10 if our.amount == their.amount else 0


def _note_currency(
    customer_id: str,
    mine: _Currency,
    other: _Currency,
    our: OurLine,
    their: TheirLine,
    rate: Fraction | None,
) -> None:
    mine.found.ours.remove(our)
    other.found.theirs.remove(their)
    evidence = f"in {mine.currency} here, in {other.currency} there"
    causes = _causes_besides_currency(our, their, rate) if rate and our.kind == "charge" else []
    beyond = sum((part.difference for part in causes), Decimal(0))
    here, there = Pair((our,), ()), Pair((), (their,))
    noted = [
        (mine, here, Part(CURRENCY, -our.amount, evidence)),
        (other, there, Part(CURRENCY, their.amount - beyond, evidence)),
        *((other, there, part) for part in causes),
    ]
    for side, pair, part in noted:
        described = replace(
            _difference(customer_id, side, pair, part),
            description=our.description,
            their_description=their.description,
        )
        side.differences.append(described)
        if our.kind != "tax":
            side.causes[part.cause] += part.difference
    if our.kind != "tax":
        mine.shifted[id(our)] = -our.amount


def _causes_besides_currency(our: OurLine, their: TheirLine, rate: Fraction) -> list[Part]:
    """Why their amount is not ours converted at the common rate."""
    low, high = _rates(our, their)
    if low <= rate <= high:
        return []
    places, theirs = (CURRENCY_PLACES.get(one.currency, 2) for one in (our, their))
    unconverted = rounded(Fraction(their.amount) / rate, places)
    return [
        replace(part, difference=rounded(Fraction(part.difference) * rate, theirs))
        for part in explain(Pair((our,), (replace(their, amount=unconverted),)))
    ]


# Lines, then what follows from them


def _explain_side(customer_id: str, side: _Currency) -> None:
    found = side.found
    lines: list[Pair] = []
    own: list[Pair] = []
    for pair in found.pairs:
        is_own = len(pair.ours) == 1 and pair.ours[0].kind in ("tax", "discount", "minimum")
        (own if is_own else lines).append(pair)
    for pair in lines:
        parts = explain(pair)
        _note(customer_id, side, pair, parts)
        _note_shift(side, pair)
    for our in [our for our in found.ours if our.kind not in ("tax", "discount", "minimum")]:
        if our.amount:
            pair = Pair((our,), ())
            _note(customer_id, side, pair, [_missing(our)])
            _note_shift(side, pair)
    for their in [their for their in found.theirs if their.kind == "charge"]:
        if their.amount:
            part = Part(EXTRA, their.amount, "no line of ours is like it")
            _note(customer_id, side, Pair((), (their,)), [part])
    for kind, expected in (("minimum", _expected_minimum), ("discount", _expected_discount)):
        ours, theirs = _lines_of_kind(side, own, kind)
        _compare_derived(customer_id, side, ours, theirs, kind, expected(side, ours))
    ours, theirs = _lines_of_kind(side, own, "tax")
    _taxes(customer_id, side, ours, theirs)


def _missing(our: OurLine) -> Part:
    rule = read_rule(our.calculation, our.tiers)
    if rule is not None and not rule.by_event:
        for usage in [usage for usage in our.usages if usage.is_sure]:
            changed = rule.with_quantity(Fraction(usage.quantity), usage.events)
            if not rounded(changed.amount(), CURRENCY_PLACES.get(our.currency, 2)):
                return Part(LATE, -our.amount, usage.evidence)
    cause = _OWN_KINDS.get(our.kind, MISSING)
    return Part(cause, -our.amount, "no line of theirs is like it")


def _lines_of_kind(
    side: _Currency, own: Sequence[Pair], kind: str
) -> tuple[list[OurLine], list[TheirLine]]:
    """Our lines and theirs of a kind, paired or not, because their sums are compared."""
    ours = [our for pair in own for our in pair.ours if our.kind == kind]
    theirs = [their for pair in own if pair.ours[0].kind == kind for their in pair.theirs]
    ours += [our for our in side.found.ours if our.kind == kind]
    theirs += [their for their in side.found.theirs if their.kind == kind]
    return ours, theirs


def _compare_derived(
    customer_id: str,
    side: _Currency,
    ours: Sequence[OurLine],
    theirs: Sequence[TheirLine],
    kind: str,
    expected: Decimal,
) -> None:
    """Note the difference of all minimums or discounts: the part that follows from the lines, and
    the rest, which has its own cause."""
    mine, others = total(ours), total(theirs)
    if mine == others:
        return
    pair = Pair(tuple(ours), tuple(theirs))
    cause = _OWN_KINDS[kind]
    parts: list[Part] = []
    follows = expected - mine
    if kind == "minimum" and not ours:
        # We have no minimum, because our lines exceed it; theirs makes up for what theirs lack.
        lacking = max(-sum(side.causes.values(), Decimal(0)), Decimal(0))
        follows = min(others, lacking)
    if follows:
        text = f"it follows from the lines: {mine + follows:f} by our rule"
        parts += _divided(side, follows, text, cause)
    own = others - mine - follows
    if own:
        if ours and theirs and abs(own) <= _unit(side.currency):
            cause = ROUNDING
        parts.append(Part(cause, own, _own_evidence(kind, mine + follows, others, theirs, ours)))
    _note(customer_id, side, pair, parts)
    for our in ours:
        side.shifted[id(our)] = (others - mine) / len(ours)


def _unit(currency: str) -> Decimal:
    """One minor unit: the largest difference that rounding one amount differently can make."""
    return Decimal(1).scaleb(-CURRENCY_PLACES.get(currency, 2))


def _own_evidence(
    kind: str,
    expected: Decimal,
    others: Decimal,
    theirs: Sequence[TheirLine],
    ours: Sequence[OurLine],
) -> str:
    if not theirs:
        return f"no {kind} there"
    if not ours and not expected:
        return f"no {kind} here"
    return f"{expected:f} by our rule, {others:f} there"


def _expected_minimum(side: _Currency, ours: Sequence[OurLine]) -> Decimal:
    """What our minimums would add to their lines."""
    expected = Decimal(0)
    by_subscription: dict[str | None, Decimal] = defaultdict(Decimal)
    for pair in _all_pairs(side):
        for our in pair.ours:
            by_subscription[our.subscription_id] += side.shifted.get(id(our), Decimal(0))
    for our in ours:
        expected += max(our.amount - by_subscription[our.subscription_id], Decimal(0))
    return expected


def _expected_discount(side: _Currency, ours: Sequence[OurLine]) -> Decimal:
    """Our discount lines as our coupons would make them for their lines (below 0)."""
    expected = Decimal(0)
    for our in ours:
        shift = Decimal(0)
        for line in _all_ours(side):
            if (our.subscription_id or "", our.coupon_id or "") in line.discounts:
                shift += side.shifted.get(id(line), Decimal(0))
        expected += discounted(our, shift) if shift else our.amount
    return expected


def _all_ours(side: _Currency) -> list[OurLine]:
    paired = [our for pair in side.found.pairs for our in pair.ours]
    return [*paired, *side.found.ours]


def _all_pairs(side: _Currency) -> list[Pair]:
    return [*side.found.pairs, *(Pair((our,), ()) for our in side.found.ours)]


# Taxes


def _taxes(
    customer_id: str, side: _Currency, ours: Sequence[OurLine], theirs: Sequence[TheirLine]
) -> None:
    mine = total(ours)
    others = total(theirs) + (side.taxes or Decimal(0))
    if side.taxes is not None and _is_included(side):
        return
    if mine == others:
        return
    expected, by_line = _expected_tax(side, ours)
    follows = expected - mine
    text = f"it follows from the lines: {expected:f} by our rates"
    parts = _divided(side, follows, text, TAX) if follows else []
    own = others - mine - sum((part.difference for part in parts), Decimal(0))
    if own:
        is_rounding = others == by_line or abs(own) <= _unit(side.currency)
        cause = ROUNDING if others and mine and is_rounding else TAX
        if not ours and not expected and side.causes and not _all_ours(side):
            cause = max(side.causes, key=lambda name: abs(side.causes[name]))
        reason = f"{expected:f} by our rates, {others:f} there"
        parts.append(Part(cause, own, reason if others else "no tax there"))
    pair = Pair(tuple(ours), tuple(theirs))
    _note(customer_id, side, pair, parts, is_tax=True)


def _is_included(side: _Currency) -> bool:
    """True if all our taxes are included in the amounts; then the tax in their column is, too."""
    taxes = [tax for our in _all_ours(side) for tax in our.taxes]
    return bool(taxes) and all(tax.is_inclusive for tax in taxes)


def _taxed_lines(side: _Currency) -> list[OurLine]:
    return [our for our in _all_ours(side) if our.taxes and our.kind not in ("tax", "discount")]


def _expected_tax(side: _Currency, ours: Sequence[OurLine]) -> tuple[Decimal, Decimal]:
    """The tax on their lines at our rates: rounded once for each rate, and rounded line by line."""
    bases: dict[Tax, list[Decimal]] = defaultdict(list)
    shift_of_discounts = sum(
        (
            side.shifted.get(id(our), Decimal(0))
            for our in _all_ours(side)
            if our.kind == "discount"
        ),
        Decimal(0),
    )
    lines = _taxed_lines(side)
    for our in lines:
        base = our.amount - our.discount_share + side.shifted.get(id(our), Decimal(0))
        for tax in our.taxes:
            if not tax.is_inclusive:
                bases[tax].append(base)
    # Their lines of a kind that we have lines of are already in the shifts of our lines.
    kinds = {our.kind for our in _all_ours(side)} - {"charge"}
    extra = total(
        their for their in side.found.theirs if their.kind != "tax" and their.kind not in kinds
    )
    places = CURRENCY_PLACES.get(side.currency, 2)
    known = {our.tax_rate_id for our in ours}
    on_sums = by_line = Decimal(0)
    for tax, amounts in bases.items():
        rate = Fraction(tax.percentage) / 100
        if known and tax.tax_rate_id not in known:
            continue
        whole = sum(amounts, Decimal(0)) + extra + shift_of_discounts
        on_sums += rounded(rate * Fraction(whole), places)
        by_line += sum((rounded(rate * Fraction(one), places) for one in amounts), Decimal(0))
    return on_sums, by_line


# Differences


def _note_shift(side: _Currency, pair: Pair) -> None:
    """Note by how much their amount differs from our lines; of several lines, all on the first."""
    if pair.ours:
        side.shifted[id(pair.ours[0])] = pair.difference


def _note(
    customer_id: str,
    side: _Currency,
    pair: Pair,
    parts: Iterable[Part],
    *,
    is_tax: bool = False,
) -> None:
    for part in parts:
        if part.difference:
            side.differences.append(_difference(customer_id, side, pair, part))
            if not is_tax:
                side.causes[part.cause] += part.difference


def _difference(customer_id: str, side: _Currency, pair: Pair, part: Part) -> Difference:
    ours, theirs = pair.ours, pair.theirs
    column = side.taxes if part.cause == TAX and side.taxes else Decimal(0)
    return Difference(
        customer_id=customer_id,
        currency=side.currency,
        cause=part.cause,
        difference=part.difference,
        ours=pair.our_amount,
        theirs=pair.their_amount + column,
        evidence=part.evidence,
        description="; ".join(our.description for our in ours),
        their_description="; ".join(their.description for their in theirs),
        invoice_id=next((our.invoice_id for our in ours if our.invoice_id), None),
        line_ids=tuple(our.line_id for our in ours if our.line_id),
        their_rows=tuple(their.row for their in theirs),
    )


def _divided(side: _Currency, amount: Decimal, evidence: str, own: str) -> list[Part]:
    """The amount divided among the causes of the lines, in proportion to their differences: in
    minor units, the largest remainder first. If no line differs, all of it has the cause `own`."""
    weights = {cause: value for cause, value in side.causes.items() if value}
    if not weights:
        return [Part(own, amount, evidence)]
    whole = sum(weights.values(), Decimal(0))
    if not whole or len({value > 0 for value in weights.values()}) > 1:
        weights = {cause: abs(value) for cause, value in weights.items()}
        whole = sum(weights.values(), Decimal(0))
    places = CURRENCY_PLACES.get(side.currency, 2)
    unit = _unit(side.currency)
    shares = {
        cause: Fraction(amount) * Fraction(value) / Fraction(whole)
        for cause, value in weights.items()
    }
    cut = {
        cause: Decimal(int(share * 10**places)).scaleb(-places) for cause, share in shares.items()
    }
    rest = amount - sum(cut.values(), Decimal(0))
    order = sorted(cut, key=lambda cause: (-abs(shares[cause] - Fraction(cut[cause])), cause))
    step = unit if rest > 0 else -unit
    for cause in order:
        if abs(rest) < unit:
            break
        cut[cause] += step
        rest -= step
    cut[order[0]] += rest
    return [Part(cause, value, evidence) for cause, value in cut.items() if value]
