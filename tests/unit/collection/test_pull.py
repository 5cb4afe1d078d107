"""Pull: by events and in full give the same rows, in whatever order events arrive."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing_pipeline.collection import payments
from billing_pipeline.collection.payments import PullResult, StaleMonth
from billing_pipeline.collection.plan.dunning_policy import AfterLastTry, DunningPolicy
from billing_pipeline.collection.pull.inbox import Inbox, read_event
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.stripe_state.event_reader import (
    EVENT_TYPES,
    EVENTS_CURSOR,
    PASS_UNTIL,
    listed,
)
from billing_pipeline.collection.stripe_state.set_aside import read_set_aside, summary
from billing_pipeline.collection.stripe_state.stripe_invoice import read_invoice
from billing_pipeline.months import BillingMonth

from .conftest import JANUARY, Company
from .test_interruptions import at, kill_after

DECLINES = "pm_card_chargeCustomerFail"
Rows = list[list[dict[str, Any]]]


def stale(company: Company, **more: Any) -> list[StaleMonth]:
    return company.wait(payments.stale_months(company.gateway(), company.settings, **more))


def rows(company: Company, **more: Any) -> Rows:
    return _rows(company.pull(**more))


def _rows(pulled: PullResult) -> Rows:
    """All tables but the one that says when Stripe was read."""
    return [found for name, found in pulled.tables.items() if name != "stripe_reads"]


def publish(company: Company, **more: Any) -> Rows:
    pulled = company.pull(**more)
    payments.record_published(company.settings, pulled)
    return _rows(pulled)


def catch_up(company: Company) -> Rows:
    """Run the sensor until nothing is left; returns January's last published rows."""
    published: Rows = []
    for _ in range(20):
        found = stale(company)
        if not found:
            return published
        for month in found:
            published = publish(company, month=month.month, full=month.in_full)
    raise AssertionError("the same months are told again and again")


def push(company: Company, count: int, month: BillingMonth = JANUARY) -> None:
    company.want({f"c{n:03}": [1000] for n in range(count)}, month, payment_method=DECLINES)
    company.apply(month)
    # Looked for, never opened: what is due is given.
    warehouse = company.settings.warehouse_path(month)
    warehouse.parent.mkdir(parents=True)
    warehouse.touch()


def billed(company: Company, count: int = 2, month: BillingMonth = JANUARY) -> None:
    """`count` customers whose cards decline, published."""
    push(company, count, month)
    catch_up(company)
    publish(company, month=month)


def pay(company: Company, index: int) -> None:
    invoice = company.invoices()[index]
    customer = company.stripe.objects["cus"][invoice["customer"]]
    customer["invoice_settings"]["default_payment_method"] = "pm_card_visa"
    company.stripe.act("post", f"/v1/invoices/{invoice['id']}/pay", {})


def requests(company: Company, work: Callable[[], Any]) -> int:
    before = len(company.stripe.calls)
    work()
    return len(company.stripe.calls) - before


def test_a_pull_by_events_gives_the_rows_of_a_full_pull(company: Company) -> None:
    billed(company)
    company.clock.advance(7200)
    pay(company, 0)
    (month,) = stale(company)
    assert (month.month, month.in_full) == (JANUARY, False)
    by_events = publish(company, full=False)
    assert sorted(row["status"] for row in by_events[1]) == ["open", "paid"]
    assert by_events == rows(company)
    assert stale(company) == []


def test_a_changed_month_is_requested_until_it_is_published(company: Company) -> None:
    billed(company)
    pay(company, 0)
    assert [month.month for month in stale(company)] == [JANUARY]
    read_before = company.pull(full=False)
    pay(company, 1)
    stale(company)
    payments.record_published(company.settings, read_before)
    assert [month.month for month in stale(company)] == [JANUARY]


def test_nothing_new_asks_the_account_and_two_pages_of_events(company: Company) -> None:
    billed(company, count=30)
    assert requests(company, lambda: stale(company)) == 3


def test_requests_grow_with_what_changed_and_not_with_history(company: Company) -> None:
    asked = {}
    for number, month in enumerate((JANUARY, JANUARY.shift(1), JANUARY.shift(2)), 1):
        billed(company, 40, month)
        company.clock.advance(31 * 3600)
        pay(company, -number)
        asked[month] = requests(company, lambda: catch_up(company))
    # account, two lists of events, the invoice with its payment; account for the pull; account and
    # two lists of events for nothing new
    assert set(asked.values()) == {8}


