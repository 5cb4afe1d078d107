"""Dunning of a closed example, on a copy of it with a clock that the test moves.

What belongs here: running dunning hour by hour until nothing happens any more. What does not: the
rule, which is tested in ``tests/unit/collection/test_dunning.py``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from billing_pipeline.collection import payments, stripe_gateway
from billing_pipeline.collection.plan.dunning_policy import AfterLastTry, DunningPolicy
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import SANDBOX_KEY, GatewayConfig, StripeGateway
from billing_pipeline.stripe_sandbox import Sandbox
from billing_pipeline.stripe_sandbox.server import FILE_NAME
from tests.in_process import InProcessClient
from tests.virtual_clock import VirtualClock

HOUR = 3600


@dataclass(frozen=True)
class Policy:
    """The hours of the attempts after the first failure, and the final status."""

    hours: tuple[int, ...]
    end: str

    def rule(self) -> DunningPolicy:
        gives_up = self.end == AfterLastTry.UNCOLLECTIBLE.value
        return DunningPolicy(
            self.hours, AfterLastTry.UNCOLLECTIBLE if gives_up else AfterLastTry.LEAVE_OPEN
        )


@dataclass(frozen=True)
class Ended:
    """By customer: the whole hours from its invoice to each attempt of the month, and the published
    status."""

    tries: dict[str, tuple[int, ...]]
    statuses: dict[str, str]


@cache
def dun_to_the_end(home: Path, month: str, policy: Policy) -> Ended:
    """Let ten days pass hour by hour, and make the due attempts at half past each."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "home"
        shutil.copytree(home, copy, ignore=shutil.ignore_patterns("dagster", "dbt"))
        return _dun(copy, BillingMonth.parse(month), policy.rule())


def _dun(home: Path, month: BillingMonth, rule: DunningPolicy) -> Ended:
    settings = Settings("data", home, ZoneInfo("UTC"), month)
    clock = VirtualClock()
    sandbox = Sandbox(settings.sandbox_dir / FILE_NAME, clock=clock.now)
    gateway = StripeGateway(
        GatewayConfig(SANDBOX_KEY), http_client=InProcessClient(sandbox), clock=clock
    )

    pulled = stripe_gateway.run(gateway, lambda: payments.pull(gateway, settings, month))
    finalized = {row["invoice_id"]: row["finalized_at"] for row in pulled.stripe_invoices}
    # Hours count from the failure of the charge, which comes after its invoice was finalized.
    clock.advance(max(finalized.values()).timestamp() + HOUR / 2 - clock.now())
    tries: dict[str, list[int]] = defaultdict(list)
    for _ in range(10 * 24):
        results = stripe_gateway.run(
            gateway,
            lambda: payments.dun(gateway, settings, run_id="dunning", policy=rule),
        )
        for result in results:
            if result.invoice_id in finalized:
                hours = (clock.now() - finalized[result.invoice_id].timestamp()) / HOUR
                tries[result.customer_id].append(int(hours))
        clock.advance(HOUR)
    pulled = stripe_gateway.run(
        gateway, lambda: payments.pull(gateway, settings, month, policy=rule)
    )
    sandbox.close()
    statuses = {row["customer_id"]: row["status"] for row in pulled.invoice_payments}
    return Ended({name: tuple(hours) for name, hours in tries.items()}, statuses)
