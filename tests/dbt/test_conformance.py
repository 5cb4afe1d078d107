"""The conformance suite: its scenarios are well made, our engine agrees with all of them, and its
runner tells what deviates.

What belongs here: running it in this process, with one rating for each month and zone. What does
not: scenarios (conformance/scenarios).
"""

from __future__ import annotations

import importlib.util
import sys
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from tests.compiled_models import rate_month

ROOT = Path(__file__).resolve().parents[2] / "conformance"


def loaded(path: str) -> ModuleType:
    """A script of the suite, which is no package."""
    spec = importlib.util.spec_from_file_location(f"conformance_{Path(path).stem}", ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run = loaded("run.py")
ours = loaded("adapters/ours.py")
SCENARIOS: list[dict[str, Any]] = run.load()


def test_scenarios_are_well_made() -> None:
    assert len(SCENARIOS) >= 120
    assert len({one["id"] for one in SCENARIOS}) == len(SCENARIOS)
    for one in SCENARIOS:
        assert one["arithmetic"] and one["source"] and one["title"] and one["expected"], one["id"]
        if not one["source"].startswith("https://"):
            page = one["source"].partition("#")[0]
            assert (ROOT.parent / page).exists(), one["source"]


def test_an_engine_does_not_see_the_expected_results() -> None:
    questions = run.questions(SCENARIOS)
    assert not {name for one in questions for name in one} & {
        "expected",
        "arithmetic",
        "deviations",
    }


# Nearly all scenarios are in these; `make conformance` rates the other months too.
MONTHS = (("2024-04", "UTC", False), ("2024-03", "Europe/Berlin", False))
WITH_LATER = ("2024-04", "UTC", True)
BY_MONTH = ours.by_month(run.questions(SCENARIOS))


def answered(company: Any, place: Path, month: str, zone: str) -> list[dict[str, Any]]:
    settings = Settings.from_env(
        {
            "BILLING_DATA_DIR": str(place / "data"),
            "BILLING_HOME": str(place / "home"),
            "BILLING_TIMEZONE": zone,
            "BILLING_FIRST_MONTH": "2020-01-01",
        }
    )
    warehouse = rate_month(settings, BillingMonth.parse(month))
    with duckdb.connect(str(warehouse), read_only=True) as tables:
        found: list[dict[str, Any]] = company.answers(tables, month)
    return found


def test_our_engine_agrees(tmp_path: Path) -> None:
    answers: dict[str, Any] = {}
    for month, zone, has_more in MONTHS:
        company = ours.Company(BY_MONTH[month, zone, has_more])
        place = tmp_path / f"{month}-{zone.replace('/', '-')}"
        company.write(place / "data")
        answers |= {one["id"]: one for one in answered(company, place, month, zone)}
    asked = [one for one in SCENARIOS if one["id"] in answers]
    assert len(asked) > 0.9 * len([one for one in SCENARIOS if "later" not in one])
    verdicts = [run.judge(one, answers[one["id"]]) for one in asked]
    assert all(one["result"] == "agrees" for one in verdicts), run.report(verdicts)


def test_what_comes_later_makes_the_difference_that_is_sent(tmp_path: Path) -> None:
    """By the amounts alone; `make conformance` has the plan say what it sends."""
    month, zone, _ = WITH_LATER
    company = ours.Company(BY_MONTH[WITH_LATER])
    company.write(tmp_path / "data")
    before = answered(company, tmp_path, month, zone)
    company.write_later(tmp_path / "data")
    verdicts = []
    for scenario, one, two in zip(
        company.scenarios, before, answered(company, tmp_path, month, zone), strict=True
    ):
        change = Decimal(two["total"]) - Decimal(one["total"])
        document = "supplement" if change > 0 else "credit_note" if change else "none"
        expected = next(known for known in SCENARIOS if known["id"] == scenario["id"])
        later = {"document": document, "amount": str(abs(change))}
        verdicts.append(run.judge(expected, {**one, "later": later}))
    assert len(verdicts) >= 10
    assert all(one["result"] == "agrees" for one in verdicts), run.report(verdicts)


TIERED = next(one for one in SCENARIOS if one["id"] == "tiers/05")
RIGHT = {"id": "tiers/05", "lines": [{"price_id": "price", "amount": "15.03"}]}


@pytest.mark.parametrize(
    ("lines", "result"),
    [
        ([{"price_id": "price", "amount": "15.03"}], "agrees"),
        ([{"price_id": "price", "amount": "15.030"}], "agrees"),
        ([{"price_id": "price", "amount": "15.02"}], "deviates"),
        ([], "deviates"),
        ([{"price_id": "price", "amount": "15.03"}] * 2, "deviates"),
        ([*RIGHT["lines"], {"price_id": "other", "amount": "1"}], "deviates"),
        ([*RIGHT["lines"], {"price_id": "other", "amount": "0"}], "agrees"),
        ([{"price_id": "price", "amount": "much"}], "deviates"),
    ],
)
def test_the_runner_tells_what_deviates(lines: list[dict[str, str]], result: str) -> None:
    assert TIERED["expected"] == {"lines": [{"price_id": "price", "amount": "15.03"}]}
    verdict = run.judge(TIERED, {**RIGHT, "lines": lines})
    assert verdict["result"] == result
    if result == "deviates":
        assert TIERED["arithmetic"] in run.report([verdict])


def test_sums_are_compared_where_they_are_expected() -> None:
    scenario = next(one for one in SCENARIOS if "tax" in one["expected"])
    answer = {"id": scenario["id"], "lines": [], **scenario["expected"]}
    assert run.judge(scenario, answer)["result"] == "agrees"
    changed = deepcopy(answer)
    changed["tax"] = "999"
    assert run.judge(scenario, changed)["result"] == "deviates"
    assert run.judge(scenario, None)["result"] == "not supported"


def test_what_is_sent_later_is_compared() -> None:
    scenario = next(one for one in SCENARIOS if one["id"] == "credit-notes/01")
    answer = {"id": scenario["id"], "lines": [], **scenario["expected"]}
    assert run.judge(scenario, answer)["result"] == "agrees"
    for wrong in ({"document": "supplement"}, {"amount": "2.01"}):
        later = {**answer["later"], **wrong}
        assert run.judge(scenario, {**answer, "later": later})["result"] == "deviates"
    assert run.judge(scenario, {**answer, "later": {}})["result"] == "deviates"


def test_systems_that_are_documented_to_deviate_are_named() -> None:
    named = {other["system"] for one in SCENARIOS for other in one.get("deviations", [])}
    assert named >= {"Stripe", "Lago", "Kill Bill", "OpenMeter"}
    for one in SCENARIOS:
        for other in one.get("deviations", []):
            assert other["why"] and other["source"].startswith("https://"), one["id"]


def test_a_naive_engine_deviates_and_the_verdict_names_like_systems() -> None:
    naive = str(ROOT / "adapters" / "naive.py")
    answers = {one["id"]: one for one in run.ask([sys.executable, naive], SCENARIOS)}
    verdicts = [run.judge(one, answers.get(one["id"])) for one in SCENARIOS]
    counts = {one["result"] for one in verdicts}
    assert counts == {"agrees", "deviates", "not supported"}
    (by_day,) = (
        one
        for one in verdicts
        if "as_documented_by" in one and "six in the evening" in one["title"]
    )
    assert any(text.startswith("Lago") for text in by_day["as_documented_by"])
