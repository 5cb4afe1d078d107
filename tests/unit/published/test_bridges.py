"""The bridges from usage rows to charged events, and from charges to the bank."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare

MONTH = "2024-01-01"


@pytest.fixture
def published(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        declare(connection, Settings.from_env({"BILLING_HOME": str(tmp_path)}))
        yield connection


def add(published: duckdb.DuckDBPyConnection, table: str, **cells: Any) -> None:
    cells = {"billing_month": MONTH, **cells}
    places = ", ".join(f"${name}" for name in cells)
    published.execute(f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({places})", cells)


def only_row(published: duckdb.DuckDBPyConnection, view: str) -> dict[str, Any]:
    found = published.execute(f"SELECT * EXCLUDE (billing_month) FROM {view}")
    names = [column[0] for column in found.description]
    [row] = found.fetchall()
    return dict(zip(names, row, strict=True))


def test_every_usage_row_is_somewhere(published: duckdb.DuckDBPyConnection) -> None:
    for name, rows in (("a", (10, 7, 2, 1)), ("b", (5, 5, 0, 0))):
        counts = dict(zip(("rows_read", "accepted_rows", "rejected_rows", "duplicate_rows"),
                          rows, strict=True))  # fmt: skip
        add(published, "usage_files", source_file=name, **counts)
    for reason in ("no_price", "price_gap"):
        add(published, "unpriced_usage", customer_id="c", reason=reason, event_count=1)
    steps = {"limit_events": 1, "unread_events": 1, "later_events": 2, "again_by_prices": 1,
             "again_by_subscriptions": 0, "earlier_events": 1}  # fmt: skip
    add(published, "event_bridge", event_name="call", **steps)
    add(published, "event_bridge", event_name="seat", **dict.fromkeys(steps, 1))
    add(published, "metered_usage", meter_id="m", event_count=6, is_trial=False)
    add(published, "metered_usage", meter_id="m", event_count=4, is_trial=True)
    add(published, "charges", meter_id="m", event_count=6)
    add(published, "charges", event_count=0)
    assert only_row(published, "usage_bridge") == {
        **{"rows_read": 15, "rejected_rows": 2, "duplicate_rows": 1, "accepted_rows": 12},
        **{"unpriced_events": 2, "priced_events": 10},
        **{name: count + 1 for name, count in steps.items()},
        **{"metered_events": 10, "trial_events": 4, "charged_events": 6},
    }


def test_every_cent_from_charges_to_the_bank(published: duckdb.DuckDBPyConnection) -> None:
    usd = {"currency": "USD"}
    for amount in (100, 20, 7):  # the last is of a customer who is no payer
        add(published, "charges", amount=amount, **usd)
    lines = {"charge": 120, "minimum": 5, "discount": -10, "commitment": 3, "overage": 1,
             "adjustment": -2, "tax": 20}  # fmt: skip
    for kind, amount in lines.items():
        add(published, "invoice_lines", kind=kind, amount=amount, is_inclusive=False, **usd)
    add(published, "invoice_lines", kind="tax", amount=4, is_inclusive=True, **usd)
    for total, wallet, due in ((140, 30, 110), (-3, 0, 0)):
        amounts = {"total": total, "wallet_applied": wallet, "amount_due": due}
        add(published, "invoices", invoice_id=str(total), **amounts, **usd)
    # 6 were credited before the payment, 4 afterwards
    amounts = {"billed": 130, "credited": 10, "settled_by_balance": 30, "paid": 91}
    add(published, "invoice_payments", invoice_id="140", outstanding=3, **amounts, **usd)
    add(published, "payments", kind="payment", method="card", amount=80, fee=2,
        fee_currency="USD", **usd)  # fmt: skip
    add(published, "payments", kind="payment", method="outside_stripe", amount=4, **usd)
    add(published, "payments", kind="payment", method="wallet", amount=7, **usd)
    add(published, "payments", kind="refund", method="card", amount=-5, fee=1,
        fee_currency="EUR", **usd)  # fmt: skip
    row = only_row(published, "revenue_bridge")
    assert {name: Decimal(str(value)) for name, value in row.items() if name != "currency"} == {
        **{"charges": 127, "less_not_invoiced": 7, "minimums": 5, "less_discounts": 10},
        **{"commitments": 4, "adjustments": -2, "taxes": 20, "invoiced": 137},
        **{"less_wallets": 30, "put_into_wallets": 3, "due": 110, "not_billed": 17},
        **{"billed": 130, "less_credited": 10, "credited_after_payment": 4},
        **{"less_by_balance": 30, "outstanding": 3, "paid": 91, "less_went_back": 5},
        **{"less_outside_stripe": 4, "less_from_wallets": 7, "less_fees": 2, "in_the_bank": 73},
    }


def test_a_month_that_was_only_computed_or_only_billed(
    published: duckdb.DuckDBPyConnection,
) -> None:
    add(published, "charges", amount=8, currency="USD")
    add(published, "invoice_payments", invoice_id="i", currency="EUR", billed=5, credited=0,
        settled_by_balance=0, paid=5, outstanding=0)  # fmt: skip
    found = published.execute(
        "SELECT currency, charges, less_not_invoiced, invoiced, billed, not_billed, in_the_bank"
        " FROM revenue_bridge ORDER BY currency"
    ).fetchall()
    assert found == [("EUR", 0, 0, 0, 5, -5, 5), ("USD", 8, 8, 0, 0, 0, 0)]
