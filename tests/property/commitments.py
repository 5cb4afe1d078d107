"""Commitments: what was spent over the term, what fills the rest, and what goes beyond.

What belongs here: lines `commitment` and `overage`, and the lots of what was paid beforehand. What
does not: the lines that count towards them (invoicing.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from tests.property.intake import Book, amount, customers_at, flag, listed, month_edges
from tests.property.lines import Line
from tests.property.tables import Cells
from tests.property.values import EXPONENTS, instant_of, read_instant, round_half_away
from tests.property.wallets import Lot, Wallet

ZERO = Fraction(0)


@dataclass(frozen=True)
class Commitment:
    commitment_id: str
    customer_id: str
    amount: Fraction
    currency: str
    starts_at: int
    ends_at: int
    is_prepaid: bool
    price_ids: tuple[str, ...]
    overage_percent: Fraction


def commitments(book: Book) -> list[Commitment]:
    return [_commitment(row, book) for row in book.world.tables["commitments"]]


def _commitment(row: Cells, book: Book) -> Commitment:
    return Commitment(
        row["commitment_id"],
        row["customer_id"],
        amount(row["amount"]),
        row["currency"].upper(),
        read_instant(row["starts_at"], book.zone),
        read_instant(row["ends_at"], book.zone),
        row["kind"] == "prepaid",
        listed(row["price_ids"]),
        amount(row["overage_percent"]),
    )


def payer_of(book: Book, customer_id: str) -> str:
    return book.customers[customer_id].get("bill_to", "") or customer_id


def lots(book: Book) -> dict[Wallet, list[Lot]]:
    """What was paid beforehand is used first during the term, in the wallet of whoever pays the
    invoice of the month in which the term starts. Where nobody does, there is no line of it either.
    """
    found: dict[Wallet, list[Lot]] = defaultdict(list)
    for row in commitments(book):
        if row.is_prepaid:
            month = f"{instant_of(row.starts_at).astimezone(book.zone):%Y-%m}"
            last = month_edges(month, book.zone)[1] - 1
            customers = customers_at(book.world, last, book.zone)
            payer = customers[row.customer_id].get("bill_to", "") or row.customer_id
            if all(flag(customers[who]["is_payer"], True) for who in (row.customer_id, payer)):
                lot = Lot(row.commitment_id, row.starts_at, row.ends_at, 0, row.amount, True)
                found[payer, row.currency].append(lot)
    return found


def lines_of(
    book: Book,
    month: str,
    row: Commitment,
    lines: list[Line],
    spent_before: Mapping[str, Fraction],
) -> list[Line]:
    """`lines`: all charges and minimums in its currency, less their discounts."""
    start, end = month_edges(month, book.zone)
    places = EXPONENTS[row.currency]
    before = spent_before.get(row.commitment_id, ZERO)
    spent = before + sum((line.net for line in lines if _counts(book, row, line)), ZERO)
    found = []
    if row.is_prepaid and start <= row.starts_at < end:
        found.append(_line("commitment", row, row.amount, is_taxed=False))
    if not row.is_prepaid and start < row.ends_at <= end and spent < row.amount:
        missing = round_half_away(row.amount - spent, places)
        found.append(_line("commitment", row, missing))
    beyond = max(spent - row.amount, ZERO) - max(before - row.amount, ZERO)
    overage = round_half_away(beyond * row.overage_percent / 100, places)
    return [*found, _line("overage", row, overage)]


def _counts(book: Book, row: Commitment, line: Line) -> bool:
    is_theirs = row.customer_id in (line.customer_id, payer_of(book, line.customer_id))
    # What nobody is billed for is not spent.
    payers = (line.customer_id, payer_of(book, line.customer_id))
    is_billed = all(flag(book.customers[who]["is_payer"], True) for who in payers)
    is_meant = not row.price_ids or line.price_id in row.price_ids
    is_in_term = row.starts_at < line.ends_at <= row.ends_at
    return is_theirs and is_billed and is_meant and is_in_term


def _line(kind: str, row: Commitment, value: Fraction, is_taxed: bool = True) -> Line:
    return Line(
        kind,
        row.commitment_id,
        row.customer_id,
        value,
        f"{kind} {row.commitment_id}",
        is_taxed=is_taxed,
    )
