"""What every rival makes of a month: the pipeline's tables, as far as they differ from row to row.

What belongs here: their names and columns, and comparing them with the pipeline's. What does not:
how one of them comes about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import pyarrow as pa

TEXT, WHOLE = pa.string(), pa.int64()
AMOUNT, EXACT, QUANTITY = pa.decimal128(38, 2), pa.decimal128(38, 12), pa.decimal128(38, 3)
SCHEMAS = {
    "charges": pa.schema(
        {
            "charge_id": TEXT,
            "customer_id": TEXT,
            "subscription_id": TEXT,
            "price_id": TEXT,
            "meter_id": TEXT,
            "charge_model": TEXT,
            "quantity": QUANTITY,
            "billable_quantity": QUANTITY,
            "event_count": WHOLE,
            "exact_amount": EXACT,
            "amount": AMOUNT,
            "description": TEXT,
            "calculation": TEXT,
        }
    ),
    "charge_tiers": pa.schema(
        {
            "charge_id": TEXT,
            "tier": WHOLE,
            "quantity": QUANTITY,
            "unit_amount": EXACT,
            "exact_amount": EXACT,
        }
    ),
    "invoice_lines": pa.schema(
        {
            "line_id": TEXT,
            "invoice_id": TEXT,
            "charge_id": TEXT,
            "position": WHOLE,
            "description": TEXT,
            "amount": AMOUNT,
        }
    ),
    "invoices": pa.schema(
        {"invoice_id": TEXT, "customer_id": TEXT, "total": AMOUNT, "line_count": WHOLE}
    ),
    "usage_rejections": pa.schema(
        {"source_file": TEXT, "source_row": WHOLE, "event_id": TEXT, "reason": TEXT}
    ),
}
Output = dict[str, pa.Table]
"""A table for each of these."""


def as_table(name: str, rows: Iterable[Sequence[Any]]) -> pa.Table:
    """The table `name` from rows in the order of its columns."""
    schema = SCHEMAS[name]
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def other_rows(warehouse: duckdb.DuckDBPyConnection, output: Output) -> dict[str, int]:
    """How many rows of each table only one of both has, or both with another value."""
    found = {}
    for name, schema in SCHEMAS.items():
        warehouse.register("theirs", output[name])
        columns = ", ".join(schema.names)
        ours, theirs = f"SELECT {columns} FROM {name}", f"SELECT {columns} FROM theirs"
        query = f"""
            SELECT count(*) FROM (
                ({ours} EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL {ours})
            )
        """
        [[found[name]]] = warehouse.execute(query).fetchall()
        warehouse.unregister("theirs")
    return found
