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
from psycopg import sql

from benchmarks.rivals.common import NEGATIVE, Clock, month_bounds, source_name, usage_files
from benchmarks.rivals.output import SCHEMAS, Output, as_table

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
    " occurred_at timestamptz, quantity numeric, properties text, source_file text,"
    " source_row bigint)",
    "CREATE UNLOGGED TABLE prices (price_id text, plan_id text, meter_id text, description text,"
    " currency text, charge_model text, unit_amount numeric, flat_amount numeric,"
    " package_size numeric, percentage numeric, included_quantity numeric)",
    "CREATE UNLOGGED TABLE price_tiers (price_id text, up_to numeric, unit_amount numeric)",
    "CREATE UNLOGGED TABLE subscriptions (subscription_id text, customer_id text, plan_id text,"
    " quantity numeric, starts_at timestamptz)",
    "CREATE UNLOGGED TABLE meters (meter_id text, event_name text, aggregation text,"
    " property text)",
)
_COPY_STATEMENTS: dict[str, LiteralString] = {
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
SELECT customer_id, meter_id, count(*) AS events,
    CASE aggregation WHEN 'count' THEN count(*) WHEN 'max' THEN max(value) ELSE sum(value)
    END AS quantity
FROM readings
GROUP BY customer_id, meter_id, aggregation
"""

_REJECTIONS: LiteralString = """
CREATE UNLOGGED TABLE usage_rejections AS
SELECT source_file, source_row, event_id, %(reason)s AS reason FROM events WHERE quantity < 0
"""

_BILL: tuple[LiteralString, ...] = (
    """
CREATE UNLOGGED TABLE items AS
SELECT
    'ch_' || left(md5(concat_ws(
        '|', subscription_id, price_id, CASE WHEN meter_id IS NULL THEN 'arrears' ELSE 'usage' END,
        %(microseconds)s
    )), 24) AS charge_id,
    subscriptions.customer_id, subscription_id, prices.*,
    coalesce(totals.quantity, 1) AS used,
    greatest(coalesce(totals.quantity, 1) - coalesce(included_quantity, 0), 0) AS billable,
    coalesce(events, 0) AS event_count
FROM subscriptions
JOIN prices USING (plan_id)
LEFT JOIN totals USING (customer_id, meter_id)
WHERE meter_id IS NULL OR totals.quantity IS NOT NULL
""",
    """
CREATE UNLOGGED TABLE charge_tiers AS
WITH tiers AS (
    SELECT price_id, row_number() OVER by_bound AS tier,
        lag(up_to, 1, 0) OVER by_bound AS above, up_to, unit_amount
    FROM price_tiers
    WINDOW by_bound AS (PARTITION BY price_id ORDER BY up_to NULLS LAST)
), entered AS (
    SELECT charge_id, tier, tiers.unit_amount,
        CASE WHEN charge_model = 'volume' THEN billable
            ELSE least(billable, coalesce(up_to, billable)) - above END AS quantity
    FROM items JOIN tiers USING (price_id)
    WHERE (tier = 1 OR billable > above)
        AND (charge_model <> 'volume' OR up_to IS NULL OR billable <= up_to)
)
SELECT *, quantity * unit_amount AS exact_amount FROM entered
""",
    """
CREATE UNLOGGED TABLE charges AS
WITH by_tiers AS (
    SELECT charge_id, sum(exact_amount) AS tiers_amount,
        string_agg(
            concat('tier ', tier, ': ', trim_scale(quantity), ' × ', trim_scale(unit_amount)),
            '; ' ORDER BY tier
        ) AS tiers_text
    FROM charge_tiers
    GROUP BY charge_id
), rated AS (
    SELECT items.*,
        CASE charge_model
            WHEN 'flat' THEN flat_amount
            WHEN 'per_unit' THEN billable * unit_amount
            WHEN 'package' THEN ceil(billable / package_size) * unit_amount
            WHEN 'percentage' THEN billable * percentage * 0.01
            ELSE tiers_amount
        END AS exact_amount,
        CASE charge_model
            WHEN 'flat' THEN concat('flat ', trim_scale(flat_amount))
            WHEN 'per_unit' THEN concat(trim_scale(billable), ' × ', trim_scale(unit_amount))
            WHEN 'package' THEN concat(
                '⌈', trim_scale(billable), ' ÷ ', trim_scale(package_size), '⌉ = ',
                ceil(billable / package_size), ' packages × ', trim_scale(unit_amount)
            )
            WHEN 'percentage'
                THEN concat(trim_scale(billable), ' × ', trim_scale(percentage), ' %%')
            ELSE tiers_text
        END AS how
    FROM items LEFT JOIN by_tiers USING (charge_id)
)
SELECT charge_id, customer_id, subscription_id, price_id, meter_id, charge_model,
    used AS quantity, billable AS billable_quantity, event_count, exact_amount,
    round(exact_amount, 2) AS amount,
    replace(description, '{month}', %(month_name)s) AS description,
    concat_ws('; ',
        CASE WHEN meter_id IS NULL THEN concat('quantity ', trim_scale(used))
            ELSE concat(event_count, ' events, metered ', trim_scale(used)) END,
        CASE WHEN included_quantity > 0 THEN concat(
            trim_scale(included_quantity), ' included, ', trim_scale(billable), ' billable'
        ) END,
        concat(charge_model, ': ', how),
        concat(
            'exactly ', trim_scale(exact_amount), ', rounded to ', round(exact_amount, 2), ' ',
            currency
        )
    ) AS calculation
FROM rated
""",
    """
CREATE UNLOGGED TABLE invoice_lines AS
WITH lines AS (
    SELECT 'li_' || left(md5(charge_id), 24) AS line_id,
        concat('in_', %(month)s, '_') || left(md5(concat(customer_id, '|USD|', %(day)s)), 16)
            AS invoice_id,
        charge_id, customer_id, description, amount
    FROM charges
    WHERE amount <> 0
)
SELECT *, row_number() OVER (PARTITION BY invoice_id ORDER BY description, line_id) AS position
FROM lines
""",
    """
CREATE UNLOGGED TABLE invoices AS
SELECT invoice_id, customer_id, sum(amount) AS total, count(*) AS line_count
FROM invoice_lines
GROUP BY invoice_id, customer_id
""",
)


def rate(data: Path, scratch: Path, clock: Clock) -> Output:
    first, last = month_bounds()
    values = {
        "first": first,
        "last": last,
        "reason": NEGATIVE,
        "microseconds": int(first.timestamp()) * 1_000_000,
        "month": f"{first:%Y%m}",
        "month_name": f"{first:%B %Y}",
        "day": f"{first:%Y-%m-%d}",
    }
    with running_server() as where, psycopg.connect(where, autocommit=True) as connection:
        # A table made by a query takes no parameters from the server's side.
        client = psycopg.ClientCursor(connection)
        for table in _TABLES:
            connection.execute(table)
        with clock.part("load"):
            _copy_events(connection, data)
            for name, copy_in in _COPY_STATEMENTS.items():
                with connection.cursor().copy(copy_in) as copy:
                    copy.write((data / name).read_bytes())
            connection.execute("ANALYZE")
        with clock.part("deduplicate and add up"):
            client.execute(_TOTALS, values)
            client.execute(_REJECTIONS, values)
            connection.execute("ANALYZE totals")
        with clock.part("charges and invoices"):
            for statement in _BILL:
                client.execute(statement, values)
        return {name: _fetched(connection, name) for name in SCHEMAS}


def _fetched(connection: psycopg.Connection[Any], name: str) -> pa.Table:
    """A table, for the comparison alone."""
    columns = sql.SQL(", ").join(map(sql.Identifier, SCHEMAS[name].names))
    query = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(name))
    return as_table(name, connection.execute(query).fetchall())


def _copy_events(connection: psycopg.Connection[Any], data: Path) -> None:
    options = pa_csv.WriteOptions(include_header=False)
    with connection.cursor().copy("COPY events FROM STDIN (FORMAT csv)") as copy:
        for path in usage_files(data):
            above = 0
            for batch in pq.ParquetFile(path).iter_batches():
                rows = pa.array(range(above + 1, above + batch.num_rows + 1), pa.int64())
                source = pa.array([source_name(data, path)] * batch.num_rows, pa.string())
                placed = batch.append_column("source_file", source).append_column(
                    "source_row", rows
                )
                text = BytesIO()
                pa_csv.write_csv(placed, text, options)
                copy.write(text.getvalue())
                above += batch.num_rows
