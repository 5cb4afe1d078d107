"""`billing check`: what is wrong with a data directory, and what a month of it would be charged.

What belongs here: rating a month in a scratch home and counting what came out; hints about rows
that are allowed and look forgotten. What does not: the checks of files and cells (``intake``).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import click
import duckdb
from rich.console import Console

from billing_pipeline.collection.stripe_state.tax_id_types import tax_id_of
from billing_pipeline.commands.findings import Findings, price_findings, usage_findings
from billing_pipeline.commands.parameters import MONTH, json_option
from billing_pipeline.commands.terminal import print_json, table
from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.home import exposed
from billing_pipeline.intake.canary import canary_problems
from billing_pipeline.intake.problems import MAX_LINES, InvalidInput
from billing_pipeline.intake.reference.load import load_reference
from billing_pipeline.money import format_amount
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.month_states import months_with_usage
from billing_pipeline.published.paying_cards import cards_expiring_before
from billing_pipeline.rating.canary import CanaryResult, check_canary
from billing_pipeline.rating.month import open_warehouse, rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.settings import Settings
from billing_pipeline.text import named_few, printable, printable_lines

# The number of ids that a hint names; the rest are counted.
MAX_IDS = 5
# The number of rows named for each reason; the rest are counted.
MAX_ROWS = 5

_NEWEST_CUSTOMERS = """(
    FROM raw.customers
    QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY valid_from DESC NULLS LAST) = 1
)"""
_HINTS = {
    "plans that no price names: subscriptions to them are charged nothing": (
        "SELECT plan_id FROM raw.plans WHERE plan_id NOT IN (SELECT plan_id FROM raw.plan_prices)"
    ),
    "meters that no price, no entitlement and no cost reads": (
        "SELECT meter_id FROM raw.meters"
        " WHERE meter_id NOT IN (SELECT meter_id FROM raw.prices WHERE meter_id IS NOT NULL)"
        " AND meter_id NOT IN (SELECT meter_id FROM raw.entitlements WHERE meter_id IS NOT NULL)"
        " AND meter_id NOT IN (SELECT meter_id FROM raw.cost_prices)"
    ),
    "customers without a subscription": (
        "SELECT DISTINCT customer_id FROM raw.customers"
        " WHERE customer_id NOT IN (SELECT customer_id FROM raw.subscriptions)"
    ),
    "customers who are sent their invoices and have no e-mail: Stripe refuses to finalize them": (
        f"SELECT customer_id FROM {_NEWEST_CUSTOMERS}"
        " WHERE collection_method = 'send_invoice' AND is_payer IS DISTINCT FROM false"
        " AND bill_to IS NULL AND nullif(trim(email), '') IS NULL"
    ),
    "customers who are charged automatically and have no payment method, unless Stripe has one": (
        f"SELECT customer_id FROM {_NEWEST_CUSTOMERS}"
        " WHERE collection_method IS DISTINCT FROM 'send_invoice'"
        " AND is_payer IS DISTINCT FROM false AND bill_to IS NULL"
        " AND stripe_customer_id IS NULL AND payment_method IS NULL"
    ),
    "coupons that no subscription has": (
        "SELECT coupon_id FROM raw.coupons WHERE coupon_id NOT IN"
        " (SELECT unnest(string_split(coupon_id, ';')) FROM raw.subscriptions"
        " WHERE coupon_id IS NOT NULL)"
    ),
}
_UNKNOWN_TAX_IDS = (
    "tax ids of no type that Stripe has for the customer's country: they are on our documents and "
    "not on Stripe's"
)
_TAX_IDS = f"""
SELECT customer_id, country, tax_id FROM {_NEWEST_CUSTOMERS}
WHERE tax_id IS NOT NULL AND is_payer IS DISTINCT FROM false AND bill_to IS NULL
ORDER BY customer_id
"""
_EXPOSED = "readable by other users of this machine (chmod go-rwx, or BILLING_READERS_GROUP)"
_FILES = """
SELECT source_file, rows_read, accepted_rows, rejected_rows, duplicate_rows
FROM usage_files ORDER BY source_file
"""
_PROBLEMS = f"""
SELECT source_file, reason, count(*) AS rows, list(source_row ORDER BY source_row)[:{MAX_ROWS}]
    AS first_rows, NULL AS meter_id
