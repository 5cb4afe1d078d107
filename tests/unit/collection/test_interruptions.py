"""One fault at every request of a push, a supplement and a credit: afterwards all is as it
would have been without it, and nothing is there twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stripe

from billing_pipeline.collection import payments
from billing_pipeline.collection.plan.closed_books import correction_id
from billing_pipeline.collection.plan.desired import DesiredLine
from billing_pipeline.collection.steps import PlanChangedError
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.months import BillingMonth
from billing_pipeline.stripe_api.client import StripeGateway
from billing_pipeline.stripe_sandbox import Sandbox
from tests.in_process import InProcessClient, Sent

from .conftest import JANUARY, Company
from .fake_stripe import Fault, Json


class Killed(BaseException):
    """The process ends here: no handler of ours may run on."""


def server_error(fake: Any, method: str, path: str, params: Json) -> tuple[int, Json]:
    return 500, {"error": {"type": "api_error", "message": "something went wrong"}}


def server_error_after(fake: Any, method: str, path: str, params: Json) -> tuple[int, Json]:
    fake.carry_out(method, path, params)
    return server_error(fake, method, path, params)


def kill_before(fake: Any, method: str, path: str, params: Json) -> None:
    raise Killed


def kill_after(fake: Any, method: str, path: str, params: Json) -> None:
    fake.carry_out(method, path, params)
    raise Killed


def reset_before(fake: Any, method: str, path: str, params: Json) -> None:
    raise stripe.APIConnectionError("reset")


def too_fast(fake: Any, method: str, path: str, params: Json) -> tuple[int, Json]:
    return 429, {"error": {"type": "invalid_request_error", "message": "Too many requests"}}


def conflict(fake: Any, method: str, path: str, params: Json) -> tuple[int, Json]:
    return 409, {"error": {"type": "invalid_request_error", "message": "locked"}}


FAULTS = [
    server_error,
    server_error_after,
    kill_before,
    kill_after,
    reset_before,
    too_fast,
    conflict,
]
UNSEEN = [server_error_after, kill_before, kill_after]
"""After these nobody knows whether it was done."""


def at(position: int, fault: Callable[..., Any]) -> Fault:
    """`fault` at the request of that number, once."""
    seen = 0

    def maybe(fake: Any, method: str, path: str, params: Json) -> Any:
        nonlocal seen
        seen += 1
        return fault(fake, method, path, params) if seen == position else None

    return maybe


def story(company: Company) -> None:
    """Bill, then late usage for one and less for another, approved."""
    company.want({"ada": [1000, 200], "bob": [700]})
    finish(company)
    company.want({"ada": [1000, 400], "bob": [500]})
    finish(company)


def finish(company: Company, month: BillingMonth = JANUARY) -> None:
    """Run and approve until nothing is left, as an operator would; a day passes in between, so
    that Stripe has forgotten the keys of the runs before."""
    for _ in range(6):
        try:
            outcome = company.apply(month)
            if outcome.remaining.waiting:
                outcome = company.apply(month, approved_hash=outcome.remaining.hash)
        except (Killed, PlanChangedError, stripe.StripeError):
            continue
        except BaseExceptionGroup as group:
            if group.split(Killed)[1] is not None:
                raise
            continue
        except Exception as error:
            if "reset" not in str(error) and "wrong" not in str(error):
                raise
            continue
        if not outcome.remaining.changes:
            return
    raise AssertionError(f"not done after six runs: {company.preview().changes}")


def check(company: Company) -> None:
    company.stripe.faults.clear()
    by_key: dict[tuple[str, str], list[Json]] = {}
    for item in company.invoices():
        metadata = item["metadata"]
        key = (metadata["billing_invoice_id"], metadata["billing_revision"])
        by_key.setdefault(key, []).append(item)
    assert {key: [i["total"] for i in items] for key, items in by_key.items()} == {
        ("in_202601_ada", "1"): [1200],
        ("in_202601_ada", "2"): [200],
        ("in_202601_bob", "1"): [700],
    }
    assert all(item["status"] == "paid" for item in company.invoices())
    assert [note["total"] for note in company.stripe.objects["cn"].values()] == [200]
    assert len(company.stripe.objects["cus"]) == 2
    lines = sorted(line["amount"] for line in company.stripe.objects["il"].values())
    assert lines == [200, 200, 700, 1000]
    pulled = company.pull()
    assert {row["state"] for row in pulled.reconciliation} == {"matched"}
    assert payments.verify_billed(company.settings) == []


def requests_of_the_story(folder: Path) -> int:
    company = Company(folder)
    story(company)
    check(company)
    return len(company.stripe.calls)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_one_fault_anywhere_changes_nothing_in_the_end(
    fault: Callable[..., Any], tmp_path: Path
) -> None:
    """At every request what may have been done unseen, at every third one the rest."""
    count = requests_of_the_story(tmp_path / "without")
    step = 1 if fault in UNSEEN else 3
    for position in range(1 + FAULTS.index(fault) % step, count + 1, step):
        company = Company(tmp_path / str(position))
        company.stripe.faults.append(at(position, fault))
        story(company)
        check(company)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [kill_after, server_error_after], ids=lambda f: f.__name__)
def test_and_neither_when_stripe_has_forgotten_the_keys(
    fault: Callable[..., Any], tmp_path: Path
) -> None:
    count = requests_of_the_story(tmp_path / "without")
    for position in range(1, count + 1):
        company = Company(tmp_path / str(position))
        forgetful = at(position, fault)

        def fault_and_a_day(*args: Any, forgetful: Fault = forgetful, c: Company = company) -> Any:
            try:
                return forgetful(*args)
            except Killed:
                c.clock.advance(25 * 3600)
                c.stripe.kept.clear()
                raise

        company.stripe.faults.append(fault_and_a_day)
        story(company)
        check(company)


def test_a_payment_that_stripe_could_not_carry_out_is_tried_by_the_next_run(
    company: Company,
) -> None:
    """A server error is not a decline: nothing may be recorded that stops later attempts."""
    company.want({"ada": [1000]})

    def broken(fake: Any, method: str, path: str, params: Json) -> Any:
        return server_error(fake, method, path, params) if path.endswith("/pay") else None

    company.stripe.faults.append(broken)
    assert len(company.apply().report.failed) == 1
    company.stripe.faults.clear()
    company.clock.advance(25 * 3600)
    company.stripe.kept.clear()
    assert [r.action.kind.value for r in company.apply().report.done] == ["resume"]
    assert [item["status"] for item in company.invoices()] == ["paid"]


@pytest.mark.parametrize("ending", ["/v1/invoices", "/add_lines", "/finalize"])
def test_a_500_saved_by_stripe_is_retried_with_the_next_key(company: Company, ending: str) -> None:
    """In the same run: nobody has to wait for a day, or for somebody to run it again."""
    company.want({"ada": [1000]})
    struck = []

    def once(fake: Any, method: str, path: str, params: Json) -> Any:
        if method != "post" or not path.endswith(ending) or struck:
            return None
        struck.append(path)
        return server_error(fake, method, path, params)

    company.stripe.faults.append(once)
    assert len(company.apply().report.done) == 1
    assert [item["status"] for item in company.invoices()] == ["paid"]
    assert len(struck) == 1


def test_a_draft_that_was_deleted_by_hand_is_made_again(company: Company) -> None:
    """Stripe would repeat its first answer for a day: a draft that is not there any more."""
    company.want({"ada": [1000]})
    company.stripe.faults.append(
        lambda fake, method, path, params: (
            conflict(fake, method, path, params) if path.endswith("/add_lines") else None
        )
    )
    assert len(company.apply().report.failed) == 1
    company.stripe.faults.clear()
    [draft] = company.invoices()
    company.stripe.act("delete", f"/v1/invoices/{draft['id']}", {})
    assert len(company.apply().report.done) == 1
    assert [item["status"] for item in company.invoices()] == ["paid"]


def test_a_supplement_whose_answer_was_lost_is_finished_in_the_same_run(company: Company) -> None:
    """It is found by its revision: the original has the same id and is a different invoice."""
    company.want({"ada": [1000]})
    finish(company)
    company.want({"ada": [1200]})
    waiting = company.apply().remaining
    struck = []

    def lost(fake: Any, method: str, path: str, params: Json) -> Any:
        if method != "post" or path != "/v1/invoices" or struck:
            return None
        struck.append(path)
        return server_error_after(fake, method, path, params)

    company.stripe.faults.append(lost)
    assert len(company.apply(approved_hash=waiting.hash).report.done) == 1
    assert [item["total"] for item in company.invoices()] == [1000, 200]


def test_an_invoice_that_appears_late_in_the_list_is_seen(company: Company) -> None:
    """Stripe's clock differs from ours, and the first created object may be listed last."""
    company.want({"ada": [1000]})
    finish(company)
    [billed] = company.invoices()
    company.want({"ada": [1000], "bob": [700]})

    def lost(fake: Any, method: str, path: str, params: Json) -> Any:
        is_creation = method == "post" and path == "/v1/invoices"
        return kill_after(fake, method, path, params) if is_creation else None

    company.stripe.faults.append(lost)
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    company.stripe.faults.clear()
    company.stripe.kept.clear()
    late = next(item for item in company.invoices() if item["id"] != billed["id"])
    late["created"] = billed["created"] - 10
    company.apply()
    assert sorted(item["total"] for item in company.invoices()) == [700, 1000]


