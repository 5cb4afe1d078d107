"""A canary is rated by the month's own price book, beside the month, and every amount counts."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from billing_pipeline.commands.check import MonthCheck, check
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.intake.canary import AMOUNTS, Expected, read_expected
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating import month as rating
from billing_pipeline.rating.canary import CanaryResult, check_canary, compared
from billing_pipeline.settings import Settings
from tests.compiled_models import rate_month, run_compiled

JANUARY, MARCH = BillingMonth(2024, 1), BillingMonth(2024, 3)
FILES = {
    "accounts/customers.csv": "customer_id,name,currency,country\nc1,One,USD,US\n",
    "accounts/subscriptions.csv": "subscription_id,customer_id,plan_id,starts_at\n"
    "s1,c1,pro,2024-01-01\n",
    "catalog/meters.csv": "meter_id,event_name,aggregation\ncalls,call,sum\n",
    "catalog/plans.csv": "plan_id,name\npro,Pro\n",
    "catalog/prices.csv": "price_id,plan_id,meter_id,currency,charge_model,unit_amount\n"
    "p,pro,calls,USD,per_unit,0.05\n",
    "catalog/tax_rates.csv": "tax_rate_id,country,percentage\nvat,DE,19\n",
    "usage/2024-01/a.csv": "event_id,customer_id,event_name,occurred_at,quantity\n"
    "e1,c1,call,2024-01-02T00:00:00Z,100\n",
    "canary/accounts/customers.csv": "customer_id,name,currency,country\ntweety,Tweety,USD,DE\n",
    "canary/accounts/subscriptions.csv": "subscription_id,customer_id,plan_id,starts_at\n"
    "t1,tweety,pro,2024-01-01\n",
    "canary/usage/2024-01/a.csv": "event_id,customer_id,event_name,occurred_at,quantity\n"
    "e1,tweety,call,2024-01-02T00:00:00Z,1001\n",
    "canary/expected.csv": "billing_month,customer_id,currency,subtotal,tax,total,_note\n"
    "2024-01,tweety,USD,50.05,9.51,59.56,1001 x 0.05; 19 % of it\n",
    "canary/expected_charges.csv": "billing_month,customer_id,price_id,quantity,amount\n"
    "2024-01,tweety,p,1001,50.05\n",
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(rating, "run_dbt", run_compiled)
    # Of the month itself `billing check` has tests of its own, and rating it takes seconds.
    monkeypatch.setattr(
        "billing_pipeline.commands.check.check_month",
        lambda _, month: MonthCheck(month, [], [], [], [], {}),
    )
    for name, text in FILES.items():
        write(tmp_path / "data", name, text)
    return Settings.from_env(
        {"BILLING_DATA_DIR": str(tmp_path / "data"), "BILLING_HOME": str(tmp_path / "home")}
    )


def write(data: Path, name: str, text: str) -> None:
    (data / name).parent.mkdir(parents=True, exist_ok=True)
    (data / name).write_text(text, encoding="utf-8")


def test_a_canary_is_billed_as_everybody_and_is_in_no_table_of_the_month(
    settings: Settings,
) -> None:
    # A month of which nothing is expected checks the last one before it.
    assert check_canary(settings, MARCH) == CanaryResult(JANUARY, 5, [], [])
    warehouse = rate_month(settings, JANUARY)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        named = "SELECT DISTINCT customer_id FROM {}"
        for table in ("invoices", "charges", "metered_usage", "customers", "raw.usage_events"):
            assert connection.execute(named.format(table)).fetchall() == [("c1",)], table
    assert list((settings.home / "scratch").iterdir()) == []


def test_problems_in_its_files_name_file_and_row(settings: Settings) -> None:
    data = Path(settings.data_dir)
    write(data, "canary/accounts/customers.csv", "customer_id,name,currency\ntweety,T,XXX\n")
    with pytest.raises(InvalidInput, match=r"canary/accounts/customers\.csv row 2, currency"):
        check_canary(settings, JANUARY)
    for text, message in (
        ("billing_month,customer_id,currency,total\n", "canary/expected.csv: has no rows"),
        (
            "billing_month,customer_id,currency,total\n2024-13,t,USD,1\n",
            "canary/expected.csv row 2, billing_month: there is no month 2024-13",
        ),
        (
            "billing_month,customer_id,currency,total\n2024-01,t,USD,x\n",
            "canary/expected.csv row 2, total: 'x'",
        ),
        ("billing_month,customer_id,currency\n", "canary/expected.csv, total: this column"),
    ):
        write(data, "canary/expected.csv", text)
        with pytest.raises(InvalidInput) as refused:
            read_expected(settings, JANUARY)
        assert message in str(refused.value)
    (data / "canary/expected.csv").unlink()
    with pytest.raises(InvalidInput, match=r"canary/expected\.csv: is missing and needed"):
        read_expected(settings, JANUARY)


def checked(settings: Settings, *more: str) -> Result:
    environ = {"BILLING_DATA_DIR": settings.data_dir, "BILLING_HOME": str(settings.home)}
    return CliRunner().invoke(check, ["2024-01", *more], env=environ)


def test_billing_check_names_problems_of_the_canary_with_all_others(
    settings: Settings,
) -> None:
    data = Path(settings.data_dir)
    write(data, "catalog/plans.csv", "plan_id,name,trial_days\npro,Pro,x\n")
    write(data, "canary/accounts/customers.csv", "customer_id,name,currency\ntweety,T,XXX\n")
    write(data, "canary/expected.csv", "billing_month,customer_id,currency,total\n2024-13,t,USD,1")
    write(data, "canary/expected_charge.csv", "billing_month\n")
    write(data, "canary/README.md", "Read me.")
    refused = checked(settings)
    assert refused.exit_code == 1
    places = [line.partition(": ")[0] for line in refused.stderr.splitlines()]
    assert places[:4] == [
        "canary/accounts/customers.csv row 2, currency",
        "canary/expected.csv row 2, billing_month",
        "canary/expected_charge.csv",
        "catalog/plans.csv row 2, trial_days",
    ]


def test_billing_check_bills_it_and_names_the_rows_that_were_set_aside(settings: Settings) -> None:
    usage, prices = "canary/usage/2024-01/a.csv", "catalog/prices.csv"
    row = "e2,tweety,call,2024-01-02T00:00:00Z,many\n"
    write(Path(settings.data_dir), usage, FILES[usage] + row)
    passed = checked(settings)
    assert passed.exit_code == 0
    assert passed.stdout.splitlines()[-2:] == [
        f"set aside: {usage} row 3: invalid_quantity",
        "canary: 5 amounts of 2024-01 are as expected.",
    ]
    # Somebody changes a price.
    write(Path(settings.data_dir), prices, FILES[prices].replace("0.05", "0.06"))
    stopped = checked(settings)
    assert stopped.exit_code == 1
    assert stopped.stderr.splitlines() == [
        "canary: invoice of tweety for 2024-01: subtotal is expected 50.05 USD"
        " and computed 60.06 USD (3 more amounts deviate)"
    ]
    assert "tax is expected 9.51 USD and computed 11.41 USD" in stopped.stdout


def test_without_the_folder_there_is_none(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "data" / "canary").rename(tmp_path / "elsewhere")
    assert check_canary(settings, JANUARY) is None
    assert "canary" not in checked(settings).output


def test_the_month_itself_then_one_before_then_one_after(settings: Settings) -> None:
    header = "billing_month,customer_id,currency,total\n"
    rows = "".join(f"2024-{month:02},t,USD,{month}\n" for month in (2, 4))
    write(Path(settings.data_dir), "canary/expected.csv", header + rows)
    for asked, chosen in ((1, 2), (2, 2), (3, 2), (4, 4), (12, 4)):
        expected = read_expected(settings, BillingMonth(2024, asked))
        assert expected is not None
        assert expected.month == BillingMonth(2024, chosen)
        assert [row["total"] for row in expected.invoices] == [chosen]


def invoice(customer: str = "t", **amounts: str) -> Row:
    known: dict[str, Decimal | None] = dict.fromkeys(AMOUNTS)
    return {
        "customer_id": customer,
        "currency": "USD",
        **known,
        **{name: Decimal(text) for name, text in amounts.items()},
    }


def deviations(expected: list[Row], computed: list[Row]) -> list[str]:
    found = compared(Expected(JANUARY, expected, []), computed, [])
    return [text for text in found if text is not None]


def test_missing_and_unexpected_invoices_deviate() -> None:
    name = "invoice of t for 2024-01: total is"
    assert deviations([invoice(total="1.50")], []) == [
        f"{name} expected 1.50 USD and computed none"
    ]
    assert deviations([], [invoice(total="1234.5")]) == [
        f"{name} expected none and computed 1,234.50 USD"
    ]
    assert deviations([invoice(total="1.5")], [invoice(total="1.5000", tax="9")]) == []
    both = [invoice(total="1.5"), invoice("u", total="2")]
    assert deviations([invoice(total="1.5")], both) == [
        "invoice of u for 2024-01: total is expected none and computed 2.00 USD"
    ]
    # Finer than the currency: shown as it stands.
    assert deviations([invoice(total="1.505")], [invoice(total="1.51")]) == [
        f"{name} expected 1.505 USD and computed 1.51 USD"
    ]
