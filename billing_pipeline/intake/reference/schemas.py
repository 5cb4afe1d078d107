"""The tables of catalog/ and accounts/: their columns, types, keys and references, as data.

What belongs here: what one cell or one key must be. What does not: rules between cells
(catalog_rules.py, account_rules.py), and the reading of text (values.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing_pipeline.intake import values
from billing_pipeline.intake.problems import shown
from billing_pipeline.intake.values import BadValue

MONEY_PLACES = 12
QUANTITY_PLACES = 18

CHARGE_MODELS = (
    "flat",
    "per_unit",
    "graduated",
    "volume",
    "package",
    "percentage",
    "graduated_percentage",
    "dynamic",
)
AGGREGATIONS = (
    "count",
    "sum",
    "max",
    "latest",
    "unique_count",
    "p95",
    "time_weighted_average",
    "custom",
)

_SQL_TYPES = {
    "id": "VARCHAR",
    "text": "VARCHAR",
    "choice": "VARCHAR",
    "currency": "VARCHAR",
    "country": "VARCHAR",
    "json": "VARCHAR",
    "boolean": "BOOLEAN",
    "tax_exempt": "BOOLEAN",
    "integer": "INTEGER",
    "instant": "TIMESTAMPTZ",
    "money": f"DECIMAL(38,{MONEY_PLACES})",
    "quantity": f"DECIMAL(38,{QUANTITY_PLACES})",
}


@dataclass(frozen=True)
class Column:
    """One column. `kind` is a key of the types above; `allowed` the words of a `choice`, which
    messages call a `label`. Numbers must not be negative unless `is_signed`, nor 0 where
    `is_positive`. An empty cell gives `default`, except where it is `required`."""

    name: str
    kind: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    label: str = ""
    is_signed: bool = False
    is_positive: bool = False
    default: object = None

    @property
    def sql_type(self) -> str:
        return _SQL_TYPES[self.kind]

    def value(self, cell: str, zone: ZoneInfo) -> object:
        """The cell's value; raises `BadValue`."""
        text = cell if self.kind == "text" else cell.strip()
        if not text.strip():
            if self.required:
                raise BadValue("is empty and must not be")
            return self.default
        if self.kind in _PLAIN:
            return _PLAIN[self.kind](text)
        if self.kind == "instant":
            return values.instant(text, zone)
        if self.kind == "choice":
            return values.choice(text, self.allowed, self.label or self.name.replace("_", " "))
        if self.kind == "json":
            return values.json_text(values.json_object(text))
        if self.kind in ("money", "quantity"):
            places = MONEY_PLACES if self.kind == "money" else QUANTITY_PLACES
            return self._within_sign(values.decimal(text, places), text)
        return self._within_sign(values.integer(text), text)

    def _within_sign(self, number: Decimal | int, text: str) -> Decimal | int:
        if self.is_positive and number <= 0:
            raise BadValue(f"{shown(text)} is not above 0")
        if not self.is_signed and number < 0:
            raise BadValue(f"{shown(text)} is negative; allowed: 0 or more")
        return number


_PLAIN: dict[str, Callable[[str], object]] = {
    "id": values.identifier,
    "text": lambda text: text.replace("\x00", ""),
    "currency": values.currency,
    "country": values.country,
    "boolean": values.boolean,
    "tax_exempt": values.tax_exempt,
}


@dataclass(frozen=True)
class Reference:
    """`column` (where not empty) must be a `key` of `table`."""

    column: str
    table: str
    key: str


