"""A close waits for the usage that is expected, and only for that."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import duckdb
import pytest

from billing_pipeline.collection import payments
from billing_pipeline.defs.usage import _wait_for_sources
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.month import build_raw
from billing_pipeline.settings import Settings

JANUARY, FEBRUARY = BillingMonth(2024, 1), BillingMonth(2024, 2)
EVENT = (
    "event_id,customer_id,event_name,occurred_at,quantity,properties\n"
    "e1,c1,call,2024-01-02T00:00:00Z,1,\n"
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two sources are expected, and one may come or not."""
    files = {
        "accounts/customers.csv": "customer_id,name,currency\nc1,One,USD\n",
        "catalog/meters.csv": "meter_id,event_name,aggregation\ncalls,call,count\n",
        "catalog/sources.csv": "source,file_pattern,expected\n"
        "gateway,gateway-*.csv,monthly\nbatch,batch*,monthly\nmanual,*.csv,\n",
        "usage/2024-01/gateway-7.csv": EVENT,
        "usage/2024-01/by-hand.csv": EVENT.replace("e1", "e2"),
        "usage/2024-01/rest.jsonl": "",
        # February's batch is no batch of January
        "usage/2024-02/batch.csv": EVENT.replace("-01-", "-02-"),
    }
    for name, text in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Settings.from_env(
        {"BILLING_DATA_DIR": str(tmp_path / "data"), "BILLING_HOME": str(tmp_path / "home")}
    )


def test_each_file_has_the_first_source_that_matches(settings: Settings) -> None:
    build_raw(settings, JANUARY)
    with duckdb.connect(str(settings.warehouse_path(JANUARY))) as warehouse:
        assert warehouse.execute("FROM raw.usage_file_sources ORDER BY 1").fetchall() == [
            ("usage/2024-01/by-hand.csv", "manual"),
            ("usage/2024-01/gateway-7.csv", "gateway"),
            ("usage/2024-01/rest.jsonl", "other"),
        ]


def test_a_close_waits_for_what_is_expected(settings: Settings) -> None:
    build_raw(settings, JANUARY)
    with pytest.raises(dg.Failure) as refused:
        _wait_for_sources(settings, JANUARY, [])
    assert refused.value.description == (
        "2024-01 waits for usage of batch (usage/2024-01/batch*). Once a file has arrived, run "
        "again; `billing run 2024-01 --without batch` closes without it"
    )
    with pytest.raises(dg.Failure, match=r"2024-01 waits for usage of batch"):
        _wait_for_sources(settings, JANUARY, ["gateway"])
    with pytest.raises(dg.Failure, match=r"catalog/sources\.csv has no source bath"):
        _wait_for_sources(settings, JANUARY, ["bath"])


def test_it_waits_no_longer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    build_raw(settings, JANUARY)
    _wait_for_sources(settings, JANUARY, ["batch"])
    with monkeypatch.context() as patch:
        patch.setattr(payments, "is_billed", lambda settings, month: month == JANUARY)
        _wait_for_sources(settings, JANUARY, [])
    (Path(settings.data_dir) / "usage/2024-01/batch-1.csv").write_text(EVENT.replace("e1", "e3"))
    build_raw(settings, JANUARY)
    _wait_for_sources(settings, JANUARY, [])


def test_a_month_without_any_usage_waits_for_all(settings: Settings) -> None:
    march = FEBRUARY.shift(1)
    build_raw(settings, march)
    with pytest.raises(dg.Failure, match=r"--without gateway --without batch"):
        _wait_for_sources(settings, march, [])
