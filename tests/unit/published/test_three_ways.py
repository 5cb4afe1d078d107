"""Charges, Stripe's invoices and money in the bank, side by side for each invoice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import duckdb

MONTH = "2024-01-01"
USD = {"currency": "USD"}


def add(published: duckdb.DuckDBPyConnection, table: str, **cells: Any) -> None:
    cells = {"billing_month": MONTH, **cells}
    places = ", ".join(f"${name}" for name in cells)
    published.execute(f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({places})", cells)


def invoice(
    published: duckdb.DuckDBPyConnection, name: str = "i", state: str = "matched", **held: Any
) -> None:
    """One of 100, which was paid."""
    totals = {"expected_total": 100, "stripe_total": 100, "difference": 0, "state": state}
    add(published, "reconciliation", invoice_id=name, **totals, **USD)
    amounts = {"billed": 100, "paid": 100, "outstanding": 0, "settled_by_balance": 0, "credited": 0}
    add(published, "invoice_payments", invoice_id=name, **USD, **amounts | held)


def payment(
    published: duckdb.DuckDBPyConnection, amount: int, name: str = "i", **more: Any
) -> None:
    cells: dict[str, Any] = {"kind": "payment", "method": "card", "fee": 3, "fee_currency": "USD"}
    cells |= {"net": amount - 3, **more}
    add(published, "payments", invoice_id=name, amount=amount, **USD, **cells)


def payout(published: duckdb.DuckDBPyConnection, name: str, status: str = "paid") -> None:
    add(published, "payouts", payout_id=name, status=status, arrives_on="2024-02-05", **USD)


def rows(published: duckdb.DuckDBPyConnection, columns: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {columns} FROM three_way_reconciliation ORDER BY invoice_id"
    return published.execute(query).fetchall()


def test_every_cent_of_an_invoice_from_its_lines_to_the_bank(
    published: duckdb.DuckDBPyConnection,
) -> None:
    invoice(published)
    payment(published, 60, payout_id="po_1")
    payment(published, 30, payout_id="po_2")
    none = {"fee": None, "fee_currency": None, "net": None}
    payment(published, 6, method="outside_stripe", **none)
    payment(published, 4, method="wallet", **none)
    payment(published, -20, kind="refund", fee=0, net=-20)
    payout(published, "po_1")
    payout(published, "po_2", "in_transit")
    [row] = rows(published, "* EXCLUDE (billing_month, invoice_id, stripe_invoice_id, customer_id)")
    names = [column[0] for column in published.description]
    assert dict(zip(names, row, strict=True)) | {"last_payout_on": None} == {
        **{"currency": "USD", "expected_total": 100, "stripe_total": 100, "difference": 0},
        **{"by_balance": 0, "outstanding": 0, "paid": 100, "received": 100, "went_back": 20},
        **{"outside_stripe": 6, "from_wallet": 4, "through_stripe": 70},
        **{"settlement_currency": "USD", "fees": 6, "net": 64, "paid_out": 57, "not_paid_out": 7},
        **{"payout_ids": "po_1;po_2", "last_payout_on": None, "state": "not_paid_out"},
    }
    # What the bridge of the month says is in the bank is what these invoices bring there.
    bridge = "SELECT in_the_bank FROM revenue_bridge"
    assert published.execute(bridge).fetchall() == [(Decimal(64),)]


def test_the_first_thing_that_is_not_as_it_should_be(published: duckdb.DuckDBPyConnection) -> None:
    for name, more in {
        "1 in the bank": {"payout_id": "po_1"},
        "2 failed": {"payout_id": "po_2"},
        "3 not yet": {},
        "4 nothing booked": {"fee": None, "fee_currency": None, "net": None},
        "5 another net": {"net": 90, "payout_id": "po_1"},
        "6 in euros": {"net": 80, "fee_currency": "EUR", "payout_id": "po_1"},
    }.items():
        invoice(published, name)
        payment(published, 100, name, **more)
    invoice(published, "7 no payment known")
    invoice(published, "8 open", paid=0, outstanding=100)
    invoice(published, "9 by balance", paid=0, settled_by_balance=100)
    invoice(published, "a missing", "missing", paid=0)
    payout(published, "po_1")
    payout(published, "po_2", "failed")
    assert rows(published, "state, net") == [
        ("matched", 97),
        ("payout_failed", 97),
        ("not_paid_out", 97),
        ("not_booked", None),
        ("balance_differs", 90),
        ("matched", 80),
        ("payments_differ", 0),
        ("unpaid", 0),
        ("matched", 0),
        ("missing", 0),
    ]
    asks = "SELECT kind, subject FROM needs_attention WHERE kind LIKE 'stripe_%' ORDER BY ALL"
    assert published.execute(asks).fetchall() == [
        ("stripe_missing", "a missing"),
        ("stripe_payout_failed", "2 failed"),
    ]


def test_a_disputes_own_fee_is_in_the_fees_and_out_of_the_bank(
    published: duckdb.DuckDBPyConnection,
) -> None:
    for name, more in {"lost": None, "won": {"fee": 0, "net": 100}}.items():
        invoice(published, name)
        payment(published, 100, name, payout_id="po_1")
        payment(published, -100, name, kind="dispute", fee=15, net=-115, payout_id="po_1")
        if more:
            payment(published, 100, name, kind="dispute_reversal", payout_id="po_1", **more)
    payout(published, "po_1")
    assert rows(published, "invoice_id, went_back, fees, net, not_paid_out, state") == [
        ("lost", 100, 18, -18, 0, "matched"),
        ("won", 0, 18, 82, 0, "matched"),
    ]
    bridge = "SELECT less_fees, in_the_bank FROM revenue_bridge"
    assert published.execute(bridge).fetchall() == [(Decimal(36), Decimal(64))]


def test_what_nobody_here_knows_is_shown_as_of_the_newest_reading(
    published: duckdb.DuckDBPyConnection,
) -> None:
    for month, day in (("2024-01-01", 9), ("2024-02-01", 8)):
        add(published, "stripe_reads", billing_month=month, read_at=f"2024-03-0{day}")
    add(published, "unknown_invoices", stripe_invoice_id="in_1", total=5, amount_paid=5, **USD)
    old = {"billing_month": "2024-02-01", "stripe_invoice_id": "in_2"}
    add(published, "unknown_invoices", **old, **USD)
    assert rows(published, "stripe_invoice_id, stripe_total, paid, state") == [
        ("in_1", 5, 5, "unknown")
    ]
    asks = "SELECT kind, subject, amount FROM needs_attention"
    assert published.execute(asks).fetchall() == [("stripe_unknown", "in_1", Decimal(5))]
