"""Wallets: Stripe takes from a balance what our ledger says, despite any interruption."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.collection import prepaid
from billing_pipeline.collection.plan.wallet_ledger import WalletMovement
from billing_pipeline.collection.pull.top_ups import TopUp
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.months import BillingMonth

from .conftest import JANUARY, Company
from .test_interruptions import Killed, at, finish, kill_after, kill_before, server_error_after

FEBRUARY = BillingMonth(2026, 2)
MARCH = BillingMonth(2026, 3)


def balance(company: Company) -> int:
    (customer,) = company.stripe.objects["cus"].values()
    return int(customer["balance"])


def due(company: Company) -> dict[str, tuple[int, int]]:
    return {
        f"{i['metadata']['billing_invoice_id']}/{i['metadata']['billing_revision']}": (
            i["total"],
            i["amount_due"],
        )
        for i in company.invoices()
    }


def test_the_wallet_pays_what_it_holds_and_the_rest_is_due(company: Company) -> None:
    company.top_up(first=1000)
    company.want({"ada": [1234]}, wallet=1000)
    company.apply()
    assert due(company) == {"in_202601_ada/1": (1234, 234)}
    assert balance(company) == 0
    pulled = company.pull()
    (row,) = pulled.invoice_payments
    assert (str(row["paid"]), str(row["settled_by_balance"])) == ("2.34", "10.00")
    assert str(pulled.stripe_invoices[0]["wallet_applied"]) == "10.00"


def test_the_rest_of_the_wallet_is_carried_over(company: Company) -> None:
    company.top_up(first=2000)
    company.want({"ada": [1234]}, wallet=1234)
    company.apply()
    assert due(company) == {"in_202601_ada/1": (1234, 0)}
    assert balance(company) == -766
    company.want({"ada": [1000]}, FEBRUARY, wallet=766)
    company.apply(FEBRUARY)
    assert due(company)["in_202602_ada/1"] == (1000, 234)
    assert balance(company) == 0


def test_each_movement_is_posted_once_however_often_the_month_runs(company: Company) -> None:
    company.top_up(first=2000, second=-500)
    company.want({"ada": [100]}, wallet=100)
    company.apply()
    company.apply()
    for path in (company.home / "records").glob("stripe_mirror*"):
        path.unlink()
    company.apply()
    assert balance(company) == -1400
    ours = [t for t in company.stripe.objects["cbtxn"].values() if t["type"] == "adjustment"]
    assert sorted(t["amount"] for t in ours) == [-2000, 500]


def test_a_later_top_up_does_not_pay_for_an_earlier_month(company: Company) -> None:
    """January is closed after February's top-up has been posted."""
    company.top_up(later=2000)
    company.want({"ada": [500]}, FEBRUARY, wallet=500)
    company.apply(FEBRUARY)
    company.movements = {}
    company.want({"ada": [300]}, wallet=0)
    company.movements = {("ada", "USD"): ()}
    company.apply()
    assert due(company)["in_202601_ada/1"] == (300, 300)
    assert balance(company) == -1500
    assert not any("billing_wallet_hold" in i["metadata"] for i in company.invoices())


def put_in(company: Company, *movements: tuple[str, str, str]) -> None:
    """Movements of Ada's wallet (id, amount, instant), as every month's warehouse has them."""
    for month in (JANUARY, FEBRUARY):
        path = company.settings.warehouse_path(month)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as db:
            db.execute(
                "create schema raw; create table raw.customers as"
                " select 'ada' as customer_id, null::varchar as stripe_customer_id,"
                " null::timestamptz as valid_from;"
                " create table raw.wallet_transactions (transaction_id varchar,"
                " customer_id varchar, amount decimal(38, 12), currency varchar,"
                " occurred_at timestamptz, kind varchar)"
            )
            db.executemany(
                "insert into raw.wallet_transactions values (?, 'ada', ?, 'USD', ?, 'top_up')",
                movements,
            )


def test_nor_where_the_wallet_begins_with_it(company: Company) -> None:
    put_in(company, ("later", "20", "2026-02-01T00:00:00Z"))
    company.want({"ada": [500]}, FEBRUARY, wallet=500)
    company.apply(FEBRUARY)
    company.want({"ada": [300]}, wallet=0)
    company.apply()
    assert due(company)["in_202601_ada/1"] == (300, 300)
    assert balance(company) == -1500


