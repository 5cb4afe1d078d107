"""Lines that a row of the accounts moves: on whose invoice a charge stands, in which currency, and
where the invoice is taxed.

What belongs here: comparing the saved version of an invoice (the tables `before` and `planned` of
``change_evidence``) with the customers of the month's warehouse. What does not: what else changes a
charge (``change_evidence``).
"""

from __future__ import annotations

import duckdb

from billing_pipeline.duckdb_sql import Row, rows

CAUSE = "account change"

# The charges that their invoice has no longer.
_ELSEWHERE = """
SELECT 'li_' || left(md5(before.charge_id), 24) AS line_id, before.charge_id, before.customer_id,
    before.quantity AS quantity_before, now.quantity AS quantity_after,
    before.currency AS currency_before, now.currency AS currency_after,
    before.price_terms->>'$.price.currency' AS price_currency,
    before.subscription_id, now.customer_id AS customer_after,
    customers.is_payer, customers.payer_id
FROM before
LEFT JOIN warehouse.main.stg_accounts__customers AS customers USING (customer_id)
LEFT JOIN warehouse.main.charges AS now USING (charge_id)
WHERE (before.invoice_id, before.charge_id) NOT IN (SELECT (invoice_id, charge_id) FROM planned)
"""
_BUYERS = """
SELECT saved.invoice_id, saved.customer_id,
    [saved.country, saved.region, saved.is_tax_exempt::VARCHAR] AS before,
    [present.country, present.region, present.tax_exempt::VARCHAR] AS after
FROM ({parties}) AS saved
INNER JOIN (SELECT DISTINCT invoice_id, version FROM before) USING (invoice_id, version)
INNER JOIN warehouse.main.stg_accounts__customers AS present USING (customer_id)
WHERE saved.role = 'buyer'
"""


def charges_elsewhere(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[Row, str]]:
    """By line id: the charges that stand on another invoice or on none because of a row of the
    accounts, and that row."""
    found = ((row, _row_of(row)) for row in rows(connection, _ELSEWHERE))
    return {row["line_id"]: (row, text) for row, text in found if text is not None}


def _row_of(charge: Row) -> str | None:
    place = f"accounts/customers.csv {charge['customer_id']}"
    before, after = charge["currency_before"], charge["currency_after"]
    if charge["payer_id"] is None:
        return f"{place} is gone"
    if after is None:  # there is no such charge any more
        return None
    if charge["customer_after"] != charge["customer_id"]:
        row = f"accounts/subscriptions.csv {charge['subscription_id']}"
        return f"{row}: customer_id {charge['customer_id']} → {charge['customer_after']}"
    if not charge["is_payer"]:
        return f"{place}: is_payer false"
    if before != after:
        return f"{place}: currency {before} → {after}" if charge["price_currency"] is None else None
    payer = charge["payer_id"]
    return f"{place}: bill_to {'nothing' if payer == charge['customer_id'] else payer}"


def taxed_elsewhere(connection: duckdb.DuckDBPyConnection, parties: str) -> dict[str, str]:
    """By invoice id: the payer's row, where another country, region or exemption is taxed.
    `parties` is the query of the saved versions."""
    return {
        row["invoice_id"]: f"accounts/customers.csv {row['customer_id']}: {', '.join(changes)}"
        for row in rows(connection, _BUYERS.format(parties=parties))
        if (changes := _changes(row))
    }


def _changes(row: Row) -> list[str]:
    names = ("country", "region", "tax_exempt")
    cells = zip(names, row["before"], row["after"], strict=True)
    return [
        f"{name} {before or 'nothing'} → {after or 'nothing'}"
        for name, before, after in cells
        if before != after
    ]
