"""A table's rows as values, and the checks that need more than one row: keys and references.

What belongs here: `Row`, and turning cells into rows while collecting every problem. What does
not: rules of billing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from billing_pipeline.intake.cells import Cells
from billing_pipeline.intake.problems import Problem, shown
from billing_pipeline.intake.tables import Table
from billing_pipeline.intake.values import BadValue


@dataclass(frozen=True)
class Row:
    """One row: where it stands, its values by column, and its cells as read.

    Columns whose cell could not be read are in `bad` and have the value None: rules look there
    first, so that one wrong cell is reported once.
    """

    file: str
    number: int
    values: dict[str, object]
    cells: dict[str, str]
    bad: frozenset[str] = frozenset()

    def __getitem__(self, column: str) -> object:
        return self.values[column]

    def has(self, *columns: str) -> bool:
        """True where all these columns hold a value that could be read."""
        return all(self.values[column] is not None for column in columns)

    def problem(self, column: str | None, message: str) -> Problem:
        value = self.cells.get(column) if column else None
        return Problem(self.file, self.number, column, value, message)


@dataclass
class LoadedTable:
    """A table as far as it could be read. `is_complete` is False where rows are missing because
    the file could not be read: then nothing can be said about references to it."""

    table: Table
    file: str
    rows: list[Row] = field(default_factory=list)
    is_complete: bool = True

    def values_of(self, column: str) -> set[object]:
        return {row[column] for row in self.rows}


def read_rows(table: Table, cells: Cells, zone: ZoneInfo, problems: list[Problem]) -> list[Row]:
    """Turn cells into values, adding a problem for each cell that is none."""
    positions = {name: index for index, name in enumerate(cells.columns)}
    rows = []
    for number, texts in cells.rows:
        values: dict[str, object] = {}
        as_read: dict[str, str] = {}
        bad: set[str] = set()
        for column in table.columns:
            position = positions.get(column.name)
            if position is None:
                values[column.name] = column.default
                continue
            cell = as_read[column.name] = texts[position]
            try:
                values[column.name] = column.value(cell, zone)
            except BadValue as error:
                problems.append(Problem(cells.file, number, column.name, cell, str(error)))
                values[column.name] = None
                bad.add(column.name)
        rows.append(Row(cells.file, number, values, as_read, frozenset(bad)))
    return rows


def key_problems(loaded: LoadedTable) -> Iterable[Problem]:
    """Rows whose key another row above has already."""
    for key in loaded.table.keys:
        seen: dict[tuple[object, ...], int] = {}
        for row in loaded.rows:
            found = tuple(row[column] for column in key)
            missing = [name for name in key if row[name] is None]
            if any(name in row.bad or name not in loaded.table.null_counts for name in missing):
                continue
            first = seen.setdefault(found, row.number)
            if first != row.number:
                names = " and ".join(key)
                yield row.problem(key[0], f"this {names} is in row {first} already")


def reference_problems(loaded: LoadedTable, tables: dict[str, LoadedTable]) -> Iterable[Problem]:
    """Ids that name no row of the table they point to."""
    for reference in loaded.table.references:
        target = tables[reference.table]
        if not target.is_complete:
            continue
        known = target.values_of(reference.key)
        for row in loaded.rows:
            value = row[reference.column]
            if value is not None and value not in known:
                message = f"{shown(str(value))} is not a {reference.key} of {target.file}"
                yield row.problem(reference.column, message)
