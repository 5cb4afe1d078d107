"""Whom a change is about, and that a cent that moves elsewhere is found; by made-up warehouses."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import attach, utc_session
from billing_pipeline.simulation.reach import Outside, mark_affected, moved_subscriptions, outside

MONTH = BillingMonth.parse("2024-01")
# Four customers, each on a plan of their own; `child` stands on the invoice of `payer`.
_RAW = """
CREATE SCHEMA raw;
CREATE TABLE raw.plans AS FROM (VALUES ('a', 'A'), ('b', 'B'), ('c', 'C')) AS _(plan_id, name);
CREATE TABLE raw.plan_prices AS FROM (VALUES
    ('a', 'fee-a', NULL, 10), ('b', 'calls-b', 'calls', 1), ('c', 'tiers-c', 'disks', NULL)
) AS _(plan_id, price_id, meter_id, unit_amount);
CREATE TABLE raw.price_tiers AS FROM (VALUES ('tiers-c', 100, 2, 7)) AS
    _(price_id, up_to, unit_amount, source_row);
CREATE TABLE raw.meters AS FROM (VALUES ('calls', 'count'), ('disks', 'max')) AS
    _(meter_id, aggregation);
CREATE TABLE raw.coupons AS FROM (VALUES ('ten', 10), ('five', 5)) AS _(coupon_id, percent_off);
CREATE TABLE raw.tax_rates AS FROM (VALUES ('vat', 'DE', 19)) AS
    _(tax_rate_id, country, percentage);
CREATE TABLE raw.customers AS FROM (VALUES
    ('payer', NULL, 'US'), ('child', 'payer', 'US'), ('berlin', NULL, 'DE'), ('lone', NULL, 'US')
) AS _(customer_id, bill_to, country);
CREATE TABLE raw.subscriptions AS FROM (VALUES
    ('s1', 'payer', 'a', 'ten;five', DATE '2024-01-01'), ('s2', 'child', 'b', NULL, '2024-01-01'),
    ('s3', 'berlin', 'c', NULL, '2024-01-01'), ('s4', 'lone', 'b', NULL, '2024-01-01')
) AS _(subscription_id, customer_id, plan_id, coupon_id, starts_at);
CREATE TABLE charges AS SELECT customer_id, 'USD' AS currency, customer_id AS charge_id,
    1 AS quantity, 1 AS billable_quantity, 10.00 AS exact_amount, 10.00 AS amount
FROM raw.customers;
CREATE TABLE invoice_lines AS SELECT customer_id, 'USD' AS currency, customer_id AS line_id,
    'charge' AS kind, 1 AS quantity, 10.00 AS amount
FROM raw.customers;
CREATE TABLE invoices AS SELECT customer_id, 'USD' AS currency, customer_id AS invoice_id,
    10.00 AS subtotal, 0.00 AS discount, 0.00 AS tax, 10.00 AS total, 0.00 AS wallet_applied,
    10.00 AS amount_due
FROM raw.customers;
"""


def compared(folder: Path, *edits: str) -> tuple[set[str], Outside, duckdb.DuckDBPyConnection]:
    """Customers whom the edits of the second side reach, and what became of the others."""
    for side, statements in (("present", ()), ("simulated", edits)):
        with duckdb.connect(str(folder / side)) as connection:
            connection.execute(_RAW)
            for statement in statements:
                connection.execute(statement)
    session = utc_session()
    for side in ("present", "simulated"):
        attach(session, folder / side, side)
    mark_affected(session)
    reached = {name for (name,) in session.execute("FROM reached").fetchall()}
    return reached, outside(session, MONTH), session


@pytest.mark.parametrize(
    ("edit", "reached"),
    [
        ("UPDATE raw.plan_prices SET unit_amount = 11 WHERE plan_id = 'a'", {"payer", "child"}),
        ("UPDATE raw.plans SET name = 'Z' WHERE plan_id = 'c'", {"berlin"}),
        ("UPDATE raw.price_tiers SET unit_amount = 3", {"berlin"}),
        ("UPDATE raw.price_tiers SET source_row = 8", set()),
        (
            "UPDATE raw.meters SET aggregation = 'sum' WHERE meter_id = 'calls'",
            {"payer", "child", "lone"},
        ),
        ("UPDATE raw.coupons SET percent_off = 9 WHERE coupon_id = 'five'", {"payer", "child"}),
        ("UPDATE raw.tax_rates SET percentage = 20", {"berlin"}),
        ("UPDATE raw.subscriptions SET plan_id = 'a' WHERE customer_id = 'lone'", {"lone"}),
    ],
)
def test_a_change_affects_only_the_customers_of_its_inputs(
    tmp_path: Path, edit: str, reached: set[str]
) -> None:
    found, others, _ = compared(tmp_path, edit)
    assert found == reached
    assert others.customers == {"payer", "child", "berlin", "lone"} - reached
    assert others.line_count == 4 - len(reached)
    assert list(others.strays) == []


@pytest.mark.parametrize(
    "moved",
    [
        "UPDATE invoice_lines SET amount = amount + 0.01 WHERE customer_id = 'lone'",
        "UPDATE charges SET exact_amount = 10.01 WHERE customer_id = 'lone'",
        "DELETE FROM invoices WHERE customer_id = 'lone'",
    ],
)
def test_a_cent_that_moves_outside_the_change_is_found(tmp_path: Path, moved: str) -> None:
    change = "UPDATE raw.plan_prices SET unit_amount = 11 WHERE plan_id = 'a'"
    inside = "UPDATE invoice_lines SET amount = 11 WHERE customer_id = 'payer'"
    _, others, _ = compared(tmp_path, change, inside, moved)
    assert [row["customer_id"] for row in others.strays] == ["lone"]


def test_moved_subscriptions_are_counted_by_their_plans(tmp_path: Path) -> None:
    _, _, session = compared(tmp_path, "UPDATE raw.subscriptions SET plan_id = 'a'")
    assert [tuple(row.values()) for row in moved_subscriptions(session)] == [
        ("b", "a", 2, 2),
        ("c", "a", 1, 1),
    ]
