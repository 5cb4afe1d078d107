"""The journal over what a pull would publish: for trials in which months are closed and paid.

What belongs here: filling the published tables with a trial's rows, and what of the journal is not
as it should be. What does not: the journal (`dbt_project/models/reports/accounting`), and wallets,
whose ledger these trials do not publish (`tests/unit/published/test_accounting.py` and
`tests/end_to_end/document_sums.py` have one).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from tempfile import gettempdir

import duckdb

from billing_pipeline.collection.payments import PullResult
from billing_pipeline.money import CURRENCY_PLACES
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare

# One query, in which the journal is computed once: it costs most of all that a trial does here.
_PROBLEMS = """
WITH posted AS MATERIALIZED (
    SELECT entry_id, kind, account, currency, sum(debit) AS debit, sum(credit) AS credit
    FROM journal GROUP BY ALL
),
compared AS (
    SELECT 'receivables' AS checked, currency, sum(debit - credit) AS posted, 0 AS held
    FROM posted WHERE account IN ('receivables', 'bad_debts') GROUP BY ALL
    UNION ALL
    SELECT 'documents', currency, sum(debit - credit), 0 FROM posted
    WHERE account = 'receivables' AND kind IN ('invoice', 'supplement', 'credit_note') GROUP BY ALL
    UNION ALL
    SELECT 'bad debts', currency, sum(debit - credit), 0 FROM posted
    WHERE account = 'bad_debts' GROUP BY ALL
    UNION ALL
    SELECT 'stripe', currency, sum(debit - credit), 0 FROM posted
    WHERE account = 'stripe' AND kind <> 'fee' GROUP BY ALL
    UNION ALL
    SELECT 'receivables', currency, 0, outstanding FROM invoice_payments
    UNION ALL
    SELECT 'documents', currency, 0, billed - credited FROM invoice_payments
    UNION ALL
    SELECT 'bad debts', currency, 0, amount_remaining FROM stripe_invoices
    WHERE status = 'uncollectible'
    UNION ALL
    SELECT 'stripe', currency, 0, amount FROM payments
    WHERE method NOT IN ('wallet', 'outside_stripe')
)
SELECT entry_id || ': ' || sum(debit) || ' is not ' || sum(credit) || ' ' || currency FROM posted
GROUP BY entry_id, currency HAVING sum(debit) <> sum(credit)
UNION ALL
SELECT checked || ': ' || sum(posted) || ' is posted, not ' || sum(held) || ' ' || currency
FROM compared GROUP BY checked, currency HAVING sum(posted) <> sum(held)
"""


def journal_problems(months: Iterable[PullResult]) -> list[str]:
    """Entries that do not balance, and balances that are not what Stripe's side says: receivables,
    documents, bad debts, and the money at Stripe."""
    connection = _declared()
    connection.begin()
    try:
        for pulled in months:
            of_month = [pulled.month.first_day]
            connection.execute("INSERT INTO seller (billing_month) VALUES ($1)", of_month)
            for name, rows in pulled.tables.items():
                for row in rows:
                    places = ", ".join(f"${column}" for column in row)
                    columns = ", ".join(row)
                    connection.execute(f"INSERT INTO {name} ({columns}) VALUES ({places})", row)
        return [f"journal: {text}" for (text,) in connection.execute(_PROBLEMS).fetchall()]
    finally:
        connection.rollback()


@cache
def _declared() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    declare(connection, Settings.from_env({"BILLING_HOME": gettempdir()}))
    connection.executemany(
        "INSERT INTO currencies (currency, decimal_places) VALUES ($1, $2)",
        list(CURRENCY_PLACES.items()),
    )
    return connection
