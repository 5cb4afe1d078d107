"""How payments change a wallet: paid, paid twice, refunded, disputed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from billing_pipeline.collection.pull.top_ups import TopUp, credited
from billing_pipeline.collection.stripe_state.cached_wallets import (
    CachedTopUps,
    PaidTopUp,
    TopUpReturn,
)
from billing_pipeline.collection.stripe_state.set_aside import read_set_aside

from .conftest import Company
from .test_wallets import paid, top_ups

DAY = 86_400


def payments(company: Company) -> list[dict[str, Any]]:
    return list(company.stripe.objects["pi"].values())


def moved(found: list[TopUp]) -> list[tuple[str, str, str]]:
    return [(item.kind, item.transaction_id, str(item.amount)) for item in found]


def refunded(company: Company) -> None:
    """As a whole and in part; one of them fails in the end."""
    first, second = payments(company)
    company.stripe.refund(first, 2000)
    company.clock.advance(DAY)
    company.stripe.refund(second, 300)
    failed = company.stripe.refund(second, 400)
    company.clock.advance(DAY)
    failed["status"] = "failed"
    company.stripe._event("refund.failed", failed)


def disputed(company: Company) -> None:
    """One is lost, one is won; an inquiry moves nothing."""
    first, second = payments(company)
    lost, won = company.stripe.dispute(first), company.stripe.dispute(second)
    company.stripe.dispute(second, "warning_needs_response")
    company.clock.advance(DAY)
    company.stripe.close_dispute(lost, "lost")
    company.stripe.close_dispute(won, "won")


@pytest.mark.parametrize(
    ("story", "taken"),
    [(refunded, ["-20.00", "-3.00"]), (disputed, ["-20.00", "-5.00", "5.00"])],
)
def test_a_refund_or_dispute_leaves_the_wallet_once(
    company: Company, story: Callable[[Company], None], taken: list[str]
) -> None:
    paid(company, "top-1", 2000)
    paid(company, "top-2", 500, latest_charge={"id": "ch_2", "created": 1_770_000_005})
    assert [item.kind for item in top_ups(company)] == ["top_up", "top_up"]
    company.clock.advance(DAY)
    story(company)
    by_events = top_ups(company)
    assert [amount for kind, _, amount in moved(by_events) if kind == "refund"] == taken
    assert {item.reference for item in by_events if item.kind == "refund"} == {"top-1", "top-2"}
    for event in list(company.stripe.objects["evt"].values()):
        company.stripe._event(event["type"], event["data"]["object"])
    assert top_ups(company) == by_events
    # The names and times are Stripe's: a rebuild by listing gives the same movements.
    shutil.rmtree(company.settings.records_dir)
    assert top_ups(company) == by_events


def payment(intent: str, name: str = "top-1", customer: str = "ada", at: int = 100) -> PaidTopUp:
    return PaidTopUp(intent, name, customer, "USD", 1000, at)


def test_a_top_up_is_its_customers_by_its_name() -> None:
    found = credited([payment("pi_a"), payment("pi_b", customer="bob", at=200)])
    assert [(item.customer_id, item.doubles) for item in found] == [("ada", ()), ("bob", ())]


@pytest.mark.parametrize("from_which", ["pi_a", "pi_b"])
def test_a_refund_puts_right_what_was_paid_twice(from_which: str) -> None:
    """Whichever of the two payments it leaves from: nothing leaves the wallet, and nothing is
    left to be refunded."""
    twice = [payment("pi_a"), payment("pi_b", at=200)]
    assert [item.doubles for item in credited(twice)] == [("pi_b",)]
    returned = TopUpReturn("re_1", from_which, -1000, 300)
    assert moved(credited(twice, [returned])) == [("top_up", "top-1", "10.00")]
    assert credited(twice, [returned])[0].doubles == ()
    more = TopUpReturn("re_2", "pi_a", -1000, 400)
    assert moved(credited(twice, [more, returned]))[1:] == [("refund", "re_2", "-10.00")]


def test_a_dispute_that_took_nothing_from_the_wallet_gives_nothing_back() -> None:
    twice = [payment("pi_a"), payment("pi_b", at=200)]
    dispute = [TopUpReturn("dp_1", "pi_b", -1000, 300), TopUpReturn("dp_1:won", "pi_b", 1000, 400)]
    assert moved(credited(twice, dispute)) == [("top_up", "top-1", "10.00")]
    assert credited(twice, dispute)[0].doubles == ("pi_b",)


def test_refunded_money_that_was_already_spent_is_owed(company: Company) -> None:
    """25.00 were put in and paid an invoice; the charge is refunded: the next top-up fills that."""
    company.top_up(paid_in=2500)
    company.want({"ada": [2500]}, wallet=2500)
    company.apply()
    company.top_up(re_1=-2500)
    company.apply()
    (customer,) = company.stripe.objects["cus"].values()
    assert customer["balance"] == 0
    company.top_up(next=4000)
    company.apply()
    assert customer["balance"] == -1500


def test_the_first_reading_holds_no_more_than_a_page(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(350):
        ours = {"billing_top_up": f"top-{number}", "billing_customer_id": "ada"}
        paid(company, metadata={} if number % 7 else ours)
    stored: list[int] = []
    store = CachedTopUps.store

    def counted(cache: CachedTopUps, found: Any) -> None:
        rows = list(found)
        stored.append(len(rows))
        store(cache, rows)

    monkeypatch.setattr(CachedTopUps, "store", counted)
    assert len(top_ups(company)) == 50
    assert len(stored) == 4 and max(stored) < 20


def test_the_cache_of_an_earlier_release_is_read_again(company: Company) -> None:
    """Its top-ups were read without their refunds."""
    paid(company)
    top_ups(company)
    company.clock.advance(DAY)
    company.stripe.refund(payments(company)[0], 2000)
    company.stripe.objects["evt"].clear()
    with sqlite3.connect(company.settings.records_dir / "stripe_mirror.db") as old:
        old.execute("drop table top_up_returns")
        old.execute("create table wallet_posted (transaction_id text primary key) strict")
    assert [kind for kind, _, _ in moved(top_ups(company))] == ["top_up", "refund"]


def test_an_event_that_arrives_late_is_read(company: Company) -> None:
    """It is older than the newest one that was read."""
    paid(company, "top-1")
    top_ups(company)
    company.clock.advance(60)
    paid(company, "top-2")
    assert len(top_ups(company)) == 2
    paid(company, "late")
    newest = max(company.stripe.objects["evt"].values(), key=lambda event: str(event["id"]))
    newest["created"] -= 30
    company.clock.advance(60)
    assert [item.transaction_id for item in top_ups(company)] == ["late", "top-1", "top-2"]


ODD = {
    "no time": {"created": "yesterday"},
    "no object": {"data": {}},
    "a payment that is no object": {"data": {"object": []}},
    "metadata that is a text": {"data": {"object": {"id": "pi_odd", "metadata": "billing_top_up"}}},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_an_event_that_cannot_be_read_stops_no_top_up(
    company: Company, odd: dict[str, Any]
) -> None:
    top_ups(company)
    paid(company, "top-1", 2000)
    event = company.stripe._new("evt", {"type": "payment_intent.succeeded"} | {"data": {}})
    event |= odd

    def with_it(fake: Any, method: str, path: str, params: Any) -> Any:
        if path != "/v1/events":
            return None
        known = [item for item in fake.objects["evt"].values() if item["id"] != event["id"]]
        return 200, {"object": "list", "data": [event, *known], "has_more": False}

    company.stripe.faults.append(with_it)
    assert moved(top_ups(company)) == [("top_up", "top-1", "20.00")]
    [aside] = read_set_aside(company.settings.records_dir)
    assert (aside.kind, aside.target) == ("event", event["id"])


@pytest.mark.parametrize(
    "changed", [{"amount_received": 2**70}, {"latest_charge": {"created": "soon"}}]
)
def test_an_unreadable_payment_is_set_aside(company: Company, changed: dict[str, Any]) -> None:
    paid(company, "top-1", 2000)
    paid(company, "top-2", 500)
    odd = payments(company)[0]
    odd |= changed
    assert moved(top_ups(company)) == [("top_up", "top-2", "5.00")]
    [aside] = read_set_aside(company.settings.records_dir)
    assert (aside.kind, aside.target) == ("payment", odd["id"])


@pytest.mark.parametrize("loses_cursor", [False, True], ids=["by events", "by listing"])
def test_what_becomes_readable_is_credited_and_no_longer_set_aside(
    company: Company, loses_cursor: bool
) -> None:
    """Long after its event, which nobody reads a second time."""
    top_ups(company)
    paid(company, "top-1", 2000)
    [odd] = payments(company)
    odd["amount_received"] = 2**70
    assert moved(top_ups(company)) == []
    company.clock.advance(31 * DAY if loses_cursor else DAY)
    paid(company, "top-2", 500)
    assert moved(top_ups(company)) == [("top_up", "top-2", "5.00")]
    assert len(read_set_aside(company.settings.records_dir)) == 1
    odd["amount_received"] = 2000
    assert moved(top_ups(company))[0] == ("top_up", "top-1", "20.00")
    assert read_set_aside(company.settings.records_dir) == []
    asked = len(company.stripe.calls)
    top_ups(company)
    assert not [path for _, path, _ in company.stripe.calls[asked:] if "payment_intents" in path]


def test_a_refund_that_can_be_read_again_takes_its_money_back(company: Company) -> None:
    paid(company, "top-1", 2000, latest_charge={"id": "ch_1", "created": 1_770_000_005})
    top_ups(company)
    company.clock.advance(DAY)
    [top_up] = payments(company)
    refund = company.stripe.refund(top_up, 700)
    refund["amount"] = None
    assert len(moved(top_ups(company))) == 1
    company.clock.advance(DAY)
    refund["amount"] = 700
    assert moved(top_ups(company))[-1][-1] == "-7.00"
    assert read_set_aside(company.settings.records_dir) == []


def test_one_that_is_gone_stops_nobody(company: Company) -> None:
    paid(company, "top-1", 2000)
    [odd] = payments(company)
    odd["amount_received"] = 2**70
    top_ups(company)
    del company.stripe.objects["pi"][odd["id"]]
    company.clock.advance(DAY)
    paid(company, "top-2", 500)
    assert moved(top_ups(company)) == [("top_up", "top-2", "5.00")]
    assert read_set_aside(company.settings.records_dir) == []


def test_one_that_stripe_does_not_give_is_read_again(company: Company) -> None:
    """The cursor of the events has passed it by then."""
    top_ups(company)
    paid(company, "top-1", 2000)
    [intent] = payments(company)

    def fails(fake: Any, method: str, path: str, params: Any) -> Any:
        error = {"type": "api_error", "message": "Something went wrong."}
        return (500, {"error": error}) if path.endswith(intent["id"]) else None

    company.stripe.faults.append(fails)
    assert moved(top_ups(company)) == []
    [aside] = read_set_aside(company.settings.records_dir)
    assert (aside.kind, aside.target) == ("payment", intent["id"])
    company.clock.advance(3 * DAY)
    paid(company, "top-2", 500)
    assert moved(top_ups(company)) == [("top_up", "top-2", "5.00")]
    company.stripe.faults.clear()
    assert moved(top_ups(company))[0] == ("top_up", "top-1", "20.00")
    assert read_set_aside(company.settings.records_dir) == []


def test_a_refund_that_cannot_be_read_takes_back_nothing_else(company: Company) -> None:
    paid(company, "top-1", 2000)
    paid(company, "top-2", 500, latest_charge={"id": "ch_2", "created": 1_770_000_005})
    top_ups(company)
    company.clock.advance(DAY)
    first, second = payments(company)
    company.stripe.refund(first, 700)["amount"] = None
    company.stripe.refund(second, 300)
    assert moved(top_ups(company))[-1][-1] == "-3.00"
    assert [item.kind for item in read_set_aside(company.settings.records_dir)] == ["payment"]
