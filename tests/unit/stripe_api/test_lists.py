"""Lists that change between two pages."""

from __future__ import annotations

import asyncio

from billing_pipeline.stripe_api.client import GatewayConfig, StripeGateway
from tests.unit.stripe_sandbox.company import KEY, Company


def test_a_list_goes_on_though_others_create_and_delete() -> None:
    company = Company()
    customer = company.customer(None)
    drafts = [company.draft(customer) for _ in range(7)][::-1]
    gateway = StripeGateway(GatewayConfig(KEY), http_client=company.transport, clock=company.clock)
    seen: list[str] = []

    async def read() -> None:
        async for item in gateway.list("/v1/invoices", {"limit": 3}):
            seen.append(item["id"])
            if len(seen) == 3:
                # Before the next page, its cursor and the draft before that are deleted.
                company.draft(customer)
                for name in seen[1:3]:
                    company.v1.invoices.delete(name)

    asyncio.run(read())
    assert seen == drafts
