"""dbt from a shell, in a sandbox of a month: its documentation, and what changed models change."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from billing_pipeline.commands.cli import main
from billing_pipeline.intake.reference.schemas import TABLES
from billing_pipeline.published.publish import publish
from billing_pipeline.settings import Settings
from tests.dbt.rated_once import MONTH, Rated

GRAIN = re.compile(r"^-- grain: (.*(?:\n-- .*)*)", re.MULTILINE)


@dataclass(frozen=True)
class Sandbox:
    """A folder that `billing sandbox` has laid out, and the home of the month in it."""

    folder: Path
    settings: Settings

    def billing(self, *args: str) -> str:
        environ = {"BILLING_HOME": str(self.settings.home)}
        done = CliRunner().invoke(main, args, env=environ)
        assert done.exit_code == 0, done.output
        return done.stdout

    def dbt(self, *args: str) -> None:
        """As in a shell whose environment names the month's own warehouse."""
        done = subprocess.run(
            [Path(sys.executable).with_name("dbt"), *args],
            cwd=self.folder,
            env=os.environ | {"BILLING_WAREHOUSE": str(self.settings.warehouse_path(MONTH))},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def sandbox(rated_subscriptions: Rated, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    made = Sandbox(tmp_path_factory.mktemp("sandbox") / "june", rated_subscriptions())
    made.billing("sandbox", str(MONTH), str(made.folder))
    made.dbt("docs", "generate", "--static")
    return made


@pytest.fixture(scope="module")
def target(sandbox: Sandbox) -> Path:
    return sandbox.folder / "target"


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


# Not the star of a product, which something to multiply by follows.
STAR = re.compile(r"^\s*(?:select\s+)?(?:\w+\.)?\*\s*(?:,|$|from|exclude|replace)", re.M)


def test_what_people_query_names_its_columns(target: Path) -> None:
    """At its end, where a reader looks for them; steps before may say `select *`."""
    last = {
        model["name"]: re.split(r"^(?=select\b)", model["raw_code"], flags=re.MULTILINE)[-1]
        for model in _models(target).values()
        if model["access"] == "public"
    }
    stars = [name for name, select in last.items() if STAR.search(select.partition("\nfrom")[0])]
    assert stars == []


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


def test_a_changed_charge_model_shows_what_it_would_bill(sandbox: Sandbox) -> None:
    publish(sandbox.settings, MONTH)
    live = sandbox.settings.warehouse_path(MONTH)
    before = live.read_bytes()
    model = sandbox.folder / "models" / "rating" / "charges_per_unit.sql"
    rule = "exact_times(billable, coalesce(unit_amount, 0))"
    text = model.read_text(encoding="utf-8")
    assert text.count(rule) == 1
    model.write_text(text.replace(rule, f"exact_times({rule}, 2)"), encoding="utf-8")
    sandbox.dbt("run", "--select", "charges_per_unit")

    found = json.loads(sandbox.billing("diff", str(sandbox.folder), "--json"))
    assert (found["month"], found["same_inputs"]) == (str(MONTH), True)
    charges = {(row["customer_id"], row["change"]) for row in found["changes"]}
    # The minimum of Enterprise takes up what its usage costs more.
    assert charges == {
        *(("s-overage", change) for change in ("6.0000", "8.0000", "11.2500", "16.0000")),
        ("s-enterprise", "150.0000"),
    }
    assert [(row["customer_id"], row["present_total"], row["simulated_total"], row["change"])
            for row in found["invoices"]] == [
        ("s-overage", "160.9500", "202.2000", "41.2500"),
    ]  # fmt: skip
    assert live.read_bytes() == before
