"""``python -m benchmarks.worker MODULE.FUNCTION DATA HOME [MORE]``: one thing, in a process of its
own.

What belongs here: starting the work with a clean environment, and its figures as one line of JSON.
What does not: the work (``pipeline.py``, ``collecting.py``, ``history.py``), how often it is run.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from pathlib import Path

_FIRST_MONTH = "2023-01-01"


def environment(data: Path, home: Path) -> dict[str, str]:
    """This process's environment with none of its settings: a key in it must never be used."""
    ours = ("BILLING_", "STRIPE_", "DAGSTER_HOME")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {
        "BILLING_DATA_DIR": str(data),
        "BILLING_HOME": str(home),
        "BILLING_FIRST_MONTH": _FIRST_MONTH,
    }


def main(name: str, data: Path, home: Path, *more: str) -> None:
    clean = environment(data, home)
    os.environ.clear()
    os.environ.update(clean)
    module, function = name.split(".")
    figures = getattr(importlib.import_module(f"benchmarks.{module}"), function)(data, home, *more)
    print(json.dumps({**figures, "peak_bytes": peak_bytes()}))


def peak_bytes() -> int:
    """The most memory that this process has had. What `getrusage` says may be of the process that
    started it: on Linux it survives the start of another program."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    peak = int(found[0]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * 1024


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
