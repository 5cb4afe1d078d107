"""Due notices, derived from a small published database with obvious results."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.notices.due import Close, due_notices
from billing_pipeline.notices.notice import Kind, Notice, Rules, messages
from billing_pipeline.settings import Settings
from billing_pipeline.web.links import approval_url
from tests.unit.notices.conftest import Book

NOW = datetime(2024, 3, 10, 12, tzinfo=UTC)
JANUARY, FEBRUARY, MARCH = (BillingMonth(2024, month) for month in (1, 2, 3))
RULES = Rules(ui_url="https://ui.example")


def due(book: Book, closes: Mapping[BillingMonth, Close] | None = None) -> list[Notice]:
    return due_notices(book.connection, closes or {}, RULES, MARCH, NOW)


def invoice(month: BillingMonth, number: int, currency: str, total: str) -> dict[str, str]:
    name = f"in_{number}"
    return {
        **{"billing_month": month.key, "invoice_id": name, "customer_id": f"c{number}"},
        **{"currency": currency, "total": total},
    }


def test_nothing_published_nothing_due(book: Book) -> None:
    assert due(book) == []


def test_a_closed_month(book: Book) -> None:
    book.add(
        "invoices",
        *(invoice(JANUARY, 1, "USD", "100"), invoice(JANUARY, 2, "EUR", "50")),
        *(invoice(FEBRUARY, 3, "USD", "80"), invoice(FEBRUARY, 4, "USD", "45.50")),
        invoice(FEBRUARY, 5, "JPY", "700"),
    )
    failed = ("usage_is_as_usual (warn)",)
    [january, february] = due(book, {FEBRUARY: Close("run-2", failed), JANUARY: Close("run-1")})
    assert january.key == "month_closed:2024-01"
    assert january.text.splitlines() == [
        "50.00 EUR in 1 invoice",
        "100.00 USD in 1 invoice",
        "failed checks: none",
        "https://ui.example/runs/run-1",
    ]
    assert february.text.splitlines() == [
        "0.00 EUR in 0 invoices (-50.00, -100.0 % from the month before)",
        "700 JPY in 1 invoice (+700 from the month before)",
        "125.50 USD in 2 invoices (+25.50, +25.5 % from the month before)",
        "failed checks: usage_is_as_usual (warn)",
        "https://ui.example/runs/run-2",
    ]


def test_each_expiring_card_gets_one_notice(book: Book) -> None:
    month = {"billing_month": FEBRUARY.key, "customer_id": "acme"}
    book.add("seller", {"billing_month": FEBRUARY.key})
    book.add("customers", {**month, "collection_method": "charge_automatically"})
    paid = {**month, "kind": "payment", "method": "card", "paid_at": "2024-02-02"}
    book.add("payments", {**paid, "card_expires": "2024-03-31"})
    [notice] = [notice for notice in due(book) if notice.kind is Kind.CARD_EXPIRES]
    assert notice.key == "card_expires:acme:2024-03-31"
    assert notice.text == "acme: the card that paid last expires on 2024-03-31"


def test_money_refunded_or_credited_by_hand_gets_one_notice(book: Book) -> None:
    of = {"billing_month": FEBRUARY.key, "customer_id": "acme", "currency": "USD"}
    moves = {"in_1": ("refund", "succeeded"), "in_2": ("dispute", "needs_response")}
    for name, (kind, status) in moves.items():
        book.add(
            "payments", of | {"invoice_id": name, "kind": kind, "status": status, "amount": "-3"}
        )
    by_hand = of | {"invoice_id": "in_3", "amount": "2.50"}
    book.add("credit_notes", *(by_hand | {"number": f"N-CN-{at}"} for at in (1, 2)))
    book.add("reconciliation", of | {"invoice_id": "in_3", "difference": "-5", "state": "differs"})
    found = [notice for notice in due(book) if notice.kind is Kind.MONEY_WENT_BACK]
    assert [notice.key for notice in found] == [
        *("credited_by_hand:N-CN-1:2.5", "credited_by_hand:N-CN-2:2.5"),
        *("disputed:in_2:3", "refunded:in_1:3"),
    ]
    assert found[0].text.startswith("acme: 2.50 USD of in_3: the credit note N-CN-1 was made in")


def test_a_failed_payout_is_told_for_each_invoice_whose_money_it_had(book: Book) -> None:
    of = {"billing_month": FEBRUARY.key, "invoice_id": "in_1", "customer_id": "acme"}
    of |= {"currency": "USD"}
    moved = {"payment_id": "ch_1", "kind": "payment", "method": "card", "payout_id": "po_1"}
    book.add("invoice_payments", of | {"status": "paid"})
    book.add("payments", of | moved | {"amount": "12.50", "net": 12})
    book.add("payouts", {"billing_month": FEBRUARY.key, "payout_id": "po_1", "status": "paid"})
    assert Kind.PAYOUT_FAILED not in {notice.kind for notice in due(book)}
    book.connection.execute("UPDATE payouts SET status = 'failed'")
    [notice] = [notice for notice in due(book) if notice.kind is Kind.PAYOUT_FAILED]
    assert (notice.key, notice.month) == ("stripe_payout_failed:in_1:12.5", "2024-02")
    assert notice.text == (
        "acme: 12.50 USD of in_1: its money did not reach the bank, a payout failed: po_1"
    )


def test_an_invoice_that_nothing_here_knows_is_told_once_whatever_month_is_read(
    book: Book,
) -> None:
    keys = []
    for month in ("2024-02", "2024-03"):
        of = {"billing_month": f"{month}-01"}
        book.add("stripe_reads", of | {"read_at": f"{month}-28 00:00+00"})
        book.add("unknown_invoices", of | {"stripe_invoice_id": "in_x", "total": 7})
        keys += [notice.key for notice in due(book) if notice.kind is Kind.UNKNOWN_INVOICE]
    assert keys == ["stripe_unknown:in_x", "stripe_unknown:in_x"]


def test_a_month_without_invoices_is_closed_too(book: Book) -> None:
    [notice] = due(book, {FEBRUARY: Close("run")})
    assert notice.text.startswith("no invoices\n")


def action(what: str, state: str, before: str = "0", after: str = "10") -> dict[str, object]:
    return {
        **{"billing_month": FEBRUARY.key, "plan_hash": "abc", "action": what, "state": state},
        **{"invoice_id": "in_1", "revision": 1, "customer_id": "acme", "currency": "USD"},
        **{"amount_before": before, "amount_after": after, "reason": "card_error: declined"},
    }


@pytest.mark.parametrize("state", ["ready", "waiting", "failed"])
def test_a_month_is_not_closed_while_a_first_invoice_is_not_sent(book: Book, state: str) -> None:
    book.add("invoice_plan", action("create", state))
    kinds = {notice.kind for notice in due(book, {FEBRUARY: Close("run")})}
    assert Kind.MONTH_CLOSED not in kinds
    book.connection.execute("UPDATE invoice_plan SET state = 'done'")
    assert [notice.kind for notice in due(book, {FEBRUARY: Close("run")})] == [Kind.MONTH_CLOSED]


def test_usage_that_is_not_charged_once(book: Book) -> None:
    of = {"billing_month": FEBRUARY.key, "customer_id": "acme"}
    book.add("unpriced_usage", of | {"event_name": "call", "reason": "no_price", "event_count": 3})
    book.add("usage_issues", of | {"meter_id": "m", "reason": "charged_by_several_subscriptions"})
    twice, unpriced = sorted(due(book), key=lambda notice: notice.key)
    assert (twice.kind, twice.key) == (
        *(Kind.USAGE_CHARGED_TWICE, "usage_charged_twice:2024-02:acme m"),
    )
    assert (unpriced.kind, unpriced.key) == (
        *(Kind.USAGE_UNPRICED, "usage_unpriced:2024-02:acme call no_price"),
    )
    assert unpriced.text.startswith("3 events call of acme are charged by nothing")


def test_a_plan_that_waits(book: Book) -> None:
    book.add(
        "invoice_plan",
        *(action("supplement", "waiting", "100", "110"), action("credit", "waiting", "9", "4.50")),
        *(action("unchanged", "done", "7", "7"), action("create", "done", "0", "7")),
    )
    [notice] = due(book)
    assert (notice.kind, notice.key) == (Kind.PLAN_WAITING, "plan_waiting:2024-02:abc")
    assert notice.text.splitlines() == [
        "2 changes, together +5.50 USD",
        "https://ui.example/assets/invoice_plan?view=partitions&partition=2024-02",
        approval_url("https://ui.example", BillingMonth(2024, 2), "abc"),
        "billing apply 2024-02 --approve abc",
    ]


def test_a_preview_of_the_running_month_waits_for_nobody(book: Book) -> None:
    book.add("invoice_plan", action("create", "waiting") | {"billing_month": MARCH.key})
    assert due(book) == []


def test_failed_invoices_give_notices(book: Book) -> None:
    book.add("invoice_plan", action("create", "failed"), action("create", "done"))
    [notice] = due(book)
    assert (notice.kind, notice.key) == (Kind.FAILED_IN_PART, "failed_in_part:in_1:1:abc")
    assert notice.text == "acme: card_error: declined"


def test_a_payment_that_failed_and_one_that_was_given_up(book: Book) -> None:
    unpaid = {
        **{"billing_month": FEBRUARY.key, "invoice_id": "in_1", "customer_id": "acme"},
        **{"currency": "USD", "status": "open", "outstanding": "12.5", "attempt_count": 2},
        **{"last_error": "Your card was declined.", "next_attempt_at": "2024-03-12 06:00+00"},
    }
    book.add(
        "invoice_payments",
        unpaid,
        unpaid | {"invoice_id": "in_2", "last_error": None},
        unpaid | {"invoice_id": "in_3", "status": "paid"},
    )
    gone = {"billing_month": JANUARY.key, "customer_id": "gone", "currency": "USD"}
    gone |= {"invoice_id": "in_9", "revision": 1, "number": "N-9", "amount_remaining": "3"}
    book.add("stripe_invoices", gone | {"status": "uncollectible"}, gone | {"status": "open"})
    failed, given_up = due(book)
    assert (failed.kind, failed.key) == (Kind.PAYMENT_FAILED, "payment_failed:in_1:2")
    assert failed.text == (
        "acme: 12.50 USD of in_1, Your card was declined.; next attempt 2024-03-12 06:00 UTC"
    )
    assert (given_up.kind, given_up.key) == (Kind.UNCOLLECTIBLE, "uncollectible:in_9:1")
    assert given_up.text == "gone: 3.00 USD of N-9"


def used(month: int, quantity: str, customer: str = "acme", price: str = "p") -> dict[str, str]:
    return {
        **{"billing_month": f"2024-{month:02}-01", "customer_id": customer, "meter_id": "calls"},
        **{"price_id": price, "quantity": quantity},
    }


def test_a_usage_spike(book: Book) -> None:
    book.add(
        "metered_usage",
        # Two stretches of a month add up; two prices of one meter do not.
        *(used(1, "60"), used(1, "40"), used(1, "100", price="q"), used(2, "50")),
        *(used(3, "300", "usual"), used(3, "301")),
        *(used(1, "100", "usual"), used(2, "99", "usual")),
        # One month is no history, and what was never used has none.
        *(used(2, "1", "young"), used(3, "99", "young")),
        *(used(1, "0", "asleep"), used(2, "0", "asleep"), used(3, "9", "asleep")),
    )
    [notice] = due(book)
    assert (notice.kind, notice.key) == (Kind.USAGE_SPIKE, "usage_spike:2024-03:acme:calls")
    assert notice.text == "acme: 301 of calls, at most 100 in the six months before"


def test_a_spike_of_the_running_month_is_seen_in_its_estimate(book: Book) -> None:
    book.add("metered_usage", used(1, "10"), used(2, "10"))
    book.add("estimated_charges", used(3, "31"), used(3, "0", price="q") | {"meter_id": None})
    assert [notice.key for notice in due(book)] == ["usage_spike:2024-03:acme:calls"]


def limit(month: int, feature: str, quantity: str, state: str) -> dict[str, str]:
    return {
        **{"billing_month": f"2024-{month:02}-01", "customer_id": "acme", "plan_id": "pro"},
        **{"feature": feature, "used": quantity, "limit_quantity": "1000", "state": state},
    }


def test_limits_at_80_and_100_percent(book: Book) -> None:
    book.add(
        "estimated_entitlement_usage",
        *(limit(3, "views", "800", "warning"), limit(3, "calls", "1000", "warning")),
        *(limit(3, "seats", "1500.5", "exceeded"), limit(3, "disks", "799", "ok")),
    )
    book.add(
        "entitlement_usage",
        *(limit(1, "views", "999", "warning"), limit(2, "views", "999", "warning")),
        limit(3, "views", "700", "ok"),
    )
    found = {notice.key.removeprefix("entitlement:"): notice.text for notice in due(book)}
    assert found == {
        "2024-02:acme:pro:views:80": "acme: 80 % of views in pro: 999 of 1,000",
        "2024-03:acme:pro:calls:100": "acme: 100 % of calls in pro: 1,000 of 1,000",
        "2024-03:acme:pro:seats:100": "acme: 100 % of seats in pro: 1,500.5 of 1,000",
        "2024-03:acme:pro:views:80": "acme: 80 % of views in pro: 800 of 1,000",
    }


def test_a_trial_that_ends(book: Book) -> None:
    for name, ends in (
        *(("over", "2024-03-10 12:00+00"), ("soon", "2024-03-13 12:00+00")),
        ("later", "2024-03-13 12:01+00"),
    ):
        trial = {"subscription_id": name, "customer_id": "acme", "plan_id": "pro"}
        book.add("trials", {**trial, "billing_month": MARCH.key, "trial_ends_at": ends})
    [notice] = due(book)
    assert (notice.kind, notice.key) == (Kind.TRIAL_ENDING, "trial_ending:soon:2024-03-13")
    assert notice.text == "acme: pro is charged from 2024-03-13 12:00 UTC"


def test_notices_of_a_kind_and_month_are_one_message() -> None:
    many = [Notice(Kind.ENTITLEMENT, f"k{n}", "2024-03", f"c{n}") for n in range(40)]
    other = Notice(Kind.ENTITLEMENT, "x", "2024-02", "evil\x1b[31m\ntwo lines" + "x" * 1000)
    first, second = messages([*many, other])
    assert first.title == "Plan limit 2024-03 (40)"
    assert first.body.splitlines()[-1] == "and 10 more, in the published tables"
    assert len(first.body.splitlines()) == 31
    assert first.keys == tuple(f"k{n}" for n in range(40))
    assert second.title == "Plan limit 2024-02"
    assert "\x1b" not in second.body
    assert second.body.endswith("x …")


def test_the_rules_are_settings() -> None:
    env = {
        **{"BILLING_UI_URL": "https://billing.example/", "BILLING_TRIAL_NOTICE_DAYS": "7"},
        **{"BILLING_SPIKE_FACTOR": "2.5"},
    }
    assert Rules.of(Settings.from_env(env)) == Rules("https://billing.example", 7, Decimal("2.5"))
    assert Rules.of(Settings.from_env({})) == Rules()
