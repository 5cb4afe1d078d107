"""What a Stripe event is about, or why it cannot be read.

What belongs here: reading an event, from the list or a webhook; pure. What does not: where events
come from (`event_reader.py`, `inbox.py`), and reading the objects that they are about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cached_customers import card_of
from billing_pipeline.collection.stripe_state.set_aside import UnreadableError
from billing_pipeline.collection.stripe_state.stripe_invoice import is_time


@dataclass(frozen=True)
class StripeEvent:
    """An event. `target`: Stripe's id of the invoice, customer or payout that it is about, or of
    the payment intent that was refunded or disputed; None for anything else. `made_at`: when that
    object was created (epoch seconds), if the event says so. `key`: the idempotency key of the
    request that caused it."""

    event_id: str
    type: str
    created: int
    target: str | None = None
    made_at: int | None = None
    metadata: Mapping[str, str] | None = None
    key: str = ""
    card: str = ""
    """For a customer: Stripe's id of the default payment method; empty where there is none."""
    is_new_card: bool | None = None
    """Whether the default payment method was changed; None: the event does not say."""

    @property
    def is_about_customer(self) -> bool:
        return self.type.startswith("customer.")

    @property
    def is_about_payout(self) -> bool:
        return self.type.startswith("payout.")

    @property
    def is_about_money(self) -> bool:
        """True where money of a payment was refunded or disputed, or came back."""
        return self.type.startswith(("charge.", "refund."))

    @property
    def is_about_invoice(self) -> bool:
        return not (self.is_about_customer or self.is_about_money or self.is_about_payout)

    @property
    def is_ours(self) -> bool:
        """True where a request of ours caused it: then the request's answer is in the cache."""
        invoice_id = (self.metadata or {}).get(metadata_keys.INVOICE_ID)
        return invoice_id is not None and self.key.startswith(f"{invoice_id}:")


def parse_event(event: Any) -> StripeEvent:
    """An event from Stripe's JSON. Raises `UnreadableError`."""
    if not isinstance(event, Mapping):
        raise UnreadableError("is not an event")
    event_id, kind, created = event.get("id"), event.get("type"), event.get("created")
    if not isinstance(event_id, str) or not event_id.isprintable() or not event_id:
        raise UnreadableError("has no id")
    if not isinstance(kind, str):
        raise UnreadableError("has no type")
    if not is_time(created):
        raise UnreadableError(f"{_named(kind)}its time cannot be read")
    data = event.get("data")
    thing = data.get("object") if isinstance(data, Mapping) else None
    if not isinstance(thing, Mapping):
        raise UnreadableError(f"{_named(kind)}has no object")
    request = event.get("request")
    key = request.get("idempotency_key") if isinstance(request, Mapping) else None
    found = StripeEvent(event_id, kind, created, key=key if isinstance(key, str) else "")
    if kind == "customer.updated":
        found = replace(found, card=card_of(thing), is_new_card=_is_new_card(data))
    return _with_target(found, thing)


def _is_new_card(data: Any) -> bool | None:
    before = data.get("previous_attributes")
    if not isinstance(before, Mapping):
        return None
    settings = before.get("invoice_settings")
    return isinstance(settings, Mapping) and "default_payment_method" in settings


def _with_target(event: StripeEvent, thing: Mapping[str, Any]) -> StripeEvent:
    if event.is_about_money:
        intent = thing.get("payment_intent")
        # A charge without a payment intent is of no invoice of ours.
        return replace(event, target=intent if isinstance(intent, str) and intent else None)
    field = _FIELDS.get(_family(event.type))
    if field is None:
        return event
    target = thing.get(field)
    if field == "id" and thing.get("object") != _family(event.type):
        raise UnreadableError(f"{_named(event.type)}its object is no {_family(event.type)}")
    if not isinstance(target, str) or not target.isprintable() or not target:
        what = "has no id" if field == "id" else f"names no {field}"
        raise UnreadableError(f"{_named(event.type)}its {_family(event.type)} {what}")
    metadata = thing.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise UnreadableError(f"{_named(event.type)}its metadata is not a list of names and texts")
    made_at = thing.get("created") if field == "id" else None
    return replace(
        event,
        target=target,
        made_at=made_at if is_time(made_at) else None,
        metadata={k: v for k, v in metadata.items() if isinstance(v, str)},
    )


# By the family of an event's type: the field of its object with the id of what we read again.
_FIELDS = {"invoice": "id", "credit_note": "invoice", "customer": "id", "payout": "id"}


def _family(kind: str) -> str:
    # `customer.subscription.created` is about a subscription, `customer.updated` about a customer.
    family, _, what = kind.partition(".")
    return family if "." not in what else kind


def _named(kind: str) -> str:
    return f"{kind}: " if kind.isprintable() and len(kind) <= 100 else ""
