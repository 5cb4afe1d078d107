"""The story of a month: close → rerun → late usage → approve, by an operator who follows the
manual: run again, and approve the plan that is shown.

What belongs here: a company's home, its processes, and completing each stage despite the faults.
What does not: the invariants at the end (`checks.py`).
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from billing_pipeline.collection import payments, steps
from billing_pipeline.collection.payments import PullResult
from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.records.lock import MonthLockedError
from billing_pipeline.collection.steps import ApplyOutcome, PlanChangedError
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import GatewayConfig, StripeGateway
from billing_pipeline.stripe_api.errors import StripeFailure
from billing_pipeline.stripe_sandbox import Sandbox
from tests.faults.company import FEBRUARY, JANUARY, Company
from tests.faults.disk import Disk, as_seen, publish, published, rows_of
from tests.faults.network import Killed, Line, Network, Schedule, is_killed
from tests.virtual_clock import VirtualClock

START = 1_770_000_000.0
"""When the story begins: early in February 2026."""
SEARCH_LAG = 3600.0
"""What Stripe's search may be behind; nothing may be decided by it."""
MAX_RUNS = 12
"""Runs until a stage must have come to its end, whatever strikes."""
CHANGES_TO_APPROVE = (ActionKind.SUPPLEMENT, ActionKind.CREDIT)


class NotFinishedError(AssertionError):
    """A stage did not come to its end by running again."""


