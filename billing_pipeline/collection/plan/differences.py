"""What a supplementary invoice says, and why a month's amount changed.

What belongs here: the difference between what was billed and what should be, line by line, as
lines of an invoice and as a sentence. What does not: whether it becomes a supplement or a
credit (`invoice_plan.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from billing_pipeline.collection.plan.desired import DesiredInvoice, DesiredLine, roll_up
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice, ActualLine
from billing_pipeline.collection.stripe_state.texts import clean_text
from billing_pipeline.money import format_minor, format_minor_change
from billing_pipeline.text import counted, first_few

CREDITED_AGAIN = "credited-charged-again"
"""The line that takes back what credit notes gave, where more is due again."""
NOT_BILLED = "decided-not-to-be-billed"
"""The line that leaves out what a person has decided not to bill (`resolutions.py`)."""

BALANCING = (CREDITED_AGAIN, NOT_BILLED)


@dataclass(frozen=True)
class _Billed:
    """All that was billed under one line id, over the original and its supplements."""

    amount: int
    description: str
    quantity: str
    """As last billed."""


@dataclass
class Causes:
    """Why lines changed, counted."""

    usage: int = 0
    price: int = 0
    added: int = 0
    dropped: int = 0
    follows: int = 0
    details: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        phrases = [
            text.format(counted(count, "line"))
            for count, text in (
                (self.usage, "usage changed on {} (late usage or a correction)"),
                (self.price, "price changed on {}"),
                (self.added, "{} added"),
                (self.dropped, "{} no longer due"),
                (self.follows, "{} of discount, minimum or tax"),
            )
            if count
        ]
        shown = "; ".join(first_few(self.details, 3))
        return f"{', '.join(phrases)} [{shown}]" if phrases else "no line changed"


def explain(desired: DesiredInvoice | None, billed: Sequence[ActualInvoice]) -> str:
    """Why the amount due is not the amount billed, as far as the lines show."""
    if desired is None:
        return "nothing is due for this month any more (account, price or usage changed)"
    causes = Causes()
    before = billed_lines(billed)
    for line in desired.lines:
        old = before.get(line.line_id)
        if old is not None and old.amount == line.amount:
            continue
        if line.kind != "charge":
            causes.follows += 1
        elif old is None:
            causes.added += 1
        elif line.quantity != old.quantity:
            causes.usage += 1
        else:
            causes.price += 1
        change = line.amount - (old.amount if old else 0)
        causes.details.append(_change(line.description, change, desired.currency))
    now = {line.line_id for line in desired.lines}
    for line_id, old in before.items():
        if line_id not in now and line_id not in BALANCING and old.amount:
            causes.dropped += 1
            causes.details.append(_change(old.description, -old.amount, desired.currency))
    again = sum(item.credited for item in billed)
    again -= before[CREDITED_AGAIN].amount if CREDITED_AGAIN in before else 0
    if again and not causes.details:
        return f"{format_minor(again, desired.currency)} was credited earlier and is due again"
    return causes.sentence()


def supplement(
    desired: DesiredInvoice,
    billed: Sequence[ActualInvoice],
    revision: int,
    settled: Sequence[ActualInvoice],
    adjustment: int,
) -> DesiredInvoice | None:
    """The invoice for the difference, or None where Stripe's lines do not add up to its totals.

    Each line is the change of one line: new, dropped, or another amount. What credit notes gave
    back and is due again has a line of its own, so that the sum is exactly the difference. So has
    what a decision leaves unbilled: `settled` are void invoices that by decision are not billed
    again, and `adjustment` is what counts as billed beyond `billed` (minor units).
    """
    before = billed_lines([*billed, *settled])
    lines = [
        line._replace(
            kind="correction",
            amount=line.amount - (before[line.line_id].amount if line.line_id in before else 0),
            description=clean_text(f"Correction: {line.description}"),
        )
        for line in desired.lines
    ]
    now = {line.line_id for line in desired.lines}
    lines += [
        DesiredLine(
            line_id, "correction", clean_text(f"Correction: {old.description}"), -old.amount
        )
        for line_id, old in sorted(before.items())
        if line_id not in now and line_id not in BALANCING
    ]

    def balancing(line_id: str, text: str, amount: int) -> DesiredLine:
        present = before[line_id].amount if line_id in before else 0
        return DesiredLine(line_id, "correction", text, amount - present)

    credited = sum(invoice.credited for invoice in billed)
    lines.append(balancing(CREDITED_AGAIN, "Credited earlier and due again", credited))
    void = sum(invoice.total for invoice in settled)
    lines.append(balancing(NOT_BILLED, "Decided earlier: not billed", void - adjustment))
    due = desired.total - sum(invoice.net for invoice in billed) - adjustment
    from_wallet = desired.wallet_applied - sum(invoice.wallet_taken for invoice in billed)
    difference = replace(
        desired,
        revision=revision,
        lines=roll_up(tuple(line for line in lines if line.amount)),
        # What the wallet pays of the whole month (or gets from it), less what it has paid so far.
        wallet_applied=max(min(0, due), min(max(0, due), from_wallet)),
        committed=desired.committed - sum(invoice.committed for invoice in billed),
    )
    return difference if difference.total == due else None


def billed_lines(billed: Sequence[ActualInvoice]) -> dict[str, _Billed]:
    """What was billed under each line id, over the original and its supplements."""
    grouped: dict[str, list[ActualLine]] = defaultdict(list)
    for invoice in sorted(billed, key=lambda item: item.revision or 0):
        for line in invoice.lines or ():
            # A line that is not ours gets an id that no desired line has.
            grouped[line.line_id or f"foreign-{line.stripe_line_id}"].append(line)
    return {
        line_id: _Billed(
            amount=sum(line.amount for line in lines),
            description=lines[0].description,
            quantity=lines[-1].quantity,
        )
        for line_id, lines in grouped.items()
    }


def _change(description: str, change: int, currency: str) -> str:
    return f"{clean_text(description, 60)} {format_minor_change(change, currency)}"
