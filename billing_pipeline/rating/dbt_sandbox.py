"""A rated month laid out for dbt in a folder of its own, where an analyst may change and run it.

What belongs here: the folder with its copies of the project and of the month's warehouse, the
profile that points at them, and building its models. What does not: comparing the result with the
month (``published.two_ratings``), and Stripe's stand-in (``stripe_sandbox``).

A plan is made from the month's warehouse in `BILLING_HOME`, so nothing done in such a folder is
ever billed.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import database_path
from billing_pipeline.rating.dbt_runner import DBT_PROJECT_DIR, check, run_models
from billing_pipeline.rating.month import open_warehouse
from billing_pipeline.rating.unchanged import digest_in, rated_digest
from billing_pipeline.runs.locks import RunLocks
from billing_pipeline.runs.process_locks import Notify
from billing_pipeline.settings import Settings

# Compiled SQL contains the database's name, which is that of the DuckDB file.
WAREHOUSE = "warehouse.duckdb"
PROFILES = "profiles.yml"


class SandboxError(RuntimeError):
    """A folder cannot become a sandbox, or is not one; the message says why."""


@dataclass(frozen=True)
class DbtSandbox:
    """A sandbox folder and its month."""

    folder: Path
    month: BillingMonth

    @property
    def warehouse(self) -> Path:
        return self.folder / WAREHOUSE

    def has_inputs_of(self, settings: Settings) -> bool:
        """True if the month was last rated from the sandbox's inputs."""
        return digest_in(self.warehouse) == rated_digest(settings, self.month)

    def build(self, models: Sequence[str]) -> None:
        """Build these models and everything upstream, as they are in the folder; raises
        `DbtError`."""
        check(run_models(self.folder, models), self.month)


def lay_out(settings: Settings, month: BillingMonth, folder: Path, notify: Notify) -> DbtSandbox:
    """Copy the month as last rated into `folder`, which must be new or empty.

    Waits for a run of the month, which would rebuild what is being copied. Raises `SandboxError`.
    """
    source, folder = settings.warehouse_path(month), folder.absolute()
    if not source.exists():
        raise SandboxError(f"{month} was not rated yet: `billing plan {month}` does it")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SandboxError(f"{folder} is not empty: name a folder that is not there yet")
    locks = RunLocks(settings, str(uuid.uuid4()), "billing sandbox", notify)
    not_dbts = shutil.ignore_patterns("target", "logs", "sqlfluff", "__pycache__", PROFILES)
    shutil.copytree(DBT_PROJECT_DIR, folder, ignore=not_dbts, dirs_exist_ok=True)
    with locks.month(month):
        shutil.copy(source, folder / WAREHOUSE)
    (folder / PROFILES).write_text(_profile(settings, folder), encoding="utf-8")
    return DbtSandbox(folder, month)


def open_sandbox(folder: Path) -> DbtSandbox:
    """The sandbox that was laid out in `folder`; raises `SandboxError` where there is none."""
    folder = folder.absolute()
    try:
        with open_warehouse(folder / WAREHOUSE, read_only=True) as connection:
            [(first,)] = connection.execute("SELECT billing_month FROM raw.run").fetchall()
    except duckdb.Error as error:
        raise SandboxError(f"{folder} is not the sandbox of a month: {error}") from error
    named = _outputs(folder)["duckdb"]["path"]
    if named != str(folder / WAREHOUSE):
        raise SandboxError(
            f"{folder} was moved or copied: its {PROFILES} names {named}. Lay out a new one, and "
            "copy the changed models there"
        )
    return DbtSandbox(folder, BillingMonth(first.year, first.month))


def _profile(settings: Settings, folder: Path) -> str:
    """The project's own profile with other paths: the folder's warehouse and, read-only, the
    published database. They are absolute, or dbt would resolve them against the folder where it is
    called."""
    outputs = _outputs(DBT_PROJECT_DIR)
    outputs["duckdb"]["path"] = str(folder / WAREHOUSE)
    outputs["published"]["attach"][0]["path"] = str(database_path(settings))
    kept = {name: outputs[name] for name in ("duckdb", "published")}
    return yaml.safe_dump({"billing": {"target": "duckdb", "outputs": kept}}, sort_keys=False)


def _outputs(project: Path) -> dict[str, Any]:
    profile = yaml.safe_load((project / PROFILES).read_text(encoding="utf-8"))
    outputs: dict[str, Any] = profile["billing"]["outputs"]
    return outputs
