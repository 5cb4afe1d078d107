"""The lines that correct a closed month: what it would be billed today, less what it was billed.

What belongs here: the difference between an invoice as it would be and as it was billed, line by
line and tax by tax. Pure. What does not: reading either side, and whether a month is closed
(``plan.closed_books``).

What was billed is the month's own invoice and what later invoices have corrected of it. So the
same inputs give no second correction, and changed inputs give only the further difference. The
corrections of an invoice, with their taxes, add up to the difference of its total.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from billing_pipeline.collection.plan.closed_books import correction_id
from billing_pipeline.money import CURRENCY_PLACES, format_quantity, with_places
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.corrections import Correction, CorrectionTax

NOTHING = Decimal(0)
REST = "rest"
"""The line for what no line of an invoice accounts for: credit notes, and lines that only Stripe
has."""
_NET_KINDS = ("charge", "minimum")


class Line(NamedTuple):
    """A line of an invoice; amounts in major units."""

    line_id: str
    kind: str
    customer_id: str
    subscription_id: str | None
    charge_id: str | None
    price_id: str | None
    tax_rate_id: str | None
    is_inclusive: bool
    description: str
    quantity: Decimal | None
    amount: Decimal
    discount_share: Decimal
    period_start: datetime | None
    period_end: datetime | None
    calculation: str | None


class LineTax(NamedTuple):
    """One tax rate on one line; amounts in major units."""

    line_id: str
    tax_rate_id: str
    percentage: Decimal
    is_inclusive: bool
    tax_base: Decimal
    tax_amount: Decimal


@dataclass(frozen=True)
class InvoiceContent:
    """The lines of an invoice, by id, and the taxes on them, by line and rate."""

    lines: Mapping[str, Line] = field(default_factory=dict)
    taxes: Mapping[tuple[str, str], LineTax] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Iterable[Line], taxes: Iterable[LineTax] = ()) -> InvoiceContent:
        return cls(
            {line.line_id: line for line in lines},
            {(tax.line_id, tax.tax_rate_id): tax for tax in taxes},
        )

    @property
    def total(self) -> Decimal:
        """In major units, without inclusive taxes: the prices contain those already."""
        amounts = (line.amount for line in self.lines.values() if not line.is_inclusive)
        return sum(amounts, NOTHING)


@dataclass(frozen=True)
class InvoiceCorrections:
    """What later invoices have billed, or would bill, for one invoice of a closed month."""

    lines: tuple[Correction, ...] = ()
    taxes: tuple[CorrectionTax, ...] = ()

    @property
    def total(self) -> Decimal:
        """In major units, without inclusive taxes."""
        amounts = (line.amount for line in self.lines if not line.is_inclusive)
        return sum(amounts, NOTHING)


@dataclass(frozen=True)
class ClosedInvoice:
    """An invoice of a month whose books are closed. `now`: as it would be billed today; `billed`:
    as it was billed; `elsewhere`: what corrections on other invoices have billed for it; `net`:
    what was billed of it in Stripe, in major units, without those corrections. `moved`: lines that
    were billed on another invoice of the month, such as that of another payer or currency."""

    invoice_id: str
    month: BillingMonth
    payer_id: str
    currency: str
    now: InvoiceContent
    billed: InvoiceContent
    elsewhere: InvoiceCorrections
    net: Decimal
    moved: Collection[str] = ()

    @property
    def difference(self) -> Decimal:
        """What is due beyond all that was billed, in major units; below 0: too much was billed."""
        return self.now.total - self.net - self.elsewhere.total


def corrections_of(invoice: ClosedInvoice) -> InvoiceCorrections:
    """A correction for each line that changed; none where the invoice's total is what was billed.
    The corrections and their taxes add up to the difference."""
    if not invoice.difference:
        return InvoiceCorrections()
    before = _amounts_elsewhere(invoice.elsewhere)
    names = {**invoice.now.lines, **invoice.billed.lines, **dict.fromkeys(before)}
    lines = [
        line
        for name in names
        for line in [_correction(invoice, name, before.get(name))]
        if line is not None
    ]
    accounted = sum((line.amount for line in lines if not line.is_inclusive), NOTHING)
    if accounted != invoice.difference:
        rest = invoice.difference - accounted
        lines.append(
            rest_line(
                *(invoice.invoice_id, invoice.month, invoice.payer_id, invoice.currency, rest),
                amount_before=-rest,
                description=f"Correction of {invoice.month.name}: credited or decided earlier",
                calculation=f"what no line accounts for: {rest:f} {invoice.currency}",
            )
        )
    return InvoiceCorrections(tuple(lines), tuple(_taxes(invoice, lines)))


class _Before(NamedTuple):
    """What corrections on other invoices have billed of a line, in sum, and the latest of them."""

    latest: Correction
    amount: Decimal
    net_amount: Decimal
    quantity: Decimal


def _amounts_elsewhere(elsewhere: InvoiceCorrections) -> dict[str, _Before]:
    found: dict[str, _Before] = {}
    for line in elsewhere.lines:
        known = found.get(line.corrected_line_id)
        found[line.corrected_line_id] = _Before(
            line,
            line.amount + (known.amount if known else 0),
            line.net_amount + (known.net_amount if known else 0),
            (line.quantity or 0) + (known.quantity if known else NOTHING),
        )
    return found


def _correction(invoice: ClosedInvoice, name: str, before: _Before | None) -> Correction | None:
    now, billed = invoice.now.lines.get(name), invoice.billed.lines.get(name)
    present = now.amount if now else NOTHING
    former = (billed.amount if billed else NOTHING) + (before.amount if before else NOTHING)
    if present == former:
        return None
    shown = now or billed
    if shown is None:
        assert before is not None, "a line is due, was billed, or was corrected"
        return _reversal(invoice, before)
    quantity = _quantity(now, billed, before) if shown.kind == "charge" else None
    net = _net(now) - _net(billed) - (before.net_amount if before else NOTHING)
    return Correction(
        corrected_month=invoice.month.first_day,
        corrected_line_id=name,
        corrected_kind=shown.kind,
        line_id=_line_id(invoice, name, billed, before),
        kind="tax" if shown.kind == "tax" else "correction",
        payer_id=invoice.payer_id,
        customer_id=shown.customer_id,
        subscription_id=shown.subscription_id,
        charge_id=shown.charge_id,
        price_id=shown.price_id,
        tax_rate_id=shown.tax_rate_id,
        is_inclusive=shown.is_inclusive,
        description=_description(invoice.month, shown.description, quantity),
        quantity=quantity or None,
        amount=present - former,
        amount_before=former,
        amount_now=present,
        net_amount=net if shown.kind in _NET_KINDS else NOTHING,
        currency=invoice.currency,
        period_start=shown.period_start,
        period_end=shown.period_end,
        calculation=_calculation(invoice.currency, now, billed, before),
    )


def _line_id(invoice: ClosedInvoice, name: str, billed: Line | None, before: _Before | None) -> str:
    if before is not None:
        return before.latest.line_id
    is_moved = billed is None and name in invoice.moved
    return correction_id(name, invoice.month, invoice.invoice_id if is_moved else None)


def _reversal(invoice: ClosedInvoice, before: _Before) -> Correction:
    """The reversal of earlier corrections of a line that was not on the month's own invoice and
    would not be on it today."""
    return before.latest._replace(
        quantity=-before.quantity or None,
        amount=-before.amount,
        amount_before=before.amount,
        amount_now=NOTHING,
        net_amount=-before.net_amount,
        calculation=_calculation(invoice.currency, None, None, before),
    )


def rest_line(
    invoice_id: str,
    month: BillingMonth,
    payer_id: str,
    currency: str,
    amount: Decimal,
    *,
    amount_before: Decimal,
    description: str,
    calculation: str,
) -> Correction:
    """A correction of an invoice that is of none of its lines."""
    name = f"{REST}_{invoice_id}"
    return Correction(
        corrected_month=month.first_day,
        corrected_line_id=name,
        corrected_kind=REST,
        line_id=correction_id(name, month),
        kind="correction",
        payer_id=payer_id,
        customer_id=payer_id,
        subscription_id=None,
        charge_id=None,
        price_id=None,
        tax_rate_id=None,
        is_inclusive=False,
        description=description,
        quantity=None,
        amount=amount,
        amount_before=amount_before,
        amount_now=amount_before + amount,
        net_amount=NOTHING,
        currency=currency,
        period_start=None,
        period_end=None,
        calculation=calculation,
    )


def _net(line: Line | None) -> Decimal:
    return line.amount - line.discount_share if line is not None else NOTHING


def _quantity(now: Line | None, billed: Line | None, before: _Before | None) -> Decimal:
    present = (now.quantity if now else None) or NOTHING
    former = (billed.quantity if billed else None) or NOTHING
    return present - former - (before.quantity if before else NOTHING)


def _description(month: BillingMonth, text: str, quantity: Decimal | None) -> str:
    """``Correction of January 2024: API calls, 1,200 more``."""
    more = ""
    if quantity:
        more = f", {format_quantity(abs(quantity))} {'more' if quantity > 0 else 'less'}"
    return f"Correction of {month.name}: {text}{more}"


def _calculation(
    currency: str, now: Line | None, billed: Line | None, before: _Before | None
) -> str:
    def shown(amount: Decimal) -> str:
        return f"{with_places(amount, currency):f}"

    parts = [
        f"{shown(_amount(now))} by what is known now",
        f"less {shown(_amount(billed))} as billed",
    ]
    if before is not None:
        parts.append(f"less {shown(before.amount)} corrected before")
    amount = _amount(now) - _amount(billed) - (before.amount if before else NOTHING)
    parts.append(f"= {shown(amount)} {currency}")
    if now is not None and now.calculation:
        parts.append(f"now: {now.calculation}")
    return "; ".join(parts)


def _amount(line: Line | None) -> Decimal:
    return line.amount if line is not None else NOTHING


def _taxes(invoice: ClosedInvoice, lines: list[Correction]) -> Iterator[CorrectionTax]:
    """The taxes of the correction lines: what each rate adds to each line. The tax on a line can
    change although its amount did not, because a discount moved or rounding gave a cent to another
    line. Such a change goes to the largest correction line with that rate."""
    changes = _tax_changes(invoice)
    found = {line.corrected_line_id: line for line in lines if line.kind == "correction"}
    # Only the tax may have changed, as by a new rate: then the tax line itself carries the change.
    own = {line.tax_rate_id: line for line in lines if line.kind == "tax"}
    placed = {key: change for key, change in changes.items() if key[0] in found}
    for (name, rate), change in changes.items():
        if name in found:
            continue
        taxed = [key for key in placed if key[1] == rate]
        target = max(taxed, key=lambda key: (abs(placed[key].tax_base), key), default=None)
        if target is None and rate in own:
            target = (own[rate].corrected_line_id, rate)
        if target is not None:
            known = placed.get(target, change._replace(tax_base=NOTHING, tax_amount=NOTHING))
            placed[target] = _plus(known, change.tax_base, change.tax_amount)
    for (name, rate), change in placed.items():
        line = found[name] if name in found else own[rate]
        net = line.amount if line.kind == "correction" else NOTHING
        if change.tax_base or change.tax_amount:
            yield CorrectionTax(
                line_id=line.line_id,
                payer_id=invoice.payer_id,
                currency=invoice.currency,
                tax_rate_id=rate,
                percentage=change.percentage,
                is_inclusive=change.is_inclusive,
                net_amount=net,
                discount_share=net - change.tax_base,
                tax_base=change.tax_base,
                tax_amount=change.tax_amount,
            )


def _tax_changes(invoice: ClosedInvoice) -> dict[tuple[str, str], LineTax]:
    """By line and rate: how its base and its amount changed."""
    changes = dict(invoice.now.taxes)
    for key, tax in invoice.billed.taxes.items():
        known = changes.get(key, tax._replace(tax_base=NOTHING, tax_amount=NOTHING))
        changes[key] = _plus(known, -tax.tax_base, -tax.tax_amount)
    _move_discounts(invoice, changes)
    corrected = {line.line_id: line.corrected_line_id for line in invoice.elsewhere.lines}
    for before in invoice.elsewhere.taxes:
        key = (corrected.get(before.line_id, before.line_id), before.tax_rate_id)
        nothing = LineTax(*key, before.percentage, before.is_inclusive, NOTHING, NOTHING)
        known = changes.get(key, nothing)
        changes[key] = _plus(known, -before.tax_base, -before.tax_amount)
    return {key: change for key, change in changes.items() if change.tax_base or change.tax_amount}


def _move_discounts(invoice: ClosedInvoice, changes: dict[tuple[str, str], LineTax]) -> None:
    """Move the tax effect of a changed discount to the discount's own correction line: what it
    takes off the tax bases of its subscription's lines, and the tax on that."""
    lines = {**invoice.billed.lines, **invoice.now.lines}
    discounts: dict[str | None, tuple[Decimal, str]] = {}
    for name, line in lines.items():
        if line.kind == "discount":
            now, billed = invoice.now.lines.get(name), invoice.billed.lines.get(name)
            moved = abs(_amount(now) - _amount(billed))
            if moved:
                known = discounts.get(line.subscription_id, (NOTHING, ""))
                discounts[line.subscription_id] = max(known, (moved, name))
    for (name, rate), change in list(changes.items()):
        shown = lines.get(name)
        if shown is None or shown.subscription_id not in discounts or shown.kind == "discount":
            continue
        share = _share(invoice.now.lines.get(name)) - _share(invoice.billed.lines.get(name))
        if not share:
            continue
        divisor = 100 + (change.percentage if change.is_inclusive else 0)
        tax = _rounded(share * change.percentage / divisor, invoice.currency)
        target = (discounts[shown.subscription_id][1], rate)
        known_tax = changes.get(
            target, change._replace(line_id=target[0], tax_base=NOTHING, tax_amount=NOTHING)
        )
        changes[target] = _plus(known_tax, -share, -tax)
        changes[name, rate] = _plus(change, share, tax)


def _share(line: Line | None) -> Decimal:
    return line.discount_share if line is not None else NOTHING


def _plus(tax: LineTax, base: Decimal, amount: Decimal) -> LineTax:
    return tax._replace(tax_base=tax.tax_base + base, tax_amount=tax.tax_amount + amount)


def _rounded(amount: Decimal, currency: str) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-CURRENCY_PLACES[currency]), ROUND_HALF_UP)
