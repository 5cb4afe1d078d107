"""Errors from Stripe name the reason and the request, whatever the answer looks like."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
import stripe

from billing_pipeline.collection.stripe_state.refresh import each
from billing_pipeline.stripe_api.client import GatewayConfig, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure
from tests.unit.collection.test_permissions import ROOT, ROW
from tests.virtual_clock import VirtualClock


class Always(stripe.HTTPClient):
    """Gives one answer to everything."""

    name = "always"

    def __init__(self, status: int, body: str) -> None:
        super().__init__()
        self.status, self.body = status, body

    async def request_async(
        self, method: str, url: str, headers: Any, post_data: Any = None
    ) -> Any:
        return self.body.encode(), self.status, {"Request-Id": "req_1"}


def gateway_to(status: int, body: str) -> StripeGateway:
    return StripeGateway(
        GatewayConfig("rk_test_secret"),
        http_client=Always(status, body),
        clock=VirtualClock(),
        rng=random.Random(0),
    )


def listed(status: int, body: str, path: str = "/v1/invoices") -> StripeFailure:
    gateway = gateway_to(status, body)

    async def main() -> list[Any]:
        return [item async for item in gateway.list(path)]

    with pytest.raises(StripeFailure) as failed:
        asyncio.run(main())
    return failed.value


@pytest.mark.parametrize(
    "body",
    [
        *("[]", '"text"', "7", "null", "{}", '{"data": null}', '{"data": {"id": "in_1"}}'),
        *('{"data": [7]}', '{"data": [{"id": 7}]}', '{"data": [{}]}', "<html>", ""),
        '{"data": [{"id": "in_1"}], "has_more": true}',
        # Deeper than a parser goes.
        "[" * 100_000,
    ],
)
@pytest.mark.parametrize("status", [200, 403, 500])
def test_an_answer_that_is_none_is_a_failure_of_its_request(status: int, body: str) -> None:
    failure = listed(status, body)
    assert "GET /v1/invoices" in str(failure)
    assert failure.kind is not FailureKind.CONNECTION


@pytest.mark.parametrize("body", ["{}", '{"id": 7}', '{"object": "invoice"}'])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_object_without_an_id_is_a_failure_of_its_request(method: str, body: str) -> None:
    gateway = gateway_to(200, body)
    asked = {
        "GET": lambda: gateway.get("/v1/invoices/in_1"),
        "POST": lambda: gateway.post("/v1/invoices/in_1", {}, key="k"),
        "DELETE": lambda: gateway.delete("/v1/invoices/in_1"),
    }
    with pytest.raises(StripeFailure, match=f"an object with an id .{method} /v1/invoices/in_1"):
        asyncio.run(asked[method]())


def test_the_permission_that_is_missing_is_named() -> None:
    refused = '{"error": {"type": "invalid_request_error", "message": "not allowed"}}'
    assert str(listed(403, refused, "/v1/credit_notes")) == (
        "not allowed (GET /v1/credit_notes, HTTP 403, request req_1): "
        "the key needs the permission Credit notes: read"
    )
    assert "needs the permission Tax IDs: read" in str(
        listed(403, refused, "/v1/customers/cus_1/tax_ids")
    )
    assert "permission" not in str(listed(400, refused))


def test_permissions_are_those_of_the_documents() -> None:
    from billing_pipeline.stripe_api.permissions import permission_for

    rows = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()
    documented = [(found, row) for row in rows if (found := ROW.match(row))]
    assert documented
    for found, row in documented:
        needed = permission_for(found[1], found[2])
        assert needed is not None and f"| {needed}" in row


def test_the_first_failure_of_concurrent_requests_is_raised_without_a_group() -> None:
    async def fail(number: int) -> None:
        raise StripeFailure(FailureKind.SERVER, f"no {number}")

    async def outer(number: int) -> None:
        await each(range(2), fail)

    with pytest.raises(StripeFailure, match="no 0"):
        asyncio.run(_run(outer))


async def _run(work: Any) -> None:
    await each(range(3), work)
