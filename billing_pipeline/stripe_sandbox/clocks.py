"""Test clocks: the time of some customers, which stands still until it is advanced.

What belongs here: the clocks, and finding what becomes due while one is advanced. What does not:
doing what is due (`invoices.run_due`), and which time a request sees (`context.py`).
"""

from __future__ import annotations

from typing import Any

from billing_pipeline.stripe_sandbox.context import CLOCK, Call, route
from billing_pipeline.stripe_sandbox.customers import customers_of_clock, erase, existing_customer
from billing_pipeline.stripe_sandbox.errors import ApiError
from billing_pipeline.stripe_sandbox.invoices import run_due
from billing_pipeline.stripe_sandbox.store import Store

Json = dict[str, Any]

DAY = 86_400
CLOCK_LIFETIME = 30 * DAY
MAX_ADVANCE = 2 * 366 * DAY
"""Two years, the limit of a clock without subscriptions. The sandbox has none."""
ADVANCING_SECONDS = 1
"""Seconds for which a clock is advancing. With Stripe it takes longer; clients have to wait until
it is ready."""
_PLACE = "test_helpers/test_clocks"
_PARAMS = "test_helpers.TestClock"


@route("POST", _PLACE, f"{_PARAMS}CreateParams", "frozen_time name customer")
def create(call: Call) -> Json:
    given = call.params
    customer = (
        existing_customer(call, given["customer"], "customer") if "customer" in given else None
    )
    if customer is not None and customer.get("test_clock"):
        raise ApiError("The customer already belongs to a test clock.", param="customer")
    body = {
        "deletes_after": call.now + CLOCK_LIFETIME,
        "frozen_time": given["frozen_time"],
        "name": given.get("name"),
        "status": "ready",
        "status_details": {},
    }
    clock = call.new(CLOCK, body)
    if customer is not None:
        call.save(customer | {"test_clock": clock["id"]})
    call.event(f"{CLOCK}.created", clock)
    return clock


@route("GET", f"{_PLACE}/*", f"{_PARAMS}RetrieveParams")
def retrieve(call: Call, clock_id: str) -> Json:
    return call.get(CLOCK, clock_id)


@route("GET", _PLACE, f"{_PARAMS}ListParams")
def list_all(call: Call) -> Json:
    return call.page(CLOCK, f"/v1/{_PLACE}")


@route("DELETE", f"{_PLACE}/*", f"{_PARAMS}DeleteParams")
def delete(call: Call, clock_id: str) -> Json:
    """Delete a clock and its customers."""
    clock = call.get(CLOCK, clock_id)
    for customer in customers_of_clock(call, clock_id):
        erase(call, customer)
    call.store.remove(CLOCK, clock_id)
    call.store.set_due(clock_id, None)
    call.store.forget_clock(clock_id)
    call.event(f"{CLOCK}.deleted", clock)
    return {"id": clock_id, "object": CLOCK, "deleted": True}


@route("POST", f"{_PLACE}/*/advance", f"{_PARAMS}AdvanceParams", "frozen_time")
def advance(call: Call, clock_id: str) -> Json:
    clock, target = call.get(CLOCK, clock_id), call.params["frozen_time"]
    if clock["status"] != "ready":
        raise ApiError(f"The test clock {clock_id} is still advancing: wait until it is ready.")
    if not clock["frozen_time"] < target <= clock["frozen_time"] + MAX_ADVANCE:
        text = "A test clock can be advanced to a later time, by two years at most."
        raise ApiError(text, param="frozen_time")
    clock |= {"status": "advancing"}
    clock["status_details"] = {"advancing": {"target_frozen_time": target}}
    call.store.set_due(clock_id, call.now + ADVANCING_SECONDS)
    call.event(f"{CLOCK}.advancing", clock)
    return call.save(clock)


def run_clock(store: Store, clock_id: str, now: float) -> None:
    """Finish advancing: do what has become due for the clock's customers, each at its own time."""
    call = Call(store, now, {})
    store.set_due(clock_id, None)
    clock = call.get(CLOCK, clock_id)
    target = clock["status_details"]["advancing"]["target_frozen_time"]
    # Doing one thing may make another due.
    while due := store.due(target, clock_id):
        object_id, at = due[0]
        clock["frozen_time"] = max(clock["frozen_time"], at)
        call.save(clock)
        run_due(Call(store, now, {}), object_id)
    clock |= {"frozen_time": target, "status": "ready", "status_details": {}}
    call.event(f"{CLOCK}.ready", clock)
    call.save(clock)
