"""Rating a month: a fresh warehouse, the inputs in it, and dbt's models on top.

What belongs here: preparing the month's DuckDB file and calling dbt on it. What does not: the rules
(SQL in ``dbt_project/``), checking inputs (``intake``), publishing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import duckdb

from billing_pipeline.intake.late_usage import record_rated
from billing_pipeline.intake.price_periods import earliest_usage, write_price_periods
from billing_pipeline.intake.problems import InvalidInput, Problem, shown
from billing_pipeline.intake.reference.load import load_reference
from billing_pipeline.intake.sources import write_file_sources
from billing_pipeline.intake.usage import load_usage
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.corrections import NO_CORRECTIONS, Corrections, write_corrections
from billing_pipeline.rating.dbt_runner import BUILD, CLOSE, DbtError, NodeResult, check, run_dbt
from billing_pipeline.rating.earlier_lines import load_earlier_lines
from billing_pipeline.rating.spark import build_with_spark
from billing_pipeline.rating.too_large import too_large
from billing_pipeline.rating.unchanged import inputs_digest, reusable_nodes, set_checked
from billing_pipeline.settings import Settings


class WalletApplication(NamedTuple):
    """What an invoice took from a wallet, and what the invoice billed; months as YYYY-MM-01. A
    negative `amount` is what a month with a negative total has put in."""

    customer_id: str
    currency: str
    billing_month: str
    amount: Decimal
    billed_amount: Decimal
    after_month: str | None = None
    """The latest month, its own or a later one, of which something was billed before it: that
    month's invoices and expiries come first. None if there is no such month."""
    committed_amount: Decimal = Decimal(0)
    """The part that is for lines of commitments, which no prepaid commitment pays."""
    after_payment_at: datetime | None = None
    """When the wallet paid an open invoice, if that was after its month and before it."""


class StripeMovement(NamedTuple):
    """A movement of a wallet that is in Stripe and in no file: a paid top-up, the refund of one, or
    the wallet's payment of an open invoice (`payment`, whose `reference` is the invoice)."""

    transaction_id: str
    customer_id: str
    amount: Decimal
    currency: str
    occurred_at: datetime
    reference: str
    kind: str
    spares_prepaid: bool = False
    """True if it takes nothing from lots of prepaid commitments, because it pays an invoice that
    has lines of commitments."""


@dataclass(frozen=True)
class IntakeReport:
    """What was read: rows per reference table, and rows of usage (good and bad)."""

    reference_rows: dict[str, int]
    usage_rows: int


