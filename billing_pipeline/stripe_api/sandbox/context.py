"""What a handler works with while it answers one request.

What belongs here: the small verbs that every room uses (find, make, save, tell) and the settings
of a sandbox. What does not: the rules of any one kind of object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from billing_pipeline.stripe_api.sandbox.errors import invalid, no_such
from billing_pipeline.stripe_api.sandbox.money import MINIMUM_CHARGE
from billing_pipeline.stripe_api.sandbox.store import Store

Json = dict[str, Any]
Params = dict[str, Any]

HOUR = 3600
DAY = 24 * HOUR
MOST_KEYS = 50
"""How many keys the metadata of an object may have."""

# How Stripe calls a kind in "No such …", and which parameter it blames in a path.
NOUNS = {
    "customer": ("customer", "id"),
    "invoice": ("invoice", "invoice"),
    "invoiceitem": ("invoiceitem", "invoiceitem"),
    "credit_note": ("credit_note", "id"),
    "payment_intent": ("payment_intent", "intent"),
    "payment_method": ("PaymentMethod", "payment_method"),
    "customer_balance_transaction": ("customer_balance_transaction", "transaction"),
    "invoice_payment": ("invoice_payment", "invoice_payment"),
    "event": ("event", "id"),
    "charge": ("charge", "id"),
    "refund": ("refund", "id"),
}


@dataclass(frozen=True)
class SandboxConfig:
    """What can be set. Times in seconds.

    `rate_limit`, `endpoint_rate_limit`: requests a second, None for no limit (Stripe's test mode:
    25 and 25). `retry_after`: sent with a 429 where set; Stripe promises none. `latency`: how long
    the HTTP server waits before it answers. `search_lag`: how old search results are.
    `collection_delay`: how long drafts and open invoices with auto-advance wait. `retry_days`:
    days after the first failure on which automatic collection tries again. `has_control` opens
    ``/sandbox/clock`` to requests, so that another process can move the clock.
    """

    account_id: str = "acct_1SbxBillingPipeline"
    rate_limit: int | None = None
    endpoint_rate_limit: int | None = None
    retry_after: int | None = None
    latency: float = 0.0
    search_lag: int = 60
    key_lifetime: int = 24 * HOUR
    events_kept: int = 30 * DAY
    collection_delay: int = HOUR
    retry_days: tuple[int, ...] = (3, 8, 15)
    minimum_charge: Mapping[str, int] = field(default_factory=lambda: dict(MINIMUM_CHARGE))
    has_control: bool = False


@dataclass
class Context:
    """One request: the state, the time, and who asked."""

    store: Store
    config: SandboxConfig
    now: int
    request_id: str | None = None
    key: str | None = None
    path_id: str = ""
    second_id: str = ""

    def get(self, kind: str, item_id: str, *, param: str | None = None) -> Json:
        """The object, or Stripe's error: 404 if it stood in the path, 400 if in `param`."""
        found = self.store.find(kind, item_id)
        if found is None:
            noun, blamed = NOUNS[kind]
            raise no_such(noun, item_id, param or blamed, in_path=param is None)
        return found

    def live_customer(self, customer_id: str, *, param: str | None = None) -> Json:
        """A customer who was not deleted."""
        customer = self.get("customer", customer_id, param=param)
        if customer.get("_deleted"):
            raise no_such("customer", customer_id, param or "id", in_path=param is None)
        return customer

    def make(self, kind: str, prefix: str, **body: Any) -> Json:
        """A new object, written."""
        item_id, number = self.store.new_id(prefix)
        item = {"id": item_id, "object": kind, "created": self.now, **body}
        self.store.insert(item, number)
        return item

    def save(self, item: Json) -> None:
        self.store.update(item, self.now, search_lag=self.config.search_lag)

    def tell(self, event: str, shown: Json) -> None:
        """Record an event about an object as it is shown now."""
        item_id, number = self.store.new_id("evt")
        self.store.insert(
            {
                "id": item_id,
                "object": "event",
                "created": self.now,
                "type": event,
                "data": {"object": public(shown)},
                "request": {"id": self.request_id, "idempotency_key": self.key},
            },
            number,
        )


def merge_metadata(item: Json, changes: Any, param: str = "metadata") -> None:
    """Stripe's way: what is named is set, an empty value takes a key away, '' takes all."""
    if changes is None:
        return
    if changes == "":
        item["metadata"] = {}
        return
    merged = dict(item.get("metadata") or {})
    for name, value in changes.items():
        if value == "":
            merged.pop(name, None)
        else:
            merged[name] = value
    if len(merged) > MOST_KEYS:
        raise invalid(
            f"Metadata can only have up to {MOST_KEYS} keys, and this would have {len(merged)}.",
            param,
        )
    item["metadata"] = merged


def public(item: Json) -> Json:
    """Without what only the sandbox knows."""
    return {name: value for name, value in item.items() if name[0] != "_"}
