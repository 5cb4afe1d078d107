"""A world: every input of the contract as text cells, read from and written to a data directory.

What belongs here: file formats. What does not: what a cell means (intake.py), how worlds are made
up (worlds.py).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from tests.property.values import JsonNumber, instant_of, read_instant

Cells = dict[str, str]

CATALOG = {
    "meters": "meter_id event_name aggregation property carry_forward",
    "plans": "plan_id name trial_days billing_cycle",
    "prices": "price_id plan_id meter_id description currency charge_model unit_amount flat_amount "
    "package_size percentage included_quantity quantity_rounding minimum_amount maximum_amount "
    "filter timing prorate valid_from valid_to",
    "price_tiers": "price_id up_to unit_amount flat_amount percentage",
    "cost_prices": "",
    "cost_price_tiers": "",
    "entitlements": "plan_id feature meter_id limit_quantity soft_limit",
    "coupons": "coupon_id percent_off amount_off currency duration duration_in_months",
    "tax_rates": "tax_rate_id country percentage inclusive description valid_from valid_to",
}
ACCOUNTS = {
    "customers": "customer_id name email country currency stripe_customer_id is_payer "
    "collection_method days_until_due payment_method tax_exempt",
    "subscriptions": "subscription_id customer_id plan_id quantity starts_at ends_at "
    "trial_ends_at coupon_id minimum_amount",
    "wallet_transactions": "transaction_id customer_id amount currency occurred_at kind reference",
    "usage_corrections": "correction_id customer_id event_name occurred_at quantity properties "
    "reason author",
}
# The second edition's columns; a file has those of them that some row of it uses.
NEW_COLUMNS = {
    "meters": "group_by bucket event_rounding",
    "plans": "based_on",
    "prices": "interval included_per filter_rest event_minimum_amount event_maximum_amount "
    "free_events tax_code replaces",
    "price_tiers": "valid_from",
    "entitlements": "replaces",
    "coupons": "price_ids",
    "tax_rates": "region tax_code",
    "customers": "address tax_id region bill_to purchase_order valid_from street city postal_code "
    "buyer_reference electronic_address tax_category exemption_reason",
    "wallet_transactions": "expires_at priority",
    "adjustments": "adjustment_id customer_id subscription_id amount currency occurred_at "
    "description tax_code reason author",
    "commitments": "commitment_id customer_id amount currency starts_at ends_at kind price_ids "
    "overage_percent",
}
NEW_TABLES = ("adjustments", "commitments", "cost_prices", "cost_price_tiers")
ACCOUNTS |= dict.fromkeys(("adjustments", "commitments"), "")
NEW_COLUMNS["cost_prices"] = " ".join(
    name
    for name in f"{CATALOG['prices']} {NEW_COLUMNS['prices']}".split()
    if name not in ("plan_id", "tax_code", "replaces")
)
NEW_COLUMNS["cost_price_tiers"] = f"{CATALOG['price_tiers']} valid_from"
# Tables whose file has another name than theirs.
FILES = {"cost_prices": "costs/prices", "cost_price_tiers": "costs/price_tiers"}
TABLES = {
    name: f"{columns} {NEW_COLUMNS.get(name, '')}" for name, columns in (CATALOG | ACCOUNTS).items()
}
OLD_USAGE_COLUMNS = [
    "event_id",
    "customer_id",
    "event_name",
    "occurred_at",
    "quantity",
    "properties",
]
USAGE_COLUMNS = [*OLD_USAGE_COLUMNS, "subscription_id"]


@dataclass(frozen=True)
class UsageRow:
    """One row of a usage file. `cells` None: the row is malformed and `raw` is all there is."""

    month: str
    file: str
    cells: Cells | None
    raw: str = ""


@dataclass
class World:
    """All inputs. Usage rows stand in the order in which they are written to their files."""

    tables: dict[str, list[Cells]] = field(default_factory=lambda: {name: [] for name in TABLES})
    usage: list[UsageRow] = field(default_factory=list)

    def add(self, table: str, **cells: object) -> Cells:
        """Append a row; absent columns are empty, other values are written as their text."""
        columns = TABLES[table].split()
        unknown = set(cells) - set(columns)
        if unknown:
            raise KeyError(f"{table} has no column {', '.join(sorted(unknown))}")
        row = {name: _text(cells.get(name)) for name in columns}
        self.tables[table].append(row)
        return row

    def event(self, month: str, file: str = "a.csv", **cells: object) -> None:
        """Append a usage row to the folder `month` (YYYY-MM)."""
        row = {name: _text(cells.get(name)) for name in USAGE_COLUMNS}
        self.usage.append(UsageRow(month, file, row))

    def numbered_usage(self) -> Iterator[tuple[str, int, UsageRow]]:
        """(source_file, source_row, row) as a spreadsheet counts: a CSV header is row 1."""
        rows: dict[str, int] = defaultdict(int)
        for row in self.usage:
            source = f"usage/{row.month}/{row.file}"
            rows[source] += 1
            yield source, rows[source] + (1 if ".csv" in row.file else 0), row


def merge(worlds: list[World]) -> World:
    """Several worlds with distinct ids as one data set; the order within each file is kept."""
    merged = World()
    for world in worlds:
        for name, rows in world.tables.items():
            merged.tables[name] += rows
        merged.usage += world.usage
    return merged


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value)


# --- writing ---------------------------------------------------------------------------------


def write(world: World, directory: Path, zone: ZoneInfo) -> None:
    """Write a data directory in the contract's form. `zone` is needed for typed Parquet only."""
    for folder, tables in (("catalog", CATALOG), ("accounts", ACCOUNTS)):
        (directory / folder).mkdir(parents=True, exist_ok=True)
        for name in tables:
            path = directory / folder / f"{FILES.get(name, name)}.csv"
            cells = world.tables[name]
            if cells or name not in NEW_TABLES:
                path.parent.mkdir(parents=True, exist_ok=True)
                columns = _used(TABLES[name].split(), tables[name].split(), cells)
                path.write_text(_csv_text(columns, cells), encoding="utf-8")
    files: dict[tuple[str, str], list[UsageRow]] = defaultdict(list)
    for row in world.usage:
        files[(row.month, row.file)].append(row)
    for (month, file), rows in files.items():
        path = directory / "usage" / month / file
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_usage(path, rows, zone)


