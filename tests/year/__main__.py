"""`python -m tests.year`: twelve months of the daemon, with their diary (`make year`).

    python -m tests.year --until 2024-05-20                      the first months only
    python -m tests.year --hours 6 --days 1,2,3,4,5,9,10,17,25   a machine that is mostly off

What belongs here: the command line. What does not: the year itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import date
from pathlib import Path

from tests.year.clock import restart_with_a_clock_of_its_own


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.year", description=__doc__)
    parser.add_argument("--until", type=date.fromisoformat, help="the last day (2025-01-25)")
    parser.add_argument(
        "--hours", default="6,18", help="when the daemon looks on each day (6,18)", metavar="H,H"
    )
    parser.add_argument(
        "--days", default="", help="and on which days of a month (all)", metavar="D,D"
    )
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    restart_with_a_clock_of_its_own()
    # Not before: what is imported may remember the time.
    from tests.compiled_models import take_the_place_of_dbt
    from tests.year.judging import judge
    from tests.year.story import LAST, Year

    take_the_place_of_dbt()
    hours = tuple(int(hour) for hour in chosen.hours.split(","))
    days = frozenset(int(day) for day in chosen.days.split(",") if day)
    with tempfile.TemporaryDirectory(prefix="year-") as folder:
        year = Year(Path(folder), hours, chosen.until or LAST, days)
        year.play()
        problems = judge(year)
    print(f"{len(year.runs)} runs, {sum(not run.succeeded for run in year.runs)} of them failed")
    print("\n".join(problems) or "All as it should be.")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
