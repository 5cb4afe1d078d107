"""Closed books: what a month is billed with for the months that were closed behind it.

What belongs here: standing in for `defs.closed_books` over months that the oracle has rated: a
warehouse with their lines, and the corrections that the pipeline finds in it as lines of the
invoices of the first open month. What does not: finding them (`collection.closed_months`), and when
somebody closes the books (`story.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import duckdb

from billing_pipeline.collection.plan.closed_books import invoice_id
from billing_pipeline.collection.plan.desired import DesiredInvoice, DesiredLine
from billing_pipeline.money import to_major, to_minor
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.corrections import Correction
from billing_pipeline.settings import Settings
from tests.changes.rating import Rated, Rater, Taken, payer_of
from tests.property.tables import World

_CODE = "corrections"
_TABLES = """
CREATE TABLE invoice_lines (invoice_id VARCHAR, line_id VARCHAR, kind VARCHAR, customer_id VARCHAR,
    description VARCHAR, amount DECIMAL(38, 4), position INTEGER, is_inclusive BOOLEAN,
    subscription_id VARCHAR, charge_id VARCHAR, tax_rate_id VARCHAR, quantity DECIMAL(38, 18),
    period_start TIMESTAMPTZ, period_end TIMESTAMPTZ, calculation VARCHAR);
CREATE TABLE line_discounts (line_id VARCHAR, discount_share DECIMAL(38, 4));
CREATE TABLE charges (charge_id VARCHAR, price_id VARCHAR);
CREATE TABLE line_taxes (invoice_id VARCHAR, line_id VARCHAR, tax_rate_id VARCHAR,
    percentage DECIMAL(38, 12), is_inclusive BOOLEAN, tax_base DECIMAL(38, 4),
    tax_amount DECIMAL(38, 4));
"""


def named(rated: Rated, month: BillingMonth) -> Rated:
    """With the ids that the models give invoices: corrections are found by them."""
    desired = [
        replace(item, invoice_id=invoice_id(item.customer_id, item.currency, month))
        for item in rated.desired
    ]
    return replace(rated, desired=tuple(sorted(desired, key=lambda item: item.invoice_id)))


def write_warehouse(scratch: Settings, month: BillingMonth, rated: Rated) -> None:
    """What corrections read of a month that was rated in a scratch home."""
    path = scratch.warehouse_path(month)
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as warehouse:
        warehouse.execute(_TABLES)
        for item in rated.desired:
            for at, line in enumerate(item.lines):
                amount = to_major(line.amount, item.currency)
                warehouse.execute(
                    "INSERT INTO invoice_lines BY NAME SELECT $1 AS invoice_id, $2 AS line_id,"
                    " $3 AS kind, $4 AS customer_id, $5 AS description, $6 AS amount,"
                    " $7 AS position, false AS is_inclusive",
                    [
                        *(item.invoice_id, line.line_id, line.kind, item.customer_id),
                        *(line.description, amount, at),
                    ],
                )


def rate_with(
    rater: Rater, world: World, month: BillingMonth, taken: Taken, found: Sequence[Correction]
) -> Rated:
    """A month with lines of correction on its invoices. For the oracle they are adjustments that
    nothing is added to as tax, so that the wallet pays of them too."""
    known = {row["customer_id"]: row for row in world.tables["customers"]}
    lines: dict[tuple[str, str], list[Correction]] = defaultdict(list)
    for line in found:
        if line.payer_id in known:  # of others no invoice can be made
            lines[line.payer_id, line.currency].append(line)
    rated = named(rater(_with_adjustments(world, month, lines), month, taken), month)
    desired = {(item.customer_id, item.currency): item for item in rated.desired}
    for (payer_id, currency), ours in lines.items():
        before = desired.get((payer_id, currency))
        if before is None:  # no payer any more
            before = _empty(month, known[payer_id], currency)
        usual = [line for line in before.lines if line.kind != "adjustment"]
        added = [
            DesiredLine(line.line_id, line.kind, line.description, to_minor(line.amount, currency))
            for line in ours
        ]
        desired[payer_id, currency] = replace(before, lines=(*usual, *added))
    return replace(rated, desired=tuple(sorted(desired.values(), key=lambda item: item.invoice_id)))


def _with_adjustments(
    world: World, month: BillingMonth, lines: dict[tuple[str, str], list[Correction]]
) -> World:
    more = World({name: list(rows) for name, rows in world.tables.items()}, world.usage)
    for country in {row["country"] for row in world.tables["tax_rates"]}:
        more.add(
            "tax_rates", tax_rate_id=f"none-{country}", country=country, percentage=0,
            inclusive=False, tax_code=_CODE,
        )  # fmt: skip
    for at, ((payer_id, currency), ours) in enumerate(sorted(lines.items())):
        more.add(
            "adjustments",
            adjustment_id=f"correction-{at}",
            customer_id=payer_id,
            amount=sum((line.amount for line in ours), Decimal(0)),
            currency=currency,
            occurred_at=f"{month}-15",
            description="Corrections",
            tax_code=_CODE,
        )
    return more


def _empty(month: BillingMonth, row: dict[str, str], currency: str) -> DesiredInvoice:
    name = invoice_id(row["customer_id"], currency, month)
    return DesiredInvoice(name, month.key, payer_of(row), currency, ())
