"""Invoices as billed: what each was computed from, saved for good before it is sent.

What belongs here: saving a new version of an invoice's charges, lines, taxes and parties in
``records/``, with the document that bills it; reading a month's versions
back. What does not: what was
sent (``collection.records.billed``), and what differs between two versions (the reports
``charge_changes`` and ``document_lines``).

Inputs change after a month has been billed: late events, corrections, a new price book. Saved
versions never change. A version is written before Stripe is asked, so a crash in between loses
nothing: the next run finds the same content and adds no version, or finds different content and
adds the next one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from billing_pipeline.duckdb_sql import path_list, sql_text
from billing_pipeline.durable import fsync
from billing_pipeline.intake.late_usage import rated_inputs
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import attach, utc_session
from billing_pipeline.settings import Settings

CHARGES, TIERS = "charges_as_billed", "charge_tiers_as_billed"
LINES, TAXES = "lines_as_billed", "line_taxes_as_billed"
CORRECTIONS, CORRECTION_TAXES = "corrections_as_billed", "correction_taxes_as_billed"
"""An invoice's corrections of months whose books are closed, and the taxes on them."""
PARTIES, DOCUMENTS = "parties_as_billed", "documents_as_billed"
_VERSIONS = "versions"
"""The content hash of each version. An invoice may have no charges, only adjustments for
example."""
INPUTS = "inputs.json"
PLANNED = 1_000_000
"""The version number of what is planned but not billed yet."""

# The requested invoices whose content differs from their last version. The saved terms show later
# whether a price or an account has changed.
_NEW = """
CREATE TEMP TABLE new_versions AS
WITH last AS (
    SELECT invoice_id, max(version) AS version, arg_max(content_hash, version) AS content_hash
    FROM saved
    GROUP BY invoice_id
)
SELECT
    invoices.invoice_id,
    invoices.customer_id,
    invoices.currency,
    invoices.content_hash,
    coalesce(last.version, 0) + 1 AS version
FROM warehouse.main.invoices AS invoices
LEFT JOIN last ON last.invoice_id = invoices.invoice_id
WHERE list_contains($invoice_ids, invoices.invoice_id)
    AND invoices.content_hash IS DISTINCT FROM last.content_hash
"""
# The price and the subscription from which a charge was computed; joined by `TERMS_JOINS`.
TERMS = """
tiers AS (
    SELECT price_id, valid_from, list(tiers ORDER BY up_to NULLS LAST) AS terms
    FROM warehouse.raw.price_tiers AS tiers
    GROUP BY price_id, valid_from
),
-- every version that had begun: a later one changes nothing in this month
subscriptions AS (
    SELECT
        subscription_id, string_agg(to_json(versions)::VARCHAR, '' ORDER BY starts_at, ends_at)
            AS terms
    FROM warehouse.raw.subscriptions AS versions
    WHERE starts_at < (SELECT month_end FROM warehouse.raw.run)
    GROUP BY subscription_id
)
"""
TERMS_JOINS = """
LEFT JOIN warehouse.raw.plan_prices AS prices
    ON charges.plan_id = prices.plan_id
    AND charges.price_id = prices.price_id
    AND quantities.valid_from IS NOT DISTINCT FROM prices.valid_from
LEFT JOIN tiers
    ON charges.price_id = tiers.price_id
    AND prices.tiers_from IS NOT DISTINCT FROM tiers.valid_from
LEFT JOIN warehouse.raw.meters AS meters ON charges.meter_id = meters.meter_id
LEFT JOIN subscriptions ON charges.subscription_id = subscriptions.subscription_id
"""
TERMS_COLUMNS = """
    coalesce(quantities.correction_count, 0)::BIGINT AS correction_count,
    to_json({'price': prices, 'tiers': coalesce(tiers.terms, []), 'meter': meters})::VARCHAR
        AS price_terms,
    subscriptions.terms AS subscription_terms
"""
_CHARGES = f"""
WITH {TERMS}
SELECT
    new_versions.invoice_id,
    new_versions.version,
    new_versions.content_hash,
    $kept_at::TIMESTAMPTZ AS kept_at,
    $run_id AS run_id,
    charges.*,
    {TERMS_COLUMNS}
FROM warehouse.main.charges AS charges
INNER JOIN warehouse.main.stg_accounts__customers AS customers
    ON charges.customer_id = customers.customer_id AND customers.is_payer
INNER JOIN new_versions
    ON customers.payer_id = new_versions.customer_id
    AND charges.currency = new_versions.currency
INNER JOIN warehouse.main.billable_quantities AS quantities
    ON charges.charge_id = quantities.charge_id
{TERMS_JOINS}
ORDER BY new_versions.invoice_id, charges.charge_id
"""
_TIERS = """
SELECT new_versions.invoice_id, new_versions.version, tiers.*
FROM warehouse.main.charge_tiers AS tiers
INNER JOIN warehouse.main.charges AS charges ON tiers.charge_id = charges.charge_id
INNER JOIN warehouse.main.stg_accounts__customers AS customers
    ON charges.customer_id = customers.customer_id AND customers.is_payer
INNER JOIN new_versions
    ON customers.payer_id = new_versions.customer_id
    AND charges.currency = new_versions.currency
ORDER BY new_versions.invoice_id, tiers.charge_id, tiers.tier
"""

