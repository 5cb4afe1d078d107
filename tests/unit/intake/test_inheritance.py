"""`based_on` and `replaces`: which rows a plan has, and when; what of it is refused."""

from __future__ import annotations

from datetime import UTC, datetime

from conftest import World, fee, price


def _time(day: int) -> datetime:
    return datetime(2024, 1, day, tzinfo=UTC)


def _plans(catalog: World, *rows: dict[str, object]) -> None:
    catalog.write("catalog/plans.csv", [{"plan_id": "pro", "based_on": ""}, *rows])


def _prices_of(catalog: World, plan: str) -> list[tuple[object, ...]]:
    catalog.load_reference()
    return catalog.select(
        "select price_id, valid_from, valid_to, inherited_by from raw.plan_prices"
        f" where plan_id = '{plan}' order by 1, 2 nulls first"
    )


def test_an_inherited_price_is_displaced_while_another_is_valid(catalog: World) -> None:
    _plans(catalog, {"plan_id": "q", "based_on": "pro"}, {"plan_id": "r", "based_on": "q"})
    catalog.write(
        "catalog/prices.csv",
        [
            price(price_id="p1", valid_to="2024-01-20"),
            price(price_id="p1", valid_from="2024-01-20"),
            fee(price_id="fee"),
            price(price_id="q1", plan_id="q", replaces="p1", valid_to="2024-01-03"),
            price(price_id="q2", plan_id="q", replaces="p1", valid_from="2024-01-10",
                  valid_to="2024-01-15"),
            price(price_id="q3", plan_id="q", replaces="p1", valid_from="2024-01-12",
                  valid_to="2024-01-25"),
            price(price_id="r1", plan_id="r", replaces="q2"),
        ],
    )  # fmt: skip
    had = [
        ("fee", None, None, "q"),
        ("p1", _time(3), _time(10), "q"),
        ("p1", _time(25), None, "q"),
        ("q1", None, _time(3), None),
        ("q2", _time(10), _time(15), None),
        ("q3", _time(12), _time(25), None),
    ]
    assert _prices_of(catalog, "q") == had
    inherited = [(*row[:3], "r") for row in had if row[0] != "q2"]
    assert _prices_of(catalog, "r") == [*inherited, ("r1", None, None, None)]
    assert [row[0] for row in _prices_of(catalog, "pro")] == ["fee", "p1", "p1"]


def test_trial_and_cycle_come_from_the_nearest_plan_that_has_them(catalog: World) -> None:
    _plans(
        catalog,
        {"plan_id": "c", "based_on": "b"},
        {"plan_id": "b", "based_on": "a", "trial_days": "0"},
        {"plan_id": "a", "trial_days": "14", "billing_cycle": "anniversary"},
    )
    catalog.load_reference()
    assert catalog.select(
        "select plan_id, trial_days, billing_cycle from raw.plans order by 1"
    ) == [
        ("a", 14, "anniversary"),
        ("b", 0, "anniversary"),
        ("c", 0, "anniversary"),
        ("pro", 0, "calendar_month"),
    ]


def test_circles_and_unknown_plans_are_refused(catalog: World) -> None:
    _plans(
        catalog,
        {"plan_id": "a", "based_on": "b"},
        {"plan_id": "b", "based_on": "a"},
        {"plan_id": "c", "based_on": "c"},
        {"plan_id": "d", "based_on": "a"},
        {"plan_id": "e", "based_on": "x"},
    )
    assert catalog.problems() == [
        "catalog/plans.csv row 3, based_on: the plan is based on itself, through 'b'",
        "catalog/plans.csv row 4, based_on: the plan is based on itself, through 'a'",
        "catalog/plans.csv row 5, based_on: the plan is based on itself",
        "catalog/plans.csv row 7, based_on: 'x' is not a plan_id of catalog/plans.csv",
    ]


def test_what_a_row_replaces_must_be_inherited(catalog: World) -> None:
    _plans(catalog, {"plan_id": "q", "based_on": "pro"}, {"plan_id": "r", "based_on": "q"})
    catalog.write(
        "catalog/prices.csv",
        [
            price(price_id="p1"),
            price(price_id="p2", replaces="p1"),
            price(price_id="q1", plan_id="q", replaces="p1"),
            price(price_id="r1", plan_id="r", replaces="p1"),
        ],
    )
    feature = {"meter_id": "", "limit_quantity": ""}
    catalog.write(
        "catalog/entitlements.csv",
        [
            {"plan_id": "pro", "feature": "f", **feature},
            {"plan_id": "q", "feature": "f", **feature},
            {"plan_id": "q", "feature": "g", "replaces": "h", **feature},
            {"plan_id": "r", "feature": "f", "replaces": "f", **feature},
        ],
    )
    file = "catalog/prices.csv row"
    assert sorted(catalog.problems()) == [
        "catalog/entitlements.csv row 3, feature: plan 'pro' has it already, and 'q' is based on "
        "that one; name it in replaces too",
        "catalog/entitlements.csv row 4, replaces: 'h' is not a feature of plan 'pro', on which "
        "'q' is based",
        f"{file} 3, replaces: plan 'pro' is based on no other; leave it empty",
        f"{file} 5, replaces: 'p1' is not a price of plan 'q', on which 'r' is based",
    ]


def test_an_interval_does_not_go_with_30_days_even_if_inherited(catalog: World) -> None:
    _plans(catalog, {"plan_id": "q", "based_on": "pro", "billing_cycle": "30_days"})
    catalog.write("catalog/prices.csv", [fee(price_id="fee", interval="year")])
    assert catalog.problems() == [
        "catalog/plans.csv row 3, billing_cycle: 30_days goes with no price that has an interval, "
        "as 'fee' of plan 'pro' has"
    ]