def test_a_credit_note_by_hand_is_asked_about_once(company: Company) -> None:
    billed(company, count=5)
    company.clock.advance(7200)
    note = {"invoice": company.invoices()[0]["id"], "amount": "100", "metadata": {}}
    company.stripe.act("post", "/v1/credit_notes", note)
    catch_up(company)
    company.clock.advance(7200)
    pay(company, 1)
    assert requests(company, lambda: catch_up(company)) == 8


@pytest.mark.parametrize("how", ["by card", "outside of Stripe", "payments cannot be listed"])
def test_a_paid_invoice_is_read_with_what_was_received(company: Company, how: str) -> None:
    billed(company, count=2)
    company.clock.advance(7200)
    pay(company, 0)

    def broken(stripe: Any, method: str, path: str, params: Any) -> Any:
        error = {"type": "api_error", "message": "something went wrong"}
        return (500, {"error": error}) if path == "/v1/invoice_payments" else None

    if how == "outside of Stripe":
        made = company.stripe.objects["inpay"]
        for name in [name for name, item in made.items() if item.get("status") == "paid"]:
            del made[name]
    if how == "payments cannot be listed":
        company.stripe.faults.append(broken)
    stale(company)
    company.stripe.faults.clear()
    # The account, and the payments if they are not known yet.
    expected = 2 if how == "payments cannot be listed" else 1
    assert requests(company, lambda: company.pull(full=False)) == expected
    pulled = company.pull(full=False)
    assert [row["amount"] for row in pulled.payments] == [Decimal(10)]
    in_full = company.pull(full=True)
    assert (pulled.payments, pulled.tables["invoice_payments"]) == (
        in_full.payments,
        in_full.tables["invoice_payments"],
    )


def test_many_changes_are_read_by_listing(company: Company) -> None:
    billed(company, count=120)
    company.clock.advance(7200)
    for index in range(120):
        pay(company, index)
    # pages of events (those of the billing once more) and of invoices; not 120 invoices
    assert requests(company, lambda: stale(company)) < 12
    published = publish(company, full=False)
    assert {row["status"] for row in published[1]} == {"paid"}
    assert published == rows(company)


def test_more_than_there_is_time_for_is_read_by_the_next_calls(company: Company) -> None:
    billed(company, count=10)
    company.clock.advance(7200)
    for index in range(150):
        if index < 10:
            pay(company, index)
        company.stripe._event("invoice.updated", company.invoices()[index % 10])
        company.clock.advance(1)
    for _ in range(4):
        # One page at least: a call without any time still gets on.
        assert requests(company, lambda: stale(company, seconds=-1)) <= 13
        company.stripe._event("invoice.updated", company.invoices()[0])
        company.clock.advance(1)
    with open_records(company.settings.records_dir) as records:
        assert records.cache.progress.get(PASS_UNTIL) is None
    stale(company)
    assert publish(company, full=False) == rows(company)


def told_late(company: Company, invoice: dict[str, Any], created: int) -> None:
    company.stripe._event("invoice.paid", invoice)
    list(company.stripe.objects["evt"].values())[-1]["created"] = created


def test_after_a_big_month_a_tick_takes_few_requests_and_finds_late_events(
    company: Company,
) -> None:
    billed(company, count=80)  # hundreds of events in one second
    company.clock.advance(1200)
    assert stale(company) == []
    assert requests(company, lambda: stale(company)) == 3
    began = company.clock.now()
    pay(company, 0)
    original = list(company.stripe.objects["evt"].values())[-1]
    del company.stripe.objects["evt"][original["id"]]
    for _ in range(3):
        for _ in range(100):
            company.stripe._event("customer.updated", {"object": "customer", "id": "cus_x"})
        company.clock.advance(30)
        stale(company)
    told_late(company, company.invoices()[0], int(began) - 60)
    for _ in range(11):
        found = stale(company)
        company.clock.advance(60)
        if found:
            break
    assert publish(company, full=found[0].in_full)[1][0]["status"] == "paid"


def test_events_of_more_types_than_one_list_takes_come_newest_first(company: Company) -> None:
    kinds = [EVENT_TYPES[at] for at in (0, -1, 1, -2, -3, 2)]
    for kind in kinds:
        company.clock.advance(10)
        company.stripe._event(kind, {})
    company.stripe._event("invoice.created", {})

    async def read() -> list[str]:
        return [event["type"] async for event in listed(company.gateway(), {"limit": 2})]

    assert company.wait(read()) == kinds[::-1]


