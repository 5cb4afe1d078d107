"""Tax ids of customers, which invoices show.

What belongs here: creating and deleting them, and the formats that Stripe documents
(https://docs.stripe.com/billing/customer/tax-ids). What does not: asking a tax office, which Stripe
does for some types; here the answer never comes.
"""

from __future__ import annotations

import re
from typing import Any

from billing_pipeline.stripe_sandbox.context import Call, route
from billing_pipeline.stripe_sandbox.customers import existing_customer
from billing_pipeline.stripe_sandbox.errors import ApiError, missing

Json = dict[str, Any]

MAX_TAX_IDS = 5
_VERIFIED_TYPES = ("au_abn", "eu_vat", "gb_vat")
"""Types for which Stripe asks a tax office."""

_EU = {
    "AT": r"U\d{8}",
    "BE": r"[01]\d{9}",
    "BG": r"\d{9,10}",
    "CY": r"\d{8}[A-Z]",
    "CZ": r"\d{8,10}",
    "DE": r"\d{9}",
    "DK": r"\d{8}",
    "EE": r"\d{9}",
    "EL": r"\d{9}",
    "ES": r"[0-9A-Z]\d{7}[0-9A-Z]",
    "FI": r"\d{8}",
    "FR": r"[0-9A-Z]{2}\d{9}",
    "HR": r"\d{11}",
    "HU": r"\d{8}",
    "IE": r"\d[0-9A-Z+*]\d{5}[A-Z]{1,2}",
    "IT": r"\d{11}",
    "LT": r"\d{9}|\d{12}",
    "LU": r"\d{8}",
    "LV": r"\d{11}",
    "MT": r"\d{8}",
    "NL": r"[0-9A-Z+*]{10}\d{2}",
    "PL": r"\d{10}",
    "PT": r"\d{9}",
    "RO": r"\d{2,10}",
    "SE": r"\d{12}",
    "SI": r"\d{8}",
    "SK": r"\d{10}",
    "XI": r"\d{9}|\d{12}|GD\d{3}|HA\d{3}",
}
"""The format of each member's VAT numbers, after the country code."""

_FORMATS = {
    "ae_trn": r"\d{15}",
    "au_abn": r"\d{11}",
    "au_arn": r"\d{12}",
    "br_cnpj": r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}",
    "br_cpf": r"\d{3}\.\d{3}\.\d{3}-\d{2}",
    "ca_bn": r"\d{9}",
    "ca_gst_hst": r"\d{9}RT\d{4}",
    "ca_qst": r"\d{10}TQ\d{4}",
    "ch_uid": r"CHE-\d{3}\.\d{3}\.\d{3}(?: HR)?",
    "ch_vat": r"CHE-\d{3}\.\d{3}\.\d{3} (?:MWST|TVA|IVA)",
    "cl_tin": r"\d{2}\.\d{3}\.\d{3}-[0-9K]",
    "de_stn": r"\d{10,11}|\d{13}",
    "es_cif": r"[A-Z]\d{7}[0-9A-Z]|\d{8}[A-Z]",
    "eu_vat": "|".join(f"{country}(?:{form})" for country, form in _EU.items()),
    "gb_vat": r"GB(?:\d{9}|\d{12}|GD\d{3}|HA\d{3})",
    "hu_tin": r"\d{8}-\d-\d{2}",
    "in_gst": r"\d{2}[0-9A-Z]{13}",
    "jp_cn": r"\d{13}",
    "jp_trn": r"T\d{13}",
    "kr_brn": r"\d{3}-\d{2}-\d{5}",
    "mx_rfc": r"[A-ZÑ&]{3,4}\d{6}[0-9A-Z]{3}",
    "no_vat": r"\d{9}MVA",
    "nz_gst": r"\d{8,9}",
    "pl_nip": r"\d{10}",
    "sg_gst": r"M[0-9A-Z]\d{7}[0-9A-Z]",
    "us_ein": r"\d{2}-\d{7}",
    "za_vat": r"\d{10}",
}
"""The format of each type's numbers; other types accept anything. Stripe may also accept other
ways of writing a number, but does not document which."""
_ISO = {"EL": "GR", "XI": "GB", "EU": None}
"""Prefixes of VAT numbers that are not country codes."""


@route("POST", "customers/*/tax_ids", "CustomerTaxIdCreateParams")
def create(call: Call, customer_id: str) -> Json:
    customer = existing_customer(call, customer_id)
    kind, value = call.params["type"], call.params["value"]
    if not re.fullmatch(_FORMATS.get(kind, r".*\S.*"), value):
        raise ApiError(f"Invalid value for {kind}.", code="tax_id_invalid", param="value")
    held = list_for_customer(call, customer_id)
    if any((item["type"], item["value"]) == (kind, value) for item in held):
        raise ApiError("The customer has this tax ID already.", param="value")
    if len(held) >= MAX_TAX_IDS:
        raise ApiError(f"You can add up to {MAX_TAX_IDS} tax IDs to a customer.")
    letters = value[:2] if kind == "eu_vat" else kind[:2].upper()
    status = "pending" if kind in _VERIFIED_TYPES else "unavailable"
    body = {
        "country": _ISO.get(letters, letters),
        "customer": customer["id"],
        "owner": {"type": "customer", "customer": customer["id"]},
        "type": kind,
        "value": value,
        "verification": {"status": status},
    }
    made = call.new("tax_id", body, customer=customer["id"])
    call.event("customer.tax_id.created", made)
    return made


@route("GET", "customers/*/tax_ids", "CustomerTaxIdListParams")
def list_all(call: Call, customer_id: str) -> Json:
    existing_customer(call, customer_id)
    return call.page("tax_id", f"/v1/customers/{customer_id}/tax_ids", customer=customer_id)


@route("GET", "customers/*/tax_ids/*", "CustomerTaxIdRetrieveParams")
def retrieve(call: Call, customer_id: str, tax_id: str) -> Json:
    found = call.get("tax_id", tax_id)
    if found["customer"] != customer_id:
        raise missing("tax_id", tax_id)
    return found


@route("DELETE", "customers/*/tax_ids/*", "CustomerTaxIdDeleteParams")
def delete(call: Call, customer_id: str, tax_id: str) -> Json:
    found = retrieve(call, customer_id, tax_id)
    call.event("customer.tax_id.deleted", found)
    call.store.remove("tax_id", tax_id)
    return {"id": tax_id, "object": "tax_id", "deleted": True}


def list_for_customer(call: Call, customer_id: str) -> list[Json]:
    """The customer's tax ids, the oldest first."""
    mine = [("customer = ?", customer_id)]
    return call.store.select("tax_id", mine, limit=MAX_TAX_IDS, oldest_first=True)


def shown_on_invoice(call: Call, customer_id: str) -> list[Json]:
    """The customer's tax ids as an invoice shows them."""
    held = list_for_customer(call, customer_id)
    return [{"type": item["type"], "value": item["value"]} for item in held]
