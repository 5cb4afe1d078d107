"""What an invoice was made of, as data that a calculator can start from.

What belongs here: reading the invoice, its charges with their terms and events, its coupons and
taxes, and what was sent to Stripe. What does not: computing anything (``calculator.js``), and the
page (``page``).

Nothing of another customer is read: events are those of this invoice's own service periods, and
names of usage files stay out, as they may name others. Numbers are texts, times microseconds.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import CURRENCY_PLACES, plain_number

# More events than this are not all put into the file: it has those of a chosen line.
MAX_EVENTS = 20_000


class NoProofError(LookupError):
    """The invoice cannot be proven from what is here."""


_TERMS = (
    "unit_amount", "flat_amount", "package_size", "percentage", "included_quantity", "included_per",
    "quantity_rounding", "minimum_amount", "maximum_amount", "event_minimum_amount",
    "event_maximum_amount", "free_events",
)  # fmt: skip

# The invoice's charges, those of 0 as well: they stand on no line, and are its customer's.
_CHARGES = """
SELECT
    customers.payer_id, charges.currency, charges.charge_id, charges.customer_id,
    charges.subscription_id, charges.plan_id, charges.price_id, charges.meter_id, charges.kind,
    charges.charge_model, charges.description,
    charges.quantity, charges.billable_quantity, charges.exact_amount, charges.amount,
    charges.event_count, charges.calculation,
    epoch_us(charges.period_start) AS period_start, epoch_us(charges.period_end) AS period_end,
    terms.whole_us, terms.prorate, terms.is_share_of_amount, terms.correction_count,
    terms.quantity AS stated_quantity, terms.valid_from, terms.tiers_from, {terms}
FROM charges
JOIN billable_quantities AS terms ON charges.charge_id = terms.charge_id
JOIN stg_accounts__customers AS customers ON charges.customer_id = customers.customer_id
WHERE list_contains($1, customers.payer_id) AND customers.is_payer
ORDER BY charges.charge_id
""".format(terms=", ".join(f"terms.{name}" for name in _TERMS))
_WINDOWS = """
SELECT charges.charge_id, windows.window_id
FROM charges JOIN usage_windows AS windows ON charges.subscription_id = windows.subscription_id
    AND charges.price_id = windows.price_id AND charges.period_start = windows.window_start
    AND charges.meter_id = windows.meter_id
WHERE list_contains($1, charges.charge_id) AND NOT windows.is_trial
"""
# In the order in which readings of one instant follow one another.
_EVENTS = """
SELECT
    window_id, event_id, epoch_us(occurred_at) AS at, aggregation, property, quantity,
    property_value, value, unique_value, group_values, bucket_start, is_correction
