"""What people, customers and banks do in Stripe, past the pipeline.

What belongs here: each kind of act as the few requests that it takes, made as the dashboard would
make them. What does not: the inputs (`edits.py`), and when which act comes (`story.py`).

An act gives the sentence for the diary, or None where there is nothing to act upon, or Stripe
refuses it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.stripe_sandbox import Sandbox
from tests.changes.company import BAD_CARD, BAD_DEBIT, GOOD_CARD, GOOD_DEBIT

Json = dict[str, Any]
_HEADERS = {"Authorization": "Bearer sk_test_dashboard"}


@dataclass
class Dashboard:
    """A person at Stripe's dashboard. `moved`: what was done to balances by hand, by Stripe
    customer and currency."""

    sandbox: Sandbox
    customers_acted_on: set[str] = field(default_factory=set)
    invoices_acted_on: set[str] = field(default_factory=set)

    def all(self, kind: str) -> list[Json]:
        """All objects of a kind, the oldest first; read past the API."""
        store = self.sandbox._store
        with store.transaction(write=False):
            return store.select(kind, [], limit=10_000, oldest_first=True)

    def send(self, method: str, path: str, params: Mapping[str, Any]) -> Json | None:
        """A request; None where it is refused."""
        body = urlencode(sorted(params.items()))
        answer = self.sandbox.handle(method, f"/v1/{path}", _HEADERS, body)
        found: Json = json.loads(answer.body)
        return found if answer.status == 200 else None

    def post(self, path: str, **params: Any) -> Json | None:
        return self.send("POST", path, params)


Act = Callable[[random.Random, Dashboard], str | None]
ACTS: dict[str, Act] = {}


def _act(function: Act) -> Act:
    ACTS[function.__name__] = function
    return function


def _invoice(rng: random.Random, at: Dashboard, *statuses: str) -> Json | None:
    found = [item for item in at.all("invoice") if item["status"] in statuses]
    if not found:
        return None
    chosen = rng.choice(found)
    at.invoices_acted_on.add(chosen["id"])
    return chosen


def _customer(rng: random.Random, at: Dashboard) -> Json | None:
    found = [item for item in at.all("customer") if not item.get("deleted")]
    if not found:
        return None
    chosen = rng.choice(found)
    at.customers_acted_on.add(chosen["id"])
    return chosen


# Invoices.
@_act
def void(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "open", "uncollectible")
    done = item and at.post(f"invoices/{item['id']}/void")
    return f"{done['id']} is voided" if done else None


@_act
def mark_uncollectible(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "open")
    done = item and at.post(f"invoices/{item['id']}/mark_uncollectible")
    return f"{done['id']} is given up" if done else None


@_act
def delete_draft(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "draft")
    done = item and at.send("DELETE", f"invoices/{item['id']}", {})
    return f"draft {done['id']} is deleted" if done else None


@_act
def finalize_draft(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "draft")
    done = item and at.post(f"invoices/{item['id']}/finalize")
    return f"draft {done['id']} is finalized" if done else None


@_act
def edit_draft(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "draft")
    if item is None:
        return None
    line = {"lines[0][amount]": 999, "lines[0][description]": "by hand"}
    done = at.post(f"invoices/{item['id']}/add_lines", **line)
    return f"draft {item['id']} has a line of 9.99 by hand" if done else None


@_act
def credit_by_hand(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "open", "paid", "uncollectible")
    if item is None:
        return None
    left = item["total"] - item["pre_payment_credit_notes_amount"]
    left -= item["post_payment_credit_notes_amount"]
    if left < 1:
        return None
    amount = rng.choice((left, max(1, left // 3)))
    after = max(0, amount - item["amount_remaining"])
    way = rng.choice(("credit_amount", "refund_amount", "out_of_band_amount"))
    more = {way: after} if after else {}
    done = at.post("credit_notes", invoice=item["id"], amount=amount, **more)
    return f"{amount} of {item['id']} is credited by hand ({way})" if done else None


# Payments.
@_act
def pay_outside(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "open", "uncollectible")
    done = item and at.post(f"invoices/{item['id']}/pay", paid_out_of_band="true")
    return f"{done['id']} is paid outside" if done else None


@_act
def pay_in_part(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "open")
    if item is None or item["amount_remaining"] < 200:
        return None
    made = at.post(
        "payment_intents",
        amount=item["amount_remaining"] // 2,
        currency=item["currency"],
        customer=item["customer"],
        payment_method=GOOD_CARD,
        confirm="true",
    )
    done = made and at.post(f"invoices/{item['id']}/attach_payment", payment_intent=made["id"])
    return f"half of {item['id']} is paid" if done else None


@_act
def pay_late(rng: random.Random, at: Dashboard) -> str | None:
    """The customer pays by another card, on the hosted page."""
    item = _invoice(rng, at, "open", "uncollectible")
    card = item and at.post(f"payment_methods/{GOOD_CARD}/attach", customer=item["customer"])
    done = item and card and at.post(f"invoices/{item['id']}/pay", payment_method=card["id"])
    return f"{done['id']} is paid by the customer" if done else None


def _charge(rng: random.Random, at: Dashboard) -> Json | None:
    found = [
        item
        for item in at.all("charge")
        if item["paid"] and not item["disputed"] and not item["refunded"]
    ]
    return rng.choice(found) if found else None


@_act
def refund(rng: random.Random, at: Dashboard) -> str | None:
    item = _charge(rng, at)
    if item is None:
        return None
    left = item["amount"] - item["amount_refunded"]
    amount = rng.choice((left, max(1, left // 2)))
    done = at.post("refunds", charge=item["id"], amount=amount)
    return f"{amount} of {item['id']} is refunded" if done else None


@_act
def open_dispute(rng: random.Random, at: Dashboard) -> str | None:
    item = _charge(rng, at)
    if item is None:
        return None
    at.sandbox.open_dispute(item["id"])
    return f"{item['id']} is disputed"


@_act
def close_dispute(rng: random.Random, at: Dashboard) -> str | None:
    found = [item for item in at.all("dispute") if item["status"] == "needs_response"]
    if not found:
        return None
    item, won = rng.choice(found), rng.random() < 0.5
    at.sandbox.close_dispute(item["id"], won=won)
    return f"dispute {item['id']} is {'won' if won else 'lost'}"


# Marks.
@_act
def remove_mark(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "draft", "open", "paid", "void", "uncollectible")
    names = [name for name in (item or {}).get("metadata", {}) if name.startswith("billing_")]
    if item is None or not names:
        return None
    name = rng.choice(sorted(names))
    at.post(f"invoices/{item['id']}", **{f"metadata[{name}]": ""})
    return f"mark {name} of {item['id']} is removed"


@_act
def remove_all_marks(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "draft", "open", "paid", "void", "uncollectible")
    if item is None:
        return None
    at.post(f"invoices/{item['id']}", metadata="")
    return f"all marks of {item['id']} are removed"


@_act
def edit_mark(rng: random.Random, at: Dashboard) -> str | None:
    item = _invoice(rng, at, "open", "paid", "void", "uncollectible")
    if item is None:
        return None
    name = rng.choice(metadata_keys.IDENTITY)
    values = {metadata_keys.MONTH: "2025-12-01", metadata_keys.REVISION: "4"}
    at.post(f"invoices/{item['id']}", **{f"metadata[{name}]": values.get(name, "someone-else")})
    return f"mark {name} of {item['id']} is edited"


# Customers.
@_act
def delete_customer(rng: random.Random, at: Dashboard) -> str | None:
    item = _customer(rng, at)
    done = item and at.send("DELETE", f"customers/{item['id']}", {})
    return f"Stripe customer {done['id']} is deleted" if done else None


@_act
def duplicate_customer(rng: random.Random, at: Dashboard) -> str | None:
    item = _customer(rng, at)
    if item is None:
        return None
    marks = {f"metadata[{name}]": value for name, value in item["metadata"].items()}
    named = {name: item[name] for name in ("name", "email") if item[name]}
    done = at.post("customers", **named, **marks)
    return f"Stripe customer {item['id']} is there again as {done['id']}" if done else None


@_act
def unmark_customer(rng: random.Random, at: Dashboard) -> str | None:
    item = _customer(rng, at)
    if item is None:
        return None
    at.post(f"customers/{item['id']}", **{f"metadata[{metadata_keys.CUSTOMER_ID}]": ""})
    return f"Stripe customer {item['id']} has lost its mark"


@_act
def change_balance(rng: random.Random, at: Dashboard) -> str | None:
    item = _customer(rng, at)
    if item is None:
        return None
    amount = rng.choice((-700, 1500))
    moved = {"amount": amount, "currency": item["currency"] or "usd"}
    done = at.post(f"customers/{item['id']}/balance_transactions", **moved)
    return f"balance of {item['id']} is moved by {amount}" if done else None


@_act
def change_email(rng: random.Random, at: Dashboard) -> str | None:
    item = _customer(rng, at)
    if item is None:
        return None
    at.post(f"customers/{item['id']}", email="elsewhere@example.com")
    return f"Stripe customer {item['id']} has another e-mail address"


@_act
def change_method(rng: random.Random, at: Dashboard) -> str | None:
    item = _customer(rng, at)
    if item is None:
        return None
    method = rng.choice((GOOD_CARD, BAD_CARD, GOOD_DEBIT, BAD_DEBIT))
    settings = {"invoice_settings[default_payment_method]": method}
    at.post(f"customers/{item['id']}", payment_method=method, **settings)
    return f"Stripe customer {item['id']} pays by {method}"
