"""Revenue by the day, and the journal: what is posted, and that it agrees with everything else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)


class Books:
    """Published tables that a test fills."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        for month in (JANUARY, FEBRUARY):
            self.add("seller", billing_month=month, timezone="Europe/Berlin")
        for currency, places in (("EUR", 2), ("JPY", 0)):
            self.add("currencies", currency=currency, decimal_places=places)

    def add(self, table: str, **cells: Any) -> None:
        cells = {"billing_month": JANUARY, **cells}
        places = ", ".join(f"${name}" for name in cells)
        self.connection.execute(
            f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({places})", cells
        )

    def lines(self, version: int, *lines: dict[str, Any]) -> None:
        """A version of invoice `i`: lines, and the tax of a tenth that some of them bear."""
        tax = Decimal(0)
        for number, line in enumerate(lines):
            bears_tax = line.pop("vat", False)
            cells = {
                "kind": "charge",
                "is_inclusive": False,
                "discount_share": 0,
                "currency": "EUR",
                "customer_id": "c",
                "line_id": f"l{number}",
                "quantity": 1,
                **line,
            }
            self.add("lines_as_billed", invoice_id="i", version=version, **cells)
            if bears_tax:
                base = Decimal(str(cells["amount"])) - cells["discount_share"]
                self.add(
                    "line_taxes_as_billed",
                    invoice_id="i",
                    version=version,
                    line_id=cells["line_id"],
                    tax_rate_id="vat",
                    percentage=10,
                    is_inclusive=False,
                    tax_base=base,
                    tax_amount=base / 10,
                )
                tax += base / 10
        if tax:
            self.add(
                "lines_as_billed",
                invoice_id="i",
                version=version,
                line_id="tax",
                kind="tax",
                tax_rate_id="vat",
                is_inclusive=False,
                quantity=1,
                amount=tax,
                discount_share=0,
                currency="EUR",
                customer_id="c",
            )

    def invoice(
        self, name: str, total: str, issued: str, version: int | None, **cells: Any
    ) -> None:
        revision = cells.pop("revision", 1)
        held = {
            "status": "open",
            "currency": "EUR",
            "amount_remaining": total,
            "amount_paid": 0,
            "credited": 0,
            "wallet_applied": 0,
            "settled_by_balance": 0,
            "wallet_at_finalize": 0,
            **cells,
        }
        self.add(
            "stripe_invoices",
            invoice_id="i",
            customer_id="c",
            stripe_invoice_id=name,
            revision=revision,
            total=total,
            finalized_at=f"{issued} 12:00:00+00",
            **held,
        )
        self.add(
            "documents_as_billed",
            invoice_id="i",
            revision=revision,
            amount=total,
            version=version,
            kept_at=f"{issued} 12:00:00+00",
        )

    def credit(
        self, name: str, of: str, amount: str, issued: str, version: int | None = None, **cells: Any
    ) -> None:
        back = {"to_balance": 0, "refunded": 0, "outside_stripe": 0, "currency": "EUR", **cells}
        number = None if version is None else 1
        self.add(
            "credit_notes",
            invoice_id="i",
            customer_id="c",
            credit_note_id=name,
            stripe_invoice_id=of,
            amount=amount,
            issued_at=f"{issued} 12:00:00+00",
            credit_number=number,
            **back,
        )
        if version is not None:
            self.add(
                "documents_as_billed",
                invoice_id="i",
                revision=1,
                credit_number=number,
                amount=f"-{amount}",
                version=version,
                kept_at=f"{issued} 12:00:00+00",
            )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def balances(self, until: date) -> dict[str, Decimal]:
        found = self.rows(
            "SELECT account, sum(debit - credit) FROM journal"
            f" WHERE posted_on < DATE '{until}' GROUP BY 1 HAVING sum(debit - credit) <> 0"
        )
        assert sum(amount for _, amount in found) == 0
        return dict(found)

    def differences(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT billing_month, checked, currency, in_journal, published FROM journal_checks"
            " WHERE difference <> 0 ORDER BY ALL"
        )


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        home = tmp_path_factory.mktemp("home")
        declare(connection, Settings.from_env({"BILLING_HOME": str(home)}))
        yield connection


@pytest.fixture
def books(declared: duckdb.DuckDBPyConnection) -> Iterator[Books]:
    declared.begin()
    yield Books(declared)
    declared.rollback()


def period(first: str, end: str) -> dict[str, str]:
    """In Berlin: an hour before midnight UTC in winter, two in summer."""
    return {"period_start": f"{first} 00:00:00+01", "period_end": f"{end} 00:00:00+01"}


