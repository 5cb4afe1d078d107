"""What we bill for a month, from the published tables, with what a comparison needs to know of it.

What belongs here: lines with their charge, discounts and taxes, the ids by which others may name
our customers, and the quantities without late events. What does not: comparing.

Late events are found in two ways: from what each earlier version of the invoice billed before they
came, and from the month's warehouse, while it exists, which knows each event's file. In each
folder, the file with the most events of a name counts as on time, and the others may be late.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.comparison.calculation import Tier
from billing_pipeline.comparison.lines import OurLine, Tax, Usage
from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import attach, open_published, utc_session
from billing_pipeline.settings import Settings

# At most this many files are tried as late, alone and together: the last by name.
_MAX_FILES = 4


class NotComparableError(LookupError):
    """The month has nothing that can be compared."""


@dataclass(frozen=True)
class OurMonth:
    """Our lines, and the customers and subscriptions that an export may name."""

    lines: tuple[OurLine, ...]
    customers: Mapping[str, str]
    """Our customer by each of its known ids: our id, Stripe's, its e-mail address."""
    subscriptions: Mapping[str, str]
    """The customer of a subscription."""
    payers: Mapping[str, str]
    """For each customer, the one whose invoice has its lines."""


_LINES = """
SELECT
    lines.line_id, lines.customer_id, invoices.customer_id AS payer_id, lines.currency, lines.kind,
    lines.description, lines.amount, lines.invoice_id, lines.charge_id, lines.period_start,
    lines.period_end, lines.subscription_id, lines.coupon_id, lines.tax_rate_id,
    coalesce(lines.is_inclusive, false) AS is_inclusive,
    coalesce(charges.calculation, lines.calculation, '') AS calculation,
    charges.quantity, charges.plan_id, charges.price_id, charges.meter_id
FROM invoice_lines AS lines
JOIN invoices USING (invoice_id)
LEFT JOIN charges ON lines.charge_id = charges.charge_id
    AND lines.billing_month = charges.billing_month
WHERE lines.billing_month = $1::DATE
ORDER BY lines.invoice_id, lines.position
"""
# A charge of 0 is on no invoice, but the other system may charge for it.
_NOTHING = """
SELECT
    '' AS line_id, charges.customer_id, customers.payer_id, charges.currency, 'charge' AS kind,
    charges.description, charges.amount, NULL AS invoice_id, charges.charge_id,
    charges.period_start, charges.period_end, charges.subscription_id, NULL AS coupon_id,
    NULL AS tax_rate_id, false AS is_inclusive, charges.calculation, charges.quantity,
    charges.plan_id, charges.price_id, charges.meter_id
FROM charges
JOIN customers ON charges.customer_id = customers.customer_id
    AND charges.billing_month = customers.billing_month
WHERE charges.billing_month = $1::DATE AND charges.amount = 0 AND customers.is_payer
ORDER BY charges.charge_id
"""


def read_month(settings: Settings, month: BillingMonth) -> OurMonth:
    """Our side of the comparison. Raises `NotComparableError` if the month is not published."""
    with open_published(settings) as published:
        try:
            return _read(published, month)
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise NotComparableError(
                f"{month} was published by an earlier release, without what a comparison needs: "
                f"`billing plan {month}` publishes it again and sends nothing"
            ) from error


def _read(published: duckdb.DuckDBPyConnection, month: BillingMonth) -> OurMonth:
    key = month.key
    known = rows(
        published,
        "SELECT customer_id, payer_id, email, stripe_customer_id FROM customers"
        " WHERE billing_month = $1::DATE",
        key,
    )
    if not known:
        raise NotComparableError(
            f"{month} is not published: `billing plan {month}` publishes it and sends nothing"
        )
    taxes, discounts = _taxes(published, key), _discounts(published, key)
    tiers = _tiers(published, key)
    found = rows(published, _LINES, key) + rows(published, _NOTHING, key)
    stripe = rows(
        published,
        "SELECT DISTINCT customer_id, stripe_customer_id FROM stripe_invoices"
        " WHERE stripe_customer_id IS NOT NULL AND customer_id IS NOT NULL",
    )
    subscriptions = rows(
        published,
        "SELECT DISTINCT subscription_id, customer_id FROM subscriptions"
        " WHERE billing_month = $1::DATE",
        key,
    )
    return OurMonth(
        tuple(_line(row, taxes, discounts, tiers) for row in found),
        _customer_ids(known, stripe),
        {row["subscription_id"]: row["customer_id"] for row in subscriptions},
        {row["customer_id"]: row["payer_id"] or row["customer_id"] for row in known},
    )


