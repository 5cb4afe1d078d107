"""EN 16931 in UBL 2.1: Peppol BIS Billing 3, or its German form XRechnung.

What belongs here: the elements, in the order that the schema requires. What does not: their content
(``electronic``).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from decimal import Decimal

from billing_pipeline.documents.electronic import (
    INVOICE,
    ElectronicInvoice,
    ElectronicLine,
    ElectronicTax,
    NotExpressibleError,
    written,
)
from billing_pipeline.documents.electronic_party import ElectronicParty
from billing_pipeline.documents.elements import Elements, as_bytes
from billing_pipeline.money import plain_number

_ELEMENTS = Elements(texts="cbc", groups="cac")
_text, _group = _ELEMENTS.text, _ELEMENTS.group
_UBL = "urn:oasis:names:specification:ubl:schema:xsd"
_CAC, _CBC = f"{_UBL}:CommonAggregateComponents-2", f"{_UBL}:CommonBasicComponents-2"
_EN = "urn:cen.eu:en16931:2017"
PEPPOL = f"{_EN}#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
XRECHNUNG = f"{_EN}#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"
_PROFILE = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"


def ubl(invoice: ElectronicInvoice, *, is_xrechnung: bool = False) -> bytes:
    """The document as XML. Raises `NotExpressibleError` if a field that XRechnung requires is
    empty."""
    for party in (invoice.seller, invoice.buyer):
        if not party.address[1]:
            raise NotExpressibleError(
                f"no UBL of {invoice.number}: {party.name} has no electronic_address, VAT number "
                "or email, to one of which Peppol delivers"
            )
    if is_xrechnung:
        _require_german(invoice)
    is_invoice = invoice.type_code == INVOICE
    name = "Invoice" if is_invoice else "CreditNote"
    root = ET.Element(
        name,
        {"xmlns": f"{_UBL}:{name}-2", "xmlns:cac": _CAC, "xmlns:cbc": _CBC},
    )
    _text(root, "CustomizationID", XRECHNUNG if is_xrechnung else PEPPOL)
    _text(root, "ProfileID", _PROFILE)
    _text(root, "ID", invoice.number)
    _text(root, "IssueDate", invoice.issued.isoformat())
    if is_invoice and invoice.due:
        _text(root, "DueDate", invoice.due.isoformat())
    _text(root, f"{name}TypeCode", invoice.type_code)
    if invoice.notes:
        _text(root, "Note", " ".join(invoice.notes))
    _text(root, "DocumentCurrencyCode", invoice.currency)
    _text(root, "BuyerReference", invoice.buyer_reference)
    _period(root, *[day.isoformat() for day in invoice.period])
    if invoice.purchase_order:
        _text(_group(root, "OrderReference"), "ID", invoice.purchase_order)
    if invoice.corrects:
        reference = _group(root, "BillingReference", "InvoiceDocumentReference")
        _text(reference, "ID", invoice.corrects[0])
        _text(reference, "IssueDate", invoice.corrects[1].isoformat())
    _party(_group(root, "AccountingSupplierParty", "Party"), invoice.seller, is_seller=True)
    _party(_group(root, "AccountingCustomerParty", "Party"), invoice.buyer, is_seller=False)
    if invoice.delivered_to:
        place = _group(root, "Delivery", "DeliveryLocation", "Address", "Country")
        _text(place, "IdentificationCode", invoice.delivered_to)
    _payment(root, invoice)
    for tax in invoice.taxes:
        _allowance(root, invoice, tax)
    _taxes(root, invoice, is_xrechnung=is_xrechnung)
    _totals(root, invoice)
    for position, line in enumerate(invoice.lines, 1):
        _line(root, invoice, line, position, name)
    return as_bytes(root)


def _require_german(invoice: ElectronicInvoice) -> None:
    """Refuse a document that lacks what XRechnung requires beyond the standard."""
    lacking = [
        f"{who}.csv: {column}"
        for who, column, value in (
            ("seller", "city", invoice.seller.city),
            ("seller", "postal_code", invoice.seller.postal_code),
            ("seller", "phone", invoice.seller.phone),
            ("seller", "email", invoice.seller.email),
            ("customers", "city", invoice.buyer.city),
            ("customers", "postal_code", invoice.buyer.postal_code),
        )
        if not value
    ]
    if lacking:
        raise NotExpressibleError(
            f"no XRechnung of {invoice.number}: it needs {', '.join(lacking)}"
        )


def _amount(parent: ET.Element, name: str, amount: Decimal, currency: str) -> None:
    _text(parent, name, written(amount), currencyID=currency)


def _period(parent: ET.Element, start: str, end: str) -> None:
    period = _group(parent, "InvoicePeriod")
    _text(period, "StartDate", start)
    _text(period, "EndDate", end)


def _party(parent: ET.Element, party: ElectronicParty, *, is_seller: bool) -> None:
    _text(parent, "EndpointID", party.address[1], schemeID=party.address[0])
    if party.identifier:
        _text(_group(parent, "PartyIdentification"), "ID", party.identifier)
    place = _group(parent, "PostalAddress")
    for name, text in zip(("StreetName", "AdditionalStreetName"), party.street[:2], strict=False):
        _text(place, name, text)
    if party.city:
        _text(place, "CityName", party.city)
    if party.postal_code:
        _text(place, "PostalZone", party.postal_code)
    if party.street[2:]:
        _text(_group(place, "AddressLine"), "Line", party.street[2])
    _text(_group(place, "Country"), "IdentificationCode", party.country)
    for scheme, tax_id in (("VAT", party.vat_id), ("TAX", party.other_tax_id if is_seller else "")):
        if tax_id:
            registration = _group(parent, "PartyTaxScheme")
            _text(registration, "CompanyID", tax_id)
            _text(_group(registration, "TaxScheme"), "ID", scheme)
    legal = _group(parent, "PartyLegalEntity")
    _text(legal, "RegistrationName", party.name)
    if party.other_tax_id and not is_seller:
        _text(legal, "CompanyID", party.other_tax_id)
    if party.email or party.phone:
        contact = _group(parent, "Contact")
        _text(contact, "Name", party.contact)
        if party.phone:
            _text(contact, "Telephone", party.phone)
        if party.email:
            _text(contact, "ElectronicMail", party.email)


def _payment(root: ET.Element, invoice: ElectronicInvoice) -> None:
    means = _group(root, "PaymentMeans")
    _text(means, "PaymentMeansCode", invoice.payment_code)
    _text(means, "PaymentID", invoice.number)
    if invoice.iban:
        account = _group(means, "PayeeFinancialAccount")
        _text(account, "ID", invoice.iban)
        if invoice.bic:
            _text(_group(account, "FinancialInstitutionBranch"), "ID", invoice.bic)
    _text(_group(root, "PaymentTerms"), "Note", invoice.payment_terms)


def _allowance(root: ET.Element, invoice: ElectronicInvoice, tax: ElectronicTax) -> None:
    """A discount, or a charge where a correction takes a discount back (amounts are never below
    0)."""
    if not tax.discount:
        return
    allowance = _group(root, "AllowanceCharge")
    _text(allowance, "ChargeIndicator", "false" if tax.discount > 0 else "true")
    _text(allowance, "AllowanceChargeReason", invoice.discount_reason)
    _amount(allowance, "Amount", abs(tax.discount), invoice.currency)
    _category(allowance, "TaxCategory", tax.category, tax.percentage)


def _category(
    parent: ET.Element, name: str, category: str, percentage: Decimal, reason: str = ""
) -> ET.Element:
    group = _group(parent, name)
    _text(group, "ID", category)
    if category != "O":
        _text(group, "Percent", plain_number(percentage))
    if reason:
        _text(group, "TaxExemptionReason", reason)
    _text(_group(group, "TaxScheme"), "ID", "VAT")
    return group


def _taxes(root: ET.Element, invoice: ElectronicInvoice, *, is_xrechnung: bool) -> None:
    total = _group(root, "TaxTotal")
    _amount(total, "TaxAmount", invoice.tax, invoice.currency)
    for tax in invoice.taxes:
        part = _group(total, "TaxSubtotal")
        _amount(part, "TaxableAmount", tax.net, invoice.currency)
        _amount(part, "TaxAmount", tax.tax, invoice.currency)
        group = _category(part, "TaxCategory", tax.category, tax.percentage, tax.reason)
        if tax.category == "O" and is_xrechnung:  # BR-DE-14 requires a rate in any case
            rate = ET.Element("cbc:Percent")
            rate.text = "0"
            group.insert(1, rate)


def _totals(root: ET.Element, invoice: ElectronicInvoice) -> None:
    totals = _group(root, "LegalMonetaryTotal")
    amounts = {
        "LineExtensionAmount": invoice.line_total,
        "TaxExclusiveAmount": invoice.net,
        "TaxInclusiveAmount": invoice.total,
        "AllowanceTotalAmount": invoice.allowances,
        "ChargeTotalAmount": invoice.charges,
        "PrepaidAmount": invoice.prepaid,
    }
    required = ("LineExtensionAmount", "TaxExclusiveAmount", "TaxInclusiveAmount")
    for name, amount in amounts.items():
        if amount or name in required:
            _amount(totals, name, amount, invoice.currency)
    _amount(totals, "PayableAmount", invoice.total - invoice.prepaid, invoice.currency)


def _line(
    root: ET.Element, invoice: ElectronicInvoice, line: ElectronicLine, position: int, kind: str
) -> None:
    group = _group(root, f"{kind}Line")
    _text(group, "ID", str(position))
    if line.note:
        _text(group, "Note", line.note)
    counted = "InvoicedQuantity" if kind == "Invoice" else "CreditedQuantity"
    _text(group, counted, plain_number(line.quantity), unitCode="C62")
    _amount(group, "LineExtensionAmount", line.net, invoice.currency)
    if line.start and line.end:
        _period(group, line.start.isoformat(), line.end.isoformat())
    item = _group(group, "Item")
    if line.owner:
        _text(item, "Description", f"For {line.owner}")
    _text(item, "Name", line.name)
    _category(item, "ClassifiedTaxCategory", line.category, line.percentage)
    price = _group(group, "Price")
    _text(price, "PriceAmount", plain_number(line.price), currencyID=invoice.currency)
    if line.base_quantity != 1:
        _text(price, "BaseQuantity", plain_number(line.base_quantity), unitCode="C62")
