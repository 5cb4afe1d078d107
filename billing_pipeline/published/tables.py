"""What is published: the names of the tables, and the columns of those that Python makes.

What belongs here: names, DuckDB types and a description for each column of the tables that do
not come from dbt. What does not: the columns of dbt's tables (dbt's contracts hold them) and
writing anything (``database``).
"""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """One column: its name, DuckDB type and description."""

    name: str
    type: str
    comment: str


class Table(NamedTuple):
    """One table made by Python: its grain in words, and its columns in order."""

    comment: str
    columns: tuple[Column, ...]


PUBLISHED_DBT_TABLES: tuple[str, ...] = (
    "usage_rejections",
    "usage_issues",
    "usage_files",
    "metered_usage",
    "charges",
    "charge_tiers",
    "invoice_lines",
    "invoices",
    "wallet_ledger",
    "entitlement_usage",
    "daily_usage",
    "recurring_revenue",
    "customers",
    "seller",
)

MONEY = "DECIMAL(38,4)"
TIME = "TIMESTAMP WITH TIME ZONE"

_MONTH = Column("billing_month", "DATE", "First day of the billing month.")
_INVOICE = Column("invoice_id", "VARCHAR", "Our invoice; table invoices.")
_CUSTOMER = Column("customer_id", "VARCHAR", "Whose it is; accounts/customers.csv.")
_CURRENCY = Column("currency", "VARCHAR", "ISO 4217 code of all amounts of the row.")

EXTRA_TABLES: dict[str, Table] = {
    "invoice_plan": Table(
        "Action that would bring Stripe from what it holds to what the charges say.",
        (
            _MONTH,
            Column("plan_hash", "VARCHAR", "Hash of the whole plan: what an approval names."),
            Column("action", "VARCHAR", "What would be done."),
            _INVOICE,
            Column("revision", "INTEGER", "1 for the first invoice, 2, 3… for supplements."),
            _CUSTOMER,
            _CURRENCY,
            Column("amount_before", MONEY, "What Stripe holds, major units."),
            Column("amount_after", MONEY, "What it would hold, major units."),
            Column("reason", "VARCHAR", "Why."),
            Column("state", "VARCHAR", "ready, waiting for approval, done or failed."),
        ),
    ),
    "stripe_invoices": Table(
        "Stripe invoice that is marked as ours.",
        (
            _MONTH,
            _INVOICE,
            Column("revision", "INTEGER", "1 for the first invoice, 2, 3… for supplements."),
            _CUSTOMER,
            Column("stripe_invoice_id", "VARCHAR", "Stripe's id of the invoice."),
            Column("stripe_customer_id", "VARCHAR", "Stripe's id of the customer."),
            Column("status", "VARCHAR", "Stripe's status."),
            Column("number", "VARCHAR", "Number on the invoice, assigned when finalized."),
            _CURRENCY,
            Column("total", MONEY, "Stripe's total, major units."),
            Column("amount_due", MONEY, "What was due after balances, major units."),
            Column("amount_paid", MONEY, "What was paid, major units."),
            Column("amount_remaining", MONEY, "What is still to be paid, major units."),
            Column("credited", MONEY, "Sum of its credit notes, major units."),
            Column("wallet_applied", MONEY, "What the prepaid wallet paid of it, major units."),
            Column("created_at", TIME, "When Stripe made it, UTC."),
            Column("finalized_at", TIME, "When it was finalized, UTC."),
            Column("due_at", TIME, "When it is due, UTC."),
            Column("hosted_invoice_url", "VARCHAR", "Stripe's page for the customer."),
            Column("invoice_pdf", "VARCHAR", "The document."),
        ),
    ),
    "invoice_payments": Table(
        "Our invoice and its supplements taken together: what was billed and what came in.",
        (
            _MONTH,
            _INVOICE,
            _CUSTOMER,
            _CURRENCY,
            Column("status", "VARCHAR", "draft, open, paid, void, uncollectible or overdue."),
            Column("billed", MONEY, "Finalized in Stripe, major units."),
            Column("paid", MONEY, "Paid, major units."),
            Column("credited", MONEY, "Credit notes, major units."),
            Column("outstanding", MONEY, "Still to be paid, major units."),
            Column("settled_by_balance", MONEY, "Taken over by the customer's balance."),
            Column("attempt_count", "INTEGER", "Tries to collect."),
            Column("next_attempt_at", TIME, "When the next try is due, UTC."),
            Column("last_error", "VARCHAR", "Why the last try failed."),
            Column(
                "payment_state",
                "VARCHAR",
                "processing: a bank debit is under way, which is waited for. requires_action: the "
                "customer has to confirm the payment.",
            ),
        ),
    ),
    "reconciliation": Table(
        "Our invoice against Stripe's: what it should be and what was billed.",
        (
            _MONTH,
            _INVOICE,
            _CUSTOMER,
            _CURRENCY,
            Column("expected_total", MONEY, "Our total, major units."),
            Column("stripe_total", MONEY, "Stripe's total less credit notes, major units."),
            Column("difference", MONEY, "stripe_total - expected_total."),
            Column("expected_wallet", MONEY, "What the wallet should pay, major units."),
            Column("stripe_wallet", MONEY, "What it paid in Stripe, less what credit gave back."),
            Column("expected_due", MONEY, "What is due besides the wallet, major units."),
            Column(
                "charged",
                MONEY,
                "What the customer was asked to pay besides the wallet, paid or still open, less "
                "credit. It is not expected_due where the customer's balance in Stripe held more: "
                "credit pays of it, a debit is charged with it.",
            ),
            Column(
                "state",
                "VARCHAR",
                "matched, differs (the total), wallet_differs, charge_differs, missing or "
                "unexpected; adopted or written_off where a person has decided to leave the "
                "difference.",
            ),
        ),
    ),
    "wallet_reconciliation": Table(
        "Prepaid wallet against the customer's balance in Stripe, when the month was last read.",
        (
            _MONTH,
            _CUSTOMER,
            _CURRENCY,
            Column(
                "wallet_balance",
                MONEY,
                "What our wallet holds: movements less what invoices took, not below 0.",
            ),
            Column(
                "posted_balance",
                MONEY,
                "What we posted to the balance in Stripe, less what invoices took of it there.",
            ),
            Column("other_credit", MONEY, "What the balance holds besides, such as credit notes."),
            Column("stripe_balance", MONEY, "The balance in Stripe; above 0 is a credit."),
            Column("difference", MONEY, "stripe_balance - other_credit - wallet_balance."),
            Column(
                "problem", "VARCHAR", "Why it could not be read in Stripe; then it has no amounts."
            ),
        ),
    ),
}

