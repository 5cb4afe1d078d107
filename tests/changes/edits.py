"""What people do to the inputs: every table, every column that bills, also back in closed months.

What belongs here: each kind of edit as the few lines that it takes. After each the inputs are
valid: what is refused is the business of the tests of the intake. What does not: Stripe
(`acts.py`), and when which edit comes (`story.py`).

An edit gives the sentence for the diary, or None where there is nothing to edit.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from billing_pipeline.months import BillingMonth
from tests.changes.company import (
    COUNTRIES,
    CURRENCIES,
    METHODS,
    MONTHS,
    PLANS,
    Company,
    add_customer,
    add_subscription,
    add_top_up,
    add_usage,
)
from tests.property.tables import Cells, UsageRow

Edit = Callable[[random.Random, Company, BillingMonth], str | None]
EDITS: dict[str, Edit] = {}
RENAMES = (*("rename_customer", "new_owner", "new_numbers", "new_everything", "remove_customer"),)
"""Edits after which a customer is not in the accounts any more under the id that was billed."""


def _edit(function: Edit) -> Edit:
    EDITS[function.__name__] = function
    return function


def _any(rng: random.Random, company: Company, table: str) -> Cells | None:
    rows = company.world.tables[table]
    return rng.choice(rows) if rows else None


def _past(rng: random.Random, month: BillingMonth) -> BillingMonth:
    """A month up to the present one."""
    return rng.choice([other for other in MONTHS if other <= month])


def _set(rng: random.Random, row: Cells | None, column: str, *values: object) -> str | None:
    """Another of these values."""
    others = [str(value) for value in values if row is not None and str(value) != row[column]]
    if row is None or not others:
        return None
    before, row[column] = row[column], rng.choice(others)
    name = next(iter(row.values()))
    return f"{column} of {name}: {before or '(empty)'} is now {row[column] or '(empty)'}"


# Customers.
@_edit
def currency(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, _any(rng, company, "customers"), "currency", *CURRENCIES)


@_edit
def country(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, _any(rng, company, "customers"), "country", *COUNTRIES)


@_edit
def exempt(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, _any(rng, company, "customers"), "tax_exempt", "", "exempt")


@_edit
def payer(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, _any(rng, company, "customers"), "is_payer", "true", "false")


@_edit
def payment_method(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, _any(rng, company, "customers"), "payment_method", *METHODS)


@_edit
def collection_method(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    row = _any(rng, company, "customers")
    edit = _set(rng, row, "collection_method", "charge_automatically", "send_invoice")
    if row is not None:
        row["days_until_due"] = "14" if row["collection_method"] == "send_invoice" else ""
    return edit


@_edit
def rename_customer(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    """The same customer under another id: name, address and subscriptions stay."""
    row = _without_wallet(rng, company)
    return row and _renamed(company, row)


@_edit
def new_owner(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    """Another id, name and address; the subscriptions stay."""
    row = _without_wallet(rng, company)
    if row is None:
        return None
    row["name"], row["email"] = "New Owner Ltd", "owner@example.com"
    return f"{_renamed(company, row)}, with another name and address"


@_edit
def new_numbers(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    """All ids are others, as after a move to another system; who it is stays."""
    row = _without_wallet(rng, company)
    if row is None:
        return None
    return f"{_renamed(company, row)}, and so are the subscriptions{_renumbered(company, row)}"


@_edit
def new_everything(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    """Nothing stays but the Stripe customer, which the accounts name now."""
    row = _without_wallet(rng, company)
    known = company.stripe_ids.get(row["customer_id"]) if row else None
    if row is None or known is None:
        return None
    row["name"], row["email"] = "New Owner Ltd", "owner@example.com"
    row["stripe_customer_id"] = known
    return f"{_renamed(company, row)}, and all but {known} is new{_renumbered(company, row)}"


def _without_wallet(rng: random.Random, company: Company) -> Cells | None:
    """A customer who can be renamed: what invoices took of a wallet does not follow its customer
    to another id, so that the wallet would pay twice."""
    tables = company.world.tables
    owners = {row["customer_id"] for row in tables["wallet_transactions"]}
    rows = [row for row in tables["customers"] if row["customer_id"] not in owners]
    return rng.choice(rows) if rows else None


def _renumbered(company: Company, row: Cells) -> str:
    for cells in company.world.tables["subscriptions"]:
        if cells["customer_id"] == row["customer_id"]:
            cells["subscription_id"] = f"sub-{company.number()}"
    return ""


def _renamed(company: Company, row: Cells) -> str:
    former, new = row["customer_id"], f"{row['customer_id'][:3]}-{company.number()}"
    company.person_of[new] = company.person_of[former]
    for rows in company.world.tables.values():
        for cells in rows:
            if cells.get("customer_id") == former:
                cells["customer_id"] = new
    for usage in company.world.usage:
        if usage.cells is not None and usage.cells["customer_id"] == former:
            usage.cells["customer_id"] = new
    for _, _, kept in company.withheld:
        for cells in kept:
            cells["customer_id"] = new if cells["customer_id"] == former else cells["customer_id"]
    return f"customer {former} is called {new} now"


@_edit
def remove_customer(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    tables = company.world.tables
    if len(tables["customers"]) < 3:
        return None
    gone = rng.choice(tables["customers"])["customer_id"]
    for name in ("customers", "subscriptions", "wallet_transactions", "usage_corrections"):
        tables[name][:] = [row for row in tables[name] if row["customer_id"] != gone]
    return f"customer {gone} is removed"


@_edit
def new_customer(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    name = f"new{company.number()}"
    since = f"{_past(rng, month)}-05"
    add_customer(rng, company, name, since)
    for used in MONTHS:
        if f"{used}" >= since[:7]:
            add_usage(rng, company, name, used)
    return f"customer {name} is there since {since}"


# Subscriptions.
@_edit
def plan(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, _any(rng, company, "subscriptions"), "plan_id", *PLANS)


@_edit
def quantity(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, _any(rng, company, "subscriptions"), "quantity", 1, 2, 3, 7, "1.5")


@_edit
def coupon(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, _any(rng, company, "subscriptions"), "coupon_id", "", "tenth", "five")


@_edit
def minimum(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, _any(rng, company, "subscriptions"), "minimum_amount", "", "30", "90")


@_edit
def start(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    row = _any(rng, company, "subscriptions")
    return _set(rng, row, "starts_at", "2025-11-01", "2026-01-10", "2026-01-20")


@_edit
def end(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    row = _any(rng, company, "subscriptions")
    return _set(rng, row, "ends_at", "", "2026-01-25", "2026-02-10", "2026-03-15")


@_edit
def trial(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    row = _any(rng, company, "subscriptions")
    return _set(rng, row, "trial_ends_at", "", "2026-01-15", "2026-02-15")


@_edit
def rename_subscription(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    row = _any(rng, company, "subscriptions")
    return _set(rng, row, "subscription_id", f"sub-{company.number()}")


@_edit
def remove_subscription(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    rows = company.world.tables["subscriptions"]
    if len(rows) < 3:
        return None
    gone = rows.pop(rng.randrange(len(rows)))
    return f"subscription {gone['subscription_id']} is removed"


@_edit
def new_subscription(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    customer_id = rng.choice(company.customer_ids())
    since = f"{_past(rng, month)}-08"
    name = add_subscription(rng, company, customer_id, since)
    return f"{customer_id} has subscription {name} since {since}"


# The catalogue.
@_edit
def price(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    """Edited in place, without a validity: what was billed would cost something else today."""
    rows = [row for row in company.world.tables["prices"] if row["unit_amount"]]
    return _set(rng, rng.choice(rows), "unit_amount", 0.5, 2, 3.3, 25)


@_edit
def price_version(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    """A new price from a day on, in a month that is to come, running or closed."""
    open_ended = [
        row
        for row in company.world.tables["prices"]
        if row["unit_amount"] and not row["valid_to"] and not row["valid_from"]
    ]
    if not open_ended:
        return None
    row, day = rng.choice(open_ended), f"{rng.choice(MONTHS)}-{rng.choice((1, 16)):02}"
    row["valid_to"] = day
    company.world.tables["prices"].append(
        row | {"valid_from": day, "valid_to": "", "unit_amount": "4.2"}
    )
    return f"price {row['price_id']} is 4.2 from {day} on"


@_edit
def price_in_another_currency(
    rng: random.Random, company: Company, month: BillingMonth
) -> str | None:
    name = f"extra-{company.number()}"
    code = rng.choice(("EUR", "JPY", "USD"))
    company.world.add(
        "prices",
        price_id=name,
        plan_id=rng.choice(PLANS),
        charge_model="flat",
        flat_amount=rng.choice((60, 90)),
        currency=code,
    )
    return f"price {name} of 60 or 90 {code} is added, without a validity"


@_edit
def remove_price(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    rows = company.world.tables["prices"]
    gone = rng.choice(rows)
    kept = [row for row in rows if row["price_id"] != gone["price_id"]]
    if not kept:
        return None
    rows[:] = kept
    tiers = company.world.tables["price_tiers"]
    tiers[:] = [row for row in tiers if row["price_id"] != gone["price_id"]]
    return f"price {gone['price_id']} is removed"


@_edit
def tier(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, _any(rng, company, "price_tiers"), "unit_amount", "0.4", "1", "1.8")


@_edit
def meter(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    row = company.world.tables["meters"][0]
    return _set(rng, row, "aggregation", "sum", "count", "max")


@_edit
def coupon_terms(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, company.world.tables["coupons"][0], "percent_off", 10, 25, 50)


@_edit
def tax_rate(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    return _set(rng, company.world.tables["tax_rates"][0], "percentage", 19, 7, 21)


# Usage.
@_edit
def late_file(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    customer_id, of = rng.choice(company.customer_ids()), _past(rng, month)
    file = f"late-{company.number()}.csv"
    add_usage(rng, company, customer_id, of, file)
    return f"{file} comes for {of}, with usage of {customer_id}"


@_edit
def duplicate_file(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    of = str(_past(rng, month))
    rows = [row for row in company.world.usage if row.month == of]
    if not rows:
        return None
    file = f"again-{company.number()}.csv"
    for row in rows:
        company.world.usage.append(UsageRow(of, file, dict(row.cells or {})))
    return f"all usage of {of} comes a second time, as {file}"


@_edit
def edited_usage(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    row = rng.choice(company.world.usage) if company.world.usage else None
    return _set(rng, row and row.cells, "quantity", 1, 33, 80)


@_edit
def file_stays_away(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    """A file that never comes, or is gone again."""
    found = sorted({(row.month, row.file) for row in company.world.usage})
    if not found:
        return None
    chosen = rng.choice(found)
    usage = company.world.usage
    rows = [dict(row.cells or {}) for row in usage if (row.month, row.file) == chosen]
    usage[:] = [row for row in usage if (row.month, row.file) != chosen]
    company.withheld.append((*chosen, rows))
    return f"{chosen[1]} of {chosen[0]} is not there"


@_edit
def file_comes_late(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    if not company.withheld:
        return None
    of, file, rows = company.withheld.pop(rng.randrange(len(company.withheld)))
    company.world.usage += [UsageRow(of, file, row) for row in rows]
    return f"{file} of {of} has come after all"


@_edit
def correction(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    if company.world.tables["meters"][0]["aggregation"] == "max":
        return None
    customer_id, of = rng.choice(company.customer_ids()), _past(rng, month)
    amount = rng.choice((-20, -3, 15))
    company.world.add(
        "usage_corrections",
        correction_id=f"cor-{company.number()}",
        customer_id=customer_id,
        event_name="call",
        occurred_at=f"{of}-15",
        quantity=amount,
        reason="agreed",
        author="ops",
    )
    return f"{customer_id} is corrected by {amount} calls in {of}"


# Wallets.
@_edit
def top_up(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    customer_id, of = rng.choice(company.customer_ids()), _past(rng, month)
    return f"{customer_id} has {add_top_up(rng, company, customer_id, of)} in {of}"


@_edit
def take_out(rng: random.Random, company: Company, month: BillingMonth) -> str | None:
    row = _any(rng, company, "wallet_transactions")
    if row is None:
        return None
    back = f"back-{company.number()}"
    company.world.tables["wallet_transactions"].append(
        row | {"transaction_id": back, "amount": "-10", "kind": "refund"}
    )
    return f"10 of the wallet of {row['customer_id']} are paid back as {back}"
