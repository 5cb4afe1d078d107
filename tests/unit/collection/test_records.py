"""records/: the request log, the lock, the account, the cache's windows."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.collection import steps
from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.desired import NotComputedError
from billing_pipeline.collection.records.account import WrongAccountError
from billing_pipeline.collection.records.lock import MonthLockedError, month_lock
from billing_pipeline.collection.records.opening import RecordsError, explain_errors, open_records
from billing_pipeline.collection.stripe_state.set_aside import DamagedCacheError, read_set_aside
from billing_pipeline.months import BillingMonth
from billing_pipeline.stripe_api.client import GatewayConfig, StripeGateway
from billing_pipeline.stripe_api.errors import StripeFailure
from billing_pipeline.stripe_api.timing import SystemClock

from .conftest import JANUARY, Company
from .test_interruptions import Killed, at, kill_after


def test_every_change_is_logged_with_its_author_and_answer(company: Company) -> None:
    company.bill({"ada": ["10.00"]})
    plan_hash = company.apply(actor="finance@example.com").report.plan.hash
    with open_records(company.settings.records_dir) as records:
        entries = list(records.request_log.entries(run_id="run-1"))
    assert [entry["outcome"] for entry in entries] == ["done"] * 5
    assert entries[1]["idempotency_key"] == "in_202601_ada:1:create:0"
    assert {entry["plan_hash"] for entry in entries} == {plan_hash}
    assert {entry["actor"] for entry in entries} == {"finance@example.com"}
    assert all(entry["request_id"].startswith("req_") for entry in entries)


def test_a_request_without_an_answer_is_logged_as_unanswered(company: Company) -> None:
    company.want({"ada": [1000]})
    kill_fifth = at(5, kill_after)
    company.stripe.faults.append(kill_fifth)
    with pytest.raises(BaseExceptionGroup) as killed:
        company.apply()
    assert killed.value.subgroup(Killed)
    with open_records(company.settings.records_dir) as records:
        assert [entry["outcome"] for entry in records.request_log.entries()].count(None) == 1


def test_neither_request_log_nor_what_was_billed_can_be_rewritten(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    for name, table in (("journal.db", "requests"), ("billed.db", "billed")):
        with sqlite3.connect(company.settings.records_dir / name) as db:
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(f"delete from {table}")
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(f"update {table} set rowid = rowid")


def test_the_key_is_in_no_file_and_no_message(company: Company) -> None:
    company.bill({"ada": ["10.00"]})

    def refuse(fake: Any, method: str, path: str, params: Any) -> Any:
        error = {"type": "invalid_request_error", "message": "Invalid key sk_test_company"}
        return (401, {"error": error}) if path.endswith("/finalize") else None

    company.stripe.faults.append(refuse)
    report = company.apply().report
    assert "sk_test_company" not in str(report)
    assert "sk_test_company" not in repr(company.gateway()) + repr(company.gateway().config)
    for path in company.home.rglob("*"):
        if path.is_file():
            assert b"sk_test_company" not in path.read_bytes()


def test_an_invoice_with_another_total_than_was_billed_waits_and_the_others_go_on(
    company: Company,
) -> None:
    company.want({"ada": [1000]})
    company.apply()
    company.invoices()[0]["total"] = 999
    company.want({"ada": [1000], "bob": [500]})
    outcome = company.apply()
    (waiting,) = outcome.remaining.waiting
    assert waiting.kind is ActionKind.REVIEW and waiting.customer_id == "ada"
    assert "was billed as USD 10.00 by our records and is USD 9.99" in waiting.reason
    assert [item["total"] for item in company.invoices()] == [999, 500]


def _hold(folder: str, ready: Any) -> None:
    async def main() -> None:
        async with month_lock(
            Path(folder), account_id="a", month_key="m", run_id="first", clock=SystemClock()
        ):
            ready.set()
            await asyncio.sleep(60)

    asyncio.run(main())


def test_a_held_month_says_who_holds_it_and_a_killed_holder_frees_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path), ready))
    holder.start()
    assert ready.wait(30)

    async def take() -> None:
        async with month_lock(
            tmp_path, account_id="a", month_key="m", run_id="second", clock=SystemClock()
        ):
            pass

    with pytest.raises(MonthLockedError, match=f"run first \\(process {holder.pid}\\)"):
        asyncio.run(take())
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(10)
    asyncio.run(take())


def test_another_account_or_mode_is_refused(company: Company) -> None:
    company.want({"ada": [1000]})
    company.preview()
    company.stripe.get_account = lambda params: {"id": "acct_other"}  # type: ignore[method-assign]
    with pytest.raises(WrongAccountError, match="acct_fake"):
        company.apply()
    live = StripeGateway(GatewayConfig("sk_live_x"), http_client=company.stripe)
    with pytest.raises(WrongAccountError):
        company.wait(steps.preview(live, company.settings, JANUARY, desired=company.desired))


@pytest.mark.parametrize(
    "answer", [{}, {"id": None}, {"data": []}, {"id": "\x1b[31m"}, {"id": "9" * 400}]
)
def test_an_answer_that_is_not_an_account_is_not_stored(
    company: Company, answer: dict[str, Any]
) -> None:
    company.want({"ada": [1000]})
    right, company.stripe.get_account = company.stripe.get_account, lambda params: answer  # type: ignore[method-assign]
    with pytest.raises(StripeFailure, match="cannot be read"):
        company.apply()
    company.stripe.get_account = right  # type: ignore[method-assign]
    assert not company.apply().problems


def test_a_restricted_key_is_known_by_stripes_refusal(company: Company) -> None:
    """It may not read the account, but Stripe's refusal names the account."""

    def refuse(fake: Any, method: str, path: str, params: Any) -> Any:
        message = (
            "The provided key 'rk_test_******qs8Kgd' does not have the required permissions for "
            f"this endpoint on account '{account}'. Having the 'rak_accounts_kyc_basic_read' "
            "permission would allow this request to continue."
        )
        error = {"type": "invalid_request_error", "message": message}
        return (403, {"error": error}) if path == "/v1/account" else None

    company.want({"ada": [1000]})
    company.apply()
    company.stripe.faults.append(refuse)
    account = "acct_fake"
    assert not company.preview().changes
    account = "acct_another"
    with pytest.raises(WrongAccountError, match="the key opens acct_another"):
        company.preview()
    account = "?"
    with pytest.raises(StripeFailure, match="must be allowed to read the account") as refused:
        company.preview()
    assert "qs8Kgd" not in str(refused.value)


