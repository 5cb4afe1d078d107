"""When a request is retried, and after how long.

What belongs here: the decision, as a pure function of the failure, the attempt and a random
number. What does not: sending, sleeping, and what to do when a retry does not help (the push then
checks Stripe's state and uses a new key).

Every request that changes something has an idempotency key, so it may be sent again without acting
twice. A 5xx is retried only a few times: it may be the saved answer of a request that was executed,
which the same key repeats forever. After `server_attempts` the caller has to check Stripe's state.
"""

from __future__ import annotations

from dataclasses import dataclass

from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

KEY_REUSE_SECONDS = 23 * 3600
"""Seconds for which the same key may be sent again. Stripe may forget it after 24 hours and would
then act a second time, so a machine that slept over a weekend must first check Stripe's state."""


@dataclass(frozen=True)
class RetryPolicy:
    """Delays in seconds. Attempts count the first one."""

    attempts: int = 8
    server_attempts: int = 3
    initial_delay: float = 0.5
    max_delay: float = 20.0
    max_retry_after: float = 60.0
    """The longest `Retry-After` that we accept: one header must not stop a run for hours."""

    def delay(self, failure: StripeFailure, attempt: int, random: float) -> float | None:
        """Seconds to wait before attempt `attempt + 1`, or None to give up.

        `attempt` is the number of attempts so far (1 after the first), `random` is in [0, 1).
        """
        if attempt >= self.attempts or not self._is_retryable(failure, attempt):
            return None
        backoff = min(self.initial_delay * 2.0 ** (attempt - 1), self.max_delay)
        jittered = backoff * (0.5 + random / 2)
        if failure.retry_after is None:
            return jittered
        # Jitter is added to the time that Stripe asks for, never subtracted. Without jitter all
        # workers would return at the same instant.
        return min(failure.retry_after, self.max_retry_after) + jittered

    def _is_retryable(self, failure: StripeFailure, attempt: int) -> bool:
        if failure.kind is FailureKind.RATE_LIMITED:
            return True  # even if Stripe advises against it: the request was not executed
        if failure.should_retry is not None:
            return failure.should_retry
        if failure.kind is FailureKind.SERVER:
            return attempt < self.server_attempts
        return failure.kind in (FailureKind.CONFLICT, FailureKind.CONNECTION)
