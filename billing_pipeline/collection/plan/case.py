"""What one invoice of ours needs, given what should be billed and all that Stripe has of it.

What belongs here: the decision for one invoice. Pure. What does not: the reasons for a review
(`review.py`), whether the customer was billed by another invoice (`witnesses.py`), and the month's
plan (`invoice_plan.py`).

Amounts are whole minor units. What was billed is the original plus supplements less our credit
notes, plus what counts as billed by a decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from billing_pipeline.collection.plan.actions import (
    ActionKind,
    CreditPart,
    InvoiceAction,
    ResolutionStep,
)
from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.plan.differences import explain, supplement
from billing_pipeline.collection.plan.review import (
    ReviewReason,
    applies,
    credited_by_hand,
    draft_review_reason,
    resolution_step,
    review_reasons_for,
)
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.resolutions import Decision, Proposal
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
    needs_payment,
)
from billing_pipeline.money import format_minor

# `billed_before` begins so for a first invoice that waits because it corrects closed months.
CORRECTS = "corrects what was billed for months whose books are closed:"


class Corrected(NamedTuple):
    """What was billed of an invoice's month on later months' invoices, because its books were
    closed; in minor units."""

    customer_id: str
    currency: str
    amount: int


@dataclass(frozen=True)
class Case:
    """One invoice of ours: what it should be, and all that Stripe has under its id."""

    invoice_id: str
    month_key: str
    desired: DesiredInvoice | None
    held: tuple[ActualInvoice, ...]
    proposal: Proposal | None
    corrected: Corrected | None
    billed: list[ActualInvoice] = field(init=False)
    drafts: list[ActualInvoice] = field(init=False)
    before: int = field(init=False)
    adjusted: int = field(init=False)
    """What counts as billed beyond these invoices: by decisions, and on later months' invoices."""
    difference: int = field(init=False)

    def __post_init__(self) -> None:
        decided = [item for item in self.held if item.resolution is not None]
        billed = [item for item in self.held if item.is_billed]
        before = sum(item.net for item in billed)
        adjusted = sum(item.resolution.adjustment for item in decided if item.resolution)
        adjusted += self.corrected.amount if self.corrected else 0
        due = self.desired.total if self.desired else 0
        for name, value in (
            ("billed", billed),
            ("drafts", [item for item in self.held if item.is_draft and item not in decided]),
            ("before", before),
            ("adjusted", adjusted),
            ("difference", due - before - adjusted),
        ):
            object.__setattr__(self, name, value)

    def actions(self) -> list[InvoiceAction]:
        """What the invoice needs, in the order in which it is carried out. An unanswered reason for
        a review stops everything else."""
        review_reasons = [
            review_reason
            for review_reason in self._review_reasons()
            if not review_reason.is_answered
        ]
        if review_reasons:
            return [self._review(review_reasons)]
        main = self._main()
        return main + self._withdrawals(main)

    def _review_reasons(self) -> list[ReviewReason]:
        review_reasons = list(review_reasons_for(self.held, self.desired))
        if self.difference:
            review_reasons += credited_by_hand(self.billed)
        return review_reasons

    def _main(self) -> list[InvoiceAction]:
        asked = self._proposed_early()
        if asked is not None:
            return [asked]
        adopted = [
            item.stripe_invoice_id
            for item in self.held
            if item.is_draft and item.resolution and item.resolution.decision is Decision.ADOPT
        ]
        if adopted:
            return [self._adopted_drafts(tuple(adopted))]
        if self.billed or self._is_decided or self.corrected:
            return self._billed_case()
        return self._first_case()

    @property
    def _is_decided(self) -> bool:
        """Nothing stands, and a person has decided to leave it at that."""
        return any(
            item.resolution is not None and item.resolution.decision is not Decision.REISSUE
            for item in self.held
        )

    def _first_case(self) -> list[InvoiceAction]:
        """Nothing was billed yet, or what was billed is to be billed again."""
        if self.desired is None:
            return []
        revision = self._next_revision()
        send = replace(self.desired, revision=revision)
        draft = self._draft(revision)
        if draft is None:
            again = "to be billed again, as decided" if revision > 1 else None
            return [
                self._action(
                    ActionKind.CREATE,
                    again or "not billed yet",
                    send=send,
                    revision=revision,
                    billed_before=again or _corrects(send),
                )
            ]
        review_reason = draft_review_reason(draft, send)
        if review_reason:
            return [self._review([review_reason], after=0)]
        again = None
        # A draft with the same content was approved when it was made; other content was not.
        if draft.content_hash != send.content_hash:
            again = _corrects(send)
            if revision > 1:
                again = "to be billed again, with other content than was approved"
        return [
            self._action(
                ActionKind.RESUME,
                _draft_state(draft, send),
                send=send,
                revision=revision,
                billed_before=again,
            )
        ]

    def _billed_case(self) -> list[InvoiceAction]:
        finishing = self._interrupted()
        if self.difference == 0:
            return finishing or [self._action(ActionKind.UNCHANGED, self._same_amount())]
        to_credit = self._credit_due()
        if to_credit == 0:
            return finishing or [self._action(ActionKind.UNCHANGED, self._same_amount())]
        if to_credit is not None:
            reason = f"less is due: {explain(self.desired, self.billed)}"
            # Without `finishing`: what is credited must not be charged first and then given back.
            return [
                self._action(
                    ActionKind.CREDIT,
                    reason,
                    credits=self._credits(to_credit),
                    after=self.before - to_credit,
                )
            ]
        return [*finishing, self._supplement()]

    def _interrupted(self) -> list[InvoiceAction]:
        """Complete what was finalized and then interrupted: it stands, whatever is decided about
        the difference."""
        ends = tuple(
            item.stripe_invoice_id
            for item in self.billed
            if needs_payment(item) or item.is_wallet_held
        )
        if not ends:
            return []
        reason = "finalized, and interrupted before its payment"
        after = self.before
        return [self._action(ActionKind.RESUME, reason, finish=ends, after=after)]

    def _supplement(self) -> InvoiceAction:
        revision = self._next_revision()
        if self.desired is None and not self.held:
            # Billed on later invoices only, so a correction on a later invoice takes it back.
            return self._action(ActionKind.SUPPLEMENT, f"less is due: {explain(None, ())}")
        if self.desired is None:
            text = "nothing is due any more, and credit notes cannot take back that much"
            return self._review([ReviewReason("uncreditable", text, self._any_item())])
        settled = [
            item
            for item in self.held
            if item.status is InvoiceStatus.VOID
            and item.lines is not None
            and item.resolution
            and item.resolution.decision is not Decision.REISSUE
        ]
        send = supplement(self.desired, self.billed, revision, settled, self.adjusted)
        if send is None:
            text = "the lines in Stripe do not add up to its totals"
            return self._review([ReviewReason("lines", text, self._any_item())])
        draft = self._draft(revision)
        if draft is not None:
            review_reason = draft_review_reason(draft, send)
            if review_reason:
                return self._review([review_reason])
            # A draft with the same content was approved when it was made; other content was not.
            if draft.content_hash == send.content_hash:
                reason = f"supplement approved earlier: {_draft_state(draft, send)}"
                return self._action(ActionKind.RESUME, reason, send=send, revision=revision)
        direction = "more" if self.difference > 0 else "less (beyond what can be credited)"
        reason = f"{direction} is due: {explain(self.desired, self.billed)}"
        return self._action(ActionKind.SUPPLEMENT, reason, send=send, revision=revision)

    def _credit_due(self) -> int | None:
        """How much credit notes take back; None where they are not what is needed."""
        creditable = sum(item.creditable for item in self.billed)
        if self.difference > 0:
            return None
        if -self.difference <= creditable:
            return -self.difference
        # What was credited by hand, or decided not to be billed, cannot be credited once more.
        by_hand = sum(item.credited_by_hand for item in self.billed)
        is_explained = -self.difference - creditable <= max(0, self.adjusted) + by_hand
        return creditable if self._is_decided and is_explained else None

    def _credits(self, amount: int) -> tuple[CreditPart, ...]:
        """Credit the original first, then its supplements, each by at most what is left of it; on
        all of them, the part that the wallet did not pay comes before the part that it paid. So the
        wallet pays as much as if the month had come to the smaller amount from the start."""
        left, parts = amount, []
        in_order = sorted(self.billed, key=lambda item: item.revision or 0)
        besides_wallet = [max(0, item.creditable - max(0, item.wallet_taken)) for item in in_order]
        beyond = max(0, left - sum(besides_wallet))
        for item, from_others in zip(in_order, besides_wallet, strict=True):
            part = min(left, from_others)
            from_wallet = min(beyond, item.creditable - part)
            beyond -= from_wallet
            part += from_wallet
            if part > 0:
                number = item.last_credit_number + 1
                revision = item.revision or 1
                parts.append(CreditPart(item.stripe_invoice_id, revision, number, part))
                left -= part
        assert left == 0, "credits must add up to the difference"
        return tuple(parts)

    def _next_revision(self) -> int:
        used = [
            item.revision or 1
            for item in self.held
            if not item.is_draft or item.resolution is not None
        ]
        return 1 + max(used, default=0)

    def _withdrawals(self, main: Sequence[InvoiceAction]) -> list[InvoiceAction]:
        """Delete the drafts that none of the `main` actions completes."""
        if any(action.kind in (ActionKind.REVIEW, ActionKind.RESOLVE) for action in main):
            return []
        used = {
            draft.stripe_invoice_id
            for action in main
            if action.send is not None
            for draft in [self._draft(action.revision)]
            if draft is not None
        }
        unused = tuple(
            item.stripe_invoice_id for item in self.drafts if item.stripe_invoice_id not in used
        )
        if not unused:
            return []
        reason = "a draft that should not exist (any more)"
        return [self._action(ActionKind.WITHDRAW, reason, after=self.before, drafts=unused)]

    def _draft(self, revision: int) -> ActualInvoice | None:
        """The oldest draft of a revision; further ones are left over, and withdrawn."""
        return next((item for item in self.drafts if item.revision == revision), None)

    def _review(
        self, review_reasons: Sequence[ReviewReason], after: int | None = None
    ) -> InvoiceAction:
        if applies(self.proposal, review_reasons):
            return self._resolve(review_reasons)
        return self._action(
            ActionKind.REVIEW,
            "; ".join(review_reason.sentence for review_reason in review_reasons),
            after=self.before if after is None else after,
            review_reasons=frozenset(review_reason.full_code for review_reason in review_reasons),
        )

    def _proposed_early(self) -> InvoiceAction | None:
        """A proposed decision about a credit note made by hand: it can be asked for before the
        amount changes and the credit note causes a review."""
        review_reasons = [
            review_reason
            for review_reason in credited_by_hand(self.billed)
            if not review_reason.is_answered
        ]
        return (
            self._resolve(review_reasons)
            if review_reasons and applies(self.proposal, review_reasons)
            else None
        )

    def _resolve(self, review_reasons: Sequence[ReviewReason]) -> InvoiceAction:
        proposal = self.proposal
        assert proposal is not None, "a decision is carried out only where one is proposed"
        due = self.desired.total if self.desired else 0
        send, stands = None, self.before
        if proposal.decision is Decision.REISSUE:
            send = self._reissued(review_reasons)
            if send is None:
                text = "nothing is due, so there is nothing to bill again"
                return self._action(
                    ActionKind.REVIEW, f"{review_reasons[0].sentence}; {text}", after=stands
                )
            stands += send.total
        elif proposal.decision is Decision.ADOPT:
            stands += sum(item.total for item in _items(review_reasons) if item.is_draft)
        leaves = due - stands - self.adjusted
        step = resolution_step(
            proposal,
            review_reasons,
            self._identity(),
            0 if proposal.decision is Decision.REISSUE else leaves,
        )
        what = proposal.decision.value.replace("_", " ")
        return self._action(
            ActionKind.RESOLVE,
            f"{what}, by {proposal.decided_by}: {proposal.reason} "
            f"({'; '.join(review_reason.sentence for review_reason in review_reasons)})",
            after=stands,
            send=send,
            revision=send.revision if send else 1,
            review_reasons=frozenset(review_reason.full_code for review_reason in review_reasons),
            resolution=step,
        )

    def _reissued(self, review_reasons: Sequence[ReviewReason]) -> DesiredInvoice | None:
        """The invoice that replaces one that was voided or deleted, or a spoilt draft; None where
        nothing is due."""
        if self.desired is None:
            return None
        spoilt = [
            item.revision for item in _items(review_reasons) if item.is_draft and item.revision
        ]
        revision = spoilt[0] if spoilt else self._next_revision()
        if not self.billed and not self.adjusted:
            return replace(self.desired, revision=revision)
        return supplement(self.desired, self.billed, revision, (), self.adjusted)

    def _adopted_drafts(self, drafts: tuple[str, ...]) -> InvoiceAction:
        """Carry on a decision that was interrupted before the drafts were finalized as they
        stand."""
        step = ResolutionStep(Decision.ADOPT, "as decided", "", finalize=drafts)
        after = self.before + sum(i.total for i in self.held if i.stripe_invoice_id in drafts)
        reason = "an interrupted push left a draft that is to be finalized as it stands"
        return self._action(ActionKind.RESUME, reason, after=after, resolution=step)

    def _identity(self) -> dict[str, str]:
        return {
            metadata_keys.INVOICE_ID: self.invoice_id,
            metadata_keys.MONTH: self.month_key,
            metadata_keys.CUSTOMER_ID: self._customer(),
        }

    def _any_item(self) -> ActualInvoice:
        return self.billed[0] if self.billed else self.held[0]

    def _same_amount(self) -> str:
        if self.corrected and self.corrected.amount:
            later = format_minor(self.corrected.amount, self._currency())
            return f"billed as it should be; {later} of it on later invoices, as corrections"
        decided = [item.resolution for item in self.held if item.resolution is not None]
        if decided:
            words = sorted({item.decision.value.replace("_", " ") for item in decided})
            return f"billed as was decided ({', '.join(words)})"
        by_hand = sum(item.credited_by_hand for item in self.billed)
        if by_hand:
            credited = format_minor(by_hand, self._currency())
            return f"billed as it should be; {credited} credited by hand"
        return "billed as it should be"

    def _currency(self) -> str:
        if self.desired is not None:
            return self.desired.currency
        return self.held[0].currency if self.held else self._corrected().currency

    def _customer(self) -> str:
        if self.desired is not None:
            return self.desired.customer_id
        if not self.held:
            return self._corrected().customer_id
        return self.held[0].customer_id or self.held[0].stripe_customer_id

    def _corrected(self) -> Corrected:
        assert self.corrected is not None, "a case has something that is due, held or corrected"
        return self.corrected

    def _action(
        self, kind: ActionKind, reason: str, *, after: int | None = None, **more: Any
    ) -> InvoiceAction:
        return InvoiceAction(
            kind=kind,
            invoice_id=self.invoice_id,
            customer_id=self._customer(),
            currency=self._currency(),
            amount_before=self.before,
            amount_after=self.before + self.difference if after is None else after,
            reason=reason,
            **more,
        )


def _corrects(send: DesiredInvoice) -> str | None:
    """Why a first invoice that corrects closed months is not safe; None if it corrects none."""
    if not send.corrections:
        return None
    found = [
        f"{month} by {format_minor(amount, send.currency)}"
        for month, amount in send.corrections.items()
    ]
    return f"{CORRECTS} {', '.join(found)}"


def _items(review_reasons: Sequence[ReviewReason]) -> list[ActualInvoice]:
    return list(
        {
            review_reason.item.stripe_invoice_id: review_reason.item
            for review_reason in review_reasons
        }.values()
    )


def _draft_state(draft: ActualInvoice, send: DesiredInvoice) -> str:
    if not draft.lines:
        return "an interrupted push left a draft without lines"
    if draft.lines_hash == send.content_hash:
        return "an interrupted push left a draft that is only to be finalized"
    return "an interrupted push left a draft whose content has changed since"