def test_a_tick_right_after_a_close_skips_its_own_events(company: Company) -> None:
    push(company, count=120)  # four pages of events
    (month,) = stale(company)
    publish(company, full=month.in_full)
    pay(company, 0)
    # account, a page with something new, one without, one of the other list, the invoice
    assert requests(company, lambda: stale(company)) == 5


def test_the_reason_of_an_attempt_by_somebody_else_is_read_again(company: Company) -> None:
    billed(company, count=1)
    (invoice,) = company.invoices()
    company.clock.advance(7200)
    intent = {"id": "pi_2", "last_payment_error": {"message": "Your card has expired."}}
    payment = {"invoice": invoice["id"], "payment": {"payment_intent": intent}}
    company.stripe._new("inpay", payment)
    company.stripe._event("invoice.payment_failed", invoice)
    published = catch_up(company)
    assert published[1][0]["last_error"] == "Your card has expired."
    assert published == rows(company)


def test_an_event_that_came_by_webhook_is_taken_up_once(company: Company) -> None:
    billed(company)
    company.clock.advance(7200)
    pay(company, 0)
    original = list(company.stripe.objects["evt"].values())[-1]
    company.stripe.objects["evt"].clear()  # the listing is late
    inbox = Inbox(company.settings.records_dir)
    for event in (original, original | {"id": "evt_strange", "data": {"object": {}}}):
        inbox.put(read_event(json.dumps(event | {"object": "event"}).encode()), now=0.0)
    inbox.close()
    assert [month.month for month in stale(company)] == [JANUARY]
    published = publish(company, full=False)
    assert sorted(row["status"] for row in published[1]) == ["open", "paid"]
    assert requests(company, lambda: stale(company)) == 3


def happens(company: Company, rng: random.Random) -> None:
    """A random action of Stripe or a person, or an event without news."""
    invoices, stripe = company.invoices(), company.stripe
    chosen = rng.choice(invoices)
    path = f"/v1/invoices/{chosen['id']}"
    what = rng.randrange(8)
    if what == 0:
        pay(company, invoices.index(chosen))
    elif what == 1 and chosen["status"] == "open":
        stripe.act("post", f"{path}/{rng.choice(['void', 'mark_uncollectible'])}", {})
    elif what == 2:
        stripe.act("post", path, {"metadata": {"note": str(rng.random())}})
    elif what == 3:
        note = {"invoice": chosen["id"], "amount": "100", "metadata": {}}
        if chosen["amount_remaining"] < 100:
            note["credit_amount"] = "100"
        stripe.act("post", "/v1/credit_notes", note)
    elif what == 4:
        stripe._event("invoice.updated", {"object": "invoice", "id": "in_unknown"})
        stripe._event("charge.refunded", {"object": "charge", "id": "ch_1"})
        stripe._event("invoice.paid", {"object": "invoice", "id": "in_x", "metadata": {}})
    elif what == 5:
        # Told again, as it was long ago.
        event = rng.choice(list(stripe.objects["evt"].values()))
        stripe._event(event["type"], event["data"]["object"])
    company.clock.advance(rng.choice([0, 0, 1, 400, 5000]))


def forgets(company: Company, rng: random.Random) -> None:
    """Lose the cursor or the whole cache, or let 40 days pass without a tick."""
    what = rng.randrange(12)
    with open_records(company.settings.records_dir) as records:
        if what == 0:
            records.cache.progress.drop(EVENTS_CURSOR)
    if what == 1:
        for path in company.settings.records_dir.glob("stripe_mirror*"):
            path.unlink()
    if what == 2:
        company.clock.advance(40 * 86_400)


@pytest.mark.parametrize("seed", range(30))
def test_pulling_by_events_and_in_full_always_gives_the_same_rows(
    company: Company, seed: int
) -> None:
    rng = random.Random(seed)
    billed(company, count=4)
    published = rows(company)
    for _ in range(12):
        for _ in range(rng.randrange(4)):
            happens(company, rng)
        kept = list(company.stripe.objects["evt"].items())
        rng.shuffle(kept)
        company.stripe.objects["evt"] = dict(kept)
        forgets(company, rng)
        published = catch_up(company) or published
    assert published == rows(company)


