"""A month that was billed is run again after many inputs were changed: the plan names, for each
line that would change, the row behind it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from tests.end_to_end.commands import billing

MONTH = "2024-01"
ACCOUNTS = "accounts/customers.csv"
SUBSCRIPTIONS = "accounts/subscriptions.csv"
PRICES = "catalog/prices.csv"
FOLLOWS = ("follows other lines", "the other lines of the invoice")

Changes = dict[str, list[tuple[str, str]]]


class Customer(NamedTuple):
    """A customer with one subscription, or none if there is no plan, and 12 calls on the 12th."""

    customer_id: str
    country: str
    plan: str = "basic"
    currency: str = "USD"
    is_payer: str = ""
    bill_to: str = ""
    subscription: str = ""
    owner: str = ""
    trial_ends_at: str = ""
    ends_at: str = ""
    coupon: str = ""
    minimum: str = ""


BEFORE = (
    # Taxed, and then changed in their own row or by a correction.
    *(Customer(name, "DE") for name in ("currency", "country", "not-payer", "billed-to")),
    Customer("corrected", "DE", "other"),
    # Not taxed, and then changed in their subscription or in its prices.
    *(Customer(name, "GB", "plain") for name in ("removed", "trial", "ended", "sold")),
    Customer("buyer", "GB", ""),
    Customer("dated", "GB", "dated"),
    # Taxed, and then changed by what is no charge.
    *(Customer(name, "US") for name in ("adjusted", "discounted", "minimum", "same")),
)
BILLED = [it.customer_id for it in BEFORE if it.plan]
AFTER = (
    Customer("currency", "DE", currency="EUR"),
    Customer("country", "FR"),
    Customer("not-payer", "DE", is_payer="false"),
    Customer("billed-to", "DE", bill_to="same"),
    Customer("corrected", "DE", "other"),
    Customer("removed", "GB", ""),
    Customer("trial", "GB", "plain", trial_ends_at="2024-02-10"),
    Customer("ended", "GB", "plain", ends_at="2024-01-10"),
    Customer("sold", "GB", "plain", owner="buyer"),
    Customer("buyer", "GB", ""),
    Customer("dated", "GB", "dated"),
    Customer("adjusted", "US"),
    Customer("discounted", "US", coupon="tenth"),
    Customer("minimum", "US", minimum="50"),
    Customer("same", "US"),
)


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def company(data: Path, customers: tuple[Customer, ...], *, versions_at: str) -> None:
    """`versions_at`: the day from which the plan `dated` has its second price."""
    write(data / "catalog/meters.csv", "meter_id,event_name,aggregation", "calls,call,sum")
    plans = ("basic", "other", "plain", "dated")
    write(data / "catalog/plans.csv", "plan_id,name", *(f"{plan},{plan}" for plan in plans))
    write(
        data / PRICES,
        "price_id,plan_id,meter_id,currency,charge_model,unit_amount,valid_from,valid_to",
        "basic-calls,basic,calls,USD,per_unit,1,,",
        "basic-fee,basic,,,per_unit,7,,",
        "other-calls,other,calls,,per_unit,1,,",
        "other-fee,other,,,per_unit,7,,",
        "plain-calls,plain,calls,,per_unit,1,,",
        f"dated-calls,dated,calls,,per_unit,1,,{versions_at}",
        f"dated-calls,dated,calls,,per_unit,2,{versions_at},",
    )
    write(
        data / "catalog/tax_rates.csv",
        "tax_rate_id,country,percentage,inclusive",
        *("de,DE,10,false", "fr,FR,20,false", "us,US,10,false"),
    )
    write(data / "catalog/coupons.csv", "coupon_id,percent_off,duration", "tenth,10,forever")
    write(
        data / ACCOUNTS,
        "customer_id,name,country,currency,payment_method,is_payer,bill_to",
        *(
            f"{it.customer_id},{it.customer_id},{it.country},{it.currency},pm_card_visa,"
            f"{it.is_payer},{it.bill_to}"
            for it in customers
        ),
    )
    write(
        data / SUBSCRIPTIONS,
        "subscription_id,customer_id,plan_id,starts_at,trial_ends_at,ends_at,coupon_id,minimum_amount",
        *(
            f"{it.customer_id},{it.owner or it.customer_id},{it.plan},2024-01-01,"
            f"{it.trial_ends_at},{it.ends_at},{it.coupon},{it.minimum}"
            for it in customers
            if it.plan
        ),
    )


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Changes:
    """By customer: cause and evidence of each line that would change."""
    folder = tmp_path_factory.mktemp("changed")
    data, home = folder / "data", folder / "home"
    company(data, BEFORE, versions_at="2024-01-10")
    write(
        data / "usage/2024-01/a.csv",
        "event_id,customer_id,event_name,occurred_at,quantity",
        *(f"{name},{name},call,2024-01-12T00:00:00Z,12" for name in BILLED),
    )
    first = billing(home, data, "run", MONTH)
    assert first.returncode == 0, first.stderr

    company(data, AFTER, versions_at="2024-01-16")
    write(
        data / "accounts/usage_corrections.csv",
        "correction_id,customer_id,event_name,occurred_at,quantity,reason,author",
        "c1,corrected,call,2024-01-05T00:00:00Z,-12,all tests,ops",
    )
    write(
        data / "accounts/adjustments.csv",
        "adjustment_id,customer_id,amount,currency,occurred_at,description,reason,author",
        "a1,adjusted,-3,USD,2024-01-05T00:00:00Z,Credit,outage,eve",
    )
    waits = billing(home, data, "run", MONTH)
    assert waits.returncode == 3, waits.stderr
    found: Changes = {}
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        query = "SELECT DISTINCT customer_id, cause, evidence FROM plan_changes ORDER BY ALL"
        for customer_id, *change in published.execute(query).fetchall():
            found.setdefault(customer_id, []).append((change[0], change[1]))
        cause = "SELECT cause FROM invoice_plan WHERE customer_id = 'adjusted'"
        assert published.execute(cause).fetchall() == [("adjustment",)]
    return found


@pytest.mark.parametrize(
    ("customer_id", "cause", "evidence"),
    [
        ("corrected", "correction",
         "accounts/usage_corrections.csv row 2 (c1): -12, all tests, by ops"),
        # Also where the invoice is gone: what stood on it stands elsewhere, or nowhere.
        ("currency", "account change", f"{ACCOUNTS} currency: currency USD → EUR"),
        ("billed-to", "account change", f"{ACCOUNTS} billed-to: bill_to same"),
        ("not-payer", "account change", f"{ACCOUNTS} not-payer: is_payer false"),
        ("adjusted", "adjustment", "accounts/adjustments.csv a1: outage, by eve"),
        ("discounted", "account change", f"{SUBSCRIPTIONS} discounted: coupon_id nothing → tenth"),
        ("minimum", "account change", f"{SUBSCRIPTIONS} minimum: minimum_amount nothing → 50"),
    ],
)  # fmt: skip
def test_the_record_behind_a_changed_line_is_named(
    changes: Changes, customer_id: str, cause: str, evidence: str
) -> None:
    """And no change of the tax rate, for the tax of each follows its other lines."""
    assert changes[customer_id] == sorted([(cause, evidence), FOLLOWS])


def test_another_country_changes_the_tax_alone(changes: Changes) -> None:
    assert changes["country"] == [("account change", f"{ACCOUNTS} country: country DE → FR")]


@pytest.mark.parametrize(
    ("customer_id", "evidence"),
    [
        ("removed", "removed is gone"),
        ("trial", "trial: trial_ends_at nothing → 2024-02-10 00:00:00+00"),
        ("ended", "ended: ends_at nothing → 2024-01-10 00:00:00+00"),
        ("sold", "sold: customer_id sold → buyer"),
    ],
)
def test_the_subscription_behind_a_changed_line_is_named(
    changes: Changes, customer_id: str, evidence: str
) -> None:
    """Also where nothing is due any more; and no usage is gone where another end counts other
    events of the same file."""
    assert changes[customer_id] == [("account change", f"{SUBSCRIPTIONS} {evidence}")]


def test_the_price_behind_a_changed_line_is_named(changes: Changes) -> None:
    """And no late usage, though another validity counts other events of the same file."""
    days = "2024-01-10 00:00:00+00 → 2024-01-16 00:00:00+00"
    assert changes["dated"] == [
        ("price change", f"{PRICES} dated-calls is gone"),
        ("price change", f"{PRICES} dated-calls: valid_to {days}"),
    ]


def test_no_other_customer_is_named(changes: Changes) -> None:
    """But the one on whose invoice another one's lines stand now."""
    assert changes.keys() == set(BILLED)
    assert changes["same"] == [FOLLOWS]