FROM metered_events
WHERE list_contains($1, window_id)
ORDER BY window_id, occurred_at, is_correction, source_file, source_row
"""
_CARRIED_VALUES = "SELECT * FROM carried_values WHERE list_contains($1, window_id)"
_BUCKETS = "SELECT * FROM carried_buckets WHERE list_contains($1, window_id) ORDER BY bucket_start"
_CORRECTED = "SELECT * FROM window_corrections WHERE list_contains($1, window_id)"
_TIERS = """
SELECT * FROM stg_catalog__price_tiers WHERE list_contains($1, price_id)
ORDER BY price_id, up_to NULLS LAST
"""
# What else the price says, to be read.
_RULES = """
SELECT DISTINCT price_id, valid_from, valid_to, filter, filter_rest, timing, interval
FROM raw.prices
WHERE list_contains($1, price_id)
"""
_SEATS = """
SELECT subscription_id, quantity, epoch_us(starts_at) AS starts_at, epoch_us(ends_at) AS ends_at
FROM stg_accounts__subscriptions
WHERE list_contains($1, subscription_id) AND (ends_at IS NULL OR ends_at > starts_at)
ORDER BY subscription_id, starts_at
"""
_COUPONS = """
SELECT lines.*, coupons.amount_off
FROM coupon_lines AS lines
JOIN stg_catalog__coupons AS coupons ON lines.coupon_id = coupons.coupon_id
WHERE list_contains($1, lines.subscription_id)
ORDER BY lines.subscription_id, lines.subscription_number, lines.position, lines.line_id
"""
_METER = (
    "meter_id", "event_name", "aggregation", "property", "carry_forward", "group_by", "bucket",
    "event_rounding", "is_split",
)  # fmt: skip


def read_proof(
    published: duckdb.DuckDBPyConnection,
    warehouse: duckdb.DuckDBPyConnection,
    invoice: Row,
    *,
    events_of: str | None,
) -> dict[str, Any]:
    """The proof of an invoice. `events_of`: the line or charge whose events are put in where all
    would be more than `MAX_EVENTS`."""
    (proof,) = read_proofs(published, warehouse, [invoice], events_of=events_of)
    return proof


def read_proofs(
    published: duckdb.DuckDBPyConnection,
    warehouse: duckdb.DuckDBPyConnection,
    invoices: Sequence[Row],
    *,
    events_of: str | None = None,
    max_events: int = MAX_EVENTS,
) -> list[dict[str, Any]]:
    """The proofs of a month's invoices, in their order: one reading for all of them."""
    keys = [invoice["invoice_id"] for invoice in invoices]
    lines = _grouped_by(
        "invoice_id",
        rows(
            published,
            "SELECT * FROM invoice_lines WHERE list_contains($1, invoice_id) ORDER BY position",
            keys,
        ),
    )
    taxes = _grouped_by(
        "invoice_id",
        rows(
            published,
            "SELECT * FROM line_taxes WHERE list_contains($1, invoice_id)"
            " ORDER BY tax_rate_id, line_id",
            keys,
        ),
    )
    payers = sorted({invoice["customer_id"] for invoice in invoices})
    charges = rows(warehouse, _CHARGES, payers)
    made = _Charges(warehouse, charges)
    coupons = _coupons(warehouse, [line for of_key in lines.values() for line in of_key])
    proofs = []
    for invoice in invoices:
        key, whose = invoice["invoice_id"], (invoice["customer_id"], invoice["currency"])
        own = [charge for charge in charges if (charge["payer_id"], charge["currency"]) == whose]
        own_lines = lines.get(key, [])
        _require_same_rating(own_lines, own, key)
        left_out = _left_out(own, own_lines, events_of, max_events)
        proofs.append(
            {
                "format": 1,
                "places": CURRENCY_PLACES[invoice["currency"]],
                "invoice": _plain(invoice),
                "lines": [_plain(_shown(line)) for line in own_lines],
                "charges": [made.of(charge, left_out) for charge in own],
                "discounts": _discounts(coupons, own_lines),
                "taxes": _taxes(taxes.get(key, []), own_lines),
            }
        )
    return proofs


def _left_out(
    charges: Sequence[Row], lines: Sequence[Row], events_of: str | None, max_events: int
) -> set[str]:
    """Whose events are not put into the file."""
    if sum(charge["event_count"] or 0 for charge in charges) <= max_events:
        return set()
    chosen = {line["charge_id"] for line in lines if line["line_id"] == events_of} | {events_of}
    return {charge["charge_id"] for charge in charges} - chosen


def _require_same_rating(lines: Sequence[Row], charges: Sequence[Row], invoice_id: str) -> None:
    """The month may be rated anew since it was published, or never here."""
    known = {charge["charge_id"]: charge["amount"] for charge in charges}
    for line in lines:
        if line["kind"] == "charge" and known.get(line["charge_id"]) != line["amount"]:
            raise NoProofError(
                f"{invoice_id} was published from another rating of the month than the one that is "
                "here: `billing plan MONTH` rates and publishes it again, and sends nothing"
            )


_LINE_COLUMNS = (
    "line_id", "customer_id", "subscription_id", "kind", "charge_id", "tax_rate_id",
    "is_inclusive", "description", "quantity", "amount", "currency", "calculation",
)  # fmt: skip


def _shown(line: Row) -> Row:
    return {name: line[name] for name in _LINE_COLUMNS} | {
        "period_start": line["period_start"],
        "period_end": line["period_end"],
    }


# Charges


