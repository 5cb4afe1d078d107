"""Commitments over several months, worked out by hand.

What belongs here: what counts, what the last invoice fills, what goes beyond. What does not: how a
month is published (tests/unit/published): here the published database is made of rated months.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from tests.compiled_models import rate_month
from tests.dbt.inputs import Inputs, Rated, settings_of
from tests.property.calculations import redo_line

MONTHS = ("2023-12", "2024-01", "2024-02", "2024-03")
TERM = {"starts_at": "2024-01-01T00:00:00Z", "ends_at": "2024-04-01T00:00:00Z"}


def company() -> Inputs:
    inputs = Inputs()
    inputs.add("coupons", coupon_id="TENTH", percent_off="10", duration="forever")
    inputs.add("tax_rates", tax_rate_id="de", country="DE", percentage="19")
    inputs.fee("fee", "100", "50")
    inputs.fee("ahead", "100", timing="advance")
    inputs.fee("quarter", "91", interval="quarter", valid_to="2024-02-15")
    for name, plan, coupon in (
        ("fills", "fee", "TENTH"), ("beyond", "fee", ""), ("one price", "fee", ""),
        ("ahead", "ahead", ""), ("group", "fee", ""), ("branch", "fee", "TENTH"),
        ("euros", "fee", ""), ("ended", "fee", ""), ("prepaid", "fee", ""),
        ("late", "quarter", ""),
    ):  # fmt: skip
        cells = {"bill_to": "group"} if name == "branch" else {}
        inputs.add("customers", customer_id=name, currency="USD", country="DE", **cells)
        inputs.subscribe(name, plan, coupon_id=coupon)
    commit(inputs, "fills", "500")
    commit(inputs, "beyond", "200.01", overage_percent="20")
    commit(inputs, "one price", "120", price_ids="fee-2", overage_percent="10")
    commit(inputs, "ahead", "500")
    commit(inputs, "group", "1000")
    commit(inputs, "branch", "400")
    commit(inputs, "euros", "100", currency="EUR")
    # Ends a microsecond before March does: March's charges do not count, and March's invoice is the
    # last one.
    commit(inputs, "ended", "400", ends_at="2024-03-31T23:59:59.999999Z")
    commit(inputs, "prepaid", "200", kind="prepaid")
    commit(inputs, "late", "5", ends_at="2024-03-01", overage_percent="20")
    return inputs


def commit(inputs: Inputs, name: str, amount: str, **cells: str) -> None:
    row = {"kind": "true_up", "currency": "USD", **TERM, **cells}
    inputs.add("commitments", commitment_id=name, customer_id=name, amount=amount, **row)


class Year:
    """The months, each rated when those before it were published."""

    def __init__(self, directory: Path) -> None:
        company().write(directory / "data")
        self.settings = settings_of(directory)
        self.settings.published_dir.mkdir(parents=True)
        self.rated: dict[str, Rated] = {}
        for month in MONTHS:
            self.rated[month] = self.rate(month)
            self.publish(*self.rated)

    def rate(self, month: str) -> Rated:
        return Rated(rate_month(self.settings, BillingMonth.parse(month)))

    def publish(self, *months: str) -> None:
        path = self.settings.published_dir / "billing.duckdb"
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as connection:
            for month in months:
                connection.execute(f"ATTACH '{self.rated[month].warehouse}' AS m (READ_ONLY)")
                for table in ("invoices", "invoice_lines", "line_discounts", "charges"):
                    connection.execute(
                        f"CREATE TABLE IF NOT EXISTS {table} AS FROM m.main.{table} LIMIT 0"
                    )
                    connection.execute(f"INSERT INTO {table} FROM m.main.{table}")
                connection.execute("DETACH m")

    def lines(self, month: str, customer: str) -> list[tuple[str, str, str]]:
        """Kind, amount and calculation of the lines that a commitment makes."""
        rows = self.rated[month].rows("invoice_lines", customer_id=customer)
        return [
            (row["kind"], f"{row['amount']:.2f}", row["calculation"])
            for row in rows
            if row["commitment_id"]
        ]

    def amounts(self, customer: str) -> dict[str, list[tuple[str, str]]]:
        found = {month: [line[:2] for line in self.lines(month, customer)] for month in MONTHS}
        return {month: lines for month, lines in found.items() if lines}


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Year:
    return Year(tmp_path_factory.mktemp("year"))


def test_the_last_invoice_of_the_term_fills_the_rest(year: Year) -> None:
    # 3 × (150 - 15) were spent.
    assert year.lines("2024-03", "fills") == [
        ("commitment", "95.00", "committed 500; less 405 spent; rounded to 95.00 USD")
    ]
    assert year.amounts("fills") == {"2024-03": [("commitment", "95.00")]}
    # Taxed as a price without a code: 19 % of 135 + 95.
    assert year.rated["2024-03"].invoice("fills")["tax"] == Decimal("43.70")


def test_what_goes_beyond_costs_more_each_month(year: Year) -> None:
    # 150, 300, 450 of 200.01: 99.99 beyond, then 150 more.
    assert year.amounts("beyond") == {
        "2024-02": [("overage", "20.00")], "2024-03": [("overage", "30.00")],
    }  # fmt: skip
    [(_, _, text)] = year.lines("2024-02", "beyond")
    assert text == "20 % of 99.99 beyond 200.01; rounded to 20.00 USD"


def test_what_is_invoiced_after_the_term_counts_for_it(year: Year) -> None:
    # The quarter's 91 days are invoiced in March: 45 of them, until 15 February, are of the term.
    assert year.amounts("late") == {
        "2024-02": [("commitment", "5.00")], "2024-03": [("overage", "8.00")],
    }  # fmt: skip
    (balance,) = year.rated["2024-03"].rows("commitment_balances", commitment_id="late")
    assert (balance["used_amount"], balance["overage_amount"]) == (45, 40)


def test_only_the_named_prices_count(year: Year) -> None:
    assert year.amounts("one price") == {"2024-03": [("overage", "3.00")]}


def test_a_fee_in_advance_counts_by_its_service_period(year: Year) -> None:
    # January's stands on December's invoice; April's, on March's, is of another term.
    assert year.amounts("ahead") == {"2024-03": [("commitment", "200.00")]}


def test_charges_of_those_billed_to_it_count(year: Year) -> None:
    # The group's 450 and the branch's 405; the branch's own commitment counts its own.
    assert year.amounts("group") == {"2024-03": [("commitment", "145.00")]}
    assert year.amounts("branch") == {}
    march = year.rated["2024-03"]
    (invoice,) = march.rows("invoices", customer_id="group")
    assert invoice["subtotal"] == 150 + 150 + 145


def test_another_currency_does_not_count(year: Year) -> None:
    # 100 EUR are due, on an invoice in EUR of their own.
    assert year.amounts("euros") == {"2024-03": [("commitment", "100.00")]}
    march = year.rated["2024-03"]
    (invoice,) = march.rows("invoices", customer_id="euros", currency="EUR")
    assert invoice["total"] == 119


def test_a_service_period_that_ends_after_the_term_does_not_count(year: Year) -> None:
    assert year.amounts("ended") == {"2024-03": [("commitment", "100.00")]}


def test_each_calculation_leads_to_its_amount(year: Year) -> None:
    for rated in year.rated.values():
        for row in rated.rows("invoice_lines"):
            if row["commitment_id"]:
                assert redo_line(row["kind"], row["calculation"], 2) == Fraction(row["amount"])


def test_what_is_prepaid_is_a_line_without_tax_and_pays_everything_else(year: Year) -> None:
    # 150 and 19 % of it are 178.50; the line of 200 is left to be paid.
    assert year.amounts("prepaid") == {"2024-01": [("commitment", "200.00")]}
    [(_, _, text)] = year.lines("2024-01", "prepaid")
    assert text == "committed 200, paid beforehand; rounded to 200.00 USD"
    january = year.rated["2024-01"]
    invoice = january.invoice("prepaid")
    assert (invoice["total"], invoice["tax"]) == (Decimal("378.50"), Decimal("28.50"))
    assert (invoice["wallet_applied"], invoice["amount_due"]) == (Decimal("178.50"), 200)
    taxed = {row["line_id"] for row in january.rows("line_taxes")}
    [line] = [row for row in january.rows("invoice_lines", customer_id="prepaid")
              if row["kind"] == "commitment"]  # fmt: skip
    assert line["line_id"] not in taxed
    [lot] = january.rows("wallet_lots", customer_id="prepaid")
    assert (lot["used"], lot["remaining"]) == (Decimal("178.50"), Decimal("21.50"))
    [balance] = january.rows("commitment_balances", customer_id="prepaid")
    assert (balance["used_amount"], balance["remaining_amount"]) == (150, 50)


def test_balances_say_what_was_spent_and_what_is_left(year: Year) -> None:
    rows = {
        (month, row["commitment_id"]): (row["used_amount"], row["remaining_amount"])
        for month in ("2024-01", "2024-03")
        for row in year.rated[month].rows("commitment_balances")
    }
    assert rows["2024-01", "fills"] == (135, 365)
    assert rows["2024-03", "fills"] == (405, 95)
    (row,) = year.rated["2024-03"].rows("commitment_balances", commitment_id="beyond")
    assert float(row["overage_amount"]) == 249.99


def test_a_month_that_was_not_published_counts_0_and_is_named(year: Year) -> None:
    year.publish("2023-12", "2024-02")
    before, year.rated["2024-03"] = year.rated["2024-03"], year.rate("2024-03")
    assert year.lines("2024-03", "fills") == [
        (
            "commitment",
            "230.00",
            "committed 500; less 270 spent; not published, counted as 0: 2024-01; "
            "rounded to 230.00 USD",
        )
    ]
    year.rated["2024-03"] = before
