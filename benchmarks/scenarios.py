"""What is measured, against what, how often, and the aims.

What belongs here: one function a scenario, from its data to its lines. What does not: the work
(``pipeline.py``, ``collecting.py``, ``history.py``, ``rivals/``), the table (``table.py``).
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.axes import AXES
from benchmarks.company import ALL_PROPERTIES, MONTH, Company, Payers
from benchmarks.prompts import IMPORT
from benchmarks.table import Line, Measured
from billing_pipeline.months import BillingMonth

Figures = dict[str, Any]
Rounds = list[Figures]
GIGABYTE = 1024**3
HISTORY_MONTHS = 36
HISTORY_END = BillingMonth.parse("2025-12")
RIVALS = {
    "sqlite_loop": ("SQLite, a query for each customer", 20.0),
    "with_pandas": ("pandas", 4.0),
    "with_polars": ("Polars", 1.2),
    "postgres": ("PostgreSQL 15, set-based", 8.0),
}
# One run of these takes minutes.
SLOW_RIVALS = ("sqlite_loop", "postgres")
# What `pipeline.models` asserts where the floor was measured before it, in the same home.
FLOOR_NOTE = (
    "The floor has the same accepted events and the same quantity for each customer and meter."
)


@dataclass(frozen=True)
class Sizes:
    """How big a run of the benchmarks is."""

    company: Company
    large: Company
    rerun: Company
    features: Company
    history: Company
    history_months: int
    pushed: Payers
    pulled: Payers
    # Payments of a busy account.
    payments: int
    rounds: int
    # Of what takes seconds, where one round differs much from the next.
    short_rounds: int
    # By what the sizes of the axes are divided.
    axes_by: int


FULL = Sizes(
    company=Company(50_000, 10_000_000),
    large=Company(50_000, 100_000_000),
    rerun=Company(2_000, 400_000),
    features=Company(20_000, 4_000_000),
    history=Company(100, 10_000),
    history_months=HISTORY_MONTHS,
    pushed=Payers(2_000, 10),
    pulled=Payers(10_000, 1),
    payments=200_000,
    rounds=3,
    short_rounds=7,
    axes_by=1,
)
QUICK = Sizes(
    company=Company(1_000, 200_000),
    large=Company(1_000, 2_000_000),
    rerun=Company(20, 2_000),
    features=Company(200, 20_000),
    history=Company(10, 500),
    history_months=2,
    pushed=Payers(20, 10),
    pulled=Payers(100, 1),
    payments=2_000,
    rounds=1,
    short_rounds=1,
    axes_by=50,
)


@dataclass
class Bench:
    """One run: where its data lies, and what was measured already."""

    sizes: Sizes
    folder: Path
    _data: set[Path] = field(default_factory=set)
    _pipeline: dict[str, Rounds] = field(default_factory=dict)

    def company(self, name: str, company: Company, *months: BillingMonth) -> Path:
        """The company's files, written once."""
        data = self.folder / name
        if data not in self._data:
            company.write_prices_and_accounts(data)
            for month in months:
                company.write_usage(data, month)
            self._data.add(data)
        return data

    def pipeline(self) -> dict[str, Rounds]:
        """Floor, models, bare script and job side by side, on the company of ten million events;
        once a run."""
        if not self._pipeline:
            data = self.company("company", self.sizes.company, MONTH)
            for number in range(self.sizes.rounds):
                say(f"round {number + 1} of {self.sizes.rounds}")
                for name in ("floor", "models", "bare", "job"):
                    found = timed(f"pipeline.{name}", data, self.folder / "home")
                    self._pipeline.setdefault(name, []).append(found)
        return self._pipeline


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def timed(name: str, data: Path, home: Path, *more: str) -> Figures:
    """The figures of one piece of work, done in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.worker", name, str(data), str(home), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    say(f"  {' '.join([name, *more])}: {found['seconds']:.2f} s")
    return found


def middle(rounds: Rounds, key: str = "seconds") -> float:
    return statistics.median(float(found[key]) for found in rounds)


def peak_gigabytes(*rounds: Rounds) -> float:
    return max(float(found["peak_bytes"]) for each in rounds for found in each) / GIGABYTE


def first_intake(rounds: Rounds) -> float:
    """Of the round that saw the files for the first time; what is clean is remembered after it."""
    return float(rounds[0]["intake_seconds"])


def month(bench: Bench) -> Measured:
    """A month of ten million events, against the floor and the bare script."""
    found, customers = bench.pipeline(), bench.sizes.company.customers
    rounds, last = len(found["models"]), found["models"][-1]
    floor, bare, job = (middle(found[name]) for name in ("floor", "bare", "job"))
    lines = [
        _against_floor(found["models"], floor, aim=1.3),
        Line(
            what=f"rating and invoicing of {last['charges']:,} charges",
            ours=middle(found["models"], "rating_seconds"),
            against="bare script",
            theirs=bare,
            aim=1.3,
            rounds=rounds,
        ),
        Line(
            what="the whole job without the push",
            ours=job,
            against="floor + bare script",
            theirs=floor + bare,
            aim=1.6,
            rounds=rounds,
        ),
        Line(
            what=f"the same for {customers:,} accounts",
            ours=job,
            against="10 million accounts an hour",
            theirs=customers * 3600 / 10_000_000,
            aim=1.0,
            rounds=rounds,
        ),
        _peak(peak_gigabytes(found["models"], found["job"]), rounds),
    ]
    notes = [
        f"{last['rows']:,} events of {customers:,} customers and 10 meters in Parquet, "
        f"{last['charges']:,} charges, {last['charged']} USD. {FLOOR_NOTE} The bare script's "
        "charges, tiers, lines and invoices are the pipeline's, every row and column.",
        f"{customers * 3600 / job:,.0f} accounts an hour.",
        f"The slowest models of the last round: {_slowest(last)}. Intake "
        f"{first_intake(found['models']):.2f} s where it sees the files for the first time, "
        f"{last['intake_seconds']:.2f} s after that; dbt's tests {last['tests_seconds']:.2f} s.",
    ]
    return Measured(lines, notes, found)


def _against_floor(models: Rounds, floor: float, aim: float) -> Line:
    return Line(
        what=f"the models that read events, {models[-1]['rows']:,} of them",
        ours=middle(models, "events_seconds"),
        against="floor",
        theirs=floor,
        aim=aim,
        rounds=len(models),
    )


def _peak(gigabytes: float, rounds: int) -> Line:
    return Line(
        what="peak memory at a memory_limit of 4 GB",
        ours=gigabytes,
        against="bound",
        theirs=5.0,
        aim=1.0,
        unit="GB",
        rounds=rounds,
    )


def _slowest(found: Figures) -> str:
    return ", ".join(f"{name} {seconds} s" for name, seconds in found["slowest"].items())


def rivals(bench: Bench) -> Measured:
    """What people write instead, on the same files, with the same output."""
    from benchmarks.rivals import postgres

    ours = bench.pipeline()["models"]
    spent = middle(ours) + first_intake(ours)
    data, home = bench.folder / "company", bench.folder / "home"
    found: dict[str, Rounds] = {"ours": ours}
    lines, notes = [], []
    for name, (title, aim) in RIVALS.items():
        if name == "postgres" and not postgres.is_installed():
            notes.append(f"{title}: not measured, {postgres.PROGRAMS} is not there.")
            continue
        for _ in range(1 if name in SLOW_RIVALS else bench.sizes.rounds):
            found.setdefault(name, []).append(timed("pipeline.rival", data, home, name))
        parts = ", ".join(f"{part} {s:.1f} s" for part, s in found[name][-1]["parts"].items())
        notes.append(f"{title}: {parts}; peak {peak_gigabytes(found[name]):.1f} GB.")
        lines.append(
            Line(
                what="the same month: intake and dbt models",
                ours=spent,
                against=title,
                theirs=middle(found[name]),
                aim=aim,
                is_speedup=True,
                rounds=len(found[name]),
            )
        )
    notes.append(
        "Each rival makes charges with id, tiers, text and calculation, lines, invoices and "
        "rejected rows with reasons, and every value equals the pipeline's. They check nothing "
        "and can bill no other company; the pipeline's checks are not in its time. A single round "
        "where one takes minutes."
    )
    return Measured(lines, notes, found)


def rerun(bench: Bench) -> Measured:
    """An unchanged month again, against an account without limits: the hard case, for where Stripe
    limits the first run the second is a smaller part of it."""
    months = [MONTH.shift(step) for step in range(bench.sizes.rounds + 1)]
    data = bench.company("rerun", bench.sizes.rerun, *months)
    found = timed("collecting.rerun", data, bench.folder / "rerun home")
    line = Line(
        what="rerun of an unchanged month",
        ours=statistics.median(found["each"]),
        against="first run",
        theirs=statistics.median(found["first_runs"]),
        aim=0.5,
        rounds=bench.sizes.rounds,
    )
    note = (
        f"{bench.sizes.rerun.customers:,} customers and {bench.sizes.rerun.events:,} events a "
        "month, `close_month` in a warm process, an account that answers at once. No rerun wrote "
        "to Stripe."
    )
    return Measured([line], [note], {"rerun": [found]})


def late(bench: Bench) -> Measured:
    """A month of ten million events once more, after a late file of a thousand."""
    data = bench.company("company", bench.sizes.company, MONTH)
    found = [
        timed("pipeline.late", data, bench.folder / f"late home {number}")
        for number in range(bench.sizes.rounds)
    ]
    line = Line(
        what=f"a month of {bench.sizes.company.events:,} events after a late file of 1,000",
        ours=middle(found),
        against="its first run",
        theirs=middle(found, "first_seconds"),
        aim=0.35,
        rounds=len(found),
    )
    note = "`preview_month`, each round in an empty home and a process of its own."
    return Measured([line], [note], {"late": found})


def push(bench: Bench) -> Measured:
    """A push under Stripe's test-mode limits, and the same month once more."""
    data, home = bench.folder / "payers", bench.folder / "payers home"
    bench.sizes.pushed.write(data)
    timed("collecting.prepare", data, home)
    found = timed("collecting.push", data, home, str(bench.sizes.rounds))
    invoices, reruns = found["invoices"], found["rerun_seconds"]
    lines = [
        Line(
            what=f"push of {invoices:,} invoices with {bench.sizes.pushed.lines} lines",
            ours=found["seconds"],
            against="3 calls each at 25/s",
            theirs=invoices * 3 / 25,
            aim=1.15,
        ),
        Line(
            what="answers 429",
            ours=100 * found["too_many"] / found["requests"],
            against="bound",
            theirs=0.1,
            aim=1.0,
            unit="%",
        ),
        Line(
            what="calls that write, for each created invoice",
            ours=found["writes"] / invoices,
            against="bound",
            theirs=3.0,
            aim=1.0,
            unit="",
        ),
        Line(
            what="calls for each unchanged invoice on a rerun",
            ours=found["rerun_requests"] / invoices,
            against="bound",
            theirs=0.02,
            aim=1.0,
            unit="",
            rounds=len(reruns),
        ),
        Line(
            what="rerun of that month",
            ours=statistics.median(reruns),
            against="preview and push",
            theirs=found["preview_seconds"] + found["seconds"],
            aim=0.5,
            rounds=len(reruns),
        ),
    ]
    note = (
        f"Sent invoices of known customers, {found['lines']:,} lines, the sandbox answering after "
        "100 ms and with 429 beyond 25 requests a second; job `apply_plan` after `preview_month`. "
        f"{found['requests']:,} requests, {found['requests'] - found['writes']:,} of them not "
        "writes. One round, as it takes minutes. No rerun wrote to Stripe. A card that is charged "
        "automatically takes one call more."
    )
    return Measured(lines, [note], {"push": [found]})


