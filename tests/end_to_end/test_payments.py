"""After a month was closed: payments are pulled from Stripe, and differences are reported."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.end_to_end.commands import EXAMPLES, environment
from tests.end_to_end.warm import run_module

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("payments")
    shutil.copytree(EXAMPLES / "metered-api", folder / "data")
    done = run_module(
        "tests.end_to_end.payments_story",
        [str(folder / "seen.json")],
        environment(folder / "home", folder / "data"),
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "seen.json").read_text(encoding="utf-8"))
    assert found["closed"], found["reason"]
    return found


def test_the_first_tick_lists_the_month_and_the_next_finds_nothing(seen: dict[str, Any]) -> None:
    (first,) = seen["first tick"]
    assert (first["month"], first["in_full"], first["success"]) == ("2026-01", True, True)
    assert seen["second tick"] == []


def test_a_due_attempt_is_made_once_however_often_the_job_runs(seen: dict[str, Any]) -> None:
    assert seen["first collection"]["success"] and seen["second collection"]["success"]
    assert seen["billed"]["attempt_count"] == 1
    assert seen["tried"]["attempt_count"] == 2
    assert seen["tried"]["next_attempt_at"] == seen["billed"]["next_attempt_at"] + 72 * 3600
    assert seen["before"] == seen["tried"]
    assert seen["tick after collections"] == []


def test_a_payment_on_stripes_page_is_pulled_by_its_events(seen: dict[str, Any]) -> None:
    assert seen["before"]["status"] == "open"
    (run,) = seen["tick after payment"]
    assert (run["month"], run["in_full"], run["success"]) == ("2026-01", False, True)
    assert seen["after"]["status"] == "paid"
    assert seen["after"]["paid"] == seen["before"]["outstanding"]
    assert seen["last tick"] == []


def test_a_top_up_paid_in_stripe_is_in_the_wallet_once(seen: dict[str, Any]) -> None:
    ((movement),) = seen["wallet"]
    by = movement.pop("by")
    assert movement == {"customer": "m-failing-card", "kind": "top_up", "amount": "25.00"}
    assert by.startswith("pi_")
    assert seen["topped up"]["checks"]["top_ups_are_credited_once"]
    assert seen["wallet again"] == [movement | {"by": by}]


def test_a_top_up_paid_twice_is_reported(seen: dict[str, Any]) -> None:
    assert seen["topped up again"]["success"]
    assert not seen["topped up again"]["checks"]["top_ups_are_credited_once"]
    assert seen["topped up again"]["severities"]["top_ups_are_credited_once"] == "WARN"


CHECKS = (
    *("usage_has_come", "billed_as_recorded", "payments_are_settled"),
    *("stripe_agrees_to_the_cent", "wallets_agree_to_the_cent"),
)


def test_a_cent_of_difference_fails_a_check(seen: dict[str, Any]) -> None:
    assert seen["sound"]["checks"] == dict.fromkeys(CHECKS, True)
    assert not seen["a cent more in Stripe"]["checks"]["stripe_agrees_to_the_cent"]
    assert seen["a cent more in Stripe"]["severities"]["stripe_agrees_to_the_cent"] == "ERROR"
    assert all(seen["put right"]["checks"].values())


def test_a_difference_that_waits_for_approval_is_a_warning(seen: dict[str, Any]) -> None:
    late = seen["late usage"]
    assert late["success"]
    assert not late["checks"]["stripe_agrees_to_the_cent"]
    assert late["severities"]["stripe_agrees_to_the_cent"] == "WARN"


def test_what_has_a_changed_record_waits_and_fails_the_run(seen: dict[str, Any]) -> None:
    assert not seen["closed over changed records"]["success"]
    assert not seen["closed over changed records"]["checks"]["billed_as_recorded"]
    assert seen["asked after"] == seen["asked before"]
    assert seen["waiting"] == ["review"]
    reason = seen["pulled over changed records"]
    assert reason.startswith("billed_as_recorded: 5 records of what was billed are not valid")
    assert "its record was changed" in reason and "billed.db" in reason


def test_a_changed_record_of_any_month_fails_the_daily_verification(seen: dict[str, Any]) -> None:
    assert seen["all as recorded"]["success"]
    assert not seen["all verified"]["success"]
    # Months are verified one by one in their own runs, which must not grow with history.
    assert seen["another month"]["checks"]["billed_as_recorded"]
