"""One thing grows at a time: inputs for each axis along which a company may be large.

What belongs here: each axis, its size, and its made-up inputs as files. What does not: measuring
(``pipeline.py``), the aim (``scenarios.py``).

All else is as small as can be, so that what grows is what is measured.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.company import MONTH

Row = Mapping[str, object]
Write = Callable[[Path, int], None]
START = "2023-01-01T00:00:00Z"
EVENTS = 200_000


@dataclass(frozen=True)
class Axis:
    """What grows, how large it is measured (and twice that), and how its inputs are written."""

    name: str
    size: int
    write: Write


def _rows(folder: Path, table: str, rows: Sequence[Row]) -> None:
    path = folder / f"{table}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list({column: None for row in rows for column in row})
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


def _events(folder: Path, count: int, name: str = "events.parquet", **columns: str) -> None:
    """So many events of `n` in [0, count), spread over the month; `columns` are SQL over `n`."""
    target = folder / "usage" / str(MONTH) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    all_columns = {
        "event_id": f"'{Path(name).stem}-' || n",
        "customer_id": "'c0'",
        "event_name": "'calls'",
        "occurred_at": f"TIMESTAMPTZ '{MONTH}-01 00:00:00+00' "
        f"+ to_microseconds(n * {2_500_000_000_000 // max(count, 1)})",
        "quantity": "(1 + n % 100)::DECIMAL(18, 3)",
        **columns,
    }
    chosen = ", ".join(f"{sql} AS {column}" for column, sql in all_columns.items())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY (SELECT {chosen} FROM range({count}) AS t (n)) TO '{target}'")


def _meter(meter: str = "calls", aggregation: str = "sum", **more: object) -> Row:
    return {"meter_id": meter, "event_name": "calls", "aggregation": aggregation, **more}


def _price(price: str, meter: str = "calls", plan: str = "p", **more: object) -> Row:
    return {
        "price_id": price,
        "plan_id": plan,
        "meter_id": meter,
        "description": f"{price} {{month}}",
        "currency": "USD",
        "charge_model": "per_unit",
        "unit_amount": "0.01",
        **more,
    }


def _fee(price: str, amount: str = "1.00") -> Row:
    return _price(price, "", charge_model="flat", flat_amount=amount, unit_amount="")


def _customer(customer: str = "c0", **more: object) -> Row:
    return {
        "customer_id": customer,
        "name": customer,
        "email": f"{customer}@example.com",
        "country": "US",
        "currency": "USD",
        **more,
    }


def _subscription(number: int = 0, customer: str = "c0", **more: object) -> Row:
    return {
        "subscription_id": f"s{number}",
        "customer_id": customer,
        "plan_id": "p",
        "quantity": 1,
        "starts_at": START,
        **more,
    }


def _company(
    folder: Path,
    *,
    meters: Sequence[Row] = (_meter(),),
    plans: Sequence[str] = ("p",),
    prices: Sequence[Row] = (_price("calls"),),
    customers: Sequence[Row] = (_customer(),),
    subscriptions: Sequence[Row] = (_subscription(),),
    **tables: Sequence[Row],
) -> None:
    _rows(folder, "catalog/meters", meters)
    _rows(
        folder,
        "catalog/plans",
        [{"plan_id": p, "name": p, "billing_cycle": "calendar_month"} for p in plans],
    )
    _rows(folder, "catalog/prices", prices)
    _rows(folder, "accounts/customers", customers)
    _rows(folder, "accounts/subscriptions", subscriptions)
    for name, rows in tables.items():
        _rows(folder, name.replace("__", "/"), rows)


def _time(n: int, of: int, days: int = 28) -> str:
    """The `n`th of so many instants of the month."""
    second = n * days * 86_400 // of
    day, rest = divmod(second, 86_400)
    return f"{MONTH}-{day + 1:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}Z"


def events(folder: Path, n: int) -> None:
    _company(folder)
    _events(folder, n)


def customers(folder: Path, n: int) -> None:
    _company(
        folder,
        customers=[_customer(f"c{k}") for k in range(n)],
        subscriptions=[_subscription(k, f"c{k}") for k in range(n)],
    )
    _events(folder, n, customer_id="'c' || n")


def filtered_prices(folder: Path, n: int) -> None:
    _company(
        folder,
        prices=[_price(f"p{k}", filter=f'{{"model": "m{k}"}}') for k in range(n)],
    )
    _events(folder, EVENTS, properties=f"'{{\"model\": \"m' || n % {n} || '\"}}'")


def bounded_filters(folder: Path, n: int) -> None:
    """Each price counts the events of its model with few tokens, and another those with many."""
    few, many = '"tokens": {"up_to": "50"}', '"tokens": {"above": "50"}'
    _company(
        folder,
        prices=[
            _price(f"p{k}-{place}", filter=f'{{"model": "m{k}", {bounds}}}')
            for k in range(n // 2)
            for place, bounds in enumerate((few, many))
        ],
    )
    _events(
        folder,
        EVENTS,
        properties=f"'{{\"model\": \"m' || n % {n // 2} || '\", \"tokens\": ' || n % 100 || '}}'",
    )


def rest_filters(folder: Path, n: int) -> None:
    """As many prices with a filter, and one for the rest."""
    _company(
        folder,
        prices=[
            *(_price(f"p{k}", filter=f'{{"model": "m{k}"}}') for k in range(n)),
            _price("rest", filter_rest="true"),
        ],
    )
    _events(folder, EVENTS, properties=f"'{{\"model\": \"m' || n % {n + 1} || '\"}}'")


def price_versions(folder: Path, n: int) -> None:
    times = ["", *(_time(k, n) for k in range(1, n)), ""]
    _company(
        folder,
        prices=[_price("calls", valid_from=times[k], valid_to=times[k + 1]) for k in range(n)],
    )
    _events(folder, EVENTS)


def gauge_price_versions(folder: Path, n: int) -> None:
    times = ["", *(_time(k, n) for k in range(1, n)), ""]
    _company(
        folder,
        meters=[_meter(aggregation="time_weighted_average", carry_forward="true")],
        prices=[_price("calls", valid_from=times[k], valid_to=times[k + 1]) for k in range(n)],
    )
    _events(folder, EVENTS // 4)


def plans(folder: Path, n: int) -> None:
    _company(
        folder,
        plans=[f"p{k}" for k in range(n)],
        prices=[_price(f"calls-{k}", plan=f"p{k}") for k in range(n)],
        subscriptions=[_subscription(plan_id="p0")],
    )
    _events(folder, 1000)


def csv_files(folder: Path, n: int) -> None:
    _company(folder)
    _small_files(folder, n, "csv")


def parquet_files(folder: Path, n: int) -> None:
    _company(folder)
    _small_files(folder, n, "parquet")


def _small_files(folder: Path, n: int, extension: str) -> None:
    for k in range(n):
        _events(folder, 10, f"part-{k:05d}.{extension}")


def repeats(folder: Path, n: int) -> None:
    _company(folder)
    _events(folder, n + EVENTS, event_id=f"'e' || n % {EVENTS}")


def rejections(folder: Path, n: int) -> None:
    _company(folder)
    _events(folder, n, quantity="-1")


def corrections(folder: Path, n: int) -> None:
    _company(
        folder,
        accounts__usage_corrections=[
            {
                "correction_id": f"k{k}",
                "customer_id": "c0",
                "event_name": "calls",
                "occurred_at": _time(k, n),
                "quantity": "1",
            }
            for k in range(n)
        ],
    )
    _events(folder, 1000)


def wallet_rows(folder: Path, n: int) -> None:
    _wallet(folder, [{"kind": "top_up", "occurred_at": _time(k, n)} for k in range(n)])


def lots(folder: Path, n: int) -> None:
    """Each expires at a time of its own, and has a priority of its own."""
    _wallet(
        folder,
        [
            {
                "kind": "grant",
                "occurred_at": START,
                "expires_at": _time(k, n),
                "priority": 1 + k % 50,
            }
            for k in range(n)
        ],
    )


def _wallet(folder: Path, rows: Sequence[Row]) -> None:
    """These rows in the wallet of the customer, a cent each."""
    every = {"customer_id": "c0", "amount": "0.01", "currency": "USD"}
    _company(
        folder,
        accounts__wallet_transactions=[
            {"transaction_id": f"t{k}", **every, **row} for k, row in enumerate(rows)
        ],
    )
    _events(folder, 1000)


def bytes_of_properties(folder: Path, n: int) -> None:
    _company(folder)
    _events(
        folder,
        20_000,
        "events.csv",
        properties=f"'{{\"text\": \"' || repeat('x', {n}) || '\"}}'",
    )


def subscriptions_per_customer(folder: Path, n: int) -> None:
    _company(
        folder,
        prices=[_price("calls"), _fee("fee")],
        subscriptions=[_subscription(k) for k in range(n)],
    )
    _events(folder, 100, subscription_id="'s' || n")


def subscription_versions(folder: Path, n: int) -> None:
    """One subscription whose seats change so often."""
    times = [START, *(_time(k, n) for k in range(1, n)), ""]
    _company(
        folder,
        prices=[_price("calls"), _fee("fee")],
        subscriptions=[
            _subscription(quantity=1 + k % 9, starts_at=times[k], ends_at=times[k + 1])
            for k in range(n)
        ],
    )
    _events(folder, 1000)


def lines(folder: Path, n: int) -> None:
    _company(folder, prices=[_fee(f"fee-{k}") for k in range(n)])
    _events(folder, 0)


def coupons(folder: Path, n: int) -> None:
    """One after the other on each of forty lines."""
    _company(
        folder,
        prices=[_fee(f"fee-{k}", "100.00") for k in range(40)],
        subscriptions=[_subscription(coupon_id=";".join(f"k{k}" for k in range(n)))],
        catalog__coupons=[
            {"coupon_id": f"k{k}", "percent_off": "0.5", "duration": "forever"} for k in range(n)
        ],
    )
    _events(folder, 0)


def meters(folder: Path, n: int) -> None:
    """All of one event name, each with a price."""
    _company(
        folder,
        meters=[_meter(f"m{k}") for k in range(n)],
        prices=[_price(f"p{k}", f"m{k}") for k in range(n)],
    )
    _events(folder, EVENTS)


def groups(folder: Path, n: int) -> None:
    _company(folder, meters=[_meter(aggregation="max", group_by="host")])
    _events(folder, EVENTS, properties=f"'{{\"host\": \"h' || n % {n} || '\"}}'")


def buckets(folder: Path, n: int) -> None:
    """So many customers, each with usage in each hour."""
    _company(
        folder,
        meters=[_meter(aggregation="max", bucket="hour")],
        customers=[_customer(f"c{k}") for k in range(n)],
        subscriptions=[_subscription(k, f"c{k}") for k in range(n)],
    )
    _events(folder, n * 690, customer_id=f"'c' || n % {n}")


def counters(folder: Path, n: int) -> None:
    """So many counters of a customer, each with ten readings."""
    _company(folder, meters=[_meter(aggregation="counter", group_by="device")])
    _events(
        folder,
        n * 10,
        quantity=f"(n // {n})::DECIMAL(18, 3)",
        properties=f"'{{\"device\": \"d' || n % {n} || '\"}}'",
    )


def gauge_periods(folder: Path, n: int) -> None:
    """So many subscriptions of a customer that start inside the month, and one gauge."""
    _company(
        folder,
        meters=[_meter(aggregation="time_weighted_average", carry_forward="true")],
        subscriptions=[_subscription(k, starts_at=_time(k, n)) for k in range(n)],
    )
    _events(folder, 50_000)


def gauge_groups(folder: Path, n: int) -> None:
    """So many disks, each read ten times."""
    _company(
        folder,
        meters=[_meter(aggregation="time_weighted_average", carry_forward="true", group_by="disk")],
    )
    _events(folder, n * 10, properties=f"'{{\"disk\": \"d' || n % {n} || '\"}}'")


def carried_gauges(folder: Path, n: int) -> None:
    """So many gauges whose last reading is of the month before."""
    _company(
        folder,
        meters=[_meter(aggregation="time_weighted_average", carry_forward="true", group_by="disk")],
    )
    _events(
        folder,
        n,
        f"../{MONTH.shift(-1)}/events.parquet",
        occurred_at=f"TIMESTAMPTZ '{MONTH.shift(-1)}-05 00:00:00+00'",
        properties="'{\"disk\": \"d' || n || '\"}'",
    )
    _events(folder, 0)


def commitments(folder: Path, n: int) -> None:
    _company(
        folder,
        customers=[_customer(f"c{k}") for k in range(n)],
        subscriptions=[_subscription(k, f"c{k}") for k in range(n)],
        accounts__commitments=[
            {
                "commitment_id": f"k{k}",
                "customer_id": f"c{k}",
                "amount": "100.00",
                "currency": "USD",
                "starts_at": f"{MONTH}-01T00:00:00Z",
                "ends_at": f"{MONTH.shift(1)}-01T00:00:00Z",
                "kind": "true_up",
            }
            for k in range(n)
        ],
    )
    _events(folder, n, customer_id="'c' || n")


def adjustments(folder: Path, n: int) -> None:
    _company(
        folder,
        accounts__adjustments=[
            {
                "adjustment_id": f"a{k}",
                "customer_id": "c0",
                "amount": "0.10",
                "currency": "USD",
                "occurred_at": _time(k, n),
                "description": f"adjustment {k}",
            }
            for k in range(n)
        ],
    )
    _events(folder, 0)


def tiers(folder: Path, n: int) -> None:
    """So many tiers, all of them reached."""
    bounds = [*(str(10 * (k + 1)) for k in range(n - 1)), ""]
    _company(
        folder,
        prices=[_price("calls", charge_model="graduated", unit_amount="")],
        catalog__price_tiers=[
            {"price_id": "calls", "up_to": bound, "unit_amount": "0.01"} for bound in bounds
        ],
    )
    _events(folder, n)


def children(folder: Path, n: int) -> None:
    """So many customers whose lines stand on the invoice of one."""
    _company(
        folder,
        customers=[_customer(), *(_customer(f"c{k}", bill_to="c0") for k in range(1, n))],
        subscriptions=[_subscription(k, f"c{k}") for k in range(n)],
    )
    _events(folder, n, customer_id="'c' || n")


def per_event_bounds(folder: Path, n: int) -> None:
    _company(
        folder,
        prices=[
            _price(
                "calls",
                charge_model="percentage",
                unit_amount="",
                percentage="2.5",
                event_minimum_amount="0.10",
                event_maximum_amount="2.00",
                free_events="10",
            )
        ],
    )
    _events(folder, n)


AXES = (
    Axis("events", 1_000_000, events),
    Axis("customers", 10_000, customers),
    Axis("prices with filters", 1_500, filtered_prices),
    Axis("prices with bounds", 1_500, bounded_filters),
    Axis("prices with a rest", 1_500, rest_filters),
    Axis("price versions", 1_000, price_versions),
    Axis("price versions of a gauge", 1_000, gauge_price_versions),
    Axis("plans", 5_000, plans),
    Axis("files of CSV", 1_000, csv_files),
    Axis("files of Parquet", 1_000, parquet_files),
    Axis("repeats", 500_000, repeats),
    Axis("rejections", 200_000, rejections),
    Axis("corrections", 20_000, corrections),
    Axis("wallet rows", 20_000, wallet_rows),
    Axis("lots", 20_000, lots),
    Axis("bytes of properties", 10_000, bytes_of_properties),
    Axis("subscriptions of a customer", 5_000, subscriptions_per_customer),
    Axis("versions of a subscription", 1_000, subscription_versions),
    Axis("lines of an invoice", 5_000, lines),
    Axis("coupons on a line", 20, coupons),
    Axis("meters of an event", 250, meters),
    Axis("groups", 50_000, groups),
    Axis("buckets", 500, buckets),
    Axis("counters", 20_000, counters),
    Axis("periods of a gauge", 200, gauge_periods),
    Axis("groups of a gauge", 10_000, gauge_groups),
    Axis("carried gauges", 20_000, carried_gauges),
    Axis("commitments", 5_000, commitments),
    Axis("adjustments", 10_000, adjustments),
    Axis("tiers", 2_000, tiers),
    Axis("children of a payer", 10_000, children),
    Axis("bounds of events", 200_000, per_event_bounds),
)
