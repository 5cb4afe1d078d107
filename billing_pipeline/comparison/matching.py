"""Which of their lines charge for the same thing as which of ours.

What belongs here: pairing the lines of one customer and currency, by reference, text, quantity,
period and amount, including one line on one side for several on the other. What does not: why
their amounts differ (``causes``).

Another system's texts are seldom ours, so no single sign is required, only enough of them together.
The most certain pairs come first: equal text and amount, then a reference, then equal amounts, then
sums, then likeness.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

from billing_pipeline.comparison.lines import OurLine, Pair, TheirLine
from billing_pipeline.money import CURRENCY_PLACES

_Line = TypeVar("_Line", OurLine, TheirLine)

# The likeness that makes a pair. An equal amount alone is enough, and so are half of the words if
# the customer is the same.
_MIN_SCORE = 12
_SAME_AMOUNT = 18
_WORD = re.compile(r"[^\W\d_]+")
_MONTHS = frozenset(
    re.findall(
        r"\w+",
        "january february march april may june july august september october november december "
        "jan feb mar apr jun jul aug sep sept oct nov dec",
    )
)
# Words that do not say what is charged for.
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        "line item invoice charge fee usage total amount for the of a and in on at per to from "
        "subscription service month monthly period unit x each",
    )
) | {code.lower() for code in CURRENCY_PLACES}


# Our lines' note on the age of a gauge's value, which does not say what is charged for.
_NO_DATA_NOTE = re.compile(r"\(no data this period[^)]*\)")


@lru_cache(maxsize=50_000)
def _without_numbers(text: str) -> str:
    kept = [word for word in _tokens(text) if word not in _MONTHS]
    return " ".join(kept)


def _tokens(text: str) -> list[str]:
    found: list[str] = _WORD.findall(_NO_DATA_NOTE.sub(" ", text.lower()))
    return found


@dataclass
class Matched:
    """The pairs, and what is left over on each side."""

    pairs: list[Pair] = field(default_factory=list)
    ours: list[OurLine] = field(default_factory=list)
    theirs: list[TheirLine] = field(default_factory=list)

    def take(self, ours: Sequence[OurLine], theirs: Sequence[TheirLine]) -> None:
        self.pairs.append(Pair(tuple(ours), tuple(theirs)))
        taken_ours, taken_theirs = {id(line) for line in ours}, {id(line) for line in theirs}
        self.ours = [line for line in self.ours if id(line) not in taken_ours]
        self.theirs = [line for line in self.theirs if id(line) not in taken_theirs]


def match(ours: Iterable[OurLine], theirs: Iterable[TheirLine]) -> Matched:
    """The lines of one customer and currency, paired."""
    found = Matched(ours=list(ours), theirs=list(theirs))
    has_tax = any(their.tax is not None or their.kind == "tax" for their in found.theirs)
    _match_exact(found)
    if not has_tax:
        _match(found)
        return found
    # If they state taxes separately, none of their charges contains one of our tax lines.
    whole = Matched(found.pairs)
    for is_tax in (False, True):
        part = Matched(
            ours=[our for our in found.ours if (our.kind == "tax") is is_tax],
            theirs=[their for their in found.theirs if (their.kind == "tax") is is_tax],
        )
        _match(part)
        whole.pairs += part.pairs
        whole.ours += part.ours
        whole.theirs += part.theirs
    return whole


def _match(found: Matched) -> None:
    """Pair the remaining lines, the most certain pairs first."""
    _match_greedily(found, lambda our, their: 1.0 if _is_referenced(our, their) else 0.0, 1.0)
    _match_greedily(found, _equal_amount_score, _MIN_SCORE)
    _match_sums(found)
    _match_groups(found)
    _match_shared_texts(found)
    _match_greedily(found, likeness, _MIN_SCORE)
    _match_rest(found)


def _match_exact(found: Matched) -> None:
    """Pair lines with equal text, amount and customer that occur once on each side. In most months
    that is nearly all lines, found without comparing every line with every other."""
    ours: dict[Hashable, list[OurLine]] = defaultdict(list)
    theirs: dict[Hashable, list[TheirLine]] = defaultdict(list)
    for our in found.ours:
        ours[our.customer_id, our.description.strip().lower(), our.amount].append(our)
    for their in found.theirs:
        if their.line_reference is None and their.amount:
            text = their.description.strip().lower()
            theirs[their.customer_id, text, their.amount].append(their)
    pairs = [
        (ours[key][0], theirs[key][0])
        for key in theirs
        if len(theirs[key]) == 1 and len(ours.get(key, ())) == 1
    ]
    gone = {id(line) for pair in pairs for line in pair}
    found.pairs += [Pair((our,), (their,)) for our, their in pairs]
    found.ours = [line for line in found.ours if id(line) not in gone]
    found.theirs = [line for line in found.theirs if id(line) not in gone]


@lru_cache(maxsize=50_000)
def words(text: str) -> frozenset[str]:
    """The words that say what is charged for: no numbers, months, or words that every line has."""
    found = {_stem(word) for word in _tokens(text)}
    return frozenset(found - _MONTHS - _EMPTY)


def likeness(our: OurLine, their: TheirLine) -> float:
    """How strongly the signs suggest that two lines charge for the same thing."""
    texts = _text_likeness(our, their)
    if texts < 20 and their.kind not in (_kind(our), "charge"):
        return 0.0
    if texts < 20 and their.kind != _kind(our) and not (texts or our.amount == their.amount):
        return 0.0
    score = texts
    if our.kind != "charge" and _kind(our) == their.kind:
        score += 8
    if our.customer_id == their.customer_id:
        score += 3
    if our.amount and our.amount == their.amount:
        score += _SAME_AMOUNT
    # Very many lines have a quantity of 0 or 1.
    if their.quantity not in (None, 0, 1) and our.quantity == their.quantity:
        score += 6
    return score + _period_likeness(our, their)


def _kind(our: OurLine) -> str:
    return our.kind if our.kind in ("tax", "discount", "minimum") else "charge"


def _text_likeness(our: OurLine, their: TheirLine) -> float:
    reference = their.line_reference
    named = 0.0
    if reference:
        if reference in (our.price_id, our.coupon_id, our.tax_rate_id):
            named = 24.0
        elif reference in (our.meter_id, our.subscription_id):
            named = 8.0
    ours, text = our.description.strip().lower(), their.description.strip().lower()
    if is_same_text(our, their):
        return named + (26 if ours == text else 22)
    their_words = words(f"{text} {reference or ''}")
    best = 0.0
    # The meter weighs less than the price, because all cells of a price matrix share it.
    for known, weight in (
        (ours, 0.8),
        (our.price_id or "", 0.8),
        (f"{ours} {our.plan_id}", 0.8),
        (our.meter_id or "", 0.5),
    ):
        our_words = words(known)
        if their_words and our_words:
            common = len(their_words & our_words)
            some = weight * common / min(len(their_words), len(our_words))
            best = max(best, common / len(their_words | our_words), some)
    return named + 20 * best


def _matches_name(our: OurLine, their: TheirLine) -> bool:
    """True if their text is this line's, or the name of its price."""
    their_words = words(their.description)
    return is_same_text(our, their) or bool(
        their_words and their_words == words(our.price_id or "")
    )


