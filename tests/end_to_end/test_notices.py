"""A month with problems, from the runs to the notices, through the real sensors."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.commands import EXAMPLES, billing, environment, last_line
from tests.end_to_end.warm import run_module
from tests.notice_receiver import Receiver, receiving

SENSORS = ("drifted_months", "runs_that_failed", "notices")


def tick(home: Path, data: Path, receiver: Receiver, *sensors: str) -> dict[str, Any]:
    env = environment(home, data, BILLING_NOTIFY_URLS=receiver.url)
    done = run_module("tests.end_to_end.tick", sensors or SENSORS, env)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.slow
def test_each_notice_is_sent_once(tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    shutil.copytree(EXAMPLES / "metered-api", data)
    with receiving() as receiver:
        assert billing(home, data, "run", "2026-01").returncode == 0
        assert tick(home, data, receiver)["drifted_months"]["runs"] == []
        messages = {message["title"]: message["message"] for message in receiver.got}
        assert set(messages) == {
            "Month closed 2026-01",
            "Payment failed 2026-01",
            "Payment received 2026-01 (2)",
        }
        assert "USD in " in messages["Month closed 2026-01"]
        assert "failed checks: none" in messages["Month closed 2026-01"]
        assert messages["Payment failed 2026-01"].startswith("m-failing-card: ")

        # Late usage: one preview, what it finds waits, and nothing is sent to Stripe.
        request_log = (home / "records" / "journal.db").read_bytes()
        receiver.got.clear()
        (data / "usage/2026-01/late.csv").write_text(
            "event_id,customer_id,event_name,occurred_at,quantity,properties\n"
            'late-1,m-startup,api_call,2026-01-31T10:00:00Z,,"{""cost_cents"": 500}"\n',
            encoding="utf-8",
        )
        result = tick(home, data, receiver)
        assert result["drifted_months"]["runs"] == [["preview_month", "2026-01", True]]
        messages = {message["title"]: message["message"] for message in receiver.got}
        assert set(messages) == {
            "Late usage in a closed month 2026-01",
            "Invoice plan waits for approval 2026-01",
        }
        assert "usage/2026-01/late.csv" in messages["Late usage in a closed month 2026-01"]
        assert "1 change, together +5.00 USD" in messages["Invoice plan waits for approval 2026-01"]
        assert (home / "records" / "journal.db").read_bytes() == request_log

        # A run that fails is told, and starts nothing.
        receiver.got.clear()
        (data / "usage/2026-01/broken.csv").write_text("no,such,columns\n", encoding="utf-8")
        result = tick(home, data, receiver)
        assert result["drifted_months"]["runs"] == [["preview_month", "2026-01", False]]
        assert receiver.titles == [
            "Late usage in a closed month 2026-01",
            "Run failed 2026-01",
        ]
        assert "usage/2026-01/broken.csv" in receiver.got[1]["message"]

        receiver.got.clear()
        result = tick(home, data, receiver)
        assert result["drifted_months"]["runs"] == []
        assert result["notices"]["skipped"] == "0 messages were delivered."
        assert receiver.got == []


@pytest.mark.slow
def test_without_a_daemon_the_command_sends_the_same_notices_once(tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    shutil.copytree(EXAMPLES / "metered-api", data)
    (data / "usage/2026-01/broken.csv").write_text("no,such,columns\n", encoding="utf-8")
    assert billing(home, data, "run", "2026-01").returncode == 1
    (data / "usage/2026-01/broken.csv").unlink()
    assert billing(home, data, "run", "2026-01").returncode == 0
    with receiving() as receiver:

        def notify(*options: str) -> subprocess.CompletedProcess[str]:
            return billing(home, data, "notices", *options, BILLING_NOTIFY_URLS=receiver.url)

        receiver.answer = 500
        refused = notify()
        assert refused.returncode == 1
        assert last_line(refused).startswith("json (number 1) of BILLING_NOTIFY_URLS accepted no")
        receiver.answer = 200
        assert json.loads(notify("--json").stdout) == {"success": True, "sent": 4, "is_busy": False}
        assert sorted(receiver.titles) == [
            *("Month closed 2026-01", "Payment failed 2026-01"),
            *("Payment received 2026-01 (2)", "Run failed 2026-01"),
        ]
        # Nor does the daemon's sensor say it again.
        assert tick(home, data, receiver)["notices"]["skipped"] == "0 messages were delivered."
        assert notify().stdout == "0 messages were delivered.\n"
        assert len(receiver.got) == 4
    nobody = billing(home, data, "notices")
    assert nobody.returncode == 1
    assert last_line(nobody) == "BILLING_NOTIFY_URLS is not set, so there is nobody to notify"
