"""How long a person waits for a command that only reads: from the start of its process to its end.

What belongs here: starting each command, and what it is compared with. What does not: the aims
(``scenarios.py``).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings

Figures = dict[str, Any]
IMPORT = "import duckdb"


def commands(data: Path, home: Path, rounds: str) -> Figures:
    """The median seconds of each command, and of a process that imports DuckDB, in turn."""
    with duckdb.connect(str(database_path(Settings.from_env())), read_only=True) as published:
        [(charge,)] = published.execute("SELECT min(charge_id) FROM charges").fetchall()
    asked = {
        "status": ("-m", "billing_pipeline", "status"),
        "months": ("-m", "billing_pipeline", "months"),
        "invoices": ("-m", "billing_pipeline", "invoices", "--limit", "20"),
        "explain": ("-m", "billing_pipeline", "explain", charge),
        IMPORT: ("-c", IMPORT),
    }
    each: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(int(rounds)):
        for name, arguments in asked.items():
            each[name].append(seconds_of(arguments))
    found = {name: statistics.median(seconds) for name, seconds in each.items()}
    return {**found, "seconds": sum(found.values())}


def seconds_of(arguments: Sequence[str]) -> float:
    """From the start to the end of a Python with these arguments, which must succeed."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - began
