"""Which lines are the same, whatever they are called and however they are put together."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

from billing_pipeline.comparison.matching import match
from tests.unit.comparison.made import charge, compared, line, their

CALLS = charge("API calls: 1200", "1200 events, metered 1200; per_unit: 1200 × 0.01; exactly 12",
               meter_id="api_calls", plan_id="pro")  # fmt: skip
SEATS = charge("Team seats", "quantity 5; per_unit: 5 × 15; exactly 75", plan_id="pro")
OLD = charge("SMS: 100", "100 events, metered 100; per_unit: 100 × 0.02; exactly 2",
             price_id="sms", meter_id="sms", plan_id="comms")  # fmt: skip
NEW = charge("SMS: 40", "40 events, metered 40; per_unit: 40 × 0.025; exactly 1",
             price_id="sms-v2", meter_id="sms", plan_id="comms")  # fmt: skip
VAT = line("tax", "MwSt. 19 %", "17.10")


def pairs(ours: list, theirs: list) -> list[tuple[list[str], list[str]]]:  # type: ignore[type-arg]
    found = match(ours, theirs)
    return sorted(
        ([one.description for one in pair.ours], [one.description for one in pair.theirs])
        for pair in found.pairs
    )


def test_a_reference_names_the_line_whatever_its_text_says() -> None:
    theirs = [their("x", "75", line_reference="li_API calls: 1200"), their("Team", "12")]
    assert pairs([CALLS, SEATS], theirs) == [
        (["API calls: 1200"], ["x"]),
        (["Team seats"], ["Team"]),
    ]


def test_texts_that_differ_in_numbers_months_and_some_words() -> None:
    theirs = [their("Usage of api_calls (March)", "13.37"), their("Seats, team plan x 5", "80")]
    assert pairs([CALLS, SEATS], theirs) == [
        (["API calls: 1200"], ["Usage of api_calls (March)"]),
        (["Team seats"], ["Seats, team plan x 5"]),
    ]


def test_amounts_alone_where_texts_say_nothing() -> None:
    theirs = [their("Line 1", "75"), their("Line 2", "12.50")]
    assert pairs([CALLS, SEATS], theirs) == [
        (["API calls: 1200"], ["Line 2"]),
        (["Team seats"], ["Line 1"]),
    ]


def test_price_versions_in_one_line_and_one_line_in_tiers() -> None:
    assert compared([OLD, NEW, SEATS], [their("SMS: 140", "3"), their("Team seats", "75")]).agrees
    tiers = [their("API calls tier 1", "10"), their("API calls tier 2", "2", row=3)]
    assert compared([CALLS, SEATS], [*tiers, their("Team seats", "75", row=4)]).agrees


def test_one_line_for_a_plan_and_one_for_the_whole_invoice() -> None:
    ours = [CALLS, SEATS, OLD, NEW, VAT]
    by_plan = [their("pro", "87"), their("comms", "3", row=3), their("MwSt.", "17.10", row=4)]
    assert compared(ours, by_plan).agrees
    assert compared(ours, [their("Invoice 2024-04", "107.10")]).agrees


def test_a_total_tells_which_line_is_not_in_it() -> None:
    (one,) = compared([CALLS, SEATS, OLD, NEW], [their("Total", "15")]).differences
    assert (one.cause, one.difference) == ("missing line", D(-75))
    assert one.evidence.startswith("Team seats")


def test_something_else_is_not_taken_for_a_line_of_ours() -> None:
    found = compared([CALLS, SEATS], [their("API calls", "12"), their("Consulting", "74")])
    assert sorted(one.cause for one in found.differences) == ["extra line", "missing line"]


def test_customers_of_one_payer_stand_on_one_invoice() -> None:
    child = replace(SEATS, customer_id="ben", line_id="li_2")
    theirs = [their("Team seats", "75"), their("Team seats", "75", customer_id="ben", row=3)]
    assert compared([SEATS, child], theirs).agrees