def test_movements_count_to_the_months_last_microsecond(company: Company) -> None:
    last, first = "2026-01-31T23:59:59.999999Z", "2026-02-01T00:00:00Z"
    put_in(company, ("before", "1", last), ("after", "2", first))
    company.want({"ada": [300]}, wallet=100)
    company.apply()
    assert due(company) == {"in_202601_ada/1": (300, 200)}
    assert balance(company) == 0
    company.want({}, FEBRUARY)
    company.apply(FEBRUARY)
    assert balance(company) == -200


def test_what_came_in_later_covers_what_a_later_month_has_taken(company: Company) -> None:
    """By the ledger January's invoice has the first top-up and February's the second one. In Stripe
    February has taken the first, before anybody knew of the second."""
    january = ("first", "10", "2026-01-10T00:00:00Z")
    put_in(company, january)
    company.want({"ada": [4000]}, FEBRUARY, wallet=1000)
    company.apply(FEBRUARY)
    later = ("second", "4", "2026-02-05T00:00:00Z"), ("third", "100", "2026-02-06T00:00:00Z")
    put_in(company, january, *later, ("fourth", "100", "2026-02-07T00:00:00Z"))
    company.want({"ada": [3000]}, wallet=1000)
    assert not company.apply().problems
    assert due(company)["in_202601_ada/1"] == (3000, 2000)
    assert balance(company) == -9400  # of the fourth nothing is needed
    put_in(company, january, *later)
    company.want({"ada": [3000]}, FEBRUARY, wallet=1000)
    company.apply(FEBRUARY)
    assert balance(company) == -9400


def test_what_came_in_later_is_not_posted_where_it_does_not_cover(company: Company) -> None:
    later = ("second", "4", "2026-02-05T00:00:00Z")
    put_in(company, later)
    company.want({"ada": [3000]}, wallet=1000)
    (failed,) = company.apply().report.failed
    assert "can pay USD 0.00" in failed.message
    assert balance(company) == 0


def test_fractions_of_a_cent_stay_in_the_wallet(company: Company) -> None:
    """Fractions reach Stripe with the transaction that completes a cent, in any month."""
    instants = [f"2026-01-0{day}T00:00:00Z" for day in range(1, 5)] + ["2026-02-01T00:00:00Z"] * 2
    amounts = ["0.005", "1.004", "0.002", "-0.0075", "0.0064999", "0.0000001"]
    put_in(company, *((str(n), *of) for n, of in enumerate(zip(amounts, instants, strict=True))))
    company.want({"ada": [300]}, wallet=100)
    company.apply()
    assert due(company)["in_202601_ada/1"] == (300, 200)
    assert balance(company) == 0
    company.want({"ada": [300]}, FEBRUARY, wallet=1)
    company.apply(FEBRUARY)
    assert due(company)["in_202602_ada/1"] == (300, 299)
    assert balance(company) == 0
    posted = [i["amount"] for i in company.stripe.objects["cbtxn"].values() if i["metadata"]]
    assert posted == [-100, -1, 1, -1]


def test_less_in_stripe_than_the_wallet_pays_leaves_a_draft(company: Company) -> None:
    company.want({"ada": [500]}, wallet=500)
    (failed,) = company.apply().report.failed
    assert "the wallet pays USD 5.00" in failed.message
    assert [i["status"] for i in company.invoices()] == ["draft"]


def kill_finalizing(fake: Any, method: str, path: str, params: Any) -> None:
    if path.endswith("/finalize"):
        raise Killed


def test_an_overdraft_of_the_wallet_is_not_charged(company: Company) -> None:
    company.top_up(grant=300)
    company.want({"ada": [1000]}, wallet=300)
    company.apply()
    company.top_up(expiry=-300)
    company.want({"ada": [1000]}, FEBRUARY, wallet=0)
    company.apply(FEBRUARY)
    assert due(company) == {"in_202601_ada/1": (1000, 700), "in_202602_ada/1": (1000, 1000)}
    assert balance(company) == 0
    (row,) = reconciled(company, FEBRUARY)
    assert (row["wallet_balance"], row["other_credit"], row["difference"]) == ("0.00",) * 3

    company.top_up(fills_the_hole=2000)
    company.want({"ada": [1000]}, MARCH, wallet=1000)
    company.apply(MARCH)
    assert due(company)["in_202603_ada/1"] == (1000, 0)
    assert balance(company) == -700


