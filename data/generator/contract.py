"""The input columns, and the one source of chance.

What belongs here: what every module of the generator needs. What does not: any data.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from billing_pipeline.intake.reference.schemas import TABLES, USAGE_COLUMNS

SEED = 20240101
MONTHS = ("2024-01", "2024-02", "2024-03", "2024-04", "2024-05", "2024-06")
SAMPLE_START = datetime(2024, 1, 1, tzinfo=UTC)
SAMPLE_END = datetime(2024, 7, 1, tzinfo=UTC)

# One row of a CSV file by column; a column that is not named is empty.
Row = Mapping[str, object]

COLUMNS: dict[str, tuple[str, ...]] = {
    **{table.path: tuple(table.column_names) for table in TABLES},
    "usage": USAGE_COLUMNS,
}


@dataclass(frozen=True)
class Event:
    """One usage event. `quantity` is decimal text, empty for 1; `properties` a JSON object;
    `subscription_id` empty where it is for all subscriptions of the customer."""

    event_id: str
    customer_id: str
    event_name: str
    occurred_at: datetime
    quantity: str = ""
    properties: str = ""
    subscription_id: str = ""


def chance(*part: object) -> random.Random:
    """The dice of one part of the sample. Each part has its own, so a part can be generated
    alone, and a change in one leaves the others as they are. Only `randrange`, `choice`,
    `choices` and `shuffle` may be used: they give the same on every Python and machine."""
    return random.Random("/".join(map(str, (SEED, *part))))


def month_window(month: str) -> tuple[datetime, datetime]:
    """The half-open window of `YYYY-MM`, in UTC."""
    year, number = map(int, month.split("-"))
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    return datetime(year, number, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC)


def iso(instant: datetime) -> str:
    """ISO 8601 in UTC with a Z, fractions only where there are any."""
    return instant.isoformat().replace("+00:00", "Z")


def cents(amount: int) -> str:
    """Whole cents as decimal text in major units: 1250 is 12.50."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"
