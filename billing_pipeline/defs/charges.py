"""dbt's models as assets: metering, rating, invoicing; dbt's tests as asset checks."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets

from billing_pipeline.defs.partitions import MONTHS, SETTINGS, month_of
from billing_pipeline.rating import DBT_PROJECT_DIR, dbt_environment, ensure_manifest


class _Translator(DagsterDbtTranslator):
    """Groups in the order of the money: the folder of a model names its group."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        folder = str(dbt_resource_props["fqn"][1])
        return "usage" if folder in ("staging", "stg_run") else folder


@dbt_assets(
    manifest=ensure_manifest(SETTINGS),
    partitions_def=MONTHS,
    dagster_dbt_translator=_Translator(),
    pool="warehouse",
)
def dbt_models(context: dg.AssetExecutionContext) -> Iterator[Any]:
    """Build all models of the month; a failing invariant stops the run before Stripe is asked."""
    month = month_of(context)
    os.environ.update(dbt_environment(SETTINGS, month))
    dbt = DbtCliResource(
        project_dir=str(DBT_PROJECT_DIR),
        profiles_dir=str(DBT_PROJECT_DIR),
        # the one installed beside this interpreter, whatever PATH says
        dbt_executable=str(Path(sys.executable).with_name("dbt")),
    )
    yield from dbt.cli(
        ["build", "--exclude-resource-type", "unit_test"],
        context=context,
        target_path=SETTINGS.month_dir(month) / "dbt",
    ).stream()
