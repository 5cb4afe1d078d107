"""What dbt's project says of itself: every model is described, keyed and short.

What belongs here: what can be read from the manifest, and the columns of a rated month. What does
not: dbt's commands in a sandbox (test_sandbox.py).
"""

from __future__ import annotations

import json
import re
from typing import Any

import duckdb
import pytest

from billing_pipeline.intake.reference.schemas import TABLES
from billing_pipeline.rating.dbt_runner import ensure_manifest
from billing_pipeline.settings import Settings
from tests.dbt.rated_once import MONTH, Rated

GRAIN = re.compile(r"^-- grain: (.*(?:\n-- .*)*)", re.MULTILINE)

Models = list[dict[str, Any]]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path_factory.mktemp("home"))})
    read: dict[str, Any] = json.loads(ensure_manifest(settings).read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> Models:
    nodes = manifest["nodes"].values()
    return [node for node in nodes if node["resource_type"] == "model"]


def test_every_model_and_every_column_that_it_has_is_described(
    models: Models, rated_subscriptions: Rated
) -> None:
    made = _columns_made(rated_subscriptions())
    assert len(made) > 60
    assert made.keys() <= {model["name"] for model in models}
    bare = [model["name"] for model in models if not model["description"]]
    for model in models:
        bare += [
            f"{model['name']}.{column}"
            for column in {*made.get(model["name"], ()), *model["columns"]}
            if not model["columns"].get(column, {}).get("description")
        ]
    assert bare == []


def _columns_made(settings: Settings) -> dict[str, set[str]]:
    """The columns of every table and view that dbt has made of the month."""
    found: dict[str, set[str]] = {}
    with duckdb.connect(str(settings.warehouse_path(MONTH)), read_only=True) as warehouse:
        rows = warehouse.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main'"
            " AND NOT internal"
        )
        for table, column in rows.fetchall():
            found.setdefault(str(table), set()).add(str(column))
    return found


def test_the_price_book_is_published_with_all_its_columns(models: Models) -> None:
    columns = {model["name"]: list(model["columns"]) for model in models}
    for table in TABLES:
        if table.folder != "accounts" and table.name != "sources":
            assert columns[table.name] == ["billing_month", *table.column_names]


def test_every_model_tests_its_key(manifest: dict[str, Any], models: Models) -> None:
    tested = {
        node["attached_node"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
        and (node.get("test_metadata") or {}).get("name") in ("unique", "unique_together")
    }
    assert sorted({model["unique_id"] for model in models} - tested) == []


def test_what_people_query_has_a_contract(models: Models) -> None:
    loose = [
        model["name"]
        for model in models
        if model["access"] == "public" and not model["contract"]["enforced"]
    ]
    assert loose == []


# Not the star of a product, which something to multiply by follows.
STAR = re.compile(r"(?:^|select|,)\s*(?:\w+\.)?\*\s*(?:,|$|from|exclude|replace)", re.M)


def test_what_people_query_names_its_columns(models: Models) -> None:
    """At its end, where a reader looks for them; steps before may say `select *`."""
    last = {
        model["name"]: re.split(r"^(?=select\b)", model["raw_code"], flags=re.MULTILINE)[-1]
        for model in models
        if model["access"] == "public"
    }
    stars = [name for name, select in last.items() if STAR.search(select.partition("\nfrom")[0])]
    assert stars == []


def test_a_model_is_short(models: Models) -> None:
    """One that is longer asks to be two."""
    assert [m["name"] for m in models if len(m["raw_code"].splitlines()) > 80] == []


def test_a_description_says_what_the_model_itself_says_of_its_grain(models: Models) -> None:
    for model in models:
        found = GRAIN.search(model["raw_code"])
        if found and model["description"].startswith("Grain: "):
            grain = " ".join(found[1].replace("\n-- ", " ").split()).rstrip(".")
            assert " ".join(model["description"].split()) == f"Grain: {grain}.", model["name"]


def test_readers_of_the_models_are_exposures(manifest: dict[str, Any]) -> None:
    exposures = {exposure["name"]: exposure for exposure in manifest["exposures"].values()}
    assert {"stripe_push", "dashboard", "invoice_documents"} <= exposures.keys()
    assert "model.billing.invoices" in exposures["stripe_push"]["depends_on"]["nodes"]
