"""Stripe's invoices, reduced to the fields that our decisions need.

What belongs here: reading Stripe's JSON into frozen dataclasses, and the stand-in for an invoice
that only our own records have. What does not: fetching invoices (`refresh.py`) or comparing them
with what should be billed (`invoice_plan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any, TypeGuard, TypeVar

from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.resolutions import Resolution
from billing_pipeline.collection.stripe_state.set_aside import UnreadableError
from billing_pipeline.collection.stripe_state.wallet_payments import (
    UnreadableMarkError,
    WalletPayment,
    read_payments,
)
from billing_pipeline.money import CURRENCY_PLACES
from billing_pipeline.stripe_api.errors import unreadable_answer

T = TypeVar("T")

MAX_TIME = 253_402_300_799
"""The last second of the year 9999, epoch seconds: later times can be neither shown nor stored."""
MAX_AMOUNT = 2**53


class InvoiceStatus(StrEnum):
    """Stripe's own words."""

    DRAFT = "draft"
    OPEN = "open"
    UNCOLLECTIBLE = "uncollectible"
    PAID = "paid"
    VOID = "void"

    @property
    def rank(self) -> int:
        """How far along the invoice is. Answers may arrive in any order; a lower rank is older."""
        return {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}[self.value]


class PaymentState(StrEnum):
    """A payment that is under way, in Stripe's words: neither paid nor declined."""

    PROCESSING = "processing"
    """The bank has been asked for the money. A debit takes days; we wait for it."""
    REQUIRES_ACTION = "requires_action"
    """The customer has to confirm the payment; another try would not help."""


@dataclass(frozen=True)
class ActualLine:
    """A line as Stripe has it; `amount` in minor units, `line_id` None where it is not ours."""

    stripe_line_id: str
    line_id: str | None
    amount: int
    description: str = ""
    quantity: str = ""


