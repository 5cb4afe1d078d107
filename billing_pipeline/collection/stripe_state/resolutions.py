"""What a person decided about an invoice that was changed in Stripe by hand.

What belongs here: the decisions, and the mark that keeps one on the Stripe invoice itself, so that
it holds even where our records are lost. What does not: which review reasons there are and what a
decision leads to (`review.py`), and asking for one (the command and the job).

A decision answers the review reasons that were there when it was made, and no later one: an invoice
that is voided after a credit note by hand was accepted has to be decided about anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """The ways out of a review (contract, 6)."""

    ADOPT = "adopt"
    """What stands in Stripe is right."""
    REISSUE = "reissue"
    """Bill again what was voided or deleted there."""
    WRITE_OFF = "write_off"
    """Leave the difference."""


_MARK = re.compile(r"(adopt|reissue|write_off) ([+-]\d{1,18}) (\S+)")
_NOTHING = "-"


@dataclass(frozen=True)
class Resolution:
    """A decision as it is kept on one Stripe invoice.

    `answers` are the codes of the review reasons about this invoice that it settles.
    `adjustment`, in minor units, is what our books count as billed beyond what stands there: with
    it, what was computed when the decision was made counts as billed, and only a later change is
    billed (contract, 3, rule 32).
    """

    decision: Decision
    adjustment: int = 0
    answers: frozenset[str] = frozenset()

    @property
    def mark(self) -> str:
        """As Stripe's metadata keeps it."""
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
    """A decision that somebody asks for, before it is approved. `review_reasons` are the codes of
    all that was in doubt then: in another situation the proposal no longer counts."""

    invoice_id: str
    decision: Decision
    reason: str
    decided_by: str
    review_reasons: frozenset[str]
