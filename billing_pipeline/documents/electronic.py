"""A document in the terms of the European standard on electronic invoicing (EN 16931).

What belongs here: the standard's terms (BT and BG numbers in comments) from a document as issued,
and the reasons for refusing a document that the standard cannot express; pure. What does not: the
two syntaxes (``ubl``, ``cii``), and the PDF that embeds one (``facturx``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from billing_pipeline.code_lists import COUNTRIES, electronic_address
from billing_pipeline.documents.electronic_party import (
    ElectronicParty,
    electronic_party,
    vat_id_of,
)
from billing_pipeline.documents.formatting import plain
from billing_pipeline.documents.issued import IssuedDocument
from billing_pipeline.documents.issued_page import unit_price
from billing_pipeline.documents.reading import NoDocumentError
from billing_pipeline.documents.tax_groups import Breakdown, NetLine, TaxGroup, breakdown_of
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.months import BillingMonth

NOTHING = Decimal(0)
INVOICE, CREDIT_NOTE = "380", "381"
CENT = Decimal("0.01")
_IBAN = re.compile(r"\b([A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8})\b")
_BIC = re.compile(r"\b(?:BIC|SWIFT):? ?([A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)\b")


class NotExpressibleError(NoDocumentError):
    """The standard cannot express what the document says, or a field that it requires is empty."""


@dataclass(frozen=True)
class ElectronicLine:
    """An invoice line (BG-25): quantity × price ÷ base quantity is its net amount."""

    name: str
    note: str
    quantity: Decimal
    price: Decimal
    base_quantity: Decimal
    net: Decimal
    category: str
    percentage: Decimal
    start: date | None
    end: date | None
    owner: str


@dataclass(frozen=True)
class ElectronicTax:
    """VAT breakdown (BG-23), with its discount on document level (below 0: a charge)."""

    category: str
    percentage: Decimal
    net: Decimal
    tax: Decimal
    reason: str
    discount: Decimal


@dataclass(frozen=True)
class ElectronicInvoice:
    """An invoice or credit note. A credit note's amounts are what it gives back, above 0."""

    number: str
    type_code: str
    issued: date
    due: date | None
    currency: str
    buyer_reference: str
    purchase_order: str
    corrects: tuple[str, date] | None
    notes: tuple[str, ...]
    seller: ElectronicParty
    buyer: ElectronicParty
    payment_code: str
    payment_terms: str
    iban: str
    bic: str
    lines: tuple[ElectronicLine, ...]
    taxes: tuple[ElectronicTax, ...]
    discount_reason: str
    prepaid: Decimal
    period: tuple[date, date]
    delivered_to: str
    """The country of delivery, for an intra-community supply; otherwise empty."""

    @property
    def line_total(self) -> Decimal:
        return sum((line.net for line in self.lines), NOTHING)

    @property
    def allowances(self) -> Decimal:
        return sum((tax.discount for tax in self.taxes if tax.discount > 0), NOTHING)

    @property
    def charges(self) -> Decimal:
        return sum((-tax.discount for tax in self.taxes if tax.discount < 0), NOTHING)

    @property
    def net(self) -> Decimal:
        return sum((tax.net for tax in self.taxes), NOTHING)

    @property
    def tax(self) -> Decimal:
        return sum((tax.tax for tax in self.taxes), NOTHING)

    @property
    def total(self) -> Decimal:
        return self.net + self.tax


