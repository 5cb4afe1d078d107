"""The checks on Stripe's state: errors, unfinished months, and which asset shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from billing_pipeline.defs import checks
from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.defs.resources import resources
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings

FEBRUARY = BillingMonth(2024, 2)
AGREES = "stripe_agrees_to_the_cent"
_TABLES = """
create table reconciliation (
    billing_month date, invoice_id varchar, customer_id varchar, currency varchar,
    expected_total decimal(18, 2), stripe_total decimal(18, 2), difference decimal(18, 2),
    state varchar, expected_wallet decimal(18, 2), stripe_wallet decimal(18, 2),
    expected_due decimal(18, 2), charged decimal(18, 2));
create table invoice_plan (
    billing_month date, invoice_id varchar, action varchar, state varchar);
create table stripe_invoices (billing_month date, invoice_id varchar, status varchar);
"""


class Published:
    """The published database of a home, and the month's rows in it."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings.from_env({"BILLING_HOME": str(home)})
        self.settings.published_dir.mkdir(parents=True)
        self.execute(_TABLES)

    def execute(self, sql: str, values: list[int] | None = None) -> None:
        with duckdb.connect(str(database_path(self.settings))) as connection:
            connection.execute(sql, values)


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def half_sent(db: Published, sent: int = 17, of: int = 180) -> None:
    db.execute("delete from reconciliation")
    db.execute(
        "insert into reconciliation select '2024-02-01', 'in_' || n, 'c' || n, 'USD', 1,"
        " if(n < $1, 1, 0), if(n < $1, 0, -1), if(n < $1, 'matched', 'missing'), 0, 0, 0, 0"
        " from range($2) t(n)",
        [sent, of],
    )
    db.execute("insert into stripe_invoices values ('2024-02-01', 'in_17', 'draft')")


def evaluate(
    instance: dg.DagsterInstance, published: Published, asset: str
) -> dg.AssetCheckEvaluation:
    """Run the asset's check after an asset of that name was materialized."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), AGREES)
    [check] = [c for c in checks.CHECKS if key in c.check_keys]

    @dg.asset(name=asset, partitions_def=MONTHS)
    def stands_in() -> None: ...

    done = dg.materialize(
        [stands_in, check],
        resources=resources({"settings": published.settings}),
        instance=instance,
        partition_key=str(FEBRUARY),
    )
    [evaluation] = done.get_asset_check_evaluations()
    return evaluation


@pytest.mark.parametrize(
    "kind", ["refunded", "disputed", "credited_by_hand", "customer_suspended", "card_expires"]
)
def test_what_is_not_settled_with_a_customer_is_a_warning(published: Published, kind: str) -> None:
    published.execute(
        "create table needs_attention as select '2024-02-01'::date as billing_month, 'c' as"
        f" customer_id, 'in_1' as invoice_id, '{kind}' as kind, 'USD' as currency, 3 as amount,"
        " 'why' as reason"
    )
    found = checks.payments_are_settled(published.settings, FEBRUARY)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert checks.payments_are_settled(published.settings, FEBRUARY.shift(1)).passed


@pytest.mark.parametrize("kind", ["source_missing", "no_usage", "usage_fell"])
def test_usage_that_has_not_come_is_a_warning(published: Published, kind: str) -> None:
    published.execute(
        "create table needs_attention as select '2024-02-01'::date as billing_month,"
        f" 'archives' as subject, '{kind}' as kind, 'no file has arrived' as reason"
    )
    found = checks.usage_has_come(published.settings, FEBRUARY)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "no file has arrived."
    assert checks.usage_has_come(published.settings, FEBRUARY.shift(1)).passed


def latest(instance: dg.DagsterInstance, asset: str) -> Any:
    key = dg.AssetCheckKey(dg.AssetKey(asset), AGREES)
    record = instance.get_latest_asset_check_evaluation_record(key)
    return record and record.event and record.event.dagster_event.asset_check_evaluation_data


def test_a_month_that_is_half_sent_is_a_warning_that_says_so(
    published: Published, instance: dg.DagsterInstance
) -> None:
    half_sent(published)
    found = evaluate(instance, published, "invoice_payments")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "17 of 180 invoices are sent, run again."


def test_the_close_that_ends_it_turns_the_mark_of_the_pull_green(
    published: Published, instance: dg.DagsterInstance
) -> None:
    half_sent(published)
    evaluate(instance, published, "invoice_payments")
    assert not evaluate(instance, published, "stripe_invoices").passed
    half_sent(published, sent=180)
    assert evaluate(instance, published, "stripe_invoices").passed
    assert evaluate(instance, published, "stripe_invoices").passed
    assert latest(instance, "invoice_payments").passed
    assert latest(instance, "invoice_payments").partition == str(FEBRUARY)
    assert latest(instance, "approved_changes") is None  # never evaluated: nothing to turn


@pytest.mark.parametrize(
    ("rows", "known_as"),
    [
        ("insert into stripe_invoices values ('2024-02-01', 'in_179', 'void')", "unexplained"),
        ("insert into invoice_plan values ('2024-02-01', 'in_179', 'review', 'waiting')",
         "unexplained"),
        ("update reconciliation set state = 'differs' where invoice_id = 'in_179'", "unexplained"),
        ("insert into invoice_plan values ('2024-02-01', 'in_179', 'create', 'failed')", "create"),
    ],
)  # fmt: skip
def test_an_invoice_changed_in_stripe_is_not_mistaken_for_unsent(
    published: Published, instance: dg.DagsterInstance, rows: str, known_as: str
) -> None:
    half_sent(published)
    published.execute(rows)
    found = evaluate(instance, published, "invoice_payments")
    is_error = found.severity is dg.AssetCheckSeverity.ERROR
    assert is_error == (known_as == "unexplained")
    assert "of 180 invoices are sent" in (found.description or "")
