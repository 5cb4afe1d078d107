"""Processes for the end-to-end tests: the command line as a user has it, on a home of its own.

What belongs here: the environment and the command. What does not: expectations, and how its
process is started (warm.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.warm import run_module

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "data" / "examples"

_OURS = ("BILLING_", "STRIPE_", "DAGSTER_HOME")


def environment(home: Path, data: Path | str, **settings: str) -> dict[str, str]:
    """This process's environment with none of its settings but these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return inherited | {"BILLING_HOME": str(home), "BILLING_DATA_DIR": str(data)} | settings


def billing(
    home: Path, data: Path | str, *args: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """`billing …`, run to its end."""
    return run_module("billing_pipeline", args, environment(home, data, **settings))


def binaries(folder: Path) -> Path:
    """A clone's `.venv/bin` in `folder`, of which this process's virtual environment is the one."""
    found = folder / ".venv" / "bin"
    found.mkdir(parents=True)
    for name, module in (("python", ""), ("billing", "-m billing_pipeline")):
        (found / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (found / name).chmod(0o755)
    return found


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of the output, which gives the reason if a command failed."""
    return done.stderr.strip().splitlines()[-1]