def test_a_line_is_spread_by_the_day_and_the_last_part_takes_the_rest(books: Books) -> None:
    books.lines(
        1,
        {"amount": 100, **period("2024-01-15", "2024-04-14")},  # 17, 29, 31 and 13 of 90 days
        {"amount": 25, "kind": "adjustment"},
        {"amount": 1, "currency": "EUR", **period("2024-01-31", "2024-01-31")},
    )
    books.invoice("in_1", "126", "2024-02-02", 1)
    assert books.rows(
        "SELECT line_id, strftime(recognized_month, '%m'), days, amount FROM revenue_schedule"
        " ORDER BY line_id, recognized_month"
    ) == [
        ("l0", "01", 17, Decimal("18.88")),  # 100 × 17 / 90 = 18.888…
        ("l0", "02", 29, Decimal("32.23")),  # 100 × 46 / 90 = 51.11
        ("l0", "03", 31, Decimal("34.44")),  # 100 × 77 / 90 = 85.55
        ("l0", "04", 13, Decimal("14.45")),
        ("l1", "01", 1, Decimal(25)),
        ("l2", "01", 1, Decimal(1)),
    ]
    assert books.rows(
        "SELECT strftime(billing_month, '%m'), recognized, billed, deferred, unbilled"
        " FROM revenue_balances ORDER BY billing_month"
    ) == [
        ("01", Decimal("44.88"), 0, 0, Decimal("44.88")),
        ("02", Decimal("32.23"), 126, Decimal("48.89"), 0),
        ("03", Decimal("34.44"), 0, Decimal("14.45"), 0),
        ("04", Decimal("14.45"), 0, 0, 0),
    ]


def test_a_currency_without_decimals_is_spread_in_whole_units(books: Books) -> None:
    line = {"amount": 100, "currency": "JPY", **period("2024-01-01", "2024-04-01")}
    books.lines(1, line)
    books.invoice("in_1", "100", "2024-02-02", 1, currency="JPY")
    found = books.rows("SELECT amount FROM revenue_schedule ORDER BY recognized_month")
    assert found == [(34,), (31,), (35,)]  # of 91 days 31, 29, 31


def test_an_invoice_before_and_after_it_is_issued(books: Books) -> None:
    books.lines(
        1,
        {
            "amount": 310,
            "meter_id": "calls",
            "discount_share": 10,
            "vat": True,
            "plan_id": "pro",
            **period("2024-01-01", "2024-02-01"),
        },
        {"amount": 29, "vat": True, **period("2024-02-01", "2024-03-01")},
        {"amount": -10, "kind": "discount"},
    )
    books.invoice("in_1", "361.90", "2024-02-02", 1)
    assert books.balances(FEBRUARY) == {"unbilled": 300, "revenue_usage": -300}
    assert books.balances(date(2024, 2, 3)) == {
        "receivables": Decimal("361.90"),
        "tax": Decimal("-32.90"),
        "deferred": -29,
        "revenue_usage": -300,
    }
    assert books.balances(MARCH) == {
        "receivables": Decimal("361.90"),
        "tax": Decimal("-32.90"),
        "revenue_usage": -300,
        "revenue_fees": -29,
    }
    assert books.rows(
        "SELECT account_number, account_detail, credit, contra_number FROM journal"
        " WHERE account IN ('tax', 'revenue_usage') ORDER BY 1"
    ) == [("2300", "vat", Decimal("32.90"), "1200"), ("4010", "pro", 300, "1210")]


def test_wallet_credit_refund_and_what_was_given_up(books: Books) -> None:
    """A wallet of 50 pays 30 of 110 and a card 80; 90 are credited: 80 on the balance, 10 back to
    the wallet. 5 are refunded without a credit note. A supplement of 22 is given up."""
    books.lines(1, {"amount": 100, "vat": True})
    books.lines(2, {"amount": 120, "vat": True})
    books.lines(3, {"amount": Decimal("38.20"), "vat": True})
    books.invoice(
        "in_1",
        "110",
        "2024-02-02",
        1,
        status="paid",
        amount_remaining=0,
        amount_paid=80,
        credited="89.98",
        settled_by_balance=30,
        wallet_at_finalize=30,
        wallet_applied="20.02",
    )
    books.invoice(
        "in_2",
        "22",
        "2024-02-03",
        2,
        revision=2,
        status="uncollectible",
        uncollectible_at="2024-03-05 23:30:00+00",
    )
    books.credit("cn_1", "in_1", "89.98", "2024-02-20", 3, to_balance="89.98")
    books.add(
        "invoice_payments",
        invoice_id="i",
        currency="EUR",
        billed=132,
        credited="89.98",
        outstanding=22,
        settled_by_balance=30,
        paid=80,
    )
    books.add(
        "reconciliation",
        invoice_id="i",
        currency="EUR",
        expected_wallet="20.02",
        stripe_wallet="20.02",
    )
    books.add(
        "wallet_reconciliation",
        billing_month=FEBRUARY,
        customer_id="c",
        currency="EUR",
        other_credit=80,
    )
    payment = {
        "stripe_invoice_id": "in_1",
        "invoice_id": "i",
        "customer_id": "c",
        "currency": "EUR",
        "method": "card",
    }
    books.add(
        "payments",
        payment_id="ch",
        kind="payment",
        amount=80,
        fee=2,
        fee_currency="EUR",
        paid_at="2024-02-02 12:00:00+00",
        **payment,
    )
    books.add(
        "payments",
        payment_id="re",
        kind="refund",
        amount=-5,
        paid_at="2024-02-25 12:00:00+00",
        **payment,
    )
    wallet = {"customer_id": "c", "currency": "EUR", "lot_id": "t"}
    books.add("wallet_lots", kind="top_up", **wallet)
    books.add(
        "wallet_ledger",
        movement_number=1,
        kind="top_up",
        amount=50,
        balance_after=50,
        occurred_at="2024-01-10 12:00:00+00",
        **wallet,
    )
    books.add(
        "wallet_ledger",
        movement_number=2,
        kind="invoice",
        amount="-20.02",
        balance_after="29.98",
        occurred_at="2024-01-31 23:00:00+00",
        **wallet,
    )
    books.add(
        "wallet_ledger",
        billing_month=FEBRUARY,
        movement_number=3,
        kind="expiry",
        amount="-9.98",
        balance_after=20,
        occurred_at="2024-02-10 12:00:00+00",
        **wallet,
    )
    assert books.balances(FEBRUARY) == {
        "wallet_money": 50,
        "wallets": Decimal("-29.98"),
        "wallets_applied": Decimal("-20.02"),
        "unbilled": Decimal("38.20"),
        "revenue_fees": Decimal("-38.20"),
    }
    assert books.balances(date(2024, 3, 7)) == {
        "wallet_money": 50,
        "wallets": -20,
        "wallet_expiry": Decimal("-9.98"),
        "customer_credit": -80,
        "stripe": 73,
        "payment_fees": 2,
        "refunds": 5,
        "bad_debts": 22,
        "revenue_fees": Decimal("-38.20"),
        "tax": Decimal("-3.82"),
    }
    assert books.differences() == []


