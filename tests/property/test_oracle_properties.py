"""Properties of the oracle and of generated worlds, checked by Hypothesis.

What belongs here: properties that need no pipeline. What does not: totals by hand
(test_oracle_by_hand.py).
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.intake import FOREVER, Meter, Price, Tier
from tests.property.metering import Metered
from tests.property.oracle import Result, bill
from tests.property.pricing import model_amount, price_usage
from tests.property.tables import World, merge, read, write
from tests.property.values import EXPONENTS, decimal_text, read_decimal, round_half_away
from tests.property.world_maker import Setting
from tests.property.worlds import SETTINGS, make_data_set, numbered_world, worlds, zone_of

# The same examples on every machine; `python -m tests.property` is for new ones.
few = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
many = settings(derandomize=True, deadline=None)
quantities = st.decimals(0, 200, places=3).map(Fraction)
amounts = st.decimals(0, 9, places=2).map(Fraction)


def compared(result: Result) -> list[object]:
    """Everything of a result that can be compared."""
    rejected = {(row.source_file, row.source_row): row.reasons for row in result.rejections}
    parts = (result.metered, result.charges, result.invoices, result.wallets, result.entitlements)
    return [*parts, rejected]


@few
@given(worlds())
def test_invoices_add_up(made: tuple[Setting, World]) -> None:
    setting, world = made
    result = bill(world, setting.month, setting.timezone)
    for (_, currency), invoice in result.invoices.items():
        kinds = ("charge", "minimum", "commitment", "overage", "adjustment")
        assert sum((sum(invoice.of_kind(kind)) for kind in kinds), Fraction(0)) == invoice.subtotal
        assert -sum(invoice.of_kind("discount"), Fraction(0)) == invoice.discount
        assert invoice.total == invoice.subtotal - invoice.discount + invoice.tax
        # A total below 0 is due 0: it becomes credit.
        assert invoice.amount_due + invoice.wallet_applied == max(invoice.total, 0)
        for _, _, amount in invoice.lines:
            assert (amount * 10 ** EXPONENTS[currency]).denominator == 1


@few
@given(worlds())
def test_service_periods_of_a_price_do_not_overlap(made: tuple[Setting, World]) -> None:
    setting, world = made
    result = bill(world, setting.month, setting.timezone)
    charged = [key[:4] for key in result.charges if key[4] != "credit"]
    for keys in (sorted(charged), sorted(result.metered)):
        for before, after in pairwise(keys):
            assert before[:2] != after[:2] or before[3] <= after[2]


@few
@given(worlds())
def test_a_world_reads_back_as_it_was_written(made: tuple[Setting, World]) -> None:
    setting, world = made
    with tempfile.TemporaryDirectory() as directory:
        write(world, Path(directory), zone_of(setting))
        again = read(Path(directory))
    expected = compared(bill(world, setting.month, setting.timezone))
    assert compared(bill(again, setting.month, setting.timezone)) == expected


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_worlds_do_not_touch_each_other(setting: Setting) -> None:
    alone = [numbered_world("merge", index, setting) for index in range(6)]
    together = bill(merge(alone), setting.month, setting.timezone)
    results = [bill(world, setting.month, setting.timezone) for world in alone]
    assert together.charges == {k: v for result in results for k, v in result.charges.items()}
    assert together.invoices == {k: v for result in results for k, v in result.invoices.items()}


# fmt: off
WANTED: frozenset[object] = frozenset((
    "charge", "minimum", "discount", "tax", "arrears", "advance", "credit", "up", "down",
    "half_up", "USD", "EUR", "JPY", "KWD", "malformed_row", "invalid_timestamp",
    "invalid_quantity", "quantity_out_of_range", "invalid_properties", "missing_event_id",
    "missing_customer_id", "missing_event_name", "missing_timestamp", "outside_month",
    "unknown_customer", "unknown_event_name", "negative_quantity", "conflicting_duplicate",
))
# fmt: on


@pytest.mark.slow
def test_made_up_worlds_cover_the_contract() -> None:
    """A generator that stops making something would let it go untested without a word."""
    made = [(setting, make_data_set("cover", range(30), setting)) for setting in SETTINGS]
    seen: set[object] = set()
    for setting, world in made:
        result = bill(world, setting.month, setting.timezone)
        for charge in result.charges.values():
            price = charge.price
            aggregation = price.meter.aggregation if price.meter else "recurring"
            used = charge.quantity > 0
            seen |= {charge.kind, charge.currency, price.rounding, charge.share < 1}
            seen |= {(price.model, used), (aggregation, used), ("prorate", price.prorate)}
            seen |= {("rest", price.is_rest), ("versions", len(charge.subscription.versions) > 1)}
            if price.meter is not None:
                meter, cells = price.meter, price.filter.values()
                seen |= {("bucket", meter.bucket, used), ("groups", len(meter.group_by))}
                seen |= {("rounding", meter.event_rounding is not None)}
                seen |= {("filter", type(cell).__name__) for cell in cells}
            for part in charge.tiers:
                seen.add(("tier", part.position, part.up_to == charge.billable_quantity))
        seen |= {line[0] for bill_ in result.invoices.values() for line in bill_.lines}
        seen |= {reason for row in result.rejections for reason in row.reasons}
        seen |= {bill_.wallet_applied > 0 for bill_ in result.invoices.values()}
        seen |= {bill_.tax_included > 0 for bill_ in result.invoices.values()}
        seen |= {("trial", row.is_trial) for row in result.metered.values()}
        seen |= {("negative", row.quantity < 0) for row in result.metered.values()}
    wanted = set(WANTED)
    models = "flat per_unit graduated volume package percentage graduated_percentage dynamic"
    aggregations = "count sum max latest unique_count p95 time_weighted_average counter"
    aggregations += " gauge_hours p1 p50 p90 p99"
    wanted |= {(name, True) for name in f"{models} {aggregations}".split()}
    wanted |= {("tier", position, True) for position in (1, 2, 3)}
    wanted |= {("rest", True), ("versions", True), ("bucket", "hour", True), ("groups", 2)}
    wanted |= {("bucket", "day", True), ("rounding", True), ("filter", "list"), ("filter", "dict")}
    wanted |= {True, False, ("trial", True), ("negative", True), ("prorate", True)}
    assert wanted - seen == set()


# --- charge models, a second time and another way ---------------------------------------------


def a_price(model: str, tiers: list[tuple[Fraction | None, Fraction, Fraction]]) -> Price:
    rows = [Tier(up_to, unit, flat, unit) for up_to, unit, flat in tiers]
    none = Fraction(0)
    return Price(
        price_id="p",
        plan_id="plan",
        meter=Meter("m", "e", "sum", "", False),
        currency="USD",
        model=model,
        unit_amount=none,
        flat_amount=none,
        package_size=none,
        percentage=none,
        included=none,
        rounding="none",
        minimum=None,
        maximum=None,
        filter={},
        timing="arrears",
        prorate=False,
        valid_from=-FOREVER,
        valid_to=FOREVER,
        tiers=tuple(rows),
        row={},
    )


@st.composite
def tier_lists(draw: st.DrawFn) -> list[tuple[Fraction | None, Fraction, Fraction]]:
    bounds = sorted(draw(st.sets(st.integers(1, 150), max_size=4)))
    ends = [*map(Fraction, bounds), None]
    return [(end, draw(amounts), draw(amounts)) for end in ends]


@many
@given(tier_lists(), st.integers(0, 200))
def test_graduated_unit_by_unit(tiers: Any, quantity: int) -> None:
    """Buying one unit after the other, each at the rate of the tier it falls in."""
    total = tiers[0][2]
    entered = 0
    for unit in range(1, quantity + 1):
        tier = next(i for i, row in enumerate(tiers) if row[0] is None or unit <= row[0])
        if tier > entered:
            total += sum(row[2] for row in tiers[entered + 1 : tier + 1])
            entered = tier
        total += tiers[tier][1]
    amount, parts = model_amount(a_price("graduated", tiers), Fraction(quantity), 0)
    assert amount == total
    assert sum(part.quantity for part in parts) == quantity


@many
@given(tier_lists(), quantities)
def test_volume_is_one_tier(tiers: Any, quantity: Fraction) -> None:
    _, parts = model_amount(a_price("volume", tiers), quantity, 0)
    (part,) = parts
    assert part.quantity == quantity
    assert quantity == 0 or part.from_quantity < quantity
    assert part.up_to is None or quantity <= part.up_to


@many
@given(tier_lists(), quantities, quantities)
def test_graduated_never_falls(tiers: Any, one: Fraction, other: Fraction) -> None:
    price = a_price("graduated", tiers)
    less, more = sorted((one, other))
    assert model_amount(price, less, 0)[0] <= model_amount(price, more, 0)[0]


@many
@given(quantities, amounts, amounts, st.fractions(0, 1, max_denominator=1000))
def test_bounds_hold(
    quantity: Fraction, minimum: Fraction, more: Fraction, share: Fraction
) -> None:
    price = replace(
        a_price("per_unit", []), unit_amount=Fraction(1), minimum=minimum, maximum=minimum + more
    )
    priced = price_usage(price, Metered(quantity, 0), share)
    assert minimum * share <= priced.exact <= (minimum + more) * share


@many
@given(st.fractions(-1000, 1000, max_denominator=10**9), st.integers(0, 12))
def test_rounding_is_nearest_and_away_from_zero(value: Fraction, places: int) -> None:
    rounded = round_half_away(value, places)
    half = Fraction(1, 2 * 10**places)
    assert abs(rounded - value) <= half
    assert (rounded * 10**places).denominator == 1
    assert round_half_away(-value, places) == -rounded
    if abs(rounded - value) == half:
        assert abs(rounded) > abs(value)


@many
@given(st.decimals(-(10**12), 10**12, places=18).map(Fraction))
def test_decimal_text_is_exact(value: Fraction) -> None:
    assert read_decimal(decimal_text(value)) == value
