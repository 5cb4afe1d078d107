"""SQLite: events in an indexed table, a loop over customers with one query each, charges in Python.

What belongs here: that program. What does not: charges (``in_python.py``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.rivals.common import (
    AGGREGATIONS,
    NEGATIVE,
    PROPERTY_METER,
    Clock,
    metered,
    month_bounds,
    property_thousandths,
    read_prices,
    read_subscriptions,
    source_name,
    usage_files,
)
from benchmarks.rivals.in_python import Used, bill_all
from benchmarks.rivals.output import Output

Row = tuple[str, str, str, int]
Rejections = list[tuple[str, int, str, str]]


def rate(data: Path, scratch: Path, clock: Clock) -> Output:
    prices, subscriptions = read_prices(data), read_subscriptions(data)
    known = {subscription.customer_id for subscription in subscriptions}
    rejections: Rejections = []
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
            above = 0
            for batch in pq.ParquetFile(path).iter_batches():
                rows = _good(batch, known, source_name(data, path), above, rejections)
                database.executemany("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)", rows)
                above += batch.num_rows
        database.execute("CREATE INDEX by_customer ON events (customer_id)")
        database.commit()
    used: dict[tuple[str, str], Used] = {}
    with clock.part("queries"):
        for subscription in subscriptions:
            customer = subscription.customer_id
            found = database.execute(
                "SELECT event_name, count(*), sum(value), max(value) FROM events"
                " WHERE customer_id = ? GROUP BY event_name",
                [customer],
            )
            for name, count, total, largest in found:
                quantity = metered(AGGREGATIONS[name], count, total, largest)
                used[customer, name] = Used(quantity, count)
    with clock.part("charges and invoices"):
        output = bill_all(subscriptions, prices, used, rejections)
    database.close()
    return output


def _good(
    batch: pa.RecordBatch, known: set[str], source: str, above: int, rejections: Rejections
) -> Iterator[Row]:
    """The rows that count, in thousandths; bad ones become rejections."""
    first, last = month_bounds()
    thousandths = pc.multiply(batch["quantity"], 1000).cast(pa.int64())
    columns = [batch[name] for name in ("event_id", "customer_id", "event_name")]
    columns += [batch["occurred_at"], thousandths, batch["properties"]]
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    for number, (event_id, customer, name, at, value, properties) in enumerate(rows, above + 1):
        if customer in known and name in AGGREGATIONS and first <= at < last and value >= 0:
            if name == PROPERTY_METER:
                value = property_thousandths(properties)
            yield event_id, customer, name, value
        else:
            # The company has no others.
            assert value < 0
            rejections.append((source, number, event_id, NEGATIVE))
