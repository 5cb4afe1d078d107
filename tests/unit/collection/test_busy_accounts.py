"""A busy account: what others have in it is read page by page, and never held as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from billing_pipeline.collection.pull.top_ups import read_top_ups
from billing_pipeline.collection.push.customers import CustomerDirectory
from billing_pipeline.collection.push.requests import StripeSession
from billing_pipeline.collection.records.request_log import Author
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.refresh import list_month, list_new
from billing_pipeline.stripe_api.client import StripeGateway
from tests.virtual_clock import VirtualClock

NOW, DAY = 1_770_000_000, 86_400
Read = Callable[[StripeGateway, StripeCache], Awaitable[None]]


class Thing(dict[str, Any]):
    """An object of somebody else's; counts how many are held at once."""

    held = most = 0

    def __init__(self, number: int) -> None:
        super().__init__(id=f"x_{number}", created=NOW - number, metadata={}, status="succeeded")
        Thing.held += 1
        Thing.most = max(Thing.most, Thing.held)

    def __del__(self) -> None:
        Thing.held -= 1


class BusyAccount:
    """A gateway to it."""

    clock = VirtualClock(float(NOW))

    async def list(self, path: str, params: dict[str, Any]) -> AsyncIterator[Thing]:
        assert params.get("created") or path == "/v1/customers"
        for number in range(2000):
            yield Thing(number)


async def find_a_customer(gateway: StripeGateway, cache: StripeCache) -> None:
    """Before one is created, all customers are listed."""
    unused: Any = None
    session = StripeSession(gateway, cache, unused, unused, Author("run"), unused)
    assert await CustomerDirectory(session).find("nobody") is None


@pytest.mark.parametrize(
    "read",
    [
        lambda gateway, cache: list_month(gateway, cache, "2026-01-01", NOW - DAY),
        lambda gateway, cache: list_new(gateway, cache, NOW - DAY),
        lambda gateway, cache: read_top_ups(gateway, cache, NOW - DAY),
        find_a_customer,
    ],
    ids=["invoices of a month", "new invoices", "payments", "customers"],
)
def test_a_list_is_held_page_by_page(tmp_path: Path, read: Read) -> None:
    cache = StripeCache(tmp_path / "stripe.db")
    Thing.held = Thing.most = 0

    async def once() -> None:
        await read(cast("StripeGateway", BusyAccount()), cache)

    asyncio.run(once())
    cache.close()
    # A page of a hundred, and the one before it, whose last element a loop still names.
    assert 0 < Thing.most <= 210
