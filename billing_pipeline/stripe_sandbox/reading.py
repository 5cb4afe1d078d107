"""The objects that are only read: the account, events and search.

What belongs here: their rules, such as how long events are available and how far search lags. What
does not: lists of other objects, which are in those objects' modules.
"""

from __future__ import annotations

import re
from typing import Any

from billing_pipeline.stripe_sandbox.context import Call, Handler, json_equal, route
from billing_pipeline.stripe_sandbox.errors import ApiError, InvalidParamsError

Json = dict[str, Any]

EVENT_LIFETIME = 30 * 86_400
MAX_EVENT_TYPES = 20
_CLAUSE = re.compile(
    r"""\s*(-?)(metadata\[["']([^"']+)["']\]|\w+)\s*(:|[<>]=?)\s*("([^"]*)"|'([^']*)'|(\d+))\s*"""
)
_FIELDS = frozenset(
    ["customer", "status", "currency", "number", "total", "created", "email", "name", "amount"]
)


@route("GET", "accounts/*", "AccountRetrieveParams")
def account_by_id(call: Call, account_id: str) -> Json:
    if account_id != call.account:
        text = f"The provided key does not have access to account '{account_id}' (or it is gone)."
        raise ApiError(text, status=403, code="account_invalid")
    return account(call)


@route("GET", "account", "AccountRetrieveCurrentParams")
def account(call: Call) -> Json:
    return {
        "id": call.account,
        "object": "account",
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "sandbox@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "settings": {
            "branding": {},
            "card_payments": {},
            "dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"},
            "payments": {},
        },
        "type": "standard",
    }


@route("GET", "products/*", "ProductRetrieveParams")
def product(call: Call, product_id: str) -> Json:
    return call.get("product", product_id)


@route("GET", "products", "ProductListParams", "active")
def products(call: Call) -> Json:
    return call.page("product", "/v1/products", where=json_equal(call.params, "active"))


@route("GET", "prices/*", "PriceRetrieveParams")
def price(call: Call, price_id: str) -> Json:
    return call.get("price", price_id)


@route("GET", "prices", "PriceListParams", "active product")
def prices(call: Call) -> Json:
    where = json_equal(call.params, "active", "product")
    return call.page("price", "/v1/prices", where=where)


EMPTY_LISTS = {
    "checkout/sessions": "checkout.SessionListParams",
    "coupons": "CouponListParams",
    "plans": "PlanListParams",
    "radar/early_fraud_warnings": "radar.EarlyFraudWarningListParams",
    "setup_intents": "SetupIntentListParams",
    "subscription_schedules": "SubscriptionScheduleListParams",
    "subscriptions": "SubscriptionListParams",
    "tax_ids": "TaxIdListParams",
    "transfers": "TransferListParams",
}
"""Lists that are empty, as in an account that uses nothing but invoices: programs that sync a whole
account ask for them."""


def _empty_list(place: str) -> Handler:
    return lambda call: {"object": "list", "url": f"/v1/{place}", "has_more": False, "data": []}


for _place, _params in EMPTY_LISTS.items():
    route("GET", _place, _params)(_empty_list(_place))


@route("GET", "events/*", "EventRetrieveParams")
def event(call: Call, event_id: str) -> Json:
    return call.get("event", event_id)


@route("GET", "events", "EventListParams", "type types")
def events(call: Call) -> Json:
    given = call.params
    types = given.get("types") or ([given["type"]] if "type" in given else [])
    if len(types) > MAX_EVENT_TYPES:
        text = f"Array types exceeded maximum {MAX_EVENT_TYPES} allowed elements."
        raise InvalidParamsError(text, param="types")
    where: list[tuple[str, Any]] = [("created >= ?", call.now - EVENT_LIFETIME)]
    if types:
        # Each condition has one placeholder, so the types are passed as one JSON list.
        glob = "exists (select 1 from json_each(?) where json_extract(body, '$.type') glob value)"
        quoted = ",".join(f'"{name}"' for name in types if re.fullmatch(r"[\w.*]+", name))
        where.append((glob, f"[{quoted}]"))
    return call.page("event", "/v1/events", where=where)


@route("GET", "invoices/search", "InvoiceSearchParams", "query page")
def search_invoices(call: Call) -> Json:
    return _search(call, "invoice", "/v1/invoices/search")


@route("GET", "customers/search", "CustomerSearchParams", "query page")
def search_customers(call: Call) -> Json:
    return _search(call, "customer", "/v1/customers/search")


@route("GET", "payment_intents/search", "PaymentIntentSearchParams", "query page")
def search_payment_intents(call: Call) -> Json:
    return _search(call, "payment_intent", "/v1/payment_intents/search")


def _search(call: Call, kind: str, url: str) -> Json:
    """The matching objects that were created before the search index was last updated."""
    call.listed = kind
    limit, page = call.params.get("limit", 10), call.params.get("page", "0")
    if not 1 <= limit <= 100 or not page.isdecimal():
        raise InvalidParamsError("Invalid limit or page")
    query = call.params["query"]
    pieces = re.split(r"\s+(AND|OR)\s+", query, flags=re.IGNORECASE)
    words = {word.upper() for word in pieces[1::2]}
    if len(words) > 1:
        raise ApiError("A query may use AND or OR, not both.", param="query")
    clauses = [_clause(piece) for piece in pieces[0::2]]
    joint = any if words == {"OR"} else all
    where = [("created <= ?", call.now - int(call.search_lag))]
    found = [
        item
        for item in call.store.select(kind, where, limit=1_000_000)
        if not item.get("deleted") and joint(_matches(item, *clause) for clause in clauses)
    ]
    start = int(page)
    has_more = len(found) > start + limit
    return {
        "object": "search_result",
        "url": url,
        "has_more": has_more,
        "next_page": str(start + limit) if has_more else None,
        "data": found[start : start + limit],
    }


def _clause(text: str) -> tuple[bool, str, str | None, str, str]:
    match = _CLAUSE.fullmatch(text)
    if match is None or (match[3] is None and match[2] not in _FIELDS):
        raise ApiError(f"We were unable to parse your search query: {text}", param="query")
    value = next(group for group in match.group(6, 7, 8) if group is not None)
    return bool(match[1]), match[2], match[3], match[4], value


def _matches(
    item: Json, negated: bool, field: str, metadata: str | None, sign: str, value: str
) -> bool:
    held = item.get(field) if metadata is None else item.get("metadata", {}).get(metadata)
    if held is None:
        return negated
    if sign == ":":
        return (str(held).lower() == value.lower()) != negated
    number, bound = int(held), int(value)
    compared = {"<": number < bound, "<=": number <= bound, ">": number > bound}
    return compared.get(sign, number >= bound) != negated
