"""Notices of what could not be read from Stripe, or not be sent there, without failing a run.

What belongs here: what the cache of Stripe lists, as notices. What does not: what is published
(`due.py`). Unreadable events are left out: they only say what to read again,
and accounts with other uses of Stripe have some every day.
"""

from __future__ import annotations

from pathlib import Path

from billing_pipeline.collection.stripe_state.cached_tax_ids import ALL, read_tax_id_problems
from billing_pipeline.collection.stripe_state.set_aside import DamagedCacheError, read_set_aside
from billing_pipeline.notices.notice import Kind, Notice


def stripe_notices(records: Path) -> list[Notice]:
    """The objects of Stripe that are set aside, and the tax ids that are not in Stripe. Empty if
    the cache is damaged: each run fails on it then, and that is a notice of its own."""
    try:
        set_aside, tax_ids = read_set_aside(records), read_tax_id_problems(records)
    except DamagedCacheError:
        return []
    unreadable = [
        Notice(Kind.ANSWER_SET_ASIDE, f"set_aside:{thing.kind}:{thing.target}", "", str(thing))
        for thing in set_aside
        if thing.kind != "event"
    ]
    not_sent = [
        Notice(
            Kind.TAX_ID_NOT_SENT,
            f"tax_id:{customer}",
            "",
            f"{'all customers' if customer == ALL else customer}: {reason}",
        )
        for customer, reason in tax_ids.items()
    ]
    return [*unreadable, *not_sent]