def _line(
    row: Row,
    taxes: Mapping[str, tuple[Tax, ...]],
    discounts: Mapping[str, list[Row]],
    tiers: Mapping[str, list[Row]],
) -> OurLine:
    of_line = discounts.get(row["line_id"], [])
    return OurLine(
        **row,
        taxes=taxes.get(row["line_id"], ()),
        discount_share=sum((one["discount_share"] for one in of_line), Decimal(0)),
        discounts=tuple((one["subscription_id"], one["coupon_id"]) for one in of_line),
        tiers=_tiers_at(tiers.get(row["price_id"], []), row["period_start"]),
    )


def _taxes(published: duckdb.DuckDBPyConnection, key: str) -> dict[str, tuple[Tax, ...]]:
    by_line: dict[str, tuple[Tax, ...]] = defaultdict(tuple)
    for row in rows(
        published,
        "SELECT line_id, tax_rate_id, percentage, is_inclusive FROM line_taxes"
        " WHERE billing_month = $1::DATE ORDER BY line_id, tax_rate_id",
        key,
    ):
        tax = Tax(row["tax_rate_id"], row["percentage"], row["is_inclusive"])
        by_line[row["line_id"]] += (tax,)
    return by_line


def _discounts(published: duckdb.DuckDBPyConnection, key: str) -> dict[str, list[Row]]:
    by_line: dict[str, list[Row]] = defaultdict(list)
    for row in rows(
        published,
        "SELECT line_id, subscription_id, coupon_id, discount_share FROM line_discounts"
        " WHERE billing_month = $1::DATE ORDER BY line_id, coupon_id",
        key,
    ):
        by_line[row["line_id"]].append(row)
    return by_line


def _tiers(published: duckdb.DuckDBPyConnection, key: str) -> dict[str, list[Row]]:
    by_price: dict[str, list[Row]] = defaultdict(list)
    for row in rows(
        published,
        "SELECT price_id, up_to, coalesce(unit_amount, percentage / 100, 0) AS rate,"
        " coalesce(flat_amount, 0) AS flat, valid_from FROM price_tiers"
        " WHERE billing_month = $1::DATE ORDER BY price_id, up_to NULLS LAST",
        key,
    ):
        by_price[row["price_id"]].append(row)
    return by_price


def _tiers_at(found: Sequence[Row], moment: datetime | None) -> tuple[Tier, ...]:
    """The tiers of the price version that was valid at that moment, else those of all versions."""
    versions = {row["valid_from"] for row in found if row["valid_from"] is not None}
    version = max((one for one in versions if moment and one <= moment), default=None)
    tiers, below = [], Fraction(0)
    for row in found:
        if row["valid_from"] == version:
            size = None if row["up_to"] is None else Fraction(row["up_to"]) - below
            tiers.append(Tier(size, Fraction(row["rate"]), Fraction(row["flat"])))
            below += size or 0
    return tuple(tiers)


def _customer_ids(known: Sequence[Row], stripe: Sequence[Row]) -> dict[str, str]:
    """Our customer by each id. An e-mail address that two customers share names neither."""
    emails: dict[str, set[str]] = defaultdict(set)
    for row in known:
        if row["email"]:
            emails[row["email"].lower()].add(row["customer_id"])
    names = {email: min(ids) for email, ids in emails.items() if len(ids) == 1}
    given = [row for row in known if row["stripe_customer_id"]]
    names |= {row["stripe_customer_id"]: row["customer_id"] for row in (*given, *stripe)}
    return names | {row["customer_id"]: row["customer_id"] for row in known}


# Late usage

_VERSIONS = """
SELECT DISTINCT charge_id, quantity, event_count, version
FROM charges_as_billed
WHERE billing_month = $1::DATE AND list_contains($2, charge_id)
ORDER BY charge_id, version
"""
# What each charge counted, by file: the sum, and the largest, the last and the distinct values.
_COUNTED_BY_FILE = """
SELECT
    charges.charge_id, windows.aggregation, windows.is_split, windows.event_name,
    events.source_file, count(*)::BIGINT AS events,
    sum(CASE WHEN windows.aggregation = 'count' THEN 1 ELSE events.value END) AS added,
    max(events.value) AS highest,
    max((events.occurred_at, events.source_file, events.source_row, events.value)) AS last,
    list(DISTINCT events.unique_value) AS different
FROM metered_events AS events
JOIN usage_windows AS windows USING (window_id)
JOIN main.charges AS charges ON windows.subscription_id = charges.subscription_id
    AND windows.price_id = charges.price_id AND windows.window_start = charges.period_start
-- what the meter cannot read counts nothing
WHERE list_contains($1, charges.charge_id) AND NOT events.is_correction
    AND coalesce(events.value::VARCHAR, events.unique_value) IS NOT NULL
GROUP BY ALL
ORDER BY charges.charge_id, events.source_file
"""
_FILES = """
SELECT event_name, parse_dirpath(source_file) AS folder, source_file, count(*)::BIGINT AS events
FROM raw.usage_events
GROUP BY ALL
ORDER BY event_name, folder, events DESC, source_file
"""
_LATE_NAME = re.compile(r"late|delay|resen[dt]|backfill|replay|missing|nachtrag", re.IGNORECASE)


