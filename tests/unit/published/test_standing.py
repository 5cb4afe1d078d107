"""Who has paid: the view `customer_standing`, as an application asks it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from billing_pipeline.published.health import health
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare
from tests.unit.published.test_attention import add

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    # One home for all tests: each new one compiles dbt's project.
    return Settings.from_env({"BILLING_HOME": str(tmp_path_factory.mktemp("standing"))})


@pytest.fixture
def published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        declare(connection, settings)
        for name in ("ada", "bob"):
            add(connection, "customers", customer_id=name, payer_id=name)
        yield connection


def owe(
    published: duckdb.DuckDBPyConnection, number: str, amount: int, days_ago: float, **more: Any
) -> None:
    """Ada owes `amount` USD, due so many days ago."""
    cells = {"customer_id": "ada", "currency": "USD", "status": "open", "number": number}
    cells |= {"invoice_id": number, "due_at": NOW - timedelta(days=days_ago)}
    add(published, "stripe_invoices", amount_remaining=amount, **{**cells, **more})


def standing(published: duckdb.DuckDBPyConnection, customer: str = "ada") -> tuple[Any, ...]:
    [row] = published.execute(
        "SELECT state, since, outstanding, currency, reason FROM customer_standing"
        " WHERE customer_id = ?",
        [customer],
    ).fetchall()
    return tuple(row)


def test_a_customer_who_owes_nothing_is_good(published: duckdb.DuckDBPyConnection) -> None:
    owe(published, "N-1", 0, 30, status="paid")
    owe(published, "N-2", 9, 30, status="void")
    owe(published, "N-3", 9, 30, status="draft", due_at=None)
    assert standing(published) == ("good", None, Decimal(0), None, None)


def test_what_is_not_due_yet_is_outstanding_and_good(published: duckdb.DuckDBPyConnection) -> None:
    owe(published, "N-1", 9, -1)
    assert standing(published) == ("good", None, Decimal(9), "USD", None)


@pytest.mark.parametrize(
    ("days", "state", "since_days"),
    [
        (0.01, "past_due", 0.01),
        (13.9, "past_due", 13.9),
        (14, "suspended", 0),
        (40, "suspended", 26),
    ],
)
def test_the_clock_alone_suspends(
    published: duckdb.DuckDBPyConnection, days: float, state: str, since_days: float
) -> None:
    owe(published, "N-1", 9, days)
    owe(published, "N-2", 2, days - 5)
    found = standing(published)
    assert found[:3] == (state, NOW - timedelta(days=since_days), Decimal(11))
    assert "N-1" in found[4]
    assert standing(published, "bob")[0] == "good"


def test_the_days_are_those_of_the_newest_run(published: duckdb.DuckDBPyConnection) -> None:
    owe(published, "N-1", 9, 3)
    add(published, "stripe_reads", read_at=NOW - timedelta(days=2), suspend_days=1)
    assert standing(published)[0] == "suspended"
    add(published, "stripe_reads", read_at=NOW, suspend_days=5)
    assert standing(published)[0] == "past_due"


def test_a_given_up_invoice_suspends_at_once(published: duckdb.DuckDBPyConnection) -> None:
    given_up = NOW - timedelta(days=1)
    owe(published, "N-1", 9, 6, status="uncollectible", uncollectible_at=given_up)
    assert standing(published) == ("suspended", given_up, Decimal(9), "USD", "given up: N-1")
    [(kind, subject)] = published.execute(
        "SELECT kind, subject FROM needs_attention WHERE kind = 'customer_suspended'"
    ).fetchall()
    assert (kind, subject) == ("customer_suspended", "ada")


def test_a_debit_under_way_is_not_late(published: duckdb.DuckDBPyConnection) -> None:
    owe(published, "N-1", 9, 20)
    add(published, "invoice_payments", invoice_id="N-1", payment_state="processing")
    assert standing(published) == ("good", None, Decimal(9), "USD", None)


def test_other_currencies_are_named(published: duckdb.DuckDBPyConnection) -> None:
    owe(published, "N-1", 9, 2)
    owe(published, "N-2", 500, 1, currency="JPY")
    state, _, outstanding, currency, reason = standing(published)
    assert (state, outstanding, currency) == ("past_due", Decimal(9), "USD")
    assert reason == "unpaid after the due date: N-1, N-2; also owed: 500.0000 JPY"


def test_a_customer_stands_as_their_payer_does(published: duckdb.DuckDBPyConnection) -> None:
    add(published, "customers", customer_id="branch", payer_id="ada")
    owe(published, "N-1", 9, 20)
    assert standing(published, "branch")[0] == "suspended"
    assert standing(published, "branch")[4].endswith("ada pays for this customer")
    # Of several months the newest says who pays.
    add(published, "customers", billing_month="2024-02-01", customer_id="branch", payer_id="branch")
    assert standing(published, "branch")[0] == "good"


def test_money_that_went_back_needs_a_credit_note(published: duckdb.DuckDBPyConnection) -> None:
    def move(invoice: str, kind: str, amount: int, status: str) -> None:
        cells = {"invoice_id": invoice, "customer_id": "ada", "currency": "USD"}
        add(published, "payments", kind=kind, amount=amount, status=status, **cells)

    for name, credited in (("a", 0), ("b", 4), ("c", 0), ("d", 0)):
        add(published, "invoice_payments", invoice_id=name, credited=credited)
        move(name, "payment", 10, "succeeded")
    move("a", "refund", -3, "succeeded")
    move("b", "refund", -4, "succeeded")
    move("c", "dispute", -10, "needs_response")
    move("d", "dispute", -10, "won")
    move("d", "dispute_reversal", 10, "won")
    assert published.execute(
        "SELECT kind, subject, amount FROM needs_attention WHERE kind IN ('refunded', 'disputed')"
        " ORDER BY ALL"
    ).fetchall() == [("disputed", "c", Decimal(10)), ("refunded", "a", Decimal(3))]


def test_a_credit_note_by_hand_is_named_until_the_books_know_of_it(
    published: duckdb.DuckDBPyConnection,
) -> None:
    states = {"a": "differs", "b": "adopted", "c": "matched", "d": "differs"}
    for name, state in states.items():
        add(published, "reconciliation", invoice_id=name, difference=-4, state=state)
        ours = 1 if name == "d" else None
        cells = {"invoice_id": name, "customer_id": "ada", "currency": "USD", "amount": 4}
        add(published, "credit_notes", number=f"N-{name}-CN-01", credit_number=ours, **cells)
    [(subject, amount, reason)] = published.execute(
        "SELECT subject, amount, reason FROM needs_attention WHERE kind = 'credited_by_hand'"
    ).fetchall()
    assert (subject, amount) == ("N-a-CN-01", Decimal(4))
    assert "billing resolve a --adopt" in reason
    [payments] = [part for part in health(published) if part.part == "payments"]
    assert (payments.is_well, payments.says) == (False, "0 paid; 1 credit note made by hand")
