"""Charges, corrections and credits in the columns of FOCUS."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb

FOCUS_ROWS = """
INSERT INTO seller (billing_month, name, timezone, month_start, month_end)
VALUES ('2024-01-01', 'Meridian', 'Europe/Berlin', '2023-12-31 23:00+00', '2024-01-31 23:00+00');
INSERT INTO customers (billing_month, customer_id, name, is_payer)
VALUES ('2024-01-01', 'c', 'Ada', true), ('2024-01-01', 'n', 'No', false);
INSERT INTO charges BY NAME SELECT DATE '2024-01-01' AS billing_month, * FROM (VALUES
    ('used', 'c', 'pro', 'calls', 'm', 7, 5, 10, 'per_unit'),
    ('priced', 'c', 'pro', 'cost', 'm', 7, 7, 1, 'dynamic'),
    ('fee', 'c', 'pro', 'base', NULL, 1, 1, 29, 'flat'),
    ('free', 'c', 'pro', 'calls', 'm', 3, 0, 0, 'per_unit'),
    ('unbilled', 'n', 'pro', 'calls', 'm', 3, 3, 6, 'per_unit'),
    ('unbilled0', 'n', 'pro', 'calls', 'm', 3, 0, 0, 'per_unit')
) AS rows (charge_id, customer_id, plan_id, price_id, meter_id, quantity, billable_quantity,
    amount, charge_model), (SELECT 's' AS subscription_id, 'USD' AS currency,
    TIMESTAMPTZ '2024-01-10 00:00+00' AS period_start,
    TIMESTAMPTZ '2024-01-31 23:00+00' AS period_end);
INSERT INTO invoice_lines BY NAME SELECT charge_id AS line_id, 'in' AS invoice_id, 'charge' AS kind,
    false AS is_inclusive, billing_month, customer_id, subscription_id, charge_id, description,
    amount, currency, period_start, period_end
