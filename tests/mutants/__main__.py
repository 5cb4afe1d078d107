"""`python -m tests.mutants`: apply each mutant, one at a time, and show which ones were caught.

What belongs here: the command line, the lists, the table of results. What does not: how a mutant
is made and judged (engine.py).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec

from rich.console import Console
from rich.table import Table

from billing_pipeline.rating.dbt_runner import parse_at_install
from tests.mutants.engine import Mutant, Outcome, Verdict, check_unchanged, try_mutant

LISTS = (
    "sql",
    "second_edition",
    "stripe",
    "payments",
    "pricebooks",
    "people",
    "comparison",
    "proofs",
    "documents",
    "margins",
    "closed_books",
)
_SHOWN_LINES = 25


def all_mutants() -> tuple[Mutant, ...]:
    """The mutants of every list that is there."""
    names = [f"tests.mutants.{name}" for name in LISTS]
    modules = [import_module(name) for name in names if find_spec(name)]
    return tuple(mutant for module in modules for mutant in module.MUTANTS)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    chosen = parser.parse_args(arguments)
    mutants = all_mutants()
    if chosen.only:
        unknown = set(chosen.only) - {mutant.name for mutant in mutants}
        if unknown:
            parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
        mutants = tuple(mutant for mutant in mutants if mutant.name in chosen.only)
    print(f"{len(mutants)} mutants; first their tests without any change", flush=True)
    parse_at_install()
    failure = check_unchanged(mutants)
    if failure is not None:
        print(failure)
        print("These tests fail without any change: what they say of mutants means nothing.")
        return 1
    with ThreadPoolExecutor(max_workers=chosen.jobs) as pool:
        outcomes = list(pool.map(_tried, mutants))
    _show(outcomes)
    return int(any(outcome.verdict is not Verdict.CAUGHT for outcome in outcomes))


def _tried(mutant: Mutant) -> Outcome:
    outcome = try_mutant(mutant)
    print(f"{outcome.verdict.value:9} {mutant.name}, {outcome.seconds:.0f} s", flush=True)
    return outcome


def _show(outcomes: list[Outcome]) -> None:
    table = Table("mutant", "changes", "result", title="Wrong changes")
    for outcome in outcomes:
        table.add_row(outcome.mutant.name, outcome.mutant.path, outcome.verdict.value)
    Console().print(table)
    for outcome in outcomes:
        if outcome.verdict is Verdict.BROKEN:
            print(f"--- {outcome.mutant.name} is broken; the end of what its tests said:")
            print("\n".join(outcome.output.splitlines()[-_SHOWN_LINES:]))
    caught = sum(outcome.verdict is Verdict.CAUGHT for outcome in outcomes)
    print(f"{caught} of {len(outcomes)} caught")


if __name__ == "__main__":
    sys.exit(main())
