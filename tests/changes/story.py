"""One sequence: months are closed, people change things, and somebody looks after what waits.

What belongs here: the operator's commands, the clock, and drawing the steps by chance. What does
not: what people change (`edits.py`, `acts.py`), and what must be true after a step (`judging.py`).

The operator does what the manual says: closes what is due, approves what is shown, decides what is
in review. At the end everything that waits is brought to its end by these commands alone.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from zoneinfo import ZoneInfo

from billing_pipeline.collection import open_invoices, payments, prepaid, steps
from billing_pipeline.collection.closed_months import (
    BilledCorrections,
    billed_corrections,
    corrections_on,
    open_corrections,
)
from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.approval import NotInPlanError
from billing_pipeline.collection.plan.closed_books import is_closed
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.proposal import ResolutionRequest, WrongDecisionError
from billing_pipeline.collection.records.account import require_account
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.steps import ApplyOutcome
from billing_pipeline.collection.stripe_state.refresh import list_new
from billing_pipeline.collection.stripe_state.resolutions import Decision
from billing_pipeline.collection.stripe_state.set_aside import STRIPE_CACHE
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.corrections import Correction
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import GatewayConfig, StripeGateway
from billing_pipeline.stripe_sandbox import Sandbox
from tests.books import journal_problems
from tests.changes.acts import ACTS, Dashboard
from tests.changes.books import rate_with, write_warehouse
from tests.changes.company import MONTHS, make_company
from tests.changes.edits import EDITS, RENAMES
from tests.changes.judging import Judge, Run
from tests.changes.rating import AFTER, UTC_ZONE, Rated, Rater, Taken, instant, rate, wallets_of
from tests.faults.kinds import FAULTS
from tests.faults.network import Line, Network, Schedule, is_killed
from tests.virtual_clock import VirtualClock

HOUR, DAY = 3600.0, 86_400.0
SEARCH_LAG = 3600.0
MAX_ROUNDS = 8
"""Rounds of running, approving and deciding until a month must have come to its end."""
T = TypeVar("T")


@dataclass
class Story:
    """One company, one Stripe, and all that is done to both. With `locks` somebody closes books."""

    home: Path
    seed: int
    rater: Rater = rate
    months: int = len(MONTHS)
    locks: bool = False
    with_books: bool = True
    """At the end the journal is looked at, which takes a third of a second."""
    diary: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    _processes: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.company = make_company(self.rng)
        clock = VirtualClock(instant("2026-01-20"))
        sandbox = Sandbox(clock=clock.now, search_lag=SEARCH_LAG)
        self.network = Network(sandbox, clock, random.Random(self.seed))
        self.dashboard = Dashboard(sandbox)
        self.judge = Judge(self.company, self.dashboard, self.problems, self.diary)
        self.open_months: list[BillingMonth] = []
        self.locked: BillingMonth | None = None
        self.decided: set[str] = set()
        self.published: dict[BillingMonth, payments.PullResult] = {}

    @property
    def clock(self) -> VirtualClock:
        return self.network.clock

    @property
    def settings(self) -> Settings:
        settings = Settings("data", self.home, ZoneInfo("UTC"), MONTHS[0])
        return replace(settings, locked_through=self.locked)

    @property
    def month(self) -> BillingMonth:
        """The month that runs."""
        ended = [m for m in MONTHS if m.end(UTC_ZONE).timestamp() <= self.clock.now()]
        return MONTHS[min(len(ended), len(MONTHS) - 1)]

    async def play(self) -> None:
        lengths = [self.rng.randint(2, 9) for _ in MONTHS]
        for month, length in list(zip(MONTHS, lengths, strict=True))[: self.months]:
            for _ in range(self.rng.choice((0, 0, 1, 2))):
                await self._step(self._edit)
            late = self.rng.choice((0, 0, 0, 20))  # days: an old month is closed after the next
            end = month.end(UTC_ZONE).timestamp() + DAY * (1 + late)
            self.clock.advance(max(0.0, end - self.clock.now()))
            self._note(f"--- {month} is due")
            # When the books of the months before are closed: before this one is, or later.
            locking = self.rng.randrange(length) if self.locks and self.open_months else None
            for at in range(length + 1):
                if at == locking:
                    await self._step(self._lock_books, month.shift(-1))
                await self._step(*((self._any,) if at else (self._close, month)))
        await self._step(self._reckon)

    async def _step(self, act: Callable[..., object], *given: object) -> None:
        self.steps += 1
        result = act(*given)
        if hasattr(result, "__await__"):
            await result

    async def _any(self) -> None:
        weights = {
            self._edit: 7,
            self._act: 7,
            self._wait: 3,
            self._rerun: 4,
            self._approve: 3,
            self._resolve: 2,
            self._dun: 2,
            self._pull_events: 1,
            self._pull: 1,
            self._interrupted: 1,
            self._lose_cache: 1,
        }
        chosen = self.rng.choices(list(weights), list(weights.values()))[0]
        result = chosen()
        if hasattr(result, "__await__"):
            await result

    # People.
    def _edit(self) -> None:
        # Who gets a second other id behind a closed month has nothing left to be known by.
        renamed = self.locks and any(self.changes[name] for name in RENAMES)
        name = self.rng.choice([name for name in EDITS if not renamed or name not in RENAMES])
        self._changed(name, EDITS[name](self.rng, self.company, self.month))

    def _act(self) -> None:
        name = self.rng.choice(list(ACTS))
        self._changed(name, ACTS[name](self.rng, self.dashboard))

    def _changed(self, name: str, description: str | None) -> None:
        if description is not None:
            self.changes[name] += 1
            self._note(f"{name}: {description}")

    def _wait(self) -> None:
        hours = self.rng.choice((1, 26, 80, 200))
        self._note(f"{hours} hours pass")
        self.clock.advance(hours * HOUR)

    def _lock_books(self, through: BillingMonth) -> None:
        self.locked = through
        self.judge.locks(through, [month for month in self.open_months if month <= through])
        self._changed("lock_books", f"the books are closed through {through}")

    # The operator.
    async def _close(self, month: BillingMonth) -> None:
        if month not in self.open_months:
            self.open_months.append(month)
        await self._run(month)

    async def _rerun(self) -> None:
        await self._run(self.rng.choice(self.open_months))

    async def _approve(self) -> None:
        month = self.rng.choice(self.open_months)
        outcome = await self._run(month)
        if outcome is not None and outcome.remaining.waiting:
            await self._run(month, outcome.remaining)

    async def _resolve(self) -> None:
        month = self.rng.choice(self.open_months)
        outcome = await self._run(month)
        reviews = self._reviews(outcome)
        if reviews:
            chosen = await self._decide(month, self.rng.choice(reviews))
            if chosen is not None:
                await self._run(month, chosen)

    def _taken(self, month: BillingMonth) -> Taken:
        return Taken(
            list(prepaid.known_applications(self.settings, month)),
            prepaid.known_payments(self.settings),
        )

    async def _dun(self) -> None:
        self._note("dunning")
        waiting = await self._pay_from_wallets()
        if waiting is None:
            return  # killed
        before = self.judge.tries()
        work = payments.dun(
            self._gateway("dun"), self.settings, run_id=self._run_id(), except_for=waiting
        )
        await self._guarded("dunning", work)
        self.judge.after_dunning(before)

    async def _pay_from_wallets(self) -> set[str] | None:
        """What wallets hold pays what is open, first. The customers for whom that did not work."""
        work = open_invoices.refresh_wallet_movements(self._gateway("moved"), self.settings)
        await self._guarded("wallets", work)
        found = open_invoices.open_invoices(self.settings)
        at = int(self.clock.now())
        wallets = wallets_of(self.company.world, self._taken(AFTER), at)
        run = await self._guarded(
            "wallets",
            open_invoices.pay_open_invoices(
                self._gateway("pay"), self.settings, wallets, found, run_id=self._run_id()
            ),
        )
        if run is None:
            return None
        for paid in run.paid:
            self.changes["paid_from_wallet"] += 1
            self._note(f"    {paid.amount} of {paid.invoice_id} are paid from the wallet")
        for customer_id, why in run.problems:
            self._note(f"    wallet of {customer_id}: {why}")
        waiting = {customer_id for customer_id, _ in run.problems}
        self.judge.after_wallets(wallets.funds, run.paid, waiting)
        return waiting

    async def _pull(self) -> None:
        month = self.rng.choice(self.open_months)
        self._note(f"pull of {month}")
        pulled = await self._guarded("pull", self._pulled(month, await self._rate(month)))
        if pulled is not None:
            self.judge.published(pulled)

    async def _pull_events(self) -> None:
        self._note("pull by events")
        gateway = self._gateway("events")
        stale = await self._guarded("events", payments.stale_months(gateway, self.settings))
        for item in stale or ():
            rated = await self._rate(item.month)
            await self._guarded("pull", self._pulled(item.month, rated, full=item.in_full))
        for pulled in self.published.values():
            # The events have told of every change, or the month was not left as it was.
            self.judge.published(pulled)

    async def _interrupted(self) -> None:
        """A close dies at some request; what then is, the next run finds."""
        month = self.rng.choice(self.open_months)
        at = self.network.changes + self.rng.randint(1, 8)
        self.network.schedule = Schedule(at_change={at: FAULTS["kill-after"]})
        await self._run(month)
        self.network.schedule = Schedule()

    def _lose_cache(self) -> None:
        """What can be read from Stripe again is lost; what was billed is not."""
        for name in (STRIPE_CACHE, f"{STRIPE_CACHE}-wal", f"{STRIPE_CACHE}-shm"):
            (self.settings.records_dir / name).unlink(missing_ok=True)
        self._note("the cache of Stripe is lost")

    # Runs.
    async def _rate(self, month: BillingMonth) -> Rated:
        """As the jobs do: what wallets paid is read from Stripe first."""
        await self._guarded(
            "wallets", prepaid.pull_applications(self._gateway("wallets"), self.settings)
        )
        folder = self.settings.warehouse_path(month)
        if not folder.exists():
            folder.parent.mkdir(parents=True)
            folder.touch()  # its being there says that the month was rated
        if self.locks:
            found = await self._corrections(month)
            return rate_with(self.rater, self.company.world, month, self._taken(month), found)
        return self.rater(self.company.world, month, self._taken(month))

    async def _corrections(self, month: BillingMonth) -> Sequence[Correction]:
        """What stands on the month's invoices for closed ones, as `defs.closed_books` finds it."""
        await self._guarded("list", self._list_all())
        with open_records(self.settings.records_dir) as records:
            billed = billed_corrections(self.settings, records.cache)
        if self.locked is None or month != self.locked.shift(1):
            return corrections_on(billed, month).lines
        found: list[Correction] = []
        for closed in self.open_months:
            if closed < month:
                found += await self._open_corrections(closed, billed, month)
        return found

    async def _list_all(self) -> None:
        gateway = self._gateway("list")
        start = int(MONTHS[0].start(UTC_ZONE).timestamp())
        with open_records(self.settings.records_dir) as records:
            await require_account(gateway, records.folder)
            await list_new(gateway, records.cache, start)

    async def _open_corrections(
        self, closed: BillingMonth, billed: Sequence[BilledCorrections], on: BillingMonth
    ) -> Sequence[Correction]:
        own = corrections_on(billed, closed).lines
        rated = rate_with(self.rater, self.company.world, closed, self._taken(closed), own)
        plan = await self._guarded(
            "preview",
            steps.preview(self._gateway("preview"), self.settings, closed, desired=rated.desired),
        )
        if plan is None:
            return ()
        with TemporaryDirectory() as scratch:
            scratch = replace(self.settings, home=Path(scratch))
            write_warehouse(scratch, closed, rated)
            customers = self.company.customer_ids()
            found = open_corrections(self.settings, scratch, plan, billed, closed, on, customers)
        self.judge.not_corrected[closed] = {
            self.company.person_of[action.customer_id]
            for action in plan.actions
            if action.invoice_id in found.not_corrected
        }
        return found.corrections.lines

    async def _run(
        self, month: BillingMonth, approved: InvoicePlan | None = None
    ) -> ApplyOutcome | None:
        """Rate, apply what is safe (or what is approved), pull, and judge."""
        rated, run_id = await self._rate(month), self._run_id()
        self._note(f"run of {month}" + (f", approving {approved.hash[:8]}" if approved else ""))
        run = Run(month, rated, approved)
        self.judge.before(run)
        work = steps.apply_plan(
            self._gateway("run"),
            self.settings,
            month,
            run_id=run_id,
            approval=steps.Approval(approved.hash) if approved else None,
            desired=rated.desired,
            movements=rated.movements,
        )
        outcome = None
        try:
            outcome = await self._guarded(f"run of {month}", work, NotInPlanError)
        except NotInPlanError as answer:
            if not is_closed(self.locked, month):
                raise
            self._note(f"    {answer}")
        if outcome is None:
            self.judge.after_end(run)
            return None
        full = self.rng.random() < 0.3  # the rows are the same either way
        pulled = await self._guarded("pull", self._pulled(month, rated, full=full))
        for failed in outcome.report.failed:
            self._note(f"    failed: {failed.action.key}: {failed.message}")
        for action in outcome.remaining.changes:
            self._note(f"    left: {action.kind} {action.invoice_id}: {action.reason}")
        self.judge.after(run, outcome, pulled)
        return outcome

    async def _pulled(
        self, month: BillingMonth, rated: Rated, *, full: bool = True
    ) -> payments.PullResult:
        pulled = await payments.pull(
            self._gateway("pull"), self.settings, month, full=full, desired=rated.desired
        )
        payments.record_published(self.settings, pulled)
        self.published[month] = pulled
        return pulled

    async def _guarded(self, what: str, work: Awaitable[T], *answers: type[Exception]) -> T | None:
        """The work's result; None where the process was killed. Any other end but these answers
        is a problem."""
        try:
            return await work
        except answers:
            raise
        except BaseException as error:
            if is_killed(error):
                self._note("    killed")
            elif isinstance(error, Exception):
                self.problems.append(("stuck", f"{what}: {_named(error)}"))
                self._note(f"    {_named(error)}")
            else:
                raise
            return None

    def _gateway(self, name: str) -> StripeGateway:
        self._processes += 1
        line = Line(self.network, f"{name}-{self._processes}")
        config = GatewayConfig("sk_test_changes", api_base="http://stripe.invalid", workers=2)
        rng = random.Random(self._processes)
        return StripeGateway(config, http_client=line, clock=self.clock, rng=rng)

    def _run_id(self) -> str:
        return f"run-{self._processes}"

    # Decisions.
    @staticmethod
    def _reviews(outcome: ApplyOutcome | None) -> list[str]:
        if outcome is None:
            return []
        kinds = (ActionKind.REVIEW,)
        return [item.invoice_id for item in outcome.remaining.waiting if item.kind in kinds]

    async def _decide(self, month: BillingMonth, invoice_id: str) -> InvoicePlan | None:
        """Ask for a decision that ends the review; gives the plan to approve."""
        ways = list(Decision)
        self.rng.shuffle(ways)
        refused = []
        for way in ways:
            rated = await self._rate(month)
            request = ResolutionRequest(invoice_id, way, "as agreed", "simulator")
            self._note(f"decide {way.value} for {invoice_id}")
            work = steps.propose(
                self._gateway("propose"),
                self.settings,
                month,
                request,
                run_id=self._run_id(),
                desired=rated.desired,
            )
            try:
                plan = await self._guarded("decision", work, WrongDecisionError)
            except WrongDecisionError as error:
                refused.append(str(error))
            else:
                self.decided.add(invoice_id)
                return plan
        self.problems.append(("stuck", f"no decision ends {invoice_id}: {refused}"))
        return None

    # The end.
    async def _reckon(self) -> None:
        """Everything is brought to its end by the operator's commands alone."""
        self._note("--- the reckoning")
        self.network.schedule = Schedule()
        self._mend_inputs()
        for _ in range(3):  # tries of dunning, and what banks decide
            self.clock.advance(8 * DAY)
            await self._dun()
        for month in self.open_months:
            await self._finish(month)
        for month in self.open_months:
            outcome = await self._run(month)
            if outcome is not None and outcome.remaining.changes:
                # What one month gave back of a wallet, this one may take.
                await self._finish(month)
                outcome = await self._run(month)
            if outcome is not None:
                run = Run(month, await self._rate(month))
                self.judge.at_the_end(run, outcome, self.decided)
        rated = {month: await self._rate(month) for month in self.open_months}
        self.judge.wallets(rated, self._taken(AFTER))
        self.judge.all_months(rated, self.decided)
        if self.with_books:
            for month in self.open_months:
                await self._guarded("pull", self._pulled(month, await self._rate(month)))
            problems = journal_problems(self.published.values())
            self.problems += [("books", sentence) for sentence in problems]

    def _mend_inputs(self) -> None:
        """What a message asks for and only an edit can do: a Stripe customer that is no more is
        not named in the accounts."""
        living = {item["id"] for item in self.dashboard.all("customer") if not item.get("deleted")}
        for row in self.company.world.tables["customers"]:
            if row["stripe_customer_id"] not in living:
                row["stripe_customer_id"] = ""

    async def _finish(self, month: BillingMonth) -> None:
        for _ in range(MAX_ROUNDS):
            outcome = await self._run(month)
            if outcome is None:
                return
            for invoice_id in self._reviews(outcome):
                # One at a time: each is shown, and approved by its hash.
                chosen = await self._decide(month, invoice_id)
                if chosen is None:
                    return
                outcome = await self._run(month, chosen) or outcome
            plan = outcome.remaining
            open_changes = [item for item in plan.changes if not plan.is_closed_to(item)]
            if not open_changes and not outcome.report.failed:
                return
            if any(item.kind is not ActionKind.REVIEW for item in outcome.remaining.waiting):
                outcome = await self._run(month, outcome.remaining) or outcome
            if outcome.report.failed:
                self._note("20 days pass")  # what a bank is processing is waited for
                self.clock.advance(20 * DAY)
        left = [f"{a.kind} {a.invoice_id}: {a.reason}" for a in outcome.remaining.changes]
        left += [f"failed {f.action.key}: {f.message}" for f in outcome.report.failed]
        self.problems.append(("stuck", f"{month} is not done after {MAX_ROUNDS} rounds: {left}"))

    def _note(self, text: str) -> None:
        self.diary.append(text)


def _named(error: BaseException) -> str:
    inner = error
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return f"{type(inner).__name__}: {inner}"
