"""What is wrong with an input, as data: one `Problem` a fault, one `InvalidInput` for them all.

What belongs here: how problems are ordered and worded as lines. What does not: finding them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_LONGEST_VALUE = 60  # characters of a cell shown in a message: enough to find it, one line


@dataclass(frozen=True)
class Problem:
    """One fault of one place of one input file.

    `file` is relative to the data directory (`catalog/prices.csv`). `row` counts as a spreadsheet
    does (the header is row 1; the first row of Parquet is 1), None where the whole file is meant;
    `column` likewise. `value` is the cell as read. `message` says what is wrong and what is
    allowed.
    """

    file: str
    row: int | None
    column: str | None
    value: str | None
    message: str

    def __str__(self) -> str:
        place = self.file
        if self.row is not None:
            place += f" row {self.row}"
        if self.column is not None:
            place += f", {self.column}"
        # What DuckDB and the system say may have several lines; a problem is one.
        return f"{place}: {' '.join(self.message.split())}"

    @property
    def order(self) -> tuple[str, int, str, str]:
        return (self.file, self.row or 0, self.column or "", self.message)


class InvalidInput(ValueError):
    """Inputs that cannot be billed from. ``str()`` has a line a problem; the last line alone says
    why nothing was priced: the one problem, or how many there are."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems), key=lambda problem: problem.order)
        lines = [str(problem) for problem in self.problems]
        if len(lines) > 1:
            files = len({problem.file for problem in self.problems})
            place = f"{files} input files" if files > 1 else self.problems[0].file
            lines.append(f"{len(lines)} problems in {place}, listed above: nothing was priced")
        super().__init__("\n".join(lines))


def shown(value: str) -> str:
    """A cell as it appears in a message: quoted, on one line, cut where it is long."""
    text = value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "…"
    return repr(text)
