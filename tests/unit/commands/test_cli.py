"""Finding a command: nothing is imported that the command does not need."""

from __future__ import annotations

import subprocess
import sys

RUN_NO_JOB = ("init", "check", "completion", "explain", "simulate", "invoice")
LOADED = """
import sys
from billing_pipeline.commands.cli import main
for name in sys.argv[1:]:
    assert main.commands[name].name == name
print(*{"dagster", "stripe", "uvicorn"} & sys.modules.keys())
"""


def test_what_runs_no_job_loads_neither_dagster_nor_stripe() -> None:
    command = [sys.executable, "-c", LOADED, *RUN_NO_JOB]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "billing_pipeline", "pln"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "No such command 'pln'" in done.stderr and "'plan'" in done.stderr
