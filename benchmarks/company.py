"""A company to measure with: customers on plans that price ten meters, and its events.

What belongs here: the made-up inputs, as files. What does not: any measurement.

The same arguments give the same files on every machine: every value is a hash of its row number.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from billing_pipeline.months import BillingMonth

MONTH = BillingMonth.parse("2024-01")
"""The month that is measured, where nothing is said of more than one."""
PLANS = ("free", "team", "business", "scale", "enterprise")
# meter, aggregation, property; every plan prices every meter
METERS = (
    ("api_calls", "count", ""),
    ("tokens_in", "sum", ""),
    ("tokens_out", "sum", ""),
    ("storage_gb_hours", "sum", ""),
    ("egress_gb", "sum", ""),
    ("emails", "count", ""),
    ("sms", "count", ""),
    ("seats_peak", "max", ""),
    ("gpu_seconds", "sum", "seconds"),
    ("logins", "count", ""),
)
MODELS = ("per_unit", "graduated", "package", "volume", "percentage")
DUPLICATES_PER_MILLE = 10
BAD_PER_MILLE = 1
EVENTS_PER_FILE = 2_500_000
PROPERTIES = """CASE WHEN event_name = 'gpu_seconds' THEN '{"seconds": ' || amount || '}' END"""
ALL_PROPERTIES = """'{"seconds": ' || amount || ', "region": "r' || n % 4 || '"}'"""


@dataclass(frozen=True)
class Company:
    """How big: customers, and events in each month."""

    customers: int
    events: int

    def write_prices_and_accounts(self, folder: Path, since: str = "2023-01-01T00:00:00Z") -> None:
        """``catalog/`` and ``accounts/`` under `folder`."""
        meters = [[meter, meter, aggregation, prop] for meter, aggregation, prop in METERS]
        _write(folder / "catalog/meters.csv", "meter_id,event_name,aggregation,property", meters)
        prices, tiers = _prices()
        _write_catalog(folder, PLANS, prices, tiers)
        _write_accounts(folder, self.customers, PLANS, "charge_automatically", since)

    def write_features(self, folder: Path) -> None:
        """Over what was written before: meters by groups, by buckets and of counters, prices in two
        versions, and two lots for each customer."""
        columns = "meter_id,event_name,aggregation,property,group_by,bucket"
        meters = [
            [meter, meter, *FEATURES.get(meter, (aggregation, prop, "", ""))]
            for meter, aggregation, prop in METERS
        ]
        _write(folder / "catalog/meters.csv", columns, meters)
        prices, tiers = _prices()
        _write_catalog(folder, PLANS, [row for price in prices for row in _versions(price)], tiers)
        _write(
            folder / "accounts/wallet_transactions.csv",
            "transaction_id,customer_id,kind,amount,currency,occurred_at,expires_at,priority",
            (
                [f"{lot}-{number}", _customer(number), "grant", "5.00", "USD", since, until, place]
                for number in range(self.customers)
                for lot, since, until, place in _LOTS
            ),
        )

    def write_usage(
        self, folder: Path, month: BillingMonth, seed: int = 0, properties: str = PROPERTIES
    ) -> None:
        """``usage/YYYY-MM/*.parquet`` under `folder`: of a thousand rows ten repeat an earlier
        event and one is bad (a customer that nobody knows, or a negative quantity)."""
        target = folder / "usage" / str(month)
        target.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for part, first in enumerate(range(0, self.events, EVENTS_PER_FILE)):
                last = min(first + EVENTS_PER_FILE, self.events)
                rows = _EVENTS.format(
                    first=first,
                    last=last,
                    events=self.events,
                    customers=self.customers,
                    month=month,
                    seed=seed,
                    meters=[meter for meter, _, _ in METERS],
                    duplicates=DUPLICATES_PER_MILLE,
                    bad=BAD_PER_MILLE,
                    properties=properties,
                )
                connection.execute(f"COPY ({rows}) TO '{target / f'part-{part:03d}.parquet'}'")


# Aggregation, property, groups and bucket of the meters that `write_features` makes others.
FEATURES = {
    "tokens_in": ("sum", "", "region", ""),
    "egress_gb": ("sum", "", "", "day"),
    "sms": ("count", "", "region", "hour"),
    "seats_peak": ("max", "", "region", "day"),
    "gpu_seconds": ("counter", "seconds", "region", ""),
    "logins": ("count", "", "", "day"),
}
# The meter whose price has another version from the middle of the month on.
TWO_VERSION_METER = "storage_gb_hours"
_MIDDLE = f"{MONTH}-16T00:00:00Z"
_LOTS = (
    ("first", "2023-12-01T00:00:00Z", _MIDDLE, "1"),
    ("second", "2023-12-01T00:00:00Z", "", "2"),
)


def _versions(price: dict[str, str]) -> list[dict[str, str]]:
    if price["meter_id"] != TWO_VERSION_METER:
        return [price]
    return [price | {"valid_to": _MIDDLE}, price | {"valid_from": _MIDDLE}]


@dataclass(frozen=True)
class Payers:
    """Customers who pay the same fees every month and use nothing: invoices of so many lines, sent
    to be paid, without a minute of metering."""

    customers: int
    lines: int

    def write(self, folder: Path, since: str = "2023-01-01T00:00:00Z") -> None:
        """``catalog/`` and ``accounts/`` under `folder`; there is no usage."""
        fees = [
            _price("fees", "", "flat", flat_amount=str(number), price_id=f"fee-{number:02d}")
            for number in range(1, self.lines + 1)
        ]
        _write_catalog(folder, ("fees",), fees, [])
        _write_accounts(folder, self.customers, ("fees",), "send_invoice", since)


_EVENTS = """
WITH numbered AS (
    SELECT
        -- a repeated event is that of a thousand rows before, once more
        CASE
            WHEN place >= 1000 AND (hash(place, 'repeated') >> 4) % 1000 < {duplicates}
                THEN place - 1000
            ELSE place
        END AS n
    FROM range({first}, {last}) AS places (place)
), drawn AS (
    SELECT
        n,
        hash(n, {seed}, 'customer') AS customer,
        {meters}[((hash(n, {seed}, 'meter') >> 8) % 10)::BIGINT + 1] AS event_name,
        ((hash(n, {seed}, 'quantity') >> 12) % 100000)::DECIMAL(18, 0) * 0.001::DECIMAL(4, 3)
            AS amount,
        (hash(n, {seed}, 'bad') >> 16) % 1000 < {bad} AS is_bad
    FROM numbered
)
SELECT
    'evt_' || left(md5(n || ' {month} {seed}'), 24) AS event_id,
    'cus_' || lpad(((customer >> 24) % {customers})::VARCHAR, 6, '0') AS customer_id,
    event_name,
    TIMESTAMPTZ '{month}-01 00:00:00+00'
        + to_microseconds((n * 2419200 // {events}) * 1000000 + n % 1000000) AS occurred_at,
    CASE WHEN is_bad THEN -1 ELSE amount END::DECIMAL(18, 3) AS quantity,
    {properties} AS properties
FROM drawn
"""


def _prices() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Each plan: a fee, and for each meter a charge model, graduated and volume ones of 3 tiers."""
    prices: list[dict[str, str]] = []
    tiers: list[dict[str, str]] = []
    for step, plan in enumerate(PLANS, start=1):
        prices.append(_price(plan, "", "flat", flat_amount=str(10 * step)))
        for place, (meter, _, _) in enumerate(METERS):
            model = MODELS[place % len(MODELS)]
            unit = f"0.00{step}{place}"
            if model == "per_unit":
                prices.append(_price(plan, meter, model, unit_amount=unit, included_quantity="5"))
            elif model == "package":
                prices.append(_price(plan, meter, model, unit_amount="0.35", package_size="100"))
            elif model == "percentage":
                prices.append(_price(plan, meter, model, percentage="1.5"))
            else:
                prices.append(_price(plan, meter, model))
                for up_to, share in (("10", "4"), ("500", "2"), ("", "1")):
                    tiers.append(
                        {
                            "price_id": f"{plan}-{meter}",
                            "up_to": up_to,
                            "unit_amount": f"{unit}{share}",
                        }
                    )
    return prices, tiers


def _write_catalog(
    folder: Path,
    plans: Sequence[str],
    prices: Sequence[dict[str, str]],
    tiers: Sequence[dict[str, str]],
) -> None:
    _write(
        folder / "catalog/plans.csv",
        "plan_id,name,trial_days,billing_cycle",
        [[plan, plan.title(), "0", "calendar_month"] for plan in plans],
    )
    price_columns = (
        "price_id,plan_id,meter_id,description,currency,charge_model,unit_amount,flat_amount,"
        "package_size,percentage,included_quantity"
    )
    if any("valid_from" in price for price in prices):
        price_columns += ",valid_from,valid_to"
    tier_columns = "price_id,up_to,unit_amount"
    for name, columns, rows in (
        ("prices", price_columns, prices),
        ("price_tiers", tier_columns, tiers),
    ):
        _write(
            folder / f"catalog/{name}.csv",
            columns,
            [[row.get(column, "") for column in columns.split(",")] for row in rows],
        )


def _write_accounts(
    folder: Path, customers: int, plans: Sequence[str], collection_method: str, since: str
) -> None:
    """So many customers with one subscription each, to one plan after the other."""
    _write(
        folder / "accounts/customers.csv",
        "customer_id,name,email,country,currency,collection_method,payment_method",
        (
            [
                *(_customer(number), f"Customer {number}", f"c{number}@example.com", "US", "USD"),
                *(collection_method, "pm_card_visa"),
            ]
            for number in range(customers)
        ),
    )
    _write(
        folder / "accounts/subscriptions.csv",
        "subscription_id,customer_id,plan_id,quantity,starts_at",
        (
            [f"sub_{number:06d}", _customer(number), plans[number % len(plans)], "1", since]
            for number in range(customers)
        ),
    )


def _customer(number: int) -> str:
    return f"cus_{number:06d}"


def _price(plan: str, meter: str, model: str, **terms: str) -> dict[str, str]:
    return {
        "price_id": f"{plan}-{meter or 'fee'}",
        "plan_id": plan,
        "meter_id": meter,
        "description": f"{meter or 'Fee'} {{month}}",
        "currency": "USD",
        "charge_model": model,
        **terms,
    }


def _write(path: Path, header: str, rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header.split(","))
        writer.writerows(rows)
