"""dbt's documentation builds, without a network, and names what reads the models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

from billing_pipeline.intake.reference.schemas import TABLES
from billing_pipeline.rating.dbt_runner import DBT_PROJECT_DIR, _close_warehouse
from tests.dbt.rated_once import MONTH, Rated

GRAIN = re.compile(r"^-- grain: (.*(?:\n-- .*)*)", re.MULTILINE)


@pytest.fixture(scope="module")
def target(rated_subscriptions: Rated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BILLING_WAREHOUSE", str(rated_subscriptions().warehouse_path(MONTH)))
        done = dbtRunner().invoke(
            [
                *("docs", "generate", "--static", "--quiet"),
                *("--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR)),
                *("--target-path", str(folder), "--log-path", str(folder)),
            ]
        )
        _close_warehouse()
    assert done.success, done.exception
    return folder


def test_the_docs_need_no_other_files(target: Path) -> None:
    page = (target / "static_index.html").read_text(encoding="utf-8")
    assert "stripe_push" in page and "dashboard" in page


def test_every_model_and_every_column_that_it_has_is_described(target: Path) -> None:
    models = _models(target)
    catalog = json.loads((target / "catalog.json").read_text())
    bare = [model["name"] for model in models.values() if not model["description"]]
    for key, model in models.items():
        made = catalog["nodes"].get(key, {}).get("columns", {})
        bare += [
            f"{model['name']}.{column}"
            for column in {*made, *model["columns"]}
            if not model["columns"].get(column, {}).get("description")
        ]
    assert bare == []
    assert len(catalog["nodes"]) > 60


def test_the_price_book_is_published_with_all_its_columns(target: Path) -> None:
    models = {model["name"]: list(model["columns"]) for model in _models(target).values()}
    for table in TABLES:
        if table.folder != "accounts" and table.name != "sources":
            assert models[table.name] == ["billing_month", *table.column_names]


def test_every_model_tests_its_key(target: Path) -> None:
    manifest = json.loads((target / "manifest.json").read_text())
    tested = {
        node["attached_node"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
        and (node.get("test_metadata") or {}).get("name") in ("unique", "unique_together")
    }
    assert sorted(_models(target).keys() - tested) == []


def test_what_people_query_has_a_contract(target: Path) -> None:
    loose = [
        model["name"]
        for model in _models(target).values()
        if model["access"] == "public" and not model["contract"]["enforced"]
    ]
    assert loose == []


def test_a_model_is_short(target: Path) -> None:
    """One that is longer asks to be two."""
    long = [m["name"] for m in _models(target).values() if len(m["raw_code"].splitlines()) > 80]
    assert long == []


def _models(target: Path) -> dict[str, Any]:
    nodes = json.loads((target / "manifest.json").read_text())["nodes"]
    return {key: node for key, node in nodes.items() if node["resource_type"] == "model"}


def test_a_description_says_what_the_model_itself_says_of_its_grain(target: Path) -> None:
    manifest = json.loads((target / "manifest.json").read_text())
    for model in manifest["nodes"].values():
        found = GRAIN.search(model.get("raw_code") or "")
        if found and model["description"].startswith("Grain: "):
            said = " ".join(found[1].replace("\n-- ", " ").split()).rstrip(".")
            assert " ".join(model["description"].split()) == f"Grain: {said}.", model["name"]


def test_readers_of_the_models_are_exposures(target: Path) -> None:
    manifest = json.loads((target / "manifest.json").read_text())
    exposures = {exposure["name"]: exposure for exposure in manifest["exposures"].values()}
    assert {"stripe_push", "dashboard", "invoice_documents"} <= exposures.keys()
    assert "model.billing.invoices" in exposures["stripe_push"]["depends_on"]["nodes"]
