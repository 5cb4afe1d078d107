"""`billing check` warns about rows that are valid but will not have the expected effect."""

from __future__ import annotations

from pathlib import Path

import duckdb

from billing_pipeline.commands.check import check_reference, expired_cards
from billing_pipeline.commands.init import create
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import database_path
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


def test_customers_whose_card_will_have_expired_are_listed(tmp_path: Path) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    with duckdb.connect() as warehouse:
        warehouse.execute(
            "CREATE TABLE invoices AS SELECT * FROM (VALUES ('ada', 5, NULL), ('ada', 2, NULL),"
            " ('bob', 5, 'send_invoice'), ('cyd', 0, NULL), ('dan', 5, NULL))"
            " AS t (customer_id, amount_due, collection_method)"
        )
        # Nothing is published yet.
        assert expired_cards(settings, BillingMonth(2024, 5), warehouse) == {}
        database_path(settings).parent.mkdir(parents=True)
        with duckdb.connect(database_path(settings)) as published:
            published.execute(
                "CREATE TABLE paying_cards AS SELECT customer_id, DATE '2024-05-31' AS card_expires"
                " FROM (VALUES ('ada'), ('bob'), ('cyd')) AS t (customer_id)"
            )
        [(hint, found)] = expired_cards(settings, BillingMonth(2024, 5), warehouse).items()
        assert "before 2024-05 is charged" in hint and found == ["ada (2024-05-31)"]
        assert expired_cards(settings, BillingMonth(2024, 4), warehouse) == {}
