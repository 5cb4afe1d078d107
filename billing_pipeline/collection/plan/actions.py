"""What can be done to one invoice of ours: the actions that a plan is made of.

What belongs here: their kinds and what each carries. What does not: which of them a month needs
(`case.py`), the plan as a whole (`invoice_plan.py`), and carrying them out (`apply.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.stripe_state.resolutions import Decision
from billing_pipeline.collection.stripe_state.texts import short_hash


class ActionKind(StrEnum):
    """What happens to one invoice of ours."""

    CREATE = "create"
    RESUME = "resume"
    UNCHANGED = "unchanged"
    SUPPLEMENT = "supplement"
    CREDIT = "credit"
    WITHDRAW = "withdraw"
    REVIEW = "review"
    RESOLVE = "resolve"

    @property
    def is_safe(self) -> bool:
        """True if the action changes nothing that a customer has already been billed."""
        return self in (ActionKind.CREATE, ActionKind.RESUME, ActionKind.UNCHANGED)


@dataclass(frozen=True)
class CreditPart:
    """A credit note on one Stripe invoice. `number` counts our credit notes on it from 1."""

    stripe_invoice_id: str
    revision: int
    number: int
    amount: int


@dataclass(frozen=True)
class Marking:
    """Metadata to be written on one Stripe invoice of that revision. Of an invoice that Stripe no
    longer has, only our request log can keep it."""

    stripe_invoice_id: str
    revision: int
    metadata: tuple[tuple[str, str], ...]
    is_gone: bool = False


@dataclass(frozen=True)
class ResolutionStep:
    """How a review ends: the decision, who made it and why, the marks that record it in Stripe, the
    drafts to finalize as they stand, and those to delete (by Stripe's ids). What is billed again is
    the action's `send`."""

    decision: Decision
    reason: str
    decided_by: str
    markings: tuple[Marking, ...] = ()
    finalize: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()

    def canonical(self) -> list[Any]:
        return [
            self.decision.value,
            self.reason,
            self.decided_by,
            [[item.stripe_invoice_id, list(map(list, item.metadata))] for item in self.markings],
            list(self.finalize),
            list(self.delete),
        ]


@dataclass(frozen=True)
class InvoiceAction:
    """One action. Amounts in minor units: what the customer is billed for the month before and
    after it. `send` is the invoice to create or complete (create, resume, supplement); `drafts` are
    deleted, and the finalized invoices in `finish` collected (both by Stripe's ids).

    `billed_before`: why a first invoice is not safe after all. `review_reasons`: the codes of
    what a review is about.
    """

    kind: ActionKind
    invoice_id: str
    customer_id: str
    currency: str
    amount_before: int
    amount_after: int
    reason: str
    revision: int = 1
    send: DesiredInvoice | None = None
    credits: tuple[CreditPart, ...] = ()
    drafts: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    billed_before: str | None = None
    review_reasons: frozenset[str] = frozenset()
    resolution: ResolutionStep | None = None

    @property
    def is_safe(self) -> bool:
        return self.kind.is_safe and self.billed_before is None

    @property
    def change(self) -> int:
        return self.amount_after - self.amount_before

    @property
    def key(self) -> tuple[str, str, int]:
        """Names the action within its plan."""
        return (self.invoice_id, self.kind.value, self.revision)

    @property
    def digest(self) -> str:
        """Names all that the action would do: another amount or content is another digest."""
        return short_hash(self.canonical())

    def canonical(self) -> list[Any]:
        content = [
            *self.key,
            self.customer_id,
            self.currency,
            self.amount_before,
            self.amount_after,
            self.send.content_hash if self.send else None,
            [[part.stripe_invoice_id, part.number, part.amount] for part in self.credits],
            list(self.drafts),
            list(self.finish),
        ]
        if self.billed_before is not None:
            content.append(self.billed_before)
        if self.review_reasons:
            content.append(sorted(self.review_reasons))
        if self.resolution is not None:
            content.append(self.resolution.canonical())
        return content
