"""Stripe's signatures on webhooks: is this body what Stripe sent, and just now?

What belongs here: Stripe's scheme, as a pure function. What does not: receiving
(`billing_pipeline.commands.webhooks`).
https://docs.stripe.com/webhooks/signature
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

HEADER = "Stripe-Signature"
TOLERANCE_SECONDS = 300
"""How old a signature may be, as in Stripe's own libraries: older ones may be replayed."""


class BadSignatureError(ValueError):
    """The request is not, or no longer, to be believed; the message says why."""


def verify(
    body: bytes,
    header: str | None,
    secrets: Sequence[str],
    now: float,
    tolerance: float = TOLERANCE_SECONDS,
) -> None:
    """Raise `BadSignatureError` unless one of the secrets signed `body` at about `now`.

    Several secrets are good at a time while one replaces the other.
    """
    timestamp, signatures = _parse(header)
    # Compared in constant time, and before the time is looked at: what it says is signed too.
    expected = [_signature(timestamp, body, secret) for secret in secrets]
    matches = [hmac.compare_digest(own, given) for own in expected for given in signatures]
    if not any(matches):
        raise BadSignatureError("the signature does not match")
    if abs(now - int(timestamp)) > tolerance:
        raise BadSignatureError(f"signed more than {tolerance:.0f} seconds ago or ahead")


def sign(body: bytes, secret: str, timestamp: int) -> str:
    """The header that Stripe would send."""
    return f"t={timestamp},v1={_signature(str(timestamp), body, secret)}"


def _signature(timestamp: str, body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _parse(header: str | None) -> tuple[str, list[str]]:
    if not header:
        raise BadSignatureError(f"there is no {HEADER}")
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    # Of other schemes (v0 is for tests) none is believed.
    signatures = [value for name, _, value in parts if name == "v1" and value.isascii()]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > 12:
        raise BadSignatureError(f"{HEADER} has no timestamp")
    if not signatures:
        raise BadSignatureError(f"{HEADER} has no signature of scheme v1")
    return times[0], signatures
