"""Rules of the price book that need more than one cell.

What belongs here: one small function for each rule, from tables to problems. What does not: rules
of accounts (account_rules.py), the price models themselves (dbt).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from billing_pipeline.intake.problems import Problem, shown
from billing_pipeline.intake.reference.dbt_vars import (
    AGGREGATION_KINDS,
    AGGREGATIONS,
    CHARGE_MODELS,
)
from billing_pipeline.intake.reference.filters import Filter
from billing_pipeline.intake.reference.rows import LoadedTable, Row
from billing_pipeline.intake.reference.schemas import OTHER_SOURCE, PLACEHOLDERS

_EVENT_TERMS = ("event_minimum_amount", "event_maximum_amount", "free_events")
_AMOUNTS = ("unit_amount", "flat_amount", "package_size", "percentage", *_EVENT_TERMS)
# The limit within which each event's bound is computed (dbt_project/macros/event_bounds.sql).
_MAX_EVENT_PERCENTAGE = Decimal(10**6)
# Multiplied by seats of 15 digits and 18 places, this stays exact (macro exact_times_quantity).
_MAX_PER_SEAT, _PER_SEAT_PLACES = Decimal(10**9), 9
_TIER_RATES = ("unit_amount", "percentage")
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


def meter_problems(meters: LoadedTable, custom_meters: frozenset[str]) -> Iterator[Problem]:
    for row in meters.rows:
        if "aggregation" in row.bad:
            continue
        aggregation = row["aggregation"]
        if row["carry_forward"] and not AGGREGATIONS[str(aggregation)].carries_forward:
            yield row.problem(
                "carry_forward",
                f"{aggregation} meters cannot carry values forward; "
                f"allowed with: {_kinds('carries_forward')}",
            )
        yield from _splitting_problems(row, str(aggregation))
        if aggregation == "custom":
            if row.has("meter_id") and row["meter_id"] not in custom_meters:
                models = ", ".join(sorted(custom_meters)) or "there are none yet"
                yield row.problem(
                    "aggregation",
                    "a custom meter needs a dbt model of its name under models/metering/custom/; "
                    f"there: {models}",
                )
        elif not row.has("event_name") and "event_name" not in row.bad:
            yield row.problem("event_name", "is empty; only custom meters may do without")


def _splitting_problems(row: Row, aggregation: str) -> Iterator[Problem]:
    """Problems of `group_by`, `bucket` and `event_rounding`."""
    known = AGGREGATIONS[aggregation]
    if row.has("group_by"):
        names = [name.strip() for name in str(row["group_by"]).split(";")]
        if aggregation == "custom":
            yield row.problem("group_by", "custom meters group in their own SQL; leave it empty")
        elif not all(names):
            yield row.problem("group_by", "names no property beside a `;`")
        elif len(set(names)) < len(names):
            yield row.problem("group_by", "names a property twice")
    if row.has("bucket") and not known.by_bucket:
        yield row.problem(
            "bucket",
            f"{aggregation} meters have no buckets; allowed with: {_kinds('by_bucket')}",
        )
    if row.has("event_rounding") and not known.reads_numbers:
        yield row.problem(
            "event_rounding",
            f"{aggregation} meters read no numbers to round; "
            f"allowed with: {_kinds('reads_numbers')}",
        )


def _kinds(trait: str) -> str:
    """The aggregations with a trait, as a list for a message."""
    return ", ".join(
        "p1 to p99" if kind == "percentile" else kind
        for kind, known in AGGREGATION_KINDS.items()
        if getattr(known, trait)
    )


def window_problems(table: LoadedTable) -> Iterator[Problem]:
    """valid_to at or before valid_from."""
    for row in table.rows:
        if row.has("valid_from", "valid_to") and _valid_to(row) <= _valid_from(row):
            yield row.problem("valid_to", "must be later than valid_from")


def source_problems(sources: LoadedTable) -> Iterator[Problem]:
    """A source with the name that is reserved for files that match no pattern."""
    for row in sources.rows:
        if row.has("source") and row["source"] == OTHER_SOURCE:
            message = f"{OTHER_SOURCE} is the source of files that match no pattern"
            yield row.problem("source", message)


def price_problems(prices: LoadedTable, meters: LoadedTable) -> Iterator[Problem]:
    """All rules that concern one price and its meter."""
    aggregations = dict(zip(meters.values["meter_id"], meters.values["aggregation"], strict=True))
    for row in prices.rows:
        yield from _model_problems(row)
        yield from _bounds_problems(row)
        yield from _event_problems(row, aggregations)
        yield from _seat_problems(row)
        yield from _filter_problems(row)
        yield from _rest_problems(row)
        yield from _description_problems(row)


def cost_problems(costs: LoadedTable) -> Iterator[Problem]:
    """What a cost cannot have: a plan or a tax."""
    for row in costs.rows:
        if row.has("replaces"):
            yield row.problem("replaces", "costs are of no plan and replace none; leave it empty")
        if row.has("tax_code"):
            yield row.problem("tax_code", "costs are not taxed; leave it empty")


def _model_problems(row: Row) -> Iterator[Problem]:
    if "charge_model" in row.bad:
        return
    name = str(row["charge_model"])
    model = CHARGE_MODELS[name]
    recurring = not row.has("meter_id") and "meter_id" not in row.bad
    for column in model.needs:
        if not row.has(column) and column not in row.bad:
            yield row.problem(column, f"is empty; charge model {name} needs it")
    for column in _AMOUNTS:
        # A 0 means the same as an empty cell; anything else was meant to be charged.
        if column not in (*model.needs, *model.may_use) and row[column]:
            yield row.problem(column, f"charge model {name} does not use it; leave it empty")
    if recurring and model.usage_only:
        yield row.problem("meter_id", f"is empty; charge model {name} needs a meter")
    if row["timing"] == "advance" and not recurring and row.has("meter_id"):
        yield row.problem(
            "timing", "'advance' is for recurring fees (without a meter_id); usage is in arrears"
        )


def _bounds_problems(row: Row) -> Iterator[Problem]:
    if row.has("minimum_amount", "maximum_amount"):
        minimum, maximum = row["minimum_amount"], row["maximum_amount"]
        assert isinstance(minimum, Decimal)
        assert isinstance(maximum, Decimal)
        if minimum > maximum:
            yield row.problem("minimum_amount", f"is above maximum_amount ({maximum:f})")


def _event_problems(row: Row, aggregations: Mapping[object, object]) -> Iterator[Problem]:
    """Prices that charge by the event: only a sum has an amount for each event, and nothing may be
    deducted or rounded in between."""
    used = [column for column in _EVENT_TERMS if row[column]]
    if not used or row["charge_model"] != "percentage":
        return
    term = used[0]
    aggregation = aggregations.get(row["meter_id"])
    if aggregation not in (None, "sum"):
        yield row.problem(term, f"needs a sum meter; {row['meter_id']} is a {aggregation} meter")
    if row["included_quantity"]:
        yield row.problem("included_quantity", f"does not go with {term}: use free_events")
    if row["quantity_rounding"] not in (None, "none"):
        yield row.problem("quantity_rounding", f"does not go with {term}")
    minimum, maximum = row["event_minimum_amount"], row["event_maximum_amount"]
    if isinstance(minimum, Decimal) and isinstance(maximum, Decimal) and minimum > maximum:
        yield row.problem("event_minimum_amount", f"is above event_maximum_amount ({maximum:f})")
    percentage = row["percentage"]
    if isinstance(percentage, Decimal) and percentage > _MAX_EVENT_PERCENTAGE:
        yield row.problem("percentage", f"may be up to {_MAX_EVENT_PERCENTAGE:,} with {term}")


def _seat_problems(row: Row) -> Iterator[Problem]:
    if not row.has("included_per"):
        return
    included = row["included_quantity"]
    if included is None and "included_quantity" not in row.bad:
        yield row.problem("included_quantity", "is empty; included_per says what it is times")
    if not row.has("meter_id") and "meter_id" not in row.bad:
        yield row.problem("included_per", "needs a meter_id: a fee's quantity is the seats already")
    if isinstance(included, Decimal) and (
        included >= _MAX_PER_SEAT or included != round(included, _PER_SEAT_PLACES)
    ):
        yield row.problem(
            "included_quantity",
            f"with included_per it must be below {_MAX_PER_SEAT:,} and have up to "
            f"{_PER_SEAT_PLACES} decimal places",
        )


def _filter_problems(row: Row) -> Iterator[Problem]:
    if not row.has("filter"):
        return
    if not row.has("meter_id") and "meter_id" not in row.bad:
        yield row.problem(
            "filter", "needs a meter_id: a recurring fee has no events to choose from"
        )
    filters = Filter.of(str(row["filter"]))
    if not filters.conditions:
        yield row.problem("filter", "is an empty object; leave the cell empty to count every event")
    for fault in filters.faults():
        yield row.problem("filter", fault)


def _rest_problems(row: Row) -> Iterator[Problem]:
    if row["filter_rest"] and not row.has("meter_id") and "meter_id" not in row.bad:
        yield row.problem("filter_rest", "needs a meter_id: a recurring fee has no events")


def _description_problems(row: Row) -> Iterator[Problem]:
    if not row.has("description"):
        return
    text = str(row["description"])
    for found in dict.fromkeys(re.findall(r"\{[^{}]*\}?|\}", _without_placeholders(text))):
        yield row.problem(
            "description",
            f"{shown(found)} is not a placeholder; allowed: {', '.join(PLACEHOLDERS)}",
        )


def _without_placeholders(text: str) -> str:
    for placeholder in PLACEHOLDERS:
        text = text.replace(placeholder, "")
    return text


def version_problems(table: LoadedTable, name: str = "price_id") -> Iterator[Problem]:
    """Versions of one price_id, or of one id in the column `name`, that are valid at the same
    time."""
    versions: dict[object, list[Row]] = defaultdict(list)
    for row in table.rows:
        if row.has(name) and not row.bad & {"valid_from", "valid_to"}:
            versions[row[name]].append(row)
    for rows in versions.values():
        rows.sort(key=lambda row: (_valid_from(row), row.number))
        # The version that ends last so far, not just the previous one: it may cover several.
        longest = rows[0]
        for row in rows[1:]:
            same_start = _valid_from(row) == _valid_from(longest)  # a repeated key, reported there
            if _valid_from(row) < _valid_to(longest) and not same_start:
                yield row.problem(
                    "valid_from",
                    f"overlaps with row {longest.number}, a version of the same {name}; "
                    "end that one (valid_to) where this one begins",
                )
            longest = max(longest, row, key=_valid_to)


def _valid_from(row: Row) -> datetime:
    value = row["valid_from"]
    return value if isinstance(value, datetime) else _BEGINNING


def _valid_to(row: Row) -> datetime:
    value = row["valid_to"]
    return value if isinstance(value, datetime) else _END


def tier_problems(prices: LoadedTable, tiers: LoadedTable) -> Iterator[Problem]:
    """Tiers that leave a gap, are out of order, unused or missing."""
    by_version: dict[tuple[object, object], list[Row]] = defaultdict(list)
    for row in tiers.rows:
        if "valid_from" not in row.bad:
            by_version[row["price_id"], row["valid_from"]].append(row)
    # The models of the price versions that use each set of tiers: their own, or the tiers without a
    # version.
    models: dict[tuple[object, object], set[object]] = defaultdict(set)
    priced = set()
    for row in prices.rows:
        price_id, version = row["price_id"], row["valid_from"]
        priced.add(price_id)
        used = (price_id, version) if (price_id, version) in by_version else (price_id, None)
        models[used].add(row["charge_model"])
        is_tiered = _tier_rate(row["charge_model"]) is not None and row.has("price_id")
        if is_tiered and tiers.is_complete and used not in by_version:
            message = f"charge model {row['charge_model']} needs tiers in {tiers.file}"
            yield row.problem("charge_model", message)
    for (price_id, version), rows in by_version.items():
        used_by = models.get((price_id, version), set())
        if version is not None and price_id in priced and not used_by:
            message = f"is the valid_from of no version of {shown(str(price_id))} in {prices.file}"
            yield rows[0].problem("valid_from", message)
        if used_by and None not in used_by and not any(map(_tier_rate, used_by)):
            names = ", ".join(sorted(map(str, used_by)))
            yield rows[0].problem("price_id", f"charge model {names} has no tiers")
        yield from _order_problems(rows)
        for row in rows:
            yield from _tier_amount_problems(row, used_by)


def _tier_rate(charge_model: object) -> str | None:
    known = CHARGE_MODELS.get(str(charge_model))
    return None if known is None else known.tier_rate


def _order_problems(rows: list[Row]) -> Iterator[Problem]:
    """Problems of the tiers of one price, or of one version of it, in any order. A tier begins
    where the one with the next lower `up_to` ends, so a gap can only be at an end: nothing above
    the last bound, or nothing between 0 and a first bound of 0. A repeated bound is reported as a
    repeated key.
    """
    if any("up_to" in row.bad for row in rows):
        return
    highest: tuple[Decimal, Row] | None = None
    for row in rows:
        up_to = row["up_to"]
        if not isinstance(up_to, Decimal):
            continue
        if up_to == 0:
            yield row.problem("up_to", "must be above 0: a tier (0, 0] holds nothing")
        if highest is None or up_to > highest[0]:
            highest = up_to, row
    if highest is not None and all(row.has("up_to") for row in rows):
        up_to, row = highest
        yield row.problem(
            "up_to",
            f"leaves everything above {up_to:f} without a price; "
            "the last tier's up_to must be empty",
        )


def _tier_amount_problems(row: Row, models: set[object]) -> Iterator[Problem]:
    rates = {_tier_rate(model) for model in models}
    if len(rates) != 1 or None in rates:
        return
    [rate] = rates
    wanted = (str(rate), "flat_amount")
    for other in _TIER_RATES:
        if other != rate and row[other]:
            yield row.problem(other, f"charge model {min(map(str, models))} does not use it")
    if not any(row.has(column) or column in row.bad for column in wanted):
        yield row.problem(None, f"has neither {' nor '.join(wanted)}; write 0 where it is free")


def coupon_problems(coupons: LoadedTable) -> Iterator[Problem]:
    for row in coupons.rows:
        percent, amount = row["percent_off"], row["amount_off"]
        if not row.bad & {"percent_off", "amount_off"} and (percent is None) == (amount is None):
            what = "both" if percent is not None else "neither"
            yield row.problem(
                "percent_off", f"{what} of percent_off and amount_off given; exactly one is needed"
            )
        if isinstance(percent, Decimal) and not 0 < percent <= 100:
            yield row.problem("percent_off", f"{percent:f} is not above 0 and at most 100")
        if amount is not None and not row.has("currency") and "currency" not in row.bad:
            yield row.problem("currency", "is empty; amount_off needs one")
        yield from _duration_problems(row)


def _duration_problems(row: Row) -> Iterator[Problem]:
    if row.bad & {"duration", "duration_in_months"}:
        return
    months = row["duration_in_months"]
    if row["duration"] == "repeating":
        if not months:
            yield row.problem("duration_in_months", "must be 1 or more for duration repeating")
    elif months:
        yield row.problem("duration_in_months", "is only for duration repeating; leave it empty")


def entitlement_problems(entitlements: LoadedTable) -> Iterator[Problem]:
    for row in entitlements.rows:
        if row.has("limit_quantity") and not row.has("meter_id") and "meter_id" not in row.bad:
            yield row.problem(
                "limit_quantity", "needs a meter_id: without one this is a plain feature flag"
            )
