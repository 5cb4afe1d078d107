"""PostgreSQL: the files copied in, then set-based SQL, exact in ``numeric``.

What belongs here: a throw-away server and that program. What does not: the price book.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks.rivals.common import RESULT, Clock, month_bounds, usage_files

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
# Generous for one query at a time on a machine of some gigabytes, and nothing is kept safe: the
# server is thrown away.
_SETTINGS = {
    "shared_buffers": "1GB",
    "work_mem": "512MB",
    "maintenance_work_mem": "512MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "8GB",
    "listen_addresses": "",
    "autovacuum": "off",
}


def is_installed() -> bool:
    return (PROGRAMS / "initdb").exists()


@contextmanager
def running_server() -> Iterator[str]:
    """A new cluster on a socket of its own; gives psycopg's connection string. PostgreSQL refuses
    to run as root, so root runs it as the user of Debian's package."""
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    account = pwd.getpwnam(user)
    folder = Path(tempfile.mkdtemp(prefix="benchmarks-postgres-"))
    os.chown(folder, account.pw_uid, account.pw_gid)
    settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
    try:
        _run(user, "initdb", "-D", str(folder / "data"), "--locale=C", "-E", "UTF8", "-A", "trust")
        options = " ".join([*(f"'{item}'" for item in settings), f"-k {folder}"])
        start = ("start", "-w", "-l", str(folder / "log"), "-o", options)
        _run(user, "pg_ctl", "-D", str(folder / "data"), *start)
        try:
            yield f"host={folder} user={user} dbname=postgres"
        finally:
            _run(user, "pg_ctl", "-D", str(folder / "data"), "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


def _run(user: str, program: str, *arguments: str) -> None:
    other: dict[str, Any] = {"user": user, "group": user} if os.geteuid() == 0 else {}
    # The server outlives the call and would hold a pipe of it open.
    done = subprocess.run(
        [str(PROGRAMS / program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        check=False,
        **other,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program} ended with {done.returncode}")


_TABLES: tuple[LiteralString, ...] = (
    "CREATE UNLOGGED TABLE events (event_id text, customer_id text, event_name text,"
    " occurred_at timestamptz, quantity numeric, properties text)",
    "CREATE UNLOGGED TABLE prices (price_id text, plan_id text, meter_id text, description text,"
    " currency text, charge_model text, unit_amount numeric, flat_amount numeric,"
    " package_size numeric, percentage numeric, included_quantity numeric)",
    "CREATE UNLOGGED TABLE price_tiers (price_id text, up_to numeric, unit_amount numeric)",
    "CREATE UNLOGGED TABLE subscriptions (subscription_id text, customer_id text, plan_id text,"
    " quantity numeric, starts_at timestamptz)",
    "CREATE UNLOGGED TABLE meters (meter_id text, event_name text, aggregation text,"
    " property text)",
)
_COPIES: dict[str, LiteralString] = {
    "catalog/prices.csv": "COPY prices FROM STDIN (FORMAT csv, HEADER)",
    "catalog/price_tiers.csv": "COPY price_tiers FROM STDIN (FORMAT csv, HEADER)",
    "catalog/meters.csv": "COPY meters FROM STDIN (FORMAT csv, HEADER)",
    "accounts/subscriptions.csv": "COPY subscriptions FROM STDIN (FORMAT csv, HEADER)",
}

_TOTALS: LiteralString = """
CREATE UNLOGGED TABLE totals AS
WITH good AS (
    SELECT DISTINCT ON (event_id) events.*, aggregation, property
    FROM events JOIN meters USING (event_name)
    WHERE quantity >= 0 AND occurred_at >= %(first)s AND occurred_at < %(last)s
        AND customer_id IN (SELECT customer_id FROM subscriptions)
    ORDER BY event_id
), readings AS (
    SELECT customer_id, event_name AS meter_id, aggregation,
        CASE WHEN property IS NULL THEN quantity
            ELSE (properties::json ->> property)::numeric END AS value
    FROM good
)
SELECT customer_id, meter_id,
    CASE aggregation WHEN 'count' THEN count(*) WHEN 'max' THEN max(value) ELSE sum(value)
    END AS quantity
FROM readings
GROUP BY customer_id, meter_id, aggregation
"""

_CHARGES: LiteralString = """
CREATE UNLOGGED TABLE charges AS
WITH tiers AS (
    SELECT *, lag(up_to, 1, 0) OVER (PARTITION BY price_id ORDER BY up_to NULLS LAST) AS above
    FROM price_tiers
), billable AS (
    SELECT subscription_id, prices.*,
        greatest(coalesce(totals.quantity, 0) - coalesce(included_quantity, 0), 0) AS billable
    FROM subscriptions
    JOIN prices USING (plan_id)
    LEFT JOIN totals USING (customer_id, meter_id)
), priced AS (
    SELECT subscription_id, price_id,
        CASE charge_model
            WHEN 'flat' THEN flat_amount
            WHEN 'per_unit' THEN billable * unit_amount
            WHEN 'package' THEN ceil(billable / package_size) * unit_amount
            WHEN 'percentage' THEN billable * percentage * 0.01
            WHEN 'graduated' THEN (
                SELECT sum(
                    greatest(least(billable, coalesce(up_to, billable)) - above, 0)
                    * tiers.unit_amount
                )
                FROM tiers WHERE tiers.price_id = billable.price_id
            )
            WHEN 'volume' THEN billable * (
                SELECT tiers.unit_amount FROM tiers
                WHERE tiers.price_id = billable.price_id
                    AND billable <= coalesce(up_to, billable)
                    AND (billable > above OR above = 0)
            )
        END AS exact_amount
    FROM billable
)
SELECT *, round(exact_amount, 2) AS amount FROM priced
"""

_RESULT: LiteralString = """
SELECT subscription_id, price_id, (exact_amount * 1000000000000)::bigint, (amount * 100)::bigint
FROM charges
"""


def rate(data: Path, scratch: Path, clock: Clock) -> pa.Table:
    first, last = month_bounds()
    with running_server() as where, psycopg.connect(where, autocommit=True) as connection:
        for table in _TABLES:
            connection.execute(table)
        with clock.part("load"):
            _copy_events(connection, data)
            for name, copy_in in _COPIES.items():
                with connection.cursor().copy(copy_in) as copy:
                    copy.write((data / name).read_bytes())
            connection.execute("ANALYZE")
        with clock.part("deduplicate and add up"):
            # A table made by a query takes no parameters from the server's side.
            bounds = {"first": first, "last": last}
            psycopg.ClientCursor(connection).execute(_TOTALS, bounds)
            connection.execute("ANALYZE totals")
        with clock.part("charges"):
            connection.execute(_CHARGES)
        rows = connection.execute(_RESULT).fetchall()
    return pa.table(dict(zip(RESULT.names, zip(*rows, strict=True), strict=True)), schema=RESULT)


def _copy_events(connection: psycopg.Connection[Any], data: Path) -> None:
    options = pa_csv.WriteOptions(include_header=False)
    with connection.cursor().copy("COPY events FROM STDIN (FORMAT csv)") as copy:
        for path in usage_files(data):
            for batch in pq.ParquetFile(path).iter_batches():
                text = BytesIO()
                pa_csv.write_csv(batch, text, options)
                copy.write(text.getvalue())
