"""The guides for operators: their commands are run, and their configuration files are read.

What belongs here: the blocks of docs/operations.md and docs/production.md. What does not: that
their commands and options exist (test_documented_commands.py).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import duckdb
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from billing_pipeline.runs.instance import instance_home
from billing_pipeline.settings import Settings
from tests.end_to_end.close_months import held
from tests.end_to_end.closed_once import Closed
from tests.end_to_end.commands import EXAMPLES, ROOT, billing, binaries, environment

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPERATIONS, PRODUCTION = (
    BLOCK.findall((ROOT / "docs" / name).read_text()) for name in ("operations.md", "production.md")
)
# What begins so is not run here, and why. production.md says on what all of it was done by hand.
NOT_RUN = {
    "billing resolve INVOICE_ID": "nothing is in review here: test_resolve.py",
    "make stripe-test": "needs a key of an account in test mode",
    "export STRIPE_WEBHOOK_SECRET": "serves until stopped: tests/unit/collection/test_webhooks.py",
    "sudo apt-get install": "installs packages and a user: needs root",
    "#!/bin/sh\n# billing, with the user": "needs systemd as process 1",
    "sudo -u billing .venv/bin/billing init": "needs the user and the command of the blocks above",
    "sudo systemctl enable --now billing-daemon": "needs systemd as process 1",
    "for folder in catalog": "needs Amazon's tool; test_object_store.py closes a month",
    "sudo htpasswd": "needs nginx, and somebody who types a password",
    "sudo install": "needs systemd as process 1",
    "sudo systemctl stop billing-daemon billing-ui billing-webhooks\n": "as above; the restoring "
    "itself is run",
    "sudo systemctl stop billing-daemon billing-ui billing-webhooks    ": "as above",
}
BACKUP = "#!/bin/sh\n# billing-backup"
MONTH = "2024-01"


def blocks(page: list[tuple[str, str]], language: str) -> list[str]:
    return [text for found, text in page if found == language]


def test_every_block_is_run_or_listed_as_not_run() -> None:
    languages = {"csv", "env", "ini", "nginx", "sh", "sql", "text", "yaml"}
    assert {language for language, _ in [*OPERATIONS, *PRODUCTION]} == languages
    shell = [*blocks(OPERATIONS, "sh"), *blocks(PRODUCTION, "sh")]
    for start in NOT_RUN:
        assert len([text for text in shell if text.startswith(start)]) == 1, start
    for text in blocks(PRODUCTION, "sh"):
        assert text.startswith((BACKUP, *NOT_RUN)), "mark it in NOT_RUN, or run it"
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, closed_wallet: Closed) -> tuple[Path, Path]:
    """A home and its data: a month was closed, and then usage came late."""
    folder = tmp_path_factory.mktemp("operator")
    home, data = folder / "home", folder / "data"
    shutil.copytree(EXAMPLES / "prepaid-wallet", data)
    closed_wallet(home)
    with (data / "usage" / MONTH / "traffic-switch-b.jsonl").open("a") as usage:
        usage.write(
            '{"event_id": "late-01", "customer_id": "w-plenty", "event_name": "call",'
            ' "occurred_at": "2024-01-30T10:00:00Z", "quantity": 100}\n'
        )
    return home, data


@pytest.mark.slow
def test_the_commands_of_operations(closed: tuple[Path, Path], tmp_path: Path) -> None:
    """As pasted into one shell; the plan's hash is read from the place that the guide names."""
    home, data = closed
    pasted = [text for text in blocks(OPERATIONS, "sh") if not text.startswith((*NOT_RUN,))]
    script = "\n".join(pasted).replace("HASH ", "$(sed -n 's/.*--approve //p' said) ")
    path = f"{binaries(tmp_path)}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", f"exec 2>said\n{script}"],
        cwd=tmp_path,
        env=environment(home, data, PATH=path, PYTHONPATH=str(ROOT), COLUMNS="120"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (tmp_path / "said").read_text()
    assert "supplement" in done.stdout


@pytest.mark.slow
def test_the_queries_of_operations(
    closed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    database = closed[0] / "published" / "billing.duckdb"
    with duckdb.connect(str(database), read_only=True) as published:
        for sql in blocks(OPERATIONS, "sql"):
            published.execute(sql)
    assert (tmp_path / "invoice_lines.csv").stat().st_size > 500


def billed(home: Path) -> tuple[object, object]:
    """The invoices in Stripe, and their charges as billed."""
    in_stripe = held(Settings.from_env({"BILLING_HOME": str(home)}))
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        kept = published.execute("SELECT * FROM charges_as_billed ORDER BY ALL").fetchall()
    return in_stripe, kept


@pytest.mark.slow
def test_the_backup_can_be_put_back(closed: tuple[Path, Path], tmp_path: Path) -> None:
    home, data = closed
    [script] = [text for text in blocks(PRODUCTION, "sh") if text.startswith(BACKUP)]
    command = ["sh", "-c", script, "billing-backup", str(tmp_path / "backup")]
    for _ in range(2):  # also over that of earlier the same day
        subprocess.run(command, env=environment(home, data), check=True)
    before = billed(home)
    (home / "records").rename(tmp_path / "records.broken")
    shutil.copytree(tmp_path / "backup", home / "records")
    done = billing(home, data, "run", MONTH, "--json")
    assert done.returncode == 0, done.stderr
    assert {row["action"] for row in json.loads(done.stdout)["plan"]} == {"unchanged"}
    assert billed(home) == before


def test_the_units_start_existing_commands(tmp_path: Path) -> None:
    """Every option too: `--help` is answered only after all of them were understood."""
    ours, installed = "/srv/billing/pipeline/.venv/bin", Path(sys.executable).parent
    for number, text in enumerate(blocks(PRODUCTION, "ini")):
        unit = ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        is_whole = text.startswith("[")
        unit.read_string(text if is_whole else f"[Service]\n{text}")
        program, *arguments = unit.get("Service", "ExecStart", fallback="/bin/true").split()
        if program.startswith(ours):
            program = program.replace(ours, str(installed))
            subprocess.run([program, *arguments, "--help"], capture_output=True, check=True)
        analyze = shutil.which("systemd-analyze")
        if is_whole and analyze:
            name = f"billing-{number}.{'timer' if unit.has_section('Timer') else 'service'}"
            (tmp_path / name).write_text(text.replace(ours, str(installed)))
            done = subprocess.run(
                [analyze, "verify", tmp_path / name], capture_output=True, text=True, check=False
            )
            assert name not in done.stderr.replace("Failed to create", ""), done.stderr


def test_dagster_takes_the_storage(tmp_path: Path) -> None:
    [text] = blocks(PRODUCTION, "yaml")
    env = {"BILLING_HOME": str(tmp_path)}
    folder = instance_home(Settings.from_env(env))
    with (folder / "dagster.yaml").open("a") as config:
        config.write(text)
    config, _ = dagster_instance_config(str(folder))
    assert config["storage"] == yaml.safe_load(text)["storage"]
    assert config["run_monitoring"]["enabled"]


def test_the_settings_are_good() -> None:
    text, in_store = blocks(PRODUCTION, "env")
    env = dict(line.split("=", 1) for line in text.splitlines())
    table = set(re.findall(r"`([A-Z_]+)(?:=1)?`", (ROOT / "README.md").read_text()))
    assert set(env) - {"DAGSTER_PG_PASSWORD"} <= table
    settings = Settings.from_env(env)
    assert env["DAGSTER_HOME"] == str(settings.dagster_dir)
    assert settings.ui_url == env["BILLING_UI_URL"]
    assert settings.max_invoice_total is not None
    changed = dict(line.split("=", 1) for line in in_store.splitlines())
    assert Settings.from_env(env | changed).data_dir == changed["BILLING_DATA_DIR"]


def test_nginx_passes_on_to_the_services() -> None:
    [text] = blocks(PRODUCTION, "nginx")
    assert text.count("{") == text.count("}")
    for line in re.sub(r"#.*", "", text).splitlines():
        assert re.search(r"([;{}]|^)\s*$", line), line
    started = "\n".join(blocks(PRODUCTION, "ini"))
    ports = re.findall(r"proxy_pass http://127\.0\.0\.1:(\d+);", text)
    assert len(ports) == 3
    for port in ports:
        assert re.search(rf"--port {port}\b", started)
    # Each host that people log in to is one that its service answers, and that nginx lets ask.
    env = dict(line.split("=", 1) for line in blocks(PRODUCTION, "env")[0].splitlines())
    urls = {env["BILLING_UI_URL"], *re.findall(r"--url (\S+)", started)}
    assert urls == set(re.findall(r"(https://\S+) 0;", text))
    assert {f"https://{name}" for name in re.findall(r"server_name (\S+);", text)} == urls
