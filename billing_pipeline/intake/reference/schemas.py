"""The tables of catalog/ and accounts/, and usage: columns, types, keys and references, as data.

What belongs here: the rules of single cells and keys, and their descriptions for people. What does
not: rules between cells (catalog_rules.py, account_rules.py), and reading text (values.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa

from billing_pipeline.intake import values
from billing_pipeline.intake.problems import shown
from billing_pipeline.intake.reference.dbt_vars import (
    ACCOUNTS,
    AGGREGATION_KINDS,
    AGGREGATIONS,
    CHARGE_MODELS,
)
from billing_pipeline.intake.values import BadValue

MONEY_PLACES = 12
# As many as one usage quantity may have. A larger amount is a typing error, and would stop the
# models, which compute in 38 digits, where its row is no longer known.
_MONEY_DIGITS = 15
QUANTITY_PLACES = 18

_TYPES = {
    "id": pa.string(),
    "ids": pa.string(),
    "text": pa.string(),
    "choice": pa.string(),
    "currency": pa.string(),
    "country": pa.string(),
    "json": pa.string(),
    "boolean": pa.bool_(),
    "tax_exempt": pa.bool_(),
    "integer": pa.int32(),
    "instant": pa.timestamp("us", tz="UTC"),
    "money": pa.decimal128(38, MONEY_PLACES),
    "quantity": pa.decimal128(38, QUANTITY_PLACES),
}


@dataclass(frozen=True)
class Column:
    """One column, and its description for people. `kind` is a key of the types above; `allowed` the
    words of a `choice`, which messages call a `label`; `allowed_text` names them more briefly.
    Numbers must not be negative unless `is_signed`, nor 0 if `is_positive`. An empty cell means
    `default`, unless the column is `required`."""

    name: str
    kind: str
    description: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    allowed_text: tuple[str, ...] = ()
    label: str = ""
    is_signed: bool = False
    is_positive: bool = False
    default: object = None

    @property
    def type(self) -> pa.DataType:
        return _TYPES[self.kind]

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
            label = self.label or self.name.replace("_", " ")
            return values.choice(text, self.allowed, label, self.allowed_text)
        if self.kind == "json":
            return values.json_text(values.json_object(text))
        if self.kind == "money":
            number = values.decimal(text, MONEY_PLACES, _MONEY_DIGITS)
            return self._within_sign(number, text)
        if self.kind == "quantity":
            return self._within_sign(values.decimal(text, QUANTITY_PLACES), text)
        return self._within_sign(values.integer(text), text)

    def _within_sign(self, number: Decimal | int, text: str) -> Decimal | int:
        if self.is_positive and number <= 0:
            raise BadValue(f"{shown(text)} is not above 0")
        if not self.is_signed and number < 0:
            raise BadValue(f"{shown(text)} is negative; allowed: 0 or more")
        return number


_PLAIN: dict[str, Callable[[str], object]] = {
    "id": values.identifier,
    "ids": values.identifiers,
    "text": lambda text: text.replace("\x00", ""),
    "currency": values.currency,
    "country": values.country,
    "boolean": values.boolean,
    "tax_exempt": values.tax_exempt,
}


def _used_by(amount: str) -> str:
    """Which charge models use an amount of a price."""
    models = [
        name for name, model in CHARGE_MODELS.items() if amount in (*model.needs, *model.may_use)
    ]
    return "for " + ", ".join(f"`{name}`" for name in models)


@dataclass(frozen=True)
class Reference:
    """`column`, unless empty, must be a `key` of `table`, or several keys if its kind is `ids`."""

    column: str
    table: str
    key: str


@dataclass(frozen=True)
class Table:
    """One input file, and what it contains. Each tuple of `keys` is unique among the rows that have
    all of its columns; in the columns of `null_counts`, empty counts as a value. `keeps_rows`: the
    models get each row's number, as `source_row`. `file_name`: the file's name without its
    extension, if it is not the table's name. `refused`: columns that people might expect here but
    that have no effect, with the reason."""

    name: str
    folder: str
    description: str
    columns: tuple[Column, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    references: tuple[Reference, ...] = ()
    null_counts: tuple[str, ...] = ()
    is_required: bool = False
    keeps_rows: bool = False
    file_name: str = ""
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def stem(self) -> str:
        return self.file_name or self.name

    @property
    def path(self) -> str:
        """The file in the data directory, without its extension."""
        return f"{self.folder}/{self.stem}"

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def required_names(self) -> list[str]:
        return [column.name for column in self.columns if column.required]


_VALIDITY = (
    Column("valid_from", "instant", "the first instant at which the row counts"),
    Column("valid_to", "instant", "the first instant at which it no longer does"),
)
PLACEHOLDERS = ("{month}", "{quantity}", "{events}", "{amount}")

_AGGREGATION_NAMES = tuple(
    "p1 to p99" if kind == "percentile" else kind for kind in AGGREGATION_KINDS
)

METERS = Table(
    "meters",
    "catalog",
    "how events become a quantity",
    (
        Column("meter_id", "id", "its name", required=True),
        Column("event_name", "id", "the events that it reads; only `custom` can do without"),
        Column(
            "aggregation",
            "choice",
            "what is made of them; `custom` is SQL of your own",
            required=True,
            allowed=tuple(AGGREGATIONS),
            allowed_text=_AGGREGATION_NAMES,
        ),
        Column(
            "property",
            "id",
            "the key of the event's `properties` that holds the value; empty: its `quantity`",
        ),
        Column(
            "carry_forward",
            "boolean",
            "`true` for a gauge: the last value holds until the next one, into later months too",
            default=False,
        ),
        Column(
            "group_by",
            "text",
            "keys of `properties`, separated by `;`: the aggregation is made for each combination "
            "of their values, and the results are added up",
        ),
        Column(
            "bucket",
            "choice",
            "the aggregation is made within each hour or day of the billing time zone, and the "
            "results are added up",
            allowed=("hour", "day"),
        ),
        Column(
            "event_rounding",
            "quantity",
            "each event's value is first rounded up to a multiple of this number",
            is_positive=True,
        ),
    ),
    keys=(("meter_id",),),
)
PLANS = Table(
    "plans",
    "catalog",
    "what a customer subscribes to",
    (
        Column("plan_id", "id", "its name in other files", required=True),
        Column("name", "text", "its name for people"),
        Column(
            "trial_days",
            "integer",
            "free days of a customer's first subscription. Empty: those of the plan in `based_on`, "
            "else `0`",
        ),
        Column(
            "billing_cycle",
            "choice",
            "`30_days` and `anniversary` (months) are counted from the subscription's start. "
            "Empty: that of the plan in `based_on`, else `calendar_month`",
            allowed=("calendar_month", "30_days", "anniversary"),
        ),
        Column(
            "based_on",
            "id",
            "another plan, whose prices and entitlements this one has too, but those that its own "
            "rows replace",
        ),
    ),
    keys=(("plan_id",),),
    references=(Reference("based_on", "plans", "plan_id"),),
)
PRICES = Table(
    "prices",
    "catalog",
    "the rules that make an amount of a quantity",
    (
        Column("price_id", "id", "one price; its versions share it", required=True),
        Column("plan_id", "id", "all prices of a plan apply", required=True),
        Column(
            "meter_id",
            "id",
            "what it charges for; empty: a recurring fee, times the subscription's `quantity`",
        ),
        Column(
            "description",
            "text",
            "the invoice line's text; may use " + ", ".join(f"`{name}`" for name in PLACEHOLDERS),
        ),
        Column("currency", "currency", "empty: the customer's"),
        Column(
            "charge_model",
            "choice",
            "how the amount is computed",
            required=True,
            allowed=tuple(CHARGE_MODELS),
        ),
        Column("unit_amount", "money", _used_by("unit_amount")),
        Column(
            "flat_amount",
            "money",
            f"{_used_by('flat_amount')}; `percentage` takes it for each event",
        ),
        Column("package_size", "quantity", "units in a package", is_positive=True),
        Column("percentage", "money", "2.5 means 2.5 %"),
        Column("included_quantity", "quantity", "taken off before anything is charged"),
        Column(
            "included_per",
            "choice",
            "`seat`: `included_quantity` is times the subscription's `quantity`, on average over "
            "the service period",
            allowed=("seat",),
        ),
        Column(
            "quantity_rounding",
            "choice",
            "to whole units",
            allowed=("none", "up", "down", "half_up"),
            default="none",
        ),
        Column("minimum_amount", "money", "the least that the line comes to"),
        Column("maximum_amount", "money", "the most that the line comes to"),
        Column(
            "event_minimum_amount",
            "money",
            f"{_used_by('event_minimum_amount')}: the least that one event's percentage comes to",
        ),
        Column(
            "event_maximum_amount",
            "money",
            f"{_used_by('event_maximum_amount')}: the most that one event's percentage comes to",
        ),
        Column(
            "free_events",
            "integer",
            f"{_used_by('free_events')}: so many events of each service period cost nothing, the "
            "first by time and then id",
        ),
        Column(
            "filter",
            "json",
            "a JSON object: only events with these properties count; a value may be a list of "
            'texts, or bounds of a number: `{"above": "5", "up_to": "10"}`',
        ),
        Column(
            "filter_rest",
            "boolean",
            "`true`: only events that match the `filter` of no other price of the plan and meter",
            default=False,
        ),
        Column(
            "timing",
            "choice",
            "`advance` for fees of the coming period",
            allowed=("arrears", "advance"),
            default="arrears",
        ),
        Column(
            "interval",
            "choice",
            "the price's own billing period; empty: a month of the plan's `billing_cycle`",
            allowed=("week", "month", "quarter", "half_year", "year"),
        ),
        Column(
            "prorate",
            "boolean",
            "`true`: a fee or a gauge is charged for the share of the period; of usage that adds "
            "up, the included quantity and the bounds are scaled. Empty: `true` for fees and "
            "gauges, else `false`",
        ),
        *_VALIDITY,
        Column("tax_code", "id", "the kind of goods, where some have a tax rate of their own"),
        Column(
            "replaces",
            "id",
            "a price of the plan that the row's plan is based on, which does not count there while "
            "this row is valid",
        ),
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
    "tiers of "
    + ", ".join(f"`{name}`" for name, model in CHARGE_MODELS.items() if model.tier_rate)
    + " prices",
    (
        Column("price_id", "id", "whose tier it is", required=True),
        Column("up_to", "quantity", "the last unit of the tier; empty: no bound"),
        Column("unit_amount", "money", "what a unit costs there"),
        Column("flat_amount", "money", "what entering the tier costs"),
        Column("percentage", "money", "what a hundred costs there"),
        Column(
            "valid_from",
            "instant",
            "the `valid_from` of the version of the price whose tiers these are; empty: of every "
            "version that has none of its own",
        ),
    ),
    keys=(("price_id", "valid_from", "up_to"),),
    references=(Reference("price_id", "prices", "price_id"),),
    null_counts=("valid_from", "up_to"),
)
_COST_DESCRIPTIONS = {
    "price_id": "one cost; its versions share it",
    "meter_id": "whose usage it is the cost of",
    "description": "for your notes",
    "timing": "costs are of what was used: in arrears",
    "filter_rest": "`true`: only events that match the `filter` of no other cost of the meter",
    "interval": "the cost's own period; empty: a month of the plan's `billing_cycle`. Does not "
    "count on plans of `30_days`, nor for usage of no plan, which is that of a calendar month",
    "prorate": "as of prices, for the time that usage is counted for one subscription",
    "tax_code": "not of costs: leave it empty",
    "replaces": "not of costs: leave it empty",
}
COST_PRICES = Table(
    "cost_prices",
    "catalog/costs",
    "what a meter's usage costs you",
    tuple(
        replace(
            column,
            description=_COST_DESCRIPTIONS.get(column.name, column.description),
            required=column.required or column.name == "meter_id",
        )
        for column in PRICES.columns
        if column.name != "plan_id"
    ),
    keys=PRICES.keys,
    references=(Reference("meter_id", "meters", "meter_id"),),
    null_counts=PRICES.null_counts,
    file_name="prices",
    refused=(("plan_id", "costs are of no plan: what usage costs does not depend on who buys it"),),
)
COST_PRICE_TIERS = replace(
    PRICE_TIERS,
    name="cost_price_tiers",
    folder="catalog/costs",
    description=f"{PRICE_TIERS.description} in catalog/costs/prices.csv",
    references=(Reference("price_id", "cost_prices", "price_id"),),
    file_name="price_tiers",
)
ENTITLEMENTS = Table(
    "entitlements",
    "catalog",
    "limits and features of plans",
    (
        Column("plan_id", "id", "the plan that has it", required=True),
        Column("feature", "id", "its name for your application", required=True),
        Column("meter_id", "id", "what is measured; empty: a plain feature"),
        Column("limit_quantity", "quantity", "empty: unlimited"),
        Column(
            "soft_limit",
            "boolean",
            "`true`: reported, not enforced by your application",
            default=False,
        ),
        Column(
            "replaces",
            "id",
            "a feature of the plan that the row's plan is based on, in whose place this one is",
        ),
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
    "discounts on a subscription's lines",
    (
        Column("coupon_id", "id", "its name", required=True),
        Column("percent_off", "money", "a part of them; 10 means 10 %"),
        Column("amount_off", "money", "or an amount of `currency`", is_positive=True),
        Column("currency", "currency", "of `amount_off`"),
        Column(
            "duration",
            "choice",
            "on how many invoices, from the first",
            required=True,
            allowed=("once", "repeating", "forever"),
        ),
        Column("duration_in_months", "integer", "of `repeating`"),
        Column(
            "price_ids", "ids", "only the lines of these prices, separated by `;`; empty: all lines"
        ),
    ),
    keys=(("coupon_id",),),
    references=(Reference("price_ids", "prices", "price_id"),),
)
TAX_RATES = Table(
    "tax_rates",
    "catalog",
    "tax by the customer's country and region",
    (
        Column("tax_rate_id", "id", "its name; its versions share it", required=True),
        Column("country", "country", "two letters; it applies to customers of that country", True),
        Column("percentage", "money", "19 means 19 %", required=True),
        Column("inclusive", "boolean", "`true`: prices contain it", default=False),
        Column("description", "text", "on the invoice"),
        *_VALIDITY,
        Column("region", "id", "the customer's `region`; empty: every one of the country"),
        Column(
            "tax_code",
            "id",
            "the price's; empty: whatever has no rate of its own. Rates with a code replace those "
            "without one that have the same `region`; all others add up",
        ),
    ),
    keys=(("tax_rate_id", "valid_from"),),
    null_counts=("valid_from",),
)
OTHER_SOURCE = "other"
"""The name of the source of usage files that match no pattern."""
SOURCES = Table(
    "sources",
    "catalog",
    "where usage comes from, so that a file that never came is noticed",
    (
        Column("source", "id", "its name; `other` is what matches no row", required=True),
        Column(
            "file_pattern",
            "text",
            "the names of its files in a month's folder: `*` any text, `?` any character; a file "
            "belongs to the first row that matches, for example `gateway-*.csv`",
            required=True,
        ),
        Column(
            "expected",
            "choice",
            "the close of a month waits for at least one file, or for "
            "`billing run MONTH --without SOURCE`; empty: it may come or not",
            allowed=("monthly",),
            label="rhythm in which files are expected",
        ),
    ),
    keys=(("source",),),
)
BOOK_ACCOUNTS = Table(
    "book_accounts",
    "catalog",
    "the numbers and names of the journal's accounts in your books",
    (
        Column(
            "account",
            "choice",
            "the account of the journal (docs/accounting.md); without a row it keeps its default",
            required=True,
            allowed=ACCOUNTS,
        ),
        Column(
            "detail",
            "id",
            "only these postings: of `tax` a `tax_rate_id`, of revenue a `plan_id`; empty: all "
            "that have no row of their own",
        ),
        Column("number", "id", "its number, for DATEV and Xero", required=True),
        Column("name", "text", "its name, for QuickBooks; empty: the default"),
        Column("xero_tax_rate", "text", "the name of its tax rate in Xero; empty: `Tax Exempt`"),
    ),
    keys=(("account", "detail"),),
    null_counts=("detail",),
    keeps_rows=True,
    file_name="accounts",
)
CUSTOMERS = Table(
    "customers",
    "accounts",
    "who pays",
    (
        Column("customer_id", "id", "yours", required=True),
        Column("name", "text", "on the invoice"),
        Column("email", "text", "where Stripe sends it"),
        Column("country", "country", "two letters, for tax"),
        Column("currency", "currency", "of fees and of prices that name none", required=True),
        Column(
            "stripe_customer_id",
            "id",
            "if there is one in Stripe already; else it is made, once",
        ),
        Column("is_payer", "boolean", "`false`: computed, never invoiced", default=True),
        Column(
            "collection_method",
            "choice",
            "a card on file, or an invoice to be paid",
            allowed=("charge_automatically", "send_invoice"),
            default="charge_automatically",
        ),
        Column("days_until_due", "integer", "of sent invoices"),
        Column("payment_method", "id", "for the sandbox and test mode: `pm_card_visa`, …"),
        Column("tax_exempt", "tax_exempt", "`true`: no tax", default=False),
        Column("address", "text", "on the invoice; several lines are separated by `;`"),
        Column("tax_id", "text", "on the invoice, with its prefix if it has one (DE123456789)"),
        Column("region", "id", "for tax: as the tax rates name it"),
        Column(
            "bill_to",
            "id",
            "the customer on whose invoice this one's lines stand; empty: an invoice of its own. "
            "One invoice can hold the lines of 1,440 others, or of fewer if it also corrects "
            "closed months: Stripe's metadata cannot name more",
        ),
        Column("purchase_order", "text", "on the invoice"),
        Column(
            "valid_from",
            "instant",
            "the first instant of the row; a change is a further row. What is valid in the month's "
            "last instant decides on country, region, currency, exemption, `bill_to` and "
            "`is_payer`; all else is as the newest row has it. Empty: from the beginning",
        ),
        Column("street", "text", "of the address, for electronic invoices"),
        Column("city", "text", "of the address; empty: from the last line of `address`"),
        Column("postal_code", "text", "of the address; empty: from the last line of `address`"),
        Column(
            "buyer_reference",
            "text",
            "by which the customer assigns invoices, in Germany the Leitweg-ID; empty: the "
            "purchase order, else the `customer_id`",
        ),
        Column(
            "electronic_address",
            "text",
            "where electronic invoices go, `scheme:value` (`0088:5412345000013`); empty: the VAT "
            "number, else the e-mail address",
        ),
        Column(
            "tax_category",
            "choice",
            "of what is not taxed: reverse charge, exempt, export, intra-community, not subject to "
            "tax, zero rated; empty: by countries, `tax_id` and `tax_exempt`",
            allowed=("ae", "e", "g", "k", "o", "z"),
        ),
        Column("exemption_reason", "text", "the sentence on the invoice for what is not taxed"),
    ),
    keys=(("customer_id", "valid_from"),),
    references=(Reference("bill_to", "customers", "customer_id"),),
    null_counts=("valid_from",),
    is_required=True,
)
SELLER = Table(
    "seller",
    "accounts",
    "you, on the invoices: one row",
    (
        Column("name", "text", "of your company", required=True),
        Column("address", "text", "several lines are separated by `;`"),
        Column("country", "country", "two letters"),
        Column("tax_id", "text", "as your customers' tax offices know you"),
        Column("email", "text", "for questions"),
        Column("website", "text", "your address on the web"),
        Column("bank_account", "text", "for transfers"),
        Column("note", "text", "at the foot of each invoice"),
        Column("street", "text", "of the address, for electronic invoices"),
        Column("city", "text", "of the address; empty: from the last line of `address`"),
        Column("postal_code", "text", "of the address; empty: from the last line of `address`"),
        Column("contact", "text", "a person or department; empty: the name"),
        Column("phone", "text", "of the contact; XRechnung needs it"),
        Column(
            "electronic_address",
            "text",
            "yours, `scheme:value`; empty: the VAT number, else the e-mail address",
        ),
        Column(
            "datev_consultant", "integer", "your tax consultant's number at DATEV", default=1001
        ),
        Column("datev_client", "integer", "your number with that consultant", default=1),
    ),
    keys=(("name",),),
)
SUBSCRIPTIONS = Table(
    "subscriptions",
    "accounts",
    "who is on which plan, and when",
    (
        Column(
            "subscription_id",
            "id",
            "yours; rows that share it and follow one another are versions of one subscription",
            required=True,
        ),
        Column("customer_id", "id", "who", required=True),
        Column("plan_id", "id", "on which plan", required=True),
        Column("quantity", "quantity", "seats: fees are times this", default=1),
        Column(
            "starts_at",
            "instant",
            "a change of plan or quantity ends one row and starts the next",
            required=True,
        ),
        Column("ends_at", "instant", "the first instant that no longer counts"),
        Column(
            "trial_ends_at",
            "instant",
            "of the first version; empty: by the plan's `trial_days`",
        ),
        Column(
            "coupon_id",
            "ids",
            "the discounts, separated by `;`: each is on what those before it have left",
        ),
        Column(
            "minimum_amount", "money", "the least for a full month; the rest is a line of its own"
        ),
    ),
    references=(
        Reference("customer_id", "customers", "customer_id"),
        Reference("plan_id", "plans", "plan_id"),
        Reference("coupon_id", "coupons", "coupon_id"),
    ),
)
WALLET_TRANSACTIONS = Table(
    "wallet_transactions",
    "accounts",
    "prepaid balances",
    (
        Column("transaction_id", "id", "yours", required=True),
        Column("customer_id", "id", "whose wallet", required=True),
        Column(
            "amount",
            "money",
            "above 0 for what comes in, below 0 for what leaves; what invoices take is not written "
            "here",
            required=True,
            is_signed=True,
        ),
        Column("currency", "currency", "a customer has a wallet for each", required=True),
        Column("occurred_at", "instant", "when", required=True),
        Column(
            "kind",
            "choice",
            "what a `refund` or an `expiry` takes beyond what the wallet holds is not charged: the "
            "next top-ups fill it first",
            required=True,
            allowed=("top_up", "grant", "refund", "expiry"),
            label="kind of wallet transaction",
        ),
        Column(
            "reference",
            "text",
            "for your books; of a `refund` or an `expiry`: the `transaction_id` of what it takes "
            "from. If that holds less, or nothing is named, the rest is taken in the order of "
            "paying",
        ),
        Column(
            "expires_at",
            "instant",
            "of what comes in: what is left of it then leaves the wallet by itself. Empty: never",
        ),
        Column(
            "priority",
            "integer",
            "of what comes in: invoices take from the lowest number first (empty: 100), then from "
            "what expires first, then from the oldest",
            is_signed=True,
        ),
    ),
    keys=(("transaction_id",),),
    references=(Reference("customer_id", "customers", "customer_id"),),
)
ADJUSTMENTS = Table(
    "adjustments",
    "accounts",
    "one-off charges and credits",
    (
        Column("adjustment_id", "id", "yours", required=True),
        Column("customer_id", "id", "whose", required=True),
        Column("subscription_id", "id", "the subscription, if it concerns one"),
        Column(
            "amount",
            "money",
            "signed, below 0 for a credit; a line after the discounts and before the tax",
            required=True,
            is_signed=True,
        ),
        Column("currency", "currency", "of the amount", required=True),
        Column("occurred_at", "instant", "in which month", required=True),
        Column("description", "text", "on the invoice"),
        Column("tax_code", "id", "as that of a price"),
        Column("reason", "text", "for the audit"),
        Column("author", "text", "for the audit"),
    ),
    keys=(("adjustment_id",),),
    references=(
        Reference("customer_id", "customers", "customer_id"),
        Reference("subscription_id", "subscriptions", "subscription_id"),
    ),
)
COMMITMENTS = Table(
    "commitments",
    "accounts",
    "what customers have agreed to spend",
    (
        Column("commitment_id", "id", "yours", required=True),
        Column("customer_id", "id", "whose charges count, and of those billed to them", True),
        Column(
            "amount",
            "money",
            "to be spent in the term, before tax",
            required=True,
            is_positive=True,
        ),
        Column("currency", "currency", "of the amount, and of the charges that count", True),
        Column("starts_at", "instant", "the term's first instant", required=True),
        Column(
            "ends_at",
            "instant",
            "its end: charges count whose service period ends by then",
            required=True,
        ),
        Column(
            "kind",
            "choice",
            "`true_up`: the last invoice of the term fills the rest. `prepaid`: the amount is a "
            "line, without tax, on the invoice of the month in which the term starts, and credit "
            "during the term, which is used first",
            required=True,
            allowed=("true_up", "prepaid"),
            label="kind of commitment",
        ),
        Column("price_ids", "ids", "only charges of these prices count; empty: all, and minimums"),
        Column(
            "overage_percent", "money", "what goes beyond the amount costs so many percent more"
        ),
    ),
    keys=(("commitment_id",),),
    references=(
        Reference("customer_id", "customers", "customer_id"),
        Reference("price_ids", "prices", "price_id"),
    ),
)
USAGE_CORRECTIONS = Table(
    "usage_corrections",
    "accounts",
    "what is added to usage, or taken back",
    (
        Column("correction_id", "id", "yours", required=True),
        Column("customer_id", "id", "whose usage", required=True),
        Column("event_name", "id", "what is corrected", required=True),
        Column("occurred_at", "instant", "in which period", required=True),
        Column(
            "quantity",
            "quantity",
            "signed, added to meters with "
            + " or ".join(f"`{name}`" for name, known in AGGREGATIONS.items() if known.adds_up)
            + "; where only gauges read the event, a reading of that instant",
            required=True,
            is_signed=True,
        ),
        Column("properties", "json", "as an event's, for filters"),
        Column("reason", "text", "for the audit"),
        Column("author", "text", "for the audit"),
    ),
    keys=(("correction_id",),),
    references=(Reference("customer_id", "customers", "customer_id"),),
    keeps_rows=True,
)

TABLES = (
    METERS,
    PLANS,
    PRICES,
    PRICE_TIERS,
    COST_PRICES,
    COST_PRICE_TIERS,
    ENTITLEMENTS,
    COUPONS,
    TAX_RATES,
    SOURCES,
    BOOK_ACCOUNTS,
    CUSTOMERS,
    SELLER,
    SUBSCRIPTIONS,
    WALLET_TRANSACTIONS,
    ADJUSTMENTS,
    COMMITMENTS,
    USAGE_CORRECTIONS,
)

# Usage is not among the tables: its files are large, and their bad rows are set aside, not refused.
USAGE = Table(
    "YYYY-MM/*",
    "usage",
    "what was used",
    (
        Column("event_id", "id", "the same id twice counts once", required=True),
        Column("customer_id", "id", "who used it", required=True),
        Column("event_name", "id", "what a meter reads", required=True),
        Column("occurred_at", "instant", "when, in the folder's month", required=True),
        Column("quantity", "quantity", "a number, 0 or more", default=1),
        Column("properties", "json", "a JSON object; in Parquet also a struct or a map"),
        Column(
            "subscription_id",
            "id",
            "the customer's subscription that it counts for; empty: all of them",
        ),
    ),
)
USAGE_COLUMNS = tuple(USAGE.column_names)
