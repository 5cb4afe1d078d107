"""`python -m tests.faults`: faults at every boundary, and by chance, as many as asked for.

    python -m tests.faults --single --damage --schedules 2000    what `make faults` runs
    python -m tests.faults --schedules 1 --seed 652 --log    one again, with its requests

What belongs here: the command line. What does not: trials and their checks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

from tests.faults.damage import Damage, closed_home, every_damage
from tests.faults.trials import COMPANIES, Trial, play_every_single, play_random

REPORT_EVERY = 30.0
"""Seconds between two lines that say how far it is."""


class Score:
    """The results of all trials so far."""

    def __init__(self) -> None:
        self.trials = self.faults = self.double_billed = self.lost = self.failed = 0

    def add(self, trial: Trial) -> None:
        self.trials += 1
        self.faults += len(trial.faults)
        self.double_billed += len(trial.verdict.double_billed)
        self.lost += len(trial.verdict.lost)
        self.failed += bool(trial.problems)

    def __str__(self) -> str:
        return (
            f"{self.trials} schedules tried, {self.faults} faults injected, "
            f"{self.double_billed} double-billed, {self.lost} lost, "
            f"{self.failed} not as it should be"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000, help="random ones (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first random one (0)")
    parser.add_argument("--single", action="store_true", help="also every single fault first")
    parser.add_argument("--damage", action="store_true", help="each file of a home, damaged")
    parser.add_argument("--log", action="store_true", help="print the requests of each trial")
    return parser.parse_args()


def trials(chosen: argparse.Namespace) -> Iterator[Trial]:
    if chosen.single:
        for company in COMPANIES:
            yield from play_every_single(company)
    for seed in range(chosen.seed, chosen.seed + chosen.schedules):
        yield play_random(seed)


def play_damages() -> list[Damage]:
    """Every damage to a closed home; those that were not as they should be are printed."""
    damages = []
    with closed_home() as home:
        for damage in every_damage(home):
            damages.append(damage)
            if damage.problems:
                print(damage, flush=True)
    return damages


def main() -> int:
    chosen = arguments()
    damages = play_damages() if chosen.damage else []
    bad = sum(bool(damage.problems) for damage in damages)
    if damages:
        print(f"{len(damages)} damages to the files of a home, {bad} not as it should be")
    score, reported_at = Score(), time.monotonic()
    for trial in trials(chosen):
        score.add(trial)
        if trial.problems:
            print(trial.report(), flush=True)
        if chosen.log:
            print("\n".join(map(str, trial.passed)), flush=True)
        if time.monotonic() - reported_at > REPORT_EVERY:
            reported_at = time.monotonic()
            print(f"{trial.name}: {score}", flush=True)
    print(score)
    return int(score.failed > 0 or bad > 0)


if __name__ == "__main__":
    sys.exit(main())
