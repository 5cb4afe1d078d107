"""Rows of two price books that differ, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from billing_pipeline.intake.reference.load import load_reference
from billing_pipeline.published.reading import utc_session
from billing_pipeline.settings import Settings
from billing_pipeline.simulation.price_book import differences

PRICES = "price_id,plan_id,currency,charge_model,unit_amount,flat_amount,valid_from,valid_to\n"


def test_added_removed_and_changed_rows_are_named(tmp_path: Path) -> None:
    (tmp_path / "accounts").mkdir()
    (tmp_path / "accounts" / "customers.csv").write_text("customer_id,currency\nc,USD\n")
    books = {
        "present": "fee,p,USD,flat,,99,,2024-05-01\nold,p,USD,flat,,1,,\n",
        "simulated": "fee,p,USD,flat,,109.5,,2024-05-01\nfee,p,USD,per_unit,2,,2024-05-01,\n",
    }
    settings = Settings.from_env(
        {"BILLING_DATA_DIR": str(tmp_path), "BILLING_HOME": str(tmp_path / "home")}
    )
    with utc_session() as connection:
        for side, rows in books.items():
            catalog = tmp_path / side / "catalog"
            catalog.mkdir(parents=True)
            (catalog / "plans.csv").write_text("plan_id,name\np,Plan\n")
            (catalog / "prices.csv").write_text(PRICES + rows)
            connection.execute(f"ATTACH ':memory:' AS {side}")
            connection.execute(f"USE {side}")
            load_reference(connection, replace(settings, catalog_dir=catalog))
        assert [(row.file, row.key, row.what, row.text) for row in differences(connection)] == [
            ("catalog/prices", "fee", "changed", "flat_amount 99 → 109.5"),
            (
                *("catalog/prices", "fee, 2024-05-01", "added"),
                "plan_id p; currency USD; charge_model per_unit; unit_amount 2; prorate true",
            ),
            (
                *("catalog/prices", "old", "removed"),
                "plan_id p; currency USD; charge_model flat; flat_amount 1; prorate true",
            ),
        ]
