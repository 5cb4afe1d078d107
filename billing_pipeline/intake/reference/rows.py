"""A table's values, and the checks that need more than one row: keys and references.

What belongs here: `LoadedTable`, `Row`, and turning cells into values while collecting every
problem. What does not: rules of billing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from zoneinfo import ZoneInfo

from billing_pipeline.intake.problems import Problem, shown
from billing_pipeline.intake.reference.cells import Cells
from billing_pipeline.intake.reference.schemas import Column, Table
from billing_pipeline.intake.values import BadValue

_NONE_BAD: frozenset[str] = frozenset()


@dataclass
class LoadedTable:
    """A table as far as it could be read, by column: rules of one column check it as a whole, and
    rows are made only for rules that compare cells.

    `values` has each column of the table; `texts` has the cells as read, for the columns that the
    file has. `bad` has, by a row's index, the columns whose cells could not be read: their value is
    None. `is_complete` is False if rows are missing because the file could not be read: then
    references to the table cannot be checked.
    """

    table: Table
    file: str
    numbers: Sequence[int]
    values: dict[str, list[object]]
    texts: dict[str, Sequence[str]]
    bad: dict[int, frozenset[str]]
    is_complete: bool = True

    @classmethod
    def without_rows(cls, table: Table, file: str, *, is_complete: bool) -> LoadedTable:
        values: dict[str, list[object]] = {name: [] for name in table.column_names}
        return cls(table, file, (), values, {}, {}, is_complete)

    @property
    def rows(self) -> Iterator[Row]:
        return (Row(self, index) for index in range(len(self.numbers)))


@dataclass(slots=True)
class Row:
    """One row: its place in the file, its values by column, and which cells were `bad`.

    Rules check `bad` first, so that a wrong cell is reported only once.
    """

    loaded: LoadedTable
    index: int

    def __getitem__(self, column: str) -> object:
        return self.loaded.values[column][self.index]

    @property
    def number(self) -> int:
        return self.loaded.numbers[self.index]

    @property
    def bad(self) -> frozenset[str]:
        return self.loaded.bad.get(self.index, _NONE_BAD)

    def has(self, *columns: str) -> bool:
        """True if all these columns have a value that could be read."""
        return all(self[column] is not None for column in columns)

    def problem(self, column: str | None, message: str) -> Problem:
        texts = self.loaded.texts.get(column) if column else None
        value = texts[self.index] if texts else None
        return Problem(self.loaded.file, self.number, column, value, message)


def read_table(table: Table, cells: Cells, zone: ZoneInfo, problems: list[Problem]) -> LoadedTable:
    """Turn cells into values, adding a problem for each cell that has none."""
    given = dict(zip(cells.columns, cells.texts, strict=True))
    texts = {name: given[name] for name in table.column_names if name in given}
    values: dict[str, list[object]] = {}
    bad: dict[int, set[str]] = defaultdict(set)
    for column in table.columns:
        if column.name not in texts:
            values[column.name] = [column.default] * len(cells.numbers)
            continue
        column_texts = texts[column.name]
        meanings, faults = _meanings(column, column_texts, zone)
        values[column.name] = list(map(meanings.get, column_texts))
        if not faults:
            continue
        for index, text in enumerate(column_texts):
            if text in faults:
                place = (cells.file, cells.numbers[index], column.name)
                problems.append(Problem(*place, text, faults[text]))
                bad[index].add(column.name)
    frozen = {index: frozenset(names) for index, names in bad.items()}
    return LoadedTable(table, cells.file, cells.numbers, values, texts, frozen)


def _meanings(
    column: Column, texts: Iterable[str], zone: ZoneInfo
) -> tuple[dict[str, object], dict[str, str]]:
    """The value of each distinct text, and the fault of each text that has none.

    Most cells of a large table repeat others: currencies, plans, times, empty cells.
    """
    meanings: dict[str, object] = {}
    faults: dict[str, str] = {}
    for text in set(texts):
        try:
            meanings[text] = column.value(text, zone)
        except BadValue as error:
            faults[text] = str(error)
    return meanings, faults


def key_problems(loaded: LoadedTable) -> Iterable[Problem]:
    """Rows whose key a row above already has."""
    for key in loaded.table.keys:
        columns = [loaded.values[name] for name in key]
        # Counted first: in nearly every file no key is repeated, and no row needs to be checked.
        needed = [name not in loaded.table.null_counts for name in key]
        repeated = {
            found
            for found, times in Counter(zip(*columns, strict=True)).items()
            if times > 1 and None not in compress(found, needed)
        }
        if not repeated:
            continue
        first: dict[tuple[object, ...], int] = {}
        for row, found in zip(loaded.rows, zip(*columns, strict=True), strict=True):
            if found not in repeated or not row.bad.isdisjoint(key):
                continue
            number = first.setdefault(found, row.number)
            if number != row.number:
                message = f"this {' and '.join(key)} is in row {number} already"
                yield row.problem(key[0], message)


def reference_problems(loaded: LoadedTable, tables: dict[str, LoadedTable]) -> Iterable[Problem]:
    """Ids that match no row of the table to which they refer."""
    for reference in loaded.table.references:
        target = tables[reference.table]
        if not target.is_complete:
            continue
        known = set(target.values[reference.key])
        [kind] = [c.kind for c in loaded.table.columns if c.name == reference.column]
        unknown = {
            value: missing
            for value in set(loaded.values[reference.column]) - {None}
            for missing in [[name for name in _named(value, kind) if name not in known]]
            if missing
        }
        if not unknown:
            continue
        for row in loaded.rows:
            for name in unknown.get(row[reference.column], ()):
                message = f"{shown(name)} is not a {reference.key} of {target.file}"
                yield row.problem(reference.column, message)


def _named(value: object, kind: str) -> list[str]:
    return str(value).split(";") if kind == "ids" else [str(value)]