def pull(bench: Bench) -> Measured:
    """What was paid, after 1 % of many invoices changed."""
    data = bench.folder / "pulled"
    bench.sizes.pulled.write(data)
    found = timed("collecting.pull", data, bench.folder / "pulled home")
    lines = [
        Line(
            what=f"pull {when}, {found['changed']:,} of {found['invoices']:,} invoices paid",
            ours=found[name]["requests"],
            against="invoices",
            theirs=found["invoices"],
            aim=0.02,
            unit="requests",
        )
        for name, when in (("at_once", "right after the close"), ("later", "hours later"))
    ]
    note = (
        "As the sensor `stripe_changes` pulls: events, then what they name; "
        f"{found['seconds']:.1f} s."
    )
    return Measured(lines, [note], {"pull": [found]})


def history(bench: Bench) -> Measured:
    """A month on top of much history, and on top of a single month."""
    depths = {"much": bench.sizes.history_months, "little": 1}
    first = HISTORY_END.shift(1 - bench.sizes.history_months)
    measured = [HISTORY_END.shift(step) for step in range(1, bench.sizes.rounds + 1)]
    months = [first.shift(step) for step in range(bench.sizes.history_months)] + measured
    data = bench.company("history", bench.sizes.history, *months)
    homes = {name: bench.folder / f"home with {name} history" for name in depths}
    found: dict[str, Rounds] = {}
    for name, depth in depths.items():
        timed("history.build", data, homes[name], str(HISTORY_END), str(depth))
    for chosen in measured:
        for name in depths:
            done = timed("history.month", data, homes[name], str(chosen))
            found.setdefault(name, []).append(done)
    lines = [
        Line(
            what=f"{part} with {bench.sizes.history_months} months of history",
            ours=middle(found["much"], part),
            against="with 1",
            theirs=middle(found["little"], part),
            aim=1.1,
            rounds=len(measured),
        )
        for part in ("close", "rerun", "publish", "pull", "status", "first page")
    ]
    note = (
        f"{bench.sizes.history.customers:,} customers and {bench.sizes.history.events:,} events a "
        "month. Each round adds a month to both, in turn, in processes that have rated a month. "
        "The status is the command `billing status`, the first page what the dashboard makes for "
        "it on the server."
    )
    return Measured(lines, [note], found)


