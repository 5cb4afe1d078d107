"""What another system billed, read from its export.

What belongs here: the documented CSV, and exports whose columns a map names
(``column_maps.toml``). What does not: which customer of ours an id means (``our_month``).

A row that cannot be read ends the comparison with an error that names the row and the reason: a
line left out would be a difference without a cause.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from billing_pipeline.comparison.lines import TheirLine
from billing_pipeline.intake import values
from billing_pipeline.money import CURRENCY_PLACES, stripe_places

_MAPS = Path(__file__).with_name("column_maps.toml")
_PLACES = 12
_KINDS = ("charge", "minimum", "discount", "tax")


class ExportError(ValueError):
    """The export cannot be compared; the message names the file, the row and the reason."""


@dataclass(frozen=True)
class ColumnMap:
    """Which columns of an export contain what is compared."""

    name: str
    columns: Mapping[str, tuple[str, ...]]
    known_by: frozenset[str] = frozenset()
    amounts: str = "major"
    includes_tax: bool = False
    day_ends: bool = False
    skip: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)


DOCUMENTED = ColumnMap(
    "the documented columns",
    {
        name: (name,)
        for name in (
            "customer_id", "currency", "description", "amount", "quantity", "tax",
            "line_reference", "period_start", "period_end",
        )
    },
    known_by=frozenset(("customer_id", "currency", "description", "amount")),
)  # fmt: skip


@dataclass(frozen=True)
class Export:
    """The lines, and the map by which they were read. `subscriptions`: the subscription of each row
    that names no customer."""

    lines: tuple[TheirLine, ...]
    columns: str
    subscriptions: Mapping[int, str] = field(default_factory=dict)


def read_export(path: Path, zone: ZoneInfo, maps_file: Path | None) -> Export:
    """The lines of an export; raises `ExportError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} cannot be read: {_reason(error)}") from error
    return parse_export(text, path.name, zone, read_maps(maps_file))


def parse_export(
    text: str, name: str, zone: ZoneInfo, maps: tuple[ColumnMap, ...] | None = None
) -> Export:
    """The same from the export's text; `name` is used in messages."""
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ExportError(f"{name} is not CSV: {error}") from error
    if not table:
        raise ExportError(f"{name} is empty: it has no header")
    header = [_plain(cell) for cell in table[0]]
    doubled = sorted({cell for cell in header if cell and header.count(cell) > 1})
    if doubled:
        raise ExportError(f"{name} row 1: column {doubled[0]!r} appears twice")
    columns = _map_of(header, name, maps if maps is not None else read_maps(None))
    lines, subscriptions = [], {}
    for number, cells in enumerate(table[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header):
            raise ExportError(f"{name} row {number}: {len(cells)} cells, {len(header)} columns")
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        if _is_skipped(row, columns):
            continue
        try:
            line, subscription = _line(row, number, columns, zone)
        except values.BadValue as error:
            raise ExportError(f"{name} row {number}: {error}") from error
        lines.append(line)
        if subscription:
            subscriptions[number] = subscription
    return Export(tuple(lines), columns.name, subscriptions)


def read_maps(path: Path | None) -> tuple[ColumnMap, ...]:
    """The built-in maps, or those of a file in the same form."""
    source = path or _MAPS
    try:
        found = tomllib.loads(source.read_text(encoding="utf-8"))
        return tuple(_column_map(name, table) for name, table in found.items())
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ExportError(f"{source} is not a column map: {_reason(error)}") from error


_OPTIONS = ("known_by", "amounts", "includes_tax", "day_ends", "skip", "kinds")


def _column_map(name: str, table: Mapping[str, Any]) -> ColumnMap:
    columns = {
        key: tuple(_plain(column) for column in listed)
        for key, listed in table.items()
        if key not in _OPTIONS
    }
    amounts = table.get("amounts", "major")
    if amounts not in ("major", "minor"):
        raise ValueError(f"{name}: amounts is {amounts!r}, not major or minor")
    kinds = dict(table.get("kinds", {}))
    wrong = sorted(set(kinds.values()) - set(_KINDS))
    if wrong:
        raise ValueError(f"{name}: {wrong[0]!r} is not a kind of line: {', '.join(_KINDS)}")
    return ColumnMap(
        name,
        columns,
        frozenset(_plain(column) for column in table.get("known_by", ())),
        amounts,
        bool(table.get("includes_tax", False)),
        bool(table.get("day_ends", False)),
        {_plain(key): tuple(listed) for key, listed in table.get("skip", {}).items()},
        kinds,
    )


def _map_of(header: list[str], name: str, maps: tuple[ColumnMap, ...]) -> ColumnMap:
    for columns in (*maps, DOCUMENTED):
        if columns.known_by and columns.known_by <= set(header):
            return columns
    for column in ("customer_id", "currency", "amount"):
        if column not in header:
            known = ", ".join(columns.name for columns in maps)
            raise ExportError(
                f"{name} row 1: there is no column {column!r}. Columns: customer_id, currency, "
                f"description, amount, and where known quantity, tax, line_reference, "
                f"period_start, period_end; or an export of {known} (docs/migration.md)"
            )
    return DOCUMENTED


def _line(
    row: Mapping[str, str], number: int, columns: ColumnMap, zone: ZoneInfo
) -> tuple[TheirLine, str]:
    def cell(name: str) -> str:
        for column in columns.columns.get(name, ()):
            if row.get(column):
                return row[column]
        return ""

    customer, subscription = cell("customer_id"), cell("subscription_id")
    if not customer and not subscription:
        raise values.BadValue("there is no customer")
    currency = cell("currency").upper()
    if currency not in CURRENCY_PLACES:
        raise values.BadValue(f"{currency!r} is not a currency")
    if not cell("amount"):
        raise values.BadValue("there is no amount")
    amount = _money(cell("amount"), currency, columns)
    tax = _money(cell("tax"), currency, columns) if cell("tax") else None
    if columns.includes_tax and tax is not None:
        amount -= tax
    end = _time(cell("period_end"), zone)
    if end is not None and columns.day_ends and len(cell("period_end")) == 10:
        end += timedelta(days=1)
    quantity = cell("quantity")
    line = TheirLine(
        row=number,
        customer_id=customer,
        currency=currency,
        description=cell("description"),
        amount=amount,
        quantity=values.decimal(quantity, 18) if quantity else None,
        tax=tax,
        line_reference=cell("line_reference") or None,
        period_start=_time(cell("period_start"), zone),
        period_end=end,
        stated_kind=columns.kinds.get(cell("kind").lower()),
    )
    return line, subscription


def _money(text: str, currency: str, columns: ColumnMap) -> Decimal:
    amount = values.decimal(text, _PLACES)
    return amount.scaleb(-stripe_places(currency)) if columns.amounts == "minor" else amount


def _time(text: str, zone: ZoneInfo) -> datetime | None:
    if not text:
        return None
    if text.isdecimal() and len(text) == 10:
        return datetime.fromtimestamp(int(text), zone)
    return values.instant(text.replace(" UTC", "Z"), zone)


def _is_skipped(row: Mapping[str, str], columns: ColumnMap) -> bool:
    return any(row.get(name, "").lower() in listed for name, listed in columns.skip.items())


def _plain(name: str) -> str:
    """A column's name without differences in spelling: Customer ID, customer.id."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
