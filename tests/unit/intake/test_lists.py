"""Charge models, aggregations and inputs are listed once; what cannot be made from the lists is
checked against them here: files, pages, and what dbt says of its sources.

A new charge model is one SQL file and its row in dbt_project.yml; this names what else it lacks.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from billing_pipeline.intake.reference.dbt_vars import (
    AGGREGATION_KINDS,
    CHARGE_MODELS,
    CUSTOM_METERS,
)
from billing_pipeline.intake.reference.schemas import TABLES

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "dbt_project" / "models"
PAGE = (ROOT / "docs" / "charge-models.md").read_text(encoding="utf-8")


def test_each_charge_model_is_a_file_with_a_unit_test_and_a_paragraph() -> None:
    files = {path.stem for path in (MODELS / "rating").glob("charges_*.sql")}
    assert files == {f"charges_{name}" for name in CHARGE_MODELS}
    tests = (MODELS / "rating" / "unit_tests.yml").read_text(encoding="utf-8")
    assert [name for name in CHARGE_MODELS if f"'{name}' as charge_model" not in tests] == []
    section = PAGE.partition("\n## The models\n")[2].partition("\n## ")[0]
    assert re.findall("^### `(.*)`$", section, re.MULTILINE) == list(CHARGE_MODELS)


def test_each_aggregation_has_a_row_on_the_page() -> None:
    table = PAGE.partition("| aggregation | quantity of the service period |")[2].partition("\n\n")[
        0
    ]
    rows = table.replace("`p1` to `p99`", "`percentile`")
    assert set(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)) == set(AGGREGATION_KINDS)
    gauges = [f"`{name}`" for name, known in AGGREGATION_KINDS.items() if known.carries_forward]
    assert "`carry_forward` is for " + ", ".join(sorted(gauges)[:-1]) in PAGE


def test_each_custom_meter_is_a_file() -> None:
    assert {path.stem for path in (MODELS / "metering" / "custom").glob("*.sql")} == CUSTOM_METERS


def test_dbt_describes_each_table_of_the_inputs() -> None:
    [source] = yaml.safe_load((MODELS / "sources.yml").read_text(encoding="utf-8"))["sources"]
    described = {table["name"]: table["description"] for table in source["tables"]}
    for table in TABLES:
        # After the file, what else the table has.
        assert described[table.name].split(",")[0] == f"{table.path}.csv"
