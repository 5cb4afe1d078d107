"""One changing request: logged before and after, its failure tied to the customer.

What belongs here: the wrapper that every changing request goes through. What does not: which
change, and what to do when it fails (`customers.py`, `send_invoice.py`, `credit_notes.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing_pipeline.collection.push.stripe_requests import Request, idempotency_key
from billing_pipeline.collection.records.billed import BilledRecords
from billing_pipeline.collection.records.opening import Records
from billing_pipeline.collection.records.request_log import Author, RequestLog
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.stripe_api.client import Answer, Json, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

MAX_GENERATIONS = 4
"""How many keys one step may use up before a person has to look."""
SETTLE_SECONDS = 2.0
"""How long to wait after a failed request, which may still take effect, before reading again."""
KEY_RETENTION_SECONDS = 24 * 3600
"""Seconds for which Stripe repeats the answer under a key."""
KEY_CONSUMING_OUTCOMES = (FailureKind.SERVER.value, FailureKind.IDEMPOTENCY.value)


class NotSentError(Exception):
    """A change was not made, or its effect is not in Stripe; the message tells a person why."""


@dataclass(frozen=True)
class StripeSession:
    """What a push works with: Stripe, our records, and on whose behalf it acts."""

    gateway: StripeGateway
    cache: StripeCache
    request_log: RequestLog
    billed: BilledRecords
    author: Author
    locks_dir: Path

    @classmethod
    def open(cls, gateway: StripeGateway, records: Records, author: Author) -> StripeSession:
        return cls(
            gateway,
            records.cache,
            records.request_log,
            records.billed,
            author,
            records.locks_dir,
        )

    @property
    def now(self) -> float:
        return self.gateway.clock.now()

    async def settle(self) -> None:
        await self.gateway.clock.sleep(SETTLE_SECONDS)


@dataclass(frozen=True)
class RequestTarget:
    """What a request is about, for its key, the request log and the error message."""

    customer_id: str
    invoice_id: str = ""
    revision: int = 0

    def key(self, step: str, generation: int) -> str:
        return idempotency_key(self.invoice_id or self.customer_id, self.revision, step, generation)


def generations_of(
    session: StripeSession, target: RequestTarget, step: str, most: int = MAX_GENERATIONS
) -> range:
    """The key generations to try for a step whose effect is not in Stripe, at most `most`.

    Stripe repeats its answer under a key. Keys whose answer did not tell what happened are skipped
    if the request log has them; without a request log they are tried again, which costs time.
    """
    first = 0
    while True:
        last = session.request_log.find(target.key(step, first))
        if last is None or last["outcome"] not in KEY_CONSUMING_OUTCOMES:
            return range(first, first + most)
        if session.now - last["asked_at"] > KEY_RETENTION_SECONDS:
            return range(first, first + most)
        first += 1


async def change(
    session: StripeSession,
    target: RequestTarget,
    step: str,
    generation: int,
    request: Request,
) -> Answer:
    """Send a POST under the key ``{target}:{revision}:{step}:{generation}``. Raises
    `StripeFailure`."""
    return await _logged(session, target, "post", *request, target.key(step, generation))


async def ensure_change(
    session: StripeSession,
    target: RequestTarget,
    step: str,
    request: Request,
    look: Callable[[], Awaitable[Json | None]],
) -> Json:
    """Send a POST until its effect is in Stripe, and return the object that it made or changed.

    `look` reads the object from Stripe, or returns None if the effect is not there. It is called
    after every answer that does not tell: a 500, an answer that Stripe repeats, a key that was used
    with other parameters. The request is sent again, under the next key, only if the effect is not
    there. Raises `StripeFailure`, or `NotSentError` when all keys are used up.
    """
    failure: StripeFailure | None = None
    for generation in generations_of(session, target, step):
        try:
            answer = await change(session, target, step, generation, request)
            if not answer.replayed:
                return answer.body
        except StripeFailure as error:
            failure = error
            if not leaves_state_unknown(error):
                raise
            await session.settle()
        found = await look()
        if found is not None:
            return found
    raise failure or NotSentError(f"Stripe did not carry out {step!r} of {request.path}")


def leaves_state_unknown(failure: StripeFailure) -> bool:
    """True where the answer does not say what Stripe holds now: only reading does."""
    return failure.replayed or failure.kind in (FailureKind.IDEMPOTENCY, FailureKind.SERVER)


async def remove(session: StripeSession, target: RequestTarget, step: str, path: str) -> Answer:
    """Send a DELETE. It needs no idempotency key: a second one finds nothing to delete."""
    return await _logged(session, target, "delete", path, None, target.key(step, 0))


async def _logged(
    session: StripeSession,
    target: RequestTarget,
    method: str,
    path: str,
    params: Mapping[str, Any] | None,
    key: str,
) -> Answer:
    entry = session.request_log.log_request(
        session.author,
        customer_id=target.customer_id,
        invoice_id=target.invoice_id,
        method=method,
        path=path,
        key=key,
        now=session.now,
    )
    try:
        if params is None:
            answer = await session.gateway.delete(path)
        else:
            answer = await session.gateway.post(path, params, key=key)
    except StripeFailure as failure:
        failure.customer_id = target.customer_id
        session.request_log.answer(
            entry,
            failure.kind.value,
            now=session.now,
            status=failure.status,
            request_id=failure.request_id,
            message=failure.message,
            replayed=failure.replayed,
        )
        raise
    session.request_log.answer(
        entry,
        "done",
        now=session.now,
        status=200,
        request_id=answer.request_id,
        object_id=str(answer.body.get("id", "")),
        replayed=answer.replayed,
    )
    return answer
