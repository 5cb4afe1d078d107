"""`python -m tests.property`: any number of generated cases, through pipeline and oracle.

    python -m tests.property --cases 100000          what `make property` runs
    python -m tests.property --seed 7 --setting 2024-02@Asia/Kolkata --worlds w00012 --keep /tmp/x

What belongs here: the command line. What does not: worlds and comparisons.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from pathlib import Path

from tests.property.harness import Comparison, check_seed
from tests.property.world_maker import Setting
from tests.property.worlds import SETTINGS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.property", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="stop after so many (100000)")
    parser.add_argument("--seed", default=None, help="a number or text; by default a new one")
    parser.add_argument("--setting", default=None, help="only this one, as MONTH@ZONE")
    parser.add_argument("--size", type=int, default=1000, help="worlds in one data set (1000)")
    parser.add_argument("--worlds", nargs="+", help="only these, as w00012: one data set of them")
    parser.add_argument("--keep", type=Path, help="write the last data directory here")
    parser.add_argument("--proofs", action="store_true", help="invoices prove themselves, in node")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    seed = chosen.seed if chosen.seed is not None else str(secrets.randbelow(10**9))
    settings = [s for s in SETTINGS if chosen.setting in (None, str(s))]
    if not settings:
        print(f"--setting is one of: {', '.join(map(str, SETTINGS))}", file=sys.stderr)
        return 2
    print(f"seed {seed}", flush=True)
    if chosen.worlds:
        indexes = [int(name.removeprefix("w")) for name in chosen.worlds]
        runs = [
            check_seed(seed, indexes, setting, chosen.keep, proofs=chosen.proofs)
            for setting in settings
        ]
        print("\n".join(run.report(most=50) for run in runs))
        return int(any(run.differences or run.unproven for run in runs))
    return _until(seed, settings, chosen)


def _until(seed: str, settings: list[Setting], chosen: argparse.Namespace) -> int:
    """One data set after the other, the settings by turns, until there were enough cases."""
    done, failed, turn = 0, False, 0
    begun = time.monotonic()
    while done < chosen.cases:
        setting = settings[turn % len(settings)]
        first = turn // len(settings) * chosen.size
        worlds = range(first, first + chosen.size)
        comparison = check_seed(seed, worlds, setting, chosen.keep, proofs=chosen.proofs)
        # Those of customers without an invoice have no proof.
        done += comparison.proven if chosen.proofs else comparison.cases
        turn += 1
        print(_line(comparison, done, time.monotonic() - begun), flush=True)
        if comparison.differences or comparison.unproven:
            failed = True
            print(f"seed {seed}, {comparison.report()}", flush=True)
    what = "proven cases" if chosen.proofs else "cases"
    print(f"{done} {what}, {'FAILED' if failed else 'all equal'}, seed {seed}")
    return int(failed)


def _line(comparison: Comparison, done: int, seconds: float) -> str:
    wrong = len(comparison.differences) + len(comparison.unproven)
    return (
        f"{comparison.setting!s:28} {comparison.cases:6} cases {comparison.charges:6} charges "
        f"{wrong:5} differences   {done:7} in {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
