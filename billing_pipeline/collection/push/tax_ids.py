"""The tax id of a customer, as an object of its own in Stripe, from which invoices take it.

What belongs here: creating the tax id that our input names, and deleting one that we created when
the input names another. What does not: its type (`tax_id_types.py`), and the rest of a customer
(`customers.py`).

Stripe prints on an invoice the tax id that the customer has when it is finalized. So the tax id is
created before, but the invoice does not depend on it: a refusal is reported to a person, and the
invoice is sent all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, takewhile

from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    ensure_change,
    remove,
)
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cached_customers import CachedCustomer
from billing_pipeline.collection.stripe_state.cached_tax_ids import ALL
from billing_pipeline.collection.stripe_state.profiles import Payer
from billing_pipeline.collection.stripe_state.set_aside import identity
from billing_pipeline.collection.stripe_state.tax_id_types import TaxId, tax_id_of
from billing_pipeline.collection.stripe_state.texts import clean_text, short_hash
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure, unreadable_answer


@dataclass(frozen=True)
class _Made:
    """The tax id that we have made, by the customer's metadata."""

    digest: str
    stripe_tax_id: str

    @classmethod
    def read(cls, mark: str | None) -> _Made | None:
        digest, _, stripe_tax_id = (mark or "").partition(" ")
        return cls(digest, stripe_tax_id) if stripe_tax_id else None

    def __str__(self) -> str:
        return f"{self.digest} {self.stripe_tax_id}"


