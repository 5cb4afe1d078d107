"""Usage of a made-up world: events at the edges of tiers and months, repeats, and broken rows.

What belongs here: rows of usage/ and usage_corrections.csv. What does not: catalog and accounts.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tests.property.intake import month_edges
from tests.property.tables import USAGE_COLUMNS, Cells, UsageRow, object_text
from tests.property.values import (
    JsonNumber,
    decimal_text,
    fits_quantity,
    read_decimal,
    read_instant,
    read_object,
)
from tests.property.world_maker import Maker, makes, other_month

Properties = dict[str, object]

FILES = ("a.csv", "b.jsonl", "c.parquet", "d.csv.gz", "e.jsonl.gz", "typed.parquet")
TEXT_FILES = ("a.csv", "b.jsonl", "d.csv.gz", "e.jsonl.gz")
TINY = Fraction(1, 10**18)
NONE, ONE = Fraction(0), Fraction(1)
NOT_OBJECTS = ("{", "[1]", "3", '"text"', '{"a": NaN}', "{'a': 1}")
NOT_NUMBERS = ("abc", "NaN", "Infinity", "1,5", "0x10", "1_000", "-")
TOO_LONG = ("0.0000000000000000001", "100000000000000000000", "1e400", "1e-19")
NO_TIMES = ("yesterday", "2024-02-30", "2024-13-01T00:00:00Z", "1700000000", "2024-01-01T25:00:00Z")


def add_usage(maker: Maker) -> None:
    names = sorted({row["event_name"] for row in maker.world.tables["meters"]})
    for row in maker.world.tables["customers"]:
        for name in names:
            _add_events(maker, row["customer_id"], name)
            _add_corrections(maker, row["customer_id"], name)
    good = list(maker.world.usage)
    for usage_row in good:
        if maker.chance(0.08):
            _repeat(maker, usage_row)
    for number in range(maker.one_of(0, 0, 1, 2, 4)):
        _add_broken(maker, good, number)


def _add_events(maker: Maker, customer_id: str, name: str) -> None:
    month = maker.setting.month
    quantities = _aimed(maker, name) if maker.chance(0.6) else []
    quantities += [maker.quantity() for _ in range(maker.one_of(0, 1, 3, 6, 12))]
    common = _properties(maker) if maker.chance(0.5) else None
    for quantity in quantities:
        _add_event(maker, customer_id, name, month, quantity, common)
    for back in (1, 2, 5):
        if maker.chance(0.4):
            for _ in range(maker.random.randint(1, 3)):
                earlier = other_month(month, -back)
                _add_event(maker, customer_id, name, earlier, maker.quantity(), common)


def _aimed(maker: Maker, name: str) -> list[Fraction]:
    """Quantities that sum to a tier's bound or to the included quantity, or just beside it."""
    meters = {row["meter_id"] for row in maker.world.tables["meters"] if row["event_name"] == name}
    prices = [row for row in maker.world.tables["prices"] if row["meter_id"] in meters]
    if not prices:
        return []
    price = maker.random.choice(prices)
    bounds = [
        Fraction(row["up_to"])
        for row in maker.world.tables["price_tiers"]
        if row["price_id"] == price["price_id"] and row["up_to"]
    ]
    bounds.append(Fraction(price["package_size"] or 0) * maker.random.randint(1, 3))
    target = maker.random.choice(bounds) + Fraction(price["included_quantity"] or 0)
    target += maker.one_of(NONE, NONE, NONE, TINY, -TINY, ONE, -ONE, ONE / 2)
    return _split(maker, max(target, Fraction(0)))


def _split(maker: Maker, total: Fraction) -> list[Fraction]:
    parts = []
    for _ in range(maker.random.randint(0, 4)):
        part = Fraction(int(total * maker.random.randint(0, 10) / 10 / TINY)) * TINY
        parts.append(part)
        total -= part
    return [*parts, total]


