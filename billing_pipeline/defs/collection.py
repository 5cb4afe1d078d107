"""What the assets of the group `collection` have in common.

What belongs here: how such an asset is declared, what a run of it says of payments, and how it
fails. What does not: what any of them does (``plans``, ``sending``, ``approvals``, ``payments``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg

from billing_pipeline.collection.stripe_state.texts import clean_text
from billing_pipeline.defs.partitions import MONTHS

Rows = list[dict[str, Any]]


def collection_asset(
    deps: Sequence[dg.AssetKey | dg.AssetsDefinition] = (), *, is_optional: bool = False
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declares a monthly asset of the group. `is_optional`: its step may end without an output."""
    return dg.asset(
        partitions_def=MONTHS,
        group_name="collection",
        kinds={"stripe"},
        backfill_policy=dg.BackfillPolicy.multi_run(),
        deps=deps,
        # Without an output, the partition stays as it was.
        output_required=not is_optional,
    )


def payment_metadata(rows: Rows) -> dict[str, float]:
    """Invoices by status, and what was billed, paid and is outstanding in each currency: numbers
    that the UI plots over the months. The exact amounts are in `invoice_payments`."""
    counts = Counter(row["status"] for row in rows)
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        for amount in ("billed", "paid", "outstanding"):
            sums[f"{amount} {row['currency']}"] += row[amount]
    return {
        **{f"invoices_{status}": count for status, count in counts.items()},
        **{name: float(amount) for name, amount in sums.items()},
    }


def failed_in_part(problems: Iterable[tuple[str, str]], metadata: Mapping[str, Any]) -> dg.Failure:
    """The failure of a run in part. Names each customer once, since one cause may stop several
    steps."""
    first: dict[str, str] = {}
    for customer, why in problems:
        first.setdefault(customer, why)
    who = "; ".join(f"{customer}: {clean_text(why)}" for customer, why in first.items())
    return dg.Failure(
        description=f"failed in part, the others went on: {who}",
        metadata=metadata,
        allow_retries=False,
    )
