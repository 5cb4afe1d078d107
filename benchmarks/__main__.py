"""``python -m benchmarks``: measure, side by side in one run, and write the table.

What belongs here: which measurements, their aims, rounds, and the table in README.md. What does
not: the work itself (worker.py), the made-up inputs (company.py).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.company import Company
from benchmarks.worker import MONTH, environment

FOLDER = Path(__file__).parent
BEGIN, END = "<!-- results: written by make bench -->", "<!-- end of results -->"
FULL, QUICK = Company(50_000, 10_000_000), Company(2_500, 500_000)
SMALL = Company(100, 1_000)
GIGABYTE = 1024**3
Rounds = list[dict[str, Any]]


@dataclass(frozen=True)
class Line:
    """One line of the table: ours against something, as a ratio with the most that is aimed at."""

    what: str
    ours: float
    against: str
    theirs: float
    most: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    def markdown(self) -> str:
        met = "met" if self.ratio <= self.most else "**missed**"
        cells = (
            self.what,
            f"{self.ours:.2f} {self.unit}",
            f"{self.against}: {self.theirs:.2f} {self.unit}",
            f"{self.ratio:.2f}",
            f"≤ {self.most}",
            met,
        )
        return "| " + " | ".join(cells) + " |"


def timed(name: str, data: Path, home: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.worker", name, str(data), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {name}: {found['seconds']:.2f} s", file=sys.stderr, flush=True)
    return found


def cold(data: Path, home: Path) -> dict[str, Any]:
    """`billing run` from a shell, all imports included, on a month that was not run before."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "billing_pipeline.cli", "run", str(MONTH)],
        env=environment(data, home),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"billing run failed:\n{done.stderr}")
    return {"seconds": time.perf_counter() - began}


def middle(rounds: Rounds, key: str = "seconds") -> float:
    return statistics.median(float(found[key]) for found in rounds)


def measure(company: Company, rounds: int, folder: Path) -> tuple[list[Line], dict[str, Any]]:
    big, small = folder / "big", folder / "small"
    for data, made in ((big, company), (small, SMALL)):
        made.write_prices_and_accounts(data)
        made.write_usage(data, MONTH)
    found: dict[str, Rounds] = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for name in ("floor", "models", "job"):
            found.setdefault(name, []).append(timed(name, big, folder / "home"))
        for name in ("job", "dbt_alone"):
            found.setdefault(f"small {name}", []).append(timed(name, small, folder / "small home"))
        found.setdefault("cold", []).append(cold(small, folder / f"cold home {number}"))
    for floor, models in zip(found["floor"], found["models"], strict=True):
        # The same events, but for bad rows; the floor knows nothing of those.
        assert 0.99 * floor["events"] < models["accepted"] <= floor["events"]
    spent = middle(found["models"])
    peak = max(middle(found[name], "peak_bytes") for name in ("models", "job")) / GIGABYTE
    lines = [
        Line(
            "metering, rating, invoicing: dbt models", spent, "floor", middle(found["floor"]), 2.0
        ),
        Line("whole job without the push", middle(found["job"]), "models + 5 s", spent + 5, 1.3),
        Line("peak memory at a memory_limit of 4 GB", peak, "bound", 5.0, 1.0, "GB"),
        Line(
            "a month of 1,000 events: job, warm",
            middle(found["small job"]),
            "dbt build alone",
            middle(found["small dbt_alone"]),
            1.5,
        ),
        Line("a month of 1,000 events: `billing run`, cold", middle(found["cold"]), "bound", 10, 1),
    ]
    return lines, found


def about(company: Company, rounds: int, found: dict[str, Any]) -> list[str]:
    last = found["models"][-1]
    packages = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "dbt-core", "dagster"))
    slowest = ", ".join(f"{name} {seconds} s" for name, seconds in last["slowest"].items())
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, {rounds} rounds, medians. {last['rows']:,} events of "
        f"{company.customers:,} customers and 10 meters, {last['charges']:,} charges, "
        f"{last['charged']} USD; Parquet. {os.cpu_count()} cores ({platform.machine()}), "
        f"Python {platform.python_version()}, {packages}.",
        "",
        f"The slowest models of the last round: {slowest}. Intake {last['intake_seconds']:.2f} s, "
        f"dbt's tests {last['tests_seconds']:.2f} s.",
    ]


def write(lines: Sequence[Line], notes: Sequence[str], readme: Path) -> None:
    """Put the table between the marks of the README."""
    text = readme.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    table = [
        "| what | ours | against | ratio | aim | |",
        "| --- | ---: | --- | ---: | ---: | --- |",
        *(line.markdown() for line in lines),
    ]
    body = "\n".join([BEGIN, "", *table, "", *notes, "", END])
    readme.write_text(head + body + rest.split(END)[1], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, no table")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    company = QUICK if chosen.quick else FULL
    rounds = 1 if chosen.quick else chosen.rounds
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        lines, found = measure(company, rounds, Path(folder))
    notes = about(company, rounds, found)
    print("\n".join([*(line.markdown() for line in lines), "", *notes]))
    if not chosen.quick:
        write(lines, notes, FOLDER / "README.md")
        (FOLDER / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