def test_after_a_month_of_silence_the_months_are_listed(company: Company) -> None:
    billed(company)
    company.clock.advance(31 * 86_400)
    pay(company, 0)
    company.stripe.objects["evt"].clear()
    assert [(month.month, month.in_full) for month in stale(company)] == [(JANUARY, True)]
    assert sorted(row["status"] for row in catch_up(company)[1]) == ["open", "paid"]


def test_an_invoice_becomes_overdue_without_any_event(company: Company) -> None:
    company.bill({"ada": ["10.00"]}, collection_method="send_invoice", days_until_due=7)
    company.apply()
    catch_up(company)
    company.clock.advance(6 * 86_400)
    assert stale(company) == []
    company.clock.advance(2 * 86_400)
    assert catch_up(company)[1][0]["status"] == "overdue"
    assert stale(company) == []


def test_sent_and_unpaid_past_its_due_date_is_overdue(company: Company) -> None:
    company.bill({"ada": ["10.00"]}, collection_method="send_invoice", days_until_due=7)
    company.apply()
    [[held], [payment], *_] = rows(company)
    assert payment["status"] == "open"
    assert held["due_at"] - held["finalized_at"] == timedelta(days=7)
    company.clock.advance(8 * 86_400)
    assert rows(company)[1][0]["status"] == "overdue"


def test_what_is_charged_automatically_is_due_when_it_is_finalized(company: Company) -> None:
    company.bill({"ada": ["10.00"]})
    company.apply()
    [[held], *_] = rows(company)
    assert held["due_at"] == held["finalized_at"]


def test_an_invoice_left_open_after_the_last_attempt_is_overdue(company: Company) -> None:
    policy = DunningPolicy((0, 24), AfterLastTry.LEAVE_OPEN)
    company.want({"ada": [1000]}, payment_method="pm_card_chargeCustomerFail")
    company.apply()
    seen = []
    for _ in range(2):
        seen.append(company.pull(policy=policy).invoice_payments[0]["status"])
        company.wait(payments.dun(company.gateway(), company.settings, run_id="dun", policy=policy))
        company.clock.advance(24 * 3600)
    seen.append(company.pull(policy=policy).invoice_payments[0]["status"])
    assert seen == ["open", "open", "overdue"]


def test_reconciliation_says_what_is_missing_and_what_is_too_much(company: Company) -> None:
    company.want({"ada": [1000], "bob": [500]})
    company.apply()
    company.want({"ada": [1001], "eve": [300]})
    states = {row["customer_id"]: row for row in rows(company)[2]}
    assert {name: row["state"] for name, row in states.items()} == {
        "ada": "differs",
        "bob": "unexpected",
        "eve": "missing",
    }
    assert str(states["ada"]["difference"]) == "-0.01"
    assert str(states["bob"]["stripe_total"]) == "5.00"


def while_listing(company: Company, path: str, work: Callable[[], Any]) -> None:
    """`work` is done after Stripe has made the first page of a list, before we have it."""
    done: list[bool] = []

    def slow(stripe: Any, method: str, asked: str, params: Any) -> Any:
        if method != "get" or asked != path or done:
            return None
        done.append(True)
        answer = stripe.act(method, asked, dict(params))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return answer

    company.stripe.faults.append(slow)


@pytest.mark.parametrize("reader", ["pull", "preview"])
def test_a_reader_does_not_judge_what_a_close_is_writing(company: Company, reader: str) -> None:
    company.want({"ada": [1000]})
    while_listing(company, "/v1/invoices", company.apply)
    read = getattr(company, reader)()
    if reader == "pull":
        assert [row["state"] for row in read.reconciliation] == ["matched"]
    else:
        assert not read.changes
    with open_records(company.settings.records_dir) as records:
        [cached] = records.cache.invoices.of_month(JANUARY.key)
    assert cached.body["status"] == "paid"  # neither dropped nor set back
    assert payments.verify_billed(company.settings, JANUARY) == []


def test_a_preview_does_not_miss_what_was_billed_while_it_read(company: Company) -> None:
    company.want({"ada": [1000]})
    company.stripe.faults.append(at(6, kill_after))  # a draft is left
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    company.stripe.faults.clear()
    [draft] = company.invoices()
    company.want({"ada": [1000], "bob": [500]})
    while_listing(company, f"/v1/invoices/{draft['id']}/lines", company.apply)
    kinds = {action.customer_id: action.kind.value for action in company.preview().actions}
    assert len(company.invoices()) == 2
    assert "review" not in kinds.values()


