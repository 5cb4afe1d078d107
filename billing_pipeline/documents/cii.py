"""EN 16931 in UN/CEFACT's Cross Industry Invoice: the XML that Factur-X and ZUGFeRD embed in a PDF.

What belongs here: the elements, in the order that the schema requires. What does not: their content
(``electronic``), and the PDF (``facturx``).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from billing_pipeline.documents.electronic import (
    CENT,
    ElectronicInvoice,
    ElectronicLine,
    NotExpressibleError,
    written,
)
from billing_pipeline.documents.electronic_party import ElectronicParty
from billing_pipeline.documents.elements import Elements, as_bytes
from billing_pipeline.money import plain_number

_ELEMENTS = Elements(texts="ram", groups="ram")
_text, _group = _ELEMENTS.text, _ELEMENTS.group
_CII = "urn:un:unece:uncefact:data:standard"
_NAMES = {
    "xmlns:rsm": f"{_CII}:CrossIndustryInvoice:100",
    "xmlns:ram": f"{_CII}:ReusableAggregateBusinessInformationEntity:100",
    "xmlns:udt": f"{_CII}:UnqualifiedDataType:100",
    "xmlns:qdt": f"{_CII}:QualifiedDataType:100",
}
GUIDELINE = "urn:cen.eu:en16931:2017"


def cii(invoice: ElectronicInvoice) -> bytes:
    """The document as XML. Raises `NotExpressibleError` if its amounts are too large for the rules
    by which recipients check it."""
    _require_sum(invoice)
    root = ET.Element("rsm:CrossIndustryInvoice", _NAMES)
    context = ET.SubElement(root, "rsm:ExchangedDocumentContext")
    _text(_group(context, "GuidelineSpecifiedDocumentContextParameter"), "ID", GUIDELINE)
    document = ET.SubElement(root, "rsm:ExchangedDocument")
    _text(document, "ID", invoice.number)
    _text(document, "TypeCode", invoice.type_code)
    _date(_group(document, "IssueDateTime"), invoice.issued)
    for note in invoice.notes:
        _text(_group(document, "IncludedNote"), "Content", note)
    trade = ET.SubElement(root, "rsm:SupplyChainTradeTransaction")
    for position, line in enumerate(invoice.lines, 1):
        _line(trade, line, position)
    _agreement(trade, invoice)
    delivery = _group(trade, "ApplicableHeaderTradeDelivery")
    if invoice.delivered_to:
        place = _group(delivery, "ShipToTradeParty", "PostalTradeAddress")
        _text(place, "CountryID", invoice.delivered_to)
    _settlement(trade, invoice)
    return as_bytes(root)


def _require_sum(invoice: ElectronicInvoice) -> None:
    """Refuse amounts from about 10^14 on: the rules add up lines and taxes in floating point
    (BR-CO-10, BR-CO-14), and would find a sum that is not the total."""
    lines, taxes = [line.net for line in invoice.lines], [tax.tax for tax in invoice.taxes]
    sums = (("lines", lines, invoice.line_total), ("taxes", taxes, invoice.tax))
    for what, amounts, total in sums:
        if not _adds_up(amounts, total):
            raise NotExpressibleError(
                f"no Factur-X of {invoice.number}: its {what} come to {written(total)}, more than "
                "the official rules can add up; --ubl writes it as UBL"
            )


def _adds_up(amounts: Sequence[Decimal], total: Decimal) -> bool:
    """True if the amounts come to the total when added and rounded as the rules do it."""
    found = 0.0
    for amount in amounts:
        found += float(amount)
    in_cents = [round(number * 10 * 10) / 100 for number in (found, float(total))]
    exactly = Decimal(found).quantize(CENT, rounding=ROUND_HALF_UP)
    return exactly == total and in_cents == [float(total)] * 2


def _date(parent: ET.Element, day: date, prefix: str = "udt") -> None:
    element = ET.SubElement(parent, f"{prefix}:DateTimeString", {"format": "102"})
    element.text = f"{day:%Y%m%d}"


def _period(parent: ET.Element, start: date, end: date) -> None:
    period = _group(parent, "BillingSpecifiedPeriod")
    _date(_group(period, "StartDateTime"), start)
    _date(_group(period, "EndDateTime"), end)


def _tax(parent: ET.Element, category: str, percentage: Decimal) -> ET.Element:
    tax = _group(parent, "ApplicableTradeTax")
    _text(tax, "TypeCode", "VAT")
    _category(tax, category, percentage)
    return tax


def _category(tax: ET.Element, category: str, percentage: Decimal) -> None:
    _text(tax, "CategoryCode", category)
    if category != "O":
        _text(tax, "RateApplicablePercent", plain_number(percentage))


def _line(trade: ET.Element, line: ElectronicLine, position: int) -> None:
    group = _group(trade, "IncludedSupplyChainTradeLineItem")
    document = _group(group, "AssociatedDocumentLineDocument")
    _text(document, "LineID", str(position))
    if line.note:
        _text(_group(document, "IncludedNote"), "Content", line.note)
    product = _group(group, "SpecifiedTradeProduct")
    _text(product, "Name", line.name)
    if line.owner:
        _text(product, "Description", f"For {line.owner}")
    price = _group(group, "SpecifiedLineTradeAgreement", "NetPriceProductTradePrice")
    _text(price, "ChargeAmount", plain_number(line.price))
    if line.base_quantity != 1:
        _text(price, "BasisQuantity", plain_number(line.base_quantity), unitCode="C62")
    delivery = _group(group, "SpecifiedLineTradeDelivery")
    _text(delivery, "BilledQuantity", plain_number(line.quantity), unitCode="C62")
    settlement = _group(group, "SpecifiedLineTradeSettlement")
    _tax(settlement, line.category, line.percentage)
    if line.start and line.end:
        _period(settlement, line.start, line.end)
    total = _group(settlement, "SpecifiedTradeSettlementLineMonetarySummation")
    _text(total, "LineTotalAmount", written(line.net))


def _agreement(trade: ET.Element, invoice: ElectronicInvoice) -> None:
    agreement = _group(trade, "ApplicableHeaderTradeAgreement")
    _text(agreement, "BuyerReference", invoice.buyer_reference)
    _party(_group(agreement, "SellerTradeParty"), invoice.seller, is_seller=True)
    _party(_group(agreement, "BuyerTradeParty"), invoice.buyer, is_seller=False)
    if invoice.purchase_order:
        order = _group(agreement, "BuyerOrderReferencedDocument")
        _text(order, "IssuerAssignedID", invoice.purchase_order)


def _party(parent: ET.Element, party: ElectronicParty, *, is_seller: bool) -> None:
    if party.identifier:
        _text(parent, "ID", party.identifier)
    _text(parent, "Name", party.name)
    if party.other_tax_id and not is_seller:
        _text(_group(parent, "SpecifiedLegalOrganization"), "ID", party.other_tax_id)
    if party.email or party.phone:
        contact = _group(parent, "DefinedTradeContact")
        _text(contact, "PersonName", party.contact)
        if party.phone:
            phone = _group(contact, "TelephoneUniversalCommunication")
            _text(phone, "CompleteNumber", party.phone)
        if party.email:
            _text(_group(contact, "EmailURIUniversalCommunication"), "URIID", party.email)
    place = _group(parent, "PostalTradeAddress")
    if party.postal_code:
        _text(place, "PostcodeCode", party.postal_code)
    for name, text in zip(("LineOne", "LineTwo", "LineThree"), party.street, strict=False):
        _text(place, name, text)
    if party.city:
        _text(place, "CityName", party.city)
    _text(place, "CountryID", party.country)
    scheme, address = party.address
    if address:
        uri = _group(parent, "URIUniversalCommunication")
        _text(uri, "URIID", address, schemeID=scheme)
    for code, tax_id in (("VA", party.vat_id), ("FC", party.other_tax_id if is_seller else "")):
        if tax_id:
            _text(_group(parent, "SpecifiedTaxRegistration"), "ID", tax_id, schemeID=code)


def _settlement(trade: ET.Element, invoice: ElectronicInvoice) -> None:
    settlement = _group(trade, "ApplicableHeaderTradeSettlement")
    _text(settlement, "PaymentReference", invoice.number)
    _text(settlement, "InvoiceCurrencyCode", invoice.currency)
    means = _group(settlement, "SpecifiedTradeSettlementPaymentMeans")
    _text(means, "TypeCode", invoice.payment_code)
    if invoice.iban:
        _text(_group(means, "PayeePartyCreditorFinancialAccount"), "IBANID", invoice.iban)
        if invoice.bic:
            bank = _group(means, "PayeeSpecifiedCreditorFinancialInstitution")
            _text(bank, "BICID", invoice.bic)
    for tax in invoice.taxes:
        group = _group(settlement, "ApplicableTradeTax")
        _text(group, "CalculatedAmount", written(tax.tax))
        _text(group, "TypeCode", "VAT")
        if tax.reason:
            _text(group, "ExemptionReason", tax.reason)
        _text(group, "BasisAmount", written(tax.net))
        _category(group, tax.category, tax.percentage)
    _period(settlement, *invoice.period)
    for tax in invoice.taxes:
        if tax.discount:
            allowance = _group(settlement, "SpecifiedTradeAllowanceCharge")
            indicator = ET.SubElement(_group(allowance, "ChargeIndicator"), "udt:Indicator")
            indicator.text = "false" if tax.discount > 0 else "true"
            _text(allowance, "ActualAmount", written(abs(tax.discount)))
            _text(allowance, "Reason", invoice.discount_reason)
            group = _group(allowance, "CategoryTradeTax")
            _text(group, "TypeCode", "VAT")
            _category(group, tax.category, tax.percentage)
    terms = _group(settlement, "SpecifiedTradePaymentTerms")
    _text(terms, "Description", invoice.payment_terms)
    if invoice.due:
        _date(_group(terms, "DueDateDateTime"), invoice.due)
    _totals(settlement, invoice)
    if invoice.corrects:
        number, issued = invoice.corrects
        reference = _group(settlement, "InvoiceReferencedDocument")
        _text(reference, "IssuerAssignedID", number)
        _date(_group(reference, "FormattedIssueDateTime"), issued, "qdt")


def _totals(settlement: ET.Element, invoice: ElectronicInvoice) -> None:
    totals = _group(settlement, "SpecifiedTradeSettlementHeaderMonetarySummation")
    _text(totals, "LineTotalAmount", written(invoice.line_total))
    if invoice.charges:
        _text(totals, "ChargeTotalAmount", written(invoice.charges))
    if invoice.allowances:
        _text(totals, "AllowanceTotalAmount", written(invoice.allowances))
    _text(totals, "TaxBasisTotalAmount", written(invoice.net))
    _text(totals, "TaxTotalAmount", written(invoice.tax), currencyID=invoice.currency)
    _text(totals, "GrandTotalAmount", written(invoice.total))
    if invoice.prepaid:
        _text(totals, "TotalPrepaidAmount", written(invoice.prepaid))
    _text(totals, "DuePayableAmount", written(invoice.total - invoice.prepaid))
