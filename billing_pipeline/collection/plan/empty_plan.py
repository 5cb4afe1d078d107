"""Reuse of an empty plan, so that a run that finds nothing to do lists its month once.

What belongs here: what must not have changed for an empty plan to be used again. What does not:
planning, and any decision to send something: whatever is sent is planned anew under the lock.

A close plans twice: to show the plan, and under the lock to carry it out. An empty plan carries
out nothing, so no second look is needed unless something has changed in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice

REUSE_SECONDS = 300.0
"""Seconds. Not longer, because the machine may have slept between the two looks."""


def empty_plan_mark(
    run_id: str,
    last_entry: int,
    desired: Iterable[DesiredInvoice],
    held: Iterable[ActualInvoice],
) -> str:
    """The same text for the same run, as long as nothing that a plan is made from has changed.

    `last_entry` is the newest entry of the request log: a request of ours is written there before
    it is sent, whereas what it did is seen in `held` only once its answer has come.
    """
    text = repr((run_id, last_entry, tuple(desired), tuple(held)))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
