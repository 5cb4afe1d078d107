"""``python -m tests.reproducible DATA HOME MONTH THREADS ENGINE``: the digests of a rated month.

What belongs here: rating a month in a process of its own, and printing for each published table up
to `invoices` its rows and digest. What does not: which machines are compared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.tables import published_tables
from billing_pipeline.published.verification import digest
from billing_pipeline.rating import month as rating
from billing_pipeline.settings import Settings
from tests import compiled_models


def main(data: str, home: str, month: str, threads: str, engine: str) -> None:
    opened = rating.open_warehouse

    @contextmanager
    def with_threads(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        with opened(path, read_only=read_only) as connection:
            connection.execute(f"SET threads = {int(threads)}")
            yield connection

    for module in (rating, compiled_models):
        module.open_warehouse = with_threads
    settings = Settings.from_env(
        {"BILLING_DATA_DIR": data, "BILLING_HOME": home, "BILLING_TIMEZONE": "Europe/Berlin"}
    )
    settings = replace(settings, metering=engine)
    key = BillingMonth.parse(month)
    rate = compiled_models.rate_month if engine == "duckdb" else rating.rate_month
    warehouse = rate(settings, key)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = {
            name: digest(connection, f'main."{name}"', [column.name for column in table.columns])
            for name, table in published_tables(settings).models.items()
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
