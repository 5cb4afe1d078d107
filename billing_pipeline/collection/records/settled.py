"""A month in which a run found nothing to do, so that the same run does not list it twice.

What belongs here: what must be as it was for that to hold. What does not: planning, and any
decision to send something: whatever is sent was planned anew under the lock.

A close plans twice: to show the plan, and under the lock to carry it out. An empty plan carries
out nothing, so it needs no second look unless something has moved in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice

REUSED_FOR = 300.0
"""Seconds: the machine may have slept between the two looks."""


def empty_plan_mark(
    run_id: str,
    last_entry: int,
    desired: Iterable[DesiredInvoice],
    held: Iterable[ActualInvoice],
) -> str:
    """The same for the same run, while nothing that a plan is made from has moved.

    `journal_entry` is the newest one: a request of ours shows there before it is sent, what it
    did shows in `held` only once its answer has come.
    """
    text = repr((run_id, last_entry, tuple(desired), tuple(held)))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
