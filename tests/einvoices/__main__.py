"""`python -m tests.einvoices`: documents of generated cases through the official rules of EN 16931.

    python -m tests.einvoices --cases 2000          what `make einvoices` runs
    python -m tests.einvoices --seed 7 --cases 100

What belongs here: the command line. What does not: making the documents (`documents.py`), and the
rules (`tests/unit/documents/official_rules.py`).
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections import Counter

from tests.einvoices.documents import issued_of, judged
from tests.property.worlds import SETTINGS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.einvoices", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="stop after so many (2000)")
    parser.add_argument("--seed", default=None, help="a number or text; by default a new one")
    parser.add_argument("--size", type=int, default=200, help="worlds in one data set (200)")
    chosen = parser.parse_args()
    seed = chosen.seed if chosen.seed is not None else str(secrets.randbelow(10**9))
    print(f"seed {seed}", flush=True)
    done: Counter[str] = Counter()
    turn, broken = 0, 0
    while done["document"] < chosen.cases:
        setting = SETTINGS[turn % len(SETTINGS)]
        first = turn // len(SETTINGS) * chosen.size
        documents = issued_of(seed, range(first, first + chosen.size), setting)
        for outcome in judged(documents[: chosen.cases - done["document"]]):
            done.update(["document", outcome.kind, *outcome.refused])
            for rule in outcome.broken:
                broken += 1
                print(f"seed {seed}, {setting}, {outcome.number}: {rule}", flush=True)
        turn += 1
        print(f"{setting!s:28} {done['document']:6} documents, {broken} broken rules", flush=True)
    for name, count in sorted(done.items()):
        print(f"{count:6} {name}")
    print(f"{broken} broken rules, seed {seed}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
