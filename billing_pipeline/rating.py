"""Rating a month: a fresh warehouse, the inputs in it, and dbt's models on top.

What belongs here: preparing the month's DuckDB file and calling dbt on it. What does not: the
rules (they are SQL, in ``dbt_project/``), checking inputs (``intake``), publishing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb

from billing_pipeline.intake.gauges import load_gauge_values
from billing_pipeline.intake.reference import load_reference
from billing_pipeline.intake.usage import load_usage
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

DBT_PROJECT_DIR = Path(__file__).resolve().parents[1] / "dbt_project"

# What earlier months took from a wallet: customer, currency, billing month (YYYY-MM-01), amount.
WalletApplication = tuple[str, str, str, Decimal]


class DbtError(RuntimeError):
    """dbt ended with an error or a failing test; the message holds the end of its output."""


@dataclass(frozen=True)
class IntakeReport:
    """What was read: rows per reference table, and rows of usage (good and bad)."""

    reference_rows: dict[str, int]
    usage_rows: int


@contextmanager
def open_warehouse(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a month's warehouse whose session time zone is UTC."""
    connection = duckdb.connect(str(path), read_only=read_only)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def build_raw(
    settings: Settings,
    month: BillingMonth,
    wallet_applications: Iterable[WalletApplication] = (),
) -> IntakeReport:
    """Start the month's warehouse anew with the schema ``raw``: the checked inputs.

    Raises `InvalidInput` with every problem found; the former warehouse is gone by then, what
    was published is not.
    """
    path = settings.warehouse_path(month)
    path.parent.mkdir(parents=True, exist_ok=True)
    for former in (path, path.with_name(path.name + ".wal")):
        former.unlink(missing_ok=True)
    with open_warehouse(path) as connection:
        connection.execute("CREATE SCHEMA raw")
        reference_rows = load_reference(connection, settings)
        months_back = _months_back(connection)
        usage = load_usage(connection, settings, month, months_back=months_back)
        load_gauge_values(connection, settings, month.shift(-months_back))
        _write_wallet_applications(connection, wallet_applications)
    return IntakeReport(reference_rows, usage.rows)


def _months_back(connection: duckdb.DuckDBPyConnection) -> int:
    """A period of 30 days that ends in a month may begin two calendar months before it."""
    found = connection.execute(
        "SELECT count(*) FROM raw.subscriptions JOIN raw.plans USING (plan_id)"
        " WHERE billing_cycle = '30_days'"
    ).fetchall()
    return 2 if found[0][0] else 0


def _write_wallet_applications(
    connection: duckdb.DuckDBPyConnection, applications: Iterable[WalletApplication]
) -> None:
    connection.execute(
        "CREATE TABLE raw.wallet_applications (customer_id VARCHAR, currency VARCHAR,"
        " billing_month DATE, amount DECIMAL(38, 4))"
    )
    rows = list(applications)
    if rows:
        connection.executemany("INSERT INTO raw.wallet_applications VALUES (?, ?, ?, ?)", rows)


def dbt_environment(settings: Settings, month: BillingMonth) -> dict[str, str]:
    """The environment that a dbt process needs to work on this month's warehouse."""
    folder = settings.month_dir(month)
    return {
        "BILLING_WAREHOUSE": str(settings.warehouse_path(month)),
        "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR),
        "DBT_TARGET_PATH": str(folder / "dbt"),
        "DBT_LOG_PATH": str(folder / "dbt"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def run_dbt(settings: Settings, month: BillingMonth, args: Sequence[str] = ()) -> None:
    """Run ``dbt build`` (or what `args` say) on the month; raises `DbtError` where it fails.

    A process of its own: when it ends, the warehouse is surely closed.
    """
    command = [
        *dbt_command(),
        *(args or ("build", "--exclude-resource-type", "unit_test")),
        "--project-dir",
        str(DBT_PROJECT_DIR),
    ]
    environment = os.environ | dbt_environment(settings, month)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DbtError(f"dbt failed on {month}:\n{_tail(done.stdout + done.stderr)}")


def dbt_command() -> list[str]:
    """How dbt is started: the one installed beside this interpreter."""
    return [sys.executable, "-m", "dbt.cli.main"]


def _tail(text: str, lines: int = 40) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def rate_month(
    settings: Settings,
    month: BillingMonth,
    wallet_applications: Iterable[WalletApplication] = (),
) -> Path:
    """Intake and dbt in one go; returns the month's warehouse, its tables in schema ``main``."""
    build_raw(settings, month, wallet_applications)
    run_dbt(settings, month)
    return settings.warehouse_path(month)


def ensure_manifest(settings: Settings) -> Path:
    """dbt's manifest of the project as it is on disk now; parsed anew when a file has changed."""
    folder = settings.home / "dbt" / _project_digest()
    manifest = folder / "manifest.json"
    if manifest.exists():
        return manifest
    scratch = folder.with_name(f"{folder.name}.{os.getpid()}")
    command = [*dbt_command(), "parse", "--project-dir", str(DBT_PROJECT_DIR)]
    environment = os.environ | {
        "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR),
        "DBT_TARGET_PATH": str(scratch),
        "DBT_LOG_PATH": str(scratch),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DbtError(f"dbt cannot parse its project:\n{_tail(done.stdout + done.stderr)}")
    try:
        scratch.rename(folder)
    except OSError:
        # Another process was first, with the same files.
        shutil.rmtree(scratch)
    return manifest


def _project_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(DBT_PROJECT_DIR.rglob("*")):
        if path.suffix in {".sql", ".yml", ".md"} and "target" not in path.parts:
            digest.update(str(path.relative_to(DBT_PROJECT_DIR)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
