"""Explaining an amount: from an invoice, line or charge back to the rule and the events.

What belongs here: reading the published tables and, as long as it exists, the month's warehouse for
the price as it was applied. What does not: recomputing anything, because the result could differ
from what was billed; and how a terminal shows it (``commands.explain``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.duckdb_sql import rows, sql_text
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import open_published
from billing_pipeline.settings import Settings

Record = dict[str, Any]


class UnknownRecordError(LookupError):
    """No published table has this id."""


# The events that a charge counted: those in its window, after the price's filter.
_EVENTS_SQL = """\
SELECT events.event_id, events.occurred_at, events.value, events.unique_value,
    events.source_file, events.source_row
FROM metered_events AS events JOIN usage_windows AS windows USING (window_id)
WHERE windows.subscription_id = {subscription} AND windows.price_id = {price}
    AND windows.window_start = TIMESTAMPTZ {start}
ORDER BY events.occurred_at, events.source_file, events.source_row"""

# Not counted: the customer's rows that were set aside, and events that this meter could not read.
# Both are filed under the month of their folder; a period of 30 days touches up to three months.
_SET_ASIDE_SQL = """\
SELECT reason, count(*) AS events FROM (
    SELECT reason FROM usage_rejections
    WHERE billing_month BETWEEN $1::DATE AND $2
        AND CASE WHEN json_valid(raw) THEN raw ->> '$.customer_id' END = $3
    UNION ALL
    SELECT reason FROM usage_issues
    WHERE billing_month BETWEEN $1::DATE AND $2 AND customer_id = $3 AND meter_id = $4
        AND event_id IS NOT NULL
) GROUP BY reason ORDER BY reason"""


def explain(settings: Settings, record_id: str) -> Record:
    """What is known about an id: ``id``, ``invoice``, ``payment``, ``lines``, ``charges``.

    Each charge has its ``tiers``, its ``rule`` (the price's row; None if the month's warehouse is
    gone or busy), and for usage ``set_aside`` (by reason, how many of the customer's rows in the
    months of its period were not counted, whichever meter they were for) and ``events_sql`` with
    the ``events_database`` in which to run it. Raises `UnknownRecordError`.
    """
    with open_published(settings) as published:
        lines = rows(
            published,
            "SELECT * FROM invoice_lines WHERE invoice_id = $1 OR line_id = $1 OR charge_id = $1"
            " ORDER BY invoice_id, position",
            record_id,
        )
        charge_ids = [line["charge_id"] for line in lines if line["charge_id"]] or [record_id]
        charges = rows(
            published,
            "SELECT * FROM charges WHERE list_contains($1, charge_id) ORDER BY charge_id",
            charge_ids,
        )
        tiers = rows(
            published,
            "SELECT * FROM charge_tiers WHERE list_contains($1, charge_id)"
            " ORDER BY charge_id, tier",
            charge_ids,
        )
        for charge in charges:
            charge["set_aside"] = _set_aside(published, charge, settings)
        invoice_id = lines[0]["invoice_id"] if lines else record_id
        invoices = rows(published, "SELECT * FROM invoices WHERE invoice_id = $1", invoice_id)
        payments = rows(
            published, "SELECT * FROM invoice_payments WHERE invoice_id = $1", invoice_id
        )
    if not (invoices or lines or charges):
        raise UnknownRecordError(
            f"{record_id!r} is not the id of a published invoice, line or charge"
        )
    for charge in charges:
        charge["tiers"] = [tier for tier in tiers if tier["charge_id"] == charge["charge_id"]]
        _add_source(settings, charge)
    _add_rules(charges)
    return {
        "id": record_id,
        "invoice": invoices[0] if invoices else None,
        "payment": payments[0] if payments else None,
        "lines": lines,
        "charges": charges,
    }


def _set_aside(
    published: duckdb.DuckDBPyConnection, charge: Record, settings: Settings
) -> list[Record]:
    if charge["meter_id"] is None:
        return []
    first = BillingMonth.containing(charge["period_start"], settings.timezone)
    months = (first.key, charge["billing_month"])
    return rows(published, _SET_ASIDE_SQL, *months, charge["customer_id"], charge["meter_id"])


def _add_source(settings: Settings, charge: Record) -> None:
    """Add where the charge came from: the month's warehouse, and the SQL that lists its events."""
    month = BillingMonth(charge["billing_month"].year, charge["billing_month"].month)
    charge["events_database"] = str(settings.warehouse_path(month))
    charge["events_sql"] = None
    if charge["meter_id"] is not None:
        charge["events_sql"] = _EVENTS_SQL.format(
            subscription=sql_text(charge["subscription_id"]),
            price=sql_text(charge["price_id"]),
            start=sql_text(charge["period_start"].isoformat()),
        )


def _add_rules(charges: list[Record]) -> None:
    """Add to each charge the row of the price book that priced it, from the month's warehouse."""
    for charge in charges:
        charge["rule"] = None
    for path in sorted({charge["events_database"] for charge in charges}):
        if not Path(path).exists():
            continue
        try:
            with duckdb.connect(path, read_only=True) as warehouse:
                warehouse.execute("SET TimeZone = 'UTC'")
                for charge in charges:
                    if charge["events_database"] == path:
                        charge["rule"] = _rule(warehouse, charge)
        except duckdb.Error:
            # A run is rebuilding the month. The published calculation says the same in words.
            continue


def _rule(warehouse: duckdb.DuckDBPyConnection, charge: Record) -> Record | None:
    found = rows(
        warehouse,
        "SELECT * FROM raw.plan_prices WHERE price_id = $1 AND plan_id = $3"
        " AND (valid_from IS NULL OR valid_from <= $2) AND (valid_to IS NULL OR valid_to > $2)",
        charge["price_id"],
        charge["period_start"],
        charge["plan_id"],
    )
    return found[0] if len(found) == 1 else None
