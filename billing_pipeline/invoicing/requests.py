"""One changing request: journalled before and after, its failure tied to the customer.

What belongs here: the wrapper that every change of Stripe goes through. What does not: which
change, and what to do when it fails (`customers.py`, `sending.py`, `credits.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing_pipeline.invoicing.documents import idempotency_key
from billing_pipeline.invoicing.journal import Author, Journal
from billing_pipeline.invoicing.mirror import Mirror
from billing_pipeline.invoicing.sealed import Seals
from billing_pipeline.stripe_api.client import Answer, Json, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

MOST_EPOCHS = 4
"""How many keys one step may use up before a person has to look."""
SETTLE_SECONDS = 2.0
"""How long a request that ended badly is left to take effect before we look what is there."""


KEYS_ARE_KEPT = 24 * 3600
"""Seconds for which Stripe repeats the answer under a key."""
USED_UP = (FailureKind.SERVER.value, FailureKind.IDEMPOTENCY.value)


class NotSentError(Exception):
    """The invoice must not be finalized as it is; the message says why."""


@dataclass(frozen=True)
class Desk:
    """What a push works with: Stripe, our records, and on whose behalf."""

    gateway: StripeGateway
    mirror: Mirror
    journal: Journal
    seals: Seals
    author: Author
    locks_dir: Path

    @property
    def now(self) -> float:
        return self.gateway.clock.now()

    async def settle(self) -> None:
        await self.gateway.clock.sleep(SETTLE_SECONDS)


@dataclass(frozen=True)
class Subject:
    """What a request is about, for its key, the journal and the error message."""

    customer_id: str
    invoice_id: str = ""
    revision: int = 0

    def key(self, step: str, epoch: int) -> str:
        return idempotency_key(self.invoice_id or self.customer_id, self.revision, step, epoch)


def epochs_of(desk: Desk, subject: Subject, step: str, most: int = MOST_EPOCHS) -> range:
    """The epochs to go through for a step, whose effect was just looked for and not found.

    Keys under which Stripe keeps an answer that tells nothing are passed over where the journal
    remembers them; without a journal they are asked again first, which costs time and no more.
    """
    first = 0
    while True:
        last = desk.journal.find(subject.key(step, first))
        if last is None or last["outcome"] not in USED_UP:
            return range(first, first + most)
        if desk.now - last["asked_at"] > KEYS_ARE_KEPT:
            return range(first, first + most)
        first += 1


async def change(
    desk: Desk, subject: Subject, step: str, epoch: int, path: str, params: Mapping[str, Any]
) -> Answer:
    """Send a POST under the key ``{subject}:{revision}:{step}:{epoch}``."""
    return await _journalled(desk, subject, "post", path, subject.key(step, epoch), params)


async def change_for_sure(
    desk: Desk,
    subject: Subject,
    step: str,
    path: str,
    params: Mapping[str, Any],
    look: Callable[[], Awaitable[Json | None]],
) -> Json:
    """Send a POST until its effect is there, and give the object that it made or changed.

    `look` reads from Stripe whether the effect is there, and gives the object or None. It is
    asked after every answer that does not tell: a kept 500, a repeated answer, other parameters
    under the same key. Only when nothing is there the request is sent anew, under the next key.
    """
    failure: StripeFailure | None = None
    for epoch in epochs_of(desk, subject, step):
        try:
            answer = await change(desk, subject, step, epoch, path, params)
            if not answer.replayed:
                return answer.body
        except StripeFailure as error:
            failure = error
            if not tells_nothing(error):
                raise
            await desk.settle()
        found = await look()
        if found is not None:
            return found
    raise failure or NotSentError(f"Stripe did not carry out {step!r} of {path}")


def tells_nothing(failure: StripeFailure) -> bool:
    """True where the answer does not say what Stripe holds now, and looking is the only way."""
    return failure.replayed or failure.kind in (FailureKind.IDEMPOTENCY, FailureKind.SERVER)


async def remove(desk: Desk, subject: Subject, step: str, path: str) -> Answer:
    """Send a DELETE; it has no key, a second one finds nothing."""
    return await _journalled(desk, subject, "delete", path, subject.key(step, 0), None)


async def _journalled(
    desk: Desk,
    subject: Subject,
    method: str,
    path: str,
    key: str,
    params: Mapping[str, Any] | None,
) -> Answer:
    entry = desk.journal.intend(
        desk.author,
        customer_id=subject.customer_id,
        invoice_id=subject.invoice_id,
        method=method,
        path=path,
        key=key,
        now=desk.now,
    )
    try:
        if params is None:
            answer = await desk.gateway.delete(path)
        else:
            answer = await desk.gateway.post(path, params, key=key)
    except StripeFailure as failure:
        failure.customer_id = subject.customer_id
        desk.journal.answer(
            entry,
            failure.kind.value,
            now=desk.now,
            status=failure.status,
            request_id=failure.request_id,
            message=failure.message,
            replayed=failure.replayed,
        )
        raise
    desk.journal.answer(
        entry,
        "done",
        now=desk.now,
        status=200,
        request_id=answer.request_id,
        object_id=str(answer.body.get("id", "")),
        replayed=answer.replayed,
    )
    return answer