def test_a_credit_by_hand_has_the_tax_that_its_document_shows(books: Books) -> None:
    """10.01 of 160.00, of which 110.00 are taxed: 6.88 of these contain 0.63; as in tax_groups."""
    books.lines(1, {"amount": 100, "vat": True}, {"amount": 50})
    books.invoice("in_1", "160", "2024-02-02", 1)
    books.credit("cn_1", "in_1", "10.01", "2024-03-04")
    found = "SELECT account, debit FROM journal WHERE document_id = 'cn_1' AND debit > 0 ORDER BY 1"
    assert books.rows(found) == [
        ("deferred", Decimal("9.38")),  # on the day of its issue, and earned at the month's end
        ("revenue_adjustments", Decimal("9.38")),
        ("tax", Decimal("0.63")),
    ]
    assert books.balances(date(2024, 4, 1))["receivables"] == Decimal("149.99")


def test_a_tax_that_prices_contain_is_no_revenue(books: Books) -> None:
    line = {"kind": "charge", "currency": "EUR", "quantity": 1, "customer_id": "c", "version": 1,
            "invoice_id": "i", "discount_share": 0}  # fmt: skip
    books.add("lines_as_billed", line_id="l", amount=120, is_inclusive=False, **line)
    books.add("lines_as_billed", line_id="t", amount=20, is_inclusive=True, tax_rate_id="gst",
              **{**line, "kind": "tax"})  # fmt: skip
    books.add("line_taxes_as_billed", invoice_id="i", version=1, line_id="l", tax_rate_id="gst",
              percentage=20, is_inclusive=True, tax_base=120, tax_amount=20)  # fmt: skip
    books.invoice("in_1", "120", "2024-01-31", 1)
    assert books.balances(FEBRUARY) == {"receivables": 120, "tax": -20, "revenue_fees": -100}


def test_void_is_owed_by_nobody_and_a_prepaid_commitment_is_credit(books: Books) -> None:
    books.add("commitment_balances", commitment_id="k", kind="prepaid")
    books.lines(1, {"amount": 500, "kind": "commitment", "commitment_id": "k"})
    books.invoice("in_0", "500", "2024-01-09", 1, status="void")
    books.invoice("in_1", "500", "2024-01-10", 1, revision=2)
    books.add("wallet_ledger", customer_id="c", currency="EUR", lot_id="billing_commitment:k",
              movement_number=1, kind="commitment", amount=500, balance_after=500,
              occurred_at="2024-01-01 00:00:00+01")  # fmt: skip
    assert books.balances(FEBRUARY) == {"receivables": 500, "wallets": -500}
    assert books.rows("SELECT count(*) FROM revenue_schedule") == [(0,)]


def test_accounts_have_the_numbers_of_the_newest_month(books: Books) -> None:
    books.lines(1, {"amount": 100, "vat": True, "plan_id": "pro"})
    books.invoice("in_1", "110", "2024-01-31", 1)
    numbers = [(JANUARY, "tax", None, "1"), (FEBRUARY, "tax", None, "2"),
               (FEBRUARY, "tax", "vat", "3"), (FEBRUARY, "revenue_fees", "basic", "4")]  # fmt: skip
    for month, account, detail, number in numbers:
        books.add("book_accounts", billing_month=month, account=account, detail=detail,
                  number=number, name=None)  # fmt: skip
    found = books.rows("SELECT DISTINCT account, account_number FROM journal ORDER BY 1")
    assert found == [
        ("deferred", "2100"), ("receivables", "1200"), ("revenue_fees", "4000"), ("tax", "3"),
    ]  # fmt: skip
