"""A month's close report: one page that finance can file.

What belongs here: the texts of the page, from the published tables of the month and of the month
before. What does not: layout (``templates``), and amounts that those tables do not contain or add
up to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb

from billing_pipeline.documents.formatting import amount, month_name, plain, share, signed_amount
from billing_pipeline.documents.invoice import STATES
from billing_pipeline.documents.reading import read_seller
from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.months import BillingMonth

# The number of customers listed for each currency; the exports have all of them.
MAX_CUSTOMERS = 5

_TOTALS = """
WITH earlier AS (
    SELECT currency, sum(total) AS total_before FROM invoices
    WHERE billing_month = $1::DATE - INTERVAL 1 MONTH GROUP BY ALL
), later AS (
    SELECT currency, count(*) AS invoices, sum(subtotal) AS subtotal, sum(discount) AS discount,
        sum(tax) AS tax, sum(total) AS total
    FROM invoices WHERE billing_month = $1::DATE GROUP BY ALL
), collected AS (
    SELECT currency, sum(billed) AS billed, sum(paid) AS paid, sum(credited) AS credited,
        sum(settled_by_balance) AS settled, sum(outstanding) AS outstanding
    FROM invoice_payments WHERE billing_month = $1::DATE GROUP BY ALL
)
SELECT * REPLACE (coalesce(invoices, 0) AS invoices)
FROM later FULL JOIN collected USING (currency) FULL JOIN earlier USING (currency)
ORDER BY currency
"""
_STATES = """
SELECT coalesce(payments.status, 'not sent') AS status, invoices.currency,
    count(*) AS invoices, sum(invoices.total) AS total,
    coalesce(sum(payments.outstanding), 0) AS outstanding
FROM invoices LEFT JOIN invoice_payments AS payments USING (invoice_id)
WHERE invoices.billing_month = $1::DATE
GROUP BY ALL ORDER BY invoices.currency, invoices DESC, status
"""
_CUSTOMERS = f"""
WITH totals AS (
    SELECT customer_id, currency,
        coalesce(sum(total) FILTER (WHERE billing_month = $1::DATE), 0) AS total,
        coalesce(sum(total) FILTER (WHERE billing_month < $1::DATE), 0) AS total_before
    FROM invoices
    WHERE billing_month BETWEEN $1::DATE - INTERVAL 1 MONTH AND $1::DATE
    GROUP BY ALL
)
SELECT totals.*, customers.name
FROM totals LEFT JOIN customers
    ON totals.customer_id = customers.customer_id AND customers.billing_month = $1::DATE
WHERE total > 0
QUALIFY row_number() OVER (
    PARTITION BY totals.currency ORDER BY total DESC, totals.customer_id) <= {MAX_CUSTOMERS}
ORDER BY totals.currency, total DESC, totals.customer_id
"""
_REJECTED = """
SELECT reason, sum("rows")::BIGINT AS "rows", count(*) AS files, min(source_file) AS first_file
FROM rejected_usage WHERE billing_month = $1::DATE
GROUP BY reason ORDER BY 2 DESC, reason
"""
_USAGE = """
SELECT count(*) AS files, coalesce(sum(rows_read), 0)::BIGINT AS rows_read,
    coalesce(sum(accepted_rows), 0)::BIGINT AS accepted,
    coalesce(sum(rejected_rows), 0)::BIGINT AS rejected,
    coalesce(sum(duplicate_rows), 0)::BIGINT AS duplicates
