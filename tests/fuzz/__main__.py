"""`python -m tests.fuzz`: damaged inputs, settings, webhooks and answers, as many as asked for.

    python -m tests.fuzz --cases 3000                       of each target; what `make faults` runs
    python -m tests.fuzz --only "settings" --first 7 --cases 1    one again

What belongs here: the command line. What does not: what is damaged, and what must hold then.
"""

from __future__ import annotations

import argparse
import os
import sys
from multiprocessing import Pool

from billing_pipeline.collection.records import opening
from tests.fuzz.targets import TARGETS, play
from tests.fuzz.verdict import Case


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="of each target (1000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (0)")
    parser.add_argument("--only", choices=list(TARGETS), help="one target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    return parser.parse_args()


def _played(task: tuple[str, int]) -> Case:
    return play(*task)


def _without_waiting_for_the_disk() -> None:
    opening.DURABILITY = "off"


def main() -> int:
    chosen, bad = arguments(), 0
    seeds = range(chosen.first, chosen.first + chosen.cases)
    with Pool(chosen.jobs, initializer=_without_waiting_for_the_disk) as pool:
        for target in [chosen.only] if chosen.only else TARGETS:
            cases = refused = 0
            for case in pool.imap(_played, [(target, seed) for seed in seeds], chunksize=8):
                cases += 1
                refused += case.refused is not None
                if case.problems:
                    bad += 1
                    print(case, flush=True)
            print(f"{target}: {cases} cases, {refused} of them refused in words", flush=True)
    print(f"{bad} not as they should be")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