_VERSION = {
    "invoice_id": "The invoice; table invoices.",
    "version": "1 for what was billed first, one more each time that other content was billed.",
    "content_hash": "Hash of the invoice's lines in this version, as in invoices.",
    "kept_at": "When it was kept, right before it was sent, UTC.",
    "run_id": "Dagster's run that billed it.",
    "correction_count": "Corrections that were counted.",
    "price_terms": "The price, its tiers and its meter as they stood in the catalog, JSON.",
    "subscription_terms": "The subscription as it stood in the accounts, JSON.",
}

VERSION_TABLES: dict[str, tuple[str, str, dict[str, str]]] = {
    "charges_as_billed": (
        "Charge of an invoice as it was billed, version by version, whatever arrived afterwards.",
        "charges",
        _VERSION,
    ),
    "charge_tiers_as_billed": (
        "Tier of a charge as it was billed, version by version.",
        "charge_tiers",
        _VERSION,
    ),
}
"""Kept in records/: what each is, the table whose columns it repeats, and its own columns."""

SIMULATIONS = "simulation_changes"
SIMULATION = Table(
    "Month × customer × plan × price of a simulation: present charges beside simulated ones.",
    (
        Column("simulation_id", "VARCHAR", "One run of `billing simulate`."),
        Column("catalog", "VARCHAR", "Name of the folder with the other price book."),
        Column("simulated_at", TIME, "When, UTC."),
        _MONTH,
        _CUSTOMER,
        Column("plan_id", "VARCHAR", "Plan of the subscription; catalog/plans.csv."),
        Column("price_id", "VARCHAR", "Price, in one of the price books or in both."),
        Column("meter_id", "VARCHAR", "Meter that measured it; empty for a recurring fee."),
        _CURRENCY,
        Column("quantity", "DECIMAL(38,18)", "Measured quantity."),
        Column("present_amount", MONEY, "Charged by the present price book, major units."),
        Column("simulated_amount", MONEY, "Charged by the other one, major units."),
        Column("change", MONEY, "simulated_amount - present_amount."),
    ),
)

