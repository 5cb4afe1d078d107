"""Seller and buyer of an electronic invoice.

What belongs here: the standard's terms (BT and BG numbers) from a party's row; pure. What does not:
the party on the page (``parties``), and which of its fields a document requires (``electronic``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from billing_pipeline.code_lists import COUNTRIES, EMAIL, electronic_address
from billing_pipeline.documents.formatting import plain
from billing_pipeline.documents.parties import address_of
from billing_pipeline.duckdb_sql import Row

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


@dataclass(frozen=True)
class ElectronicParty:
    """Seller (BG-4) or buyer (BG-7)."""

    name: str
    country: str
    street: tuple[str, ...]
    city: str
    postal_code: str
    vat_id: str
    """The VAT number with its country prefix; empty if the tax id has none."""
    other_tax_id: str
    identifier: str
    address: tuple[str, str]
    """Electronic address: scheme and value."""
    contact: str
    phone: str
    email: str


def electronic_party(row: Row, *, is_outside: bool, is_seller: bool) -> ElectronicParty:
    tax_id, own_vat_id = _tax_id(row), vat_id_of(row)
    # A document outside the scope of VAT may name no VAT number (BR-O-02).
    vat_id = "" if is_outside else own_vat_id
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
        other_tax_id="" if own_vat_id else tax_id,
        identifier=tax_id if is_seller and not vat_id else "",
        address=_electronic_address(row, own_vat_id),
        contact=plain(row.get("contact")) or plain(row.get("name")),
        phone=plain(row.get("phone")),
        email=plain(row.get("email")),
    )


def _tax_id(row: Row) -> str:
    return re.sub(r"[\s.\-]", "", plain(row.get("tax_id")).upper())


def vat_id_of(row: Row) -> str:
    """The tax id if it begins with a country code, as a VAT number does; Greece's is EL
    (BR-CO-09)."""
    found = _tax_id(row)
    is_country = found[:2] in COUNTRIES or found[:2] == "EL"
    return found if is_country and _VAT_ID.fullmatch(found) else ""


def _electronic_address(row: Row, vat_id: str) -> tuple[str, str]:
    """The column's `scheme:value`, else the VAT number, else the e-mail address, else nothing."""
    given = electronic_address(plain(row.get("electronic_address")))
    if given:
        return given
    scheme = _VAT_SCHEMES.get(vat_id[:2], "")
    if scheme:
        return scheme, vat_id
    email = plain(row.get("email"))
    return (EMAIL, email) if email else ("", "")