def features(bench: Bench) -> Measured:
    """The same events with other meters and prices: what the second edition has, all in use."""
    company, found = bench.sizes.features, dict[str, Rounds]()
    for name in ("plain", "features"):
        data = bench.company(name, company)
        company.write_usage(data, MONTH, properties=ALL_PROPERTIES)
    company.write_features(data)
    for _ in range(bench.sizes.rounds):
        for name in ("plain", "features"):
            home = bench.folder / f"home of {name}"
            done = timed("pipeline.models", bench.folder / name, home)
            found.setdefault(name, []).append(done)
    with_all, plain = (
        middle(rounds) + middle(rounds, "intake_seconds")
        for rounds in (found["features"], found["plain"])
    )
    last = found["features"][-1]
    line = Line(
        what=f"a month of {company.events:,} events: intake and dbt models",
        ours=with_all,
        against="without",
        theirs=plain,
        aim=1.3,
        rounds=bench.sizes.rounds,
    )
    note = (
        f"{company.customers:,} customers and 10 meters: four by groups, four by hours or days, "
        "one of counters; a price in two versions, two lots for each customer. "
        f"{last['charges']:,} "
        f"charges instead of {found['plain'][-1]['charges']:,}. Slowest: {_slowest(last)}."
    )
    return Measured([line], [note], found)