_LINES = """
WITH shares AS (
    SELECT line_id, sum(discount_share)::DECIMAL(38, 4) AS discount_share
    FROM warehouse.main.line_discounts
    GROUP BY line_id
)
SELECT
    new_versions.version,
    lines.*,
    coalesce(shares.discount_share, 0)::DECIMAL(38, 4) AS discount_share,
    charges.plan_id,
    charges.price_id,
    charges.meter_id,
    charges.charge_model,
    charges.billable_quantity,
    CASE WHEN charges.charge_model = 'per_unit' THEN quantities.unit_amount END AS unit_amount
FROM warehouse.main.invoice_lines AS lines
INNER JOIN new_versions ON lines.invoice_id = new_versions.invoice_id
LEFT JOIN shares ON lines.line_id = shares.line_id
LEFT JOIN warehouse.main.charges AS charges ON lines.charge_id = charges.charge_id
LEFT JOIN warehouse.main.billable_quantities AS quantities
    ON lines.charge_id = quantities.charge_id
ORDER BY lines.invoice_id, lines.position
"""
_TAXES = """
SELECT new_versions.version, taxes.*
FROM warehouse.main.line_taxes AS taxes
INNER JOIN new_versions ON taxes.invoice_id = new_versions.invoice_id
ORDER BY taxes.invoice_id, taxes.line_id, taxes.tax_rate_id
"""
# The seller, the payer, and the customers whose lines stand on the payer's invoice.
_PARTIES = """
WITH parties AS (
    SELECT new_versions.invoice_id, new_versions.version, 'seller' AS role, seller.*
    FROM new_versions CROSS JOIN warehouse.main.seller AS seller
    UNION ALL BY NAME
    SELECT
        new_versions.invoice_id,
        new_versions.version,
        CASE WHEN customers.customer_id = new_versions.customer_id THEN 'buyer' ELSE 'customer' END
            AS role,
        customers.*
    FROM new_versions
    INNER JOIN warehouse.main.customers AS customers
        ON new_versions.customer_id = customers.payer_id
    WHERE customers.customer_id = new_versions.customer_id OR customers.customer_id IN (
        SELECT lines.customer_id FROM warehouse.main.invoice_lines AS lines
        WHERE lines.invoice_id = new_versions.invoice_id
    )
)
SELECT
    invoice_id, version, role, billing_month, customer_id, name, address, country, region, tax_id,
    email, website, bank_account, note, timezone, is_tax_exempt, purchase_order, street, city,
    postal_code, buyer_reference, electronic_address, tax_category, exemption_reason, contact, phone
FROM parties
ORDER BY ALL
"""
_CORRECTIONS = """
SELECT new_versions.invoice_id, new_versions.version, corrections.*
FROM warehouse.raw.corrections AS corrections
INNER JOIN new_versions
    ON corrections.payer_id = new_versions.customer_id
    AND corrections.currency = new_versions.currency
ORDER BY ALL
"""
_CORRECTION_TAXES = """
SELECT new_versions.invoice_id, new_versions.version, taxes.*
FROM warehouse.raw.correction_taxes AS taxes
INNER JOIN new_versions
    ON taxes.payer_id = new_versions.customer_id AND taxes.currency = new_versions.currency
ORDER BY ALL
"""
_IS_CORRECTING = """
SELECT count(*) FROM duckdb_tables()
WHERE database_name = 'warehouse' AND schema_name = 'raw' AND table_name = 'corrections'
    AND estimated_size > 0
"""
_DOCUMENTS = """
SELECT
    $month::DATE AS billing_month,
    sent.invoice_id,
    sent.revision,
    sent.credit_number,
    sent.amount,
    versions.version,
    $kept_at::TIMESTAMPTZ AS kept_at,
    $run_id AS run_id
FROM sent
LEFT JOIN (
    -- empty where nothing is due any more: there is no content to be a version
    SELECT invoice_id, max(version) AS version
    FROM (
        SELECT invoice_id, version FROM saved
        UNION ALL SELECT invoice_id, version FROM new_versions
    ) AS versions
    WHERE invoice_id IN (SELECT invoice_id FROM warehouse.main.invoices)
    GROUP BY invoice_id
) AS versions ON sent.invoice_id = versions.invoice_id
ORDER BY sent.invoice_id, sent.revision, sent.credit_number
"""


