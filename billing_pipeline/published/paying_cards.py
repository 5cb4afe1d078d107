"""Cards that will have expired when customers are charged, as far as past payments show.

What belongs here: asking the published view `paying_cards`. What does not: when a customer is
notified (``notices``), and what an invoice plan says about it (``collection.plan.collecting``).
"""

from __future__ import annotations

from datetime import date

import duckdb

from billing_pipeline.published.reading import NotPublishedError, open_published
from billing_pipeline.settings import Settings


def cards_expiring_before(settings: Settings, day: date) -> dict[str, date]:
    """For each customer whose most recently used card expires before `day`, the last day of that
    card. Empty if nothing has been published yet, or only by an earlier release."""
    try:
        with open_published(settings) as published:
            found = published.execute(
                "SELECT customer_id, card_expires FROM paying_cards WHERE card_expires < $1"
                " ORDER BY customer_id",
                [day],
            ).fetchall()
    except (NotPublishedError, duckdb.CatalogException):
        return {}
    return dict(found)