def prompts(bench: Bench) -> Measured:
    """Commands that only read, against a process that imports DuckDB and ends."""
    data = bench.company("prompts", bench.sizes.rerun, HISTORY_END)
    home = bench.folder / "home of prompts"
    timed("history.build", data, home, str(HISTORY_END), "1")
    rounds = bench.sizes.short_rounds
    found = timed("prompts.commands", data, home, str(rounds))
    lines = [
        Line(
            what=f"billing {name}",
            ours=found[name],
            against=f"python -c '{IMPORT}'",
            theirs=found[IMPORT],
            aim=4.0,
            rounds=rounds,
        )
        for name in ("status", "months", "invoices", "explain")
    ]
    note = (
        f"One closed month of {bench.sizes.rerun.customers:,} customers; from the start of the "
        "process to its end."
    )
    return Measured(lines, [note], {"prompts": [found]})


def large(bench: Bench) -> Measured:
    """A hundred million events against ten million, of as many customers."""
    ours = bench.pipeline()["models"]
    data = bench.company("large", bench.sizes.large, MONTH)
    floor = timed("pipeline.floor", data, bench.folder / "large home")
    found = timed("pipeline.models", data, bench.folder / "large home")
    lines = [
        Line(
            what=f"{bench.sizes.large.events:,} events: intake and dbt models",
            ours=found["seconds"] + found["intake_seconds"],
            against=f"{bench.sizes.company.events:,} events",
            theirs=middle(ours) + first_intake(ours),
            aim=11.0,
        ),
        _against_floor([found], float(floor["seconds"]), aim=0.9),
        _peak(peak_gigabytes([found]), 1),
    ]
    note = (
        f"{found['rows']:,} rows, {found['accepted']:,} accepted, {found['charges']:,} charges; "
        f"every test of dbt passed ({found['tests_seconds']:.0f} s). One round, as it takes "
        f"minutes. The slowest models: {_slowest(found)}. Intake {found['intake_seconds']:.0f} s."
    )
    return Measured(
        lines, [f"{note} {FLOOR_NOTE}"], {"large": [found], "floor": [floor], "ours": ours}
    )


