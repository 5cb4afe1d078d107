"""What is wrong with inputs, as data: one `Problem` for each fault, one `InvalidInput` for them
all.

What belongs here: sorting problems and wording them as lines. What does not: finding them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from billing_pipeline.durable import replacing
from billing_pipeline.text import printable

MAX_LINES = 100  # shown; more than anybody reads, and the file has the rest

_MAX_SPANS = 10  # of consecutive rows that one line names
_MAX_SHOWN_LENGTH = 60  # characters of a cell shown in a message: enough to find it, one line


@dataclass(frozen=True)
class Problem:
    """One fault in one place of an input file.

    `file` is relative to the data directory (`catalog/prices.csv`). `row` counts as a spreadsheet
    does (the header is row 1; the first row of Parquet is 1) and is None if the whole file is
    meant; `column` likewise. `value` is the cell as read. `message` says what is wrong and what is
    allowed.
    """

    file: str
    row: int | None
    column: str | None
    value: str | None
    message: str

    def __str__(self) -> str:
        return self.at(None if self.row is None else f"row {self.row}")

    def at(self, rows: str | None) -> str:
        """One line, about these rows."""
        place = self.file if rows is None else f"{self.file} {rows}"
        if self.column is not None:
            place += f", {self.column}"
        # Messages of DuckDB and the system may have several lines; a problem has one.
        return printable(f"{place}: {' '.join(self.message.split())}")

    @property
    def order(self) -> tuple[str, int, str, str]:
        return (self.file, self.row or 0, self.column or "", self.message)


class InvalidInput(ValueError):
    """The inputs cannot be billed.

    ``str()`` has a line for each problem, shared by all rows with the same one, and stops after
    `MAX_LINES`, because it is shown on terminals and in the run history. Its last line alone says
    why nothing was priced: the only problem, or how many there are.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems), key=lambda problem: problem.order)
        self.lines = _lines(self.problems)
        super().__init__(self._text("the first of them listed above"))

    def message(self, folder: Path) -> str:
        """``str()``. If that leaves lines out, it names a file in `folder` that has them all."""
        if len(self.lines) <= MAX_LINES:
            return str(self)
        path = folder / "input-problems.txt"
        text = "\n".join([*self.lines, ""])
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(path) as unfinished:
                unfinished.write_text(text, encoding="utf-8", errors="replace")
        except OSError:
            return str(self)  # why nothing was priced must be said on a full disk, too
        return self._text(f"the first {MAX_LINES} lines above, all of them in {path}")

    def _text(self, where: str) -> str:
        lines = self.lines[:MAX_LINES]
        if len(self.lines) > 1:
            files = len({problem.file for problem in self.problems})
            place = f"{files:,} input files" if files > 1 else self.problems[0].file
            seen = "listed above" if len(lines) == len(self.lines) else where
            lines.append(f"{len(self.problems):,} problems in {place}, {seen}: nothing was priced")
        return "\n".join(lines)


def _lines(problems: Iterable[Problem]) -> list[str]:
    """A line for each problem, in order; rows of a file with the same problem share a line."""
    same: dict[tuple[str, str | None, str, bool], list[Problem]] = defaultdict(list)
    for problem in problems:
        key = (problem.file, problem.column, problem.message, problem.row is None)
        same[key].append(problem)
    return [
        str(group[0]) if len(group) == 1 else group[0].at(_rows_text(group))
        for group in same.values()
    ]


def _rows_text(group: Sequence[Problem]) -> str:
    """`rows 2-61, 70 and 1,940 more`, of problems in the order of their rows."""
    spans: list[list[int]] = []
    for row in sorted({problem.row or 0 for problem in group}):
        if spans and row == spans[-1][1] + 1:
            spans[-1][1] = row
        else:
            spans.append([row, row])
    shown_spans, others = spans[:_MAX_SPANS], spans[_MAX_SPANS:]
    text = ", ".join(
        str(first) if first == last else f"{first}-{last}" for first, last in shown_spans
    )
    more = sum(last - first + 1 for first, last in others)
    return f"rows {text} and {more:,} more" if more else f"rows {text}"


def shown(value: str) -> str:
    """A cell as it appears in a message: quoted, on one line, cut where it is long."""
    text = value if len(value) <= _MAX_SHOWN_LENGTH else value[:_MAX_SHOWN_LENGTH] + "…"
    return repr(text)