def is_same_text(our: OurLine, their: TheirLine) -> bool:
    """True if the texts are equal except for numbers and months, which each system writes its own
    way."""
    return _without_numbers(our.description) == _without_numbers(their.description)


def _period_likeness(our: OurLine, their: TheirLine) -> float:
    if their.period_start is None or our.period_start is None or our.period_end is None:
        return 0.0
    if their.period_start.date() == our.period_start.date():
        return 5.0
    end = their.period_end or their.period_start
    return -4.0 if end < our.period_start or their.period_start >= our.period_end else 1.0


def _is_referenced(our: OurLine, their: TheirLine) -> bool:
    names = {our.line_id, our.charge_id} - {None, ""}
    return their.line_reference in names


def _equal_amount_score(our: OurLine, their: TheirLine) -> float:
    return likeness(our, their) if our.amount and our.amount == their.amount else 0.0


def _match_greedily(
    found: Matched, score: Callable[[OurLine, TheirLine], float], min_score: float
) -> None:
    """Pair the best-scoring lines first; on a tie, those with the closer amounts, then in the order
    of the lines."""
    scored = [
        (-value, abs(our.amount - their.amount), i, j)
        for i, our in enumerate(found.ours)
        for j, their in enumerate(found.theirs)
        if (value := score(our, their)) >= min_score
    ]
    ours, theirs = list(found.ours), list(found.theirs)
    used_ours: set[int] = set()
    used_theirs: set[int] = set()
    for _, _, i, j in sorted(scored):
        if i not in used_ours and j not in used_theirs:
            used_ours.add(i)
            used_theirs.add(j)
            found.take([ours[i]], [theirs[j]])


# The keys by which another system may combine several of our lines into one.
_OUR_GROUPS: tuple[Callable[[OurLine], Hashable], ...] = (
    lambda line: (line.customer_id, line.subscription_id, line.price_id),
    lambda line: (line.subscription_id, _without_numbers(line.description)),
    lambda line: (line.customer_id, line.price_id),
    lambda line: _without_numbers(line.description),
    lambda line: (line.customer_id, line.meter_id),
    lambda line: line.subscription_id,
    lambda line: line.plan_id,
    lambda line: line.customer_id,
    lambda line: line.kind in ("tax",),
    lambda line: True,
)
_THEIR_GROUPS: tuple[Callable[[TheirLine], Hashable], ...] = (
    lambda line: line.line_reference,
    lambda line: _without_numbers(line.description),
    lambda line: words(line.description),
)


