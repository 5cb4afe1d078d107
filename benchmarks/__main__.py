"""``python -m benchmarks``: measure, side by side in one run, and write the tables.

What belongs here: the command line and the description of the machine. What does not: what is
measured (``scenarios.py``), the tables (``table.py``), the made-up inputs (``company.py``).
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.scenarios import FULL, QUICK, SCENARIOS, Bench, default_names, say
from benchmarks.table import render, save_result, write

FOLDER = Path(__file__).parent
PACKAGES = ("duckdb", "dbt-core", "dagster", "pandas", "polars", "stripe")


def environment() -> dict[str, str]:
    """When and on what."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores ({platform.machine()}, {_processor()}), "
        f"{memory:.0f} GB",
        "load": f"load average {os.getloadavg()[1]:.1f}",
        "python": f"Python {platform.python_version()}",
        "packages": ", ".join(found),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(SCENARIOS))
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}"
        )
    return names


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, no table")
    parser.add_argument(
        "--only",
        type=_names,
        metavar="NAME[,NAME]",
        help=f"of {', '.join(SCENARIOS)}; without, all but large, and with --quick but history",
    )
    chosen = parser.parse_args()
    sizes = QUICK if chosen.quick else FULL
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        results = Path(folder) / "results.json" if chosen.quick else FOLDER / "results.json"
        bench = Bench(sizes, Path(folder))
        for name in chosen.only or default_names(quick=chosen.quick):
            say(f"{name}:")
            save_result(name, SCENARIOS[name](bench), environment(), results)
        text = render(results, list(SCENARIOS))
    print(text)
    if not chosen.quick:
        write(text, FOLDER / "README.md")


if __name__ == "__main__":
    main()
