"""The examples in docs/charge-models.md as a world that the pipeline can bill.

What belongs here: reading the document's tables, and turning each row into a customer of its own.
What does not: the expected amounts, which are in the document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.property.tables import World

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "charge-models.md"
MONTH = "2024-04"
Cells = dict[str, str]

# What a table must say to be one of examples; the others explain.
_EXPECTATIONS = {"quantity", "billable", "exact_amount", "amount"}
_TIERED = "graduated", "volume", "graduated_percentage"
# `name value`, where a value is JSON or text without the marks that part cells and versions.
_CELL = re.compile(r"(\w+) (\{.*?\}|[^,;]+)")
# `4.2`, `3 on 04-16`, `1.25 × 1000`, `3 {"size": "small"}`
_EVENT = re.compile(
    r"(?P<value>-?[\w.]+)(?: × (?P<times>\d+))?(?: on (?P<at>[-\d]+(?: [\d:.]+)?))?"
    r"(?: (?P<properties>\{.*?\}))?(?:, |$)"
)


@dataclass(frozen=True)
class Example:
    """One row: its charge model, its cells, and the tiers in the table above it."""

    name: str
    model: str
    cells: Cells
    tiers: tuple[Cells, ...]


def examples(text: str) -> list[Example]:
    """Every row of every table with examples, in order."""
    found: list[Example] = []
    model, tiers = "per_unit", ()
    for heading, table in _tables(text):
        named = re.fullmatch(r"`(\w+)`", heading)
        model = named[1] if named else "per_unit"
        if "up_to" in table[0]:
            tiers = tuple(table)
        elif _EXPECTATIONS & table[0].keys():
            used = tiers if model in _TIERED else ()
            for cells in table:
                name = f"x{len(found):02}"
                found.append(Example(name, model, cells, used))
    return found


def _tables(text: str) -> Iterator[tuple[str, list[Cells]]]:
    """Each table's heading and its rows as dicts."""
    heading, rows = "", list[list[str]]()
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            header, _, *body = rows
            yield heading, [dict(zip(header, row, strict=True)) for row in body]
            rows = []


def world_of(found: list[Example]) -> World:
    world = World()
    for example in found:
        _add(world, example)
    return world


def _add(world: World, example: Example) -> None:
    name, cells = example.name, example.cells
    versions = [_named(part) for part in cells.get("price", "").strip("`").split("; ")]
    currency = versions[0].get("currency", "USD")
    world.add("customers", customer_id=name, currency=currency)
    world.add("plans", plan_id=name)
    subscription = {"starts_at": "2023-01-01"} | _named(cells.get("subscription", ""))
    world.add("subscriptions", subscription_id=name, customer_id=name, plan_id=name, **subscription)
    meter = {"meter_id": name, "aggregation": "sum"} | _named(cells.get("meter", ""))
    if meter["meter_id"] not in {row["meter_id"] for row in world.tables["meters"]}:
        world.add("meters", event_name=name, **meter)
    for version in versions:
        _add_price(world, example, meter["meter_id"], version)
    _add_usage(world, name, meter.get("property", ""), cells.get("usage", ""))
    for value, at, properties in _events(cells.get("corrections", "")):
        world.add(
            "usage_corrections",
            correction_id=name,
            customer_id=name,
            event_name=name,
            occurred_at=at,
            quantity=value,
            properties=properties,
        )


def _add_price(world: World, example: Example, meter_id: str, version: Cells) -> None:
    cells = {"price_id": example.name, "plan_id": example.name, "meter_id": meter_id}
    cells |= {"charge_model": example.model, "currency": "USD"} | version
    if cells["meter_id"] == "none":
        cells["meter_id"] = ""
    if cells["charge_model"] == "per_unit":
        cells.setdefault("unit_amount", "1")
    world.add("prices", **cells)
    for tier in example.tiers:
        world.add("price_tiers", price_id=example.name, **tier)


def _add_usage(world: World, name: str, property_name: str, usage: str) -> None:
    for number, (value, at, properties) in enumerate(_events(usage)):
        cells = {"event_id": f"{name}-{number}", "customer_id": name, "event_name": name}
        if property_name:
            cells["properties"] = json.dumps({property_name: value})
        else:
            cells |= {"quantity": value, "properties": properties}
        world.event(at[:7], occurred_at=at, **cells)


def _events(text: str) -> Iterator[tuple[str, str, str]]:
    """Value, time and properties of each event; the day is one of April where it names no year."""
    position = 0
    while position < len(text):
        found = _EVENT.match(text, position)
        if found is None:
            raise ValueError(f"{DOCUMENT.name}: no event at {text[position:]!r}")
        at = found["at"] or "04-10"
        at = at if len(at.split()[0]) == len("2024-04-10") else f"2024-{at}"
        for _ in range(int(found["times"] or 1)):
            yield found["value"], at, found["properties"] or ""
        position = found.end()


def _named(text: str) -> Cells:
    return {name: value.strip() for name, value in _CELL.findall(text.strip("`"))}
