"""Saying from which month we bill: only after the compared one, and only once both agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from billing_pipeline.collection.records.cut_over import read_cut_over
from billing_pipeline.commands.compare import _note, _require_agreement
from billing_pipeline.commands.terminal import CommandError
from billing_pipeline.comparison.comparison import Comparison
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from tests.unit.comparison.made import charge, compared, same

FEBRUARY, MARCH = BillingMonth(2024, 2), BillingMonth(2024, 3)
OUR = charge("Seats", "quantity 5; per_unit: 5 × 15; exactly 75, rounded to 75.00 USD")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("BILLING_HOME", str(tmp_path))
    return Settings.from_env()


def found(amount: str) -> Comparison:
    return compared([OUR], [same(OUR, amount=amount)])


def cut_over(settings: Settings, first: BillingMonth, amount: str, accept: str | None) -> None:
    compared_with = found(amount)
    _require_agreement(FEBRUARY, first, compared_with, accept)
    _note(settings, FEBRUARY, first, compared_with, accept, ["in_1"])


def test_both_agree(settings: Settings) -> None:
    cut_over(settings, MARCH, "75", None)
    assert read_cut_over(settings.records_dir) == MARCH


def test_the_month_that_the_other_system_billed_is_refused(settings: Settings) -> None:
    with pytest.raises(CommandError, match="2024-02 was billed by the other system"):
        cut_over(settings, FEBRUARY, "75", None)
    assert read_cut_over(settings.records_dir) is None


def test_differences_have_to_be_accepted_with_a_reason(settings: Settings) -> None:
    with pytest.raises(CommandError, match="1 differences remain in 2024-02"):
        cut_over(settings, MARCH, "80", None)
    assert read_cut_over(settings.records_dir) is None
    cut_over(settings, MARCH, "80", "the old price was wrong")
    noted = json.loads((settings.records_dir / "cut_over.json").read_text())
    assert noted == {
        "first_month": "2024-03",
        "compared": "2024-02",
        "differences": 1,
        "accepted": "the old price was wrong",
        "besides": ["in_1"],
    }
