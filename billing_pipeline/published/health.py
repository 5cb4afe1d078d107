"""Is everything well? One sentence for each part, and whether it needs attention.

What belongs here: the parts, and the words for what the published tables say about each. What does
not: the rules of what needs attention, which are in the published view `needs_attention`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import format_amount
from billing_pipeline.text import counted


@dataclass(frozen=True)
class Health:
    """The state of one part of the pipeline: `is_well`, or something to look at."""

    part: str
    is_well: bool
    says: str


@dataclass(frozen=True)
class _Part:
    """`says` gets the row of `query`, and in `wrong` what `needs_attention` has of these `kinds`,
    in the newest month or in all months."""

    name: str
    query: str
    says: Callable[[Row], str]
    kinds: tuple[str, ...] = ()
    is_of_all_months: bool = True


USAGE_GAPS = ("source_missing", "no_usage", "usage_fell")
"""The kinds of `needs_attention` for usage that has not arrived."""

ATTENTION_TABLE = "attention"
"""On the connection that `health` was given: the rows of `needs_attention`, read only once, because
it reads the files of twenty tables of each month."""

# The newest month that was computed, to which the sentences about customers and usage refer.
_NEWEST = "getvariable('newest_month')"
_READ_ONCE = (
    f"CREATE OR REPLACE TEMP TABLE {ATTENTION_TABLE} AS FROM needs_attention",
    "SET VARIABLE newest_month = (SELECT max(billing_month) FROM seller)",
)
_STRIPE_DIFFERS = (
    *("missing", "unexpected", "differs", "wallet_differs", "charge_differs"),
    *("unknown", "payout_failed"),
)

# What needs attention besides the states of invoices: what is counted, and its label.
_CUSTOMER_KINDS = {
    "refunded": ("invoice", "refunded without a credit note"),
    "disputed": ("invoice", "disputed"),
    "credited_by_hand": ("credit note", "made by hand"),
    "customer_suspended": ("customer", "suspended"),
    "card_expires": ("card", "expiring before the next charge"),
}

_PARTS = (
    _Part(
        "tables",
        "SELECT count(*) AS views,"
        " (SELECT count(DISTINCT billing_month) FROM usage_files) AS months"
        " FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'",
        lambda row: f"{row['views']} published, {row['months']} months in them",
    ),
    _Part(
        "usage",
        "SELECT coalesce(sum(rows_read), 0)::BIGINT AS read, count(*) AS files"
        f" FROM usage_files WHERE billing_month = {_NEWEST}",
        lambda row: (
            f"{row['read']:,} rows in {row['files']} files of the newest month"
            + f", {row['wrong']:,} of them set aside: table rejected_usage" * bool(row["wrong"])
        ),
        kinds=("usage_rejected",),
        is_of_all_months=False,
    ),
    _Part(
        "sources",
        "SELECT count(*) AS expected, (SELECT string_agg(reason, '; ' ORDER BY reason)"
        f" FROM {ATTENTION_TABLE} WHERE kind IN {USAGE_GAPS} AND billing_month = {_NEWEST})"
        f" AS gaps FROM usage_sources WHERE billing_month = {_NEWEST} AND expected IS NOT NULL",
        lambda row: (
            f"{row['gaps']} in the newest month"
            if row["gaps"]
            else f"usage of {row['expected']:,} expected sources has arrived in the newest month"
            if row["expected"]
            else "usage has arrived as before (catalog/sources.csv can say what is expected)"
        ),
        kinds=USAGE_GAPS,
        is_of_all_months=False,
    ),
    _Part(
        "unpriced",
        "SELECT count(DISTINCT customer_id) AS customers,"
        " coalesce(sum(event_count), 0)::BIGINT AS events FROM unpriced_usage"
        f" WHERE billing_month = {_NEWEST}",
        lambda row: _unpriced(row),
        kinds=("usage_unpriced", "usage_charged_twice"),
        is_of_all_months=False,
    ),
    _Part(
        "customers",
        "SELECT count(*) AS customers, (SELECT count(DISTINCT subscription_id) FROM charges"
        f" WHERE billing_month = {_NEWEST}) AS subscriptions FROM customers"
        f" WHERE billing_month = {_NEWEST}",
        lambda row: (
            f"{row['customers']:,} known, {row['subscriptions']:,} subscriptions charged"
            " in the newest month"
        ),
    ),
    _Part(
        "revenue",
        "SELECT list({'currency': currency, 'now': now, 'before': before} ORDER BY currency)"
        " AS sums FROM (SELECT currency,"
        f" coalesce(sum(total) FILTER (WHERE billing_month = {_NEWEST}), 0) AS now,"
        f" sum(total) FILTER (WHERE billing_month = {_NEWEST} - INTERVAL 1 MONTH) AS before"
        " FROM months GROUP BY currency) WHERE now <> 0",
        lambda row: _revenue(row["sums"] or []) + " in the newest month",
    ),
    _Part(
        "drift",
        "SELECT string_agg(DISTINCT strftime(billing_month, '%Y-%m'), ', '"
        " ORDER BY strftime(billing_month, '%Y-%m')) AS months FROM month_drift",
        lambda row: (
            f"{counted(row['wrong'], 'customer')} of {row['months']} would be charged differently"
            " today: table month_drift"
            if row["months"]
            else "closed months would be charged today as they were billed"
        ),
        kinds=("month_drift",),
    ),
    _Part(
        "Stripe",
        "SELECT count(*) AS invoices FROM reconciliation",
        lambda row: (
            f"{row['wrong']:,} of {row['invoices']:,} invoices differ: three_way_reconciliation"
            if row["wrong"]
            else f"agrees to the cent on {row['invoices']:,} invoices"
        ),
        kinds=tuple(f"stripe_{state}" for state in _STRIPE_DIFFERS),
    ),
    _Part(
        "payments",
        "SELECT count(*) FILTER (WHERE status = 'overdue') AS overdue,"
        " count(*) FILTER (WHERE status = 'uncollectible') AS uncollectible,"
        " count(*) FILTER (WHERE status = 'open') AS open,"
        " count(*) FILTER (WHERE payment_state = 'processing') AS processing,"
        " count(*) FILTER (WHERE status = 'paid') AS paid,"
        f" (SELECT histogram(kind) FROM {ATTENTION_TABLE}) AS attention"
        " FROM invoice_payments",
        lambda row: _payments(row),
        kinds=("overdue", "uncollectible", *_CUSTOMER_KINDS),
    ),
    _Part(
        "wallets",
        "SELECT count(DISTINCT (customer_id, currency)) AS wallets FROM wallet_reconciliation",
        lambda row: (
            f"{row['wrong']:,} balances differ from Stripe's: table wallet_reconciliation"
            if row["wrong"]
            else f"{row['wallets']:,}, each as in Stripe"
        ),
        kinds=("wallet_differs_from_stripe",),
    ),
    _Part(
        "limits",
        "SELECT count(*) FILTER (WHERE state = 'warning') AS warning FROM entitlement_usage"
        f" WHERE billing_month = {_NEWEST}",
        lambda row: (
            f"{row['wrong']:,} plan limits exceeded and {row['warning']:,} above 80 % in"
            " the newest month"
        ),
        kinds=("limit_exceeded",),
        is_of_all_months=False,
    ),
)


def _unpriced(row: Row) -> str:
    """Usage that no price charges, and usage that several subscriptions charge."""
    texts = []
    if row["events"]:
        texts.append(
            f"{row['events']:,} events of {row['customers']:,} customers are charged by nothing:"
            " table unpriced_usage"
        )
    if row["wrong"] > row["events"]:
        twice = row["wrong"] - row["events"]
        texts.append(f"usage of {counted(twice, 'meter')} is charged twice: table usage_issues")
    return "; ".join(texts) or "every event of the newest month is priced, or counted by a limit"


def _payments(row: Row) -> str:
    """How many invoices are in each state, and what else needs attention."""
    states = ", ".join(
        f"{row[name]:,} {name}"
        for name in ("paid", "open", "overdue", "uncollectible")
        if row[name] or name == "paid"
    )
    if row["processing"]:
        states += f" ({row['processing']:,} of them with a debit under way)"
    attention = row["attention"] or {}
    counts = [
        f"{counted(attention[kind], what)} {words}"
        for kind, (what, words) in _CUSTOMER_KINDS.items()
        if kind in attention
    ]
    return "; ".join([states, *([", ".join(counts)] if counts else [])])


def _revenue(sums: Sequence[Row]) -> str:
    """The total in each currency, and how it changed."""
    texts = []
    for row in sums:
        text = f"{format_amount(row['now'], row['currency'])} {row['currency']}"
        if row["before"]:
            text += f" ({100 * (row['now'] - row['before']) / row['before']:+.1f} %)"
        texts.append(text)
    return ", ".join(texts) or "nothing invoiced"


def health(published: duckdb.DuckDBPyConnection) -> list[Health]:
    """Every part, in the order in which money flows."""
    try:
        for statement in _READ_ONCE:
            published.execute(statement)
    except duckdb.CatalogException as error:
        return [_not_published_yet(part, error) for part in _PARTS]
    return [_health(published, part) for part in _PARTS]


def _health(published: duckdb.DuckDBPyConnection, part: _Part) -> Health:
    try:
        (row,) = rows(
            published,
            f"SELECT part.*, (SELECT coalesce(sum(items), 0)::BIGINT FROM {ATTENTION_TABLE}"
            f" WHERE list_contains($1, kind) AND ($2 OR billing_month = {_NEWEST})) AS wrong"
            f" FROM ({part.query}) AS part",
            part.kinds,
            part.is_of_all_months,
        )
    except duckdb.CatalogException as error:
        return _not_published_yet(part, error)
    return Health(part.name, not row["wrong"], part.says(row))


def _not_published_yet(part: _Part, error: duckdb.CatalogException) -> Health:
    missing = str(error).splitlines()[0]
    return Health(part.name, False, f"published by an earlier release: {missing}")


def usage_gaps(
    published: duckdb.DuckDBPyConnection, attention: str = "needs_attention"
) -> list[Row]:
    """Missing usage, in all months: month (YYYY-MM), kind, source, and a sentence. `attention` is
    where to look: the view, or `ATTENTION_TABLE`."""
    return rows(
        published,
        "SELECT strftime(billing_month, '%Y-%m') AS month, kind, subject AS source, reason"
        f" FROM {attention} WHERE list_contains($1, kind) ORDER BY ALL",
        USAGE_GAPS,
    )
