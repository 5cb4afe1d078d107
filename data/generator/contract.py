"""The input columns, and the one source of chance.

What belongs here: what every module of the generator needs. What does not: any data.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

SEED = 20240101
MONTHS = ("2024-01", "2024-02", "2024-03", "2024-04", "2024-05", "2024-06")
SAMPLE_START = datetime(2024, 1, 1, tzinfo=UTC)
SAMPLE_END = datetime(2024, 7, 1, tzinfo=UTC)

# One row of a CSV file by column; a column that is not named is empty.
Row = Mapping[str, object]

COLUMNS: dict[str, tuple[str, ...]] = {
    "catalog/meters": ("meter_id", "event_name", "aggregation", "property", "carry_forward"),
    "catalog/plans": ("plan_id", "name", "trial_days", "billing_cycle"),
    "catalog/prices": (
        "price_id",
        "plan_id",
        "meter_id",
        "description",
        "currency",
        "charge_model",
        "unit_amount",
        "flat_amount",
        "package_size",
        "percentage",
        "included_quantity",
        "quantity_rounding",
        "minimum_amount",
        "maximum_amount",
        "filter",
        "timing",
        "prorate",
        "valid_from",
        "valid_to",
    ),
    "catalog/price_tiers": ("price_id", "up_to", "unit_amount", "flat_amount", "percentage"),
    "catalog/entitlements": ("plan_id", "feature", "meter_id", "limit_quantity", "soft_limit"),
    "catalog/coupons": (
        "coupon_id",
        "percent_off",
        "amount_off",
        "currency",
        "duration",
        "duration_in_months",
    ),
    "catalog/tax_rates": (
        "tax_rate_id",
        "country",
        "percentage",
        "inclusive",
        "description",
        "valid_from",
        "valid_to",
    ),
    "accounts/customers": (
        "customer_id",
        "name",
        "email",
        "country",
        "currency",
        "stripe_customer_id",
        "is_payer",
        "collection_method",
        "days_until_due",
        "payment_method",
        "tax_exempt",
        "address",
        "tax_id",
    ),
    "accounts/seller": (
        "name",
        "address",
        "country",
        "tax_id",
        "email",
        "website",
        "bank_account",
        "note",
    ),
    "accounts/subscriptions": (
        "subscription_id",
        "customer_id",
        "plan_id",
        "quantity",
        "starts_at",
        "ends_at",
        "trial_ends_at",
        "coupon_id",
        "minimum_amount",
    ),
    "accounts/wallet_transactions": (
        "transaction_id",
        "customer_id",
        "amount",
        "currency",
        "occurred_at",
        "kind",
        "reference",
    ),
    "accounts/usage_corrections": (
        "correction_id",
        "customer_id",
        "event_name",
        "occurred_at",
        "quantity",
        "properties",
        "reason",
        "author",
    ),
    "usage": ("event_id", "customer_id", "event_name", "occurred_at", "quantity", "properties"),
}


@dataclass(frozen=True)
class Event:
    """One usage event. `quantity` is decimal text, empty for 1; `properties` a JSON object."""

    event_id: str
    customer_id: str
    event_name: str
    occurred_at: datetime
    quantity: str = ""
    properties: str = ""


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