class _Charges:
    """The charges with their terms, meters and events."""

    def __init__(self, warehouse: duckdb.DuckDBPyConnection, charges: Sequence[Row]) -> None:
        def listed(sql: str, ids: Sequence[Any]) -> list[Row]:
            return rows(warehouse, sql, list(ids)) if ids else []

        metered = [charge["charge_id"] for charge in charges if charge["meter_id"]]
        self._windows = {row["charge_id"]: row["window_id"] for row in listed(_WINDOWS, metered)}
        ids = sorted(self._windows.values())
        self._events = _grouped_by("window_id", listed(_EVENTS, ids))
        self._carried = _grouped_by("window_id", listed(_CARRIED_VALUES, ids))
        self._buckets = _grouped_by("window_id", listed(_BUCKETS, ids))
        self._corrected = {
            row["window_id"]: row["corrected_quantity"] for row in listed(_CORRECTED, ids)
        }
        meters = rows(warehouse, "SELECT * FROM stg_catalog__meters")
        self._meters = {row["meter_id"]: row for row in meters}
        prices = sorted({charge["price_id"] for charge in charges})
        self._tiers = _grouped_by("price_id", listed(_TIERS, prices))
        self._rules = {(row["price_id"], row["valid_from"]): row for row in listed(_RULES, prices)}
        with_seats = [one for one in charges if one["included_per"] == "seat"]
        subscriptions = sorted({one["subscription_id"] for one in with_seats})
        self._seats = _grouped_by("subscription_id", listed(_SEATS, subscriptions))

    def of(self, charge: Row, left_out: set[str]) -> dict[str, Any]:
        left = (*_TERMS, "tiers_from")
        made: dict[str, Any] = {name: charge[name] for name in charge if name not in left}
        made["terms"] = {name: charge[name] for name in _TERMS}
        made["terms"]["tiers"] = [
            {name: tier[name] for name in ("up_to", "unit_amount", "flat_amount", "percentage")}
            for tier in self._tiers.get(charge["price_id"], [])
            if tier["valid_from"] == charge["tiers_from"]  # a version may have its own
        ]
        made["rule"] = self._rules.get((charge["price_id"], charge["valid_from"]), {})
        if charge["included_per"] == "seat":
            made["seats"] = self._seats.get(charge["subscription_id"], [])
        if charge["meter_id"]:
            made |= self._metered(charge, left_out)
        return _plain_dict(made)

    def _metered(self, charge: Row, left_out: set[str]) -> dict[str, Any]:
        window = self._windows.get(charge["charge_id"])
        own = self._events.get(window, [])
        events = [_event(event) for event in own if _is_counted(event)]
        meter = self._meters[charge["meter_id"]]
        return {
            "meter": {name: meter[name] for name in _METER},
            "events_digest": events_digest(events),
            "events": None if charge["charge_id"] in left_out else events,
            "unreadable": len(own) - len(events),
            "corrected": self._corrected.get(window),
            "carried": [
                {
                    "group": _group(row["group_values"]),
                    "value": row["carried_value"],
                    "from": row["carried_from"],
                }
                for row in self._carried.get(window, [])
            ],
            "buckets": [row["bucket_start"] for row in self._buckets.get(window, [])],
        }


def _grouped_by(name: str, found: Iterable[Row]) -> dict[Any, list[Row]]:
    by_name: dict[Any, list[Row]] = defaultdict(list)
    for row in found:
        by_name[row[name]].append(row)
    return by_name


def _is_counted(event: Row) -> bool:
    """What a meter cannot read is reported (usage_issues), and counts for nothing."""
    is_read = event["value"] is not None or event["unique_value"] is not None
    return is_read or event["aggregation"] == "count"


def _event(event: Row) -> dict[str, Any]:
    """The event as it came; of a counter the increase, which another reading is a part of."""
    made: dict[str, Any] = {"id": event["event_id"], "at": str(event["at"])}
    if event["aggregation"] == "unique_count":
        made["unique"] = event["unique_value"]
    elif event["aggregation"] == "counter":
        made["value"] = _text(event["value"])
    elif event["aggregation"] != "count":
        of_property = event["property"] is not None and not event["is_correction"]
        raw = event["property_value"] if of_property else _text(event["quantity"])
        made["raw"] = raw
    if event["group_values"] is not None:
        made["group"] = _group(event["group_values"])
    if event["bucket_start"] is not None:
        made["bucket"] = str(event["bucket_start"])
    if event["is_correction"]:
        made["correction"] = True
    return made


def _group(values: Sequence[str | None] | None) -> str | None:
    return None if values is None else json.dumps(values, ensure_ascii=False)


