"""Notices about customers' money and subscriptions, from a small published database."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from billing_pipeline.months import BillingMonth
from billing_pipeline.notices.due import due_notices
from billing_pipeline.notices.notice import Kind, Rules
from billing_pipeline.settings import Settings
from tests.unit.notices.conftest import Book

NOW = datetime(2024, 3, 10, 12, tzinfo=UTC)
FEBRUARY, MARCH = "2024-02-01", "2024-03-01"


def notices_of(book: Book, now: datetime = NOW) -> dict[str, tuple[Kind, str]]:
    found = due_notices(book.connection, {}, Rules(), BillingMonth(2024, 3), now)
    return {notice.key: (notice.kind, notice.text) for notice in found}


def payment(number: int, **other: object) -> dict[str, object]:
    return {
        **{"billing_month": FEBRUARY, "payment_id": f"ch_{number}", "kind": "payment"},
        **{"stripe_invoice_id": "in_S", "invoice_id": "in_1", "customer_id": "acme"},
        **{"currency": "USD", "amount": "12.5", "method": "card", "status": "succeeded"},
        **{"paid_at": "2024-03-10 11:30+00"},
        **other,
    }


def test_money_that_came_in_also_from_a_wallet(book: Book) -> None:
    book.add(
        "payments",
        payment(1),
        payment(2, method="wallet", amount="3"),
        payment(3, paid_at="2024-02-08 12:00+00"),  # long ago
        payment(4, kind="refund", amount="-3"),
    )
    received = {
        key: notice for key, notice in notices_of(book).items() if key.startswith("payment_")
    }
    assert received == {
        "payment_received:in_S:ch_1": (
            Kind.PAYMENT_RECEIVED,
            "acme: 12.50 USD of in_1 by card at 2024-03-10 11:30 UTC",
        ),
        "payment_received:in_S:ch_2": (
            Kind.PAYMENT_RECEIVED,
            "acme: 3.00 USD of in_1 by wallet at 2024-03-10 11:30 UTC",
        ),
    }


def test_an_invoice_that_is_late_names_its_due_date(book: Book) -> None:
    of = {"billing_month": FEBRUARY, "invoice_id": "in_1", "customer_id": "acme"}
    late = {"currency": "USD", "status": "overdue", "outstanding": "12.5"}
    book.add("invoice_payments", of | late)
    sent = {"revision": 1, "status": "open", "amount_remaining": "12.5", "currency": "USD"}
    book.add("stripe_invoices", of | sent | {"due_at": "2024-03-08 10:00+00"})
    assert notices_of(book)["overdue:in_1:2024-03-08"] == (
        Kind.OVERDUE,
        "acme: 12.50 USD of in_1, due 2024-03-08",
    )
    book.connection.execute("UPDATE invoice_payments SET status = 'open'")
    assert not any(key.startswith("overdue:") for key in notices_of(book))


def version(
    name: str, plan: str, quantity: str, starts: str, ends: str | None = None
) -> dict[str, object]:
    return {
        **{"billing_month": MARCH, "subscription_id": name, "customer_id": "acme"},
        **{"plan_id": plan, "quantity": quantity, "starts_at": starts, "ends_at": ends},
    }


def test_subscriptions_that_began_changed_and_ended(book: Book) -> None:
    book.add(
        "estimated_subscriptions",
        version("moves", "basic", "1", "2024-01-01 00:00+00", "2024-03-01 00:00+00"),
        version("moves", "pro", "5", "2024-03-01 00:00+00", "2024-03-05 00:00+00"),
        version("moves", "pro", "5", "2024-03-05 00:00+00"),  # another coupon
        version("ends", "pro", "1", "2023-01-01 00:00+00", "2024-03-10 12:00+00"),
        version("begins", "pro", "1", "2024-03-02 00:00+00"),
        version("will", "pro", "1", "2024-03-11 00:00+00"),
        version("never", "pro", "1", "2024-03-02 00:00+00", "2024-03-02 00:00+00"),
    )
    found = {key: text for key, (kind, text) in notices_of(book).items()}
    assert found == {
        "subscription_changed:moves:2024-03-01T00:00:00": (
            "acme: moves moved from basic to pro and has a quantity of 5 instead of 1"
            " at 2024-03-01 00:00 UTC"
        ),
        "subscription_ended:ends:2024-03-10T12:00:00": (
            "acme: ends on pro ended at 2024-03-10 12:00 UTC"
        ),
        "subscription_started:begins:2024-03-02T00:00:00": (
            "acme: begins on pro began at 2024-03-02 00:00 UTC"
        ),
    }


def test_without_an_estimate_the_newest_month_knows_the_subscriptions(book: Book) -> None:
    row = version("begins", "pro", "1", "2024-02-20 00:00+00") | {"billing_month": FEBRUARY}
    book.add("subscriptions", row, row | {"billing_month": "2024-01-01"})
    assert list(notices_of(book)) == ["subscription_started:begins:2024-02-20T00:00:00"]


def wallet(customer: str, balance: str, applied: str, last: str = "20") -> dict[str, object]:
    return {
        **{"billing_month": MARCH, "customer_id": customer, "currency": "USD"},
        **{"balance": balance, "would_be_applied": applied, "month_end_balance": "0"},
        **{"last_lot_id": "top-1", "last_lot_amount": last},
    }


def test_a_wallet_that_runs_low(book: Book) -> None:
    book.add(
        "estimated_wallet_balances",
        wallet("plenty", "24.01", "20"),
        wallet("low", "24", "20"),
        wallet("empty", "20", "20"),
        wallet("overdrawn", "-3", "0"),
    )
    assert {key: text for key, (_, text) in notices_of(book).items()} == {
        "wallet_low:low:USD:top-1:low": (
            "low: 4.00 USD would be left after the month so far, of 20.00 put in last (top-1)"
        ),
        "wallet_low:empty:USD:top-1:empty": (
            "empty: 0.00 USD would be left after the month so far, of 20.00 put in last (top-1)"
        ),
        "wallet_low:overdrawn:USD:top-1:empty": (
            "overdrawn: 0.00 USD would be left after the month so far, of 20.00 put in last (top-1)"
        ),
    }


def test_what_counts_as_low_is_a_setting() -> None:
    rules = Rules.of(Settings.from_env({"BILLING_WALLET_LOW_PERCENT": "50"}))
    assert (rules.wallet_low_percent, rules.spike_factor) == (50, Decimal(3))