def electronic_invoice(issued: IssuedDocument) -> ElectronicInvoice:
    """The document in the standard's terms. Raises `NotExpressibleError` with the reason."""
    breakdown = breakdown_of(issued)
    sign = Decimal(-1 if issued.is_credit_note else 1)
    _require(issued, breakdown)
    assert breakdown is not None
    row, zone = issued.document, ZoneInfo(issued.seller["timezone"] or "UTC")
    amount = sign * Decimal(row["amount"])
    groups = {group.key: group for group in breakdown.groups}
    discounts = [line for line in issued.lines if line["kind"] == "discount"]
    text = plain(issued.seller["bank_account"])
    is_automatic = row["due_at"] is None or row["due_at"] == row["issued_at"]
    iban = "" if is_automatic else _first(_IBAN, text).replace(" ", "")
    categories = {group.category for group in breakdown.groups}
    is_outside = "O" in categories
    lines = tuple(_line(issued, line, groups[line.group], sign, zone) for line in breakdown.lines)
    taxes = _taxes(breakdown.groups, sign)
    _require_rates(issued, taxes)
    return ElectronicInvoice(
        number=plain(issued.number),
        type_code=CREDIT_NOTE if issued.is_credit_note else INVOICE,
        issued=_day(row["issued_at"], zone),
        due=_day(row["due_at"], zone) if row["due_at"] and not issued.is_credit_note else None,
        currency=str(row["currency"]),
        buyer_reference=plain(issued.buyer.get("buyer_reference"))
        or plain(issued.buyer.get("purchase_order"))
        or plain(issued.buyer["customer_id"]),
        purchase_order=plain(issued.buyer.get("purchase_order")),
        corrects=(
            plain(issued.corrects.number),
            _day(issued.corrects.document["issued_at"], zone),
        )
        if issued.corrects
        else None,
        notes=tuple(_notes(issued, breakdown)),
        seller=electronic_party(issued.seller, is_outside=is_outside, is_seller=True),
        buyer=electronic_party(issued.buyer, is_outside=is_outside, is_seller=False),
        # Credit transfer; standing agreement; not defined.
        payment_code="30" if iban else "57" if is_automatic else "1",
        payment_terms=_terms(issued, is_automatic),
        iban=iban,
        bic=_first(_BIC, text) if iban else "",
        lines=lines,
        taxes=taxes,
        discount_reason="; ".join(plain(line["description"]) for line in discounts)[:500]
        or "Discount",
        prepaid=max(amount - sign * Decimal(row["amount_due"]), NOTHING)
        if not issued.is_credit_note
        else NOTHING,
        period=_period(lines, row["billing_month"]),
        delivered_to=str(issued.buyer["country"]) if "K" in categories else "",
    )


def _period(lines: Sequence[ElectronicLine], month: date) -> tuple[date, date]:
    """The period that covers those of all lines; the billing month if no line has one."""
    starts = [line.start for line in lines if line.start]
    ends = [line.end for line in lines if line.end]
    if starts and ends:
        return min(starts), max(ends)
    return month, BillingMonth(month.year, month.month).shift(1).first_day - timedelta(days=1)


def _require(issued: IssuedDocument, breakdown: Breakdown | None) -> None:
    """Raise `NotExpressibleError` for a document that the standard cannot express."""

    def refuse(reason: str) -> None:
        raise NotExpressibleError(f"no electronic invoice of {issued.number}: {reason}")

    if breakdown is None:
        refuse("its lines are not recorded, nor those of the invoice that it corrects")
        return
    taxes = {line["line_id"] for line in issued.lines if line["kind"] == "tax"}
    if any(tax["line_id"] in taxes for tax in issued.taxes):
        refuse("it corrects the tax of what it does not bill, for which EN 16931 has no line")
    if breakdown.total != issued.document["amount"]:
        refuse("its taxes do not add up to its amount")
    if not breakdown.lines:
        refuse("it has no line")
    if not plain(issued.seller.get("name")):
        refuse("accounts/seller.csv names no seller")
    for who, row in (("accounts/seller.csv", issued.seller), ("its customer", issued.buyer)):
        if not row.get("country"):
            refuse(f"{who} has no country, which EN 16931 needs")
        if row["country"] not in COUNTRIES:
            refuse(f"{who} has the country {row['country']}, which is none of ISO 3166")
        address = plain(row.get("electronic_address"))
        if address and electronic_address(address) is None:
            refuse(f"{who} has the electronic_address {address}, whose scheme is none of EN 16931")
    if not plain(issued.seller.get("tax_id")):
        refuse("accounts/seller.csv has no tax_id, which EN 16931 needs")
    _require_tax_ids(issued, {group.category for group in breakdown.groups}, refuse)
    if any(group.is_mixed for group in breakdown.groups):
        refuse("a line has taxes that its amount contains and others that come on top")
    amounts = [line.net for line in breakdown.lines]
    amounts += [value for group in breakdown.groups for value in (group.net, group.tax)]
    if any(value != value.quantize(CENT) for value in amounts):
        currency = issued.document["currency"]
        refuse(f"EN 16931 allows two decimal places, and its amounts in {currency} have more")


def _require_tax_ids(
    issued: IssuedDocument, categories: Collection[str], refuse: Callable[[str], None]
) -> None:
    """Refuse a document without the tax ids that the rules require for its tax categories."""
    if "AE" in categories and not plain(issued.buyer.get("tax_id")):
        refuse("reverse charge needs the tax_id of its customer")
    if "K" in categories and not vat_id_of(issued.buyer):
        refuse("an intra-community supply needs a VAT number as the tax_id of its customer")
    if {"G", "K"} & set(categories) and not vat_id_of(issued.seller):
        refuse("tax_category G or K needs a VAT number as the tax_id of accounts/seller.csv")