def events_digest(events: Sequence[Mapping[str, Any]]) -> str:
    """The digest of a charge's events: one line each, `id,time,value`."""
    text = "".join(
        f"{event['id'] or ''},{event['at']},{_counted_value(event)}\n" for event in events
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _counted_value(event: Mapping[str, Any]) -> str:
    given = (event.get("raw"), event.get("value"), event.get("unique"))
    return next((text for text in given if text is not None), "")


# Discounts and taxes


def _coupons(warehouse: duckdb.DuckDBPyConnection, lines: Sequence[Row]) -> list[Row]:
    """Each line of the subscriptions with each of their coupons, in the coupons' order."""
    subscriptions = sorted({line["subscription_id"] for line in lines if line["subscription_id"]})
    return rows(warehouse, _COUPONS, subscriptions) if subscriptions else []


def _discounts(coupons: Sequence[Row], lines: Sequence[Row]) -> list[dict[str, Any]]:
    """Of each subscription its lines, and its coupons with the lines that each counts for."""
    known = {line["line_id"] for line in lines}
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for row in coupons:
        if row["line_id"] not in known:
            continue
        key = (row["subscription_id"], row["subscription_number"])
        of_key = found.setdefault(key, {"subscription_id": key[0], "lines": set(), "coupons": {}})
        of_key["lines"].add(row["line_id"])
        coupon = of_key["coupons"].setdefault(
            row["coupon_id"],
            {
                "coupon_id": row["coupon_id"],
                "percent_off": row["percent_off"],
                "amount_off": row["amount_off"],
                "lines": [],
                "line_id": _discount_line(lines, row),
            },
        )
        if row["is_covered"]:
            coupon["lines"].append(row["line_id"])
    return [
        _plain_dict(
            {**one, "lines": sorted(one["lines"]), "coupons": list(one["coupons"].values())}
        )
        for _, one in sorted(found.items())
    ]


def _discount_line(lines: Sequence[Row], coupon: Row) -> str | None:
    """The line of a coupon; a subscription after a gap has lines of its own."""
    found = [
        line["line_id"]
        for line in lines
        if line["kind"] == "discount"
        and line["coupon_id"] == coupon["coupon_id"]
        and line["subscription_id"] == coupon["subscription_id"]
    ]
    number = coupon["subscription_number"]
    return found[min(number, len(found)) - 1] if found else None


def _taxes(taxes: Sequence[Row], lines: Sequence[Row]) -> list[dict[str, Any]]:
    """Each rate with the lines that it applies to."""
    by_rate: dict[str, dict[str, Any]] = {}
    for row in taxes:
        rate = by_rate.setdefault(
            row["tax_rate_id"],
            {
                "tax_rate_id": row["tax_rate_id"],
                "percentage": row["percentage"],
                "is_inclusive": row["is_inclusive"],
                "lines": [],
                "line_id": next(
                    (
                        line["line_id"]
                        for line in lines
                        if line["kind"] == "tax" and line["tax_rate_id"] == row["tax_rate_id"]
                    ),
                    None,
                ),
            },
        )
        rate["lines"].append(row["line_id"])
    return [_plain_dict(rate) for rate in by_rate.values()]


# What was sent

_SENT = """
SELECT subject, body ->> 'revision', body ->> 'content', body ->> 'content_hash'
FROM billed
WHERE iif(json_valid(body), body ->> 'what' = 'invoice' AND body ->> 'invoice_id' = ?, false)
ORDER BY month, position
"""


def read_sent_content(records: Path, invoice_id: str) -> list[dict[str, Any]]:
    """What Stripe was sent of an invoice, with the digest that stands in Stripe's metadata; empty
    where nothing was."""
    if not records.exists():
        return []
    connection = sqlite3.connect(f"{records.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        found = connection.execute(_SENT, [invoice_id]).fetchall()
    except sqlite3.Error as error:
        raise NoProofError(f"{records} cannot be read: {error}") from error
    finally:
        connection.close()
    names = ("stripe_invoice_id", "revision", "content", "digest")
    return [dict(zip(names, row, strict=True)) for row in found]


# Values


def _plain(value: Any) -> Any:
    """As JSON has it: decimals and whole numbers of any size as texts."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Decimal):
        return _text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    return str(value)


def _plain_dict(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(one) for name, one in value.items()}


def _text(value: Decimal | None) -> str | None:
    if value is None:
        return None
    return plain_number(value)
