"""The check of a month that is being rated: against what is published, and no reason to stop."""

from __future__ import annotations

from decimal import Decimal

import dagster as dg
import duckdb
import pytest

from billing_pipeline.defs import checks
from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.defs.resources import resources
from billing_pipeline.months import BillingMonth
from billing_pipeline.notices.spikes import Spike, spikes_of
from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings
from tests.unit.notices.conftest import Book
from tests.unit.notices.test_due import used

MARCH = BillingMonth(2024, 3)
SPIKE = Spike("2024-03", "acme", "calls", Decimal(90), Decimal(20))


def rate(settings: Settings, *quantities: int) -> None:
    """March's warehouse, with these stretches of usage."""
    path = settings.warehouse_path(MARCH)
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as warehouse:
        warehouse.execute(
            "CREATE OR REPLACE TABLE metered_usage (billing_month DATE, customer_id VARCHAR,"
            " meter_id VARCHAR, price_id VARCHAR, quantity DECIMAL(38, 18))"
        )
        for quantity in quantities:
            warehouse.execute(
                "INSERT INTO metered_usage VALUES (DATE '2024-03-01', 'acme', 'calls', 'p', $1)",
                [quantity],
            )


@pytest.fixture
def history(settings: Settings, book: Book) -> Settings:
    """Two months before, and March as it was published when it had little usage."""
    book.add("metered_usage", used(1, "10"), used(2, "20"), used(3, "1"))
    book.connection.close()
    return settings


def test_the_month_being_rated_counts_and_not_its_publication(history: Settings) -> None:
    rate(history, 40, 50)
    assert spikes_of(history, MARCH, Decimal(3)) == [SPIKE]
    assert str(SPIKE) == "acme: 90 of calls, at most 20 in the six months before"
    assert spikes_of(history, MARCH, Decimal("4.5")) == []


def test_a_first_month_has_no_history(settings: Settings) -> None:
    database_path(settings).unlink(missing_ok=True)
    rate(settings, 1_000_000)
    assert spikes_of(settings, MARCH, Decimal(3)) == []


@pytest.mark.parametrize(("quantity", "passed"), [(60, True), (61, False)])
def test_the_check_warns_and_stops_nothing(history: Settings, quantity: int, passed: bool) -> None:
    rate(history, quantity)

    @dg.asset(name="metered_usage", partitions_def=MONTHS)
    def rated() -> None: ...

    # Of its own, and entered: what another test of the process left behind must not matter.
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [rated, checks.usage_is_as_usual],
            resources=resources({"settings": history}),
            partition_key=str(MARCH),
            instance=instance,
        )
    [check] = done.get_asset_check_evaluations()
    assert done.success
    assert (check.passed, check.severity, check.blocking) == (
        *(passed, dg.AssetCheckSeverity.WARN),
        False,
    )
    if not passed:
        assert "| acme | calls | 61 | 20 |" in str(check.metadata["which"].value)
