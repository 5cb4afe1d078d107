"""What a person decided about an invoice that was changed in Stripe by hand.

What belongs here: the decisions, and the mark that stores a decision on the Stripe invoice itself,
so that it holds even where our records are lost. What does not: which review reasons there are and
what a decision leads to (`review.py`), and proposing one (`proposal.py`).

A decision answers the review reasons that were there when it was made, and no later ones. If an
invoice is voided after a credit note made by hand was accepted, it needs a new decision.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """The decisions that end a review."""

    ADOPT = "adopt"
    """What Stripe holds is right."""
    REISSUE = "reissue"
    """Bill again what was voided or deleted there."""
    WRITE_OFF = "write_off"
    """Leave the difference."""


_MARK = re.compile(r"(adopt|reissue|write_off) ([+-]\d{1,18}) (\S+)")
_NOTHING = "-"


@dataclass(frozen=True)
class Resolution:
    """A decision as it is stored on one Stripe invoice.

    `answers` are the codes of the review reasons about this invoice that it settles.
    `adjustment`, in minor units, is what counts as billed beyond what Stripe has: with it, the
    amount that was due when the decision was made counts as billed, and only a later change is
    billed.
    """

    decision: Decision
    adjustment: int = 0
    answers: frozenset[str] = frozenset()

    @property
    def mark(self) -> str:
        """The decision as it is written in Stripe's metadata."""
        answers = ",".join(sorted(self.answers)) or _NOTHING
        return f"{self.decision.value} {self.adjustment:+d} {answers}"

    @classmethod
    def parse(cls, mark: str) -> Resolution | None:
        """None where there is no decision, or the mark was edited."""
        found = _MARK.fullmatch(mark)
        if found is None:
            return None
        decision, adjustment, answers = found.groups()
        codes = frozenset() if answers == _NOTHING else frozenset(answers.split(","))
        return cls(Decision(decision), int(adjustment), codes)


@dataclass(frozen=True)
class Proposal:
    """A decision that somebody has proposed and nobody has approved yet. `review_reasons` are the
    full codes of all reasons at the time: once they are others, the proposal no longer counts."""

    invoice_id: str
    decision: Decision
    reason: str
    decided_by: str
    review_reasons: frozenset[str]
