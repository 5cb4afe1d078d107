"""dbt's documentation builds, without a network, and names what reads the models."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner

from billing_pipeline.rating.dbt_runner import DBT_PROJECT_DIR

GRAIN = re.compile(r"^-- grain: (.*(?:\n-- .*)*)", re.MULTILINE)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BILLING_WAREHOUSE", str(folder / "warehouse.duckdb"))
        done = dbtRunner().invoke(
            [
                *("docs", "generate", "--static", "--quiet"),
                *("--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR)),
                *("--target-path", str(folder), "--log-path", str(folder)),
            ]
        )
    assert done.success, done.exception
    return folder


def test_the_pages_stand_alone(target: Path) -> None:
    page = (target / "static_index.html").read_text(encoding="utf-8")
    assert "stripe_push" in page and "dashboard" in page


def test_every_model_and_column_of_the_project_is_described(target: Path) -> None:
    manifest = json.loads((target / "manifest.json").read_text())
    models = [n for n in manifest["nodes"].values() if n["resource_type"] == "model"]
    bare = [model["name"] for model in models if not model["description"]]
    bare += [
        f"{model['name']}.{column['name']}"
        for model in models
        for column in model["columns"].values()
        if not column["description"]
    ]
    assert bare == []


def test_a_description_says_what_the_model_itself_says_of_its_grain(target: Path) -> None:
    manifest = json.loads((target / "manifest.json").read_text())
    for model in manifest["nodes"].values():
        found = GRAIN.search(model.get("raw_code") or "")
        if found and model["description"].startswith("Grain: "):
            said = " ".join(found[1].replace("\n-- ", " ").split()).rstrip(".")
            assert " ".join(model["description"].split()) == f"Grain: {said}.", model["name"]


def test_what_reads_the_models_is_named(target: Path) -> None:
    manifest = json.loads((target / "manifest.json").read_text())
    exposures = {exposure["name"]: exposure for exposure in manifest["exposures"].values()}
    assert {"stripe_push", "dashboard", "invoice_documents"} <= exposures.keys()
    assert "model.billing.invoices" in exposures["stripe_push"]["depends_on"]["nodes"]
