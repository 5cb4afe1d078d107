"""`billing check` warns about rows that are valid but will not have the expected effect."""

from __future__ import annotations

from pathlib import Path

from billing_pipeline.commands.check import check_reference
from billing_pipeline.commands.init import create
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings


def test_customers_with_send_invoice_and_no_email_are_listed(tmp_path: Path) -> None:
    create(tmp_path, BillingMonth(2024, 5), with_example=True)
    path = tmp_path / "accounts" / "customers.csv"
    settings = Settings.from_env({"BILLING_DATA_DIR": str(tmp_path)})

    def named() -> list[list[str]]:
        _, hints = check_reference(settings)
        return [ids for hint, ids in hints.items() if "no e-mail" in hint]

    assert named() == []
    path.write_text(path.read_text().replace("bob@example.com", ""))
    assert named() == [["bob"]]
    path.write_text(path.read_text().replace("send_invoice,14", "charge_automatically,"))
    assert named() == []


def test_customers_who_cannot_be_charged_are_listed(tmp_path: Path) -> None:
    create(tmp_path, BillingMonth(2024, 5), with_example=True)
    path = tmp_path / "accounts" / "customers.csv"
    settings = Settings.from_env({"BILLING_DATA_DIR": str(tmp_path)})

    def named() -> list[list[str]]:
        _, hints = check_reference(settings)
        return [ids for hint, ids in hints.items() if "no payment method" in hint]

    assert named() == []
    path.write_text(path.read_text().replace("pm_card_visa", ""))
    assert named() == [["ada"]]
