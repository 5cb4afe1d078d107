"""Months that another system billed are not sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from billing_pipeline.collection.records.cut_over import (
    NotOurMonthError,
    read_cut_over,
    record_cut_over,
    require_ours,
)
from billing_pipeline.months import BillingMonth

from .conftest import JANUARY, Company


def test_a_month_before_the_cut_over_is_planned_and_not_sent(company: Company) -> None:
    company.bill({"ada": ["10.00"]})
    records = company.home / "records"
    record_cut_over(records, JANUARY.shift(1), compared="2026-01")
    assert company.preview().changes
    with pytest.raises(NotOurMonthError, match="we bill from 2026-02 on"):
        company.apply()
    assert not company.stripe.posts()
    record_cut_over(records, JANUARY)
    company.apply()
    assert company.stripe.posts()


def test_without_a_cut_over_every_month_is_ours(tmp_path: Path) -> None:
    assert read_cut_over(tmp_path) is None
    require_ours(tmp_path, BillingMonth(2020, 1))


def test_half_a_file_refuses_rather_than_bills(tmp_path: Path) -> None:
    (tmp_path / "cut_over.json").write_text('{"first_mon')
    with pytest.raises(NotOurMonthError, match="is damaged"):
        require_ours(tmp_path, BillingMonth(2026, 1))
