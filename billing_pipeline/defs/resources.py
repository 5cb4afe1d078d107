"""The resources of assets, checks, sensors and schedules: the operator's settings, and Stripe.

What belongs here: how each is made when a run or a tick begins, and that tests can hand in others
(`build_defs`). What does not: reading the environment (``settings``), and talking to Stripe
(``stripe_api``).

Neither resource has any config. Dagster stores config in its history and shows it in the UI, and an
`EnvVar` in it has to be set, although a home that uses the sandbox has no key. Without config, a
secret's name and value stay out of Dagster altogether.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from billing_pipeline.collection import stripe_gateway
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway


@dg.resource(description="What the operator chose through the environment (README).")
def settings_from_environment(_context: dg.InitResourceContext) -> Settings:
    """The settings as the environment has them when a run or a tick begins."""
    return Settings.from_env()


class Stripe(dg.ConfigurableResource[Any]):
    """Stripe, or the sandbox where no key is set."""

    settings: dg.ResourceDependency[Settings]

    @contextmanager
    def open(self) -> Iterator[StripeGateway]:
        """A gateway for the length of a `with` block."""
        with stripe_gateway.open_gateway(self.settings) as gateway:
            yield gateway


def resources(overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All resources by name, those of `overrides` in place of the usual ones."""
    settings = (overrides or {}).get("settings", settings_from_environment)
    return {"settings": settings, "stripe": Stripe(settings=settings), **(overrides or {})}
