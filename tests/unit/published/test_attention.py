"""What needs attention, and what the terminal says of it: one rule for all who read it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.published.health import health, usage_gaps
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare

MONTH = "2024-01-01"


@pytest.fixture
def published(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        declare(connection, Settings.from_env({"BILLING_HOME": str(tmp_path)}))
        add(connection, "seller", timezone="UTC")
        add(connection, "usage_files", source_file="a.csv", rows_read=9, accepted_rows=9,
            rejected_rows=0, duplicate_rows=0)  # fmt: skip
        yield connection


def add(published: duckdb.DuckDBPyConnection, table: str, **cells: Any) -> None:
    cells = {"billing_month": MONTH, **cells}
    places = ", ".join(f"${name}" for name in cells)
    published.execute(f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({places})", cells)


def found(published: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    query = "SELECT kind, subject, amount, items FROM needs_attention ORDER BY ALL"
    return published.execute(query).fetchall()


def test_nothing_asks_for_a_person(published: duckdb.DuckDBPyConnection) -> None:
    add(published, "invoices", invoice_id="in_1", currency="USD", total=10)
    add(published, "invoice_lines", invoice_id="in_1", amount=12, is_inclusive=False)
    add(published, "invoice_lines", invoice_id="in_1", amount=-2, is_inclusive=False)
    add(published, "invoice_lines", invoice_id="in_1", amount=1, is_inclusive=True)
    add(published, "invoice_payments", invoice_id="in_1", status="open", billed=12, credited=2)
    add(published, "reconciliation", invoice_id="in_1", difference=0, state="matched")
    add(published, "reconciliation", invoice_id="in_2", difference=5, state="adopted")
    add(published, "wallet_reconciliation", customer_id="c", currency="USD", difference=0)
    add(published, "invoice_plan", invoice_id="in_1", state="done")
    add(published, "entitlement_usage", customer_id="c", feature="calls", state="warning")
    assert found(published) == []
    assert all(part.is_well for part in health(published))


@pytest.mark.parametrize(
    ("table", "cells", "expected", "part"),
    [
        (
            "usage_files",
            {"source_file": "b", "rows_read": 3, "accepted_rows": 1, "rejected_rows": 2,
             "duplicate_rows": 0},
            ("usage_rejected", "b", None, 2),
            "usage",
        ),
        (
            "usage_files",
            {"source_file": "b", "rows_read": 3, "accepted_rows": 1, "rejected_rows": 0,
             "duplicate_rows": 0},
            ("rows_unaccounted", "b", None, 1),
            None,
        ),
        ("usage_issues", {"meter_id": "m", "reason": "x"}, ("events_unread", "m", None, 1), None),
        (
            "usage_issues",
            {"meter_id": "m", "customer_id": "c", "reason": "charged_by_several_subscriptions"},
            ("usage_charged_twice", "c m", None, 1),
            "unpriced",
        ),
        (
            "unpriced_usage",
            {"customer_id": "c", "event_name": "e", "reason": "no_price", "event_count": 7},
            ("usage_unpriced", "c e no_price", None, 7),
            "unpriced",
        ),
        (
            "reconciliation",
            {"invoice_id": "i", "difference": -4, "state": "missing"},
            ("stripe_missing", "i", Decimal(-4), 1),
            "Stripe",
        ),
        (
            "reconciliation",
            {
                **{"invoice_id": "i", "difference": 0, "state": "charge_differs"},
                **{"expected_due": 25, "charged": 40},
            },
            ("stripe_charge_differs", "i", Decimal(15), 1),
            "Stripe",
        ),
        (
            "wallet_reconciliation",
            {"customer_id": "c", "currency": "USD", "difference": 3},
            ("wallet_differs_from_stripe", "c USD", Decimal(3), 1),
            "wallets",
        ),
        (
            "wallet_reconciliation",
            {"customer_id": "c", "currency": "USD", "problem": "gone"},
            ("wallet_differs_from_stripe", "c USD", None, 1),
            "wallets",
        ),
        (
            "month_drift",
            {"currency": "USD", "billed": 9, "would_be": 12, "difference": 3, "customers": 2,
             "cause": "late usage"},
            ("month_drift", "USD", Decimal(3), 2),
            "drift",
        ),
        (
            "invoice_plan",
            {"invoice_id": "i", "state": "waiting", "amount_before": 4, "amount_after": 1},
            ("change_waiting", "i", Decimal(-3), 1),
            None,
        ),
        (
            "invoice_plan",
            {"invoice_id": "i", "state": "failed", "amount_before": 0, "amount_after": 1},
            ("change_failed", "i", Decimal(1), 1),
            None,
        ),
        (
            "invoice_payments",
            {"invoice_id": "i", "status": "open", "outstanding": 2, "last_error": "declined"},
            ("payment_failed", "i", Decimal(2), 1),
            None,
        ),
        (
            "invoice_payments",
            {"invoice_id": "i", "status": "overdue", "outstanding": 2},
            ("overdue", "i", Decimal(2), 1),
            "payments",
        ),
        (
            "stripe_invoices",
            {"invoice_id": "i", "status": "uncollectible", "amount_remaining": 2, "number": "N-1"},
            ("uncollectible", "N-1", Decimal(2), 1),
            "payments",
        ),
        (
            "entitlement_usage",
            {"customer_id": "c", "feature": "calls", "plan_id": "p", "limit_quantity": 1,
             "state": "exceeded"},
            ("limit_exceeded", "c calls", None, 1),
            "limits",
        ),
    ],
)  # fmt: skip
def test_each_kind(
    published: duckdb.DuckDBPyConnection,
    table: str,
    cells: dict[str, Any],
    expected: tuple[Any, ...],
    part: str | None,
) -> None:
    add(published, table, **cells)
    assert found(published) == [expected]
    assert [p.part for p in health(published) if not p.is_well] == ([part] if part else [])


@pytest.mark.parametrize(
    ("table", "cells", "message"),
    [
        (
            "month_drift",
            {"currency": "USD", "billed": "33444.3", "would_be": 152, "cause": "price"},
            "billed 33444.30 USD, today it would be 152 (price): billing plan 2024-01",
        ),
        (
            "reconciliation",
            {"state": "charge_differs", "expected_due": "1060.56", "charged": "0.125"},
            "due 1060.56, asked of the customer 0.125: something else was on the balance in Stripe",
        ),
        (
            "entitlement_usage",
            {"state": "exceeded", "feature": "calls", "plan_id": "p", "limit_quantity": 100},
            "more than 100 used of calls in p",
        ),
    ],
)
def test_numbers_are_written_as_people_write_them(
    published: duckdb.DuckDBPyConnection, table: str, cells: dict[str, Any], message: str
) -> None:
    """A reason is what a notice says."""
    add(published, table, **cells)
    reasons = published.execute("SELECT reason FROM needs_attention").fetchall()
    assert reasons == [(message,)]


def test_an_invoice_that_is_not_what_it_should_be(published: duckdb.DuckDBPyConnection) -> None:
    add(published, "invoices", invoice_id="unsent", currency="USD", total=10)
    add(published, "invoices", invoice_id="draft", currency="USD", total=10)
    add(published, "invoice_payments", invoice_id="draft", status="draft", billed=10, credited=0)
    add(published, "invoices", invoice_id="other", currency="USD", total=10)
    add(published, "invoice_payments", invoice_id="other", status="paid", billed=9, credited=0)
    add(published, "invoices", invoice_id="adopted", currency="USD", total=10)
    add(published, "reconciliation", invoice_id="adopted", difference=1, state="adopted")
    add(published, "invoice_lines", invoice_id="other", amount=11, is_inclusive=False)
    assert found(published) == [
        ("lines_do_not_add_up", "other", 1, 1),
        ("not_billed", "draft", 10, 1),
        ("not_billed", "other", 10, 1),
        ("not_billed", "unsent", 10, 1),
    ]


def test_a_card_that_expires_before_the_next_charge(published: duckdb.DuckDBPyConnection) -> None:
    """January is charged in February, and February in March: the card has to last until then."""
    for customer, expires, method in (
        ("ends", "2024-02-29", "charge_automatically"),
        ("lasts", "2024-03-31", "charge_automatically"),
        ("is sent", "2024-02-29", "send_invoice"),
    ):
        add(published, "customers", customer_id=customer, collection_method=method)
        paid = {"customer_id": customer, "kind": "payment", "method": "card"}
        add(published, "payments", **paid, paid_at="2024-01-02", card_expires="2020-01-31")
        add(published, "payments", **paid, paid_at="2024-02-02", card_expires=expires)
    # by bank debit since
    add(published, "customers", customer_id="debit", collection_method="charge_automatically")
    paid = {"customer_id": "debit", "kind": "payment"}
    add(
        published,
        "payments",
        **paid,
        method="card",
        paid_at="2024-01-02",
        card_expires="2020-01-31",
    )
    add(published, "payments", **paid, method="sepa_debit", paid_at="2024-02-02")
    assert found(published) == [("card_expires", "ends", None, 1)]
    cards = published.execute("SELECT customer_id FROM paying_cards ORDER BY ALL").fetchall()
    assert cards == [("ends",), ("is sent",), ("lasts",)]
    [payments] = [part for part in health(published) if not part.is_well]
    assert payments.says == "0 paid; 1 card expiring before the next charge"


def test_what_a_person_declined_needs_no_attention(published: duckdb.DuckDBPyConnection) -> None:
    add(published, "invoices", invoice_id="in_1", currency="USD", total=10)
    add(published, "invoice_payments", invoice_id="in_1", status="paid", billed=9, credited=0)
    add(published, "reconciliation", invoice_id="in_1", difference=-1, state="differs")
    add(published, "invoice_plan", invoice_id="in_1", state="declined")
    assert found(published) == []


def sources(published: duckdb.DuckDBPyConnection, month: str, **rows: int) -> None:
    """A month with so many rows of each source; `gateway` is expected every month."""
    for name, count in rows.items():
        expected = "monthly" if name == "gateway" else None
        add(published, "usage_sources", billing_month=month, source=name, file_pattern=f"{name}-*",
            expected=expected, file_count=int(count > 0), accepted_rows=count)  # fmt: skip


def gaps(published: duckdb.DuckDBPyConnection, month: str) -> list[str]:
    return [gap["reason"] for gap in usage_gaps(published) if gap["month"] == month]


def test_missing_usage_is_reported(published: duckdb.DuckDBPyConnection) -> None:
    sources(published, "2024-01-01", other=30)
    sources(published, "2024-02-01", other=10)
    sources(published, "2024-03-01", other=3)
    sources(published, "2024-04-01", other=0)
    assert [gaps(published, f"2024-0{month}") for month in range(1, 5)] == [
        [],
        [],  # a third, not less
        ["3 events, less than a third of the month before, which had 10"],
        ["no usage has arrived"],
    ]


def test_where_sources_are_expected_only_they_are_missed(
    published: duckdb.DuckDBPyConnection,
) -> None:
    sources(published, "2024-01-01", gateway=3000, batch=1000, other=5)
    sources(published, "2024-02-01", gateway=7, batch=0, other=0)
    sources(published, "2024-03-01", gateway=0, batch=9, other=0)
    assert gaps(published, "2024-02") == []
    assert gaps(published, "2024-03") == ["no file of the source gateway has arrived (gateway-*)"]


def test_a_month_that_goes_on_may_be_empty(published: duckdb.DuckDBPyConnection) -> None:
    sources(published, f"{datetime.now(UTC):%Y-%m}-01", other=0)
    assert found(published) == []