class TaxIds:
    """One per push: each customer is looked at once."""

    def __init__(self, session: StripeSession) -> None:
        self._session = session
        self._cache = session.cache.tax_ids
        self._before, self._found = self._cache.problems(), self._cache.found()
        self._looked_at: set[str] = set()
        self._payers: set[str] = set()
        self.problems: dict[str, str] = {}
        """Customer and reason of what could not be brought to Stripe; `ALL` if nothing can be."""

    async def synchronize(
        self, customer: CachedCustomer, payer: Payer, *, is_new: bool = False
    ) -> None:
        """Make sure that the customer has the tax id of our input. Sends no request where the input
        has not changed. `is_new`: the customer was just created, so nobody else has added one.

        Raises `StripeFailure` only where the customer was deleted.
        """
        if customer.stripe_customer_id in self._looked_at:
            return
        self._looked_at.add(customer.stripe_customer_id)
        self._payers.add(payer.customer_id)
        wanted, made = tax_id_of(payer.country, payer.tax_id), _Made.read(customer.tax_id)
        if wanted is None and payer.tax_id:
            self.problems[payer.customer_id] = _unknown_type(payer)
        if wanted is None and made is None:
            if customer.stripe_customer_id in self._found:
                # If our input names it again, somebody may have deleted it meanwhile: look again.
                self._cache.forget_found(customer.stripe_customer_id)
            return
        there = made.digest if made else self._found.get(customer.stripe_customer_id)
        is_unchanged = wanted is not None and wanted.digest == there
        if not is_unchanged and ALL not in self.problems:
            await self._change(customer.stripe_customer_id, payer, wanted, made, is_new)

    def save_problems(self) -> None:
        """Save for `billing status` what could not be sent, and forget what is solved by now."""
        solved = self._before.keys() & {*self._payers, ALL} - self.problems.keys()
        if solved:
            self._cache.forget_problems(solved)
        if self.problems:
            self._cache.record_problems(self.problems, self._session.now)

    async def _change(
        self, name: str, payer: Payer, wanted: TaxId | None, made: _Made | None, is_new: bool
    ) -> None:
        try:
            await self._write(name, payer, wanted, made, is_new)
        except NotSentError as error:
            self.problems[payer.customer_id] = str(error)
        except StripeFailure as failure:
            concerns_all = failure.kind in (FailureKind.NOT_FOUND, FailureKind.CREDENTIALS)
            if failure.kind is FailureKind.NOT_FOUND and await self._is_deleted(name):
                message = f"{name} was deleted in Stripe"
                raise StripeFailure(FailureKind.NOT_FOUND, message, param="customer") from failure
            # A key without the permission, or a server without tax ids, fails for every customer.
            self.problems[ALL if concerns_all else payer.customer_id] = clean_text(str(failure))

    async def _write(
        self, name: str, payer: Payer, wanted: TaxId | None, made: _Made | None, is_new: bool
    ) -> None:
        held = [] if is_new else await self._held(name)
        mark: _Made | None = None
        if wanted is not None:
            present = _same(held, wanted)
            if present is None:
                mark = _Made(wanted.digest, await self._create(name, payer, wanted))
            elif self._was_ours(name, payer, wanted, str(present["id"])):
                mark = _Made(wanted.digest, str(present["id"]))
            else:
                self._cache.record_found(name, wanted.digest)
        if made is not None and any(item["id"] == made.stripe_tax_id for item in held):
            await self._remove(name, payer, made)
        if mark != made:
            await self._mark(name, payer, mark, made)

    async def _create(self, name: str, payer: Payer, wanted: TaxId) -> str:
        async def look() -> Json | None:
            return _same(await self._held(name), wanted)

        request = stripe_requests.create_tax_id(name, wanted)
        target, step = RequestTarget(payer.customer_id), _step(name, wanted)
        data = await ensure_change(self._session, target, step, request, look)
        if identity(data) != data.get("id"):
            raise unreadable_answer("the tax id that was made has no id")
        return identity(data)

    async def _remove(self, name: str, payer: Payer, made: _Made) -> None:
        target, step = RequestTarget(payer.customer_id), f"tax-id-gone-{short_hash(str(made))[:8]}"
        try:
            await remove(self._session, target, step, f"{_path(name)}/{made.stripe_tax_id}")
        except StripeFailure as failure:
            # Somebody has deleted it before us.
            if failure.code != "resource_missing":
                raise

    async def _mark(
        self, name: str, payer: Payer, mark: _Made | None, before: _Made | None
    ) -> None:
        text = str(mark) if mark else ""

        async def look() -> Json | None:
            data = await self._session.gateway.get(f"/v1/customers/{name}")
            held = (data.get("metadata") or {}).get(metadata_keys.TAX_ID) or ""
            return data if held == text else None

        # The old and the new mark are part of the step: the same mark may be written again later.
        step = f"tax-id-mark-{short_hash([name, str(before), text])[:8]}"
        request = stripe_requests.mark_tax_id(name, text)
        target = RequestTarget(payer.customer_id)
        data = await ensure_change(self._session, target, step, request, look)
        self._session.cache.customers.store([data])

    async def _held(self, name: str) -> list[Json]:
        """All readable tax ids of the customer in Stripe, whoever made them."""
        listed = [item async for item in self._session.gateway.list(_path(name))]
        texts = ("id", "type", "value")
        return [item for item in listed if all(isinstance(item.get(t), str) for t in texts)]

    def _was_ours(self, name: str, payer: Payer, wanted: TaxId, stripe_tax_id: str) -> bool:
        """True if, by the request log, an interrupted push of ours has made it: a request for it
        got this id as its answer, or no answer at all."""
        target, step = RequestTarget(payer.customer_id), _step(name, wanted)
        asked = (self._session.request_log.find(target.key(step, number)) for number in count())
        return any(
            entry["object_id"] == stripe_tax_id or entry["outcome"] in _UNKNOWN_OUTCOMES
            for entry in takewhile(bool, asked)
            if entry is not None
        )

    async def _is_deleted(self, name: str) -> bool:
        try:
            data = await self._session.gateway.get(f"/v1/customers/{name}")
        except StripeFailure as failure:
            return failure.kind is FailureKind.NOT_FOUND
        return bool(data.get("deleted"))


_UNKNOWN_OUTCOMES = (None, FailureKind.CONNECTION.value, FailureKind.SERVER.value)


def _same(held: Sequence[Json], wanted: TaxId) -> Json | None:
    alike = (i for i in held if TaxId(i["type"], i["value"]).digest == wanted.digest)
    return next(alike, None)


def _step(name: str, wanted: TaxId) -> str:
    return f"tax-id-{short_hash([name, wanted.digest])[:8]}"


def _path(name: str) -> str:
    return f"/v1/customers/{name}/tax_ids"


def _unknown_type(payer: Payer) -> str:
    country = f"a customer in {payer.country}" if payer.country else "a customer without a country"
    text = clean_text(payer.tax_id or "", 60)
    return f"no tax id type of Stripe fits {text!r} of {country}"