@dataclass(frozen=True)
class ActualInvoice:
    """A Stripe invoice. Amounts in minor units; `currency` in upper case; times in epoch seconds.

    `credited` is by credit notes of ours, `credited_by_hand` by any others. `lines` is None
    where they were not needed and so not read. `metadata` has our marks as they were first seen,
    and `altered_marks` names those that were removed or changed in Stripe since.
    `payment` is the state of a payment under way, as read at `payment_read_at`; `failed_at` is when
    the first payment failed, as far as that is known. `unreadable` says which fields are not as
    Stripe's API describes them.
    """

    stripe_invoice_id: str
    stripe_customer_id: str
    status: InvoiceStatus
    currency: str
    total: int
    created: int
    metadata: Mapping[str, str]
    collection_method: str = "charge_automatically"
    amount_due: int = 0
    amount_paid: int = 0
    amount_remaining: int = 0
    credit_notes: int = 0
    pre_payment_credit: int = 0
    ending_balance: int = 0
    credited_by_hand: int = 0
    attempt_count: int = 0
    attempted: bool = False
    due_date: int | None = None
    days_until_due: int | None = None
    number: str | None = None
    finalized_at: int | None = None
    paid_at: int | None = None
    given_up_at: int | None = None
    next_payment_attempt: int | None = None
    hosted_invoice_url: str | None = None
    invoice_pdf: str | None = None
    is_revised: bool = False
    last_credit_number: int = 0
    last_error: str | None = None
    unreadable: str | None = None
    payment: PaymentState | None = None
    payment_read_at: int = 0
    failed_at: int | None = None
    lines: tuple[ActualLine, ...] | None = None
    customer_name: str | None = None
    customer_email: str | None = None
    altered_marks: tuple[str, ...] = ()
    line_ids: frozenset[str] = frozenset()
    """Lines of ours on an invoice that has lost marks: those that came with Stripe's object."""
    recorded_total: int | None = None
    """The total in our own records; None where they do not have the invoice."""
    is_record_altered: bool = False
    """True where our own record of it was changed after it was written."""
    is_gone: bool = False
    """True where Stripe does not have it (any more), and only our records know it."""

    @property
    def invoice_id(self) -> str | None:
        return self.metadata.get(metadata_keys.INVOICE_ID)

    @property
    def month_key(self) -> str | None:
        return self.metadata.get(metadata_keys.MONTH)

    @property
    def month(self) -> date | None:
        """The first day of its month; None where its mark cannot be read."""
        try:
            return date.fromisoformat(self.month_key or "")
        except ValueError:
            return None

    @property
    def revision(self) -> int | None:
        return _number(self.metadata.get(metadata_keys.REVISION)) or None

    @property
    def content_hash(self) -> str | None:
        return self.metadata.get(metadata_keys.CONTENT_HASH)

    @property
    def customer_id(self) -> str | None:
        return self.metadata.get(metadata_keys.CUSTOMER_ID)

    def payer_differs(self, stripe_customer_id: str | None) -> bool:
        """True where the accounts name a Stripe customer and it is another one."""
        return stripe_customer_id is not None and stripe_customer_id != self.stripe_customer_id

    @property
    def together(self) -> frozenset[str]:
        """The customer's other invoices in the plan that created it (`DesiredInvoice.together`)."""
        return frozenset(self.metadata.get(metadata_keys.TOGETHER, "").split())

    @property
    def billed_for(self) -> frozenset[str]:
        """The other customers whose lines stand on it, as `metadata_keys.customer_digest`."""
        return metadata_keys.billed_for(self.metadata)

    @property
    def resolution(self) -> Resolution | None:
        """What a person has decided about it, if anything."""
        return Resolution.parse(self.metadata.get(metadata_keys.RESOLVED, ""))

    @property
    def all_line_ids(self) -> frozenset[str]:
        """The lines of ours that stand on it, as far as they were read."""
        read = (line.line_id for line in self.lines or ())
        return self.line_ids.union(line_id for line_id in read if line_id is not None)

    @property
    def lines_hash(self) -> str | None:
        return self.metadata.get(metadata_keys.LINES_HASH)

    @property
    def is_draft(self) -> bool:
        return self.status is InvoiceStatus.DRAFT

    @property
    def is_billed(self) -> bool:
        """True where it is finalized and not void: the customer was asked to pay it."""
        return self.status not in (InvoiceStatus.DRAFT, InvoiceStatus.VOID)

    @property
    def credited(self) -> int:
        return self.credit_notes - self.credited_by_hand

    @property
    def net(self) -> int:
        """What we billed the customer by it: its total less our credit notes."""
        return self.total - self.credited if self.is_billed else 0

    @property
    def settled_by_balance(self) -> int:
        """What Stripe took from the customer's balance when it was finalized; below 0: put
        there."""
        if not self.is_billed:
            return 0
        return self.total - self.pre_payment_credit - self.amount_paid - self.amount_remaining

    @property
    def wallet_taken(self) -> int:
        """What the wallet has paid of it; below 0: what it put into the wallet. Our credit notes
        give back to the wallet only what nothing else paid; what a credit note made by hand puts on
        the balance does not belong to the wallet."""
        if self.wallet_declared < 0:
            return self.wallet_declared
        return max(0, min(self.wallet_declared, self.total - self.credited))

    @property
    def wallet_declared(self) -> int:
        """What the wallet paid of it when it was finalized; below 0: what it put into the
        wallet."""
        wallet = _signed(self.metadata.get(metadata_keys.WALLET_APPLIED))
        return wallet if self.is_billed else 0

    @property
    def committed(self) -> int:
        """The part of its total that is lines of commitments."""
        return _signed(self.metadata.get(metadata_keys.COMMITTED))

    @property
    def wallet_after_month(self) -> str | None:
        """The later month (``YYYY-MM-01``) whose invoices took from the wallet before it did."""
        month = self.metadata.get(metadata_keys.WALLET_AFTER)
        return month if is_month_key(month) else None

    @property
    def wallet_after_payment(self) -> int | None:
        """When the wallet had last paid an open invoice before this one took from it."""
        return _number(self.metadata.get(metadata_keys.WALLET_AFTER_PAYMENT)) or None

    @property
    def wallet_payments(self) -> tuple[WalletPayment, ...]:
        """What the wallet has paid of it since it was finalized."""
        return read_payments(self.stripe_invoice_id, self.metadata)

    @property
    def settled_outside_wallet(self) -> int:
        """As `settled_by_balance`, without the wallet: other credit, or, below 0, a debit that was
        charged with it."""
        return self.settled_by_balance - self.wallet_declared

    @property
    def is_wallet_held(self) -> bool:
        """True while part of the wallet is held back from this invoice (`wallets.py`)."""
        return bool(self.metadata.get(metadata_keys.WALLET_HOLD))

    @property
    def dunning_tries(self) -> int:
        """The number of our tries after the first charge. Stripe's `attempt_count` does not include
        tries by API, so we count them on the invoice."""
        return _number(self.metadata.get(metadata_keys.TRIES)) or 0

    @property
    def dunning_from(self) -> int:
        """The time from which dunning's due times count: as the last try has noted it on the
        invoice, or the first failure. Where neither is known, when it was finalized, since the
        first charge follows at once."""
        noted = _number(self.metadata.get(metadata_keys.FIRST_FAILURE))
        return noted or self.failed_at or self.finalized_at or 0

    @property
    def creditable(self) -> int:
        """The highest amount of a further credit note."""
        return max(0, self.total - self.credit_notes) if self.is_billed else 0


