"""Evidence that a customer was billed for a month before.

What belongs here: what makes a first invoice wait for a person, and which customer an invoice
belongs to that has lost its marks. Pure. What does not: reading any of it (`refresh.py`,
`recorded.py`), and the actions that follow (`invoice_plan.py`).

A first invoice is billed unattended. So every trace of an earlier one counts, however weak: a mark
of ours on another invoice, the Stripe customer, a charge that stands on another invoice, and, where
a billed customer has left the accounts, the same name or address. Where a customer's lines stand
on another's invoice (`bill_to`), traces of both count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from billing_pipeline.collection.plan.desired import ROLLED_UP, DesiredInvoice
from billing_pipeline.collection.plan.differences import CREDITED_AGAIN, NOT_BILLED
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.money import format_minor

StripeCustomers = Mapping[str, Collection[str]]
"""By our customer id: the Stripe customers that are known to belong to that customer."""

_NOT_CHARGE_LINES = (ROLLED_UP, CREDITED_AGAIN, NOT_BILLED)
"""Line ids that begin with these are made for an invoice and name no charge."""


class Witnesses:
    """What a month's first invoices are compared with: the invoices that Stripe holds for it.

    `customers_due` are our customers who are to be billed for the month. The traces are indexed,
    because after an interruption a large month has both many first invoices and many billed ones.
    """

    def __init__(
        self,
        held: Sequence[ActualInvoice],
        stripe_customers: StripeCustomers,
        customers_due: Collection[str],
    ) -> None:
        self._stripe_customers = stripe_customers
        self._by: dict[tuple[str, str], list[ActualInvoice]] = defaultdict(list)
        for item in held:
            if item.is_draft:
                continue
            for trace in _traces(item, has_left=item.customer_id not in customers_due):
                self._by[trace].append(item)

    def billed_before(self, send: DesiredInvoice) -> str | None:
        """Why this invoice is not the customer's first of the month, or None."""
        if not self._by:
            return None
        for how, value in self._asked(send):
            for item in self._by.get((how, value), ()):
                # Created by the same plan as this one, before an interruption: no evidence.
                if item.invoice_id == send.invoice_id or send.reference in item.together:
                    continue
                whose = f"customer {item.customer_id or item.stripe_customer_id}, {how}"
                return (
                    f"was billed for this month before: {item.stripe_invoice_id} of "
                    f"{format_minor(item.total, item.currency)} ({whose})"
                )
        return None

    def _asked(self, send: DesiredInvoice) -> Iterator[tuple[str, str]]:
        for customer_id in (send.customer_id, *send.billed_for):
            yield _CUSTOMER, customer_id
            yield _BILLED_FOR, metadata_keys.customer_digest(customer_id)
        for name in sorted(stripe_customers_of(send, self._stripe_customers)):
            yield _STRIPE_CUSTOMER, name
        for line_id in sorted(charges_of(send)):
            yield _CHARGE, line_id
        yield _ADDRESS, _folded(send.payer.email)
        yield _NAME, _folded(send.payer.name)


_CUSTOMER = "the same customer"
_BILLED_FOR = "on whose invoice this customer's lines stand"
_STRIPE_CUSTOMER = "the same Stripe customer"
_CHARGE = "which has a charge of this invoice"
_ADDRESS = "who is not billed any more and has the same e-mail address"
_NAME = "who is not billed any more and has the same name"


def _traces(item: ActualInvoice, *, has_left: bool) -> Iterator[tuple[str, str]]:
    """The traces that an invoice leaves of who was billed: each as a phrase and a value."""
    if item.customer_id:
        yield _CUSTOMER, item.customer_id
    for digest in item.billed_for:
        yield _BILLED_FOR, digest
    if item.stripe_customer_id:
        yield _STRIPE_CUSTOMER, item.stripe_customer_id
    for line_id in item.all_line_ids:
        yield _CHARGE, line_id
    if has_left and _folded(item.customer_email):
        yield _ADDRESS, _folded(item.customer_email)
    if has_left and _folded(item.customer_name):
        yield _NAME, _folded(item.customer_name)


def _folded(text: str | None) -> str:
    return (text or "").strip().casefold()


def stripe_customers_of(send: DesiredInvoice, known: StripeCustomers) -> set[str]:
    """The Stripe customers that are known to be this payer."""
    named = send.payer.stripe_customer_id
    return {*known.get(send.customer_id, ()), *([named] if named else [])}


def charges_of(send: DesiredInvoice) -> set[str]:
    """The ids of the lines that name a charge: they are the same on any invoice."""
    return {line.line_id for line in send.lines if not line.line_id.startswith(_NOT_CHARGE_LINES)}


def attribute_lost(
    lost: Iterable[ActualInvoice],
    desired: Sequence[DesiredInvoice],
    known: StripeCustomers,
    *,
    month_key: str,
    month_end: int,
) -> list[ActualInvoice]:
    """The invoices with lost marks that may belong to this month, with the marks they would have.

    An invoice that has lost its month can belong to any month that was over when it was created
    (`month_end`: epoch seconds). It counts for the customer whose charge it has, whose mark it
    still carries, or whose Stripe customer it belongs to.
    """
    found = []
    for item in lost:
        is_of_month = item.month_key == month_key or item.created >= month_end
        owner = _owner(item, desired, known, is_of_month=is_of_month)
        if owner is None:
            continue
        marks = {
            metadata_keys.INVOICE_ID: item.invoice_id or owner.invoice_id,
            metadata_keys.MONTH: month_key,
            metadata_keys.REVISION: str(item.revision or 1),
            metadata_keys.CUSTOMER_ID: item.customer_id or owner.customer_id,
        }
        missing = tuple(name for name in marks if name not in item.metadata)
        found.append(
            replace(
                item,
                metadata={**item.metadata, **marks},
                altered_marks=tuple(dict.fromkeys([*item.altered_marks, *missing])),
            )
        )
    return found


def _owner(
    item: ActualInvoice,
    desired: Sequence[DesiredInvoice],
    known: StripeCustomers,
    *,
    is_of_month: bool,
) -> DesiredInvoice | None:
    """The desired invoice that this one most likely is; None where none is likely."""

    def likeness(send: DesiredInvoice) -> tuple[bool, bool, bool]:
        is_the_customer = item.customer_id == send.customer_id or (
            item.customer_id is None and item.stripe_customer_id in stripe_customers_of(send, known)
        )
        return (
            item.invoice_id == send.invoice_id or bool(charges_of(send) & item.all_line_ids),
            is_the_customer and is_of_month,
            item.currency == send.currency,
        )

    best = max(desired, key=likeness, default=None)
    return best if best is not None and any(likeness(best)[:2]) else None