def test_lines_that_a_killed_run_put_on_while_the_draft_was_read_are_no_work_by_hand(
    company: Company,
) -> None:
    """Its last request can take effect late: after the list of drafts, before that of their
    lines, which then come with a mark that the list did not have yet."""
    company.want({"ada": [1000]})
    late: list[tuple[str, str, Json, str | None]] = []

    def kill_with_the_lines_under_way(fake: Any, method: str, path: str, params: Json) -> None:
        if path.endswith("/add_lines"):
            late.append((method, path, params, fake.key))
            raise Killed

    company.stripe.faults.append(kill_with_the_lines_under_way)
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    [draft] = company.invoices()
    assert not draft["metadata"].get(metadata_keys.LINES_HASH)

    def arrive(fake: Any, method: str, path: str, params: Json) -> None:
        if late and method == "get" and path == f"/v1/invoices/{draft['id']}/lines":
            fake._once(*late.pop())

    company.stripe.faults[:] = [arrive]
    assert [r.action.kind.value for r in company.apply().report.done] == ["resume"]
    assert not late
    assert [(item["total"], item["status"]) for item in company.invoices()] == [(1000, "paid")]


@pytest.mark.parametrize("reaches", ["create", "lines"])
@pytest.mark.parametrize("amounts", [[1000], [900]])
def test_a_resumed_draft_loses_the_marks_that_it_needs_no_longer(
    company: Company, reaches: str, amounts: list[int]
) -> None:
    """What is billed for many customers, or corrects many closed months, takes several marks."""
    sandbox = Sandbox(clock=company.clock.now, others=False)
    company.stripe = InProcessClient(sandbox)  # type: ignore[assignment]
    killed_at = {"create": "/add_lines", "lines": "/finalize"}[reaches]

    def kill(sent: Sent) -> None:
        if sent.target.endswith(killed_at):
            raise Killed

    company.stripe.before = kill  # type: ignore[attr-defined]
    company.want({"ada": [1000]})
    [first] = company.desired or ()
    months = [BillingMonth(2024, 1).shift(at) for at in range(50)]
    corrections = tuple(
        DesiredLine(correction_id(f"line_{at}", month), "correction", "Correction", 1)
        for at, month in enumerate(months)
    )
    sixty = tuple(f"customer {number}" for number in range(60))
    company.desired = (replace(first, lines=first.lines + corrections, billed_for=sixty),)
    with pytest.raises(BaseExceptionGroup):
        company.apply(approved_hash=company.preview().hash)
    company.stripe.before = None  # type: ignore[attr-defined]
    company.want({"ada": amounts})
    [again] = company.desired or ()
    company.desired = (replace(again, billed_for=("bob",)),)
    company.apply()
    [made] = company.wait(everything(company.gateway()))
    assert (made["status"], made["total"]) == ("paid", sum(amounts))
    assert metadata_keys.billed_for(made["metadata"]) == {metadata_keys.customer_digest("bob")}
    assert metadata_keys.corrections_names(made["metadata"]) == []


async def everything(gateway: StripeGateway) -> list[Json]:
    return [item async for item in gateway.list("/v1/invoices")]