FROM usage_files WHERE billing_month = $1::DATE
"""


_ATTENTION = """
SELECT kind, sum(items)::BIGINT AS items FROM needs_attention
WHERE billing_month = $1::DATE GROUP BY kind
"""


@dataclass(frozen=True)
class Check:
    """A sentence that is true if `needs_attention` has no rows with this `what` of these kinds."""

    sentence: str
    what: str
    kinds: tuple[str, ...]


CHECKS = (
    Check(
        "The lines of each invoice add up to its total",
        "invoice",
        ("lines_do_not_add_up",),
    ),
    Check(
        "Each invoice is billed in Stripe with our total",
        "invoice",
        ("not_billed",),
    ),
    Check(
        "Stripe holds no invoice of the month that we do not expect",
        "invoice",
        ("stripe_unexpected",),
    ),
    Check(
        "Prepaid wallets agree with the balances in Stripe",
        "wallet",
        ("wallet_differs_from_stripe",),
    ),
    Check(
        "The wallet paid what it should, and the customer was charged the rest",
        "invoice",
        ("stripe_wallet_differs", "stripe_charge_differs"),
    ),
    Check(
        "No change waits for approval, and none failed",
        "change",
        ("change_waiting", "change_failed"),
    ),
    Check(
        "Each row of the usage files is accepted, rejected or a duplicate",
        "file",
        ("rows_unaccounted",),
    ),
    Check(
        "Each accepted event could be read by its meters",
        "event",
        ("events_unread",),
    ),
)


def close_report(connection: duckdb.DuckDBPyConnection, month: BillingMonth) -> dict[str, Any]:
    """The texts of the month's report. Raises `NoDocumentError` if the month is not published."""
    seller = read_seller(connection, month)
    before = month.shift(-1)
    found = {
        name: rows(connection, query, month.key)
        for name, query in {
            "totals": _TOTALS,
            "states": _STATES,
            "customers": _CUSTOMERS,
            "rejected": _REJECTED,
            "usage": _USAGE,
            "attention": _ATTENTION,
        }.items()
    }
    (usage,) = found["usage"]
    attention = {row["kind"]: row["items"] for row in found["attention"]}
    return {
        "title": f"Close of {month_name(seller['billing_month'])}",
        "month": str(month),
        "month_before": str(before),
        "seller": plain(seller["name"]),
        "date": seller["month_end"].date().isoformat(),
        "timezone": seller["timezone"],
        "totals": [_total(row) for row in found["totals"]],
        "states": [_state(row) for row in found["states"]],
        "customers": [_customer(row) for row in found["customers"]],
        "usage": {name: f"{count:,}" for name, count in usage.items()},
        "rejected": [_rejected(row) for row in found["rejected"]],
        "checks": [_checked(check, attention) for check in CHECKS],
        "foot": f"From the published tables of {month}; amounts include tax unless said otherwise.",
    }


def _total(row: Row) -> Row:
    currency = row["currency"]
    money = {
        name: amount(row[name] or Decimal(0), currency)
        for name in (
            *("subtotal", "discount", "tax", "total", "total_before"),
            *("billed", "paid", "credited", "settled", "outstanding"),
        )
    }
    change = _change(row)
    return {
        "currency": currency,
        "invoices": f"{row['invoices']:,}",
        **money,
        "change": signed_amount(change, currency),
        "change_share": share(change, row["total_before"] or Decimal(0)),
    }


def _change(row: Row) -> Decimal:
    return (row["total"] or Decimal(0)) - (row["total_before"] or Decimal(0))


def _state(row: Row) -> Row:
    label, tone = STATES[row["status"]]
    return {
        "currency": row["currency"],
        "state": {"label": label, "tone": tone},
        "invoices": f"{row['invoices']:,}",
        "total": amount(row["total"], row["currency"]),
        "outstanding": amount(row["outstanding"], row["currency"]),
    }


def _customer(row: Row) -> Row:
    change = _change(row)
    return {
        "currency": row["currency"],
        "customer_id": plain(row["customer_id"]),
        "name": plain(row["name"]) or plain(row["customer_id"]),
        "total": amount(row["total"], row["currency"]),
        "change": signed_amount(change, row["currency"]),
        "change_share": share(change, row["total_before"]),
    }


def _rejected(row: Row) -> Row:
    files = f"{row['files']} files" if row["files"] > 1 else plain(row["first_file"])
    return {
        "reason": plain(row["reason"]).replace("_", " "),
        "rows": f"{row['rows']:,}",
        "where": files,
    }


def _checked(check: Check, attention: Mapping[str, int]) -> Row:
    count = sum(attention.get(kind, 0) for kind in check.kinds)
    return {
        "sentence": check.sentence,
        "passed": count == 0,
        "result": "yes" if count == 0 else f"no: {count:,} {check.what}{'s' * (count > 1)}",
    }
