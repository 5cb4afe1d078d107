"""Is everything well: one sentence for each part, and whether it asks for a person.

What belongs here: the parts, each a query over the published database and the words for what it
found. What does not: checking anything anew; that is what the runs do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import format_amount


@dataclass(frozen=True)
class Health:
    """A part of the pipeline: `is_well`, or what to look at."""

    part: str
    is_well: bool
    says: str


@dataclass(frozen=True)
class _Part:
    name: str
    query: str
    says: Callable[[Row], tuple[bool, str]]


# The newest month that was computed: what customers and usage are told of.
_NEWEST = "(SELECT max(billing_month) FROM usage_files)"

_PARTS = (
    _Part(
        "tables",
        "SELECT count(*) FILTER (WHERE comment IS NOT NULL) AS described, count(*) AS views,"
        " (SELECT count(DISTINCT billing_month) FROM usage_files) AS months"
        " FROM duckdb_views() WHERE NOT internal",
        lambda row: (True, f"{row['views']} published, {row['months']} months in them"),
    ),
    _Part(
        "usage",
        "SELECT coalesce(sum(rows_read), 0)::BIGINT AS read,"
        " coalesce(sum(rejected_rows), 0)::BIGINT AS rejected, count(*) AS files"
        f" FROM usage_files WHERE billing_month = {_NEWEST}",
        lambda row: (
            not row["rejected"],
            f"{row['read']:,} rows in {row['files']} files of the newest month"
            + (
                f", {row['rejected']:,} of them set aside: table rejected_usage"
                * bool(row["rejected"])
            ),
        ),
    ),
    _Part(
        "customers",
        "SELECT count(*) AS customers, (SELECT count(DISTINCT subscription_id) FROM charges"
        f" WHERE billing_month = {_NEWEST}) AS subscriptions FROM customers"
        f" WHERE billing_month = {_NEWEST}",
        lambda row: (
            True,
            f"{row['customers']:,} known, {row['subscriptions']:,} subscriptions charged in the"
            " newest month",
        ),
    ),
    _Part(
        "revenue",
        "SELECT list({'currency': currency, 'now': now, 'before': before} ORDER BY currency)"
        " AS sums FROM (SELECT currency,"
        f" coalesce(sum(total) FILTER (WHERE billing_month = {_NEWEST}), 0) AS now,"
        f" sum(total) FILTER (WHERE billing_month = {_NEWEST} - INTERVAL 1 MONTH) AS before"
        " FROM months GROUP BY currency) WHERE now <> 0",
        lambda row: (True, _revenue(row["sums"] or []) + " in the newest month"),
    ),
    _Part(
        "Stripe",
        "SELECT count(*) AS invoices, count(*) FILTER (WHERE r.difference <> 0"
        " AND r.state NOT IN ('adopted', 'written_off')"
        " OR r.state IN ('wallet_differs', 'charge_differs')) AS differ"
        " FROM reconciliation AS r",
        lambda row: (
            not row["differ"],
            f"{row['differ']:,} of {row['invoices']:,} invoices differ: table reconciliation"
            if row["differ"]
            else f"agrees to the cent on {row['invoices']:,} invoices",
        ),
    ),
    _Part(
        "payments",
        "SELECT count(*) FILTER (WHERE status = 'overdue') AS overdue,"
        " count(*) FILTER (WHERE status = 'uncollectible') AS uncollectible,"
        " count(*) FILTER (WHERE status = 'open') AS open,"
        " count(*) FILTER (WHERE payment_state = 'processing') AS processing,"
        " count(*) FILTER (WHERE status = 'paid') AS paid FROM invoice_payments",
        lambda row: (
            not (row["overdue"] or row["uncollectible"]),
            ", ".join(
                f"{row[name]:,} {name}"
                for name in ("paid", "open", "overdue", "uncollectible")
                if row[name] or name == "paid"
            )
            + (
                f" ({row['processing']:,} of them with a debit under way)" * bool(row["processing"])
            ),
        ),
    ),
    _Part(
        "wallets",
        "SELECT count(DISTINCT (customer_id, currency)) AS wallets,"
        " count(*) FILTER (WHERE difference <> 0) AS differ FROM wallet_reconciliation",
        lambda row: (
            not row["differ"],
            f"{row['differ']:,} balances differ from Stripe's: table wallet_reconciliation"
            if row["differ"]
            else f"{row['wallets']:,}, each as in Stripe",
        ),
    ),
    _Part(
        "limits",
        "SELECT count(*) FILTER (WHERE state = 'exceeded') AS exceeded,"
        " count(*) FILTER (WHERE state = 'warning') AS warning FROM entitlement_usage"
        f" WHERE billing_month = {_NEWEST}",
        lambda row: (
            not row["exceeded"],
            f"{row['exceeded']:,} plan limits exceeded and {row['warning']:,} above 80 % in the"
            " newest month",
        ),
    ),
)


def _revenue(sums: Sequence[Row]) -> str:
    """Each currency's total, and how it changed."""
    texts = []
    for row in sums:
        text = f"{format_amount(row['now'], row['currency'])} {row['currency']}"
        if row["before"]:
            text += f" ({100 * (row['now'] - row['before']) / row['before']:+.1f} %)"
        texts.append(text)
    return ", ".join(texts) or "nothing invoiced"


def health(published: duckdb.DuckDBPyConnection) -> list[Health]:
    """Every part, in the order of the money's way."""
    return [_health(published, part) for part in _PARTS]


def _health(published: duckdb.DuckDBPyConnection, part: _Part) -> Health:
    try:
        (row,) = rows(published, part.query)
    except duckdb.CatalogException as error:
        missing = str(error).splitlines()[0]
        return Health(part.name, False, f"published by an earlier release: {missing}")
    is_well, says = part.says(row)
    return Health(part.name, is_well, says)