@dataclass(frozen=True)
class Table:
    """One input file. Each tuple of `keys` is unique among rows where none of it is missing,
    except that the columns of `null_counts` may be: there, empty is a value like any other."""

    name: str
    folder: str
    columns: tuple[Column, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    references: tuple[Reference, ...] = ()
    null_counts: tuple[str, ...] = ()
    is_required: bool = False

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def required_names(self) -> list[str]:
        return [column.name for column in self.columns if column.required]


def _money(name: str) -> Column:
    return Column(name, "money")


_VALIDITY = (Column("valid_from", "instant"), Column("valid_to", "instant"))

METERS = Table(
    "meters",
    "catalog",
    (
        Column("meter_id", "id", required=True),
        Column("event_name", "id"),
        Column("aggregation", "choice", required=True, allowed=AGGREGATIONS),
        Column("property", "id"),
        Column("carry_forward", "boolean", default=False),
    ),
    keys=(("meter_id",),),
)
PLANS = Table(
    "plans",
    "catalog",
    (
        Column("plan_id", "id", required=True),
        Column("name", "text"),
        Column("trial_days", "integer", default=0),
        Column(
            "billing_cycle",
            "choice",
            allowed=("calendar_month", "30_days"),
            default="calendar_month",
        ),
    ),
    keys=(("plan_id",),),
)
PRICES = Table(
    "prices",
    "catalog",
    (
        Column("price_id", "id", required=True),
        Column("plan_id", "id", required=True),
        Column("meter_id", "id"),
        Column("description", "text"),
        Column("currency", "currency"),
        Column("charge_model", "choice", required=True, allowed=CHARGE_MODELS),
        _money("unit_amount"),
        _money("flat_amount"),
        Column("package_size", "quantity", is_positive=True),
        _money("percentage"),
        Column("included_quantity", "quantity"),
        Column(
            "quantity_rounding",
            "choice",
            allowed=("none", "up", "down", "half_up"),
            default="none",
        ),
        _money("minimum_amount"),
        _money("maximum_amount"),
        Column("filter", "json"),
        Column("timing", "choice", allowed=("arrears", "advance"), default="arrears"),
        Column("prorate", "boolean"),
        *_VALIDITY,
    ),
    keys=(("price_id", "valid_from"),),
    references=(
        Reference("plan_id", "plans", "plan_id"),
        Reference("meter_id", "meters", "meter_id"),
    ),
    null_counts=("valid_from",),
)
PRICE_TIERS = Table(
    "price_tiers",
    "catalog",
    (
        Column("price_id", "id", required=True),
        Column("up_to", "quantity"),
        _money("unit_amount"),
        _money("flat_amount"),
        _money("percentage"),
    ),
    keys=(("price_id", "up_to"),),
    references=(Reference("price_id", "prices", "price_id"),),
    null_counts=("up_to",),
)
ENTITLEMENTS = Table(
    "entitlements",
    "catalog",
    (
        Column("plan_id", "id", required=True),
        Column("feature", "id", required=True),
        Column("meter_id", "id"),
        Column("limit_quantity", "quantity"),
        Column("soft_limit", "boolean", default=False),
    ),
    keys=(("plan_id", "feature"),),
    references=(
        Reference("plan_id", "plans", "plan_id"),
        Reference("meter_id", "meters", "meter_id"),
    ),
)
COUPONS = Table(
    "coupons",
    "catalog",
    (
        Column("coupon_id", "id", required=True),
        _money("percent_off"),
        Column("amount_off", "money", is_positive=True),
        Column("currency", "currency"),
        Column("duration", "choice", required=True, allowed=("once", "repeating", "forever")),
        Column("duration_in_months", "integer"),
    ),
    keys=(("coupon_id",),),
)
TAX_RATES = Table(
    "tax_rates",
    "catalog",
    (
        Column("tax_rate_id", "id", required=True),
        Column("country", "country", required=True),
        Column("percentage", "money", required=True),
        Column("inclusive", "boolean", default=False),
        Column("description", "text"),
        *_VALIDITY,
    ),
    keys=(("tax_rate_id",),),
)
CUSTOMERS = Table(
    "customers",
    "accounts",
    (
        Column("customer_id", "id", required=True),
        Column("name", "text"),
        Column("email", "text"),
        Column("country", "country"),
        Column("currency", "currency", required=True),
        Column("stripe_customer_id", "id"),
        Column("is_payer", "boolean", default=True),
        Column(
            "collection_method",
            "choice",
            allowed=("charge_automatically", "send_invoice"),
            default="charge_automatically",
        ),
        Column("days_until_due", "integer"),
        Column("payment_method", "id"),
        Column("tax_exempt", "tax_exempt", default=False),
        Column("address", "text"),
        Column("tax_id", "text"),
    ),
    # Two customers behind one Stripe customer would find each other's invoices as their own.
    keys=(("customer_id",), ("stripe_customer_id",)),
    is_required=True,
)
SELLER = Table(
    "seller",
    "accounts",
    (
        Column("name", "text", required=True),
        Column("address", "text"),
        Column("country", "country"),
        Column("tax_id", "text"),
        Column("email", "text"),
        Column("website", "text"),
        Column("bank_account", "text"),
        Column("note", "text"),
    ),
    keys=(("name",),),
)
SUBSCRIPTIONS = Table(
    "subscriptions",
    "accounts",
    (
        Column("subscription_id", "id", required=True),
        Column("customer_id", "id", required=True),
        Column("plan_id", "id", required=True),
        Column("quantity", "quantity", default=1),
        Column("starts_at", "instant", required=True),
        Column("ends_at", "instant"),
        Column("trial_ends_at", "instant"),
        Column("coupon_id", "id"),
        _money("minimum_amount"),
    ),
    keys=(("subscription_id",),),
    references=(
        Reference("customer_id", "customers", "customer_id"),
        Reference("plan_id", "plans", "plan_id"),
        Reference("coupon_id", "coupons", "coupon_id"),
    ),
)
WALLET_TRANSACTIONS = Table(
    "wallet_transactions",
    "accounts",
    (
        Column("transaction_id", "id", required=True),
        Column("customer_id", "id", required=True),
        Column("amount", "money", required=True, is_signed=True),
        Column("currency", "currency", required=True),
        Column("occurred_at", "instant", required=True),
        Column(
            "kind",
            "choice",
            required=True,
            allowed=("top_up", "grant", "refund", "expiry"),
            label="kind of wallet transaction",
        ),
        Column("reference", "text"),
    ),
    keys=(("transaction_id",),),
    references=(Reference("customer_id", "customers", "customer_id"),),
)
USAGE_CORRECTIONS = Table(
    "usage_corrections",
    "accounts",
    (
        Column("correction_id", "id", required=True),
        Column("customer_id", "id", required=True),
        Column("event_name", "id", required=True),
        Column("occurred_at", "instant", required=True),
        Column("quantity", "quantity", required=True, is_signed=True),
        Column("properties", "json"),
        Column("reason", "text"),
        Column("author", "text"),
    ),
    keys=(("correction_id",),),
    references=(Reference("customer_id", "customers", "customer_id"),),
)

TABLES = (
    METERS,
    PLANS,
    PRICES,
    PRICE_TIERS,
    ENTITLEMENTS,
    COUPONS,
    TAX_RATES,
    CUSTOMERS,
    SELLER,
    SUBSCRIPTIONS,
    WALLET_TRANSACTIONS,
    USAGE_CORRECTIONS,
)
