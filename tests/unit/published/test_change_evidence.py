"""What shows why a line changed: the texts."""

from __future__ import annotations

from billing_pipeline.published.change_evidence import (
    FOLLOWS,
    ChangedLine,
    Evidence,
    account_evidence,
    causes_by_invoice,
    price_evidence,
    rows_text,
)

PRICE = '{"price_id":"p","unit_amount":0.050000000000,"valid_from":null}'
TIER = '{"price_id":"p","up_to":10.000000,"unit_amount":1.00}'
METER = '{"meter_id":"calls","event_name":"call"}'


def test_a_price_names_the_cells_that_are_others() -> None:
    other = PRICE.replace("0.050000000000", "0.070000000000")
    assert price_evidence("p", PRICE + METER, other + METER) == [
        "catalog/prices.csv p: unit_amount 0.05 → 0.07"
    ]


def test_a_tier_and_a_meter_are_named_by_their_own_files() -> None:
    tier, meter = TIER.replace("1.00", "2.00"), METER.replace('"call"', '"calls"')
    assert price_evidence("p", PRICE + TIER + METER, PRICE + tier + meter) == [
        "catalog/price_tiers.csv p up to 10: unit_amount 1 → 2",
        "catalog/meters.csv calls: event_name call → calls",
    ]
    assert price_evidence("p", PRICE, PRICE + TIER) == ["catalog/price_tiers.csv p up to 10 is new"]
    assert price_evidence("p", None, PRICE) == ["catalog/prices.csv p is new"]


def test_a_column_that_a_release_adds_is_no_difference() -> None:
    added = PRICE.replace("}", ',"tax_code":null}')
    assert price_evidence("p", PRICE, added) == ["catalog/prices.csv p"]


def test_a_subscription_names_what_changed_in_which_row() -> None:
    row = '{"subscription_id":"s","quantity":3}'
    assert account_evidence("s", row, row.replace("3", "5")) == [
        "accounts/subscriptions.csv s: quantity 3 → 5"
    ]
    assert account_evidence("s", row, row + row) == ["accounts/subscriptions.csv s is new"]


def test_rows_are_named_while_they_are_few() -> None:
    row = {"source_file": "usage/2024-01/a.csv", "first_row": 2, "last_row": 90}
    assert rows_text(row | {"some_rows": [2], "events": 1}) == "usage/2024-01/a.csv row 2"
    assert rows_text(row | {"some_rows": [2, 9], "events": 2}) == "usage/2024-01/a.csv rows 2, 9"
    assert rows_text(row | {"some_rows": [2, 3, 4, 5, 6], "events": 1200}) == (
        "usage/2024-01/a.csv rows 2 to 90 (1,200 events)"
    )


def test_an_invoice_has_the_causes_of_its_lines_but_not_what_follows_them() -> None:
    def of(cause: str) -> Evidence:
        return Evidence(cause, "")

    lines = [ChangedLine("in_1", f"l{n}") for n in range(3)]
    causes = ("late usage, price change", "late usage", FOLLOWS)
    assert causes_by_invoice(zip(lines, map(of, causes), strict=True)) == {
        "in_1": "late usage, price change"
    }
    assert causes_by_invoice([(lines[0], of(FOLLOWS))]) == {"in_1": FOLLOWS}
