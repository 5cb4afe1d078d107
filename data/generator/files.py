"""The sample's files: CSV, JSON Lines and Parquet with the same bytes on every run.

What belongs here: formats. What does not: what is in them.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from generator.contract import COLUMNS, Event, Row, iso


def csv_bytes(columns: Iterable[str], rows: Iterable[Row], line_end: str = "\n") -> bytes:
    """All columns in the header, whatever the rows have; UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, list(columns), restval="", extrasaction="ignore", lineterminator=line_end
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def event_row(event: Event) -> Row:
    return {
        "event_id": event.event_id,
        "customer_id": event.customer_id,
        "event_name": event.event_name,
        "occurred_at": iso(event.occurred_at),
        "quantity": event.quantity,
        "properties": event.properties,
        "subscription_id": event.subscription_id,
    }


def events_csv(events: Iterable[Event], *, from_windows: bool = False) -> bytes:
    """`from_windows`: with a byte order mark and CRLF, as a spreadsheet saves it."""
    rows = [event_row(event) for event in events]
    names_any = any(row["subscription_id"] for row in rows)
    columns = [name for name in COLUMNS["usage"] if names_any or name != "subscription_id"]
    content = csv_bytes(columns, rows, "\r\n" if from_windows else "\n")
    return (b"\xef\xbb\xbf" if from_windows else b"") + content


def events_jsonl(events: Iterable[Event]) -> bytes:
    """Numbers and properties as JSON, written by hand so that no number passes through a float."""
    lines = []
    for event in events:
        row = dict(event_row(event))
        quantity, properties = row.pop("quantity"), row.pop("properties")
        if not row["subscription_id"]:
            del row["subscription_id"]
        line = json.dumps(row)[:-1]
        line += f', "quantity": {quantity}' if quantity else ""
        line += f', "properties": {properties}' if properties else ""
        lines.append(line + "}\n")
    return "".join(lines).encode()


def packed(content: bytes) -> bytes:
    """gzip without a time stamp or name in it."""
    return gzip.compress(content, 9, mtime=0)


def write_parquet(path: Path, events: list[Event]) -> None:
    """`quantity` as a decimal, `properties` as JSON text, as the contract has them."""
    quantities = pa.array([event.quantity or None for event in events], pa.string())
    table = pa.table(
        {
            "event_id": [event.event_id for event in events],
            "customer_id": [event.customer_id for event in events],
            "event_name": [event.event_name for event in events],
            "occurred_at": pa.array(
                [event.occurred_at for event in events], pa.timestamp("us", tz="UTC")
            ),
            "quantity": quantities.cast(pa.decimal128(18, 4)),
            "properties": pa.array([event.properties or None for event in events], pa.string()),
        }
    )
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=9,
        use_dictionary=["customer_id", "event_name", "quantity", "properties"],
        column_encoding={"event_id": "DELTA_BYTE_ARRAY", "occurred_at": "DELTA_BINARY_PACKED"},
        write_statistics=True,
        store_schema=False,
    )