class SentDocument(NamedTuple):
    """A document about to be sent: an invoice with its revision, or a credit note with its number.
    The amount is in major units, and negative for a credit note."""

    invoice_id: str
    revision: int
    credit_number: int | None
    amount: Decimal


def save_versions(
    settings: Settings,
    month: BillingMonth,
    invoice_ids: Collection[str],
    run_id: str,
    now: datetime,
    documents: Collection[SentDocument] = (),
) -> int:
    """Save these invoices as they are in the month's warehouse, and return how many have a new
    version. The caller holds the month's lock (``collection.records.lock``). `documents` will bill
    them.

    An invoice that has not changed since its last version is not saved again. Everything is on the
    disk when this returns.
    """
    if not invoice_ids:
        return 0
    root = _root(settings, month)
    root.mkdir(parents=True, exist_ok=True)
    with utc_session() as connection:
        attach(connection, settings.warehouse_path(month), "warehouse")
        connection.execute(f"CREATE TEMP VIEW saved AS {_saved(settings, month)}")
        connection.execute(_NEW, {"invoice_ids": sorted(invoice_ids)})
        [[count]] = connection.execute("SELECT count(*) FROM new_versions").fetchall()
        if count or documents:
            how = {"kept_at": now, "run_id": run_id}
            queries = {DOCUMENTS: (_DOCUMENTS, {"month": month.key, **how})}
            if count:
                queries |= {_VERSIONS: ("SELECT * FROM new_versions", {})}
                queries |= {CHARGES: (_CHARGES, how), TIERS: (_TIERS, {}), LINES: (_LINES, {})}
                queries |= {TAXES: (_TAXES, {}), PARTIES: (_PARTIES, {})}
                if connection.execute(_IS_CORRECTING).fetchall() != [(0,)]:
                    queries |= {CORRECTIONS: (_CORRECTIONS, {})}
                    queries |= {CORRECTION_TAXES: (_CORRECTION_TAXES, {})}
            _load(connection, documents)
            with _atomic_folder(root) as folder:
                for name, (query, values) in queries.items():
                    _write(connection, query, folder / f"{name}.parquet", values)
                inputs = read_inputs(connection, settings, month)
                (folder / INPUTS).write_text(json.dumps(inputs), encoding="utf-8")
    return int(count)


def _saved(settings: Settings, month: BillingMonth) -> str:
    """A query of all saved versions, with their content hashes. Those that an earlier release saved
    are found from its charges."""
    columns = "invoice_id, version, content_hash"
    parts = ["SELECT NULL::VARCHAR AS invoice_id, NULL::INTEGER AS version, NULL::VARCHAR AS"
             " content_hash WHERE false"]  # fmt: skip
    for table in (_VERSIONS, CHARGES):
        query = versions_query(settings, month, table)
        parts += [f"SELECT {columns} FROM ({query})"] if query else []
    return " UNION ALL ".join(parts)


def _load(connection: duckdb.DuckDBPyConnection, documents: Collection[SentDocument]) -> None:
    connection.execute(
        "CREATE TEMP TABLE sent (invoice_id VARCHAR, revision INTEGER, credit_number INTEGER,"
        " amount DECIMAL(38, 4))"
    )
    if documents:
        connection.executemany("INSERT INTO sent VALUES (?, ?, ?, ?)", [list(d) for d in documents])


def read_inputs(
    connection: duckdb.DuckDBPyConnection, settings: Settings, month: BillingMonth
) -> dict[str, Any]:
    """The usage files from which the month was rated, by their content, and the corrections:
    whatever is missing here arrived later; and by commitment, what earlier months had spent of it.
    The month's warehouse is attached as `warehouse`."""
    corrections = connection.execute(
        "SELECT correction_id FROM warehouse.raw.usage_corrections ORDER BY 1"
    ).fetchall()
    spent = connection.execute(
        "SELECT commitment_id, spent_before::VARCHAR FROM warehouse.main.commitment_sums ORDER BY 1"
    ).fetchall()
    known = rated_inputs(settings, month)
    earlier = known.get("earlier", {}) if known else {}
    return {
        "usage_files": _contents(known["files"] if known else {}),
        "earlier_files": _contents(earlier),
        "corrections": [str(correction_id) for (correction_id,) in corrections],
        "spent_before": dict(spent),
    }


