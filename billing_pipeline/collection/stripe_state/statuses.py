"""Stripe's statuses of objects that move money, as the pinned version of its API has them.

What belongs here: the statuses, and refusing any other. What does not: what follows from a status.
A status that a later version adds may or may not mean that money moved: as we cannot tell, nothing
is concluded from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from billing_pipeline.collection.stripe_state.set_aside import UnreadableError, identity

CREDIT_NOTE = frozenset({"issued", "void"})
DISPUTE = frozenset(
    [
        *("appeal_needs_response", "appeal_under_review", "lost", "needs_response", "prevented"),
        *("under_review", "warning_closed", "warning_needs_response", "warning_under_review"),
        "won",
    ]
)
PAYMENT_INTENT = frozenset(
    [
        *("canceled", "processing", "requires_action", "requires_capture"),
        *("requires_confirmation", "requires_payment_method", "succeeded"),
    ]
)
REFUND = frozenset({"canceled", "failed", "pending", "requires_action", "succeeded"})


def known_status(thing: Mapping[str, Any], known: Collection[str]) -> str:
    """The object's status. Raises `UnreadableError` where it is none of the `known` ones."""
    status = thing.get("status")
    if not isinstance(status, str) or status not in known:
        raise UnreadableError(unknown(thing))
    return status


def is_refunded(refund: Mapping[str, Any]) -> bool:
    """True where the money of a refund has left, or is about to. Raises `UnreadableError`."""
    return refund_status(refund) not in ("failed", "canceled")


def refund_status(refund: Mapping[str, Any]) -> str:
    """As `known_status`; a refund that no bank has answered yet may have none."""
    return known_status({**refund, "status": refund.get("status") or "pending"}, REFUND)


def moves_money(dispute_status: str) -> bool:
    """False for an inquiry (`warning_…`) and for a dispute that was prevented."""
    return not (dispute_status.startswith("warning_") or dispute_status == "prevented")


def unknown(thing: Mapping[str, Any]) -> str:
    """A sentence about an object with a status that is not known."""
    shown = ascii(thing.get("status"))[:60]
    return f"{identity(thing)} has the status {shown}, which this release does not know"
