"""dbt in a sandbox of a month, by its usual commands, and what changed models would bill.

What belongs here: the folder that `billing sandbox` lays out, dbt in it, and `billing diff`. What
does not: what the project says of itself (test_docs.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from dbt.cli.main import dbtRunner

from billing_pipeline.commands.cli import main
from billing_pipeline.published.publish import publish
from billing_pipeline.rating.dbt_runner import _close_warehouse
from billing_pipeline.rating.dbt_sandbox import WAREHOUSE
from billing_pipeline.settings import Settings
from tests.dbt.rated_once import MONTH, Rated

ANALYSTS = Path(__file__).resolve().parents[2] / "docs" / "analysts.md"
RULE = "exact_times(billable, coalesce(unit_amount, 0))"
CHANGED = f"exact_times({RULE}, 2)"


@dataclass(frozen=True)
class Sandbox:
    """A folder that `billing sandbox` has laid out, and the home of the month in it."""

    folder: Path
    settings: Settings

    @property
    def model(self) -> Path:
        return self.folder / "models" / "rating" / "charges_per_unit.sql"

    @property
    def live(self) -> Path:
        return self.settings.warehouse_path(MONTH)

    def billing(self, *args: str) -> str:
        environ = {"BILLING_HOME": str(self.settings.home)}
        done = CliRunner().invoke(main, args, env=environ)
        assert done.exit_code == 0, done.output
        return done.stdout

    def diff(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.billing("diff", str(self.folder), "--json"))
        return found


@pytest.fixture(scope="module")
def sandbox(rated_subscriptions: Rated, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """Its month is published, and a unit costs twice as much in it."""
    made = Sandbox(tmp_path_factory.mktemp("sandbox") / "june", rated_subscriptions())
    publish(made.settings, MONTH)
    made.billing("sandbox", str(MONTH), str(made.folder))
    text = made.model.read_text(encoding="utf-8")
    assert text.count(RULE) == 1
    made.model.write_text(text.replace(RULE, CHANGED), encoding="utf-8")
    return made


@pytest.fixture
def in_the_folder(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """As in a shell whose environment names the month's own warehouse, which stays as it is."""
    monkeypatch.chdir(sandbox.folder)
    monkeypatch.setenv("BILLING_WAREHOUSE", str(sandbox.live))
    before = sandbox.live.read_bytes()
    yield sandbox
    assert sandbox.live.read_bytes() == before


@pytest.mark.slow
def test_a_changed_charge_model_shows_what_it_would_bill(in_the_folder: Sandbox) -> None:
    found = in_the_folder.diff()
    assert (found["month"], found["same_inputs"]) == (str(MONTH), True)
    charges = {(row["customer_id"], row["change"]) for row in found["changes"]}
    # The minimum of Enterprise takes up what its usage costs more.
    assert charges == {
        *(("s-overage", change) for change in ("6.0000", "8.0000", "11.2500", "16.0000")),
        ("s-enterprise", "150.0000"),
    }
    assert [(row["customer_id"], row["present_total"], row["simulated_total"], row["change"])
            for row in found["invoices"]] == [
        ("s-overage", "160.9500", "202.2000", "41.2500"),
    ]  # fmt: skip


def _documented() -> Iterator[list[str]]:
    """The commands in docs/analysts.md between `billing sandbox` and `billing diff`, but for the
    one that goes on until it is stopped. dbt's docs are asked for as one file too, to look at."""
    block = re.search(
        r"```bash\nbilling sandbox .*?\n(.*?)billing diff", ANALYSTS.read_text("utf-8"), re.DOTALL
    )
    assert block is not None
    for line in block[1].splitlines():
        words = line.split("#")[0].split()
        if words[0] != "cd" and words != ["dbt", "docs", "serve"]:
            yield [*words, *(["--static"] if "docs" in words else [])]


@pytest.mark.slow
def test_dbt_works_by_its_usual_commands(in_the_folder: Sandbox) -> None:
    """Those of the documentation as in a shell, but in one process, which reads the project once.
    The rule is as it should be again, else its unit test fails, as it does for an analyst."""
    text = in_the_folder.model.read_text(encoding="utf-8")
    rule_again = RULE.replace("0))", "0.000))")
    in_the_folder.model.write_text(text.replace(CHANGED, rule_again), encoding="utf-8")
    project = dbtRunner().invoke(["--quiet", "parse"]).result
    for program, *command in _documented():
        if program == "billing":
            in_the_folder.billing(*command)
            continue
        # The target is one of the things that a project is read for.
        read = None if "--target" in command else project
        done = dbtRunner(manifest=read).invoke(["--quiet", *command])
        _close_warehouse()
        assert done.success, (command, done.exception)
    with duckdb.connect(str(in_the_folder.folder / WAREHOUSE), read_only=True) as made:
        [(sql,)] = made.execute(
            "SELECT sql FROM duckdb_views() WHERE view_name = 'charges_per_unit'"
        ).fetchall()
    assert "0.000" in sql
    page = (in_the_folder.folder / "target" / "static_index.html").read_text(encoding="utf-8")
    # One file, with everything in it.
    assert "stripe_push" in page
    assert "dashboard" in page
    assert '"comes from": "rated_charges.customer_id"' in page