FROM charges WHERE charge_id IN ('used', 'priced', 'fee');
INSERT INTO invoice_lines BY NAME SELECT DATE '2024-01-01' AS billing_month, 'in' AS invoice_id,
    'c' AS customer_id, 'USD' AS currency, * FROM (VALUES
    ('least', 's', 'minimum', 20, false), ('coupon', 's', 'discount', -6, false),
    ('tax', NULL, 'tax', 5.4, false), ('told', NULL, 'tax', 2, true)
) AS rows (line_id, subscription_id, kind, amount, is_inclusive);
"""


def test_charges_in_the_columns_of_focus(published: duckdb.DuckDBPyConnection) -> None:
    published.execute(FOCUS_ROWS)
    rows = published.execute(
        """SELECT coalesce("x_LineId", "x_ChargeId"), "BilledCost"::DOUBLE, "ChargeCategory",
            "ChargeFrequency", "ConsumedQuantity"::INT, "PricingQuantity"::INT, "PricingCategory",
            "SkuPriceId", "ServiceName", "InvoiceId"
        FROM focus_charges ORDER BY "x_LineId", "x_ChargeId" """
    ).fetchall()
    assert rows == [
        ("coupon", -6.0, "Credit", "One-Time", None, None, None, None, "pro", "in"),
        ("fee", 29.0, "Purchase", "Recurring", None, 1, "Standard", "base", "pro", "in"),
        ("least", 20.0, "Adjustment", "Recurring", None, None, None, None, "pro", "in"),
        ("priced", 1.0, "Usage", "Usage-Based", 7, 7, "Dynamic", "cost", "pro", "in"),
        ("tax", 5.4, "Tax", "One-Time", None, None, None, None, "All plans", "in"),
        ("used", 10.0, "Usage", "Usage-Based", 7, 5, "Standard", "calls", "pro", "in"),
        ("free", 0.0, "Usage", "Usage-Based", 3, 0, "Standard", "calls", "pro", None),
    ]


def test_focus_has_what_it_demands_of_every_row(published: duckdb.DuckDBPyConnection) -> None:
    published.execute(FOCUS_ROWS)
    # FOCUS 1.2: mandatory columns that may not be null
    never_null = (
        *("BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodStart"),
        *("BillingPeriodEnd", "ChargeCategory", "ChargePeriodStart", "ChargePeriodEnd"),
        *("ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "ProviderName"),
        *("PublisherName", "ServiceCategory", "ServiceName", "ServiceSubcategory"),
        *("ChargeFrequency",),
    )
    for name in never_null:
        found = published.execute(f'SELECT count(*), count("{name}") FROM focus_charges').fetchall()
        assert found == [(7, 7)], name
    # and those that go together, or not at all
    for both in (("ConsumedQuantity", "ConsumedUnit"), ("PricingQuantity", "PricingUnit")):
        query = 'SELECT count(*) FROM focus_charges WHERE ("{}" IS NULL) <> ("{}" IS NULL)'
        assert published.execute(query.format(*both)).fetchall() == [(0,)]
    edges = published.execute(
        """SELECT DISTINCT "BillingPeriodStart", "BillingPeriodEnd" FROM focus_charges"""
    ).fetchall()
    assert edges == [
        (datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2024, 1, 31, 23, tzinfo=UTC))
    ]


def test_what_was_changed_is_a_correction_in_the_month_of_its_issue(
    published: duckdb.DuckDBPyConnection,
) -> None:
    """January's invoice of 10, its supplement of 5 in February and a credit note of 2 by hand in
    March: today the invoice has 15, and FOCUS has each document in the month that billed it."""
    published.execute(FOCUS_ROWS.partition("INSERT INTO charges")[0])
    published.execute(
        """
        INSERT INTO invoice_lines (billing_month, line_id, invoice_id, customer_id, kind, amount,
            is_inclusive, currency)
        VALUES ('2024-01-01', 'l', 'in', 'c', 'charge', 15, false, 'USD');
        INSERT INTO lines_as_billed (billing_month, invoice_id, version, line_id, customer_id, kind,
            meter_id, price_id, charge_model, is_inclusive, quantity, billable_quantity, amount,
            discount_share, currency, period_start, period_end)
        SELECT '2024-01-01', 'in', version, 'l', 'c', 'charge', 'm', 'calls', 'per_unit', false,
            quantity, quantity, quantity, 0, 'USD', '2024-01-10 00:00+00', '2024-01-31 23:00+00'
        FROM (VALUES (1, 10), (2, 15)) AS versions (version, quantity);
        INSERT INTO stripe_invoices (billing_month, invoice_id, customer_id, revision,
            stripe_invoice_id, status, currency, total, finalized_at)
        VALUES ('2024-01-01', 'in', 'c', 1, 'in_1', 'paid', 'USD', 10, '2024-02-01 12:00+00'),
            ('2024-01-01', 'in', 'c', 2, 'in_2', 'paid', 'USD', 5, '2024-02-29 23:30+00');
        INSERT INTO documents_as_billed (invoice_id, revision, amount, version, kept_at)
        VALUES ('in', 1, 10, 1, '2024-02-01'), ('in', 2, 5, 2, '2024-02-10');
        INSERT INTO credit_notes (billing_month, invoice_id, customer_id, credit_note_id, number,
            stripe_invoice_id, currency, amount, issued_at)
        VALUES ('2024-01-01', 'in', 'c', 'cn_1', 'N-1', 'in_1', 'USD', 2, '2024-03-05 12:00+00');
        """
    )
    found = published.execute(
        """SELECT strftime(billing_month, '%m'), "ChargeCategory", "ChargeClass", "BilledCost"::INT,
            "ConsumedQuantity"::INT, "BillingPeriodStart", "ChargePeriodStart", "x_DocumentId",
            "ChargeDescription"
        FROM focus_charges ORDER BY 1, "BilledCost" DESC"""
    ).fetchall()
    january, used = datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2024, 1, 10, tzinfo=UTC)
    march = datetime(2024, 2, 29, 23, tzinfo=UTC)  # in Berlin
    assert found == [
        ("01", "Usage", None, 10, 10, january, used, "in_1", None),
        ("03", "Usage", "Correction", 5, 5, march, used, "in_2", None),
        ("03", "Credit", "Correction", -2, None, march, january, "cn_1", "Credit note N-1"),
    ]


def test_commitments_and_corrections_of_closed_books(published: duckdb.DuckDBPyConnection) -> None:
    published.execute(FOCUS_ROWS.partition("INSERT INTO charges")[0])
    published.execute(
        """
        INSERT INTO commitment_balances (billing_month, commitment_id, kind)
        VALUES ('2024-01-01', 'before', 'prepaid'), ('2024-01-01', 'after', 'true_up');
        INSERT INTO invoice_lines (billing_month, invoice_id, customer_id, currency, is_inclusive,
            line_id, kind, commitment_id, amount, corrected_month)
        SELECT '2024-01-01', 'in', 'c', 'USD', false, * FROM (VALUES
            ('1', 'commitment', 'before', 1000, NULL), ('2', 'commitment', 'after', 70, NULL),
            ('3', 'overage', 'after', 3, NULL), ('4', 'correction', NULL, -4, DATE '2023-12-01'),
            ('5', 'tax', NULL, -1, DATE '2023-12-01'), ('6', 'adjustment', NULL, 9, NULL));
        """
    )
    found = published.execute(
        """SELECT "ChargeCategory", "ChargeClass", "ChargeFrequency", "BilledCost"::INT,
            "EffectiveCost"::INT FROM focus_charges ORDER BY "x_LineId" """
    ).fetchall()
    assert found == [
        ("Purchase", None, "One-Time", 1000, 0),
        ("Usage", None, "One-Time", 70, 70),
        ("Usage", None, "One-Time", 3, 3),
        ("Adjustment", "Correction", "One-Time", -4, -4),
        ("Tax", "Correction", "One-Time", -1, -1),
        ("Adjustment", None, "One-Time", 9, 9),
    ]
