"""The Stripe customer of a customer of ours: found, or created once.

What belongs here: finding by `stripe_customer_id`, else by our metadata in Stripe's list (the
mirror says which part of it is new), creating, and attaching a test payment method. What does
not: invoices.
"""

from __future__ import annotations

import asyncio

from billing_pipeline.invoicing import documents
from billing_pipeline.invoicing.desired import Payer, short_hash
from billing_pipeline.invoicing.mirror import MirroredCustomer
from billing_pipeline.invoicing.refresh import OVERLAP
from billing_pipeline.invoicing.requests import (
    Desk,
    Subject,
    change,
    change_for_sure,
    epochs_of,
    tells_nothing,
)
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

CURSOR = "customers_listed_until"


class CustomerDirectory:
    """Stripe customers by our id. One per push: the list is read at most once for all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._listing = asyncio.Lock()
        self._is_listed = False

    async def find_or_create(self, payer: Payer) -> str:
        """The Stripe customer's id, with the payment method that the accounts name.

        Raises `StripeFailure`; a card that cannot be attached is no failure of this: the invoice
        is made all the same and stays unpaid.
        """
        if payer.stripe_customer_id:
            found = await self._named(payer.stripe_customer_id, payer.customer_id)
        else:
            found = await self._marked(payer.customer_id) or await self._create(payer)
        if self._sets_payment_methods and payer.payment_method not in (None, found.payment_method):
            await self._attach(found, str(payer.payment_method))
        return found.stripe_customer_id

    async def find(self, customer_id: str) -> str | None:
        """The Stripe customer marked with our id, if there is one."""
        found = await self._marked(customer_id)
        return found.stripe_customer_id if found else None

    @property
    def _sets_payment_methods(self) -> bool:
        # `pm_card_visa` and its like exist in test mode only.
        return not self._desk.gateway.config.is_live

    async def _named(self, stripe_customer_id: str, customer_id: str) -> MirroredCustomer:
        data = await self._desk.gateway.get(f"/v1/customers/{stripe_customer_id}")
        if data.get("deleted"):
            raise StripeFailure(
                FailureKind.NOT_FOUND,
                f"the accounts name {stripe_customer_id}, which was deleted in Stripe",
            )
        method = (data.get("metadata") or {}).get(documents.PAYMENT_METHOD)
        return MirroredCustomer(stripe_customer_id, customer_id, int(data["created"]), method)

    async def _marked(self, customer_id: str) -> MirroredCustomer | None:
        known = self._desk.mirror.customer(customer_id)
        if known is None:
            await self._list_new()
            known = self._desk.mirror.customer(customer_id)
        return known

    async def _list_new(self, *, again: bool = False) -> None:
        """Read the customers created since the last listing into the mirror."""
        async with self._listing:
            if self._is_listed and not again:
                return
            mirror = self._desk.mirror
            cursor = mirror.get(CURSOR)
            query = {} if cursor is None else {"created": {"gte": cursor - OVERLAP}}
            found = [item async for item in self._desk.gateway.list("/v1/customers", query)]
            mirror.store_customers(found)
            if found:
                mirror.advance(CURSOR, max(int(item["created"]) for item in found))
            self._is_listed = True

    async def _create(self, payer: Payer) -> MirroredCustomer:
        subject = Subject(payer.customer_id)
        with_method = self._sets_payment_methods and bool(payer.payment_method)
        for epoch in epochs_of(self._desk, subject, "customer"):
            params = documents.customer_params(payer, with_payment_method=with_method)
            try:
                answer = await change(
                    self._desk, subject, "customer", epoch, "/v1/customers", params
                )
            except StripeFailure as failure:
                if failure.kind in (FailureKind.CARD, FailureKind.REFUSED) and with_method:
                    # A card that cannot be attached must not keep the invoice from being made.
                    with_method = False
                elif not tells_nothing(failure):
                    raise
                else:
                    await self._desk.settle()
                found = await self._after_doubt(payer.customer_id)
                if found is not None:
                    return found
                continue
            if answer.replayed and not await self._exists(str(answer.body["id"])):
                continue
            self._desk.mirror.store_customers([answer.body])
            created = self._desk.mirror.customer(payer.customer_id)
            assert created is not None, "a created customer carries our id"
            return created
        raise StripeFailure(
            FailureKind.SERVER, f"no customer could be created in Stripe for {payer.customer_id}"
        )

    async def _after_doubt(self, customer_id: str) -> MirroredCustomer | None:
        await self._list_new(again=True)
        return self._desk.mirror.customer(customer_id)

    async def _exists(self, stripe_customer_id: str) -> bool:
        try:
            data = await self._desk.gateway.get(f"/v1/customers/{stripe_customer_id}")
        except StripeFailure as failure:
            if failure.kind is FailureKind.NOT_FOUND:
                return False
            raise
        return not data.get("deleted")

    async def _attach(self, customer: MirroredCustomer, method: str) -> None:
        """Attach a test payment method and make it the default; a declined card is left out."""
        subject = Subject(customer.customer_id)
        # The method is part of the step: another card is another request, not a changed one.
        step = f"card-{short_hash(method)[:8]}"
        path = f"/v1/customers/{customer.stripe_customer_id}"
        target = {"customer": customer.stripe_customer_id}

        async def look() -> Json | None:
            data = await self._desk.gateway.get(path)
            held = (data.get("metadata") or {}).get(documents.PAYMENT_METHOD)
            return data if held == method else None

        async def attach_again() -> Json | None:
            return None

        try:
            attached = await change_for_sure(
                self._desk,
                subject,
                step,
                f"/v1/payment_methods/{method}/attach",
                target,
                attach_again,
            )
            params = {
                "invoice_settings": {"default_payment_method": attached["id"]},
                "metadata": {documents.PAYMENT_METHOD: method},
            }
            data = await change_for_sure(self._desk, subject, f"{step}-default", path, params, look)
        except StripeFailure as failure:
            if failure.kind in (FailureKind.CARD, FailureKind.REFUSED):
                return
            raise
        self._desk.mirror.store_customers([data])