def _contents(files: Mapping[str, tuple[str, int, str]]) -> dict[str, str]:
    return {name: digest or stamp for name, (stamp, _, digest) in files.items()}


def saved_inputs(path: str) -> dict[str, Any] | None:
    """What `read_inputs` returned when this file of versions was written; None if an earlier
    release wrote it."""
    try:
        found = json.loads(Path(path).with_name(INPUTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def planned_charges(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    month: BillingMonth,
    invoice_ids: Collection[str],
) -> None:
    """Create the table `planned`: the charges of these invoices in the month's warehouse, which is
    attached as `warehouse`, as a version of their own with the columns of `CHARGES`; and the table
    `new_versions` of these invoices. One that there is no longer, for example because all its
    charges came to 0, has the charges that it would have."""
    connection.execute(
        "CREATE TEMP TABLE new_versions AS SELECT invoice_id, customer_id, currency,"
        f" content_hash, {PLANNED} AS version FROM warehouse.main.invoices"
        " WHERE list_contains($1, invoice_id)",
        [sorted(invoice_ids)],
    )
    versions = versions_query(settings, month, _VERSIONS)
    if versions is not None:
        connection.execute(
            "INSERT INTO new_versions SELECT DISTINCT invoice_id, customer_id, currency, NULL,"
            f" {PLANNED} FROM ({versions}) WHERE list_contains($1, invoice_id)"
            " AND invoice_id NOT IN (SELECT invoice_id FROM new_versions)",
            [sorted(invoice_ids)],
        )
    connection.execute(
        f"CREATE TEMP TABLE planned AS {_CHARGES}", {"kept_at": None, "run_id": None}
    )


def versions_query(
    settings: Settings, month: BillingMonth, table: str, *, with_files: bool = False
) -> str | None:
    """A query of all versions of a month in one of the tables, such as `CHARGES`; None if there are
    none. `with_files` adds the column `filename`."""
    files = sorted(_root(settings, month).glob(f"[0-9]*/{table}.parquet"))
    if not files:
        return None
    options = "union_by_name = true" + (", filename = true" if with_files else "")
    return f"SELECT * FROM read_parquet({path_list(files)}, {options})"


_BILLED_VERSIONS = """
SELECT lines.invoice_id, lines.version
FROM (
    SELECT invoice_id, version, coalesce(sum(amount) FILTER (WHERE NOT is_inclusive), 0) AS total
    FROM ({lines}) AS lines
    GROUP BY invoice_id, version
) AS lines
INNER JOIN totals ON lines.invoice_id = totals.invoice_id AND lines.total = totals.total
QUALIFY lines.version = max(lines.version) OVER (PARTITION BY lines.invoice_id)
"""


def billed_versions(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    month: BillingMonth,
    totals: Mapping[str, Decimal],
) -> dict[str, int]:
    """For each invoice, the newest version whose total is what was finally billed (`totals`, major
    units). A version that failed to send or was not approved has a different total."""
    lines = versions_query(settings, month, LINES)
    if lines is None or not totals:
        return {}
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE totals (invoice_id VARCHAR, total DECIMAL(38, 4))"
    )
    connection.executemany(
        "INSERT INTO totals VALUES (?, ?)", [list(row) for row in totals.items()]
    )
    return dict(connection.execute(_BILLED_VERSIONS.format(lines=lines)).fetchall())


def _root(settings: Settings, month: BillingMonth) -> Path:
    return settings.records_dir / "versions" / str(month)


def _write(
    connection: duckdb.DuckDBPyConnection, query: str, path: Path, values: dict[str, object]
) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE rows_to_save AS {query}", values)
    target = sql_text(str(path))
    connection.execute(f"COPY rows_to_save TO {target} (FORMAT parquet, COMPRESSION zstd)")


@contextmanager
def _atomic_folder(root: Path) -> Iterator[Path]:
    """A folder to write into, which gets its number once it is complete and on the disk."""
    unfinished = root / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    yield unfinished
    for path in (*unfinished.iterdir(), unfinished):
        fsync(path)
    last = max((int(path.name) for path in root.glob("[0-9]*")), default=0)
    unfinished.rename(root / f"{last + 1:06}")
    fsync(root)
