"""What is compared: a line of ours, a line of the other system's, and a difference.

What belongs here: these three, and which kind of line a text describes. What does not: where lines
come from (``our_month``, ``their_file``, ``their_stripe``) and how they are paired (``matching``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing_pipeline.comparison.calculation import Tier

ROUNDING = "rounding"
BY_DAY = "proration by day"
LATE = "late usage"
TAX = "tax"
CURRENCY = "currency"
MISSING = "missing line"
EXTRA = "extra line"
DISCOUNT = "discount"
MINIMUM = "minimum"
PRICE = "price"
QUANTITY = "quantity"

CAUSES = (
    ROUNDING, BY_DAY, LATE, TAX, CURRENCY, MISSING, EXTRA, DISCOUNT, MINIMUM, PRICE, QUANTITY,
)  # fmt: skip

# Words by which a line of another system is recognized as something other than a charge.
_KINDS = (
    ("tax", re.compile(r"\b(tax|taxes|vat|[cis]?gst|hst|pst|qst|iva|tva|mwst|ust|btw|moms|φπα)\b")),
    ("minimum", re.compile(r"\b(minimum|true[- _]?up|min[.]? (fee|charge|spend))\b")),
    ("discount", re.compile(r"\b(discount|coupon|promo\w*|rebate|rabatt|voucher|\d+ ?% off)\b")),
)


@dataclass(frozen=True)
class Tax:
    """A rate that applies to a line."""

    tax_rate_id: str
    percentage: Decimal
    is_inclusive: bool


@dataclass(frozen=True)
class Usage:
    """A quantity that the other system may have counted, because some of the events came later."""

    quantity: Decimal
    events: int
    evidence: str
    is_sure: bool = True
    """False if the events may be missing there for another reason than coming late."""


@dataclass(frozen=True)
class OurLine:
    """A line that we bill, or a charge of 0, which is on no invoice."""

    line_id: str
    customer_id: str
    payer_id: str
    currency: str
    kind: str
    description: str
    amount: Decimal
    invoice_id: str | None = None
    charge_id: str | None = None
    quantity: Decimal | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    subscription_id: str | None = None
    plan_id: str | None = None
    price_id: str | None = None
    meter_id: str | None = None
    coupon_id: str | None = None
    tax_rate_id: str | None = None
    is_inclusive: bool = False
    calculation: str = ""
    discount_share: Decimal = Decimal(0)
    discounts: tuple[tuple[str, str], ...] = ()
    """Subscription and coupon of each discount that covers it."""
    taxes: tuple[Tax, ...] = ()
    usages: tuple[Usage, ...] = ()
    tiers: tuple[Tier, ...] = ()
    """All tiers of its price."""


@dataclass(frozen=True)
class TheirLine:
    """A line of the other system's export; `row` is its number in a spreadsheet."""

    row: int
    customer_id: str
    currency: str
    description: str
    amount: Decimal
    quantity: Decimal | None = None
    tax: Decimal | None = None
    line_reference: str | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    stated_kind: str | None = None

    @property
    def kind(self) -> str:
        """The stated kind, or by its text charge, minimum, discount or tax."""
        if self.stated_kind is not None:
            return self.stated_kind
        text = f"{self.description} {self.line_reference or ''}".lower()
        for kind, words in _KINDS:
            if words.search(text):
                # A charge that mentions tax ("incl. VAT") is not a tax line.
                if kind == "tax" and re.search(r"\b(incl|including|excl|excluding|before)\b", text):
                    continue
                return kind
        return "charge"


@dataclass(frozen=True)
class Difference:
    """A part of the difference between the other system's bill and ours, and its cause."""

    customer_id: str
    currency: str
    cause: str
    difference: Decimal
    ours: Decimal
    theirs: Decimal
    evidence: str
    description: str = ""
    their_description: str = ""
    invoice_id: str | None = None
    line_ids: tuple[str, ...] = ()
    their_rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """A part of the difference between two lines: its cause, its amount, and the evidence."""

    cause: str
    difference: Decimal
    evidence: str


@dataclass(frozen=True)
class Pair:
    """Lines that charge for the same thing: one of ours and one of theirs, or several on a side."""

    ours: tuple[OurLine, ...]
    theirs: tuple[TheirLine, ...]
    parts: tuple[Part, ...] = field(default=())

    @property
    def our_amount(self) -> Decimal:
        return sum((line.amount for line in self.ours), Decimal(0))

    @property
    def their_amount(self) -> Decimal:
        return sum((line.amount for line in self.theirs), Decimal(0))

    @property
    def difference(self) -> Decimal:
        return self.their_amount - self.our_amount
