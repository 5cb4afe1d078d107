"""What must be true at the year's end, or after any of its months.

What belongs here: looking at what was published, at Stripe's own books and at the messages that
arrived. What does not: living through the year (`story.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import duckdb

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import open_published
from tests.year.story import Year

_NEVER_EXPECTED = {
    "an invoice differs from Stripe's": "SELECT invoice_id, state, difference FROM reconciliation"
    " WHERE state <> 'matched' OR difference <> 0",
    "a wallet differs from Stripe's": "SELECT customer_id, currency, difference"
    " FROM wallet_reconciliation WHERE difference IS DISTINCT FROM 0",
    "a plan is not carried out": "SELECT billing_month, invoice_id, action, state, reason"
    " FROM invoice_plan WHERE state <> 'done' AND billing_month < $running::DATE",
    "a closed month has drifted": "SELECT billing_month, currency, difference, cause"
    " FROM month_drift",
    "an invoice was never sent": "SELECT invoice_id FROM invoices WHERE total <> 0"
    " AND billing_month < $running::DATE"
    " AND invoice_id NOT IN (SELECT invoice_id FROM stripe_invoices WHERE status <> 'draft')",
    "a wallet is below 0": "SELECT customer_id, balance_after FROM wallet_ledger"
    " WHERE balance_after < 0",
}


def judge(year: Year) -> list[str]:
    """A sentence for everything that is not as it should be."""
    running = BillingMonth.containing(year.clock.now, year.settings.timezone)
    with open_published(year.settings) as published:
        found = [*_rows(published, running), *_months(published, running)]
    return [*year.problems, *found, *_once(year), *_notices(year)]


def _rows(published: duckdb.DuckDBPyConnection, running: BillingMonth) -> Iterator[str]:
    for what, query in _NEVER_EXPECTED.items():
        values = {"running": running.key} if "$running" in query else None
        for row in published.execute(query, values).fetchall():
            yield f"{what}: {', '.join(map(str, row))}"


def _months(published: duckdb.DuckDBPyConnection, running: BillingMonth) -> Iterator[str]:
    states = dict(
        published.execute(
            "SELECT strftime(billing_month, '%Y-%m'), any_value(state) FROM month_states GROUP BY 1"
        ).fetchall()
    )
    month = BillingMonth(2024, 1)
    while month < running:
        if states.get(str(month)) != "closed":
            yield f"{month} is not closed but {states.get(str(month), 'unknown')}"
        month = month.shift(1)


def _once(year: Year) -> Iterator[str]:
    """By Stripe's own books: each revision of an invoice is there once, each is charged once."""
    made = Counter(
        (item["metadata"].get("billing_invoice_id"), item["metadata"].get("billing_revision"))
        for item in year.stripe.all("invoice")
        if item["status"] != "draft" and item["metadata"].get("billing_invoice_id")
    )
    for (invoice, revision), count in made.items():
        if count > 1:
            yield f"{invoice} revision {revision} was sent {count} times"
    for item in year.stripe.all("invoice"):
        if item["amount_paid"] > item["total"] > 0:
            yield f"{item['id']}: {item['amount_paid']} were paid of {item['total']}"


def _notices(year: Year) -> Iterator[str]:
    counts = Counter(
        (message["title"].partition(" (")[0], line)
        for message in year.receiver.got
        for line in message["message"].splitlines()
        if not line.startswith("http")
    )
    # A message of several lines, such as a month's sums, may have a line like another's.
    several = ("Month closed", "Invoice plan waits", "Run failed", "Late usage")
    for (title, line), count in counts.items():
        if count > 1 and not title.startswith(several):
            yield f"told {count} times: {title}: {line}"
