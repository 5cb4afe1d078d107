"""Pages of the dashboard: text from outside stays text, links lead only to Stripe's pages."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from html import escape

import pytest

from billing_pipeline.dashboard import charts, pages
from billing_pipeline.dashboard.pieces import Column, stripe_link, table_by_month
from billing_pipeline.dashboard.queries import MonthSoFar
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.month_states import MonthOverview, MonthState
from billing_pipeline.web.links import approval_url, close_url, plan_url

INVOICE: Row = {
    "billing_month": date(2024, 1, 1),
    "invoice_id": "in_1",
    "customer_id": "ada",
    "customer_name": "Ada & Co",
    "currency": "JPY",
    "total": Decimal("1234.0000"),
    "paid": Decimal("0.0000"),
    "outstanding": Decimal("1234.0000"),
    "status": "open",
    "due_date": None,
    "last_error": None,
    "number": "N<1>",
    "hosted_invoice_url": "https://invoice.stripe.com/i/1?a=1&b=2",
}


def test_names_cannot_be_markup() -> None:
    row = {"customer_id": "<script>x</script>", "name": "A & B", "currency": "USD"}
    found = MonthSoFar(date(2024, 1, 1), False, None, [{**row, "total": Decimal("10.5")}], [], [])
    text = pages.so_far_page(found).text
    assert "<script>x" not in text
    assert "10.50" in text


@pytest.mark.parametrize(
    ("url", "has_pages", "is_link"),
    [
        ("https://invoice.stripe.com/i/1?a=1&b=2", True, True),
        ("javascript:alert(1)", True, False),
        ("https://invoice.stripe.com/i/1", False, False),
        (None, True, False),
    ],
)
def test_only_pages_of_stripe_are_linked(url: str | None, has_pages: bool, is_link: bool) -> None:
    shown = stripe_link("N<1>", url, has_pages).text
    assert shown == (
        '<a href="https://invoice.stripe.com/i/1?a=1&amp;b=2" target="_blank"'
        ' rel="noreferrer">N&lt;1&gt;</a>'
        if is_link
        else "N&lt;1&gt;"
    )


def test_an_invoice_has_the_customers_name_and_links_to_its_own_page() -> None:
    cells = pages.invoice_cells(INVOICE)
    assert (cells["customer"], cells["id"]) == ("Ada & Co", "ada")
    assert ' href="?invoice=in_1#/invoice">N&lt;1&gt;</a>' in cells["invoice"].text
    assert str(cells["total"]) == "1234"


def test_amounts_are_sorted_as_numbers_and_shown_in_their_places() -> None:
    totals = ((Decimal("98"), "USD"), (Decimal("1234.5000"), "USD"), (Decimal("5000.0000"), "JPY"))
    rows = [{**INVOICE, "total": total, "currency": currency} for total, currency in totals]
    cells = [pages.invoice_cells(row) for row in rows]
    shown = [f"{total:,f}" for total in sorted(cell["total"] for cell in cells)]
    assert shown == ["98.00", "1,234.50", "5,000"]


def test_counts_have_no_places_and_quantities_only_those_that_they_need() -> None:
    row = {"customer_id": "ada", "name": "Ada", "meter_id": "m", "price_id": "p"}
    row |= {"event_count": 1300}
    cells = pages._usage_cells({**row, "quantity": Decimal("37.525000000000000000")})
    assert [f"{cells[name]:,f}" for name in ("quantity", "events")] == ["37.525", "1,300"]


def test_the_navigation_marks_the_present_page() -> None:
    text = pages.navigation("#/revenue").text
    assert text.count('aria-current="page"') == 1
    assert '<a href="#/revenue" aria-current="page">Revenue</a>' in text


def test_a_chart_shows_one_currency_with_exact_amounts_to_read() -> None:
    rows = [
        {"billing_month": date(2024, 1, 1), "currency": code, "plan": "p", "amount": amount}
        for code, amount in (("USD", Decimal("0.10")), ("JPY", Decimal("7")))
    ]
    drawn = charts.revenue_by_month(rows, "USD").to_dict()
    (data,) = drawn["datasets"].values()
    assert [row["amount"] for row in data] == ["0.10 USD"]


def test_unpaid_is_stacked_on_paid_for_each_month() -> None:
    month = {"billing_month": date(2024, 1, 1), "currency": "USD"}
    row = {**month, "paid": Decimal("7"), "outstanding": Decimal("3.50")}
    drawn = charts.paid_by_month([row, {**row, "currency": "EUR"}], "USD").to_dict()
    (data,) = drawn["datasets"].values()
    assert [(row["part"], row["amount"]) for row in data] == [
        ("paid", "7.00 USD"),
        ("unpaid", "3.50 USD"),
    ]


def test_months_add_up_and_what_waits_has_the_way_to_it() -> None:
    money = {"total": "22", "billed": "17", "outstanding": "9", "paid": "4", "credited": "1"}
    money |= {"refunded": "2"}
    row = {"billing_month": date(2024, 1, 1), "currency": "EUR", "invoices": 3}
    row |= {name: Decimal(value) for name, value in money.items()}
    january, february = BillingMonth(2024, 1), BillingMonth(2024, 2)
    overviews = [
        MonthOverview(february, MonthState.DUE),
        MonthOverview(january, MonthState.WAITS, 1, "abc"),
    ]
    sums = [row | {"settled_by_balance": Decimal("3.00")}]
    text = pages.months_page(overviews, sums, ([], []), [], "https://ui.example").text
    shown = text.replace("&quot;", '"')
    for amount in ("22.00", "17.00", "9.00", "4.00", "3.00", "1.00", "2.00"):
        assert f">{amount}<" in shown, amount
    for url in (
        approval_url("https://ui.example", january, "abc"),
        plan_url("https://ui.example", january),
        close_url("https://ui.example", february),
    ):
        assert escape(url) in text, url
    assert "billing run 2024-02" in text


def test_pages_without_data_say_so() -> None:
    nothing = MonthSoFar(None, False, None, [], [], [])
    assert "No month has been computed yet." in pages.so_far_page(nothing).text
    assert "Nothing is unpaid." in pages.revenue_page([], [], []).text


def test_each_plan_of_a_chart_has_a_colour_of_its_own_and_the_smallest_are_added_up() -> None:
    rows = [
        {"billing_month": date(2024, month, 1), "currency": "USD", "plan": f"p{number}",
         "amount": Decimal(number)}
        for month in (1, 2)
        for number in range(9)
    ]  # fmt: skip
    drawn = charts.revenue_by_month(rows, "USD").to_dict()
    scale = drawn["encoding"]["color"]["scale"]
    assert scale["domain"] == ["p3", "p4", "p5", "p6", "p7", "p8", "others"]
    assert len(set(scale["range"])) == 7
    (data,) = drawn["datasets"].values()
    others = [(row["month"], row["amount"]) for row in data if row["plan"] == "others"]
    assert others == [("2024-01", "3.00 USD"), ("2024-02", "3.00 USD")]
    assert sum(row["value"] for row in data) == 72


def test_of_many_months_the_newest_year_is_shown_and_the_others_are_folded() -> None:
    rows = [{"month": f"{2020 + n // 12}-{n % 12 + 1:02}", "n": n} for n in range(36) for _ in "ab"]
    shown, before = table_by_month([Column("month", "month")], rows)
    assert (shown.text.count("2022"), shown.text.count("2021-12")) == (24, 2)
    assert "23 months before" in before.text and before.text.count("<tr>") == 1 + 46
    assert len(table_by_month([Column("month", "month")], rows[:26])) == 1