def _used(columns: list[str], always: list[str], rows: list[Cells]) -> list[str]:
    return [name for name in columns if name in always or any(row.get(name) for row in rows)]


def _csv_text(columns: list[str], rows: list[Cells]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write_usage(path: Path, rows: list[UsageRow], zone: ZoneInfo) -> None:
    known = [row.cells for row in rows if row.cells is not None]
    columns = _used(USAGE_COLUMNS, OLD_USAGE_COLUMNS, known)
    if path.name.endswith(".parquet"):
        assert len(known) == len(rows), "a malformed row cannot be put into Parquet"
        is_typed = path.name.startswith("typed")
        table = _typed(known, columns, zone) if is_typed else _untyped(known, columns)
        pq.write_table(table, path)
        return
    if ".csv" in path.name:
        lines = [",".join(columns) + "\n"]
        for row in rows:
            if row.cells is None:
                lines.append(row.raw + "\n")
            else:
                lines.append(_csv_text(columns, [row.cells]).split("\n", 1)[1])
    else:
        lines = [row.raw + "\n" if row.cells is None else _json_line(row.cells) for row in rows]
    content = "".join(lines).encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)


def _json_line(cells: Cells) -> str:
    """Numbers and objects as JSON where the cell's text is that JSON, else as strings."""
    parts = []
    for name in USAGE_COLUMNS:
        cell = cells.get(name, "")
        if cell == "":
            continue
        is_json = name in ("quantity", "properties") and _is_json(cell)
        parts.append(f"{json.dumps(name)}: {cell if is_json else json.dumps(cell)}")
    return "{" + ", ".join(parts) + "}\n"


def _is_json(cell: str) -> bool:
    try:
        value = json.loads(cell, parse_constant=lambda _: [])
    except ValueError:
        return False
    return isinstance(value, dict) or (
        isinstance(value, (int, float)) and not isinstance(value, bool)
    )


def _untyped(rows: list[Cells], columns: list[str]) -> pa.Table:
    arrays = {name: pa.array([row.get(name) or None for row in rows]) for name in columns}
    return pa.table({name: column.cast(pa.string()) for name, column in arrays.items()})


def _typed(rows: list[Cells], columns: list[str], zone: ZoneInfo) -> pa.Table:
    """As an exporter of a database would write it: instants with a zone, exact decimals."""
    instants = [instant_of(read_instant(row["occurred_at"], zone)) for row in rows]
    quantities = [Decimal(row["quantity"]) if row["quantity"] else None for row in rows]
    table = _untyped(rows, columns)
    kinds = {
        "occurred_at": pa.array(instants, pa.timestamp("us", tz="UTC")),
        "quantity": pa.array(quantities, pa.decimal128(38, 18)),
    }
    for name, column in kinds.items():
        table = table.set_column(columns.index(name), name, column)
    return table


# --- reading ---------------------------------------------------------------------------------


def read(directory: Path) -> World:
    """A data directory as a world. Reads what `write` writes, and the project's own examples."""
    world = World()
    for folder, tables in (("catalog", CATALOG), ("accounts", ACCOUNTS)):
        for name in tables:
            columns = TABLES[name]
            path = directory / folder / f"{FILES.get(name, name)}.csv"
            if path.exists():
                with path.open(encoding="utf-8-sig", newline="") as stream:
                    rows = [row for row in csv.DictReader(stream) if any(row.values())]
                world.tables[name] = [
                    {column: (row.get(column) or "").strip() for column in columns.split()}
                    for row in rows
                ]
    for path in sorted((directory / "usage").glob("*/*")):
        world.usage += _read_usage(path)
    return world


def _read_usage(path: Path) -> Iterator[UsageRow]:
    month = path.parent.name
    if path.name.endswith(".parquet"):
        for row in pq.read_table(path).to_pylist():
            cells = {name: _cell(row.get(name)) for name in USAGE_COLUMNS}
            yield UsageRow(month, path.name, cells)
        return
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.name.endswith(".gz") else content).decode("utf-8-sig")
    if ".csv" in path.name:
        header, *records = csv.reader(io.StringIO(text, newline=""))
        for record in records:
            if len(record) != len(header):
                yield UsageRow(month, path.name, None, ",".join(record))
                continue
            cells = dict(zip(header, record, strict=True))
            cells = {name: cells.get(name, "").strip() for name in USAGE_COLUMNS}
            yield UsageRow(month, path.name, cells)
        return
    for line in text.splitlines():
        yield UsageRow(month, path.name, _json_cells(line), line)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else _text(value)


def _json_cells(line: str) -> Cells | None:
    """The cells of a JSON line, with numbers as text; None if it is not a JSON object."""
    try:
        event = json.loads(line, parse_float=JsonNumber, parse_int=JsonNumber)
    except ValueError:
        return None
    if not isinstance(event, dict):
        return None
    cells = {name: _text(event.get(name)) for name in USAGE_COLUMNS}
    if isinstance(event.get("properties"), dict):
        cells["properties"] = object_text(event["properties"])
    return cells


def object_text(value: object) -> str:
    """JSON text whose numbers are written as they were read."""
    if isinstance(value, JsonNumber):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{object_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(object_text, value)) + "]"
    return json.dumps(value)
