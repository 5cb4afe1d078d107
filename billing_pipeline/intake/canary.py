"""What the canary must come to: `canary/expected.csv` and `canary/expected_charges.csv`.

What belongs here: the columns of these two files, reading them, which month they are asked for, and
what is wrong with any file of the canary's. What does not: the rules of its accounts and usage,
which are everybody's, and comparing (``rating.canary``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import duckdb

from billing_pipeline.duckdb_sql import Row
from billing_pipeline.intake.files.storage import Entry, Storage
from billing_pipeline.intake.limits import InputLimits
from billing_pipeline.intake.problems import InvalidInput, Problem
from billing_pipeline.intake.reference.cells import (
    EXTENSIONS,
    UnreadableFile,
    header_problems,
    read_cells,
)
from billing_pipeline.intake.reference.load import load_reference
from billing_pipeline.intake.reference.rows import LoadedTable, key_problems, read_table
from billing_pipeline.intake.reference.rows import Row as LoadedRow
from billing_pipeline.intake.reference.schemas import Column, Table
from billing_pipeline.months import BillingMonth, InvalidMonthError
from billing_pipeline.settings import Settings

FOLDER = "canary"
_FOLDERS = {"accounts": f"{FOLDER}/accounts", "usage": f"{FOLDER}/usage"}
AMOUNTS = ("subtotal", "discount", "tax", "total", "wallet_applied", "amount_due")
_KEY = (
    Column("billing_month", "id", "the month, as 2024-01 or 2024-01-01", required=True),
    Column("customer_id", "id", "the canary's customer", required=True),
)
EXPECTED = Table(
    "expected",
    FOLDER,
    "the invoices of the canary",
    (
        *_KEY,
        Column("currency", "currency", "the invoice's currency", required=True),
        Column("total", "money", "what the invoice comes to", required=True, is_signed=True),
        *(
            Column(name, "money", f"the invoice's {name}; empty: not compared", is_signed=True)
            for name in AMOUNTS
            if name != "total"
        ),
    ),
    keys=(("billing_month", "customer_id", "currency"),),
    is_required=True,
)
EXPECTED_CHARGES = Table(
    "expected_charges",
    FOLDER,
    "the charges of the canary; several of one price add up",
    (
        *_KEY,
        Column("price_id", "id", "the price that is charged", required=True),
        Column("amount", "money", "what its charges come to", required=True, is_signed=True),
        Column("quantity", "quantity", "their quantity; empty: not compared", is_signed=True),
    ),
    keys=(("billing_month", "customer_id", "price_id"),),
)


@dataclass(frozen=True)
class Expected:
    """What the canary's invoices and charges are known to be in a month. An amount that is None is
    not compared."""

    month: BillingMonth
    invoices: Sequence[Row]
    charges: Sequence[Row]


def as_canary(settings: Settings) -> Settings:
    """The settings by which the canary's accounts and usage are read in the place of everybody's.
    Its price book is the month's own."""
    return replace(settings, renamed_folders=_FOLDERS)


def in_its_folder(name: str) -> str:
    """An input file that was read as the canary's, as it is named in messages."""
    folder, _, file = name.partition("/")
    return f"{_FOLDERS[folder]}/{file}" if folder in _FOLDERS else name


def in_its_folders(error: InvalidInput) -> InvalidInput:
    """What is wrong with inputs that were read as the canary's."""
    return InvalidInput(replace(found, file=in_its_folder(found.file)) for found in error.problems)


def canary_problems(settings: Settings) -> Sequence[Problem]:
    """What is wrong with what is expected of the canary and with its accounts; nothing where there
    is no canary. Of its usage, rating it says what is wrong."""
    storage = Storage.of(settings)
    entries = storage.entries(FOLDER)
    if not entries:
        return ()
    *_, problems = _read_all(storage, entries, settings)
    try:
        with duckdb.connect() as connection:
            load_reference(connection, as_canary(settings))
    except InvalidInput as error:
        problems += in_its_folders(error).problems
    return problems


def read_expected(settings: Settings, month: BillingMonth) -> Expected | None:
    """What is expected of the month; where nothing is said of it, of the last month before it of
    which something is, else of the first one after it. None where there is no canary."""
    storage = Storage.of(settings)
    entries = storage.entries(FOLDER)
    if not entries:
        return None
    invoices, charges, problems = _read_all(storage, entries, settings)
    if problems:
        raise InvalidInput(problems)
    months = sorted({_month(row) for row in invoices})
    chosen = max((one for one in months if one <= month), default=months[0])
    return Expected(
        chosen,
        [row for row in invoices if _month(row) == chosen],
        [row for row in charges if _month(row) == chosen],
    )


def _read_all(
    storage: Storage, entries: Sequence[Entry], settings: Settings
) -> tuple[list[Row], list[Row], list[Problem]]:
    """The invoices and the charges that are expected, and what is wrong with their files."""
    problems = list(_strangers(entries))
    invoices, charges = (
        _load(storage, table, entries, settings, problems) for table in (EXPECTED, EXPECTED_CHARGES)
    )
    if not problems and not invoices:
        problems.append(Problem(_name(EXPECTED, entries), None, None, None, "has no rows"))
    return invoices, charges, problems


def _strangers(entries: Sequence[Entry]) -> Iterator[Problem]:
    """What may be meant as a file of the canary's and is none: taken for absent, it would compare
    less than somebody believes."""
    known = [*_file(EXPECTED, entries), *_file(EXPECTED_CHARGES, entries)]
    for entry in entries:
        is_folder = entry.is_folder and f"{FOLDER}/{entry.name}" in _FOLDERS.values()
        if not is_folder and entry not in known and not entry.is_documentation:
            message = f"is not read; {FOLDER}/ holds accounts/, usage/, expected, expected_charges"
            yield Problem(f"{FOLDER}/{entry.name}", None, None, None, message)


def _name(table: Table, entries: Sequence[Entry]) -> str:
    """The name of a file in messages."""
    found = _file(table, entries)
    return f"{FOLDER}/{found[0].name if found else table.stem + '.csv'}"


def _file(table: Table, entries: Sequence[Entry]) -> list[Entry]:
    names = {f"{table.stem}{extension}" for extension in EXTENSIONS}
    return [entry for entry in entries if entry.name.lower() in names]


def _load(
    storage: Storage,
    table: Table,
    entries: Sequence[Entry],
    settings: Settings,
    problems: list[Problem],
) -> list[Row]:
    found = _file(table, entries)
    file = _name(table, entries)
    if len(found) != 1:
        if found:
            names = " and ".join(entry.name for entry in found)
            problems.append(Problem(file, None, None, None, f"is there more than once: {names}"))
        elif table.is_required:
            problems.append(
                Problem(file, None, None, None, "is missing: it says what the canary must come to")
            )
        return []
    try:
        cells = read_cells(storage, file, found, InputLimits.of(settings))
    except UnreadableFile as error:
        problems += error.problems
        return []
    faults = list(header_problems(cells, table.column_names, table.required_names))
    if not faults:
        loaded = read_table(table, cells, settings.timezone, faults)
        faults += [*key_problems(loaded), *_month_problems(loaded)]
    problems += faults
    if faults:
        return []
    return [{name: row[name] for name in table.column_names} for row in loaded.rows]


def _month_problems(loaded: LoadedTable) -> Iterator[Problem]:
    for row in loaded.rows:
        if not row.has("billing_month"):
            continue
        try:
            _month(row)
        except InvalidMonthError as error:
            yield row.problem("billing_month", str(error))


def _month(row: Row | LoadedRow) -> BillingMonth:
    return BillingMonth.parse(str(row["billing_month"]))
