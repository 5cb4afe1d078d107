"""The README's table of commands, run as it stands over a closed month."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from billing_pipeline.commands.cli import main
from tests.end_to_end.closed_once import Closed
from tests.end_to_end.commands import EXAMPLES, ROOT, billing, environment
from tests.notice_receiver import Receiver, receiving

README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\| `\.venv/bin/billing ([^`]+)`", README, re.MULTILINE)
EXAMPLE = EXAMPLES / "prepaid-wallet"
# They serve until they are stopped (tests/end_to_end/test_foreign_pages.py).
SERVERS = ("webhooks", "ui", "dashboard")
# Nothing is in review here (tests/end_to_end/test_resolve.py).
NEEDS_A_REVIEW = "resolve"
# Over a month that changes (tests/end_to_end/test_drift.py).
CHANGED_MONTH = ("drift", "verify", "publish")
# Over a month that dbt has rated (tests/dbt/test_sandbox.py).
IN_DBT = ("sandbox", "diff", "lineage")
# They run Dagster's jobs, whose settings are those of their process.
JOBS = ("run", "plan", "apply", "pull", "estimate", "collect")
# They rate months, by compiled models in a process of their own, which takes a fifth of the time.
RATING = ("check", "simulate")
THEIRS = "customer_id,currency,description,amount\nnobody,USD,A fee of theirs,10\n"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.mark.slow
def test_each_command_does_as_the_readme_says(
    tmp_path: Path,
    closed_wallet: Closed,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    for name, value in environment(home, EXAMPLE, BILLING_NOTIFY_URLS=receiver.url).items():
        monkeypatch.setenv(name, value)

    def run(command: str) -> str:
        words = command.split()
        if words[0] in (*JOBS, *RATING):
            done = billing(home, EXAMPLE, *words)
            assert done.returncode == 0, (command, done.stderr)
            return done.stdout
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, (command, result.output)
        return result.stdout

    month = "2024-01"
    closed = closed_wallet(home)  # by `run 2024-01 --json`
    places = {
        "ID": closed["payments"][0]["invoice_id"],
        "HASH": json.loads(run(f"plan {month} --json"))["plan_hash"],
        "FILE": str(tmp_path / "file"),
        "THEIRS": str(tmp_path / "theirs.csv"),
        "DIR": str(EXAMPLE / "catalog"),
        "A..B": f"{month}..{month}",
    }
    Path(places["THEIRS"]).write_text(THEIRS)
    assert len(COMMANDS) > 12
    outputs = {}
    for command in COMMANDS:
        if command.startswith(("run ", "plan ", *SERVERS, *CHANGED_MONTH, *IN_DBT, NEEDS_A_REVIEW)):
            continue  # just now; and what is tested elsewhere
        if command.startswith("compare "):
            command = command.replace("FILE", "THEIRS")
        if command.startswith(("init ", "pricebook ")):
            command = command.replace("DIR", str(tmp_path / f"new-{command.split()[0]}"))
        outputs[command] = run(" ".join(places.get(word, word) for word in command.split()))
        if "FILE" in command:
            written = Path(places["FILE"])
            assert written.stat().st_size > 500, command
            written.unlink()
    assert "closed" in outputs["months"]
    assert f"Month closed {month}" in receiver.titles
    assert "-12.34" in outputs["explain ID"] or "from the wallet" in outputs["explain ID"]
    assert "extra line" in outputs[f"compare {month} --against THEIRS"]
    assert (tmp_path / "new-init" / "README.md").exists()
    assert "_BILLING_COMPLETE" in outputs["completion bash"]
