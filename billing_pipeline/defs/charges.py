"""dbt's models as assets: metering, rating, invoicing; dbt's tests as asset checks."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import dagster as dg
from dagster_dbt import dbt_assets

from billing_pipeline.defs.asset_metadata import largest_changes, metadata_of
from billing_pipeline.defs.dbt_translator import Translator
from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.defs.turns import month_of, turn
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.manifest import PublishError
from billing_pipeline.published.reading import NotPublishedError, open_published
from billing_pipeline.rating.dbt_runner import (
    DbtError,
    NodeResult,
    ensure_manifest,
    installed_manifest,
)
from billing_pipeline.rating.month import build_models, check_models, open_warehouse
from billing_pipeline.rating.unchanged import reusable_nodes, set_checked
from billing_pipeline.runs.locks import Turn
from billing_pipeline.settings import Settings

SLOW_MODEL_SECONDS = 0.2
"""A faster model is not logged as it ends: writing the log entry would take as long."""
_UNIQUE_ID = "dagster_dbt/unique_id"


@dbt_assets(
    manifest=installed_manifest() or ensure_manifest(Settings.from_env()),
    # The same as the selector `close` in dbt_project/selectors.yml: reports are views, created when
    # a month is published, and the keys of internal models are tested from the shell.
    exclude="fqn:reports tag:internal_key",
    partitions_def=MONTHS,
    dagster_dbt_translator=Translator(),
    # By default dagster-dbt would rate a whole backfill in one run; here a run is one month.
    backfill_policy=dg.BackfillPolicy.multi_run(),
)
def dbt_models(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[Any]:
    """Build the month's models; a failing invariant stops the run before Stripe is asked."""
    month = month_of(context, settings)

    def progress(node: NodeResult) -> None:
        slow = node.seconds >= SLOW_MODEL_SECONDS
        if node.resource_type == "model" and slow and not node.is_failed:
            context.log.info(f"{node.name}: {node.seconds:.2f} s")

    selection = _selection(context)
    kept = [] if selection else reusable_nodes(settings, month)
    if kept:
        context.log.info(f"{month} was rated from these inputs before: its tables stand")
        yield from _events(context, settings, month, kept)
        return
    set_checked(settings, month, False)
    with turn(context, settings, Turn.RATING):
        nodes = build_models(settings, month, progress, selection)
        # Still under the lock, so that nobody writes in between. If only some models were rebuilt,
        # those that depend on them were not checked.
        passed = not selection and not any(node.is_failed for node in nodes)
        set_checked(settings, month, passed, nodes)
    yield from _events(context, settings, month, nodes)
    try:
        check_models(settings, month, nodes)
    except DbtError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def _selection(context: dg.AssetExecutionContext) -> list[str]:
    """dbt's arguments to select the models of this run; none if it builds all of them."""
    if not context.is_subset:
        return []
    wanted = context.selected_asset_keys
    specs = (spec for spec in context.assets_def.specs if spec.key in wanted)
    return ["--select", *sorted(spec.metadata[_UNIQUE_ID].split(".")[2] for spec in specs)]


def _events(
    context: dg.AssetExecutionContext,
    settings: Settings,
    month: BillingMonth,
    nodes: list[NodeResult],
) -> Iterator[Any]:
    models = {spec.metadata[_UNIQUE_ID]: spec.key for spec in context.assets_def.specs}
    checks = {spec.metadata[_UNIQUE_ID]: spec.key for spec in context.assets_def.check_specs}
    built = [node for node in nodes if node.unique_id in models and node.status == "success"]
    with open_warehouse(settings.warehouse_path(month), read_only=True) as warehouse:
        metadata = metadata_of(warehouse, [node.name for node in built])
        if "invoices" in metadata:
            earlier = month.shift(-1)
            changes = largest_changes(warehouse, _published_totals(settings, earlier), str(earlier))
            metadata["invoices"] |= changes
    for node in built:
        yield dg.MaterializeResult(
            asset_key=models[node.unique_id],
            metadata={**metadata[node.name], "seconds": round(node.seconds, 3)},
        )
    for node in nodes:
        if node.unique_id in checks and not node.is_skipped:
            key = checks[node.unique_id]
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=not node.is_failed,
                metadata={"rows found": node.failures, "message": node.message},
            )


def _published_totals(settings: Settings, month: BillingMonth) -> dict[tuple[str, str], Decimal]:
    """The total of each customer and currency; empty if nothing is published."""
    try:
        with open_published(settings) as published:
            found = published.execute(
                "SELECT customer_id, currency, total FROM invoices WHERE billing_month = ?::DATE",
                [month.key],
            ).fetchall()
    except (NotPublishedError, PublishError):
        return {}  # a damaged database is rebuilt at the end of this run
    return {(customer, currency): total for customer, currency, total in found}