def with_late_usage(
    settings: Settings, month: BillingMonth, lines: Sequence[OurLine]
) -> list[OurLine]:
    """The lines, each with the quantities that it would have without late events."""
    wanted = sorted({line.charge_id for line in lines if line.charge_id and line.meter_id})
    usages: dict[str, list[Usage]] = defaultdict(list)
    quantities = {line.charge_id: line.quantity for line in lines}
    if wanted:
        with open_published(settings) as published:
            for row in rows(published, _VERSIONS, month.key, wanted):
                if row["quantity"] != quantities[row["charge_id"]]:
                    text = f"as version {row['version']} was billed, before later usage"
                    usage = Usage(row["quantity"], row["event_count"], text)
                    usages[row["charge_id"]].append(usage)
        for charge_id, found in _quantities_by_file(settings.warehouse_path(month), wanted).items():
            usages[charge_id] += _without_files(found, quantities[charge_id])
    return [replace(line, usages=tuple(usages.get(line.charge_id or "", ()))) for line in lines]


def _quantities_by_file(warehouse: Path, charge_ids: Collection[str]) -> dict[str, list[Row]]:
    """What each charge counted, by file; empty if the month's warehouse is gone or busy."""
    if not warehouse.exists():
        return {}
    with utc_session() as connection:
        try:
            attach(connection, warehouse, "warehouse")
            connection.execute("USE warehouse")
            counted = rows(connection, _COUNTED_BY_FILE, list(charge_ids))
            files = rows(connection, _FILES)
        except duckdb.Error:
            # A run is rebuilding the month, or an earlier release rated it.
            return {}
    main: dict[tuple[str, str], Row] = {}
    events: dict[tuple[str, str], int] = {}
    for row in files:
        main.setdefault((row["event_name"], row["folder"]), row)
        events[row["event_name"], row["source_file"]] = row["events"]
    by_charge: dict[str, list[Row]] = defaultdict(list)
    for row in counted:
        name, file = row["event_name"], row["source_file"]
        largest = main[name, file.rpartition("/")[0]]
        row["is_late"] = largest["source_file"] != file
        is_small = 2 * events[name, file] < largest["events"]
        row["is_sure"] = row["is_late"] and (is_small or bool(_LATE_NAME.search(file)))
        by_charge[row["charge_id"]].append(row)
    return by_charge


def _without_files(found: Sequence[Row], quantity: Decimal | None) -> list[Usage]:
    """The quantities without each late file, and without each combination of late files."""
    if quantity is None or found[0]["is_split"]:
        return []
    total = _aggregated(found)
    adds_up = found[0]["aggregation"] in ("count", "sum")
    if total is None or (total != quantity and not adds_up):
        return []
    late = [row for row in found if row["is_late"]][-_MAX_FILES:]
    usages = []
    for size in range(1, len(late) + 1):
        for dropped in combinations(late, size):
            rest = [row for row in found if row not in dropped]
            # Keep the quantity that is in no file, such as corrections.
            changed = (_aggregated(rest) or Decimal(0)) + (quantity - total)
            events = sum(row["events"] for row in rest)
            names = ", ".join(row["source_file"] for row in dropped)
            count = sum(row["events"] for row in dropped)
            if changed != quantity and changed >= 0:
                text = f"without {count} events of {names}"
                is_sure = all(row["is_sure"] for row in dropped)
                usages.append(Usage(changed, events, text, is_sure))
    return usages


def _aggregated(found: Sequence[Row]) -> Decimal | None:
    """The quantity of the files together; None for aggregations that files cannot be merged by."""
    if not found:
        return Decimal(0)
    aggregation = found[0]["aggregation"]
    if aggregation in ("count", "sum"):
        return sum((Decimal(row["added"]) for row in found), Decimal(0))
    if aggregation == "max":
        return max(Decimal(row["highest"]) for row in found)
    if aggregation == "latest":
        return Decimal(max(_instant(row["last"]) for row in found)[-1])
    if aggregation == "unique_count":
        return Decimal(len({value for row in found for value in row["different"]}))
    return None


def _instant(last: Any) -> tuple[Any, ...]:
    return tuple(last.values()) if isinstance(last, dict) else tuple(last)
