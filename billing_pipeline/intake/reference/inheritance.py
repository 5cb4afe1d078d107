"""What a plan inherits from the plan that it is based on: prices, entitlements, trial, billing
cycle.

What belongs here: `based_on` and `replaces`, their problems, and the tables `raw.plan_prices` and
`raw.plan_entitlements`, which list everything that applies to each plan. What does not: rules of a
single price (catalog_rules.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa

from billing_pipeline.intake.problems import Problem, shown
from billing_pipeline.intake.reference.rows import LoadedTable, Row

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)
# Values of cells that are empty in a plan and in all plans that it is based on.
_DEFAULT_TERMS: Mapping[str, object] = {"trial_days": 0, "billing_cycle": "calendar_month"}

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """A row of prices, by its index, and the `span` during which a plan has it."""

    plan_id: str
    row: int
    price_id: str
    span: Span
    is_inherited: bool = False


def lineages(plans: LoadedTable) -> dict[str, list[str]]:
    """For each plan, the plan itself and the plans that it is based on, the nearest first. Circles
    are left out."""
    bases = {
        str(plan_id): str(base)
        for plan_id, base in zip(plans.values["plan_id"], plans.values["based_on"], strict=True)
        if plan_id is not None and base is not None
    }
    found: dict[str, list[str]] = {}
    for plan_id in map(str, plans.values["plan_id"]):
        line = [plan_id]
        while (base := bases.get(line[-1])) is not None and base not in line:
            line.append(base)
        found[plan_id] = line
    return found


def inherit_terms(plans: LoadedTable) -> None:
    """Fill empty `trial_days` and `billing_cycle` from the nearest plan that has a value."""
    given = {
        name: dict(zip(map(str, plans.values["plan_id"]), plans.values[name], strict=True))
        for name in _DEFAULT_TERMS
    }
    lines = lineages(plans)
    for name, default in _DEFAULT_TERMS.items():
        plans.values[name] = [
            next(
                (
                    given[name][plan_id]
                    for plan_id in lines[str(plan)]
                    if given[name].get(plan_id) is not None
                ),
                default,
            )
            for plan in plans.values["plan_id"]
        ]


def plan_prices(plans: LoadedTable, prices: LoadedTable) -> dict[str, list[PlanPrice]]:
    """The prices of each plan: its own, and those of the plan that it is based on, for the time
    during which no row of its own replaces them."""
    own: dict[str, list[PlanPrice]] = defaultdict(list)
    replaced: dict[str, dict[str, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for row in prices.rows:
        plan_id, span = str(row["plan_id"]), _span(row)
        own[plan_id].append(PlanPrice(plan_id, row.index, str(row["price_id"]), span))
        if row.has("replaces"):
            replaced[plan_id][str(row["replaces"])].append(span)
    found: dict[str, list[PlanPrice]] = {}
    for line in lineages(plans).values():
        inherited: list[PlanPrice] = []
        for plan_id in reversed(line):
            if plan_id not in found:
                holes = replaced[plan_id]
                found[plan_id] = own[plan_id] + [
                    replace(price, plan_id=plan_id, span=span, is_inherited=True)
                    for price in inherited
                    for span in _without(price.span, holes.get(price.price_id, ()))
                ]
            inherited = found[plan_id]
    return found


def _span(row: Row) -> Span:
    starts, ends = row["valid_from"], row["valid_to"]
    return (
        starts if isinstance(starts, datetime) else _BEGINNING,
        ends if isinstance(ends, datetime) else _END,
    )


def _without(span: Span, holes: Sequence[Span]) -> Iterator[Span]:
    """What is left of a span without the holes."""
    start, end = span
    for hole_start, hole_end in sorted(holes):
        if hole_start >= end:
            break
        if start < hole_start:
            yield start, hole_start
        start = max(start, hole_end)
    if start < end:
        yield start, end


def plan_entitlements(
    plans: LoadedTable, entitlements: LoadedTable
) -> dict[str, dict[str, tuple[int, ...]]]:
    """The rows of entitlements, by their index, that each plan has for each feature: one, or
    several if the plan has its own and does not say that it replaces the inherited one."""
    own: dict[str, list[Row]] = defaultdict(list)
    for row in entitlements.rows:
        own[str(row["plan_id"])].append(row)
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for line in lineages(plans).values():
        features: dict[str, tuple[int, ...]] = {}
        for plan_id in reversed(line):
            if plan_id not in found:
                replaced = {row["replaces"] for row in own[plan_id]}
                had = {name: rows for name, rows in features.items() if name not in replaced}
                for row in own[plan_id]:
                    name = str(row["feature"])
                    had[name] = (row.index, *had.get(name, ()))
                found[plan_id] = had
            features = found[plan_id]
    return found


# --- what is wrong ---------------------------------------------------------------------------


def circle_problems(plans: LoadedTable) -> Iterator[Problem]:
    """Plans that are based on themselves. Unknown plans are found as references."""
    bases = {row["plan_id"]: row["based_on"] for row in plans.rows}
    lines = lineages(plans)
    for row in plans.rows:
        line = lines[str(row["plan_id"])]
        if row.has("plan_id", "based_on") and bases.get(line[-1]) == row["plan_id"]:
            through = ", ".join(map(shown, line[1:]))
            detail = f", through {through}" if through else ""
            yield row.problem("based_on", f"the plan is based on itself{detail}")


def replacing_price_problems(plans: LoadedTable, prices: LoadedTable) -> Iterator[Problem]:
    """Prices whose `replaces` names a price that the plan does not inherit."""
    had = plan_prices(plans, prices)
    ids = {plan_id: {price.price_id for price in found} for plan_id, found in had.items()}
    yield from _replacing_problems(plans, prices, ids, "price")


def replacing_entitlement_problems(
    plans: LoadedTable, entitlements: LoadedTable
) -> Iterator[Problem]:
    """`replaces` for a feature that the plan does not inherit, and features that it has twice."""
    had = plan_entitlements(plans, entitlements)
    ids = {plan_id: set(features) for plan_id, features in had.items()}
    yield from _replacing_problems(plans, entitlements, ids, "feature")
    lines = lineages(plans)
    for row in entitlements.rows:
        plan_id, feature = str(row["plan_id"]), str(row["feature"])
        line = lines.get(plan_id, [])
        rows = had.get(plan_id, {}).get(feature, ())
        is_inherited_too = any(
            entitlements.values["plan_id"][index] != row["plan_id"] for index in rows
        )
        if row.has("plan_id", "feature") and is_inherited_too:
            yield row.problem(
                "feature",
                f"plan {shown(line[1])} has it already, and {shown(plan_id)} is based on that one; "
                "name it in replaces too",
            )


def _replacing_problems(
    plans: LoadedTable, table: LoadedTable, ids: Mapping[str, set[str]], what: str
) -> Iterator[Problem]:
    if not plans.is_complete:
        return
    lines = lineages(plans)
    known = set(plans.values["plan_id"])
    for row in table.rows:
        if not row.has("plan_id", "replaces"):
            continue
        line = lines.get(str(row["plan_id"]), [])
        replaced = str(row["replaces"])
        if len(line) == 1:
            yield row.problem(
                "replaces", f"plan {shown(line[0])} is based on no other; leave it empty"
            )
        elif line and line[1] in known and replaced not in ids[line[1]]:
            yield row.problem(
                "replaces",
                f"{shown(replaced)} is not a {what} of plan {shown(line[1])}, on which "
                f"{shown(line[0])} is based",
            )


def interval_problems(plans: LoadedTable, prices: LoadedTable) -> Iterator[Problem]:
    """Prices with an interval in plans that are billed every 30 days, inherited prices included:
    such periods do not fit into a week, a quarter or a year."""
    cycles = dict(zip(plans.values["plan_id"], plans.values["billing_cycle"], strict=True))
    had = plan_prices(plans, prices)
    for row in prices.rows:
        if row.has("interval") and cycles.get(row["plan_id"]) == "30_days":
            yield row.problem(
                "interval", "goes with no plan whose billing_cycle is 30_days; leave it empty"
            )
    for plan in plans.rows:
        if plan["billing_cycle"] != "30_days" or "billing_cycle" in plan.bad:
            continue
        for price in had[str(plan["plan_id"])]:
            interval = prices.values["interval"][price.row]
            if price.is_inherited and interval is not None:
                yield plan.problem(
                    "billing_cycle",
                    f"30_days goes with no price that has an interval, as {shown(price.price_id)} "
                    f"of plan {shown(str(prices.values['plan_id'][price.row]))} has",
                )


# --- tables ----------------------------------------------------------------------------------


def plan_price_columns(
    plans: LoadedTable, prices: LoadedTable, tiers: LoadedTable
) -> dict[str, pa.Array]:
    """`raw.plan_prices`: plan × price version × time during which no other row replaces it, with
    the `valid_from` of its tiers."""
    had = [price for found in plan_prices(plans, prices).values() for price in found]
    indices = pa.array([price.row for price in had], pa.int64())
    columns = {
        column.name: pa.array(prices.values[column.name], column.type).take(indices)
        for column in prices.table.columns
        if column.name != "replaces"
    }
    edge = columns["valid_from"].type
    with_tiers = set(zip(tiers.values["price_id"], tiers.values["valid_from"], strict=True))
    versions = [prices.values["valid_from"][price.row] for price in had]
    tiers_from = [
        version if (price.price_id, version) in with_tiers else None
        for price, version in zip(had, versions, strict=True)
    ]
    starts = [None if price.span[0] == _BEGINNING else price.span[0] for price in had]
    ends = [None if price.span[1] == _END else price.span[1] for price in had]
    return columns | {
        "plan_id": pa.array([price.plan_id for price in had], pa.string()),
        "valid_from": pa.array(starts, edge),
        "valid_to": pa.array(ends, edge),
        "tiers_from": pa.array(tiers_from, edge),
        "inherited_by": pa.array(
            [price.plan_id if price.is_inherited else None for price in had], pa.string()
        ),
    }


def plan_entitlement_columns(plans: LoadedTable, entitlements: LoadedTable) -> dict[str, pa.Array]:
    """`raw.plan_entitlements`: plan × feature."""
    had = [
        (plan_id, index)
        for plan_id, features in plan_entitlements(plans, entitlements).items()
        for indices in features.values()
        for index in indices
    ]
    rows = pa.array([index for _, index in had], pa.int64())
    columns = {
        column.name: pa.array(entitlements.values[column.name], column.type).take(rows)
        for column in entitlements.table.columns
        if column.name != "replaces"
    }
    return columns | {"plan_id": pa.array([plan_id for plan_id, _ in had], pa.string())}
