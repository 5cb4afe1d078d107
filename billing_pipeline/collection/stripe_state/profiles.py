"""Name, e-mail and country of a Stripe customer: which of them are ours to write.

What belongs here: the pure rule. What does not: finding the customer and sending (`customers.py`).

A field is written where our input changed since we last wrote it; somebody's edit in Stripe stays
until then. What we wrote is remembered as digests: in the customer's metadata, and in the cache
for one whom we have never written to. Such a one gets what it has nothing of, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing_pipeline.collection.stripe_state.texts import clean_text, short_hash


@dataclass(frozen=True)
class Payer:
    """Who pays, as the accounts say."""

    customer_id: str
    name: str | None = None
    email: str | None = None
    country: str | None = None
    stripe_customer_id: str | None = None
    payment_method: str | None = None


Profile = dict[str, str]
"""Field to value, or to its digest; empty where there is none."""


def profile_of(payer: Payer) -> Profile:
    return {
        "name": clean_text(payer.name or "", 256),
        "email": payer.email or "",
        "country": payer.country or "",
    }


def held_by(customer: Mapping[str, Any]) -> Profile:
    """What a customer object of Stripe's has."""
    address = customer.get("address")
    country = address.get("country") if isinstance(address, Mapping) else None
    return {
        "name": str(customer.get("name") or ""),
        "email": str(customer.get("email") or ""),
        "country": str(country or ""),
    }


def digests(profile: Profile) -> str:
    """``name:1f2e3d4c email: country:…``: short enough for metadata, and no text of anybody's."""
    return " ".join(
        f"{field}:{short_hash(value)[:8] if value else ''}" for field, value in profile.items()
    )


def fields_to_write(ours: Profile, written: str | None, held: str) -> list[str]:
    """The fields that differ from what we last wrote (`written`, as digests); of those that we
    never wrote, the ones that Stripe has nothing of (`held`, as digests)."""
    present, before, theirs = _parsed(digests(ours)), _parsed(written or ""), _parsed(held)
    return [
        field
        for field in ours
        if (
            before[field] != present[field]
            if field in before
            else present[field] and not theirs.get(field)
        )
    ]


def params_for(fields: list[str], ours: Profile, customer: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that write these fields; of an address the rest stays as it is."""
    params: dict[str, Any] = {field: ours[field] for field in fields if field != "country"}
    if "country" in fields:
        address = customer.get("address")
        kept = {k: v for k, v in address.items() if v} if isinstance(address, Mapping) else {}
        params["address"] = {**kept, "country": ours["country"]}
    return params


def _parsed(text: str) -> Profile:
    pairs = (part.partition(":") for part in text.split())
    return {field: digest for field, _, digest in pairs}
