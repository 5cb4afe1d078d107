"""The expected results of the canary: `canary/expected.csv` and `canary/expected_charges.csv`.

What belongs here: the columns of these two files, reading them, choosing the month, and the
problems of all the canary's files. What does not: the rules of its accounts and usage, which are
the same as for all customers, and comparing (``rating.canary``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import duckdb

from billing_pipeline.duckdb_sql import Row
from billing_pipeline.intake.files.storage import Storage
from billing_pipeline.intake.problems import InvalidInput, Problem
from billing_pipeline.intake.reference.load import load_reference, read_tables
from billing_pipeline.intake.reference.rows import LoadedTable, key_problems
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
    """The canary's known invoices and charges in a month. An amount that is None is not
    compared."""

    month: BillingMonth
    invoices: Sequence[Row]
    charges: Sequence[Row]


def canary_settings(settings: Settings) -> Settings:
    """Settings with which the canary's accounts and usage are read in place of the real ones. The
    price book is the month's own."""
    return replace(settings, renamed_folders=_FOLDERS)


def canary_file_name(name: str) -> str:
    """The name, in messages, of an input file that was read with `canary_settings`."""
    folder, _, file = name.partition("/")
    return f"{_FOLDERS[folder]}/{file}" if folder in _FOLDERS else name


def with_canary_file_names(error: InvalidInput) -> InvalidInput:
    """The same error with the names of the canary's files, for inputs that were read with
    `canary_settings`."""
    return InvalidInput(
        replace(found, file=canary_file_name(found.file)) for found in error.problems
    )


def canary_problems(settings: Settings) -> Sequence[Problem]:
    """The problems of the canary's expected results and accounts; none if there is no canary.
    Problems of its usage are found by rating it."""
    storage = Storage.of(settings)
    if not storage.entries(FOLDER):
        return ()
    *_, problems = _read_all(storage, settings)
    try:
        with duckdb.connect() as connection:
            load_reference(connection, canary_settings(settings))
    except InvalidInput as error:
        problems += with_canary_file_names(error).problems
    return problems


def read_expected(settings: Settings, month: BillingMonth) -> Expected | None:
    """The expected results of the month. If the files do not have it, those of the last month
    before it that they have, or else of the first month after it. None if there is no canary."""
    storage = Storage.of(settings)
    if not storage.entries(FOLDER):
        return None
    invoices, charges, problems = _read_all(storage, settings)
    if problems:
        raise InvalidInput(problems)
    months = sorted({_month(row) for row in invoices})
    chosen = max((one for one in months if one <= month), default=months[0])
    return Expected(
        chosen,
        [row for row in invoices if _month(row) == chosen],
        [row for row in charges if _month(row) == chosen],
    )


def _read_all(storage: Storage, settings: Settings) -> tuple[list[Row], list[Row], list[Problem]]:
    """The expected invoices and charges, and the problems of their files."""
    problems: list[Problem] = []
    tables = read_tables(storage, (EXPECTED, EXPECTED_CHARGES), _FOLDERS, settings, problems)
    invoices, charges = tables.values()
    for loaded in (invoices, charges):
        problems += [*key_problems(loaded), *_month_problems(loaded)]
    if not problems and not invoices.numbers:
        problems.append(Problem(invoices.file, None, None, None, "has no rows"))
    return _rows(invoices), _rows(charges), problems


def _rows(loaded: LoadedTable) -> list[Row]:
    return [{name: row[name] for name in loaded.table.column_names} for row in loaded.rows]


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
