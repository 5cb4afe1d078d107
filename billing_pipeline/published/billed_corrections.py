"""What was billed for closed months on later months' invoices.

What belongs here: reading it from the metadata of Stripe's invoices and, where credit notes have
changed an invoice, from the versions as billed. What does not: what is to be corrected
(``collection.plan.corrections``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from billing_pipeline.collection.plan.closed_books import read_mark
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.refresh import cached_month, from_cache
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.money import to_major, to_minor
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import CORRECTIONS, billed_versions, versions_query
from billing_pipeline.published.reading import utc_session
from billing_pipeline.settings import Settings

_SUMS = """
SELECT strftime(corrected_month, '%Y-%m'), sum(amount) FILTER (WHERE NOT is_inclusive)
FROM ({corrections}) AS corrections
WHERE invoice_id = $1 AND version = $2
GROUP BY ALL
"""


class CorrectionSum(NamedTuple):
    """What an invoice of a later month has billed for a closed month, in minor units."""

    month: BillingMonth
    customer_id: str
    currency: str
    amount: int


def billed_sums(settings: Settings, cache: StripeCache) -> list[CorrectionSum]:
    """The sums of all months, as Stripe was last read."""
    marked = [from_cache(item) for item in cache.invoices.correcting()]
    months = {item.month_key for item in marked if item.is_billed and item.month_key}
    return [
        CorrectionSum(month, items[0].customer_id, items[0].currency, sum_)
        for key in sorted(months)
        for invoice_id, items in correcting_invoices(cached_month(cache, key)).items()
        if items[0].customer_id is not None
        for month, sum_ in _sums(settings, BillingMonth.parse(key), invoice_id, items).items()
        if sum_
    ]


def correcting_invoices(held: Iterable[ActualInvoice]) -> dict[str, list[ActualInvoice]]:
    """For each invoice with a correction of a closed month, everything that Stripe has billed for
    it."""
    found: dict[str, list[ActualInvoice]] = defaultdict(list)
    for item in held:
        if item.is_billed and item.invoice_id:
            found[item.invoice_id].append(item)
    return {name: items for name, items in found.items() if any(map(marked_sums, items))}


def marked_sums(item: ActualInvoice) -> dict[BillingMonth, int]:
    """The corrections that an invoice's metadata states, by closed month, in minor units."""
    return read_mark(metadata_keys.corrections_mark(item.metadata))


def net_of(items: Iterable[ActualInvoice]) -> int:
    """The amount that counts as billed by these invoices, in minor units."""
    return sum(item.net + (item.resolution.adjustment if item.resolution else 0) for item in items)


def _sums(
    settings: Settings, on: BillingMonth, invoice_id: str, items: list[ActualInvoice]
) -> Mapping[BillingMonth, int]:
    sums: dict[BillingMonth, int] = defaultdict(int)
    for item in items:
        for month, amount in marked_sums(item).items():
            sums[month] += amount
    # A credit note does not say which month's correction it reverses; the saved version does.
    if any(item.credited for item in items):
        if net_of(items) == 0:
            return {}
        saved = _saved_sums(settings, on, invoice_id, items)
        return sums if saved is None else saved
    return sums


def _saved_sums(
    settings: Settings, on: BillingMonth, invoice_id: str, items: list[ActualInvoice]
) -> dict[BillingMonth, int] | None:
    corrections, currency = versions_query(settings, on, CORRECTIONS), items[0].currency
    if corrections is None:
        return None
    with utc_session() as connection:
        total = {invoice_id: to_major(net_of(items), currency)}
        version = billed_versions(connection, settings, on, total).get(invoice_id)
        if version is None:
            return None
        found = connection.execute(
            _SUMS.format(corrections=corrections), [invoice_id, version]
        ).fetchall()
    return {BillingMonth.parse(month): to_minor(amount, currency) for month, amount in found}
