"""Each notice arrives once: over reruns, failed deliveries, crashes and two processes at a time."""

from __future__ import annotations

import logging
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import duckdb
import pytest
from filelock import FileLock

from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.stripe_state.set_aside import STRIPE_CACHE
from billing_pipeline.months import BillingMonth
from billing_pipeline.notices import sending
from billing_pipeline.notices.due import Close
from billing_pipeline.notices.notice import Kind, Message, Notice, Rules
from billing_pipeline.notices.record import RETENTION_SECONDS, NoticeRecord
from billing_pipeline.notices.sending import Outcome, send_due, targets_of
from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import InvalidSettingError, Settings
from tests.notice_receiver import Receiver
from tests.unit.notices.conftest import Book
from tests.unit.notices.test_due import limit, used

NOW = datetime(2024, 3, 10, 12, tzinfo=UTC)
FEBRUARY = BillingMonth(2024, 2)
CLOSES = {FEBRUARY: Close("run-2"), BillingMonth(2024, 1): Close("run-1")}


def tick(settings: Settings, *receivers: Receiver, later: timedelta = timedelta()) -> Outcome:
    """One tick of the sensor."""
    urls = " ".join(receiver.url for receiver in receivers)
    env = {"BILLING_HOME": str(settings.home), "BILLING_NOTIFY_URLS": urls}
    targets = targets_of(Settings.from_env(env))
    return send_due(settings, targets, CLOSES, Rules(), NOW + later)


def note(settings: Settings, key: str, kind: Kind = Kind.RUN_FAILED) -> None:
    with closing(NoticeRecord(settings.records_dir)) as record:
        record.note(Notice(kind, key, "2024-02", f"text of {key}"), NOW.timestamp())


@pytest.fixture
def february(settings: Settings, book: Book) -> Settings:
    """One fact of every kind, all of the newest month."""
    of_month = {"billing_month": "2024-02-01", "invoice_id": "in_1", "customer_id": "acme"}
    money = {"currency": "USD", "revision": 1}
    book.add("invoices", of_month | {"currency": "USD", "total": "10"})
    for what, state in (("supplement", "waiting"), ("credit", "failed")):
        changes = {"action": what, "state": state, "amount_before": 1, "amount_after": 2}
        book.add("invoice_plan", {**of_month, **money, **changes, "plan_hash": "h", "reason": "r"})
    book.add("seller", {"billing_month": "2024-02-01"})
    book.add("customers", {"billing_month": "2024-02-01", "customer_id": "acme"})
    given_up = {"status": "uncollectible", "amount_remaining": 1}
    since = {"due_at": "2024-03-01 00:00+00", "uncollectible_at": "2024-03-09 00:00+00"}
    book.add("stripe_invoices", of_month | money | given_up | since)
    book.add("payments", of_month | {"currency": "USD", "kind": "refund", "amount": -2})
    charged = {"state": "charge_differs", "expected_due": 1, "charged": 2}
    book.add("reconciliation", of_month | {"currency": "USD"} | charged)
    unpaid = {"status": "open", "outstanding": 1, "attempt_count": 1, "last_error": "declined"}
    book.add("invoice_payments", of_month | {"currency": "USD"} | unpaid)
    late = {"invoice_id": "in_2", "status": "overdue", "last_error": None}
    book.add("invoice_payments", of_month | {"currency": "USD"} | unpaid | late)
    received = {"kind": "payment", "amount": 1, "paid_at": "2024-03-09 00:00+00"}
    received |= {"method": "card", "card_expires": "2024-03-31"}
    book.add("payments", of_month | {"currency": "USD", "payment_id": "ch_1"} | received)
    of_now = {"billing_month": "2024-03-01", "customer_id": "acme"}
    began = {"subscription_id": "sub", "plan_id": "pro", "starts_at": "2024-03-01 00:00+00"}
    book.add("estimated_subscriptions", of_now | began)
    wallet = {"balance": 1, "would_be_applied": 1, "last_lot_id": "w", "last_lot_amount": 9}
    book.add("estimated_wallet_balances", of_now | {"currency": "USD"} | wallet)
    book.add("metered_usage", used(1, "1"), {**used(1, "1"), "billing_month": "2023-12-01"})
    book.add("metered_usage", used(2, "9"))
    book.add("entitlement_usage", limit(2, "views", "900", "warning"))
    trial = {"subscription_id": "sub", "customer_id": "acme", "plan_id": "pro"}
    gateway = {"source": "gateway", "file_pattern": "*", "expected": "monthly", "file_count": 0}
    book.add("usage_sources", {"billing_month": "2024-02-01"} | gateway)
    of_usage = {"billing_month": "2024-02-01", "customer_id": "acme"}
    several = {"meter_id": "m", "reason": "charged_by_several_subscriptions"}
    book.add("usage_issues", of_usage | several)
    unpriced = {"event_name": "e", "reason": "no_price", "event_count": 1}
    book.add("unpriced_usage", of_usage | unpriced)
    drift = {"billing_month": "2024-02-01", "currency": "USD", "billed": 1, "would_be": 2}
    book.add("month_drift", drift | {"difference": 1, "customers": 1, "cause": "price"})
    book.add("trials", trial | {"trial_ends_at": "2024-03-13 00:00+00"})
    bank = {"payment_id": "ch_2", "payout_id": "po_1", "method": "card", "net": 1}
    paid = {"currency": "USD", "kind": "payment", "amount": 1}
    book.add("payments", of_month | {"invoice_id": "in_2"} | paid | bank)
    book.add("payouts", {"billing_month": "2024-02-01", "payout_id": "po_1", "status": "failed"})
    book.add("stripe_reads", {"billing_month": "2024-02-01", "read_at": "2024-03-10 00:00+00"})
    book.add("unknown_invoices", {"billing_month": "2024-02-01", "stripe_invoice_id": "in_x"})
    book.connection.close()
    with open_records(settings.records_dir) as records:
        records.cache.unreadable.add("invoice", "in_y", "has the unknown status 'frozen'")
        records.cache.tax_ids.record_problems({"acme": "refused by Stripe"}, NOW.timestamp())
    note(settings, "run_failed:1")
    note(settings, "late_usage:2024-02:f", Kind.LATE_USAGE)
    return settings