def read_invoice(data: Mapping[str, Any]) -> ActualInvoice:
    """One invoice object of Stripe's API.

    Fields that are not as the API describes them are named in `unreadable`. Such an invoice is not
    collected: it waits for a person, and stops nobody else.
    """
    fields = _Fields(data)
    transitions = fields.mapping("status_transitions")
    metadata = fields.metadata()
    pre = fields.whole("pre_payment_credit_notes_amount", least=0)
    post = fields.whole("post_payment_credit_notes_amount", least=0)
    invoice = ActualInvoice(
        stripe_invoice_id=data["id"],
        stripe_customer_id=_id(data.get("customer")) or "",
        status=fields.status(),
        currency=fields.currency(),
        total=fields.whole("total", needed=True),
        created=fields.whole("created", needed=True, least=0, most=MAX_TIME),
        metadata=metadata,
        collection_method=data.get("collection_method") or "charge_automatically",
        amount_due=fields.whole("amount_due"),
        amount_paid=fields.whole("amount_paid"),
        amount_remaining=fields.whole("amount_remaining"),
        credit_notes=pre + post,
        pre_payment_credit=pre,
        ending_balance=fields.whole("ending_balance"),
        attempt_count=fields.whole("attempt_count"),
        attempted=bool(data.get("attempted")),
        due_date=fields.time("due_date"),
        days_until_due=fields.whole("days_until_due") if data.get("days_until_due") else None,
        number=data.get("number"),
        finalized_at=_Fields(transitions, fields.odd).time("finalized_at"),
        paid_at=_Fields(transitions, fields.odd).time("paid_at"),
        given_up_at=_Fields(transitions, fields.odd).time("marked_uncollectible_at"),
        next_payment_attempt=fields.time("next_payment_attempt"),
        hosted_invoice_url=data.get("hosted_invoice_url"),
        invoice_pdf=data.get("invoice_pdf"),
        is_revised=bool(data.get("latest_revision")),
        last_error=metadata.get(metadata_keys.PAYMENT_NOTE),
        customer_name=data.get("customer_name"),
        customer_email=data.get("customer_email"),
    )

    if not fields.odd:
        return invoice
    return replace(invoice, unreadable=", ".join(fields.odd), amount_remaining=0)


def read_invoice_strictly(data: Mapping[str, Any]) -> ActualInvoice:
    """One invoice object on which the next step depends. Raises `StripeFailure` where it cannot be
    read: what Stripe did is not known then, so the step, or the next run, looks again."""
    invoice = read_invoice(data)
    if invoice.unreadable is not None:
        raise unreadable_answer(f"invoice {invoice.stripe_invoice_id}: {invoice.unreadable}")
    return invoice


