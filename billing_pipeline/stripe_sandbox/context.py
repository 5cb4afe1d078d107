"""The context of one request, which handlers work with, and the table of handlers.

What belongs here: creating, reading and listing objects of any kind, events, routes.
What does not: any rule of a particular kind of object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import stripe

from billing_pipeline.stripe_sandbox.errors import ApiError, InvalidParamsError, missing
from billing_pipeline.stripe_sandbox.errors import unsupported as _unsupported
from billing_pipeline.stripe_sandbox.store import Store

Json = dict[str, Any]
Handler = Callable[..., Json]

CLOCK = "test_helpers.test_clock"
PREFIXES = {
    CLOCK: "clock",
    "customer": "cus",
    "customer_balance_transaction": "cbtxn",
    "payment_method": "pm",
    "invoice": "in",
    "line_item": "il",
    "credit_note": "cn",
    "credit_note_line_item": "cnli",
    "payment_intent": "pi",
    "payment_record": "pr",
    "invoice_payment": "inpay",
    "charge": "ch",
    "refund": "re",
    "dispute": "dp",
    "event": "evt",
    "product": "prod",
    "price": "price",
    "balance_transaction": "txn",
    "payout": "po",
    "tax_id": "txi",
}
_COMMON_PARAMS = frozenset({"expand", "limit", "starting_after", "ending_before", "created"})


@dataclass(frozen=True)
class Route:
    """A handler, the class of ``stripe.params`` for its parameters, and the names that it supports
    (None: all)."""

    handler: Handler
    params: str
    supported: frozenset[str] | None


ROUTES: dict[tuple[str, ...], Route] = {}


def route(
    method: str, path: str, params: str, supported: str | None = None
) -> Callable[[Handler], Handler]:
    """Register a handler; each ``*`` in the path is an id and becomes an argument, in order."""

    def register(handler: Handler) -> Handler:
        names = None if supported is None else frozenset(supported.split())
        ROUTES[(method, *path.split("/"))] = Route(handler, params, names)
        return handler

    return register


def find_route(method: str, path: str) -> tuple[Route, list[str]]:
    """The handler of a request and the ids in its path."""
    parts = path.strip("/").split("/")[1:]
    for stars in ((), (1,), (1, 3), (2,)):
        pattern = ["*" if at in stars else part for at, part in enumerate(parts)]
        found = ROUTES.get((method, *pattern))
        if found is not None:
            return found, [part for at, part in enumerate(parts) if at in stars]
    text = f"Unrecognized request URL ({method}: {path}). The sandbox has no such endpoint."
    raise ApiError(text, status=404)


class Call:
    """A request: its validated parameters and the state."""

    def __init__(
        self,
        store: Store,
        now: float,
        params: Json,
        *,
        request_id: str = "",
        version: str = stripe.api_version,
        key: str | None = None,
        search_lag: float = 0.0,
        list_lag: float = 0.0,
        origin: str = "",
        account: str = "acct_sandbox",
    ) -> None:
        self.store = store
        self.now = int(now)
        """The account's time, or that of a test clock whose customer the request concerns."""
        self._account_now = self.now
        self._clock: str | None = None
        self.params = params
        self.is_of_our_version = version == stripe.api_version
        self.search_lag = search_lag
        self._list_lag = list_lag
        self.account = account
        # Objects that others made have counters of their own.
        self._origin = origin
        self.request_id = request_id
        self.listed: str | None = None
        """The kind of object listed, if the answer is a page of a list."""
        self.lists: dict[str, Json] = {}
        """The inner lists of this answer, by address."""
        self._request = {"id": request_id or None, "idempotency_key": key}

    def require_supported(self, supported: frozenset[str] | None) -> None:
        for name in self.params if supported is not None else ():
            if name not in (supported or ()) and name not in _COMMON_PARAMS:
                raise _unsupported(name)

    # Objects.
    def new(
        self, kind: str, body: Json, *, customer: str | None = None, parent: str | None = None
    ) -> Json:
        """Create an object with its id, its time and the fields that all objects have."""
        item: Json = {
            "id": f"{PREFIXES[kind]}_{self._origin}{self.store.next(self._origin + kind):012}",
            "object": kind,
            "created": self.now,
            "livemode": False,
            **({"_clock": self._clock} if self._clock else {}),
            **body,
        }
        self.store.insert(kind, item, customer=customer, parent=parent)
        return item

    def get(self, kind: str, object_id: str, param: str = "id") -> Json:
        found = self.store.get(kind, object_id)
        if found is None:
            raise missing(kind, object_id, param)
        self._follow(found.get("test_clock") or found.get("_clock"))
        return found

    def _follow(self, clock_id: str | None) -> None:
        clock = self.store.get(CLOCK, clock_id) if clock_id else None
        if clock is not None:
            self.join(clock)

    def join(self, clock: Json) -> None:
        """From here on, use the test clock's time."""
        self._clock, self.now = clock["id"], clock["frozen_time"]

    def set_due(self, object_id: str, at: int | None) -> None:
        """Schedule the object for `invoices.run_due`, by the time of its test clock if it has one;
        None cancels."""
        self.store.set_due(object_id, at, self._clock)

    def save(self, item: Json) -> Json:
        self.store.save(item["object"], item)
        return item

    def event(self, name: str, item: Json, before: Json | None = None) -> None:
        """Record an event. The object is saved without its lines, which would be most of it.
        `before`: the object as it was; the event includes the former values of what changed."""
        previous = {} if before is None else {"previous_attributes": _changed(before, item)}
        body = {
            "api_version": stripe.api_version,
            "type": name,
            "pending_webhooks": 0,
            "request": self._request,
            "data": {"object": saved(item), **previous},
            # The list of events follows the account's time.
            "created": self._account_now,
        }
        self.new("event", body)

    # Lists.
    def page(
        self,
        kind: str,
        url: str,
        *,
        customer: str | None = None,
        parent: str | None = None,
        where: list[tuple[str, Any]] | None = None,
        oldest_first: bool = False,
    ) -> Json:
        """A page of a list, for the request's cursor and `created` filter."""
        self.listed = kind
        limit = self.params.get("limit", 10)
        if not 1 <= limit <= 100:
            raise InvalidParamsError("Invalid limit: must be 1 to 100", param="limit")
        conditions = [*(where or []), *_range("created", self.params.get("created"))]
        if self._list_lag and parent is None:
            conditions.append(("created <= ?", self._account_now - self._list_lag))
        if customer is not None:
            conditions.append(("customer = ?", customer))
        if parent is not None:
            conditions.append(("parent = ?", parent))
        backwards = "ending_before" in self.params
        conditions += self._cursor(kind, oldest_first)
        rows = self.store.select(
            kind, conditions, limit=limit + 1, oldest_first=oldest_first != backwards
        )
        data = rows[:limit][::-1] if backwards else rows[:limit]
        return {"object": "list", "url": url, "has_more": len(rows) > limit, "data": data}

    def _cursor(self, kind: str, oldest_first: bool) -> list[tuple[str, Any]]:
        for name in ("starting_after", "ending_before"):
            if name not in self.params:
                continue
            place = self.store.place(kind, self.params[name])
            if place is None:
                raise missing(kind, self.params[name], name)
            sign = ">" if oldest_first == (name == "starting_after") else "<"
            created, seq = place
            # The number alone does not give the order, because a test may turn its clock back.
            inner = f"(created {sign} {created} or (created = {created} and seq {sign} ?))"
            return [(inner, seq)]
        return []


def _range(column: str, given: Any) -> list[tuple[str, Any]]:
    if given is None:
        return []
    if isinstance(given, int):
        return [(f"{column} = ?", given)]
    signs = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
    return [(f"{column} {signs[name]} ?", value) for name, value in given.items()]


def json_range(field: str, given: Any) -> list[tuple[str, Any]]:
    return _range(f"json_extract(body, '$.{field}')", given)


def json_equal(params: Mapping[str, Any], *fields: str) -> list[tuple[str, Any]]:
    """Equality filters for the fields that the request contains."""
    return [(f"json_extract(body, '$.{n}') = ?", params[n]) for n in fields if n in params]


def _changed(before: Json, after: Json) -> Json:
    """The former values of everything that has changed; in nested objects, field by field."""
    changed: Json = {}
    for name in saved(before):
        old, new = before[name], after.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and old != new:
            changed[name] = _changed(dict.fromkeys(new) | old, new)
        elif old != new:
            changed[name] = old
    return changed


def saved(item: Json) -> Json:
    """An object without the sandbox's private fields."""
    return {name: value for name, value in item.items() if not name.startswith("_")}