def test_each_kind_arrives_once(february: Settings, receiver: Receiver) -> None:
    assert tick(february, receiver) == Outcome(sent=len(Kind))
    titles = [title.removesuffix(" 2024-02") for title in receiver.titles]
    assert sorted(titles) == sorted(kind.value for kind in Kind)
    assert {message["message"] for message in receiver.got} >= {
        "text of run_failed:1",
        "acme: 80 % of views in pro: 900 of 1,000",
    }
    assert tick(february, receiver) == Outcome()
    assert len(receiver.got) == len(Kind)


def test_unreadable_events_are_not_worth_a_notice(settings: Settings, receiver: Receiver) -> None:
    """They only say what to read again, and accounts with other uses of Stripe have some daily."""
    with open_records(settings.records_dir) as records:
        records.cache.unreadable.add("event", "evt_1", "has no object", NOW.timestamp())
    assert tick(settings, receiver) == Outcome()


def test_a_damaged_cache_of_stripe_holds_back_no_notice(
    settings: Settings, receiver: Receiver
) -> None:
    note(settings, "run_failed:1")
    (settings.records_dir / STRIPE_CACHE).write_bytes(b"no database at all" * 100)
    assert tick(settings, receiver) == Outcome(sent=1)


def test_an_undelivered_message_is_sent_again(february: Settings, receiver: Receiver) -> None:
    receiver.answer = 500
    assert tick(february, receiver) == Outcome(failed_targets=("json (number 1)",))
    receiver.answer = 200
    assert tick(february, receiver) == Outcome(sent=len(Kind))
    assert tick(february, receiver) == Outcome()


def test_an_unreachable_target_does_not_delay_the_others(
    february: Settings, receivers: list[Receiver]
) -> None:
    away, there = receivers
    away.answer = 503
    for _ in range(2):
        assert tick(february, away, there).failed_targets == ("json (number 1)",)
    assert len(there.got) == len(Kind)  # once, although the other was tried twice
    away.answer = 200
    assert tick(february, away, there) == Outcome(sent=len(Kind))
    assert sorted(away.titles) == sorted(there.titles)


def test_only_new_notices_are_sent(february: Settings, receiver: Receiver) -> None:
    tick(february, receiver)
    receiver.got.clear()
    with duckdb.connect(str(database_path(february))) as published:
        published.execute("UPDATE invoice_payments SET attempt_count = 2")
        published.execute("UPDATE entitlement_usage SET used = 1000")
    assert tick(february, receiver) == Outcome(sent=2)
    assert sorted(receiver.titles) == ["Payment failed 2024-02", "Plan limit 2024-02"]


