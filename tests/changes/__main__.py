"""`python -m tests.changes`: sequences of what people change, as many as asked for.

    python -m tests.changes --sequences 2000    what `make changes` runs
    python -m tests.changes --seed 652          one again, with its diary
    python -m tests.changes --seed 652 --locks  one with closed books

What belongs here: the command line. What does not: sequences and what they are judged by.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from multiprocessing import Pool

from tests.changes.company import MONTHS
from tests.changes.rating import Rater, rate, rate_by_both
from tests.changes.trials import KINDS, Trial, play

LOCKED_EACH = 4
"""Of so many sequences one has closed books."""
REPORT_EVERY = 30.0
"""Seconds between two lines that say how far it is."""


class Score:
    """What came of all sequences so far."""

    def __init__(self) -> None:
        self.sequences = self.steps = self.failed = 0
        self.changes: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()

    def add(self, trial: Trial) -> None:
        self.sequences += 1
        self.steps += trial.steps
        self.changes += trial.changes
        self.problems.update(kind for kind, _ in trial.problems)
        self.failed += bool(trial.problems)

    def __str__(self) -> str:
        found = ", ".join(f"{self.problems[kind]} {kind}" for kind in KINDS)
        return (
            f"{self.sequences} sequences, {self.steps} steps, {sum(self.changes.values())} changes "
            f"of {len(self.changes)} kinds, {found}; {self.failed} not as they should be"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.changes", description=__doc__)
    parser.add_argument("--sequences", type=int, default=2000, help="how many (2000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (0)")
    parser.add_argument(
        "--rated", type=int, default=0, help="so many of them rated by the pipeline as well (0)"
    )
    parser.add_argument("--months", type=int, default=len(MONTHS), help="of each sequence")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    parser.add_argument("--locks", action="store_true", help="somebody closes the books")
    parser.add_argument("--seed", type=int, help="this one only, with its diary")
    return parser.parse_args()


def _played(task: tuple[int, Rater, int, bool]) -> Trial:
    return play(*task[:3], locks=task[3])


def main() -> int:
    chosen = arguments()
    if chosen.seed is not None:
        rater = rate_by_both if chosen.rated else rate
        trial = play(chosen.seed, rater, chosen.months, locks=chosen.locks)
        print("\n".join(trial.diary))
        print(trial.report())
        return int(bool(trial.problems))
    score, reported_at = Score(), time.monotonic()
    seeds = range(chosen.first, chosen.first + chosen.sequences)
    rated = set(seeds[: chosen.rated])
    tasks = [
        (seed, rate_by_both, chosen.months, False)
        if seed in rated
        else (seed, rate, chosen.months, chosen.locks or seed % LOCKED_EACH == 0)
        for seed in seeds
    ]
    with Pool(chosen.jobs) as pool:
        for trial in pool.imap(_played, tasks):
            score.add(trial)
            if trial.problems:
                print(trial.report(), flush=True)
            if time.monotonic() - reported_at > REPORT_EVERY:
                reported_at = time.monotonic()
                print(f"seed {trial.seed}: {score}", flush=True)
    for kind, count in sorted(score.changes.items()):
        print(f"{count:7} {kind}")
    print(score)
    return int(score.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