@dataclass
class Story:
    """One company, one Stripe, and the faults that strike on the way."""

    home: Path
    company: Company
    schedule: Schedule = field(default_factory=Schedule)
    seed: int = 0
    page_size: int = 100
    workers: int = 4
    list_lag: float = 0.0
    """Seconds for which Stripe's lists do not show what was just created. A process starts after
    less than that, so that it cannot see what the one before it did last."""
    network: Network = field(init=False)
    problems: list[str] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)
    disk: Disk | None = None
    """Where it is published to; None: the story is told without, which is ten times faster."""
    lost_records: int = 0
    stage: int = 0
    _processes: int = 0
    _waiting: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = VirtualClock(START)
        self.network = Network(
            Sandbox(clock=clock.now, search_lag=SEARCH_LAG, list_lag=self.list_lag),
            clock,
            random.Random(self.seed),
            self.schedule,
            self.page_size,
        )
        self.network.lose_records = self._lose_records
        self.network.others = {
            "second-run": self._second_run,
            "waiting-run": self._waiting_run,
            "other-month": self._other_month,
            "pull": self._other_pull,
        }

    @property
    def clock(self) -> VirtualClock:
        return self.network.clock

    @property
    def settings(self) -> Settings:
        return Settings("data", self.home, ZoneInfo("UTC"), JANUARY)

    def play(self) -> None:
        """All stages, then the recovery from the faults that are still to come."""
        asyncio.run(self._play())

    async def _play(self) -> None:
        for stage in range(self.company.stages):
            self.stage = stage
            await self.finish(JANUARY)
            await self.run(JANUARY)  # once more, which changes nothing
            await self._end_waiting()
        self.network.schedule = Schedule()
        self.network.deliver_late(all_of_them=True)
        await self.finish(JANUARY)
        if self.billed_february:
            await self.finish(FEBRUARY)
        self.clock.advance(self.list_lag)

    async def finish(self, month: BillingMonth) -> None:
        """Run again, and approve what is shown, until nothing is left to do."""
        approved: str | None = None
        for _ in range(MAX_RUNS):
            outcome = await self.run(month, approved)
            approved = None
            if outcome is None or outcome.report.failed:
                # What a run of the other month holds of a wallet, only that month gives back.
                if month == JANUARY and self.billed_february:
                    await self.run(FEBRUARY)
                continue
            if not outcome.remaining.changes:
                return
            if outcome.remaining.waiting:
                self._judge(month, outcome)
                approved = outcome.remaining.hash
        raise NotFinishedError(f"stage {self.stage} is not done after {MAX_RUNS} runs")

    async def run(self, month: BillingMonth, approved: str | None = None) -> ApplyOutcome | None:
        """One run of a process: preview, apply, and pull; None where it did not come to its end."""
        run_id = f"run-{self._processes}"
        self.clock.advance(self.list_lag / 3)
        try:
            if approved is None:
                await self.preview(month, run_id)
            outcome = await self.apply(month, approved, run_id=run_id)
            pulled = await self.pull(month)
            if self.disk is not None:
                self._publish(month, pulled)
        except (PlanChangedError, MonthLockedError, StripeFailure) as error:
            self._note(f"{type(error).__name__}: {error}")
            await self._end_waiting()
            return None
        except BaseException as error:
            if not is_killed(error):
                raise
            self._note("killed")
            await self._suffer()
            return None
        for failed in outcome.report.failed:
            self._note(f"{failed.action.key}: {failed.message}")
        return outcome

    def _publish(self, month: BillingMonth, pulled: PullResult) -> None:
        """Readers see the state before or after, whole, also where the process dies."""
        assert self.disk is not None
        before = published(self.settings, month)
        after = as_seen(rows_of(pulled))
        try:
            with self.disk.watched():
                publish(self.settings, month, pulled)
        except Killed:
            if published(self.settings, month) not in (before, after):
                self.problems.append(
                    f"half of a month was published: {published(self.settings, month)}"
                )
            raise
        if published(self.settings, month) != after:
            self.problems.append(f"not what was pulled: {published(self.settings, month)}")

    async def _suffer(self) -> None:
        """What the fault brings besides the end of the process."""
        if self.network.aftermath:
            await self._end_waiting()
        for act in self.network.aftermath:
            act()
        self.network.aftermath.clear()

    def process(self, name: str = "run") -> StripeGateway:
        """A new process: a gateway, with a line to Stripe that dies with it."""
        self._processes += 1
        line = Line(self.network, f"{name}-{self._processes}")
        config = GatewayConfig(
            "sk_test_faults", api_base="http://stripe.invalid", workers=self.workers
        )
        rng = random.Random(self.seed + self._processes)
        return StripeGateway(config, http_client=line, clock=self.clock, rng=rng)

    async def preview(self, month: BillingMonth, run_id: str) -> None:
        desired = self.company.desired(self.stage, month)
        gateway = self.process("preview")
        await steps.preview(gateway, self.settings, month, desired=desired, run_id=run_id)

    async def apply(
        self,
        month: BillingMonth = JANUARY,
        approved: str | None = None,
        *,
        timeout: float = 0.0,
        name: str = "run",
        run_id: str | None = None,
    ) -> ApplyOutcome:
        gateway = self.process(name)
        return await steps.apply_plan(
            gateway,
            self.settings,
            month,
            run_id=run_id or f"{name}-{self._processes}",
            approval=steps.Approval(approved) if approved else None,
            timeout=timeout,
            desired=self.company.desired(self.stage, month),
            movements=self.company.movements(),
        )

    async def pull(self, month: BillingMonth = JANUARY, *, full: bool = True) -> PullResult:
        desired = self.company.desired(self.stage, month)
        return await payments.pull(
            self.process("pull"), self.settings, month, full=full, desired=desired
        )

    # What may run at the same time, each a process of its own.
    async def _second_run(self) -> None:
        await self._aside(self.apply(name="second"))

    async def _waiting_run(self) -> None:
        work = self._aside(self.apply(name="waiting", timeout=600.0))
        self._waiting.append(asyncio.create_task(work))

    async def _other_month(self) -> None:
        work = self._aside(self.apply(FEBRUARY, name="february"))
        self._waiting.append(asyncio.create_task(work))

    async def _other_pull(self) -> None:
        await self._aside(self.pull())

    async def _aside(self, work: Awaitable[object]) -> None:
        """Another process does something, and ends however it ends."""
        try:
            await work
        except (MonthLockedError, StripeFailure) as error:
            self._note(f"aside: {error}")
        except BaseException as error:
            if not is_killed(error):
                raise
            self._note("aside: killed")
            # The records of the process that goes on stay, and so does its day.
            self.network.aftermath.clear()

    async def _end_waiting(self) -> None:
        while self._waiting:
            await self._waiting.pop()

    @property
    def billed_february(self) -> bool:
        return any("february" in request.process for request in self.network.passed)

    def _note(self, text: str) -> None:
        self.diary.append(f"after request {self.network.requests}: {text}")

    def _judge(self, month: BillingMonth, outcome: ApplyOutcome) -> None:
        """Only changes from late usage may wait for approval, and drafts that an interrupted run of
        another month left and that are no longer due."""
        allowed = {*CHANGES_TO_APPROVE, *([] if month == JANUARY else [ActionKind.WITHDRAW])}
        for action in outcome.remaining.waiting:
            if self.stage == 0 or action.kind not in allowed:
                self.problems.append(
                    f"stage {self.stage}: {action.kind} of {action.invoice_id} waits: "
                    f"{action.reason}"
                )

    def _lose_records(self) -> None:
        self.lost_records += 1
        shutil.rmtree(self.settings.records_dir, ignore_errors=True)
