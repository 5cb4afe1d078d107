"""Every invariant of a month fails where it is broken: on each run, before anything is sent."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.dbt_runner import run_dbt
from billing_pipeline.settings import Settings
from tests.compiled_models import rate_month, rows_found
from tests.dbt.rated_once import MONTH, Rated

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "examples"
MONTHS = {"prepaid-wallet": "2024-01", "sample": "2024-01"}  # and subscriptions
ONE_CHARGED = "(SELECT min(charge_id) FROM charges WHERE amount > 0)"
ONE_TIERED = "(SELECT min(charge_id) FROM charge_tiers)"
ONE_INVOICE = "(SELECT min(invoice_id) FROM invoices)"

# name: the test of dbt that must fail, the example, and what breaks it
BREAKS = {
    "a line is another than the subtotal": (
        "invoice_totals_add_up",
        "subscriptions",
        "UPDATE invoice_lines SET amount = amount + 1 WHERE kind = 'charge'",
    ),
    "a discount that no line says": (
        "invoice_totals_add_up",
        "subscriptions",
        "UPDATE invoices SET discount = discount + 1, total = total - 1,"
        f" amount_due = amount_due - 1 WHERE invoice_id = {ONE_INVOICE}",
    ),
    "a total that does not add up": (
        "invoice_totals_add_up",
        "subscriptions",
        f"UPDATE invoices SET total = total + 1, amount_due = amount_due + 1"
        f" WHERE invoice_id = {ONE_INVOICE}",
    ),
    "due is not what the wallet left": (
        "invoice_totals_add_up",
        "prepaid-wallet",
        f"UPDATE invoices SET wallet_applied = wallet_applied + 1 WHERE invoice_id = {ONE_INVOICE}",
    ),
    "a tier holds more than was used": (
        "tiers_add_up_to_billable_quantity",
        "sample",
        f"UPDATE charge_tiers SET quantity = quantity + 1 WHERE charge_id = {ONE_TIERED}",
    ),
    "a quantity that nothing charges": (
        "every_due_quantity_is_charged_once",
        "subscriptions",
        f"DELETE FROM charges WHERE charge_id = {ONE_CHARGED}",
    ),
    "a quantity that is charged twice": (
        "every_due_quantity_is_charged_once",
        "subscriptions",
        f"INSERT INTO charges SELECT * FROM charges WHERE charge_id = {ONE_CHARGED}",
    ),
    "an event that is neither accepted nor rejected": (
        "every_usage_row_is_accounted_for",
        "subscriptions",
        "UPDATE usage_files SET accepted_rows = accepted_rows + 1",
    ),
    "an event that is lost on the way to a price": (
        "usage_bridge_adds_up",
        "subscriptions",
        "UPDATE event_bridge SET accepted_events = accepted_events - 1"
        " WHERE event_name = (SELECT min(event_name) FROM event_bridge)",
    ),
    "an event that is metered and charged by nothing": (
        "usage_bridge_adds_up",
        "subscriptions",
        "UPDATE metered_usage SET event_count = event_count + 1 WHERE event_count > 0",
    ),
    "a fee that is charged twice for the same time": (
        "recurring_fees_do_not_overlap",
        "subscriptions",
        "INSERT INTO rated_charges SELECT * REPLACE ('ch_again' AS charge_id) FROM rated_charges"
        " WHERE charge_id = (SELECT min(charge_id) FROM rated_charges WHERE meter_id IS NULL)",
    ),
    "a wallet that an invoice overdraws": (
        "wallets_never_go_below_zero_by_an_invoice",
        "prepaid-wallet",
        "UPDATE wallet_ledger SET balance_after = -0.01 WHERE kind = 'invoice'",
    ),
    "a balance that is no sum": (
        "wallet_balances_are_sums_of_movements",
        "prepaid-wallet",
        "UPDATE wallet_ledger SET balance_after = balance_after + 0.01 WHERE kind = 'invoice'",
    ),
    "a lot that gave more than it held": (
        "wallet_lots_are_never_overdrawn",
        "prepaid-wallet",
        "UPDATE wallet_lots SET used = used + 1, remaining = remaining - 1 WHERE used > 0",
    ),
    "a margin of what nobody is billed": (
        "margins_are_all_revenue_and_cost",
        "subscriptions",
        "UPDATE margins SET revenue = revenue + 1, margin = margin + 1 WHERE revenue > 0",
    ),
    "half a cent": (
        "amounts_have_the_currency_exponent",
        "subscriptions",
        "UPDATE invoice_lines SET amount = amount + 0.005 WHERE kind = 'tax'",
    ),
    "a line without its charge": (
        "every_line_leads_to_its_cause",
        "subscriptions",
        "UPDATE invoice_lines SET charge_id = 'ch_none' WHERE kind = 'charge'",
    ),
    "a discount without its coupon": (
        "every_line_leads_to_its_cause",
        "subscriptions",
        "UPDATE invoice_lines SET coupon_id = 'x' WHERE kind = 'discount'",
    ),
    "a tax without its rate": (
        "every_line_leads_to_its_cause",
        "subscriptions",
        "UPDATE invoice_lines SET tax_rate_id = 'x' WHERE kind = 'tax'",
    ),
}


@dataclass(frozen=True)
class Built:
    """A month as it was built, and its settings."""

    settings: Settings
    month: BillingMonth
    as_built: Path

    @property
    def warehouse(self) -> Path:
        return self.settings.warehouse_path(self.month)

    def restore(self) -> None:
        shutil.copy(self.as_built, self.warehouse)

    def change(self, sql: str) -> None:
        with duckdb.connect(str(self.warehouse)) as warehouse:
            warehouse.execute("SET TimeZone = 'UTC'")
            [[changed]] = warehouse.execute(sql).fetchall()
        assert changed > 0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, rated_subscriptions: Rated) -> dict[str, Built]:
    found = {"subscriptions": _as_built(rated_subscriptions(), MONTH)}
    for example, key in MONTHS.items():
        data = EXAMPLES.parent if example == "sample" else EXAMPLES / example
        home = str(tmp_path_factory.mktemp(example))
        settings = Settings.from_env({"BILLING_DATA_DIR": str(data), "BILLING_HOME": home})
        rate_month(settings, BillingMonth.parse(key))
        found[example] = _as_built(settings, BillingMonth.parse(key))
    return found


def _as_built(settings: Settings, month: BillingMonth) -> Built:
    copy = settings.home / "as_built.duckdb"
    shutil.copy(settings.warehouse_path(month), copy)
    return Built(settings, month, copy)


@pytest.mark.parametrize("name", BREAKS)
def test_each_broken_invariant_fails_its_test(name: str, built: dict[str, Built]) -> None:
    test, example, change = BREAKS[name]
    month = built[example]
    month.restore()
    assert rows_found(month.warehouse, test) == 0
    month.change(change)
    assert rows_found(month.warehouse, test) > 0


def test_dbt_finds_what_its_compiled_test_finds(built: dict[str, Built]) -> None:
    test, example, change = BREAKS["a total that does not add up"]
    month = built[example]
    month.restore()
    month.change(change)
    [node] = run_dbt(month.settings, month.month, ["test", "--select", test])
    assert node.name == test and node.is_failed
    assert node.failures == rows_found(month.warehouse, test)


def test_every_invariant_is_broken_once() -> None:
    tests = Path(__file__).resolve().parents[2] / "dbt_project" / "tests"
    assert {path.stem for path in tests.glob("*.sql")} == {test for test, _, _ in BREAKS.values()}
