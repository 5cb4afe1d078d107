"""Processes for the end-to-end tests: the command line as a user has it, on a home of its own.

What belongs here: the environment and the command. What does not: expectations, and how its
process is started (warm.py).

Commands that rate a month do so by the models as dbt compiles them (compiled_models.py), which
takes a fifth of the time of a build by dbt and makes the same rows. What is about the whole way,
and what is begun with most often, is done by dbt: `billing_by_dbt`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.warm import run_module

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "data" / "examples"

_RATING = ("apply", "check", "drift", "estimate", "plan", "run", "simulate", "verify")
_OURS = ("BILLING_", "STRIPE_", "DAGSTER_HOME")


def environment(home: Path, data: Path | str, **settings: str) -> dict[str, str]:
    """This process's environment with none of its settings but these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return inherited | {"BILLING_HOME": str(home), "BILLING_DATA_DIR": str(data)} | settings


def billing(
    home: Path, data: Path | str, *args: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """`billing …`, run to its end; months are rated by compiled models."""
    return run_module(module_of(args), args, environment(home, data, **settings))


def module_of(args: Sequence[str]) -> str:
    """What runs `billing …`, its months rated by compiled models."""
    rates = any(arg in _RATING for arg in args[:2])  # the first may be an option
    return "tests.end_to_end.compiled_run" if rates else "billing_pipeline"


def billing_by_dbt(
    home: Path, data: Path | str, *args: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """`billing …`, run to its end."""
    return run_module("billing_pipeline", args, environment(home, data, **settings))


def binaries(folder: Path) -> Path:
    """A clone's `.venv/bin` in `folder`, of which this process's virtual environment is the one.
    Its `billing` rates months by compiled models, as `billing` above."""
    found = folder / ".venv" / "bin"
    found.mkdir(parents=True)
    for name, module in (("python", ""), ("billing", "-m tests.end_to_end.compiled_run")):
        (found / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (found / name).chmod(0o755)
    return found


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of the output, which gives the reason if a command failed."""
    return done.stderr.strip().splitlines()[-1]
