"""The comparison with an account, tried on the sandbox; and its recorded answers, if there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from billing_pipeline.stripe_sandbox import Sandbox
from tests.in_process import InProcessClient
from tests.stripe_account.__main__ import RECORDED, main, sandbox_answers, sender
from tests.stripe_account.compare import differences, run
from tests.stripe_account.steps import STEPS


def test_each_difference_is_named() -> None:
    ours = sandbox_answers()
    assert list(differences(ours, sandbox_answers())) == []
    theirs = json.loads(json.dumps(ours))
    theirs["paid_paid"]["values"]["amount_paid"] = 1201
    theirs["few"]["code"] = "amount_too_tiny"
    theirs["paid_open"]["fields"].append("wishes")
    assert list(differences(ours, theirs)) == [
        "paid_open.fields: the sandbox lacks ['wishes']",
        "paid_paid.values.amount_paid: the sandbox says 1200, Stripe 1201",
        "few.code: the sandbox says 'amount_too_small', Stripe 'amount_too_tiny'",
    ]


def test_the_steps_reach_what_the_pipeline_relies_on() -> None:
    ours = sandbox_answers()
    statuses = {name: answer.get("status") for name, answer in ours.items()}
    assert statuses["declining"] == statuses["declined_paid"] == statuses["asks_paid"] == 402
    wrong = {"back_too_much", "few", "large_open", "nobody", "unknown_parameter", "unknown_expand"}
    wrong |= {"vat_wrong", "vat_twice", "vat_sixth"}
    assert {statuses[name] for name in wrong} == {400}
    assert (ours["vat_wrong"]["code"], statuses["ein_none"]) == ("tax_id_invalid", 404)
    assert ours["paid_paid"]["values"]["amount_paid"] == 1200
    assert ours["old_after"]["values"]["due_after_days"] == 7
    assert ours["old_after"]["values"]["due_counted_from"] == ["finalized"]
    assert ours["booked"]["values"]["data"][0]["values"]["type"] == "charge"
    assert statuses["tam"] == 400
    assert ours["clock_events"]["values"]["data"] == ours["payouts"]["values"]["data"] == []
    assert len(STEPS) >= 40


def test_nothing_is_left_behind() -> None:
    send = sender("sk_test_sandbox", InProcessClient(Sandbox(others=False)))
    run(STEPS, send)
    status, page = send("GET", "/v1/invoices", {"limit": 100})
    left = [invoice for invoice in page["data"] if invoice["status"] not in ("paid", "void")]
    # A debit that is processing is its bank's to end.
    assert (status, [invoice["currency"] for invoice in left]) == (200, ["eur"])
    assert send("GET", "/v1/customers", {})[1]["data"] == []


def test_a_live_key_is_refused_and_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("sk_live_x", "rk_live_x", "pk_test_x"):
        assert main(key, tmp_path / "recorded.json") == 2
    assert main("", tmp_path / "recorded.json") == 0
    assert "No STRIPE_TEST_KEY" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not RECORDED.exists(), reason="nobody has run make stripe-test with a key yet")
def test_the_sandbox_answers_as_the_account_did() -> None:
    theirs = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert list(differences(sandbox_answers(), theirs)) == []
