"""A published home of two months, small enough to check by head."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.publish import publish
from billing_pipeline.settings import Settings
from tests.unit.published.conftest import make_warehouse

JANUARY, FEBRUARY = BillingMonth(2024, 1), BillingMonth(2024, 2)

# Ada pays in EUR in both months and something in JPY in the second; Bob (in EUR) is new in it.
TABLES = """
CREATE OR REPLACE TABLE seller AS SELECT {month}::DATE AS billing_month,
    'Meridian' AS name, '1 Quay' AS address, 'IE' AS country, NULL::VARCHAR AS tax_id,
    NULL::VARCHAR AS email, NULL::VARCHAR AS website, NULL::VARCHAR AS bank_account,
    NULL::VARCHAR AS note, 'UTC' AS timezone, {month}::DATE::TIMESTAMPTZ AS month_start,
    ({month}::DATE + INTERVAL 1 MONTH)::TIMESTAMPTZ AS month_end;
CREATE OR REPLACE TABLE customers AS SELECT {month}::DATE AS billing_month, *,
    NULL::VARCHAR AS address, 'DE' AS country, NULL::VARCHAR AS tax_id, NULL::VARCHAR AS email,
    true AS is_payer
FROM (VALUES ('ada', '=Ada "A"'), ('bob', NULL)) AS rows (customer_id, name);
CREATE OR REPLACE TABLE invoices AS SELECT {month}::DATE AS billing_month, invoice_id,
    customer_id, currency, total::DECIMAL(38, 4) AS subtotal, 0::DECIMAL(38, 4) AS discount,
    0::DECIMAL(38, 4) AS tax, 0::DECIMAL(38, 4) AS tax_included, total::DECIMAL(38, 4) AS total,
    0::DECIMAL(38, 4) AS wallet_applied, total::DECIMAL(38, 4) AS amount_due,
    DATE '2024-03-31' AS due_date, 'send_invoice' AS collection_method
FROM (VALUES {invoices}) AS rows (invoice_id, customer_id, currency, total);
CREATE OR REPLACE TABLE invoice_lines AS SELECT billing_month, 'li_' || invoice_id AS line_id,
    invoice_id, customer_id, NULL::VARCHAR AS subscription_id, 'charge' AS kind,
    'ch_' || invoice_id AS charge_id, NULL::VARCHAR AS coupon_id, NULL::VARCHAR AS tax_rate_id,
    false AS is_inclusive, 1 AS position, 'Calls' AS description,
    0.5::DECIMAL(38, 18) AS quantity, total AS amount, currency,
    {month}::DATE::TIMESTAMPTZ + INTERVAL 90 SECOND AS period_start,
    ({month}::DATE + INTERVAL 1 MONTH)::TIMESTAMPTZ AS period_end FROM invoices;
CREATE OR REPLACE TABLE charges AS SELECT billing_month, charge_id, customer_id, subscription_id,
    'pro' AS plan_id, 'calls' AS price_id, 'calls' AS meter_id, 'per_unit' AS charge_model,
    currency, quantity, quantity AS billable_quantity, amount, description, period_start,
    period_end FROM invoice_lines;
CREATE OR REPLACE TABLE usage_rejections AS SELECT {month}::DATE AS billing_month, *
FROM (VALUES ('a.csv', 3, 'unknown_customer'), ('b.csv', 2, 'unknown_customer'),
    ('b.csv', 9, 'malformed_row')) AS rows (source_file, source_row, reason);
CREATE OR REPLACE TABLE usage_files AS SELECT {month}::DATE AS billing_month, *
FROM (VALUES ('a.csv', 1000, 998, 1, 1), ('b.csv', 500, 498, 2, 0))
AS rows (source_file, rows_read, accepted_rows, rejected_rows, duplicate_rows);
"""


def _month(settings: Settings, month: BillingMonth, invoices: str, held: list[str]) -> None:
    make_warehouse(settings, month)
    with duckdb.connect(str(settings.warehouse_path(month))) as connection:
        connection.execute(TABLES.format(month=f"'{month.key}'", invoices=invoices))
        billed = connection.execute("SELECT invoice_id, currency, total FROM invoices").fetchall()
    publish(
        settings,
        month,
        {
            "invoice_payments": [
                {"invoice_id": key, "currency": currency, "status": "open", "billed": total,
                 "paid": 0, "credited": 0, "outstanding": total, "settled_by_balance": 0}
                for key, currency, total in billed if key in held
            ],
            "stripe_invoices": [
                {"invoice_id": key, "currency": currency, "status": "open", "revision": 1,
                 "number": f"N-{key}", "total": total, "credited": 0, "wallet_applied": 0,
                 "amount_remaining": total, "due_at": datetime(2024, 4, 9, tzinfo=UTC)}
                for key, currency, total in billed if key in held
            ],
            "reconciliation": [
                {"invoice_id": key, "currency": currency, "expected_total": total,
                 "stripe_total": total, "difference": 0,
                 "state": "matched"}  # as it was when Stripe was last read
                for key, currency, total in billed
            ],
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    settings = Settings.from_env({"BILLING_HOME": str(folder)})
    _month(settings, JANUARY, "('jan-a', 'ada', 'EUR', '80')", ["jan-a"])
    february = "('feb-a', 'ada', 'EUR', '70'), ('feb-b', 'bob', 'EUR', '1030.5'),"
    february += "('feb-j', 'ada', 'JPY', '1200')"
    _month(settings, FEBRUARY, february, ["feb-a", "feb-b"])
    return folder


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings.from_env({"BILLING_HOME": str(home)})