def _require_rates(issued: IssuedDocument, taxes: Sequence[ElectronicTax]) -> None:
    """Refuse a tax that is a whole unit of the currency or more away from its rate (BR-S-09). Taxes
    in yen that were rounded separately, such as those of corrected months, may be."""
    for tax in taxes:
        by_rate = (tax.net * tax.percentage / 100).quantize(CENT, rounding=ROUND_HALF_UP)
        if abs(tax.tax - by_rate) >= 1:
            raise NotExpressibleError(
                f"no electronic invoice of {issued.number}: its tax of {written(tax.tax)} on "
                f"{written(tax.net)} is further from {tax.percentage:f} % than EN 16931 allows, as "
                "the taxes of its lines were rounded one by one"
            )


def _day(value: datetime, zone: ZoneInfo) -> date:
    return value.astimezone(zone).date()


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _notes(issued: IssuedDocument, breakdown: Breakdown) -> Sequence[str]:
    several = [group for group in breakdown.groups if len(group.rates) > 1]
    notes = [
        " + ".join(f"{rate.tax_rate_id} {rate.percentage:f} %" for rate in group.rates)
        for group in several
    ]
    return [*notes, *([plain(issued.seller["note"])] if issued.seller["note"] else [])]


def _terms(issued: IssuedDocument, is_automatic: bool) -> str:
    if issued.is_credit_note:
        return "Credited"
    if is_automatic:
        return "Charged automatically"
    return f"Please quote {plain(issued.number)} with your payment"


def _line(
    issued: IssuedDocument, line: NetLine, group: TaxGroup, sign: Decimal, zone: ZoneInfo
) -> ElectronicLine:
    row, net = line.row, sign * line.net
    quantity, price, base = _price(row, net, sign)
    text = plain(row["description"]) or "Correction"
    start, end = row["period_start"], row["period_end"]
    owner = str(row["customer_id"] or issued.document["customer_id"])
    is_other = owner != issued.document["customer_id"]
    return ElectronicLine(
        name=text if row["is_whole"] or not row["description"] else f"Correction: {text}",
        note=plain(row["calculation"]) if row["is_whole"] else "",
        quantity=quantity,
        price=price,
        base_quantity=base,
        net=net,
        category=group.category,
        percentage=group.percentage,
        start=_day(start, zone) if start and end else None,
        end=max(_day(start, zone), _day(end - timedelta(microseconds=1), zone))
        if start and end
        else None,
        owner=(plain(issued.names.get(owner)) or plain(owner)) if is_other else "",
    )


def _price(row: Row, net: Decimal, sign: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Quantity, price and base quantity of a line. Because a price must not be below 0 (BR-27), the
    quantity is. If no unit price gives the amount, the price is that of all units together."""
    price = unit_price(row)
    if price is not None and net == sign * price[0] * price[1] and price[1] >= 0:
        return sign * price[0], price[1], Decimal(1)
    counted = Decimal(row["quantity"] or 0) if row["is_whole"] and row["kind"] == "charge" else 0
    base = Decimal(counted) if counted > 0 else Decimal(1)
    return (-base if net < 0 else base), abs(net), base


def _taxes(groups: Sequence[TaxGroup], sign: Decimal) -> tuple[ElectronicTax, ...]:
    """One for each category and percentage (BR-S-08), even if several of our tax rates share it."""
    found: dict[tuple[str, Decimal], ElectronicTax] = {}
    for group in groups:
        tax = _tax(group, sign)
        key = (tax.category, tax.percentage)
        known = found.get(key, replace(tax, net=NOTHING, tax=NOTHING, discount=NOTHING))
        found[key] = replace(
            known,
            net=known.net + tax.net,
            tax=known.tax + tax.tax,
            discount=known.discount + tax.discount,
        )
    return tuple(found.values())


def _tax(group: TaxGroup, sign: Decimal) -> ElectronicTax:
    return ElectronicTax(
        category=group.category,
        percentage=group.percentage,
        net=sign * group.net,
        tax=sign * group.tax,
        reason="" if group.category in ("S", "Z") else plain(group.reason),
        discount=sign * group.discount,
    )


def written(amount: Decimal) -> str:
    """The amount with two places, as both syntaxes require. Zero is written 0.00, because the rules
    do not accept -0.00 as zero."""
    return f"{amount.quantize(CENT) + NOTHING:f}"
