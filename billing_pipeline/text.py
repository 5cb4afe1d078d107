"""Text for people: from inputs, made harmless on terminals and in spreadsheets, and counts.

What belongs here: control characters, what a spreadsheet takes for a formula, how many of
something, and the first few of many. What does not: how amounts are written (``money``), layout.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any


def printable(text: str) -> str:
    """Text without what steers a terminal (escapes, line ends, marks that turn the direction)."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def counted(count: int, what: str) -> str:
    """1 invoice, 2 invoices."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def first_few(texts: Sequence[str], most: int) -> list[str]:
    """The first `most` texts and, as the last one, how many more there are."""
    more = len(texts) - most
    return [*texts[:most], f"and {more:,} more"] if more > 0 else [*texts]


def named_few(names: Sequence[str], most: int) -> str:
    """``a, b, c and 2 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """CSV with a header: `columns`, or those of the first row. A text that a spreadsheet would
    take for a formula gets a quote before it; amounts stay amounts."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns or (rows[0] if rows else []))
    for row in rows:
        writer.writerow(_inert(value) for value in row.values())
    return out.getvalue()


def _inert(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value