def test_a_refund_without_a_wallet_is_not_charged_either(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    company.top_up(refund=-400)
    company.apply()
    assert balance(company) == 0
    company.want({"ada": [1000]}, FEBRUARY)
    company.apply(FEBRUARY)
    company.top_up(less_than_the_hole=100)
    company.want({"ada": [1000]}, MARCH)
    company.apply(MARCH)
    assert {charged for _, charged in due(company).values()} == {1000}
    assert balance(company) == 0


def test_an_invoice_comes_before_later_withdrawals_from_the_wallet(company: Company) -> None:
    """January is closed after February's refund was posted: the result is the same."""
    put_in(
        company,
        ("in", "3", "2026-01-02T00:00:00Z"),
        ("out", "-3", "2026-02-02T00:00:00Z"),
    )
    company.want({"ada": [1000]}, FEBRUARY)
    company.apply(FEBRUARY)
    company.want({"ada": [1000]}, wallet=300)
    company.apply()
    assert due(company) == {"in_202602_ada/1": (1000, 1000), "in_202601_ada/1": (1000, 700)}
    assert balance(company) == 0


def test_cover_is_limited_to_what_was_taken_out_after_the_month(company: Company) -> None:
    put_in(
        company,
        ("out", "-2", "2026-01-02T00:00:00Z"),
        ("out later", "-2", "2026-02-02T00:00:00Z"),
    )
    company.want({"ada": [1000]}, FEBRUARY)
    company.apply(FEBRUARY)
    company.want({"ada": [1000]}, wallet=200)
    (failed,) = company.apply().report.failed
    assert "can pay USD 0.00" in failed.message
    assert balance(company) == 0


def test_a_credit_note_covers_the_overdraft_first(company: Company) -> None:
    company.top_up(first=1000)
    company.want({"ada": [400, 600]}, wallet=1000)
    company.apply()
    company.top_up(refund=-400)
    company.apply()
    assert balance(company) == 0
    company.want({"ada": [400]}, wallet=400)
    company.apply(approved_hash=company.preview().hash)
    assert balance(company) == -200
    assert reconciled(company)[0]["difference"] == "0.00"


def test_the_hold_on_a_wallet_follows_the_amount_it_pays(company: Company) -> None:
    """A run ends before January is finalized, and another amount is due then."""
    company.top_up(later=2000)
    company.want({"ada": [500]}, FEBRUARY, wallet=500)
    company.apply(FEBRUARY)
    company.want({"ada": [300]}, wallet=100)
    company.stripe.faults.append(kill_finalizing)
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    company.stripe.faults.clear()
    assert balance(company) == -100
    company.want({"ada": [300]}, wallet=200)
    company.apply()
    assert due(company)["in_202601_ada/1"] == (300, 100)
    assert balance(company) == -1300


def test_a_credit_on_the_wallets_share_goes_back_to_the_wallet(company: Company) -> None:
    company.top_up(first=1000)
    company.want({"ada": [400, 600]}, wallet=1000)
    company.apply()
    company.want({"ada": [400]}, wallet=400)
    waiting = company.preview()
    company.apply(approved_hash=waiting.hash)
    assert balance(company) == -600
    company.want({"ada": [700]}, FEBRUARY, wallet=600)
    company.apply(FEBRUARY)
    assert due(company)["in_202602_ada/1"] == (700, 100)


def story(company: Company) -> None:
    company.top_up(later=2000)
    company.want({"ada": [500]}, FEBRUARY, wallet=500)
    finish(company, FEBRUARY)
    company.movements = {("ada", "USD"): ()}
    company.want({"ada": [300]}, wallet=0)
    finish(company)


@pytest.mark.parametrize(
    "fault", [kill_before, kill_after, server_error_after], ids=lambda f: f.__name__
)
def test_one_fault_anywhere_leaves_the_same_balance(fault: Any, tmp_path: Path) -> None:
    plain = Company(tmp_path / "without")
    story(plain)
    for position in range(1, len(plain.stripe.calls) + 1):
        company = Company(tmp_path / str(position))
        company.stripe.faults.append(at(position, fault))
        story(company)
        company.stripe.faults.clear()
        assert due(company) == {"in_202601_ada/1": (300, 300), "in_202602_ada/1": (500, 0)}
        assert balance(company) == -1500


def paid(company: Company, name: str = "top-1", amount: int = 2000, **more: Any) -> None:
    """A payment intent that succeeded, and the event that says so."""
    intent = {
        "object": "payment_intent",
        "status": "succeeded",
        "amount": amount,
        "amount_received": amount,
        "currency": "usd",
        "metadata": {"billing_top_up": name, "billing_customer_id": "ada"},
        "latest_charge": {"id": "ch_1", "created": int(company.clock.now()) + 5},
    }
    made = company.stripe._new("pi", intent | more)
    company.stripe._event("payment_intent.succeeded", made)


def top_ups(company: Company) -> list[TopUp]:
    return company.wait(prepaid.pull_top_ups(company.gateway(), company.settings))


def test_a_top_up_is_credited_once_however_often_it_is_paid_or_reported(company: Company) -> None:
    paid(company)
    paid(company, status="canceled")
    paid(company, metadata={})
    for _ in range(2):
        (found,) = top_ups(company)
        assert (found.transaction_id, found.customer_id) == ("top-1", "ada")
        assert (str(found.amount), found.currency, found.doubles) == ("20.00", "USD", ())
    company.clock.advance(3600)
    paid(company)
    for event in list(company.stripe.objects["evt"].values()):
        company.stripe._event(event["type"], event["data"]["object"])
    paid(company, "top-2", 500, currency="jpy")
    first, second = top_ups(company)
    assert first.occurred_at == found.occurred_at and len(first.doubles) == 1
    assert (second.transaction_id, str(second.amount), second.currency) == ("top-2", "500", "JPY")


@pytest.mark.parametrize("lost", ["nothing", "records", "cursor", "a month"])
def test_top_ups_by_events_are_those_of_the_list(company: Company, lost: str) -> None:
    paid(company)
    top_ups(company)
    for number in range(3):
        company.clock.advance(86_400 if number else 10)
        paid(company, f"later-{number}")
        if lost == "records":
            shutil.rmtree(company.settings.records_dir)
        elif lost == "cursor":
            with open_records(company.settings.records_dir) as records:
                records.cache.progress.drop("top_ups_read_until")
        elif lost == "a month":
            company.clock.advance(40 * 86_400)
            company.stripe.objects["evt"].clear()
        by_events = top_ups(company)
    assert len(by_events) == 4
    shutil.rmtree(company.settings.records_dir)
    assert top_ups(company) == by_events


def test_requests_for_top_ups_grow_with_what_was_paid(company: Company) -> None:
    for number in range(250):
        paid(company, f"top-{number}")
    top_ups(company)
    company.clock.advance(3 * 86_400)
    top_ups(company)
    paid(company, "new")
    before = len(company.stripe.calls)
    assert len(top_ups(company)) == 251
    # the account, a page of events, the payment
    assert len(company.stripe.calls) - before == 3


def reconciled(company: Company, month: BillingMonth = JANUARY) -> list[dict[str, str]]:
    rows = company.wait(
        prepaid.reconcile_wallets(
            company.gateway(), company.settings, month, movements=company.movements
        )
    )
    return [{name: str(value) for name, value in row.items()} for row in rows]


def test_wallet_and_balance_are_reconciled_to_the_cent(company: Company) -> None:
    company.top_up(first=1500, second=-200)
    company.want({"ada": [1234]}, wallet=1234)
    company.apply()
    (row,) = reconciled(company)
    assert (row["wallet_balance"], row["stripe_balance"]) == ("0.66", "0.66")
    assert (row["other_credit"], row["difference"]) == ("0.00", "0.00")

    (customer,) = company.stripe.objects["cus"].values()
    company.stripe._balance(customer, -1, "usd", {}, "adjustment")
    assert reconciled(company)[0]["difference"] == "0.01"


def test_other_credit_is_kept_apart_from_the_wallet(company: Company) -> None:
    """The card paid 4.00 of 10.00, and 5.00 are credited: the wallet gets back only its share."""
    company.top_up(first=600)
    company.want({"ada": [500, 500]}, wallet=600)
    company.apply()
    company.want({"ada": [500]}, wallet=500)
    company.apply(approved_hash=company.preview().hash)
    (row,) = reconciled(company)
    assert row["difference"] == "0.00"
    assert row["stripe_balance"] == "5.00"
    assert row["wallet_balance"] == "1.00"
    assert row["other_credit"] == "4.00"


def test_a_later_months_movement_counts_where_it_is_posted(company: Company) -> None:
    company.top_up(first=600)
    company.want({"ada": [100]}, wallet=100)
    company.apply()
    company.movements = {
        ("ada", "USD"): (
            *(company.movements or {})["ada", "USD"],
            WalletMovement("later", "ada", "USD", 900, 1_770_000_000, "top_up"),
        )
    }
    assert reconciled(company)[0]["wallet_balance"] == "5.00"
    company.want({"ada": [100]}, FEBRUARY, wallet=100)
    company.apply(FEBRUARY)
    (row,) = reconciled(company)
    assert (row["wallet_balance"], row["difference"]) == ("13.00", "0.00")
