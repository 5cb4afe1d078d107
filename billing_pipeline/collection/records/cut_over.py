"""The month from which we bill, where another system billed before.

What belongs here: storing that month in ``records/cut_over.json``, and refusing to send an earlier
one. What does not: whether both systems agree (``comparison``).

A month that the other system has billed could be billed twice, and Stripe may not show it: no mark,
no invoice, another account. So the person who migrates says it once, and it is stored with what was
billed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from billing_pipeline.durable import replacing
from billing_pipeline.months import BillingMonth


class NotOurMonthError(RuntimeError):
    """Another system billed the month, so nothing may be sent for it; or the file that says so is
    damaged."""


def record_cut_over(records: Path, first: BillingMonth, **how: Any) -> None:
    """Store the first month that we bill, and `how` that was decided: what was compared."""
    records.mkdir(parents=True, exist_ok=True)
    # Half a file would refuse every month.
    with replacing(_path(records)) as draft:
        draft.write_text(json.dumps({"first_month": str(first), **how}), encoding="utf-8")


def read_cut_over(records: Path) -> BillingMonth | None:
    """The first month that we bill; None where none was set. Raises `NotOurMonthError` where the
    file is damaged."""
    try:
        found = json.loads(_path(records).read_text(encoding="utf-8"))
        return BillingMonth.parse(found["first_month"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise NotOurMonthError(
            f"{_path(records)} is damaged: restore it, or set again the first month that we bill "
            "(billing compare … --cut-over MONTH)"
        ) from error


def require_ours(records: Path, month: BillingMonth) -> None:
    """Raise `NotOurMonthError` for a month that the other system billed."""
    first = read_cut_over(records)
    if first is not None and month < first:
        raise NotOurMonthError(
            f"{month} was billed by the other system: we bill from {first} on "
            f"({_path(records)}). `billing plan {month}` and `billing compare {month}` still work"
        )


def _path(records: Path) -> Path:
    return records / "cut_over.json"
