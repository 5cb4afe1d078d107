"""What commands print: tables that fit the terminal, JSON, and the error that ends a command.

What belongs here: layout. What does not: which figures to print, and how an amount is written
(``money``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Literal

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from billing_pipeline.money import format_amount
from billing_pipeline.text import printable

# The number of rows that a table lists; a line below it says where the others are.
MAX_SHOWN = 40
# The width that a folding column needs to stay readable.
_FOLDED = 12


class CommandError(Exception):
    """Ends a command. `document` is what `--json` prints instead of only the reason."""

    def __init__(self, reason: str, document: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.document = document or {"success": False, "reason": reason}


@contextmanager
def writing(what: object) -> Iterator[None]:
    """Turn what the disk refuses in the block into a `CommandError` that names `what`."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{what} cannot be written: {error.strerror}") from error


def print_json(document: object, *, ensure_ascii: bool = True) -> None:
    """Print a document as JSON, with amounts in full and not as floats."""
    click.echo(json.dumps(document, default=_json_value, indent=1, ensure_ascii=ensure_ascii))


def _json_value(value: object) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


class _FittingTable(Table):
    """A table if it fits the terminal. If it does not, each row becomes a block of lines, because
    half an amount is worse than none. Without rows, only the title is printed."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.row_count and self._needs() <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        yield Text(str(self.title), style="table.title")
        widest = max(cell_len(str(column.header)) for column in self.columns)
        for number, row in enumerate(zip(*(column.cells for column in self.columns), strict=True)):
            shown = [pair for pair in zip(self.columns, row, strict=True) if str(pair[1])]
            # A row without a first cell continues the row before it.
            if number == 0 or str(row[0]):
                yield Text()
            for column, cell in shown:
                yield Text.assemble("  ", str(column.header).ljust(widest), "  ", cell)
        yield Text()

    def _needs(self) -> int:
        """The width that the table needs: the cells, a space on each side of them, and the
        edges."""
        widths = [
            max(cell_len(str(cell)) for cell in (column.header, *column.cells))
            if column.no_wrap
            else _FOLDED
            for column in self.columns
        ]
        return sum(widths) + 2 * len(widths) + 2


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, folds: str | None = None
) -> Table:
    """A table with text aligned left and numbers right; the column `folds` may take several lines.
    Cells are plain text, so a customer's name is never read as markup."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = {
        place
        for place in range(len(columns))
        if any(row[place] for row in cells) and all(_is_number(row[place]) for row in cells)
    }
    shown = _FittingTable(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True
    )
    for place, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if place in numeric else "left"
        shown.add_column(column, justify=justify, no_wrap=column != folds)
    for row in cells:
        shown.add_row(*(Text(cell) for cell in row))
    return shown


def sums(
    rows: Iterable[Mapping[str, Any]], keys: tuple[str, ...], amounts: tuple[str, ...]
) -> list[list[Any]]:
    """One row for each key, whose last part is the currency: the key, a count, and the sums."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [
        [
            *key,
            len(group),
            *(format_amount(sum(row[name] for row in group), key[-1]) for name in amounts),
        ]
        for key, group in sorted(groups.items())
    ]


def once(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows sorted by their first column, which is shown only where it changes."""
    shown: list[list[Any]] = []
    last: Any = None
    for first, *rest in rows:
        shown.append(["" if first == last else first, *rest])
        last = first
    return shown


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else printable(str(value))


def _is_number(cell: str) -> bool:
    return not cell or cell.replace(",", "").replace(".", "").lstrip("-−+").isdecimal()
