"""A gateway to where the settings point: Stripe, another address, or the embedded sandbox.

What belongs here: opening one, and waiting for a coroutine that uses it. What does not: requests
(``stripe_api``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import (
    SANDBOX_KEY,
    STRIPE_API,
    GatewayConfig,
    StripeGateway,
    run_closing,
)
from billing_pipeline.stripe_api.rate_limit import RateLimits

T = TypeVar("T")


@contextmanager
def open_gateway(settings: Settings) -> Iterator[StripeGateway]:
    """A gateway to where the settings point: Stripe, another address, or the embedded sandbox,
    which runs as long as the block does."""
    where: AbstractContextManager[str]
    if settings.uses_sandbox:
        # Imported here: the sandbox's server is not needed to talk to Stripe itself.
        from billing_pipeline.stripe_sandbox import running_sandbox

        where = running_sandbox(settings.sandbox_dir)
    else:
        where = nullcontext(settings.stripe_api_base or STRIPE_API)
    with where as base:
        yield StripeGateway(
            GatewayConfig(
                api_key=settings.stripe_api_key or SANDBOX_KEY,
                api_base=base,
                limits=RateLimits.for_key(settings.stripe_api_key),
                account=settings.stripe_account,
                proxy=settings.https_proxy,
            )
        )


def run(gateway: StripeGateway, work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine that uses the gateway: ``run(gateway, lambda: preview(gateway, ...))``."""
    return run_closing(gateway, work)
