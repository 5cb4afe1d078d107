"""A document as the European standard on electronic invoicing (EN 16931) sees it.

What belongs here: the standard's terms (BT and BG numbers in comments) from a document as issued,
and the sentence with which one is refused that it cannot express; pure. What does not: the two
syntaxes (``ubl``, ``cii``), and the PDF that carries one (``facturx``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing_pipeline.documents.formatting import plain
from billing_pipeline.documents.issued import IssuedDocument
from billing_pipeline.documents.issued_page import unit_price
from billing_pipeline.documents.parties import address_of
from billing_pipeline.documents.reading import NoDocumentError
from billing_pipeline.documents.tax_groups import Breakdown, NetLine, TaxGroup, breakdown_of
from billing_pipeline.duckdb_sql import Row

NOTHING = Decimal(0)
INVOICE, CREDIT_NOTE = "380", "381"
CENT = Decimal("0.01")
_IBAN = re.compile(r"\b([A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8})\b")
_BIC = re.compile(r"\b(?:BIC|SWIFT):? ?([A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)\b")
_VAT_ID = re.compile(r"[A-Z]{2}[A-Z0-9+*]{2,13}")
_POSTAL = re.compile(r"(?:[A-Z]{1,2}-)?(\d{4,5}(?: ?[A-Z]{2})?) (.+)")

# Peppol's codes of electronic addresses that are VAT numbers, by country.
_VAT_SCHEMES = {
    "AD": "9922", "AL": "9923", "BA": "9924", "BE": "9925", "BG": "9926", "CH": "9927",
    "CY": "9928", "CZ": "9929", "DE": "9930", "EE": "9931", "GB": "9932", "EL": "9933",
    "GR": "9933", "HR": "9934", "IE": "9935", "LI": "9936", "LT": "9937", "LU": "9938",
    "LV": "9939", "MC": "9940", "ME": "9941", "MK": "9942", "MT": "9943", "NL": "9944",
    "PL": "9945", "PT": "9946", "RO": "9947", "RS": "9948", "SI": "9949", "SK": "9950",
    "SM": "9951", "TR": "9952", "VA": "9953", "FR": "9957", "HU": "9910", "ES": "9920",
    "AT": "9914",
}  # fmt: skip


class NotExpressibleError(NoDocumentError):
    """The standard has no way to say what the document says, or a field that it needs is empty."""


@dataclass(frozen=True)
class ElectronicParty:
    """Seller (BG-4) or buyer (BG-7)."""

    name: str
    country: str
    street: tuple[str, ...]
    city: str
    postal_code: str
    vat_id: str
    """With the country's letters; empty where the tax id has none."""
    other_tax_id: str
    identifier: str
    address: tuple[str, str]
    """Electronic address: its scheme and value."""
    contact: str
    phone: str
    email: str


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
    """VAT breakdown (BG-23), with what is taken off or added on the level of the document."""

    category: str
    percentage: Decimal
    net: Decimal
    tax: Decimal
    reason: str
    discount: Decimal


@dataclass(frozen=True)
class ElectronicInvoice:
    """Amounts of a credit note are what it gives back, above 0."""

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

    @property
    def period(self) -> tuple[date, date] | None:
        starts = [line.start for line in self.lines if line.start]
        ends = [line.end for line in self.lines if line.end]
        return (min(starts), max(ends)) if starts and ends else None


def electronic_invoice(issued: IssuedDocument) -> ElectronicInvoice:
    """Raises `NotExpressibleError` with the reason."""
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
    is_outside = any(group.category == "O" for group in breakdown.groups)
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
        seller=_party(issued.seller, is_outside=is_outside, is_seller=True),
        buyer=_party(issued.buyer, is_outside=is_outside, is_seller=False),
        # Credit transfer; standing agreement; not defined.
        payment_code="30" if iban else "57" if is_automatic else "1",
        payment_terms=_terms(issued, is_automatic),
        iban=iban,
        bic=_first(_BIC, text) if iban else "",
        lines=tuple(
            _line(issued, line, groups[line.group], sign, zone) for line in breakdown.lines
        ),
        taxes=_taxes(breakdown.groups, sign),
        discount_reason="; ".join(plain(line["description"]) for line in discounts)[:500]
        or "Discount",
        prepaid=max(amount - sign * Decimal(row["amount_due"]), NOTHING)
        if not issued.is_credit_note
        else NOTHING,
    )