def listings(company: Company) -> int:
    return sum(path == "/v1/invoices" for method, path, _ in company.stripe.calls)


def test_a_refresh_does_not_grow_with_history(company: Company) -> None:
    counts = []
    for number in range(1, 13):
        company.clock.advance(30 * 86_400)
        month = BillingMonth(2026, number)
        company.want({f"c{at}": [100] for at in range(30)}, month)
        company.apply(month)
        before = len(company.stripe.calls)
        company.preview(month)
        counts.append(len(company.stripe.calls) - before)
    assert max(counts) <= 3


def test_the_first_month_is_still_found_after_a_year(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    for number in range(2, 8):
        company.clock.advance(30 * 86_400)
        month = BillingMonth(2026, number)
        company.want({"ada": [100]}, month)
        company.apply(month)
    company.want({"ada": [1000]})
    assert not company.preview().changes
    company.want({"ada": [900]})
    assert [a.kind.value for a in company.preview().changes] == ["credit"]


def test_after_the_records_were_lost_a_month_before_what_was_listed_is_listed(
    company: Company,
) -> None:
    march = BillingMonth(2026, 3)
    company.want({"ada": [1000]})
    company.apply()
    company.clock.advance(60 * 86_400)
    company.want({"ada": [500]}, march)
    company.apply(march)
    company.clock.advance(5 * 86_400)
    shutil.rmtree(company.settings.records_dir)  # what was billed would tell as well
    company.apply(march)  # lists from March on
    company.want({"ada": [1000]})
    assert not company.apply().report.results
    assert len(company.invoices()) == 2


def test_the_plan_of_an_old_month_sees_later_changes_in_stripe(company: Company) -> None:
    company.want({"ada": [1000]}, payment_method="pm_card_chargeCustomerFail")
    company.apply()
    january = company.desired
    for number in (2, 3):
        company.clock.advance(30 * 86_400)
        month = BillingMonth(2026, number)
        company.want({"ada": [500]}, month)
        company.apply(month)
    [invoice] = [i for i in company.invoices() if i["metadata"]["billing_month"] == JANUARY.key]
    company.stripe.act("post", f"/v1/invoices/{invoice['id']}/void", {})
    company.desired = january
    assert [action.kind.value for action in company.preview().changes] == ["review"]


def test_a_draft_deleted_in_stripe_is_forgotten(company: Company) -> None:
    company.want({"ada": [1000]})
    company.stripe.faults.append(at(6, kill_after))
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    (draft,) = company.invoices()
    company.stripe.faults.clear()
    assert [a.kind.value for a in company.preview().changes] == ["resume"]
    company.stripe.act("delete", f"/v1/invoices/{draft['id']}", {})
    assert [a.kind.value for a in company.preview().changes] == ["create"]
    company.apply()
    assert [item["status"] for item in company.invoices()] == ["paid"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("stripe_mirror.db", "delete it, it is read from Stripe again"),
        ("journal.db", "put it back from the backup of records/"),
        ("billed.db", "put it back from the backup of records/"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(company: Company, name: str, advice: str) -> None:
    company.bill({"ada": ["10.00"]})
    company.apply()
    path = company.settings.records_dir / name
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(RecordsError) as failed:
        company.preview()
    assert str(failed.value).startswith(f"{path} is damaged (file is not a database): {advice}")


def test_listing_what_is_set_aside_names_a_damaged_cache_too(company: Company) -> None:
    path = company.settings.records_dir / "stripe_mirror.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(DamagedCacheError) as failed:
        read_set_aside(company.settings.records_dir)
    assert str(failed.value).startswith(f"{path} is damaged") and "delete it" in str(failed.value)


@pytest.mark.parametrize("content", ["", '{"account_id": "acct_', "[]"])
def test_a_damaged_account_is_named_with_what_to_do(company: Company, content: str) -> None:
    company.want({"ada": [1000]})
    company.preview()
    path = company.settings.records_dir / "account.json"
    path.write_text(content)
    with pytest.raises(WrongAccountError, match="put it back from the backup") as failed:
        company.preview()
    assert str(path) in str(failed.value)


def test_a_file_that_is_damaged_inside_is_named_too(company: Company) -> None:
    company.bill({"ada": ["10.00"]})
    company.apply()
    path = company.settings.records_dir / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    content = bytearray(path.read_bytes())
    content[4096:] = b"x" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(RecordsError, match=r"journal\.db is damaged"):
        company.apply(approved_hash=company.preview().hash)


def test_records_that_cannot_be_written_are_no_damaged_ones(company: Company) -> None:
    refused = pytest.raises(RecordsError, match="cannot be used: database or disk is full")
    with refused, explain_errors(company.settings.records_dir):
        raise sqlite3.OperationalError("database or disk is full")


def test_a_damaged_warehouse_is_named_with_what_to_do(company: Company) -> None:
    company.bill({"ada": ["10.00"]})
    path = company.settings.warehouse_path(company.settings.first_month)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(NotComputedError, match="`billing plan 2026-01` rebuilds it") as failed:
        company.preview()
    assert str(path) in str(failed.value)