def _match_sums(found: Matched) -> None:
    """Pair one line with several on the other side that add up to its amount."""
    for their in list(found.theirs):
        for lines in _groups([our for our in found.ours if our.amount], _OUR_GROUPS):
            if sum(our.amount for our in lines) == their.amount:
                found.take(lines, [their])
                break
    for our in list(found.ours):
        for group in _groups(found.theirs, _THEIR_GROUPS):
            is_like = max(likeness(our, line) for line in group) >= _MIN_SCORE / 2
            if is_like and sum(line.amount for line in group) == our.amount:
                found.take([our], group)
                break


def _match_groups(found: Matched) -> None:
    """Pair a line of theirs with several of ours, such as all of a plan, if their sum is closer to
    its amount than any single line."""
    for their in list(found.theirs):
        charged = [our for our in found.ours if our.amount]
        is_only_line = not found.pairs and len(found.theirs) == 1
        is_named = any(_matches_name(our, their) for our in charged)
        if is_named and len(found.theirs) > 1:
            continue

        def distance(lines: Sequence[OurLine], their: TheirLine = their) -> Decimal:
            return abs(total(lines) - their.amount)

        groups = list(_groups(charged, _OUR_GROUPS))
        if is_only_line:
            without_tax = [our for our in charged if our.kind != "tax"]
            groups = [without_tax] if not distance(without_tax) else [charged]
        else:
            groups = [lines for lines in groups if _is_about(lines, their)]
        best = min(groups, key=distance, default=[])
        nearest = min((distance([our]) for our in charged), default=Decimal(0))
        nearer = (4 if is_named else 1) * distance(best)
        if (
            len(best) > 1
            and nearer < nearest
            and (is_only_line or 2 * distance(best) < their.amount)
        ):
            found.take(best, [their])


def _is_about(lines: Sequence[OurLine], their: TheirLine) -> bool:
    """True if their text names the plan, meter, subscription or price that the lines share."""
    their_words = words(f"{their.description} {their.line_reference or ''}")
    if not their_words or any(our.kind == "tax" for our in lines):
        return False
    for names in ("plan_id", "meter_id", "subscription_id", "price_id"):
        common = {getattr(our, names) for our in lines}
        if len(common) == 1 and their_words & words(" ".join(name or "" for name in common)):
            return True
    return False


def _match_shared_texts(found: Matched) -> None:
    """Pair several lines of ours whose texts differ only in numbers, as those of price versions do,
    with the one line of theirs that is like them."""
    by_text: dict[Hashable, list[OurLine]] = defaultdict(list)
    for our in found.ours:
        by_text[(our.subscription_id, our.price_id, _without_numbers(our.description))].append(our)
    for lines in by_text.values():
        if len(lines) < 2:
            continue
        like = [
            their
            for their in found.theirs
            if max(_text_likeness(our, their) for our in lines) >= _MIN_SCORE
            and all(likeness(our, their) <= likeness(lines[0], their) + 6 for our in found.ours)
        ]
        if len(like) == 1:
            found.take(lines, like)


def _match_rest(found: Matched) -> None:
    """Pair what texts cannot: a single line with all that is left, and lines whose text does not
    say what is charged for."""
    if len(found.theirs) == 1 and found.ours:
        (their,) = found.theirs
        kinds = [our for our in found.ours if our.amount and _kind(our) == their.kind]
        if kinds and not words(f"{their.description} {their.line_reference or ''}"):
            found.take(kinds, [their])
    while found.ours and found.theirs:
        unspecific = [their for their in found.theirs if not words(their.description)]
        if not unspecific:
            return
        (our, their) = min(
            ((our, their) for our in found.ours for their in unspecific),
            key=lambda pair: abs(pair[0].amount - pair[1].amount),
        )
        found.take([our], [their])


def _groups(
    lines: Sequence[_Line], keys: Sequence[Callable[[_Line], Hashable]]
) -> Iterable[list[_Line]]:
    for key in keys:
        groups: dict[Hashable, list[_Line]] = defaultdict(list)
        for line in lines:
            groups[key(line)].append(line)
        for value, group in groups.items():
            if value not in (None, frozenset()) and len(group) > 1:
                yield group


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def total(lines: Iterable[OurLine | TheirLine]) -> Decimal:
    return sum((line.amount for line in lines), Decimal(0))