def test_an_older_answer_that_comes_late_sets_nothing_back(company: Company) -> None:
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    [invoice] = company.invoices()

    def credit() -> None:
        note = {"invoice": invoice["id"], "amount": "100", "metadata": {}}
        company.stripe.act("post", "/v1/credit_notes", note)
        with open_records(company.settings.records_dir) as records:
            records.cache.invoices.store([invoice])

    while_listing(company, "/v1/invoices", credit)
    company.pull()
    with open_records(company.settings.records_dir) as records:
        [cached] = records.cache.invoices.of_month(JANUARY.key)
        assert cached.body["amount_remaining"] == 900  # of the same status, and read later
        records.cache.invoices.store([{**invoice, "status": "paid"}])
        records.cache.invoices.store([{**invoice, "status": "open"}])
        [cached] = records.cache.invoices.of_month(JANUARY.key)
    assert cached.body["status"] == "paid"


ODD_EVENTS = {
    "an invoice without an id": {"type": "invoice.upcoming", "data": {"object": {}}},
    "a time beyond 64 bits": {"created": 2**70},
    "an object of another shape": {"data": {"object": []}},
    "no object": {"data": None},
    "metadata of another shape": {
        "data": {"object": {"object": "invoice", "id": "in_1", "metadata": [1]}}
    },
    "a credit note of no invoice": {
        "type": "credit_note.created",
        "data": {"object": {"object": "credit_note", "id": "cn_1"}},
    },
    "a type that is no text": {"type": 5},
}


@pytest.mark.parametrize("odd", ODD_EVENTS.values(), ids=ODD_EVENTS)
@pytest.mark.parametrize("by_webhook", [True, False])
def test_an_unreadable_event_is_set_aside(
    company: Company, odd: dict[str, Any], by_webhook: bool
) -> None:
    billed(company)
    company.clock.advance(7200)
    pay(company, 0)
    original = list(company.stripe.objects["evt"].values())[-1]
    event = {**original, "id": "evt_odd", **odd}
    if by_webhook:
        company.stripe.objects["evt"].clear()
        with sqlite3.connect(company.settings.records_dir / "webhooks.db") as db:
            Inbox(company.settings.records_dir).close()
            for name, body in (
                ("evt_odd", json.dumps(event)),
                (original["id"], json.dumps(original)),
            ):
                db.execute("insert into events values (?, ?, 0, null)", [name, body])
    else:
        lists = company.stripe.get_events
        company.stripe.get_events = lambda params: {  # type: ignore[method-assign]
            **lists(params), "data": [event, *lists(params)["data"]]
        }  # fmt: skip
    assert [month.month for month in stale(company)] == [JANUARY]
    assert sorted(row["status"] for row in publish(company, full=False)[1]) == ["open", "paid"]
    [thing] = read_set_aside(company.settings.records_dir)
    assert (thing.kind, thing.target) == ("event", "evt_odd")
    assert "1 of Stripe's answers could not be read" in summary([thing])
    assert stale(company) == []


def test_a_damaged_webhook_is_set_aside(company: Company) -> None:
    billed(company)
    Inbox(company.settings.records_dir).close()
    with sqlite3.connect(company.settings.records_dir / "webhooks.db") as db:
        db.execute("insert into events values ('evt_torn', '{\"id\": ', 0, null)")
    assert stale(company) == []
    assert [thing.target for thing in read_set_aside(company.settings.records_dir)] == ["evt_torn"]


ODD_INVOICES = [
    {"status": "refunded"},
    {"total": None},
    {"currency": "zzz"},
    {"currency": None},
    {"status_transitions": {"finalized_at": "yesterday"}},
    {"amount_remaining": "much"},
]


