"""Name, e-mail and address of a Stripe customer: which of them are ours to write.

What belongs here: the pure rule. What does not: finding the customer and sending (`customers.py`),
and tax ids, which are objects of their own in Stripe (`tax_id_types.py`).

A field is written when our input has changed since we last wrote it; until then, an edit in Stripe
stays. What we wrote is remembered as digests in the customer's metadata. For a customer that we
have never written to, our input is remembered in the cache, and only empty fields are filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing_pipeline.collection.stripe_state.texts import clean_text, short_hash


@dataclass(frozen=True)
class Payer:
    """Who pays, as in the accounts."""

    customer_id: str
    name: str | None = None
    email: str | None = None
    country: str | None = None
    stripe_customer_id: str | None = None
    payment_method: str | None = None
    street: str | None = None
    city: str | None = None
    postal_code: str | None = None
    tax_id: str | None = None


_ADDRESS = {
    "country": "country",
    "street": "line1",
    "city": "city",
    "postal_code": "postal_code",
}
"""The parts of an address that are ours, with Stripe's names for them."""
_FIRST = ("name", "email", "country")
"""The fields that earlier releases wrote; of the others they did not cache what Stripe has."""

Profile = dict[str, str]
"""Field to value, or to its digest; empty where there is none."""


def profile_of(payer: Payer) -> Profile:
    """The fields that are ours, as we write them in Stripe."""
    return {
        "name": clean_text(payer.name or "", 256),
        "email": payer.email or "",
        "country": payer.country or "",
        "street": clean_text(payer.street or "", 256),
        "city": clean_text(payer.city or "", 256),
        "postal_code": clean_text(payer.postal_code or "", 256),
    }


def held_by(customer: Mapping[str, Any]) -> Profile:
    """The profile in a customer object of Stripe's."""
    found = customer.get("address")
    address = found if isinstance(found, Mapping) else {}
    return {
        "name": str(customer.get("name") or ""),
        "email": str(customer.get("email") or ""),
        **{field: str(address.get(name) or "") for field, name in _ADDRESS.items()},
    }


def digests(profile: Profile) -> str:
    """``name:1f2e3d4c email: country:…``: short enough for metadata, without personal data."""
    return " ".join(
        f"{field}:{short_hash(value)[:8] if value else ''}" for field, value in profile.items()
    )


def fields_to_write(ours: Profile, written: str | None, held: str) -> list[str]:
    """The fields that differ from what we last wrote (`written`, as digests); of the fields that we
    never wrote, those that are empty in Stripe (`held`, as digests)."""
    present, before, theirs = _parsed(digests(ours)), _parsed(written or ""), _parsed(held)
    return [
        field
        for field in ours
        if (
            before[field] != present[field]
            if field in before
            else present[field] and not theirs.get(field, "" if field in _FIRST else "unknown")
        )
    ]


def params_for(fields: list[str], ours: Profile, customer: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that write these fields; the rest of an address stays as it is."""
    params: dict[str, Any] = {field: ours[field] for field in fields if field not in _ADDRESS}
    written = {_ADDRESS[field]: ours[field] for field in fields if field in _ADDRESS}
    if written:
        address = customer.get("address")
        kept = {k: v for k, v in address.items() if v} if isinstance(address, Mapping) else {}
        params["address"] = kept | written
    return params


def _parsed(text: str) -> Profile:
    pairs = (part.partition(":") for part in text.split())
    return {field: digest for field, _, digest in pairs}
