"""The same inputs give the same rows of every table up to `invoices`, wherever they are rated.

What belongs here: machines that differ in what could matter: the time zone, the number of threads,
the path, the language, the seed of Python's hashes, the order of a folder's files, the engine.
What does not: rating there (tests/reproducible.py). Every table of larger months on both engines:
`make spark-test`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.proofs import disagreements, proofs_of

ROOT = Path(__file__).resolve().parents[2]
MONTH = "2024-02"
Digests = dict[str, list[Any]]


def rated(folder: Path, threads: int, engine: str = "duckdb", **environment: str) -> Digests:
    """The sample data's month, copied to this folder and rated in a process of its own."""
    for name in ("accounts", "catalog", "usage"):
        shutil.copytree(ROOT / "data" / name, folder / "data" / name)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.reproducible", folder / "data", folder / "home"),
            *(MONTH, str(threads), engine),
        ],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Digests = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("here")


@pytest.fixture(scope="module")
def here(folder: Path) -> Digests:
    return rated(folder, 1, TZ="UTC", PYTHONHASHSEED="1")


@pytest.mark.slow
def test_another_machine_makes_the_same_rows(here: Digests, tmp_path: Path) -> None:
    elsewhere = tmp_path / "Höfe & co" / "it's 100%"
    there = rated(elsewhere, 5, TZ="Pacific/Chatham", PYTHONHASHSEED="2", LANG="tr_TR.UTF-8")
    assert there == here
    assert {"metered_usage", "charges", "charge_tiers", "invoice_lines", "invoices"} <= here.keys()
    assert here["invoices"][0] > 50


def test_spark_makes_the_same_rows(here: Digests, tmp_path: Path) -> None:
    if find_spec("pyspark") is None:
        pytest.skip("Spark is not installed: `make spark-test` installs it beside the rest")
    assert rated(tmp_path / "spark", 2, "spark", TZ="Asia/Kolkata") == here


def test_every_line_of_the_sample_proves_itself(here: Digests, folder: Path) -> None:
    """Rated once, so it costs nothing here: the calculator of `billing prove` over the sample."""
    proofs = proofs_of(folder / "home" / "months" / MONTH / "warehouse.duckdb")
    assert len(proofs) == here["invoices"][0]
    assert disagreements(proofs) == []
