"""Rules of meters, prices, plans and accounts that meet in one month, worked out by hand; the
oracle must agree.

What belongs here: what comes of two or more rules together. What does not: each rule by itself,
which has a module of its own beside this one.

All is April 2024 in UTC: 30 days.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.dbt.price_books import PriceBook
from tests.property.harness import Tables, compare
from tests.property.oracle import bill
from tests.property.tables import read

FIRST, MIDDLE, NEXT = "2024-04-01", "2024-04-16", "2024-05-01"


def company() -> PriceBook:
    book = PriceBook()
    for part in (
        gauges,
        counters,
        groups,
        periods,
        seats,
        filters,
        contracts,
        coupons,
        wallets,
        payers,
    ):
        part(book)
    return book


def plan(book: PriceBook, name: str, fee: object = None, **cells: object) -> None:
    book.add("catalog/plans", plan_id=name, name=name, **cells)
    if fee is not None:
        book.price(name, f"{name}-fee", "", charge_model="flat", flat_amount=fee)


def gauges(book: PriceBook) -> None:
    """A trial of three days, a new price on the 11th, another plan on the 21st."""
    book.meter("desks", "max", carry_forward="true")
    book.meter("disk", "time_weighted_average", carry_forward="true")
    plan(book, "gauges")
    plan(book, "more gauges")
    book.price("gauges", "desk", "desks", unit_amount="30", valid_to="2024-04-11")
    book.price("gauges", "desk", "desks", unit_amount="60", valid_from="2024-04-11",
               maximum_amount="270")  # fmt: skip
    book.price("more gauges", "better desk", "desks", unit_amount="90", minimum_amount="900")
    book.price("gauges", "disk", "disk", unit_amount="3", included_quantity="10")
    cells = {"trial_ends_at": "2024-04-04"}
    book.customer("gauges", "gauges", starts_at=FIRST, ends_at="2024-04-21", **cells)
    book.subscribe("gauges", "gauges", "more gauges", starts_at="2024-04-21", **cells)
    book.use("gauges", "desks", 5, "2024-04-02")
    book.use("gauges", "desks", 2, "2024-04-15")
    book.use("gauges", "disk", 40, FIRST)
    book.use("gauges", "disk", 100, MIDDLE)


def counters(book: PriceBook) -> None:
    """Readings of three devices, in another order than they came in; `None` has no device."""
    book.meter("total", "counter", group_by="device", property="read")
    plan(book, "counter")
    book.price("counter", "total", "total")
    book.customer("counter", "counter")
    readings: dict[str | None, list[tuple[str, object]]] = {
        "a": [("2024-03-30", 100), ("2024-03-10", 40), ("2024-04-10", 30), ("2024-04-02", 150),
              ("2024-04-05", None), ("2024-04-08", 170), ("2024-04-30", 20)],
        "b": [("2024-04-06", 9), ("2024-04-05", 7)],
        None: [("2024-02-28", 50), ("2024-04-03", 60)],
    }  # fmt: skip
    for device, rows in readings.items():
        for at, value in rows:
            given = {"device": device, "read": value}
            properties = {name: cell for name, cell in given.items() if cell is not None}
            book.use("counter", "total", "", at, properties=properties)


def groups(book: PriceBook) -> None:
    book.meter("held", "latest", group_by="volume;zone", carry_forward="true")
    book.meter("daily", "max", bucket="day", carry_forward="true")
    book.meter("rare", "p99")
    book.meter("rounded", "latest", event_rounding="60")
    plan(book, "groups")
    book.price("groups", "held", "held", prorate="false")
    book.price("groups", "daily", "daily")
    book.price("groups", "rare", "rare")
    book.price("groups", "rounded", "rounded")
    book.customer("groups", "groups")
    for quantity, at, properties in (
        (100, "2024-04-02", {"volume": "x", "zone": None}),
        (300, "2024-04-03", {"volume": "x"}),
        (5, "2024-04-03", {"volume": None, "zone": "1"}),
        (7, "2024-03-03", {"volume": "null"}),
    ):
        book.use("groups", "held", quantity, at, properties=properties)
    book.use("groups", "daily", 4, "2024-04-10T12:00:00")
    book.use("groups", "daily", 1, "2024-04-12T12:00:00")
    book.use("groups", "rounded", 61, "2024-04-10")
    book.add("accounts/usage_corrections", correction_id="misread", customer_id="groups",
             event_name="rounded", occurred_at="2024-04-11", quantity=75, reason="misread",
             author="ops")  # fmt: skip
    book.use("groups", "rare", 42, "2024-04-30T23:59:59.999999")


def periods(book: PriceBook) -> None:
    """A quarter of an anniversary from 31 January ends on 30 April."""
    book.meter("calls")
    plan(book, "quarters", billing_cycle="anniversary")
    quarter = {"interval": "quarter"}
    flat = {"charge_model": "flat", **quarter}
    book.price("quarters", "quarter", "", flat_amount="90", **flat)
    book.price("quarters", "calls", "calls", included_quantity="100", **quarter)
    book.price("quarters", "ahead", "", flat_amount="300", timing="advance", **flat)
    book.customer("quarters", "quarters", starts_at="2024-01-31")
    for at in ("2024-01-31", "2024-03-31", "2024-04-29T23:59:59", "2024-04-30"):
        book.use("quarters", "calls", 80, at)

    # A new price inside a quarter that was paid for, and an anniversary on the 20th
    plan(book, "kept")
    for amount, cells in (
        ("90", {"valid_to": "2024-05-10"}),
        ("120", {"valid_from": "2024-05-10"}),
    ):
        book.price("kept", "kept", "", flat_amount=amount, timing="advance", **flat, **cells)
    book.customer("kept", "kept", starts_at=FIRST)
    plan(book, "twentieth", 31, billing_cycle="anniversary")
    book.customer("twentieth", "twentieth", starts_at="2024-03-20")
    # Seats that change with May are settled on May's invoice
    plan(book, "ahead")
    book.price("ahead", "seat ahead", "", unit_amount="30", timing="advance", **quarter)
    book.customer("ahead", "ahead", quantity=3, ends_at=NEXT)
    book.subscribe("ahead", "ahead", "ahead", quantity=5, starts_at=NEXT)
    book.customer("inside", "ahead", quantity=3, ends_at=FIRST)
    book.subscribe("inside", "inside", "ahead", quantity=5, starts_at=FIRST, ends_at=MIDDLE)
    book.subscribe("inside", "inside", "ahead", quantity=3, starts_at=MIDDLE)


def seats(book: PriceBook) -> None:
    plan(book, "seats")
    book.price("seats", "seat calls", "calls", included_quantity="10", included_per="seat")
    book.price("seats", "seat", "", unit_amount="10")
    book.customer("seats", "seats", quantity=3, ends_at=MIDDLE)
    book.subscribe("seats", "seats", "seats", quantity=5, starts_at=MIDDLE)
    book.use("seats", "calls", 60, "2024-04-20")


def filters(book: PriceBook) -> None:
    book.meter("requests")
    plan(book, "filters")
    rest = {"filter_rest": "true"}
    for name, amount, cells in (
        ("europe", "2", {"filter": {"region": ["eu", "uk"]}}),
        ("big", "100", {"filter": {"size": {"above": "10"}}}),
        ("soon", "1", {"filter": {"region": "us"}, "valid_from": "2024-04-20"}),
        ("rest", "1", rest),
        ("tested rest", "1000", {**rest, "filter": {"test": "yes"}}),
    ):
        book.price("filters", name, "requests", unit_amount=amount, **cells)
    book.customer("filters", "filters")
    for properties in (
        {"region": "eu"},
        {"region": "uk", "size": "11"},
        {"region": "us"},
        {"region": "us", "test": "yes"},
        {"size": 10},
        {"region": None},
    ):
        book.use("filters", "requests", 1, "2024-04-10", properties=properties)


def contracts(book: PriceBook) -> None:
    """A price that is replaced twice; the later time stands first."""
    plan(book, "list")
    plan(book, "contract", based_on="list")
    book.price("list", "listed", "calls")
    for amount, valid_from, valid_to in (("10", "2024-04-20", "2024-04-25"),
                                         ("100", "2024-04-05", "2024-04-10")):  # fmt: skip
        book.price("contract", "agreed", "calls", unit_amount=amount, replaces="listed",
                   valid_from=valid_from, valid_to=valid_to)  # fmt: skip
    book.customer("contract", "contract")
    for day in ("02", "07", "15", "22", "27"):
        book.use("contract", "calls", 1, f"2024-04-{day}")


def coupons(book: PriceBook) -> None:
    book.add("catalog/coupons", coupon_id="Z", percent_off="50", duration="forever",
             price_ids="two-a;two-b")  # fmt: skip
    book.add("catalog/coupons", coupon_id="M", amount_off="30", currency="USD", duration="once")
    book.add("catalog/coupons", coupon_id="A", percent_off="10", duration="repeating",
             duration_in_months="4")  # fmt: skip
    plan(book, "two")
    for name, amount in (("a", 40), ("b", 60), ("c", 100)):
        book.price("two", f"two-{name}", "", charge_model="flat", flat_amount=amount)
    for name, starts_at in (("new", FIRST), ("fourth month", "2024-01-01"),
                            ("fifth month", "2023-12-01")):  # fmt: skip
        book.customer(name, "two", coupon_id="Z;M;A", starts_at=starts_at)


def wallets(book: PriceBook) -> None:
    plan(book, "wallet", 100)
    for name in ("lots", "owed"):
        book.customer(name, "wallet", starts_at=FIRST)
    for number, (customer, amount, at, expires_at, priority) in enumerate((
        ("lots", 50, "2024-03-01", NEXT, ""),
        ("lots", 30, "2024-03-02", "", "1"),
        ("lots", 40, "2024-03-03", "2024-04-30", "-1"),
        ("lots", 60, "2024-03-04", "2024-06-01", ""),
        ("lots", 70, "2024-04-30T23:59:59", "", ""),
        ("owed", -15, "2024-03-01", "", ""),
        ("owed", 40, "2024-03-02", "", ""),
    )):  # fmt: skip
        kind = "top_up" if amount > 0 else "expiry"
        book.add("accounts/wallet_transactions", transaction_id=f"lot-{number}",
                 customer_id=customer, amount=amount, currency="USD", occurred_at=at, kind=kind,
                 expires_at=expires_at, priority=priority)  # fmt: skip


def payers(book: PriceBook) -> None:
    for rate, cells in {
        "de": {"country": "DE", "percentage": "19"},
        "us": {"country": "US", "percentage": "5"},
        "ny": {"country": "US", "percentage": "4", "region": "NY"},
        "ny-saas": {"country": "US", "percentage": "8", "region": "NY", "tax_code": "saas"},
    }.items():
        book.add("catalog/tax_rates", tax_rate_id=rate, inclusive="false", description=rate,
                 **cells)  # fmt: skip
    book.rows["catalog/tax_rates"][0]["valid_from"] = FIRST
    book.add("catalog/tax_rates", tax_rate_id="de", country="DE", percentage="16",
             inclusive="false", valid_to=FIRST)  # fmt: skip
    plan(book, "saas")
    book.price("saas", "saas", "", charge_model="flat", flat_amount="100", tax_code="saas")
    plan(book, "small", 60)
    plan(book, "large", 120)

    def customer(name: str, *rows: dict[str, object]) -> None:
        for row in rows:
            book.add("accounts/customers", customer_id=name, **{"currency": "USD", **row})

    customer("parent", {"country": "DE", "currency": "EUR"})
    customer("child", {"country": "US", "bill_to": "parent"},
             {"country": "US", "valid_from": NEXT})  # fmt: skip
    customer("mover", {"country": "DE", "tax_exempt": "true"},
             {"country": "US", "region": "NY", "valid_from": "2024-04-15"},
             {"country": "DE", "tax_exempt": "true", "valid_from": NEXT})  # fmt: skip
    for name in ("parent", "child", "mover"):
        book.subscribe(name, name, "saas")
    book.add("accounts/adjustments", adjustment_id="sorry", customer_id="mover", amount="-20",
             currency="USD", occurred_at="2024-04-30T23:59:59", description="Goodwill")  # fmt: skip

    customer("holding", {})
    customer("member", {"bill_to": "holding"})
    book.subscribe("member", "member", "small", ends_at=MIDDLE, coupon_id="A", starts_at=FIRST)
    book.subscribe("member", "member", "large", starts_at=MIDDLE, coupon_id="A")
    for name, price_ids in (("all", ""), ("fees", "small-fee;large-fee")):
        book.add("accounts/commitments", commitment_id=name, customer_id="holding", amount="500",
                 currency="USD", starts_at=FIRST, ends_at=NEXT, kind="true_up",
                 price_ids=price_ids)  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    directory: Path = tmp_path_factory.mktemp("combinations")
    found = company().rate(directory, "2024-04")
    differences = compare(found, bill(directory, "2024-04"), read(directory))
    assert not differences, "\n".join(map(str, differences))
    return found


def charges(tables: Tables, name: str) -> list[tuple[object, ...]]:
    """Price, first and last day of the service period, amount."""
    return sorted(
        (row["price_id"], f"{row['period_start']:%m-%d}", f"{row['period_end']:%m-%d}",
         row["amount"])
        for row in tables["charges"]
        if row["customer_id"] == name
    )  # fmt: skip


def amounts(tables: Tables, name: str) -> dict[object, object]:
    return {row["price_id"]: row["amount"] for row in tables["charges"]
            if row["customer_id"] == name}  # fmt: skip


def lines(tables: Tables, name: str, kind: str) -> list[Any]:
    return sorted(row["amount"] for row in tables["invoice_lines"]
                  if (row["customer_id"], row["kind"]) == (name, kind))  # fmt: skip


def test_each_part_of_a_gauge_is_charged_by_its_share(tables: Tables) -> None:
    """5 × 30 × 7/30; 5 × 60, at most 270, × 10/30; the last value, 2 × 90, at least 900, × 10/30.
    40 GB for 12 days and 100 for 5, less 10: 47.647… × 3 × 17/30."""
    assert charges(tables, "gauges") == [
        ("better desk", "04-21", "05-01", 300),
        ("desk", "04-04", "04-11", 35),
        ("desk", "04-11", "04-21", 90),
        ("disk", "04-04", "04-21", 81),
    ]


def test_a_counter_goes_on_over_months_restarts_and_unreadable_readings(tables: Tables) -> None:
    """a: 50 and 20, then from 0 again 30 and 20; b: 2; without a device: 10."""
    assert amounts(tables, "counter") == {"total": 132}


def test_groups_and_buckets_carry_their_values(tables: Tables) -> None:
    """A null is a missing property: 300 + 5, and 7 of March. Days: 4 on the 10th, 11th and, as the
    day began with it, the 12th; then 1 on each of 18 days. A correction is not rounded up."""
    found = amounts(tables, "groups")
    assert found == {"held": 312, "daily": 30, "rare": 42, "rounded": 75}


def test_a_quarter_of_an_anniversary_on_the_31st(tables: Tables) -> None:
    """240 calls before 30 April. The next quarter's fee in advance stood on March's invoice."""
    assert charges(tables, "quarters") == [
        ("calls", "01-31", "04-30", 140),
        ("quarter", "01-31", "04-30", 90),
    ]


def test_a_fee_in_advance_keeps_the_price_of_its_periods_first_instant(tables: Tables) -> None:
    assert charges(tables, "kept") == [("kept", "04-01", "07-01", 90)]
    assert charges(tables, "twentieth") == [("twentieth-fee", "03-20", "04-20", 31)]


def test_seats_of_a_quarter_in_advance_are_settled_in_the_month_of_the_change(
    tables: Tables,
) -> None:
    """March's invoice charged the quarter of 91 days at 5 seats: 76 of them are given back, and
    charged at 3."""
    assert charges(tables, "ahead") == []
    assert charges(tables, "inside") == [
        ("seat ahead", "04-16", "07-01", Decimal("-125.27")),
        ("seat ahead", "04-16", "07-01", Decimal("75.16")),
    ]


def test_what_is_included_follows_the_average_of_the_seats(tables: Tables) -> None:
    assert charges(tables, "seats") == [
        ("seat", "04-01", "04-16", 15),
        ("seat", "04-16", "05-01", 25),
        ("seat calls", "04-01", "05-01", 20),
    ]


def test_the_rest_is_what_no_valid_filter_is_for(tables: Tables) -> None:
    assert amounts(tables, "filters") == {
        "europe": 4, "big": 100, "soon": 0, "rest": 4, "tested rest": 1000,
    }  # fmt: skip


def test_a_price_comes_back_whenever_it_is_not_replaced(tables: Tables) -> None:
    assert charges(tables, "contract") == [
        ("agreed", "04-05", "04-10", 100),
        ("agreed", "04-20", "04-25", 10),
        ("listed", "04-01", "04-05", 1),
        ("listed", "04-10", "04-20", 1),
        ("listed", "04-25", "05-01", 1),
    ]


def test_coupons_of_a_subscription_follow_one_another(tables: Tables) -> None:
    """Half of 100; 30, in the first month only; a tenth of what is left, for four months."""
    assert lines(tables, "new", "discount") == [-50, -30, -12]
    assert lines(tables, "fourth month", "discount") == [-50, -15]
    assert lines(tables, "fifth month", "discount") == [-50]


def test_lots_pay_in_their_order_and_what_was_owed_first(tables: Tables) -> None:
    """Of 40 that were put in, 15 were owed and 25 pay."""
    used = {row["lot_id"]: row["used"] for row in tables["wallet_lots"] if row["used"]}
    assert used == {"lot-1": 30, "lot-0": 50, "lot-3": 20, "lot-6": 40}
    applied = {row["customer_id"]: row["wallet_applied"] for row in tables["invoices"]}
    assert (applied["lots"], applied["owed"]) == (100, 25)


def test_the_payer_of_the_month_is_taxed_where_the_payer_is(tables: Tables) -> None:
    """19 % in two currencies. In New York 8 % instead of 4 % for the code, 5 % for all."""
    due = {(row["customer_id"], row["currency"]): row["tax"] for row in tables["invoices"]}
    assert (due["parent", "EUR"], due["parent", "USD"]) == (19, 19)
    assert ("child", "USD") not in due
    assert lines(tables, "mover", "tax") == [Decimal("-0.8"), 4, 8]


def test_a_commitment_counts_both_plans_of_a_customer_billed_to_it(tables: Tables) -> None:
    """30 and 60, less a tenth: 81 of 500, by price or in all."""
    assert lines(tables, "holding", "commitment") == [419, 419]
