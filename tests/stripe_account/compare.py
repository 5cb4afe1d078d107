"""Sending the steps, and what of the answers is compared.

What belongs here: running the list, scrubbing the answers, the differences, and cleaning up.
What does not: the list (`steps.py`), keys and files (`__main__.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tests.stripe_account.steps import Step

Json = dict[str, Any]
Send = Callable[[str, str, Json], tuple[int, Json]]
"""Method, path and parameters; gives the status and the answer."""

_COMPARED = frozenset(
    [
        *("amount", "amount_due", "amount_overpaid", "amount_paid", "amount_refunded"),
        *("amount_remaining", "amount_requested", "attempt_count", "attempted", "auto_advance"),
        *("balance", "captured", "collection_method", "currency", "disputed", "ending_balance"),
        *("has_more", "object", "paid", "post_payment_amount", "pre_payment_amount", "refunded"),
        *("starting_balance", "status", "subtotal", "total", "type"),
    ]
)
"""Fields whose values are no id, no time and nothing of the account's own."""
_DAY = 86_400
_APART = 20
"""Seconds from which creating and finalizing an invoice were not done together."""
_ID = re.compile(r"\{(\w+)\}")


def run(steps: Iterable[Step], send: Send) -> dict[str, Json]:
    """The scrubbed answer to each step, by its name; everything made is removed at the end."""
    ids: dict[str, str] = {}
    answers: dict[str, Json] = {}
    try:
        for step in steps:
            path, params = _filled(step.path, ids), _filled(step.params, ids)
            if path is None or params is None:
                answers[step.name] = {"skipped": True}
                continue
            status, body = send(step.method, path, params)
            answers[step.name] = scrubbed(status, body)
            if status == 200 and isinstance(body.get("id"), str):
                ids[step.name] = body["id"]
    finally:
        _clean_up(ids, send)
    return answers


def _filled(value: Any, ids: Mapping[str, str]) -> Any:
    """The value with the ids in it; None if one of them does not exist."""
    if isinstance(value, dict):
        filled = {name: _filled(inner, ids) for name, inner in value.items()}
        return None if any(inner is None for inner in filled.values()) else filled
    if not isinstance(value, str):
        return value
    names = _ID.findall(value)
    if any(name not in ids for name in names):
        return None
    return _ID.sub(lambda match: ids[match[1]], value)


def scrubbed(status: int, body: Json) -> Json:
    """What of an answer can be kept: no ids, times, names or texts."""
    if status != 200:
        error = body.get("error", {})
        facts = {name: error.get(name) for name in ("type", "code", "decline_code", "param")}
        return {"status": status, "fields": sorted(error), **facts}
    kept = {name: value for name, value in body.items() if name in _COMPARED}
    kept = {name: value for name, value in kept.items() if not isinstance(value, dict | list)}
    if body.get("due_date") and body.get("created"):
        kept["due_after_days"] = round((body["due_date"] - body["created"]) / _DAY)
        kept |= _counted_from(body)
    if isinstance(body.get("data"), list):
        kept["data"] = [scrubbed(200, item) for item in body["data"]]
    fields = [] if body.get("object") == "account" else sorted(body)
    return {"status": status, "fields": fields, "values": kept}


def _counted_from(invoice: Json) -> Json:
    """From when the days until it is due count, where that can be told apart."""
    finalized_at = (invoice.get("status_transitions") or {}).get("finalized_at")
    if finalized_at is None or finalized_at - invoice["created"] < _APART:
        return {}
    times = {"created": invoice["created"], "finalized": finalized_at}
    found = [name for name, at in times.items() if (invoice["due_date"] - at) % _DAY == 0]
    return {"due_counted_from": found}


def differences(ours: Mapping[str, Json], theirs: Mapping[str, Json]) -> Iterator[str]:
    """A sentence for each thing in which the sandbox's answers differ from Stripe's."""
    for name, stripe in theirs.items():
        yield from _differ(ours.get(name, {"skipped": True}), stripe, name)


def _differ(ours: Any, theirs: Any, place: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted({*ours, *theirs}):
            yield from _differ(ours.get(name), theirs.get(name), f"{place}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and place.endswith(".fields"):
        missing, invented = sorted({*theirs} - {*ours}), sorted({*ours} - {*theirs})
        yield from [f"{place}: the sandbox lacks {missing}"] if missing else []
        yield from [f"{place}: the sandbox has {invented}, Stripe has not"] if invented else []
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for at, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differ(one, other, f"{place}[{at}]")
    elif ours != theirs:
        yield f"{place}: the sandbox says {ours!r}, Stripe {theirs!r}"


def _clean_up(ids: Mapping[str, str], send: Send) -> None:
    """Void or delete what was made. What Stripe keeps (paid invoices, payments, a debit under way)
    stays in test mode, without its customer."""
    for object_id in ids.values():
        if object_id.startswith("in_"):
            status, invoice = send("GET", f"/v1/invoices/{object_id}", {})
            state = invoice.get("status") if status == 200 else None
            if state == "draft":
                send("DELETE", f"/v1/invoices/{object_id}", {})
            elif state in ("open", "uncollectible"):
                send("POST", f"/v1/invoices/{object_id}/void", {})
    for object_id in ids.values():
        if object_id.startswith("cus_"):
            send("DELETE", f"/v1/customers/{object_id}", {})
        if object_id.startswith("clock_"):
            send("DELETE", f"/v1/test_helpers/test_clocks/{object_id}", {})