def test_a_process_that_dies_after_a_delivery_repeats_that_one_and_loses_none(
    february: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = NoticeRecord.record_sent
    calls = []

    def die_at_the_third(record: NoticeRecord, *args: object) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(record, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(NoticeRecord, "record_sent", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        tick(february, receiver)
    assert len(receiver.got) == 3
    monkeypatch.undo()
    tick(february, receiver)
    repeated = [title for title in set(receiver.titles) if receiver.titles.count(title) > 1]
    assert repeated == [receiver.titles[2]]
    assert len(set(receiver.titles)) == len(Kind)


def test_two_processes_at_once_send_one(february: Settings, receiver: Receiver) -> None:
    folder = february.records_dir / "locks"
    folder.mkdir()
    with FileLock(folder / "notices.lock", is_singleton=False):
        assert tick(february, receiver) == Outcome(is_busy=True)
    assert receiver.got == []
    assert tick(february, receiver).sent == len(Kind)


def test_the_rest_is_sent_by_the_next_call(
    february: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(sending, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    targets = targets_of(Settings.from_env({"BILLING_NOTIFY_URLS": receiver.url}))
    assert send_due(february, targets, CLOSES, Rules(), NOW, seconds=2.0) == Outcome(sent=2)
    monkeypatch.undo()
    assert tick(february, receiver) == Outcome(sent=len(Kind) - 2)
    assert len(set(receiver.titles)) == len(Kind)


def test_a_new_target_gets_the_newest_month_and_not_the_history(
    february: Settings, receivers: list[Receiver]
) -> None:
    first, second = receivers
    tick(february, first)
    assert not any("2024-01" in title for title in first.titles)
    assert tick(february, first, second, later=timedelta(days=2)).sent == len(Kind) - 2
    # What was noted two days ago is behind; January's trouble from now on is not.
    assert not any("Run failed" in title for title in second.titles)
    with duckdb.connect(str(database_path(february))) as published:
        published.execute(
            "UPDATE invoice_payments SET billing_month = '2024-01-01', invoice_id = 'in_0'"
            " WHERE last_error IS NOT NULL"
        )
    assert tick(february, first, second, later=timedelta(days=2)) == Outcome(sent=2)
    assert first.titles[-1] == second.titles[-1] == "Payment failed 2024-01"


def test_without_anything_published_only_what_was_noted(
    settings: Settings, receiver: Receiver
) -> None:
    note(settings, "run_failed:1")
    note(settings, "run_failed:1")
    note(settings, "run_failed:2")
    assert tick(settings, receiver) == Outcome(sent=1)
    assert receiver.got[0]["message"] == "text of run_failed:1\ntext of run_failed:2"


def test_old_noted_notices_are_deleted(settings: Settings) -> None:
    note(settings, "run_failed:1")
    with closing(NoticeRecord(settings.records_dir)) as record:
        later = NOW.timestamp() + RETENTION_SECONDS + 1
        record.note(Notice(Kind.RUN_FAILED, "run_failed:2", "", "text"), later)
        assert [notice.key for notice in record.noted()] == ["run_failed:2"]


def test_urls_are_never_logged_or_stored(
    february: Settings, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answer = 500
    outcome = tick(february, receiver)
    env = {"BILLING_NOTIFY_URLS": f"{receiver.url} s3cret-word://nothing"}
    settings = Settings.from_env(env)
    with pytest.raises(InvalidSettingError, match="number 2 is not a URL") as refused:
        targets_of(settings)
    kept = b"".join(path.read_bytes() for path in february.home.rglob("*") if path.is_file())
    output = f"{outcome} {settings!r} {refused.value} {caplog.text}"
    assert "s3cret-word" not in output
    assert b"s3cret-word" not in kept


def test_a_message_is_delivered_only_where_the_receiver_says_so(receiver: Receiver) -> None:
    [target] = targets_of(Settings.from_env({"BILLING_NOTIFY_URLS": receiver.url}))
    assert target.send(Message("title", "body", ("key",)))
    receiver.answer = 404
    assert not target.send(Message("title", "body", ("key",)))