def busy(bench: Bench) -> Measured:
    """A first run reads all payments of an account: what it holds of them at a time does not grow
    with their number."""
    count = bench.sizes.payments
    few, many = (
        timed("busy.payments", bench.folder, bench.folder / f"busy {number}", str(number))
        for number in (count // 10, count)
    )
    peaks = [peak_gigabytes([found]) * 1024 for found in (many, few)]
    lines = [
        Line(f"peak memory, {count:,} payments", peaks[0], "bound", 600.0, 1, "MB"),
        Line(
            f"peak memory, {count:,} payments", *(peaks[0], f"{count // 10:,}", peaks[1], 1.1, "MB")
        ),
    ]
    note = (
        f"{many['requests']:,} requests, {many['seconds']:.0f} s; {many['top_ups']:,} of the "
        "payments are top-ups, and all of them were found. One round."
    )
    return Measured(lines, [note], {"many": [many], "few": [few]})


def axes(bench: Bench) -> Measured:
    """One thing at a time at three sizes. What it costs between the last two is compared with what
    it would cost if it had grown as between the first two: in proportion."""
    found: dict[str, Rounds] = {}
    lines = []
    for axis in AXES:
        size = max(axis.size // bench.sizes.axes_by, 10)
        few, many, twice = size // 10, size, 2 * size
        place = bench.folder / "axes"
        for chosen in (few, many, twice):
            found.setdefault(axis.name, []).append(
                timed("pipeline.axis", place / "data", place / "home", axis.name, str(chosen))
            )
            shutil.rmtree(place)
        first, second, third = (float(each["seconds"]) for each in found[axis.name])
        slope = max(second - first, 0) / (many - few)
        lines.append(
            Line(
                what=f"{axis.name}: {twice:,}",
                ours=third,
                against=f"in proportion to {many:,}",
                theirs=second + slope * (twice - many),
                aim=1.2,
                unit="s of CPU",
            )
        )
    lines.append(_peak(peak_gigabytes(*found.values()), 1))
    note = (
        "Intake, dbt's models and tests of a month in which all else is as small as can be, at "
        "three sizes. In the table stands the axis that comes nearest to its bound."
    )
    return Measured(lines, [note], found, is_folded=True)


SCENARIOS: dict[str, Callable[[Bench], Measured]] = {
    "month": month,
    "rivals": rivals,
    "rerun": rerun,
    "late": late,
    "push": push,
    "pull": pull,
    "features": features,
    "history": history,
    "prompts": prompts,
    "busy": busy,
    "axes": axes,
    "large": large,
}
# Left out unless named: they take longer than all the others together.
EXCLUDED_BY_DEFAULT = ("axes", "large")
EXCLUDED_WHEN_QUICK = ("axes", "large", "history")


def default_names(*, quick: bool) -> Sequence[str]:
    return [
        name
        for name in SCENARIOS
        if name not in (EXCLUDED_WHEN_QUICK if quick else EXCLUDED_BY_DEFAULT)
    ]
