"""Spark computes as the profile asks: overflow is an error, and other settings are refused.

What belongs here: dbt's adapter for Spark (billing_pipeline/rating/spark_adapter), with Spark
itself, on this machine. What does not: whole months (`make spark-test`, which begins with these).
"""

from __future__ import annotations

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from billing_pipeline.rating.spark import ADAPTER, DBT
from billing_pipeline.settings import dbt_project_dir

pytestmark = pytest.mark.skipif(
    find_spec("pyspark") is None,
    reason="Spark is not installed: `make spark-test` installs it beside the rest",
)
PROFILES = dbt_project_dir() / "profiles.yml"


def dbt(folder: Path, profiles: str, *arguments: str) -> str:
    """What dbt says on Spark, by profiles of this text."""
    (folder / "profiles.yml").write_text(profiles, encoding="utf-8")
    done = subprocess.run(
        [
            *(*DBT, *arguments, "--target", "spark"),
            *("--project-dir", dbt_project_dir(), "--profiles-dir", folder),
            *("--target-path", folder / "target", "--log-path", folder, "--no-partial-parse"),
        ],
        env={**os.environ, "PYTHONPATH": str(ADAPTER), "BILLING_SPARK_RAW": str(folder / "raw")},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_overflow_is_an_error(tmp_path: Path) -> None:
    query = "select cast(repeat('9', 38) as decimal(38, 0)) * 10 as x"
    said = dbt(tmp_path, PROFILES.read_text(), "show", "--inline", query)
    assert "NUMERIC_VALUE_OUT_OF_RANGE" in said, said


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ('spark.sql.ansi.enabled: "true"', 'spark.sql.ansi.enabled: "false"'),
        ('allowPrecisionLoss: "false"', 'allowPrecisionLoss: "true"'),
        ("session.timeZone: UTC", "session.timeZone: Europe/Berlin"),
    ],
)
def test_what_computes_other_numbers_is_refused(asked: str, other: str, tmp_path: Path) -> None:
    profiles = PROFILES.read_text()
    assert profiles.count(asked) == 1
    said = dbt(tmp_path, profiles.replace(asked, other), "build", "--select", "stg_months")
    name, _, value = other.replace('"', "").partition(": ")
    assert f"{name} = {value}: set it to" in said, said
