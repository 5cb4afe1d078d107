"""Finding a command: nothing is imported that the command does not need."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from billing_pipeline.commands.cli import main
from tests.end_to_end.closed_once import Closed
from tests.end_to_end.commands import EXAMPLES, environment

RUN_NO_JOB = ("init", "check", "completion", "explain", "simulate", "invoice", "runs")
ONLY_READ = ("status", "months", "invoices")
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


READ = """
import contextlib, os, sys
from billing_pipeline.commands.cli import main
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    for name in sys.argv[1:]:
        with contextlib.suppress(SystemExit):
            main([name])
print(*{"dagster", "stripe", "uvicorn"} & sys.modules.keys())
"""


def test_what_only_reads_does_so_without_dagster(closed_wallet: Closed, tmp_path: Path) -> None:
    home = tmp_path / "home"
    closed_wallet(home)
    command = [sys.executable, "-c", READ, *ONLY_READ]
    read = environment(home, EXAMPLES / "prepaid-wallet")
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=read)
    assert done.stdout == "\n"


def test_the_last_runs_are_listed(closed_wallet: Closed, tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = {"BILLING_HOME": str(home)}
    assert CliRunner().invoke(main, ["runs"], env=settings).output == "No run yet.\n"
    closed_wallet(home)
    done = CliRunner().invoke(main, ["runs", "--limit", "1", "--json"], env=settings)
    [run] = json.loads(done.output)
    assert (run["job"], run["month"], run["ended"]) == ("close_month", "2024-01", "success")


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "billing_pipeline", "pln"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "No such command 'pln'" in done.stderr and "'plan'" in done.stderr


ESCAPE = "\x1b[31m"


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("check",), {"BILLING_DATA_DIR": f"/nowhere/{ESCAPE}"}, "customers.csv: is missing"),
        (("check",), {"BILLING_TIMEZONE": ESCAPE}, "BILLING_TIMEZONE"),
        (("home",), {"BILLING_HOME": f"/dev/null/{ESCAPE}"}, "cannot be written"),
        (("home",), {"BILLING_READERS_GROUP": ESCAPE}, "is not a group"),
        (("status",), {"BILLING_DATA_DIR": f"/nowhere/{ESCAPE}"}, "/nowhere/"),
    ],
)
def test_settings_do_not_steer_a_terminal(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], message: str
) -> None:
    environment = {"BILLING_HOME": str(tmp_path / "home"), "BILLING_DATA_DIR": str(tmp_path)}
    done = CliRunner().invoke(main, arguments, env=environment | settings, color=True)
    assert message in done.output
    assert "\x1b" not in done.output


def test_names_of_files_and_columns_do_not_steer_a_terminal(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "prepaid-wallet", tmp_path / "data")
    environment = {
        "BILLING_HOME": str(tmp_path / "home"),
        "BILLING_DATA_DIR": str(tmp_path / "data"),
    }
    usage = tmp_path / "data" / "usage"
    for name, text in {
        f"../catalog/prices{ESCAPE}.json": "",
        "../catalog/tax_rates.csv": f"tax_rate_id,{ESCAPE}\n",
    }.items():
        (usage / name).write_text(text)
    done = CliRunner().invoke(main, ["check"], env=environment, color=True)
    assert ".json: does not look like a table" in done.output
    assert "tax_rates.csv" in done.output
    assert "\x1b" not in done.output
    for name in (f"../catalog/prices{ESCAPE}.json", "../catalog/tax_rates.csv"):
        (usage / name).unlink()
    (usage / "2024-01" / f"{ESCAPE}.xlsx").write_text("")
    (usage / "2024-01" / f"{ESCAPE}.csv").write_text(f"event_id,{ESCAPE}\n")
    done = CliRunner().invoke(main, ["check", "2024-01"], env=environment, color=True)
    assert ".xlsx: " in done.output
    assert "this column is missing" in done.output
    assert "\x1b" not in done.output