def _require(issued: IssuedDocument, breakdown: Breakdown | None) -> None:
    """Refuse what cannot be expressed."""

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
    if not plain(issued.seller.get("tax_id")):
        refuse("accounts/seller.csv has no tax_id, which EN 16931 needs")
    if any(group.is_mixed for group in breakdown.groups):
        refuse("a line has taxes that its amount contains and others that come on top")
    amounts = [line.net for line in breakdown.lines]
    amounts += [value for group in breakdown.groups for value in (group.net, group.tax)]
    if any(value != value.quantize(CENT) for value in amounts):
        currency = issued.document["currency"]
        refuse(f"EN 16931 allows two decimal places, and its amounts in {currency} have more")


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


def _party(row: Row, *, is_outside: bool, is_seller: bool) -> ElectronicParty:
    tax_id = re.sub(r"[\s.\-]", "", plain(row.get("tax_id")).upper())
    is_vat = bool(_VAT_ID.fullmatch(tax_id))
    # A document outside the scope of VAT may name no VAT number (BR-O-02).
    vat_id = tax_id if is_vat and not is_outside else ""
    lines = address_of(row)
    city, postal_code = plain(row.get("city")), plain(row.get("postal_code"))
    if not city and lines and (found := _POSTAL.fullmatch(lines[-1])):
        postal_code, city = found[1], found[2]
        lines = lines[:-1]
    elif city:
        lines = [plain(row.get("street"))] if row.get("street") else []
    return ElectronicParty(
        name=plain(row.get("name")) or plain(row.get("customer_id")),
        country=str(row["country"]),
        street=tuple(lines[:3]),
        city=city,
        postal_code=postal_code,
        vat_id=vat_id,
        other_tax_id="" if is_vat else tax_id,
        identifier=tax_id if is_seller and not vat_id else "",
        address=_electronic_address(row, tax_id if is_vat else ""),
        contact=plain(row.get("contact")) or plain(row.get("name")),
        phone=plain(row.get("phone")),
        email=plain(row.get("email")),
    )


def _electronic_address(row: Row, vat_id: str) -> tuple[str, str]:
    """What the column says, `scheme:value`; else the VAT number, the e-mail address, or nothing."""
    said = plain(row.get("electronic_address"))
    if said:
        scheme, _, value = said.partition(":")
        return (scheme, value) if value else ("EM", scheme)
    scheme = _VAT_SCHEMES.get(vat_id[:2], "")
    if scheme:
        return scheme, vat_id
    email = plain(row.get("email"))
    return ("EM", email) if email else ("", "")


def _line(
    issued: IssuedDocument, line: NetLine, group: TaxGroup, sign: Decimal, zone: ZoneInfo
) -> ElectronicLine:
    row, net = line.row, sign * line.net
    quantity, price, base = _price(row, net)
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


def _price(row: Row, net: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Quantity, price and base quantity of a line. A price is never below 0 (BR-27): the quantity
    is. Where no price per unit gives the amount, the price is that of all units together."""
    price = unit_price(row)
    if price is not None and net == price[0] * price[1] and price[0] > 0 and price[1] >= 0:
        return price[0], price[1], Decimal(1)
    counted = Decimal(row["quantity"] or 0) if row["is_whole"] and row["kind"] == "charge" else 0
    base = Decimal(counted) if counted > 0 else Decimal(1)
    return (-base if net < 0 else base), abs(net), base


def _taxes(groups: Sequence[TaxGroup], sign: Decimal) -> tuple[ElectronicTax, ...]:
    """One for each category and percentage (BR-S-08), whichever tax rates of ours they are of."""
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
    """With two places, as both syntaxes take it; nothing is 0.00, not -0.00, which is no 0 to the
    rules."""
    return f"{amount.quantize(CENT) + NOTHING:f}"


def exact(number: Decimal) -> str:
    """All its places and no more."""
    return f"{number.normalize():f}"
