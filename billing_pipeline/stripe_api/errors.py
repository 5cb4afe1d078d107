"""A failed request to Stripe, as one exception whose kind says what to do next.

What belongs here: the kinds of failure that our code treats differently, and the text that a
person needs: the customer, the request id, Stripe's message. What does not: the SDK's own
exceptions (`client.py` turns them into this one), and the decision to retry (`retries.py`).
"""

from __future__ import annotations

from enum import StrEnum


class FailureKind(StrEnum):
    """Kinds of failure, by what our code may do next."""

    CONNECTION = "connection"
    """No answer: Stripe may or may not have acted."""
    RATE_LIMITED = "rate_limited"
    """429: the request was not executed."""
    CONFLICT = "conflict"
    """409: another request is using the object or the key; the request was not executed."""
    SERVER = "server"
    """5xx: Stripe may or may not have acted, and repeats this answer under the same key."""
    IDEMPOTENCY = "idempotency"
    """The key was used with other parameters: check Stripe's state, then use a new key."""
    CARD = "card"
    """402: the payment was declined."""
    NOT_FOUND = "not_found"
    """404: the object does not exist, or no longer exists."""
    REFUSED = "refused"
    """400: Stripe does not allow this; a retry would not help."""
    CREDENTIALS = "credentials"
    """401 or 403: the key is wrong or lacks a permission."""


class StripeFailure(Exception):
    """A request that failed.

    `message` comes from Stripe or the transport; it never contains the API key. `replayed` is true
    if Stripe repeated its answer to an earlier attempt with the same key.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        should_retry: bool | None = None,
        retry_after: float | None = None,
        replayed: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id
        self.should_retry = should_retry
        self.retry_after = retry_after
        self.replayed = replayed
        self.customer_id: str | None = None
        self.asked: str | None = None
        """The request, such as ``GET /v1/invoices``."""
        self.permission: str | None = None
        """The permission that a restricted key lacks, if that is the reason."""

    def __str__(self) -> str:
        about = [
            f"customer {self.customer_id}" if self.customer_id else "",
            self.asked or "",
            f"HTTP {self.status}" if self.status else "",
            self.code or "",
            f"request {self.request_id}" if self.request_id else "",
        ]
        details = ", ".join(part for part in about if part)
        text = f"{self.message} ({details})" if details else self.message
        if self.permission is None:
            return text
        return f"{text}: the key needs the permission {self.permission}"


def unreadable_answer(why: str) -> StripeFailure:
    """A success whose body does not have the form of Stripe's API. Nobody knows what Stripe did:
    this step or the next run checks."""
    return StripeFailure(FailureKind.SERVER, f"Stripe's answer cannot be read: {why}")
