"""Cards that will have expired when customers are charged, as far as payments have shown them.

What belongs here: asking the published view `paying_cards`. What does not: when a customer is told
(`notices`), and what an invoice plan says of it (`collection/plan/collecting.py`).
"""

from __future__ import annotations

from datetime import date

import duckdb

from billing_pipeline.published.reading import NotPublishedError, open_published
from billing_pipeline.settings import Settings


def cards_expiring_before(settings: Settings, day: date) -> dict[str, date]:
    """By customer, the last day of the card that paid last, where it is before `day`. Empty where
    nothing is published yet, or only by an earlier release."""
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
