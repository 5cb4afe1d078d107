"""Usage that came after its month was rated: what is new, changed or gone, by content."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from billing_pipeline.intake.late_usage import (
    changed_inputs,
    compared_inputs,
    forget_compared,
    is_rated_as_compared,
    late_usage,
    rated_inputs,
    record_compared,
    record_rated,
)
from billing_pipeline.intake.usage_files import usage_files
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

JANUARY, FEBRUARY = BillingMonth(2024, 1), BillingMonth(2024, 2)
HEADER = "event_id,customer_id,event_name,occurred_at,quantity,properties\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    env = {"BILLING_HOME": str(tmp_path / "home"), "BILLING_DATA_DIR": str(tmp_path / "data")}
    settings = Settings.from_env(env)
    for month in (JANUARY, FEBRUARY):
        settings.month_dir(month).mkdir(parents=True)
        for name in ("a", "b"):
            write(settings, month, name)
    rate(settings, FEBRUARY)
    return settings


def write(settings: Settings, month: BillingMonth, name: str, rows: str = "") -> Path:
    path = Path(settings.data_dir) / "usage" / str(month) / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + rows, encoding="utf-8")
    return path


def rate(settings: Settings, month: BillingMonth, months_back: int = 0) -> None:
    folders = [month.shift(-back) for back in range(months_back + 1)]
    record_rated(settings, month, folders, usage_files(settings, folders))


def test_nothing_is_late_right_after_a_rating(settings: Settings) -> None:
    assert late_usage(settings, FEBRUARY) is None


def test_a_month_that_was_never_rated_has_no_late_usage(settings: Settings) -> None:
    assert late_usage(settings, JANUARY) is None


def test_new_changed_and_gone_files(settings: Settings) -> None:
    write(settings, FEBRUARY, "c")
    first = late_usage(settings, FEBRUARY)
    assert first is not None
    assert (first.new, first.changed, first.gone) == (("usage/2024-02/c.csv",), (), ())
    assert late_usage(settings, FEBRUARY) == first  # the same as long as nothing moves
    a = write(settings, FEBRUARY, "a", "e,c,n,2024-02-01,1,\n")
    (a.parent / "b.csv").unlink()
    second = late_usage(settings, FEBRUARY)
    assert second is not None
    assert second.fingerprint != first.fingerprint
    assert str(second) == (
        "new: usage/2024-02/c.csv; changed: usage/2024-02/a.csv; gone: usage/2024-02/b.csv"
    )
    rate(settings, FEBRUARY)
    assert late_usage(settings, FEBRUARY) is None


def test_a_removed_file_is_a_change(settings: Settings) -> None:
    (Path(settings.data_dir) / "usage/2024-02/a.csv").unlink()
    late = late_usage(settings, FEBRUARY)
    assert late is not None
    assert (late.new, late.changed, late.gone) == ((), (), ("usage/2024-02/a.csv",))


def test_a_file_of_the_same_size_with_another_content_is_late(settings: Settings) -> None:
    write(settings, FEBRUARY, "a", "e,c,n,2024-02-01,1,\n")
    rate(settings, FEBRUARY)
    path = write(settings, FEBRUARY, "a", "e,c,n,2024-02-01,2,\n")
    os.utime(path, (1, 1))
    late = late_usage(settings, FEBRUARY)
    assert late is not None
    assert late.changed == ("usage/2024-02/a.csv",)


def test_a_copy_of_the_data_is_not_late(settings: Settings) -> None:
    """Restored from a backup or checked out anew: other time stamps, the same content."""
    data = Path(settings.data_dir)
    shutil.copytree(data, data.with_name("copy"), copy_function=shutil.copyfile)
    shutil.rmtree(data)
    data.with_name("copy").rename(data)
    assert late_usage(settings, FEBRUARY) is None


def test_unfinished_uploads_are_ignored(settings: Settings) -> None:
    write(settings, FEBRUARY, ".c")
    write(settings, FEBRUARY, "_c")
    assert late_usage(settings, FEBRUARY) is None


def test_periods_of_30_days_include_the_months_before(settings: Settings) -> None:
    rate(settings, FEBRUARY, months_back=1)
    write(settings, JANUARY, "c")
    late = late_usage(settings, FEBRUARY)
    assert late is not None
    assert late.new == ("usage/2024-01/c.csv",)


def test_last_readings_of_earlier_months_are_inputs_where_they_count(settings: Settings) -> None:
    write(settings, JANUARY, "c")
    known = rated_inputs(settings, FEBRUARY)
    assert known is not None
    assert changed_inputs(settings, FEBRUARY, known) is None  # no reading is carried
    files = usage_files(settings, [FEBRUARY])
    carried = replace(files, earlier=usage_files(settings, [JANUARY]).files)
    record_rated(settings, FEBRUARY, [FEBRUARY], carried)
    known = rated_inputs(settings, FEBRUARY)
    assert known is not None
    assert changed_inputs(settings, FEBRUARY, known) is None
    record_compared(settings, FEBRUARY, known, is_billed=True)
    assert is_rated_as_compared(settings, FEBRUARY)
    write(settings, JANUARY, "a", "e,c,n,2024-01-01,1,\n")
    write(settings, BillingMonth(2023, 5), "d")  # a month that had no folder
    write(settings, BillingMonth(2024, 3), "e")
    (Path(settings.data_dir) / "usage/2024-01/b.csv").unlink()
    found = changed_inputs(settings, FEBRUARY, known)
    assert str(found) == (
        "new: usage/2023-05/d.csv; changed: usage/2024-01/a.csv; gone: usage/2024-01/b.csv"
    )
    assert late_usage(settings, FEBRUARY) is None  # what January's file changes, drift finds
    earlier = usage_files(settings, [BillingMonth(2023, 5), JANUARY])
    record_rated(settings, FEBRUARY, [FEBRUARY], replace(files, earlier=earlier.files))
    assert not is_rated_as_compared(settings, FEBRUARY)


def test_price_book_and_accounts_are_inputs_and_no_usage(settings: Settings) -> None:
    prices = Path(settings.data_dir) / "catalog" / "prices.csv"
    prices.parent.mkdir()
    prices.write_text("price_id\nold\n")
    rate(settings, FEBRUARY)
    known = rated_inputs(settings, FEBRUARY)
    assert known is not None
    assert changed_inputs(settings, FEBRUARY, known) is None
    os.utime(prices, (0, 0))
    assert changed_inputs(settings, FEBRUARY, known) is None  # only touched
    prices.write_text("price_id\nnew\n")
    write(settings, FEBRUARY, "c")
    found = changed_inputs(settings, FEBRUARY, known)
    assert found is not None
    assert (found.new, found.changed) == (("usage/2024-02/c.csv",), ("catalog/prices.csv",))
    assert (found.is_in("catalog"), found.is_in("accounts")) == (True, False)
    late = late_usage(settings, FEBRUARY)
    assert late is not None
    assert (late.new, late.changed) == (("usage/2024-02/c.csv",), ())


def test_costs_are_of_the_price_book_and_no_prices(settings: Settings) -> None:
    known = rated_inputs(settings, FEBRUARY)
    assert known is not None
    costs = Path(settings.data_dir) / "catalog" / "costs" / "prices.csv"
    costs.parent.mkdir(parents=True)
    costs.write_text("price_id\ncost\n")
    found = changed_inputs(settings, FEBRUARY, known)
    assert found is not None
    assert found.new == ("catalog/costs/prices.csv",)
    assert found.is_in("catalog")
    assert not found.is_in("catalog", but="catalog/costs")


def test_what_was_compared_is_kept_with_the_records(settings: Settings) -> None:
    assert compared_inputs(settings, FEBRUARY) is None
    known = rated_inputs(settings, FEBRUARY)
    assert known is not None
    record_compared(settings, FEBRUARY, known, is_billed=True)
    shutil.rmtree(settings.month_dir(FEBRUARY))
    assert compared_inputs(settings, FEBRUARY) == {**known, "is_billed": True}
    forget_compared(settings, FEBRUARY)
    assert compared_inputs(settings, FEBRUARY) is None