FROM usage_rejections GROUP BY ALL
UNION ALL BY NAME
SELECT source_file, reason, count(*) AS rows, list(source_row ORDER BY source_row)[:{MAX_ROWS}]
    AS first_rows, meter_id
FROM usage_issues GROUP BY ALL
ORDER BY source_file, reason, meter_id
"""
_UNPRICED = """
SELECT customer_id, event_name, reason, event_count, quantity, first_at, last_at
FROM unpriced_usage ORDER BY ALL
"""
_CHARGES = """
SELECT currency, count(*) AS charges, count(DISTINCT customer_id) AS customers,
    sum(amount) AS amount, sum(event_count)::BIGINT AS events
FROM charges GROUP BY currency ORDER BY currency
"""

_CHARGED_AUTOMATICALLY = """
SELECT DISTINCT customer_id FROM invoices
WHERE amount_due > 0 AND collection_method IS DISTINCT FROM 'send_invoice'
    AND list_contains($1, customer_id)
ORDER BY customer_id
"""


@dataclass(frozen=True)
class MonthCheck:
    """What a month's usage would be charged: `files` with their rows, `problems` by file and
    reason, `unpriced` usage, `charges` by currency before discounts and tax, and `findings`, where
    the price book may not say what was meant."""

    month: BillingMonth
    files: list[Row]
    problems: list[Row]
    unpriced: list[Row]
    charges: list[Row]
    findings: Findings


def check_reference(settings: Settings) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Rows per table of catalog/ and accounts/, and by kind of hint the ids that look forgotten.

    Raises `InvalidInput` with every problem in every file, including the canary's files.
    """
    of_canary = canary_problems(settings)
    with duckdb.connect() as connection:
        try:
            found = load_reference(connection, settings)
        except InvalidInput as error:
            raise InvalidInput([*error.problems, *of_canary]) from error
        if of_canary:
            raise InvalidInput(of_canary)
        hints = {
            hint: [str(row[0]) for row in connection.execute(f"{query} ORDER BY 1").fetchall()]
            for hint, query in _HINTS.items()
        } | price_findings(connection)
        hints[_UNKNOWN_TAX_IDS] = [
            printable(f"{customer} ({tax_id})")
            for customer, country, tax_id in connection.execute(_TAX_IDS).fetchall()
            if tax_id_of(country, tax_id) is None
        ]
    hints[_EXPOSED] = list(map(printable, exposed(settings)))
    return found, {hint: ids for hint, ids in hints.items() if ids}


def check_month(settings: Settings, month: BillingMonth) -> MonthCheck:
    """Rate the month in a scratch home. Nothing is published or planned."""
    with scratch_home(settings) as scratch:
        warehouse = rate_month(scratch, month)
        with open_warehouse(warehouse, read_only=True) as connection:
            files, problems, unpriced, charges = (
                rows(connection, query) for query in (_FILES, _PROBLEMS, _UNPRICED, _CHARGES)
            )
            findings = usage_findings(connection) | expired_cards(settings, month, connection)
    return MonthCheck(month, files, problems, unpriced, charges, findings)


def expired_cards(
    settings: Settings, month: BillingMonth, warehouse: duckdb.DuckDBPyConnection
) -> Findings:
    """Customers who would be charged for the month with a card that has expired by then."""
    cards = cards_expiring_before(settings, month.shift(1).first_day)
    charged = warehouse.execute(_CHARGED_AUTOMATICALLY, [list(cards)]).fetchall()
    found = [f"{customer} ({cards[customer]})" for (customer,) in charged]
    hint = f"customers whose card expires before {month} is charged, unless they replaced it"
    return {hint: found} if found else {}


