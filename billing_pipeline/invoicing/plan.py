"""The invoice plan: what would bring Stripe from what it holds to what should be billed.

What belongs here: one pure function that decides everything, for the preview and for the real
run alike, and the plan's hash. What does not: reading either side, sending anything, or showing
the plan (`plan_report.py`).

All comparisons are between whole minor units: what was billed is the original plus supplements
less our credit notes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from billing_pipeline.invoicing.actual import ActualInvoice, ActualLine, InvoiceStatus
from billing_pipeline.invoicing.desired import DesiredInvoice, short_hash
from billing_pipeline.invoicing.differences import explain, supplement
from billing_pipeline.invoicing.money import show, to_major


class ActionKind(StrEnum):
    """What happens to one invoice of ours."""

    CREATE = "create"
    RESUME = "resume"
    UNCHANGED = "unchanged"
    SUPPLEMENT = "supplement"
    CREDIT = "credit"
    WITHDRAW = "withdraw"
    REVIEW = "review"

    @property
    def is_safe(self) -> bool:
        """True where nothing changes that a customer has already been billed (contract, 6)."""
        return self in (ActionKind.CREATE, ActionKind.RESUME, ActionKind.UNCHANGED)


@dataclass(frozen=True)
class CreditPart:
    """A credit note on one Stripe invoice. `number` counts our credit notes on it from 1."""

    stripe_invoice_id: str
    revision: int
    number: int
    amount: int


@dataclass(frozen=True)
class InvoiceAction:
    """One action. Amounts in minor units: what the customer is billed for the month before and
    after it. `send` is the invoice to bring to its end (create, resume, supplement)."""

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

    @property
    def is_safe(self) -> bool:
        return self.kind.is_safe

    @property
    def key(self) -> tuple[str, str, int]:
        """Names the action within its plan."""
        return (self.invoice_id, self.kind.value, self.revision)

    def canonical(self) -> list[Any]:
        return [
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


@dataclass(frozen=True)
class Limits:
    """What the operator lets pass unattended; None: no limit."""

    max_invoice_total: Decimal | None = None
    """Major units, in whatever currency the invoice has."""
    max_month_change_percent: Decimal | None = None


@dataclass(frozen=True)
class InvoicePlan:
    """The whole plan of a month. `held_by`: the limits that make all of it wait."""

    month_key: str
    account_id: str
    actions: tuple[InvoiceAction, ...]
    held_by: tuple[str, ...] = ()
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        # What is unchanged is left out: it asks for nobody's consent.
        content = [action.canonical() for action in self.changes]
        object.__setattr__(self, "hash", short_hash([self.month_key, self.account_id, content]))

    @property
    def changes(self) -> tuple[InvoiceAction, ...]:
        return tuple(a for a in self.actions if a.kind is not ActionKind.UNCHANGED)

    @property
    def safe(self) -> tuple[InvoiceAction, ...]:
        """What may be applied unattended: nothing at all where a limit holds the plan."""
        return () if self.held_by else tuple(a for a in self.changes if a.is_safe)

    @property
    def waiting(self) -> tuple[InvoiceAction, ...]:
        """What waits for a person."""
        return self.changes if self.held_by else tuple(a for a in self.changes if not a.is_safe)

    @property
    def needs_approval(self) -> bool:
        return bool(self.waiting)


def plan(
    desired: Iterable[DesiredInvoice],
    actual: Iterable[ActualInvoice],
    *,
    month_key: str,
    account_id: str = "",
    limits: Limits | None = None,
    previous_totals: Mapping[str, int] | None = None,
) -> InvoicePlan:
    """Compare what should be billed for a month with what Stripe holds.

    Pure: the same input gives the same plan and hash. `actual` are the invoices marked with this
    month; lines must have been read for drafts and wherever the amounts differ.
    `previous_totals`: what the month before was billed, by currency, for the limits.
    """
    wanted = {invoice.invoice_id: invoice for invoice in desired}
    held: dict[str, list[ActualInvoice]] = defaultdict(list)
    for invoice in sorted(actual, key=lambda item: (item.created, item.stripe_invoice_id)):
        held[invoice.invoice_id or invoice.stripe_invoice_id].append(invoice)
    actions: list[InvoiceAction] = []
    for invoice_id in sorted({*wanted, *held}):
        actions += _Case(invoice_id, wanted.get(invoice_id), tuple(held[invoice_id])).actions()
    held_by = _broken_limits(actions, limits or Limits(), previous_totals or {})
    return InvoicePlan(month_key, account_id, tuple(actions), held_by)


class _Case:
    """One invoice of ours: what it should be, and all that Stripe has under its id."""

    def __init__(
        self, invoice_id: str, desired: DesiredInvoice | None, held: tuple[ActualInvoice, ...]
    ) -> None:
        self.invoice_id = invoice_id
        self.desired = desired
        self.held = held
        self.billed = [item for item in held if item.is_billed]
        self.drafts = [item for item in held if item.is_draft]
        self.before = sum(item.net for item in self.billed)
        self.after = desired.total if desired else 0
        self.difference = self.after - self.before

    def actions(self) -> list[InvoiceAction]:
        doubt = self._doubt()
        if doubt:
            return [self._action(ActionKind.REVIEW, doubt, after=self.before)]
        main = self._billed_case() if self.billed else self._first_case()
        return main + self._withdrawals(main)

    def _first_case(self) -> list[InvoiceAction]:
        """Nothing was billed yet."""
        if self.desired is None:
            return []
        draft = self._draft(1)
        if draft is None:
            return [self._action(ActionKind.CREATE, "not billed yet", send=self.desired)]
        doubt = draft_doubt(draft, self.desired)
        if doubt:
            return [self._action(ActionKind.REVIEW, doubt, after=0)]
        return [
            self._action(ActionKind.RESUME, _draft_state(draft, self.desired), send=self.desired)
        ]

    def _billed_case(self) -> list[InvoiceAction]:
        if self.difference == 0:
            open_ends = tuple(
                item.stripe_invoice_id
                for item in self.billed
                if needs_payment(item) or item.is_wallet_held
            )
            if open_ends:
                reason = "finalized, and interrupted before its payment"
                return [self._action(ActionKind.RESUME, reason, finish=open_ends)]
            return [self._action(ActionKind.UNCHANGED, self._same_amount())]
        if self.difference < 0 and self._creditable() >= -self.difference:
            reason = f"less is due: {explain(self.desired, self.billed)}"
            return [self._action(ActionKind.CREDIT, reason, credits=self._credits())]
        return [self._supplement()]

    def _supplement(self) -> InvoiceAction:
        revision = 1 + max(item.revision or 1 for item in self.held if not item.is_draft)
        if self.desired is None:
            reason = "nothing is due any more, and credit notes cannot take back that much"
            return self._action(ActionKind.REVIEW, reason, after=self.before)
        send = supplement(self.desired, self.billed, revision)
        if send is None:
            reason = "the lines in Stripe do not add up to its totals"
            return self._action(ActionKind.REVIEW, reason, after=self.before)
        draft = self._draft(revision)
        if draft is not None:
            doubt = draft_doubt(draft, send)
            if doubt:
                return self._action(ActionKind.REVIEW, doubt, after=self.before)
            # The same content was approved when the draft was made; another was not.
            if draft.content_hash == send.content_hash:
                reason = f"supplement approved earlier: {_draft_state(draft, send)}"
                return self._action(ActionKind.RESUME, reason, send=send, revision=revision)
        direction = "more" if self.difference > 0 else "less (beyond what can be credited)"
        reason = f"{direction} is due: {explain(self.desired, self.billed)}"
        return self._action(ActionKind.SUPPLEMENT, reason, send=send, revision=revision)

    def _credits(self) -> tuple[CreditPart, ...]:
        """The original first, then its supplements, none beyond what is left of it."""
        left, parts = -self.difference, []
        for item in sorted(self.billed, key=lambda item: item.revision or 0):
            amount = min(left, item.creditable)
            if amount > 0:
                number = item.last_credit_number + 1
                revision = item.revision or 1
                parts.append(CreditPart(item.stripe_invoice_id, revision, number, amount))
                left -= amount
        assert left == 0, "credits must add up to the difference"
        return tuple(parts)

    def _creditable(self) -> int:
        return sum(item.creditable for item in self.billed)

    def _withdrawals(self, main: Sequence[InvoiceAction]) -> list[InvoiceAction]:
        """Drafts that nothing above brings to an end."""
        if any(action.kind is ActionKind.REVIEW for action in main):
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
        """The oldest draft of a revision: a second one is left over and withdrawn."""
        return next((item for item in self.drafts if item.revision == revision), None)

    def _doubt(self) -> str | None:
        """What only a person can judge, or None."""
        for item in self.held:
            doubt = self._doubt_about(item)
            if doubt:
                return f"{item.stripe_invoice_id}: {doubt}"
        revisions = [item.revision for item in self.billed]
        if len(set(revisions)) < len(revisions):
            ids = ", ".join(item.stripe_invoice_id for item in self.billed)
            return f"billed more than once under one revision: {ids}"
        if self.desired is not None and any(i.status is InvoiceStatus.VOID for i in self.held):
            return "an invoice of this customer and month was voided in Stripe"
        by_hand = sum(item.credited_by_hand for item in self.billed)
        if by_hand and self.difference:
            amount = show(by_hand, self.billed[0].currency)
            return f"{amount} was credited by hand in Stripe, and the month's amount has changed"
        if self.billed and 1 not in revisions:
            return "there is a supplementary invoice and no original"
        return None

    def _doubt_about(self, item: ActualInvoice) -> str | None:
        if item.unreadable is not None:
            return f"cannot be read: {item.unreadable}"
        if item.invoice_id is None or item.revision is None:
            return "marked as ours, but its billing metadata was removed or changed"
        if item.is_revised:
            return "was revised by hand in Stripe"
        if self.desired is not None and item.currency != self.desired.currency:
            return f"is in {item.currency}, not in {self.desired.currency}"
        return None

    def _same_amount(self) -> str:
        by_hand = sum(item.credited_by_hand for item in self.billed)
        if by_hand:
            return f"billed as it should be; {show(by_hand, self._currency())} credited by hand"
        return "billed as it should be"

    def _currency(self) -> str:
        return self.desired.currency if self.desired else self.held[0].currency

    def _action(
        self,
        kind: ActionKind,
        reason: str,
        *,
        send: DesiredInvoice | None = None,
        after: int | None = None,
        revision: int = 1,
        credits: tuple[CreditPart, ...] = (),  # noqa: A002 (the field's name)
        drafts: tuple[str, ...] = (),
        finish: tuple[str, ...] = (),
    ) -> InvoiceAction:
        return InvoiceAction(
            kind=kind,
            invoice_id=self.invoice_id,
            customer_id=self.desired.customer_id if self.desired else self._held_customer(),
            currency=self._currency(),
            amount_before=self.before,
            amount_after=self.after if after is None else after,
            reason=reason,
            revision=revision,
            send=send,
            credits=credits,
            drafts=drafts,
            finish=finish,
        )

    def _held_customer(self) -> str:
        return self.held[0].customer_id or self.held[0].stripe_customer_id


def needs_payment(item: ActualInvoice) -> bool:
    """Finalized to be charged, and the charge was never tried: the push stopped in between.

    A debit that the bank is still processing was tried, whatever the invoice itself says.
    """
    return (
        item.status is InvoiceStatus.OPEN
        and item.collection_method == "charge_automatically"
        and item.amount_remaining > 0
        and item.attempt_count == 0
        and not item.attempted
        and item.last_error is None
        and item.payment is None
    )


def draft_doubt(draft: ActualInvoice, send: DesiredInvoice) -> str | None:
    """Why a draft must not be finished without a person, or None.

    Lines and their mark are put on in one call. Lines without a mark, lines that are not ours,
    and lines that are not those the mark stands for were made by someone else.
    """
    lines = draft.lines or ()
    if draft.payer_differs(send.payer.stripe_customer_id):
        return f"{draft.stripe_invoice_id}: the draft belongs to another Stripe customer"
    if lines and draft.lines_hash is None:
        return f"{draft.stripe_invoice_id}: lines were added to the draft by hand"
    if any(line.line_id is None for line in lines):
        return f"{draft.stripe_invoice_id}: the draft has lines that are not ours"
    if draft.lines_hash == send.content_hash and not same_lines(lines, send):
        return f"{draft.stripe_invoice_id}: the draft's lines were edited by hand"
    return None


def same_lines(lines: Sequence[ActualLine], send: DesiredInvoice) -> bool:
    """True where the lines in Stripe are exactly ours, whatever their order."""
    theirs = sorted((line.line_id or "", line.amount) for line in lines)
    return theirs == sorted((line.line_id, line.amount) for line in send.lines)


def _draft_state(draft: ActualInvoice, send: DesiredInvoice) -> str:
    if not draft.lines:
        return "an interrupted push left a draft without lines"
    if draft.lines_hash == send.content_hash:
        return "an interrupted push left a draft that is only to be finalized"
    return "an interrupted push left a draft whose content has changed since"


def _broken_limits(
    actions: Sequence[InvoiceAction], limits: Limits, previous: Mapping[str, int]
) -> tuple[str, ...]:
    """The limits that this plan exceeds, as sentences. A plan that sends nothing exceeds none."""
    sending = [action for action in actions if action.send is not None]
    if not sending:
        return ()
    broken = []
    if limits.max_invoice_total is not None:
        for action in sending:
            assert action.send is not None
            if to_major(abs(action.send.total), action.currency) > limits.max_invoice_total:
                broken.append(
                    f"{action.invoice_id} of customer {action.customer_id} is "
                    f"{show(action.send.total, action.currency)}: above BILLING_MAX_INVOICE_TOTAL "
                    f"{limits.max_invoice_total}"
                )
    if limits.max_month_change_percent is not None:
        broken += _month_change(actions, limits.max_month_change_percent, previous)
    return tuple(broken)


def _month_change(
    actions: Sequence[InvoiceAction], percent: Decimal, previous: Mapping[str, int]
) -> list[str]:
    after: dict[str, int] = defaultdict(int)
    for action in actions:
        if action.kind is not ActionKind.WITHDRAW:
            after[action.currency] += action.amount_after
    return [
        f"the month's total in {currency} is {show(after[currency], currency)} after "
        f"{show(total, currency)} the month before: a change above "
        f"BILLING_MAX_MONTH_CHANGE_PERCENT {percent}"
        for currency, total in sorted(previous.items())
        if total > 0 and Decimal(abs(after[currency] - total)) * 100 > percent * total
    ]