def missing_invoice(
    stripe_invoice_id: str, metadata: Mapping[str, str], currency: str, total: int | None
) -> ActualInvoice:
    """The stand-in for an invoice that our records have and Stripe does not: it counts as void.
    `total` (minor units) None: only a decision about it is recorded."""
    return ActualInvoice(
        stripe_invoice_id,
        "",
        InvoiceStatus.VOID,
        currency,
        total or 0,
        created=0,
        metadata=metadata,
        recorded_total=total,
        is_gone=True,
    )


def is_month_key(text: Any) -> bool:
    """True for the first day of a month as written in our metadata: ``2024-01-01``."""
    try:
        return isinstance(text, str) and date.fromisoformat(text).isoformat() == text[:8] + "01"
    except ValueError:
        return False


def is_time(value: Any) -> TypeGuard[int]:
    """True for epoch seconds that can be shown and stored."""
    return type(value) is int and 0 <= value <= MAX_TIME


def read_time(value: Any) -> int:
    """Epoch seconds. Raises `UnreadableError`."""
    if not is_time(value):
        raise UnreadableError("its time cannot be read")
    return value


class _Fields:
    """Reads fields of an object; `odd` lists what is not as the API describes it."""

    def __init__(self, data: Mapping[str, Any], odd: list[str] | None = None) -> None:
        self._data = data
        self.odd: list[str] = [] if odd is None else odd

    def whole(
        self, name: str, *, needed: bool = False, least: int = -MAX_AMOUNT, most: int = MAX_AMOUNT
    ) -> int:
        value = self._data.get(name)
        if value is None and not needed:
            return 0
        if type(value) is int and least <= value <= most:
            return value
        return self._is_odd(name, 0)

    def time(self, name: str) -> int | None:
        value = self._data.get(name)
        if value is None or is_time(value):
            return value
        return self._is_odd(name, None)

    def mapping(self, name: str) -> Mapping[str, Any]:
        value = self._data.get(name)
        if value is None:
            return {}
        return value if isinstance(value, Mapping) else self._is_odd(name, {})

    def metadata(self) -> dict[str, str]:
        found = self.mapping("metadata")
        for name, value in found.items():
            if str(name).startswith(metadata_keys.PREFIX) and not isinstance(value, str):
                self.odd.append(f"its metadata {name} is {_shown(value)}")
        month = found.get(metadata_keys.MONTH)
        if month is not None and not is_month_key(month):
            self.odd.append(f"its metadata {metadata_keys.MONTH} is {_shown(month)}")
        texts = {str(name): str(value) for name, value in found.items()}
        try:
            read_payments("", texts)
        except UnreadableMarkError as error:
            self.odd.append(str(error))
        return texts

    def status(self) -> InvoiceStatus:
        try:
            return InvoiceStatus(self._data.get("status") or "")
        except ValueError:
            return self._is_odd("status", InvoiceStatus.OPEN)

    def currency(self) -> str:
        code = str(self._data.get("currency")).upper()
        return code if code in CURRENCY_PLACES else self._is_odd("currency", "")

    def _is_odd(self, name: str, instead: T) -> T:
        self.odd.append(f"its {name} is {_shown(self._data.get(name))}")
        return instead


def _shown(value: Any) -> str:
    return ascii(value)[:60]


def read_line(data: Mapping[str, Any]) -> ActualLine:
    """One line object of Stripe's API."""
    metadata = {
        name: value for name, value in (data.get("metadata") or {}).items() if type(value) is str
    }
    return ActualLine(
        stripe_line_id=data["id"],
        line_id=metadata.get(metadata_keys.LINE_ID),
        amount=int(data["amount"]),
        description=data.get("description") or "",
        quantity=metadata.get(metadata_keys.LINE_QUANTITY, ""),
    )


def needs_payment(item: ActualInvoice) -> bool:
    """True where it was finalized to be charged, and the charge was never tried: the push stopped
    in between. A debit that a bank is processing was tried, even if the invoice does not show it.
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


def _id(value: Any) -> str | None:
    # An expanded field holds the object instead of its id.
    return value.get("id") if isinstance(value, Mapping) else value


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _signed(text: str | None) -> int:
    return int(text) if text is not None and text.removeprefix("-").isdecimal() else 0