@click.command()
@click.argument("month", type=MONTH, required=False)
@json_option
def check(month: BillingMonth | None, as_json: bool) -> None:
    """Check the data directory, and rate MONTH as a dry run (default: the newest with usage).

    Prints every problem with its file and row; if there is a canary, bills it as well. Nothing is
    published, nothing is sent.
    """
    settings = Settings.from_env()
    try:
        found, hints = check_reference(settings)
        chosen = month or _newest_month(settings)
        if not as_json:
            filled = sum(count > 0 for count in found.values())
            click.echo(f"catalog/ and accounts/: {sum(found.values()):,} rows in {filled} tables")
            _show_hints(hints)
        rated = canary = None
        if chosen is not None:
            settings.require_month(chosen, datetime.now(UTC))
            rated = check_month(settings, chosen)
            canary = check_canary(settings, chosen)
    except InvalidInput as error:
        message = error.message(settings.home)
        if as_json:
            lines = error.lines[:MAX_LINES]
            document = {"problems": lines, "problem_count": len(error.problems), "reason": message}
            print_json({"success": False, **document})
        else:
            click.echo(printable_lines(message), err=True)
        sys.exit(1)
    deviates = canary is not None and bool(canary.deviations)
    if as_json:
        document = {"success": not deviates, "rows": found, "hints": hints}
        print_json(document | {"month": _document(rated), "canary": _document(canary)})
    elif rated is None:
        click.echo("usage/ has no folder of a month yet, such as usage/2024-01/")
    else:
        _show_month(rated)
        if canary is not None:
            _show_canary(canary)
    if deviates:
        sys.exit(1)


def _newest_month(settings: Settings) -> BillingMonth | None:
    running = BillingMonth.containing(datetime.now(UTC), settings.timezone)
    months = months_with_usage(settings)
    rateable = [month for month in months if settings.first_month <= month <= running]
    return max(rateable, default=None)


def _document(rated: MonthCheck | CanaryResult | None) -> dict[str, object] | None:
    return None if rated is None else vars(rated) | {"month": str(rated.month)}


def _show_hints(hints: dict[str, list[str]]) -> None:
    for hint, ids in hints.items():
        click.echo(f"  for a look: {hint}: {named_few(ids, MAX_IDS)}")


def _show_month(rated: MonthCheck) -> None:
    console = Console(highlight=False)
    read, rejected, repeated = (
        sum(file[name] for file in rated.files)
        for name in ("rows_read", "rejected_rows", "duplicate_rows")
    )
    console.print(
        f"usage/{rated.month}/: {read:,} rows in {len(rated.files)} files, {rejected:,} set aside,"
        f" {repeated:,} repeated",
        markup=False,
    )
    if rated.problems:
        cells = [
            (row["source_file"], row["reason"], row["meter_id"], row["rows"], _rows_named(row))
            for row in rated.problems[:MAX_LINES]
        ]
        columns = ("file", "reason", "meter", "rows", "which")
        title = "Set aside, not read by a meter, or charged twice"
        console.print(table(title, columns, cells, folds="file"))
        _show_rest(console, rated, rated.problems)
    if rated.unpriced:
        _show_unpriced(console, rated)
    charged = ("currency", "customers", "charges", "amount")
    cells_of_charges = [
        (
            row["currency"],
            row["customers"],
            row["charges"],
            format_amount(row["amount"], row["currency"]),
        )
        for row in rated.charges
    ]
    title = f"What {rated.month} would be charged, before discounts and tax"
    console.print(table(title, charged, cells_of_charges))
    _show_hints(rated.findings)
    console.print(f"The invoices: billing plan {rated.month}")


def _show_canary(canary: CanaryResult) -> None:
    for text in canary.set_aside[:MAX_LINES]:
        click.echo(printable(f"set aside: {text}"))
    for text in canary.deviations[1:]:
        click.echo(printable(text))
    # Printed last, because a command that fails says why on its last line.
    click.echo(printable(f"canary: {canary.finding}"), err=bool(canary.deviations))


def _show_unpriced(console: Console, rated: MonthCheck) -> None:
    columns = ("customer", "event", "reason", "events", "first", "last")
    cells = [
        (
            *(row[name] for name in ("customer_id", "event_name", "reason", "event_count")),
            *(f"{row[name]:%Y-%m-%d %H:%M}" for name in ("first_at", "last_at")),
        )
        for row in rated.unpriced[:MAX_LINES]
    ]
    console.print(table("Unpriced usage", columns, cells, folds="customer"))
    _show_rest(console, rated, rated.unpriced)


def _show_rest(console: Console, rated: MonthCheck, rows: list[Row]) -> None:
    if len(rows) > MAX_LINES:
        more = len(rows) - MAX_LINES
        console.print(f"and {more:,} more: billing check {rated.month} --json")


def _rows_named(row: dict[str, object]) -> str:
    named = row["first_rows"]
    assert isinstance(named, list) and isinstance(row["rows"], int)
    texts = ", ".join(str(number) for number in named if number is not None)
    return f"{texts}, …" if texts and row["rows"] > len(named) else texts
