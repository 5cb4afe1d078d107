"""What `billing check` points out in a price book that is valid and may not mean what it says."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from billing_pipeline.commands.findings import price_findings, usage_findings
from billing_pipeline.intake.reference.load import load_reference
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.month import open_warehouse
from billing_pipeline.settings import Settings
from tests.compiled_models import rate_month
from tests.dbt.price_books import PriceBook


def book() -> PriceBook:
    made = PriceBook()
    made.meter("calls")
    made.meter("seats", "max")
    for plan in ("old", "new", "plain"):
        made.add("catalog/plans", plan_id=plan, name=plan)
    made.add("catalog/tax_rates", tax_rate_id="vat", country="DE", percentage="19")
    details = {"tax": ("vat", "vta"), "revenue_usage": ("plain", "vat"), "wallets": ("plain", "")}
    for account, of_account in details.items():
        for detail in of_account:
            made.add("catalog/accounts", account=account, detail=detail, number="1")
    full = {"prorate": "false"}
    made.price("old", "old-seats", "seats", **full, valid_to="2024-04-11")
    made.price("old", "old-seats", "seats", **full, valid_from="2024-04-11")
    made.price("new", "new-seats", "seats", **full)
    made.price("plain", "europe", "calls", filter={"region": "eu"}, included_quantity="500")
    made.price("both", "unused", "idle", included_quantity="500")
    made.meter("idle")
    made.price("plain", "tiered", "seats", charge_model="volume")
    made.add("catalog/price_tiers", price_id="tiered", up_to="10", unit_amount="2")
    made.add("catalog/price_tiers", price_id="tiered", up_to="20.5", unit_amount="1")
    made.add("catalog/price_tiers", price_id="tiered", unit_amount="0.5")
    # Two tables of prices: one lacks a region that the other has, both lack sizes
    for plan in ("wide", "narrow"):
        made.add("catalog/plans", plan_id=plan, name=plan)
    made.meter("traffic")
    made.meter("jobs")
    for plan, regions in (("wide", ("eu", "us", "asia")), ("narrow", ("eu", ["us", "mx"]))):
        for number, region in enumerate(regions):
            made.price(plan, f"{plan}-{number}", "traffic", filter={"region": region})
    for number, bounds in enumerate(({"up_to": "5"}, {"above": "5", "up_to": "10"},
                                     {"above": "20", "up_to": "100"})):  # fmt: skip
        made.price("wide", f"jobs-{number}", "jobs", filter={"size": bounds})
    made.price("narrow", "jobs-all", "jobs", filter={"size": {"above": "0"}})
    made.price("narrow", "jobs-none", "jobs", filter={"size": {"up_to": "0"}})
    # Another meter of the same event charges the others
    made.add("catalog/plans", plan_id="both", name="both")
    made.meter("megabytes", event_name="traffic")
    made.price("both", "both-traffic", "traffic", filter={"region": "eu"})
    made.price("both", "both-megabytes", "megabytes", filter={"region": ["us", "mx", "asia"]})
    made.customer("both", "both")
    made.customer("narrow", "narrow")
    made.use("narrow", "traffic", 1, "2024-04-10", properties={"region": "eu"})
    made.use("narrow", "traffic", 1, "2024-04-10", properties={"region": "asia"})
    made.use("narrow", "traffic", 1, "2024-04-11", properties={"region": "asia"})
    made.use("narrow", "jobs", 1, "2024-04-11")
    made.customer("mover", "old", ends_at="2024-04-16")
    made.subscribe("mover", "mover", "new", starts_at="2024-04-16")
    made.customer("twice", "plain")
    made.subscribe("twice-2", "twice", "plain")
    # The next begins when the other ends, and these two have no cell in common
    for plan, region in (("east", "asia"), ("west", "us")):
        made.add("catalog/plans", plan_id=plan, name=plan)
        made.price(plan, f"{plan}-traffic", "traffic", filter={"region": region})
        made.price(plan, f"{plan}-seats", "seats", valid_from="2024-04-11")
    made.customer("apart", "east", ends_at="2024-04-11")
    made.subscribe("apart-2", "apart", "west")
    made.subscribe("apart-3", "apart", "east", starts_at="2024-04-11", ends_at="2024-04-11")
    made.use("twice", "calls", 100, "2024-04-10", properties={"region": "eu"})
    made.use("twice", "calls", 7, "2024-04-10", properties={"region": "us"})
    made.use("twice", "seats", 15, "2024-04-10")
    return made


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    directory: Path = tmp_path_factory.mktemp("findings")
    data = book().write(directory / "data")
    return Settings.from_env(
        {"BILLING_DATA_DIR": str(data), "BILLING_HOME": str(directory / "home")}
    )


def test_what_a_price_book_may_not_mean(settings: Settings) -> None:
    with duckdb.connect() as connection:
        load_reference(connection, settings)
        found = {text.split(":")[0]: rows for text, rows in price_findings(connection).items()}
    assert found == {
        "gauges with prorate false whose price changes": ["old-seats"],
        "gauges with prorate false in plans that subscriptions change to or from": [
            "new-seats (mover)",
            "old-seats (mover)",
        ],
        "subscriptions of one customer that charge the same meter": [
            "twice and twice-2: calls",
            "twice and twice-2: seats",
        ],
        "filters that leave events uncharged": [
            "east, traffic: region eu",
            "east, traffic: region mx",
            "east, traffic: region us",
            "narrow, traffic: region asia",
            "west, traffic: region asia",
            "west, traffic: region eu",
            "west, traffic: region mx",
            "wide, jobs: size above 10 up to 20",
            "wide, jobs: size above 100",
            "wide, traffic: region mx",
        ],
        "numbers of the journal's accounts that no posting gets": [
            "catalog/accounts row 3 (vta is not a tax_rate_id)",
            "catalog/accounts row 5 (vat is not a plan_id)",
            "catalog/accounts row 6 (plain: only tax and revenue have details)",
        ],
    }


def test_what_usage_does_not_reach(settings: Settings) -> None:
    with open_warehouse(rate_month(settings, BillingMonth(2024, 4)), read_only=True) as warehouse:
        found = {text.split(":")[0]: rows for text, rows in usage_findings(warehouse).items()}
        assert found == {
            "filters that left events of the month uncharged": [
                "narrow, jobs: size (missing) (1 events)",
                "narrow, traffic: region asia (2 events)",
                "plain, calls: region us (1 events)",
            ],
            "allowances that nobody used up in the month": ["europe (used at most 100)"],
            "tiers that no usage of the month reached": ["tiered above 20.5"],
        }