def _add_event(
    maker: Maker,
    customer_id: str,
    name: str,
    month: str,
    quantity: Fraction,
    common: Properties | None,
) -> None:
    at = maker.inside(*month_edges(month, maker.zone))
    properties = dict(_properties(maker) if common is None else common)
    for key in ("gb", "weight"):
        if _is_read(maker, name, key) and maker.chance(0.9):
            # Whether 1e0 is the text 1 is nobody's promise; where texts are counted, none is made.
            plainly = _is_counted(maker, name, key)
            number = _number(maker, quantity, plainly)
            properties[key] = number if maker.chance(0.9) else _oddity(maker)
    cells = {
        "event_id": maker.id("e", len(maker.world.usage)),
        "customer_id": customer_id,
        "event_name": name,
        "occurred_at": maker.written(at),
        "quantity": "" if quantity == 1 and maker.chance(0.7) else _quantity_text(maker, quantity),
        "properties": object_text(properties) if properties else "",
        "subscription_id": _named(maker, customer_id),
    }
    maker.world.usage.append(UsageRow(month, maker.one_of(*FILES), cells))


def _named(maker: Maker, customer_id: str) -> str:
    """Sometimes an event is for one subscription only."""
    if not makes("named subscriptions") or maker.chance(0.8):
        return ""
    rows = maker.world.tables["subscriptions"]
    own = [row["subscription_id"] for row in rows if row["customer_id"] == customer_id]
    return maker.random.choice(own) if own else ""


def _is_read(maker: Maker, name: str, key: str) -> bool:
    meters = maker.world.tables["meters"]
    return any(row["event_name"] == name and row["property"] == key for row in meters)


def _is_counted(maker: Maker, name: str, key: str) -> bool:
    return any(
        row["event_name"] == name and row["property"] == key
        for row in maker.world.tables["meters"]
        if row["aggregation"] == "unique_count"
    )


def _properties(maker: Maker) -> Properties:
    """The properties that prices filter by; sometimes missing, null or of another type."""
    values: dict[str, tuple[object, ...]] = {
        "size": ("small", "small", "large", "Small", 'größe, "L"\''),
        "live": (True, False, "true", "false"),
        "zone": (JsonNumber("1"), JsonNumber("2"), "1", "2", None),
        "ratio": (JsonNumber("0.5"), "0.5", JsonNumber("0.25")),
    }
    found = {key: maker.one_of(*stock) for key, stock in values.items() if maker.chance(0.7)}
    filters = [row["filter"] for row in maker.world.tables["prices"] if row["filter"]]
    if filters and maker.chance(0.6):
        wanted = read_object(maker.random.choice(filters))
        found |= {key: _one_that_fits(maker, value) for key, value in wanted.items()}
    return found


def _one_that_fits(maker: Maker, wanted: object) -> object:
    """One of a list, or a number at or just beside one of the bounds."""
    if isinstance(wanted, list):
        return maker.random.choice(wanted)
    if isinstance(wanted, dict):
        bound = Fraction(str(maker.random.choice(list(wanted.values()))))
        text = decimal_text(max(bound + maker.one_of(NONE, NONE, TINY, -TINY), NONE))
        return maker.one_of(text, JsonNumber(text))
    return wanted


def _number(maker: Maker, quantity: Fraction, plainly: bool) -> object:
    """A property's number: as JSON, or as text; now and then in scientific notation."""
    text = decimal_text(quantity)
    if len(text) <= 12 and maker.chance(0.05) and not plainly:
        return JsonNumber(f"{text}e0")
    return maker.one_of(text, JsonNumber(text), JsonNumber(text))


def _oddity(maker: Maker) -> object:
    """Nothing that a meter of numbers could use."""
    numbers = (JsonNumber("-1"), JsonNumber("4e-19"), JsonNumber("2.9999999999999997e-05"))
    return maker.one_of(None, "much", "", True, *numbers, "-0.5", "1,5", "NaN", "4e-19", "1e15")


def _quantity_text(maker: Maker, quantity: Fraction) -> str:
    text = decimal_text(quantity)
    ways = [text, text, text, f"+{text}", f"0{text}"]
    if len(text) < 12:
        ways.append(f"{text}e0")
    if "." in text and len(text.split(".")[1]) < 17:
        ways.append(f"{text}0")
    return maker.random.choice(ways)


def _add_corrections(maker: Maker, customer_id: str, name: str) -> None:
    meters = [row for row in maker.world.tables["meters"] if row["event_name"] == name]
    if not makes("meters") and not any(row["aggregation"] in ("count", "sum") for row in meters):
        return
    if any(row["aggregation"] == "unique_count" and row["property"] for row in meters):
        return  # what a correction without the property counts as is nobody's promise
    for _ in range(maker.one_of(0, 0, 0, 1, 2)):
        is_added = any(row["aggregation"] in ("count", "sum", "counter") for row in meters)
        quantity = maker.quantity() * (maker.one_of(1, -1, -1) if is_added else 1)
        properties = _properties(maker)
        number = len(maker.world.tables["usage_corrections"])
        maker.world.add(
            "usage_corrections",
            correction_id=maker.id("correction", number),
            customer_id=customer_id,
            event_name=name,
            occurred_at=maker.written(maker.instant()),
            quantity=decimal_text(quantity),
            properties=object_text(properties) if properties else "",
            reason="was counted twice",
            author="ops",
        )


