"""When a request is tried again, and after how long.

What belongs here: the decision, as a pure function of the failure, the attempt and a random
number. What does not: sending, sleeping, and what to do when trying again is no use (the push
looks what is there and takes a new key: `invoicing/apply.py`).

Every request that changes something carries an idempotency key, so the same request may be sent
again without acting twice. Two kinds are worth it only for a while: a 5xx may be the kept answer
of a request that did execute, which the same key repeats for ever; after `server_attempts` the
caller has to look for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

KEY_IS_KNOWN = 23 * 3600
"""Seconds for which the same key may be sent again. Stripe may forget it after 24 hours, and would
then act a second time: a machine that slept over a weekend must look first what is there."""


@dataclass(frozen=True)
class RetryPolicy:
    """Delays in seconds. Attempts count the first one."""

    attempts: int = 8
    server_attempts: int = 3
    initial_delay: float = 0.5
    longest_delay: float = 20.0
    longest_retry_after: float = 60.0
    """A `Retry-After` beyond this is cut: a run must not hang for hours on one header."""

    def delay(self, failure: StripeFailure, attempt: int, random: float) -> float | None:
        """Seconds to wait before attempt `attempt + 1`, or None to give up.

        `attempt` is the number of tries so far (1 after the first), `random` is in [0, 1).
        """
        if attempt >= self.attempts or not self._is_worth_it(failure, attempt):
            return None
        backoff = min(self.initial_delay * 2.0 ** (attempt - 1), self.longest_delay)
        jittered = backoff * (0.5 + random / 2)
        if failure.retry_after is None:
            return jittered
        # Jitter is added to what Stripe asks for, never taken off it, or all workers would come
        # back in the same instant.
        return min(failure.retry_after, self.longest_retry_after) + jittered

    def _is_worth_it(self, failure: StripeFailure, attempt: int) -> bool:
        if failure.should_retry is not None:
            return failure.should_retry
        if failure.kind is FailureKind.SERVER:
            return attempt < self.server_attempts
        return failure.kind in (
            FailureKind.RATE_LIMITED,
            FailureKind.CONFLICT,
            FailureKind.CONNECTION,
        )


NEVER_RETRY = RetryPolicy(attempts=1)
