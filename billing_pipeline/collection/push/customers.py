"""The Stripe customer of a customer of ours: found, or created once, and kept up to date.

What belongs here: finding by `stripe_customer_id`, else by our metadata in Stripe's list (the
cache says which part of it is new), creating, attaching a test payment method, and writing name,
e-mail and address. What does not: which of these are ours to write (`profiles.py`), tax ids
(`tax_ids.py`), invoices.

A Stripe customer may get our mark long after it was created, by hand or by another system. So
before one is created, the whole list is read where that takes seconds. On a larger account only
recently created customers are listed, and events tell whose marks have changed since, as far back
as Stripe keeps events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    change,
    ensure_change,
    generations_of,
    leaves_state_unknown,
)
from billing_pipeline.collection.push.tax_ids import TaxIds
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cached_customers import CachedCustomer, card_of
from billing_pipeline.collection.stripe_state.event_reader import EVENT_RETENTION, read_events
from billing_pipeline.collection.stripe_state.profiles import (
    Payer,
    Profile,
    digests,
    fields_to_write,
    held_by,
    profile_of,
)
from billing_pipeline.collection.stripe_state.refresh import OVERLAP, each, pages
from billing_pipeline.collection.stripe_state.set_aside import identity
from billing_pipeline.collection.stripe_state.texts import short_hash
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

CURSOR = "customers_read_until"
"""The time (epoch seconds, our clock) up to which new and changed customers in Stripe are known."""
CUSTOMER_COUNT = "customers_in_stripe"
MAX_LISTED_CUSTOMERS = 20_000
"""The number of customers in Stripe, ours and others, up to which the whole list is read before one
of ours is created: 200 requests, eight seconds at Stripe's rate. Unlike events, the list shows what
was just written, so it also finds a mark that was made a moment ago."""
CUSTOMER_EVENTS = ("customer.created", "customer.updated", "customer.deleted")


class CustomerDirectory:
    """Stripe customers by our id. One per push: the list is read at most once for all."""

    def __init__(self, session: StripeSession) -> None:
        self._session = session
        self.tax_ids = TaxIds(session)
        self._listing = asyncio.Lock()
        self._is_listed = False

    async def find_or_create(self, payer: Payer) -> str:
        """The Stripe customer's id; the customer has the payment method that the accounts name.

        Raises `StripeFailure`, but not for a card that cannot be attached: the invoice is made all
        the same and stays unpaid.
        """
        known: CachedCustomer | None
        if payer.stripe_customer_id:
            known = await self._named(payer.stripe_customer_id, payer.customer_id)
        else:
            known = await self._marked(payer.customer_id)
        found = known or await self._create(payer)
        await self._write_profile(found, payer)
        await self.tax_ids.synchronize(found, payer, is_new=known is None)
        if self._sets_payment_methods and payer.payment_method not in (None, found.payment_method):
            await self._attach(found, str(payer.payment_method))
        return found.stripe_customer_id

    async def update_profile(self, payer: Payer, stripe_customer_id: str) -> None:
        """Write name, e-mail, address and tax id of a customer who has an invoice already. Asks
        nothing of Stripe where our input has not changed."""
        known = self._session.cache.customers.get(stripe_customer_id)
        if known is None or known.held is None:
            known = await self._named(stripe_customer_id, payer.customer_id)
        await self._write_profile(known, payer)
        await self.tax_ids.synchronize(known, payer)

    async def write_changes(self, payers: Sequence[Payer]) -> list[tuple[str, str]]:
        """Write the changes of customers who are known in Stripe, with or without an invoice.
        Returns customer and reason of each failure (those of tax ids are in `tax_ids`), which stops
        nobody else. Customers without a change cost no request."""

        async def write(payer: Payer) -> tuple[str, str] | None:
            try:
                await self._write_profile(known[payer.customer_id], payer)
                await self.tax_ids.synchronize(known[payer.customer_id], payer)
                await self._change_card(known[payer.customer_id], payer)
            except (NotSentError, StripeFailure) as error:
                if isinstance(error, StripeFailure) and error.param == "customer":
                    # Deleted in Stripe: the next invoice creates the customer again, up to date.
                    cache.forget(known[payer.customer_id].stripe_customer_id)
                    return None
                return payer.customer_id, str(error)
            return None

        cache = self._session.cache.customers
        known = {
            payer.customer_id: customer
            for payer in payers
            for customer in [self._remembered(payer)]
            if customer is not None and customer.held is not None
        }
        problems = await each([p for p in payers if p.customer_id in known], write)
        return [problem for problem in problems if problem is not None]

    def _remembered(self, payer: Payer) -> CachedCustomer | None:
        if not payer.stripe_customer_id:
            return self._session.cache.customers.oldest_of(payer.customer_id)
        return self._session.cache.customers.get(payer.stripe_customer_id)

    async def find(self, customer_id: str) -> str | None:
        """The Stripe customer marked with our id, if there is one."""
        found = await self._marked(customer_id)
        return found.stripe_customer_id if found else None

    @property
    def _sets_payment_methods(self) -> bool:
        # `pm_card_visa` and its like exist in test mode only.
        return not self._session.gateway.config.is_live

    async def _named(self, stripe_customer_id: str, customer_id: str) -> CachedCustomer:
        data = await self._session.gateway.get(f"/v1/customers/{stripe_customer_id}")
        if data.get("deleted"):
            raise StripeFailure(
                FailureKind.NOT_FOUND,
                f"the accounts name {stripe_customer_id}, which was deleted in Stripe",
            )
        # Of a customer without our mark, events are read for the card only.
        self._session.cache.cards.record_seen([(stripe_customer_id, card_of(data))])
        metadata = data.get("metadata") or {}
        return CachedCustomer(
            *(stripe_customer_id, customer_id, int(data["created"])),
            metadata.get(metadata_keys.PAYMENT_METHOD),
            metadata.get(metadata_keys.PROFILE),
            digests(held_by(data)),
            metadata.get(metadata_keys.TAX_ID),
        )

    async def _marked(self, customer_id: str) -> CachedCustomer | None:
        known = self._session.cache.customers.oldest_of(customer_id)
        # An earlier release has cached the customer without what Stripe holds of it.
        if known is None or known.held is None:
            await self._catch_up()
            known = self._session.cache.customers.oldest_of(customer_id)
        return known

    async def _catch_up(self) -> None:
        """Find all customers in Stripe that have our mark by now; once for a push."""
        async with self._listing:
            if self._is_listed:
                return
            cache, now = self._session.cache, int(self._session.now)
            cursor, count = cache.progress.get(CURSOR), cache.progress.get(CUSTOMER_COUNT) or 0
            events_suffice = cursor is not None and now - cursor <= EVENT_RETENTION - OVERLAP
            if count <= MAX_LISTED_CUSTOMERS or not events_suffice or cursor is None:
                known = cache.customers.stripe_ids()
                found = await self._list({})
                cache.progress.put(CUSTOMER_COUNT, len(found))
                for gone in known - found:
                    cache.customers.forget(gone)
            else:
                since = {"created": {"gte": cursor - OVERLAP}}
                await self._list(since)
                query = {**since, "types": list(CUSTOMER_EVENTS)}
                events = [item async for item in self._session.gateway.list("/v1/events", query)]
                await read_events(self._session.gateway, cache, events)
            cache.progress.advance(CURSOR, now)
            self._is_listed = True

    async def _list(self, query: Json) -> set[str]:
        """Store the listed customers page by page, since an account may hold many that are not
        ours. Returns the ids of all."""
        found: set[str] = set()
        async for page in pages(self._session.gateway.list("/v1/customers", query)):
            self._session.cache.customers.store(page)
            found |= {identity(item) for item in page}
        return found

    async def _write_profile(self, customer: CachedCustomer, payer: Payer) -> None:
        """Write those of name, e-mail and address that changed in our input since we last did."""
        name, cache = customer.stripe_customer_id, self._session.cache
        ours = profile_of(payer)
        wanted = digests(ours)
        written = customer.profile or cache.customers.baseline(name)
        if wanted == written:
            return
        fields = fields_to_write(ours, written, customer.held or "")
        if fields:
            await self._write(customer, payer, fields, ours, wanted)
        cache.customers.record_baseline(name, wanted)

    async def _write(
        self,
        customer: CachedCustomer,
        payer: Payer,
        fields: list[str],
        ours: Profile,
        wanted: str,
    ) -> None:
        path = f"/v1/customers/{customer.stripe_customer_id}"
        # As it is now: the parts of the address that are not ours have to stay.
        present = await self._session.gateway.get(path)
        name = customer.stripe_customer_id
        if present.get("deleted"):
            message = f"{name} was deleted in Stripe"
            raise StripeFailure(FailureKind.NOT_FOUND, message, param="customer")
        request = stripe_requests.write_customer(name, fields, ours, present)

        async def look() -> Json | None:
            data = await self._session.gateway.get(path)
            held = (data.get("metadata") or {}).get(metadata_keys.PROFILE)
            return data if held == wanted else None

        # The wanted profile is part of the step: changing it back later is another request.
        step = f"profile-{short_hash([customer.stripe_customer_id, wanted])[:8]}"
        target = RequestTarget(payer.customer_id)
        data = await ensure_change(self._session, target, step, request, look)
        self._session.cache.customers.store([data])

    async def _create(self, payer: Payer) -> CachedCustomer:
        target = RequestTarget(payer.customer_id)
        with_method = self._sets_payment_methods and bool(payer.payment_method)
        for generation in generations_of(self._session, target, "customer"):
            request = stripe_requests.create_customer(payer, with_payment_method=with_method)
            try:
                answer = await change(self._session, target, "customer", generation, request)
            except StripeFailure as failure:
                if failure.kind in (FailureKind.CARD, FailureKind.REFUSED) and with_method:
                    # A card that cannot be attached must not prevent the invoice.
                    with_method = False
                elif not leaves_state_unknown(failure):
                    raise
                else:
                    await self._session.settle()
                found = await self._after_unclear_answer(payer.customer_id)
                if found is not None:
                    return found
                continue
            if answer.replayed and not await self._exists(str(answer.body["id"])):
                continue
            self._session.cache.customers.store([answer.body])
            created = self._session.cache.customers.oldest_of(payer.customer_id)
            created = created or await self._after_unclear_answer(payer.customer_id)
            if created is not None:
                return created
        raise StripeFailure(
            FailureKind.SERVER, f"no customer could be created in Stripe for {payer.customer_id}"
        )

    async def _after_unclear_answer(self, customer_id: str) -> CachedCustomer | None:
        # Stripe's list shows at once what was created; older customers are of no interest here.
        await self._list({"created": {"gte": int(self._session.now) - OVERLAP}})
        return self._session.cache.customers.oldest_of(customer_id)

    async def _exists(self, stripe_customer_id: str) -> bool:
        try:
            data = await self._session.gateway.get(f"/v1/customers/{stripe_customer_id}")
        except StripeFailure as failure:
            if failure.kind is FailureKind.NOT_FOUND:
                return False
            raise
        return not data.get("deleted")

    async def _change_card(self, customer: CachedCustomer, payer: Payer) -> None:
        """Attach another payment method from the accounts for a customer who has no invoice to
        send: an open invoice may be tried with it. A method that Stripe has refused is skipped."""
        method, name = payer.payment_method, customer.stripe_customer_id
        if not self._sets_payment_methods or method in (None, customer.payment_method):
            return
        now = self._session.cache.customers.get(name)
        is_done = now is not None and now.payment_method == method
        if not is_done and not self._session.cache.cards.is_refused(name, str(method)):
            await self._attach(customer, str(method))

    async def _attach(self, customer: CachedCustomer, method: str) -> None:
        """Attach a test payment method and make it the default; a declined card is only noted."""
        target = RequestTarget(customer.customer_id)
        # The method is part of the step: another card is another request, not a changed one.
        step = f"card-{short_hash(method)[:8]}"
        path = f"/v1/customers/{customer.stripe_customer_id}"
        attach = stripe_requests.attach_payment_method(method, customer.stripe_customer_id)

        async def look() -> Json | None:
            data = await self._session.gateway.get(path)
            held = (data.get("metadata") or {}).get(metadata_keys.PAYMENT_METHOD)
            return data if held == method else None

        async def attach_again() -> Json | None:
            return None

        try:
            attached = await ensure_change(self._session, target, step, attach, attach_again)
            request = stripe_requests.pay_by_default(
                customer.stripe_customer_id, attached["id"], method
            )
            data = await ensure_change(self._session, target, f"{step}-default", request, look)
        except StripeFailure as failure:
            if failure.kind in (FailureKind.CARD, FailureKind.REFUSED):
                self._session.cache.cards.record_refused(customer.stripe_customer_id, method)
                return
            raise
        self._session.cache.customers.store([data])