@pytest.mark.parametrize(
    "metadata",
    [
        [1],
        {"billing_invoice_id": 5, "billing_month": "2026-01-01"},
        {"billing_month": "January"},
        {"billing_month": 1},
    ],
    ids=str,
)
def test_an_invoice_whose_marks_cannot_be_read_stops_nobody_else(
    company: Company, metadata: Any
) -> None:
    billed(company, count=2)
    company.clock.advance(7200)
    [ada, _] = company.invoices()
    marked = dict(ada["metadata"])
    ada["metadata"] = metadata
    company.stripe._event("invoice.updated", {**ada, "metadata": marked})
    pay(company, 1)
    catch_up(company)
    found = publish(company)[1]
    assert {row["customer_id"]: row["status"] for row in found} == {"c001": "paid"}
    assert [thing.target for thing in read_set_aside(company.settings.records_dir)] == [ada["id"]]
    dun = payments.dun(company.gateway(), company.settings, run_id="dun")
    assert company.wait(dun) == []


def test_a_time_beyond_the_calendar_makes_an_invoice_unreadable(company: Company) -> None:
    billed(company, count=1)
    invoice = read_invoice({**company.invoices()[0], "created": 2**70})
    assert invoice.unreadable == f"its created is {2**70}"


@pytest.mark.parametrize("odd", ODD_INVOICES, ids=str)
def test_an_invoice_that_cannot_be_read_waits_and_stops_nobody_else(
    company: Company, odd: dict[str, Any]
) -> None:
    billed(company, count=2)
    company.clock.advance(7200)
    [ada, _] = company.invoices()
    kept = {name: ada[name] for name in odd}
    ada.update(odd)
    company.stripe._event("invoice.updated", {**ada, **kept})
    pay(company, 1)
    catch_up(company)
    found = publish(company)[1]
    assert {row["customer_id"]: row["status"] for row in found} == {"c001": "paid"}
    assert [thing.target for thing in read_set_aside(company.settings.records_dir)] == [ada["id"]]
    company.want({"c000": [1000], "c001": [1000], "c002": [700]}, payment_method=DECLINES)
    company.movements = {}
    [waiting] = company.apply().remaining.waiting
    assert waiting.kind.value == "review"
    assert ada["id"] in waiting.reason
    assert len(company.invoices()) == 3  # the third is billed, the first not again
    dun = payments.dun(company.gateway(), company.settings, run_id="dun")
    assert [result.customer_id for result in company.wait(dun)] == ["c002"]
    ada.update(kept)
    assert publish(company)[1][0]["status"] == "open"
    assert read_set_aside(company.settings.records_dir) == []


def test_a_draft_with_an_odd_status_gives_way_to_the_next_answer(company: Company) -> None:
    billed(company, count=1)
    [ada] = company.invoices()
    draft = {**ada, "status": "draft", "status_transitions": {}}
    with open_records(company.settings.records_dir) as records:
        invoices = records.cache.invoices
        for data in ({**draft, "id": "in_1", "status": "?"}, {**draft, "id": "in_1"}):
            invoices.store([data])
        assert (stored := invoices.get("in_1")) is not None
        assert stored.body["status"] == "draft"


def test_an_invoice_that_stripe_cannot_return_does_not_stop_the_others(company: Company) -> None:
    billed(company, count=3)
    company.clock.advance(7200)
    pay(company, 0)
    lost = company.invoices()[0]["id"]

    def broken(stripe: Any, method: str, path: str, params: Any) -> Any:
        error = {"type": "api_error", "message": "something went wrong"}
        asked = path == f"/v1/invoices/{lost}" or params.get("invoice") == lost
        return (500, {"error": error}) if asked else None

    company.stripe.faults.append(broken)
    [month] = stale(company)
    company.stripe.faults.clear()
    assert month.in_full  # listing tells what reading one by one does not
    statuses = [row["status"] for row in publish(company)[1]]
    assert statuses == ["paid", "open", "open"]


def test_unreadable_reasons_do_not_block_publishing(company: Company) -> None:
    billed(company, count=2)
    lost = company.invoices()[0]["id"]

    def broken(stripe: Any, method: str, path: str, params: Any) -> Any:
        error = {"type": "api_error", "message": "something went wrong"}
        asked = path == "/v1/invoice_payments" and params["invoice"] == lost
        return (500, {"error": error}) if asked else None

    company.stripe.faults.append(broken)
    errors = [row["last_error"] for row in publish(company)[1]]
    assert "could not be read" in errors[0]
    assert errors[1] == "Your card was declined."


def test_a_copied_month_folder_is_ignored(company: Company) -> None:
    billed(company)
    copy = company.home / "months" / "2026-01 (copy)" / "warehouse.duckdb"
    copy.parent.mkdir()
    copy.touch()
    assert stale(company) == []
