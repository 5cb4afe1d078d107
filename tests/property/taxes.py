"""Tax rates of a customer, and which of them a line has.

What belongs here: tax lines. What does not: discounts, whose shares the lines carry already.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

from tests.property.intake import Book, amount, flag, month_edges
from tests.property.lines import Line
from tests.property.tables import Cells
from tests.property.values import EXPONENTS, read_instant, round_half_away

ZERO = Fraction(0)


def taxes(
    book: Book, month: str, customer: Cells, lines: list[Line], currency: str
) -> list[tuple[Cells, Fraction]]:
    """One amount for each rate that is valid in the month's last instant."""
    if customer["tax_exempt"] in ("true", "exempt", "reverse"):
        return []
    valid = _valid_rates(book, month, customer)
    exact: dict[str, Fraction] = defaultdict(Fraction)
    for line in lines:
        rates = rates_of(line, valid)
        inclusive = sum(
            (amount(row["percentage"]) for row in rates if flag(row["inclusive"], False)), ZERO
        )
        for row in rates:
            whole = 100 + inclusive if flag(row["inclusive"], False) else 100
            exact[row["tax_rate_id"]] += line.net * amount(row["percentage"]) / whole
    return [(row, round_half_away(exact[row["tax_rate_id"]], EXPONENTS[currency])) for row in valid]


def rates_of(line: Line, valid: list[Cells]) -> list[Cells]:
    """A rate with the line's tax code displaces those without one that have the same region."""
    if not line.is_taxed:
        return []
    codes = {"", line.tax_code}
    fitting = [row for row in valid if row.get("tax_code", "") in codes]
    special = {row.get("region", "") for row in fitting if row.get("tax_code", "")}
    return [
        row for row in fitting if row.get("tax_code", "") or row.get("region", "") not in special
    ]


def _valid_rates(book: Book, month: str, customer: Cells) -> list[Cells]:
    last = month_edges(month, book.zone)[1] - 1
    return [
        row
        for row in book.world.tables["tax_rates"]
        if row["country"].upper() == customer["country"].upper()
        and row.get("region", "").upper() in ("", customer.get("region", "").upper())
        and (not row["valid_from"] or read_instant(row["valid_from"], book.zone) <= last)
        and (not row["valid_to"] or last < read_instant(row["valid_to"], book.zone))
    ]
