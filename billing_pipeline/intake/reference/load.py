"""catalog/ and accounts/ to typed `raw` tables: everything checked before anything is written.

What belongs here: finding the files, running every check, writing the tables. What does not:
the checks (schemas.py, *_rules.py), usage (usage.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import duckdb
import pyarrow as pa

from billing_pipeline.intake.files.storage import Entry, Storage
from billing_pipeline.intake.limits import InputLimits
from billing_pipeline.intake.problems import InvalidInput, Problem
from billing_pipeline.intake.reference import account_rules, catalog_rules, inheritance
from billing_pipeline.intake.reference.cells import (
    EXTENSIONS,
    UnreadableFile,
    header_problems,
    read_cells,
)
from billing_pipeline.intake.reference.dbt_vars import AGGREGATIONS, CUSTOM_METERS
from billing_pipeline.intake.reference.filters import write_filters
from billing_pipeline.intake.reference.moves import move_subscriptions
from billing_pipeline.intake.reference.rows import (
    LoadedTable,
    key_problems,
    read_table,
    reference_problems,
)
from billing_pipeline.intake.reference.schemas import TABLES, Table
from billing_pipeline.money import CURRENCY_PLACES
from billing_pipeline.settings import Settings

_FOLDERS = ("catalog", "catalog/costs", "accounts")
_TOP_FOLDERS = ("catalog", "accounts", "usage")
_HOMES = {"costs": "catalog", **{table.stem: table.folder for table in reversed(TABLES)}}
"""Where each table belongs; those that `catalog/costs` has too: `catalog`."""
_ALLOWED = "a .csv, .csv.gz or .parquet file, or a folder of .parquet files"


def load_reference(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    custom_meters: frozenset[str] = CUSTOM_METERS,
) -> dict[str, int]:
    """Write every table of catalog/ and accounts/ to schema `raw`; returns the number of rows per
    table.

    `custom_meters` are the names that meters of aggregation `custom` may have, by default those
    that dbt builds. Raises `InvalidInput` with every problem of every file; nothing has been
    written then.
    """
    problems = list(_misplaced(Storage.of(settings)))
    tables: dict[str, LoadedTable] = {}
    for folder in _FOLDERS:
        of_folder = [table for table in TABLES if table.folder == folder]
        inside = [known.removeprefix(f"{folder}/") for known in _FOLDERS]
        storage = _storage(settings, folder)
        tables |= read_tables(storage, of_folder, inside, settings, problems)
    problems += move_subscriptions(
        settings.moves, *(tables[name] for name in ("subscriptions", "customers", "plans"))
    )
    inheritance.inherit_terms(tables["plans"])
    problems += _rule_problems(tables, custom_meters)
    if problems:
        raise InvalidInput(problems)
    for name in ("prices", "cost_prices"):
        _default_prorate(tables[name], tables["meters"])
    connection.execute("create schema if not exists raw")
    for loaded in tables.values():
        _write(connection, loaded)
    plans, prices, entitlements = (tables[name] for name in ("plans", "prices", "entitlements"))
    _create(
        connection,
        "plan_prices",
        inheritance.plan_price_columns(plans, prices, tables["price_tiers"]),
    )
    _create(
        connection,
        "plan_entitlements",
        inheritance.plan_entitlement_columns(plans, entitlements),
    )
    filters = tables["prices"].values["filter"] + tables["cost_prices"].values["filter"]
    write_filters(connection, (str(each) for each in filters if each is not None))
    _write_currencies(connection)
    return {name: len(loaded.numbers) for name, loaded in tables.items()}


def read_tables(
    storage: Storage,
    tables: Sequence[Table],
    inside: Collection[str],
    settings: Settings,
    problems: list[Problem],
) -> dict[str, LoadedTable]:
    """All tables of a folder, by name, as far as their files can be read. `inside` are its
    subfolders for other things."""
    folder = tables[0].folder
    names = [table.stem for table in tables]
    sources = _sources(storage, folder, names, inside, problems)
    return {
        table.name: _load_table(storage, table, sources, settings, problems) for table in tables
    }


def has_account_file(settings: Settings, table: str) -> bool:
    """True if the file of a table in accounts/ exists, in any format; it is not read."""
    try:
        entries = Storage.of(settings).entries("accounts")
    except (InvalidInput, OSError):
        return False  # left for the intake to report
    return any(entry.name == f"{table}{extension}" for entry in entries for extension in EXTENSIONS)


def _storage(settings: Settings, folder: str) -> Storage:
    if folder != "accounts" and settings.catalog_dir is not None:
        renamed = {"catalog": settings.catalog_dir.name}
        return Storage(str(settings.catalog_dir.parent), None, renamed)
    return Storage.of(settings)


@dataclass(frozen=True)
class _Source:
    """The source of a table: `name` in its folder, a file or a folder of Parquet, and the `parts`
    to be read."""

    name: str
    parts: list[Entry]


def _sources(
    storage: Storage,
    folder: str,
    names: list[str],
    inside: Collection[str],
    problems: list[Problem],
) -> dict[str, list[_Source]]:
    """The source of each table (`prices`). A file that looks like a table but cannot be read as one
    is a problem: treating it as absent would bill without it."""
    found: dict[str, list[_Source]] = {}
    for entry in storage.entries(folder):
        if entry.is_folder and entry.name in inside:
            continue
        stem, extension = _split(entry.name)
        try:
            if stem in names:
                source = _Source(entry.name, _parts(storage, folder, entry, extension))
                found.setdefault(stem, []).append(source)
            else:
                _refuse_lookalike(entry, stem, extension, names, folder)
        except UnreadableFile as error:
            problems += error.problems
            if stem in names:
                found.setdefault(stem, []).append(_Source(entry.name, []))
    return found


def _split(name: str) -> tuple[str, str]:
    """`prices` and `.csv.gz`: split off a known extension, or else everything from the first dot
    on."""
    known = next((known for known in EXTENSIONS if name.lower().endswith(known)), None)
    if known is not None:
        return name[: -len(known)], name[-len(known) :].lower()
    stem, point, rest = name.partition(".")
    return stem, point + rest


def _parts(storage: Storage, folder: str, entry: Entry, extension: str) -> list[Entry]:
    """The files that hold a table. Raises `UnreadableFile`."""
    place = f"{folder}/{entry.name}"
    if entry.oddity is not None:
        raise _refused(place, f"is {entry.oddity} and no file; tables are read from files")
    if not entry.is_folder:
        if extension not in EXTENSIONS:
            raise _refused(place, f"is not a format that tables are read from; allowed: {_ALLOWED}")
        return [entry]
    if extension not in ("", ".parquet"):
        raise _refused(place, f"is a folder; allowed: {_ALLOWED}")
    parts = storage.entries(place)
    for part in parts:
        if part.is_folder or part.oddity or not part.name.lower().endswith(".parquet"):
            raise _refused(
                f"{place}/{part.name}", "is not a Parquet file, unlike the others in its folder"
            )
    if not parts:
        raise _refused(place, "is a folder without Parquet files")
    return parts


def _refuse_lookalike(
    entry: Entry, stem: str, extension: str, names: list[str], folder: str
) -> None:
    """Refuse what may be meant as a table; notes and other tables may be there too. Raises
    `UnreadableFile`."""
    place = f"{folder}/{entry.name}"
    if _HOMES.get(stem.lower(), folder) != folder:
        raise _refused(place, f"is not read; it belongs in {_HOMES[stem.lower()]}/")
    near = get_close_matches(stem.lower(), names, n=1, cutoff=0.8)
    if near and not entry.is_documentation:
        hint = f"{near[0]}{extension if extension in EXTENSIONS else '.csv'}"
        raise _refused(place, f"is not a file of {folder}/; did you mean {hint}?")
    if not entry.is_documentation and (extension not in EXTENSIONS or entry.is_folder):
        what = "is a folder" if entry.is_folder else "does not look like a table"
        tables = ", ".join(names)
        raise _refused(place, f"{what}; {folder}/ holds {tables}, each as {_ALLOWED}")


def _misplaced(storage: Storage) -> Iterator[Problem]:
    """Tables beside the folders that are read, and folders that are probably meant as one of
    them."""
    entries = storage.entries("")
    absent = set(_TOP_FOLDERS) - {entry.name for entry in entries}
    for entry in entries:
        if entry.name in _TOP_FOLDERS:
            continue
        stem, _ = _split(entry.name)
        meant = get_close_matches(stem.lower(), absent, n=1, cutoff=0.8) if entry.is_folder else []
        if stem.lower() in _HOMES:
            message = f"is not read; it belongs in {_HOMES[stem.lower()]}/"
        elif meant:
            message = f"is not read; did you mean {meant[0]}/?"
        else:
            continue
        yield Problem(entry.name, None, None, None, message)


def _refused(place: str, message: str) -> UnreadableFile:
    return UnreadableFile([Problem(place, None, None, None, message)])


def _load_table(
    storage: Storage,
    table: Table,
    sources: dict[str, list[_Source]],
    settings: Settings,
    problems: list[Problem],
) -> LoadedTable:
    found = sources.get(table.stem, [])
    file = f"{table.folder}/{found[0].name if found else table.stem + '.csv'}"
    if not found:
        if table.is_required:
            message = f"is missing and needed (looked in {storage.path(table.folder)})"
            problems.append(Problem(file, None, None, None, message))
        return LoadedTable.without_rows(table, file, is_complete=not table.is_required)
    unread = LoadedTable.without_rows(table, file, is_complete=False)
    if len(found) > 1:
        others = " and ".join(source.name for source in found)
        problems.append(Problem(file, None, None, None, f"is there more than once: {others}"))
        return unread
    if not found[0].parts:
        return unread  # refused because of its form
    try:
        cells = read_cells(storage, file, found[0].parts, InputLimits.of(settings))
    except UnreadableFile as error:
        problems += error.problems
        return unread
    faults = header_problems(cells, table.column_names, table.required_names, dict(table.refused))
    problems += faults
    return unread if faults else read_table(table, cells, settings.timezone, problems)


def _rule_problems(tables: dict[str, LoadedTable], custom_meters: frozenset[str]) -> list[Problem]:
    problems: list[Problem] = []
    for loaded in tables.values():
        problems += key_problems(loaded)
        problems += reference_problems(loaded, tables)
    problems += catalog_rules.meter_problems(tables["meters"], custom_meters)
    problems += catalog_rules.price_problems(tables["prices"], tables["meters"])
    problems += catalog_rules.window_problems(tables["prices"])
    problems += catalog_rules.version_problems(tables["prices"])
    problems += catalog_rules.tier_problems(tables["prices"], tables["price_tiers"])
    problems += _cost_problems(tables)
    problems += catalog_rules.coupon_problems(tables["coupons"])
    problems += catalog_rules.window_problems(tables["tax_rates"])
    problems += catalog_rules.version_problems(tables["tax_rates"], "tax_rate_id")
    problems += catalog_rules.entitlement_problems(tables["entitlements"])
    problems += _inheritance_problems(tables["plans"], tables["prices"], tables["entitlements"])
    problems += catalog_rules.source_problems(tables["sources"])
    problems += account_rules.seller_problems(tables["seller"])
    for table in (tables["seller"], tables["customers"]):
        problems += account_rules.electronic_address_problems(table)
    problems += account_rules.customer_problems(tables["customers"])
    problems += account_rules.bill_to_problems(tables["customers"])
    problems += account_rules.adjustment_problems(tables["adjustments"], tables["subscriptions"])
    problems += account_rules.commitment_problems(tables["commitments"])
    problems += account_rules.subscription_problems(tables["subscriptions"])
    problems += account_rules.subscription_version_problems(tables["subscriptions"])
    problems += account_rules.charge_id_problems(
        tables["subscriptions"], inheritance.plan_prices(tables["plans"], tables["prices"])
    )
    problems += account_rules.wallet_problems(tables["wallet_transactions"])
    problems += account_rules.correction_problems(tables["usage_corrections"], tables["meters"])
    return problems


def _cost_problems(tables: dict[str, LoadedTable]) -> Iterator[Problem]:
    """Problems of costs, which are prices that nobody is charged: the rules of prices, and what
    only charges may have."""
    costs = tables["cost_prices"]
    yield from catalog_rules.price_problems(costs, tables["meters"])
    yield from catalog_rules.window_problems(costs)
    yield from catalog_rules.version_problems(costs)
    yield from catalog_rules.tier_problems(costs, tables["cost_price_tiers"])
    yield from catalog_rules.cost_problems(costs)


def _inheritance_problems(
    plans: LoadedTable, prices: LoadedTable, entitlements: LoadedTable
) -> Iterator[Problem]:
    yield from inheritance.circle_problems(plans)
    yield from inheritance.interval_problems(plans, prices)
    yield from inheritance.replacing_price_problems(plans, prices)
    yield from inheritance.replacing_entitlement_problems(plans, entitlements)


def _default_prorate(prices: LoadedTable, meters: LoadedTable) -> None:
    """Fill empty `prorate`: recurring fees and gauges are prorated, other usage is not."""
    gauges = {
        row["meter_id"]
        for row in meters.rows
        if AGGREGATIONS[str(row["aggregation"])].is_gauge and not row.has("bucket")
    }
    values = prices.values
    values["prorate"] = [
        meter_id is None or meter_id in gauges if given is None else given
        for given, meter_id in zip(values["prorate"], values["meter_id"], strict=True)
    ]


def _write(connection: duckdb.DuckDBPyConnection, loaded: LoadedTable) -> None:
    columns = {
        column.name: pa.array(loaded.values[column.name], column.type)
        for column in loaded.table.columns
    }
    if loaded.table.keeps_rows:
        columns["source_row"] = pa.array(loaded.numbers, pa.int64())
    _create(connection, loaded.table.name, columns)


def _write_currencies(connection: duckdb.DuckDBPyConnection) -> None:
    codes = sorted(CURRENCY_PLACES)
    places = [CURRENCY_PLACES[code] for code in codes]
    columns = {"currency": pa.array(codes), "exponent": pa.array(places, pa.int32())}
    _create(connection, "currencies", columns)


def _create(connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, pa.Array]) -> None:
    """(Re)create `raw.<name>`; the name is always a constant of this package."""
    rows = pa.table(columns)  # noqa: F841  (read by name in the statement)
    connection.execute(f"create or replace table raw.{name} as select * from rows")