_ESTIMATE = (
    _MONTH,
    Column("estimated_at", TIME, "When the running month was rated, UTC."),
    Column("usage_until", TIME, "Time of the last usage event that was counted, UTC."),
)
_QUANTITY = "DECIMAL(38,18)"
_PLAN = Column("plan_id", "VARCHAR", "Plan of the subscription; catalog/plans.csv.")
_METER = Column("meter_id", "VARCHAR", "Meter that measured it; empty for a recurring fee.")
_SUBSCRIPTION = Column("subscription_id", "VARCHAR", "accounts/subscriptions.csv.")

ESTIMATE_TABLES: dict[str, tuple[str, Table]] = {
    "estimated_charges": (
        "charges",
        Table(
            "Charge of the running month so far, an estimate that is never sent: fees as for the "
            "whole month, usage as far as it has arrived.",
            (
                *(*_ESTIMATE, _CUSTOMER, _SUBSCRIPTION, _PLAN),
                Column("price_id", "VARCHAR", "Rule that priced it; catalog/prices.csv."),
                _METER,
                Column("charge_model", "VARCHAR", "How the price turns quantity into money."),
                _CURRENCY,
                Column("quantity", _QUANTITY, "Measured quantity so far."),
                Column("billable_quantity", _QUANTITY, "After rounding and the included part."),
                Column("event_count", "BIGINT", "Accepted events that were counted."),
                Column("amount", MONEY, "What that comes to, before discounts, major units."),
                Column("period_start", TIME, "First instant of the service period, UTC."),
                Column("period_end", TIME, "First instant after the service period, UTC."),
                Column("description", "VARCHAR", "Text that the invoice line would have."),
            ),
        ),
    ),
    "estimated_totals": (
        "invoices",
        Table(
            "Customer × currency: what the running month comes to so far, an estimate that is "
            "never sent.",
            (
                *(*_ESTIMATE, _CUSTOMER, _CURRENCY),
                Column("subtotal", MONEY, "Charges and minimums, major units."),
                Column("discount", MONEY, "What coupons take off, major units."),
                Column("tax", MONEY, "Tax that is added, major units."),
                Column("total", MONEY, "subtotal - discount + tax."),
                Column("wallet_applied", MONEY, "What the prepaid wallet would pay of it."),
                Column("amount_due", MONEY, "total - wallet_applied."),
            ),
        ),
    ),
    "estimated_entitlement_usage": (
        "entitlement_usage",
        Table(
            "Customer × feature: what is used of it in the running month so far.",
            (
                *(*_ESTIMATE, _CUSTOMER, _PLAN),
                Column("feature", "VARCHAR", "Feature of the plan; catalog/entitlements.csv."),
                Column("meter_id", "VARCHAR", "Meter that counts it; empty for a plain feature."),
                Column("used", _QUANTITY, "Used so far."),
                Column("limit_quantity", _QUANTITY, "How much the plan allows; empty: any."),
                Column("remaining", _QUANTITY, "What is left of it, never below 0; empty: any."),
                Column("is_soft_limit", "BOOLEAN", "More may be used, and is charged for."),
                Column("state", "VARCHAR", "ok, warning (from 80 % used) or exceeded."),
            ),
        ),
    ),
    "estimated_daily_usage": (
        "daily_usage",
        Table(
            "Meter × day of the running month so far: what its accepted events say.",
            (
                *_ESTIMATE,
                Column("meter_id", "VARCHAR", "Meter that reads the events; catalog/meters.csv."),
                Column("usage_date", "DATE", "Day of the billing time zone."),
                Column("event_count", "BIGINT", "Accepted events."),
                Column("quantity", _QUANTITY, "Sum of a count or sum meter; else empty."),
            ),
        ),
    ),
    "trials": (
        "stg_accounts__subscriptions",
        Table(
            "Subscription that was in its trial when the running month was last estimated.",
            (
                *(*_ESTIMATE, _CUSTOMER, _SUBSCRIPTION, _PLAN),
                Column("trial_ends_at", TIME, "From when on it is charged, UTC."),
            ),
        ),
    ),
}
"""Of the running month, replaced by each estimate: the table of dbt that each is taken from, and
its columns, of which all but those of the estimate itself are that table's."""

PUBLISHED_TABLES: tuple[str, ...] = (
    *PUBLISHED_DBT_TABLES,
    *EXTRA_TABLES,
    *VERSION_TABLES,
    *ESTIMATE_TABLES,
)
