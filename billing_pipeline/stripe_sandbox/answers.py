"""Objects as answers show them: with their lines, and with what `expand` asks for.

What belongs here: turning saved objects into sent ones. What does not: which fields a kind has
(`shapes.py`), and choosing the objects (the modules of the kinds).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billing_pipeline.stripe_sandbox.context import PREFIXES, Call, saved
from billing_pipeline.stripe_sandbox.errors import InvalidParamsError
from billing_pipeline.stripe_sandbox.shapes import complete, expandable
from billing_pipeline.stripe_sandbox.tax_ids import list_for_customer, shown_on_invoice

Json = dict[str, Any]

MAX_DEPTH = 4
INCLUDED_LINES = 10
"""Number of lines that an object includes; the list of its lines has the others."""

_LINES = {
    "credit_note": ("credit_note_line_item", "credit_notes"),
    "invoice": ("line_item", "invoices"),
}
"""The kind of the lines that an object includes, and its place in addresses."""
_KINDS = {prefix: kind for kind, prefix in PREFIXES.items()}


def finished(call: Call, body: Json) -> Json:
    """The answer as it is sent: in the shapes of our version of the API, whichever one the request
    names.

    Which paths another version can expand is unknown here, so for it unknown paths are ignored.
    """
    if isinstance(body.get("data"), list):
        body = body | {"data": [shown(call, item) for item in body["data"]]}
    else:
        body = shown(call, body)
    for path in call.params.get("expand", ()):
        parts = path.split(".")
        if len(parts) > MAX_DEPTH:
            raise InvalidParamsError(f"You cannot expand more than {MAX_DEPTH} levels: {path}")
        if _may_expand(call, body, parts):
            _expand(call, body, parts)
        elif call.is_of_our_version:
            raise InvalidParamsError(f"This property cannot be expanded ({path}).")
    return body


def shown(call: Call, item: Json) -> Json:
    """An object as it is sent: with all fields of its kind, without the sandbox's private ones."""
    sent = complete(saved(item))
    if item.get("deleted"):
        return sent
    if item["object"] == "event":
        sent["data"] = {**item["data"], "object": shown(call, item["data"]["object"])}
    elif item["object"] in _LINES:
        kind, place = _LINES[item["object"]]
        url = f"/v1/{place}/{item['id']}/lines"
        # A page of events has the same invoice many times.
        if url not in call.lists:
            call.lists[url] = _inner_list(call, kind, item["id"], url, oldest_first=True)
        sent["lines"] = call.lists[url]
    if item.get("object") == "invoice" and item["status"] == "draft":
        # Once it is finalized, they stay as they are.
        sent["customer_tax_ids"] = shown_on_invoice(call, item["customer"])
    return sent


def _inner_list(
    call: Call, kind: str, parent: str, url: str, *, oldest_first: bool = False
) -> Json:
    where, limit = [("parent = ?", parent)], INCLUDED_LINES
    rows = call.store.select(kind, where, limit=limit + 1, oldest_first=oldest_first)
    data = [shown(call, row) for row in rows[:limit]]
    return {"object": "list", "url": url, "has_more": len(rows) > limit, "data": data}


# Expansion.
def _may_expand(call: Call, body: Json, parts: list[str]) -> bool:
    kind = body["object"]
    if kind in ("list", "search_result"):
        return parts[0] == "data" and len(parts) > 1 and expandable(str(call.listed), parts[1:])
    return expandable(kind, parts)


def _expand(call: Call, value: Any, parts: list[str]) -> None:
    if isinstance(value, list):
        for item in value:
            _expand(call, item, parts)
    if not isinstance(value, dict) or not parts:
        return
    name, *rest = parts
    if name not in value and (value.get("object"), name) in _INCLUDED:
        value[name] = _INCLUDED[value["object"], name](call, value["id"])
    inner = value.get(name)
    if isinstance(inner, str) and inner.split("_")[0] in _KINDS:
        value[name] = inner = shown(call, call.get(_KINDS[inner.split("_")[0]], inner))
    _expand(call, inner, rest)


def _balances(call: Call, customer: str) -> Any:
    return call.get("customer", customer).get("_balances", {})


def _refunds(call: Call, charge: str) -> Json:
    intent = call.get("charge", charge)["payment_intent"]
    return _inner_list(call, "refund", intent, f"/v1/charges/{charge}/refunds")


def _payments(call: Call, invoice: str) -> Json:
    return _inner_list(call, "invoice_payment", invoice, "/v1/invoice_payments")


def _tax_ids(call: Call, customer: str) -> Json:
    data = [shown(call, item) for item in list_for_customer(call, customer)[::-1]]
    url = f"/v1/customers/{customer}/tax_ids"
    return {"object": "list", "url": url, "has_more": False, "data": data}


def _empty_list(place: str) -> Callable[[Call, str], Json]:
    """A list that is always empty here."""
    return lambda call, owner: {
        "object": "list",
        "url": f"/v1/customers/{owner}/{place}",
        "has_more": False,
        "data": [],
    }


_INCLUDED: dict[tuple[str, str], Callable[[Call, str], Any]] = {
    ("charge", "refunds"): _refunds,
    ("customer", "invoice_credit_balance"): _balances,
    ("customer", "sources"): _empty_list("sources"),
    ("customer", "subscriptions"): _empty_list("subscriptions"),
    ("customer", "tax_ids"): _tax_ids,
    ("invoice", "payments"): _payments,
}
"""Fields that Stripe sends only if `expand` names them, by kind and field."""
