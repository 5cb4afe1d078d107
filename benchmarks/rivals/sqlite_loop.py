"""SQLite: events in an indexed table, a loop over customers with one query each, charges in Python.

What belongs here: that program. What does not: the price book and a charge (``common.py``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.rivals.common import (
    AGGREGATIONS,
    PROPERTY_METER,
    Clock,
    charge_all,
    metered,
    month_bounds,
    property_thousandths,
    read_prices,
    read_subscriptions,
    usage_files,
)

Row = tuple[str, str, str, int]


def rate(data: Path, scratch: Path, clock: Clock) -> pa.Table:
    prices, subscriptions = read_prices(data), read_subscriptions(data)
    known = {subscription.customer_id for subscription in subscriptions}
    database = sqlite3.connect(scratch / "events.sqlite")
    # Nothing here must survive a crash: as fast as SQLite loads.
    for pragma in ("journal_mode = off", "synchronous = off", "cache_size = -1000000"):
        database.execute(f"PRAGMA {pragma}")
    with clock.part("load"):
        database.execute(
            "CREATE TABLE events (event_id TEXT PRIMARY KEY, customer_id TEXT, event_name TEXT,"
            " value INTEGER)"
        )
        for path in usage_files(data):
            for batch in pq.ParquetFile(path).iter_batches():
                database.executemany(
                    "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)", _good(batch, known)
                )
        database.execute("CREATE INDEX by_customer ON events (customer_id)")
        database.commit()
    quantities: dict[tuple[str, str], Decimal] = {}
    with clock.part("queries"):
        for subscription in subscriptions:
            customer = subscription.customer_id
            found = database.execute(
                "SELECT event_name, count(*), sum(value), max(value) FROM events"
                " WHERE customer_id = ? GROUP BY event_name",
                [customer],
            )
            for name, count, total, largest in found:
                quantities[customer, name] = metered(AGGREGATIONS[name], count, total, largest)
    with clock.part("charges"):
        charges = charge_all(subscriptions, prices, quantities)
    database.close()
    return charges


def _good(batch: pa.RecordBatch, known: set[str]) -> Iterator[Row]:
    """The rows that count, in thousandths; bad ones are left out."""
    first, last = month_bounds()
    thousandths = pc.multiply(batch["quantity"], 1000).cast(pa.int64())
    columns = [batch[name] for name in ("event_id", "customer_id", "event_name")]
    columns += [batch["occurred_at"], thousandths, batch["properties"]]
    for event_id, customer, name, at, value, properties in zip(
        *(column.to_pylist() for column in columns), strict=True
    ):
        if customer in known and name in AGGREGATIONS and first <= at < last and value >= 0:
            if name == PROPERTY_METER:
                value = property_thousandths(properties)
            yield event_id, customer, name, value
