"""Explaining published amounts, over hand-made published tables."""

from __future__ import annotations

import duckdb
import pytest

from billing_pipeline.commands.explain import render
from billing_pipeline.published.explanation import explain
from billing_pipeline.published.publish import publish
from billing_pipeline.settings import Settings
from tests.unit.published.conftest import FEBRUARY, JANUARY, make_warehouse

TABLES = """
CREATE SCHEMA raw;
CREATE TABLE raw.plan_prices AS SELECT 'calls' AS price_id, 'pro' AS plan_id,
    'graduated' AS charge_model, 10::DECIMAL(38,18) AS included_quantity, 'none' AS
    quantity_rounding, NULL::TIMESTAMPTZ AS valid_from, NULL::TIMESTAMPTZ AS valid_to;
CREATE OR REPLACE TABLE invoices AS SELECT 'in_1' AS invoice_id, DATE '2024-01-01' AS
    billing_month, 'c1' AS customer_id, 'USD' AS currency, 3.5::DECIMAL(38,4) AS subtotal,
    0::DECIMAL(38,4) AS discount, 0::DECIMAL(38,4) AS tax, 3.5::DECIMAL(38,4) AS total,
    0::DECIMAL(38,4) AS wallet_applied, 3.5::DECIMAL(38,4) AS amount_due;
CREATE OR REPLACE TABLE invoice_lines AS SELECT 'li_1' AS line_id, 'in_1' AS invoice_id,
    DATE '2024-01-01' AS billing_month, 'charge' AS kind, 'ch_1' AS charge_id, 1 AS position,
    'Calls \x1b[31m' AS description, 3.5::DECIMAL(38,4) AS amount, 'USD' AS currency;
CREATE OR REPLACE TABLE charges AS SELECT 'ch_' || i AS charge_id, DATE '2024-01-01' AS
    billing_month, 'c1' AS customer_id, 'sub''1' AS subscription_id, 'pro' AS plan_id,
    'calls' AS price_id,
    'calls' AS meter_id, 'graduated' AS charge_model, 'USD' AS currency,
    45::DECIMAL(38,18) AS quantity, 35::DECIMAL(38,18) AS billable_quantity, 2::BIGINT AS
    event_count, 3.5::DECIMAL(38,4) AS amount, 'Calls' AS description,
    '35 × 0.1 = 3.5' AS calculation, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS period_start,
    TIMESTAMPTZ '2024-02-01 00:00:00+00' AS period_end FROM range(1, 3) AS n(i);
CREATE OR REPLACE TABLE charge_tiers AS SELECT 'ch_1' AS charge_id, DATE '2024-01-01' AS
    billing_month, 1 AS tier, 0::DECIMAL(38,18) AS from_quantity, NULL::DECIMAL(38,18) AS up_to,
    35::DECIMAL(38,18) AS quantity, 3.5::DECIMAL(38,12) AS exact_amount;
CREATE OR REPLACE TABLE usage_rejections AS SELECT DATE '2024-01-01' AS billing_month,
    'outside_month' AS reason, unnest(['{"customer_id":"c1"}', '{"customer_id":"c1"}',
    '{"customer_id":"c2"}', '{"customer_id":']) AS raw;
CREATE OR REPLACE TABLE usage_issues AS SELECT DATE '2024-01-01' AS billing_month, 'c1' AS
    customer_id, 'invalid_property' AS reason, unnest(['calls', 'minutes']) AS meter_id,
    'e9' AS event_id;
CREATE TABLE usage_windows AS SELECT 1 AS window_id, 'sub''1' AS subscription_id, 'calls' AS
    price_id, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS window_start;
CREATE TABLE metered_events AS SELECT i AS window_id, 'e' || i AS event_id,
    TIMESTAMPTZ '2024-01-05 00:00:00+00' AS occurred_at, 1 AS value, NULL AS unique_value,
    'usage/2024-01/a.csv' AS source_file, 2 AS source_row FROM range(1, 3) AS n(i);
"""


PAYMENT = {"invoice_id": "in_1", "status": "paid", "billed": 3, "paid": 3, "outstanding": 0}


@pytest.fixture
def published(settings: Settings) -> Settings:
    make_warehouse(settings, JANUARY)
    with duckdb.connect(str(settings.warehouse_path(JANUARY))) as connection:
        connection.execute(TABLES)
    publish(settings, JANUARY, {"invoice_payments": [PAYMENT]})
    return settings


@pytest.mark.parametrize("record_id", ["in_1", "li_1", "ch_1"])
def test_each_kind_of_id_leads_to_rule_tiers_and_events(
    published: Settings, record_id: str
) -> None:
    found = explain(published, record_id)
    assert found["invoice"]["invoice_id"] == "in_1"
    assert found["payment"]["status"] == "paid"
    assert [line["line_id"] for line in found["lines"]] == ["li_1"]
    (charge,) = found["charges"]
    assert charge["rule"]["included_quantity"] == 10
    assert [tier["tier"] for tier in charge["tiers"]] == [1]
    with duckdb.connect(charge["events_database"], read_only=True) as warehouse:
        events = warehouse.execute(charge["events_sql"]).fetchall()
    assert [event[0] for event in events] == ["e1"]


def test_a_charge_without_a_line_is_explained(published: Settings) -> None:
    found = explain(published, "ch_2")
    assert found["invoice"] is None
    assert "on no invoice" in render(found)


def test_text_for_a_terminal(published: Settings) -> None:
    text = render(explain(published, "li_1"))
    assert "rule: price calls of plan pro, graduated, included_quantity 10\n" in text
    assert "tier 1 (0, ∞]: 35 units -> 3.5" in text
    assert "35 × 0.1 = 3.5" in text
    assert "3.50 USD" in text
    assert (
        "of this customer in the months of its period: invalid_property 1, outside_month 2\n"
        in text
    )
    assert "\x1b" not in text


def test_rejected_rows_of_each_month_of_a_period_are_shown(published: Settings) -> None:
    """The same tables in February, whose charges therefore began in January."""
    make_warehouse(published, FEBRUARY)
    later = TABLES.replace("DATE '2024-01-01'", "DATE '2024-02-01'").replace(
        "'ch_' ||", "'later_' ||"
    )
    with duckdb.connect(str(published.warehouse_path(FEBRUARY))) as connection:
        connection.execute(later)
    publish(published, FEBRUARY)
    assert "period: invalid_property 2, outside_month 4\n" in render(explain(published, "later_1"))
    assert "period: invalid_property 1, outside_month 2\n" in render(explain(published, "ch_2"))


def test_text_of_an_invoice(published: Settings) -> None:
    text = render(explain(published, "in_1"))
    assert "subtotal 3.50 - discount 0.00 + tax 0.00 = total 3.50 USD" in text
    assert "in Stripe: paid, billed 3.00, paid 3.00, outstanding 0.00" in text


def test_without_the_warehouse_the_published_words_remain(published: Settings) -> None:
    published.warehouse_path(JANUARY).unlink()
    found = explain(published, "ch_1")
    assert found["charges"][0]["rule"] is None
    assert "35 × 0.1 = 3.5" in render(found)


def test_unknown_ids_give_a_clear_message(published: Settings) -> None:
    with pytest.raises(LookupError, match="'in_9' is not the id of a published invoice"):
        explain(published, "in_9")


def test_nothing_published_yet(settings: Settings) -> None:
    with pytest.raises(LookupError, match="nothing is published"):
        explain(settings, "in_1")
