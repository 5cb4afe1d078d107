"""Closed books: months that `BILLING_LOCKED_THROUGH` has closed, and what is billed for them later.

What belongs here: which month takes the corrections of the closed ones, how a line names the month
and the line that it corrects, and how much an invoice corrects of each month. Pure. What does not:
which lines a correction has (``plan.corrections``), and reading what was billed.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from billing_pipeline.months import BillingMonth

_CORRECTION = re.compile(r"(.+)_for_(\d{4})(\d{2})", re.DOTALL)
_MARK = re.compile(r"(\d{4}-\d{2}):(-?\d+)")


def is_closed(locked_through: BillingMonth | None, month: BillingMonth) -> bool:
    return locked_through is not None and month <= locked_through


def closed_sentence(locked_through: BillingMonth | None, month: BillingMonth) -> str | None:
    """The sentence about a month whose books are closed; None for an open month."""
    if locked_through is None or month > locked_through:
        return None
    return (
        f"the books are closed through {locked_through}: what would change {month} becomes lines "
        f"of correction on the invoices of {locked_through.shift(1)} "
        f"(`billing plan {locked_through.shift(1)}`)"
    )


def correction_id(line_id: str, month: BillingMonth, moved_to: str | None = None) -> str:
    """The id of the line that corrects a line of a closed month, on whichever invoice it stands.
    `moved_to`: the invoice of that month on which the line would stand today, if it was billed on
    another one; both may be corrected in one month."""
    moved = "" if moved_to is None else f"_on_{moved_to}"
    return f"{line_id}{moved}_for_{month.year:04}{month.month:02}"


def corrected_line(line_id: str) -> tuple[BillingMonth, str] | None:
    """The closed month, and the id of its line, that a line corrects; None for any other line."""
    found = _CORRECTION.fullmatch(line_id)
    if found is None:
        return None
    return BillingMonth(int(found[2]), int(found[3])), found[1]


def invoice_id(customer_id: str, currency: str, month: BillingMonth) -> str:
    """The id of a customer's invoice, as the models make it (dbt's macro `invoice_id`)."""
    digest = hashlib.md5(f"{customer_id}|{currency}|{month.key}".encode(), usedforsecurity=False)
    return f"in_{month.year:04}{month.month:02}_{digest.hexdigest()[:16]}"


def sums_by_month(lines: Iterable[tuple[str, int]]) -> dict[BillingMonth, int]:
    """What the lines (id and amount in minor units) correct of each closed month, added up."""
    sums: dict[BillingMonth, int] = defaultdict(int)
    for line_id, amount in lines:
        # A month may have half a million lines, and hardly any is a correction.
        found = corrected_line(line_id) if "_for_" in line_id else None
        if found is not None:
            sums[found[0]] += amount
    return dict(sorted(sums.items()))


def written_mark(sums: Mapping[BillingMonth, int]) -> str:
    """The mark that says how much an invoice corrects of each month, in minor units."""
    return " ".join(f"{month}:{amount}" for month, amount in sorted(sums.items()))


def read_mark(text: str) -> dict[BillingMonth, int]:
    """The sums of which `written_mark` made the mark, in minor units."""
    return {BillingMonth.parse(month): int(amount) for month, amount in _MARK.findall(text)}