# --- rows that repeat, or are broken -----------------------------------------------------------


def _repeat(maker: Maker, row: UsageRow) -> None:
    """The same event again: written alike, written differently, or with other content."""
    assert row.cells is not None
    cells = dict(row.cells)
    at = read_instant(cells["occurred_at"], maker.zone)
    kind = maker.random.randrange(6)
    if kind < 3:
        cells["occurred_at"] = maker.written(at)
        cells["quantity"] = cells["quantity"] or "1.0"
    elif kind == 3:
        cells["quantity"] = "77"
    elif kind == 4:
        cells["occurred_at"] = maker.written(at - 1 if at % 2 else at + 1)
    else:
        cells["properties"] = '{"other": 1}'
    month = row.month
    if maker.chance(0.1) and month == maker.setting.month:
        # The same id in another month's folder is another event.
        month = other_month(month, -1)
        cells["occurred_at"] = maker.written(maker.inside(*month_edges(month, maker.zone)))
    copy = UsageRow(month, maker.one_of(*FILES), cells)
    place = maker.random.randint(0, len(maker.world.usage))
    maker.world.usage.insert(
        place, copy if _fits_file(maker, copy) else replace(copy, file="a.csv")
    )


def _fits_file(maker: Maker, row: UsageRow) -> bool:
    """Typed Parquet can only hold instants and DECIMAL(38,18)."""
    if not row.file.startswith("typed"):
        return True
    if row.cells is None:
        return False
    try:
        read_instant(row.cells["occurred_at"], maker.zone)
        return fits_quantity(read_decimal(row.cells["quantity"] or "1"))
    except ValueError:
        return False


def _add_broken(maker: Maker, good: list[UsageRow], number: int) -> None:
    cells = _base(maker, good, number)
    month = maker.setting.month
    for _ in range(maker.one_of(1, 1, 1, 2)):
        _break(maker, cells)
    if maker.chance(0.15):
        file = maker.one_of(*TEXT_FILES)
        raw = maker.one_of("x,y", "one") if ".csv" in file else maker.one_of('{"event_id": ', "[1]")
        maker.world.usage.append(UsageRow(month, file, None, raw))
        return
    row = UsageRow(month, maker.one_of(*FILES), cells)
    maker.world.usage.append(row if _fits_file(maker, row) else replace(row, file="c.parquet"))


def _base(maker: Maker, good: list[UsageRow], number: int) -> Cells:
    """A good row to break; sometimes under the id of another, which must not be harmed by it."""
    cells = dict.fromkeys(USAGE_COLUMNS, "")
    cells |= {
        "event_id": maker.id("bad", number),
        "customer_id": maker.world.tables["customers"][0]["customer_id"],
        "event_name": maker.world.tables["meters"][0]["event_name"],
        "occurred_at": maker.written(maker.inside(maker.start, maker.end)),
        "quantity": "3",
    }
    if good and maker.chance(0.3):
        other = maker.random.choice(good).cells
        assert other is not None
        cells["event_id"] = other["event_id"]
    return cells


def _break(maker: Maker, cells: Cells) -> None:
    outside = (maker.start - 1, maker.end, maker.end + 1, maker.start - 10**12)
    faults = (
        ("event_id", ""),
        ("customer_id", ""),
        ("customer_id", maker.id("nobody")),
        ("event_name", ""),
        ("event_name", maker.id("nothing")),
        ("occurred_at", ""),
        ("occurred_at", maker.one_of(*NO_TIMES)),
        ("occurred_at", maker.written(maker.one_of(*outside))),
        ("quantity", "-" + maker.one_of("1", "0.5", "0.000000000000000001")),
        ("quantity", maker.one_of(*NOT_NUMBERS)),
        ("quantity", maker.one_of(*TOO_LONG)),
        ("properties", maker.one_of(*NOT_OBJECTS)),
    )
    named = [("subscription_id", maker.id("nothing"))] if makes("named subscriptions") else []
    column, cell = maker.one_of(*faults, *named)
    cells[column] = cell
