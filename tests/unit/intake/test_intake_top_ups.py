"""Top-ups that were paid in Stripe, beside those of the file: each counts once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.month import StripeMovement, build_raw, open_warehouse
from billing_pipeline.settings import Settings

JANUARY = BillingMonth(2024, 1)
AT = datetime(2024, 1, 5, 9, tzinfo=UTC)


def top_up(name: str, amount: str = "10.00", customer: str = "c1") -> StripeMovement:
    kind = "refund" if amount.startswith("-") else "top_up"
    return StripeMovement(name, customer, Decimal(amount), "USD", AT, f"pi_{name}", kind)


def wallets(folder: Path, *paid: StripeMovement) -> list[tuple[str, str, str]]:
    accounts = folder / "data" / "accounts"
    accounts.mkdir(parents=True, exist_ok=True)
    (accounts / "customers.csv").write_text(
        "customer_id,name,email,country,currency\nc1,One,one@example.com,US,USD\n"
        "c3,Three,three@example.com,US,USD\n"
    )
    (accounts / "wallet_transactions.csv").write_text(
        "transaction_id,customer_id,amount,currency,occurred_at,kind,reference\n"
        "wt-1,c1,5,USD,2024-01-02T00:00:00Z,top_up,by transfer\n"
    )
    settings = Settings(str(folder / "data"), folder / "home", ZoneInfo("UTC"), JANUARY)
    build_raw(settings, JANUARY, (), paid)
    with open_warehouse(settings.warehouse_path(JANUARY), read_only=True) as warehouse:
        return warehouse.execute(
            "SELECT transaction_id, amount::DECIMAL(38, 2)::VARCHAR, reference"
            " FROM raw.wallet_transactions ORDER BY 1"
        ).fetchall()


def test_a_payment_in_stripe_is_a_wallet_transaction(tmp_path: Path) -> None:
    assert wallets(tmp_path, top_up("top-1")) == [
        ("top-1", "10.00", "pi_top-1"),
        ("wt-1", "5.00", "by transfer"),
    ]


def test_a_top_up_that_the_file_has_as_well_counts_once(tmp_path: Path) -> None:
    assert wallets(tmp_path, top_up("wt-1", "5.00")) == [("wt-1", "5.00", "by transfer")]


def test_two_that_contradict_each_other_stop_the_month(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'wt-1' is another top-up in Stripe, paid by pi_wt-1"):
        wallets(tmp_path, top_up("wt-1", "5.01"))


def test_a_payment_of_an_unknown_customer_is_left_out(tmp_path: Path) -> None:
    assert [row[0] for row in wallets(tmp_path, top_up("top-1", customer="c2"))] == ["wt-1"]


def test_a_refund_is_taken_out_of_the_wallet(tmp_path: Path) -> None:
    assert wallets(tmp_path, top_up("top-1"), top_up("re_1", "-4.00"))[0] == (
        *("re_1", "-4.00", "pi_re_1"),
    )


def test_customers_may_use_one_name(tmp_path: Path) -> None:
    """Of the file or among each other: a top-up is its customer's, by its name."""
    paid = (top_up("wt-1", "7.00", "c3"), top_up("top-1"), top_up("top-1", "8.00", "c3"))
    assert sorted(row[:2] for row in wallets(tmp_path, *paid)) == [
        *(("top-1", "10.00"), ("top-1", "8.00")),
        *(("wt-1", "5.00"), ("wt-1", "7.00")),
    ]
