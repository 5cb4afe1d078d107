"""How dbt's project appears in Dagster: keys, groups, and descriptions that are sentences.

What belongs here: what is shown of a model or a test. What does not: building them (``charges``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

from billing_pipeline.defs.usage import ASSET_OF_RAW_TABLE


class Translator(DagsterDbtTranslator):
    """The folder of a model names its group; the raw tables belong to the three assets of the
    intake."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            name = dbt_resource_props["name"]
            is_raw = dbt_resource_props["source_name"] == "raw"
            return dg.AssetKey(ASSET_OF_RAW_TABLE[name] if is_raw else name)
        return super().get_asset_key(dbt_resource_props)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        folder = str(dbt_resource_props["fqn"][1])
        return "usage" if folder in ("staging", "stg_run") else folder

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """dbt's description alone: by default Dagster appends the model's SQL with its Jinja."""
        return str(dbt_resource_props["description"])

    def get_asset_check_spec(
        self,
        asset_spec: dg.AssetSpec,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> dg.AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        return spec._replace(description=sentence(manifest["nodes"][unique_id]))


def sentence(test: Mapping[str, Any]) -> str:
    """What a test of dbt's holds to be true: its description, or what a generic test says of its
    columns."""
    if test.get("description"):
        return str(test["description"])
    generic = test.get("test_metadata") or {"name": "", "kwargs": {}}
    column, kwargs = test.get("column_name"), generic["kwargs"]
    if generic["name"] == "not_null":
        return f"Every row has a {column}."
    if generic["name"] == "unique":
        return f"No two rows have the same {column}."
    if generic["name"] == "unique_together":
        return f"No two rows agree in all of: {', '.join(kwargs['columns'])}."
    if generic["name"] == "accepted_values":
        return f"Every {column} is one of: {', '.join(kwargs['values'])}."
    raise ValueError(f"the dbt test {test['name']} has no description")