@contextmanager
def open_warehouse(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a month's warehouse whose session time zone is UTC."""
    connection = duckdb.connect(str(path), read_only=read_only)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def build_raw(
    settings: Settings,
    month: BillingMonth,
    wallet_applications: Iterable[WalletApplication] = (),
    moved: Iterable[StripeMovement] = (),
    corrections: Corrections = NO_CORRECTIONS,
) -> IntakeReport:
    """Create the month's warehouse anew with the checked inputs in the schema ``raw``. If the
    inputs are the same as those from which the present warehouse was rated, that one is kept with
    all its tables.

    Raises `InvalidInput` with every problem found; the previous warehouse may then no longer be
    sent.
    """
    # In a folder of its own, because the file's name is the name of the database and must stay.
    new = settings.month_dir(month) / "next" / settings.warehouse_path(month).name
    new.parent.mkdir(parents=True, exist_ok=True)
    _delete(new)
    try:
        report, digest = _read_inputs(settings, month, new, wallet_applications, moved, corrections)
    except BaseException:
        set_checked(settings, month, False)
        raise
    kept = reusable_nodes(settings, month, digest)
    set_checked(settings, month, False)
    path = settings.warehouse_path(month)
    if kept:
        _delete(new)
        with open_warehouse(path) as connection:
            connection.execute("UPDATE raw.intake SET read_at = now()")
        set_checked(settings, month, True, kept)
    else:
        _delete(path)
        new.replace(path)
    return report


def _delete(path: Path) -> None:
    for file in (path, path.with_name(path.name + ".wal")):
        file.unlink(missing_ok=True)


def _read_inputs(
    settings: Settings,
    month: BillingMonth,
    path: Path,
    wallet_applications: Iterable[WalletApplication],
    moved: Iterable[StripeMovement],
    corrections: Corrections,
) -> tuple[IntakeReport, str]:
    """The checked inputs in a new DuckDB file, and their digest."""
    with open_warehouse(path) as connection:
        connection.execute("CREATE SCHEMA raw")
        reference_rows = load_reference(connection, settings)
        add_stripe_movements(connection, moved)
        earlier_lines = load_earlier_lines(connection, settings, month)
        write_price_periods(connection, month, settings.timezone)
        months_back = _months_back(connection, month, settings.timezone)
        usage = load_usage(connection, settings, month, months_back, _carried_events(connection))
        folders = [month.shift(-back) for back in range(months_back + 1)]
        write_file_sources(connection, month, usage)
        record_rated(settings, month, folders, usage, earlier_lines)
        write_wallet_applications(connection, wallet_applications)
        write_corrections(connection, corrections)
        digest = inputs_digest(connection, settings, usage)
        connection.execute(
            "CREATE TABLE raw.intake AS SELECT now() AS read_at, $1 AS digest", [digest]
        )
    return IntakeReport(reference_rows, usage.rows), digest


def _months_back(connection: duckdb.DuckDBPyConnection, month: BillingMonth, zone: ZoneInfo) -> int:
    """How many months before the month have usage that it may invoice. A period of 30 days that
    ends in the month may begin two calendar months earlier."""
    found = connection.execute(
        "SELECT count(*) FROM raw.subscriptions JOIN raw.plans USING (plan_id)"
        " WHERE billing_cycle = '30_days'"
    ).fetchall()
    earliest = BillingMonth.containing(earliest_usage(connection, month, zone), zone)
    months = (month.year - earliest.year) * 12 + month.month - earliest.month
    return max(months, 2 if found[0][0] else 0)


def _carried_events(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The events whose last value before the month counts in it, for a price, a limit or a cost."""
    found = connection.execute(
        "SELECT DISTINCT event_name FROM raw.meters WHERE event_name IS NOT NULL"
        " AND (carry_forward OR aggregation = 'counter') AND meter_id IN"
        " (SELECT meter_id FROM raw.prices UNION ALL SELECT meter_id FROM raw.entitlements"
        " UNION ALL SELECT meter_id FROM raw.cost_prices)"
    ).fetchall()
    return [str(name) for (name,) in found]


def write_wallet_applications(
    connection: duckdb.DuckDBPyConnection, applications: Iterable[WalletApplication]
) -> None:
    connection.execute(
        "CREATE TABLE raw.wallet_applications (customer_id VARCHAR, currency VARCHAR,"
        " billing_month DATE, amount DECIMAL(38, 4), billed_amount DECIMAL(38, 4),"
        " after_month DATE, committed_amount DECIMAL(38, 4), after_payment_at TIMESTAMPTZ)"
    )
    # A prepaid commitment fills the wallet of the payer, the present one or the one when its term
    # began.
    found = connection.execute(
        "SELECT customer_id, currency FROM raw.wallet_transactions UNION"
        " SELECT unnest([customer_id, bill_to]), commitments.currency"
        " FROM raw.commitments AS commitments JOIN raw.customers USING (customer_id)"
        " WHERE commitments.kind = 'prepaid'"
    )
    wallets = set(found.fetchall())
    # The list of what was billed may be long; only customers with a wallet, or with credit given,
    # need it.
    found_rows = list(applications)
    wallets |= {row[:2] for row in found_rows if row[3] or row[4] < 0}
    rows = [row for row in found_rows if row[:2] in wallets]
    if rows:
        connection.executemany(
            "INSERT INTO raw.wallet_applications VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [WalletApplication(*row) for row in rows],
        )


def add_stripe_movements(
    connection: duckdb.DuckDBPyConnection, moved: Iterable[StripeMovement]
) -> None:
    """Add the movements in Stripe of known customers' wallets to the rows of the file. A top-up
    that is in both counts once; raises `InvalidInput` if the two disagree."""
    connection.execute(
        "ALTER TABLE raw.wallet_transactions ADD COLUMN spares_prepaid BOOLEAN DEFAULT false"
    )
    rows = [StripeMovement(*row) for row in moved]
    if not rows:
        return
    connection.execute(
        "CREATE TEMP TABLE paid (transaction_id VARCHAR, customer_id VARCHAR,"
        " amount DECIMAL(38, 12), currency VARCHAR, occurred_at TIMESTAMPTZ, reference VARCHAR,"
        " kind VARCHAR, spares_prepaid BOOLEAN)"
    )
    connection.executemany("INSERT INTO paid VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    contradicted = connection.execute(
        "SELECT transaction_id, paid.reference FROM paid JOIN raw.wallet_transactions AS given"
        " USING (transaction_id, customer_id) WHERE (paid.amount, paid.currency)"
        " <> (given.amount, given.currency) ORDER BY 1"
    ).fetchall()
    if contradicted:
        raise InvalidInput(
            Problem(
                "accounts/wallet_transactions.csv",
                None,
                "transaction_id",
                str(name),
                f"{shown(str(name))} is another top-up in Stripe, paid by {payment}: the same id "
                "must have the same amount and currency",
            )
            for name, payment in contradicted
        )
    connection.execute(
        "INSERT INTO raw.wallet_transactions BY NAME SELECT * FROM paid"
        " WHERE (customer_id, transaction_id) NOT IN"
        " (SELECT (customer_id, transaction_id) FROM raw.wallet_transactions)"
        " AND customer_id IN (SELECT customer_id FROM raw.customers)"
    )
    connection.execute("DROP TABLE paid")


def rate_month(
    settings: Settings,
    month: BillingMonth,
    wallet_applications: Iterable[WalletApplication] = (),
    moved: Iterable[StripeMovement] = (),
    corrections: Corrections = NO_CORRECTIONS,
) -> Path:
    """Intake and dbt in one go; returns the month's warehouse, its tables in schema ``main``."""
    build_raw(settings, month, wallet_applications, moved, corrections)
    if not reusable_nodes(settings, month):
        nodes = build_models(settings, month)
        check_models(settings, month, nodes)
        set_checked(settings, month, True, nodes)
    return settings.warehouse_path(month)


def check_models(settings: Settings, month: BillingMonth, nodes: Sequence[NodeResult]) -> None:
    """Raise `DbtError` if a model or test failed, naming the lines that are too large if that is
    the cause."""
    try:
        check(nodes, month)
    except DbtError as error:
        with open_warehouse(settings.warehouse_path(month), read_only=True) as warehouse:
            lines = too_large(warehouse, nodes)
        if lines:
            raise DbtError("\n".join([f"{month} cannot be computed:", *lines])) from error
        raise


def build_models(
    settings: Settings,
    month: BillingMonth,
    on_node: Callable[[NodeResult], None] = lambda node: None,
    selection: Sequence[str] = (),
) -> list[NodeResult]:
    """Build all models and run their tests, metered by the engine that the settings name; or, in
    DuckDB, only dbt's `selection`."""
    if settings.metering == "spark" and not selection:
        return build_with_spark(settings, month, on_node)
    return run_dbt(settings, month, (*BUILD, *(selection or CLOSE)), on_node)
