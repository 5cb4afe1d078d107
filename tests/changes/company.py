"""A small company: customers, subscriptions, a catalogue and a few months of usage, by chance.

What belongs here: making its inputs up, all of them valid. What does not: changing them later
(`edits.py`), and what they cost (`tests/property`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from billing_pipeline.months import BillingMonth
from tests.property.tables import World

MONTHS = tuple(BillingMonth(2026, number) for number in (1, 2, 3))
"""Those that are billed."""
PLANS = ("basic", "pro")
NAMES = ("ada", "bob", "cyd", "dee", "eve")
GOOD_CARD, BAD_CARD = "pm_card_visa", "pm_card_chargeCustomerFail"
GOOD_DEBIT, BAD_DEBIT = "pm_success_de", "pm_failedDelayed_de"
METHODS = (GOOD_CARD, GOOD_CARD, GOOD_CARD, BAD_CARD, GOOD_DEBIT, BAD_DEBIT, "")
CURRENCIES = ("USD", "USD", "EUR", "JPY")
COUNTRIES = ("DE", "US", "FR")


@dataclass
class Company:
    """The inputs as they stand, and who is who whatever they are called.

    `person_of`: every id that a customer of ours ever had, to the person behind it. `withheld`:
    usage files that have not come, by month.
    """

    world: World = field(default_factory=World)
    person_of: dict[str, str] = field(default_factory=dict)
    stripe_ids: dict[str, str] = field(default_factory=dict)
    """The Stripe customer of each customer, as whoever edits the accounts may know it."""
    withheld: list[tuple[str, str, list[dict[str, str]]]] = field(default_factory=list)
    made: int = 0

    def number(self) -> int:
        """Another number for an id."""
        self.made += 1
        return self.made

    def customer_ids(self) -> list[str]:
        return [row["customer_id"] for row in self.world.tables["customers"]]


def make_company(rng: random.Random) -> Company:
    company = Company()
    _catalogue(rng, company.world)
    for name in NAMES[: rng.randint(3, 5)]:
        add_customer(rng, company, name)
    for month in MONTHS:
        for customer_id in company.customer_ids():
            add_usage(rng, company, customer_id, month)
    return company


def _catalogue(rng: random.Random, world: World) -> None:
    world.add("meters", meter_id="calls", event_name="call", aggregation="sum")
    world.add("meters", meter_id="disk", event_name="disk", aggregation="max", carry_forward=True)
    for factor, plan in enumerate(PLANS, 1):
        world.add("plans", plan_id=plan, name=plan.title(), billing_cycle="calendar_month")
        fee, more = rng.choice((12, 20, 49.5)) * factor, {"plan_id": plan}
        world.add(
            "prices", price_id=f"{plan}-fee", charge_model="per_unit", unit_amount=fee, **more
        )
        model = rng.choice(("per_unit", "package", "graduated"))
        price_id = f"{plan}-calls"
        cells = {"price_id": price_id, "meter_id": "calls", "charge_model": model, **more}
        if model == "graduated":
            world.add("prices", **cells)
            world.add("price_tiers", price_id=price_id, up_to=50, unit_amount="1")
            world.add("price_tiers", price_id=price_id, unit_amount="0.4", flat_amount="5")
        else:
            size = {"package_size": 10} if model == "package" else {}
            world.add("prices", **cells, **size, unit_amount=rng.choice(("0.35", "1", "2.5")))
        if rng.random() < 0.4:
            world.add(
                "prices",
                price_id=f"{plan}-disk",
                meter_id="disk",
                charge_model="per_unit",
                unit_amount="0.7",
                prorate=False,
                **more,
            )
    world.add("coupons", coupon_id="tenth", percent_off=10, duration="forever")
    world.add(
        "coupons",
        coupon_id="five",
        amount_off=5,
        currency="USD",
        duration="repeating",
        duration_in_months=2,
    )
    world.add("tax_rates", tax_rate_id="vat", country="DE", percentage=19, inclusive=False)


def add_customer(rng: random.Random, company: Company, name: str, since: str = "") -> None:
    """A customer with a subscription, perhaps a second one and a wallet."""
    world = company.world
    is_sent = rng.random() < 0.2
    currency = rng.choice(CURRENCIES)
    world.add(
        "customers",
        customer_id=name,
        name=f"{name.title()} Ltd",
        email=f"{name}@example.com",
        country=rng.choice(COUNTRIES),
        currency=currency,
        collection_method="send_invoice" if is_sent else "charge_automatically",
        days_until_due=14 if is_sent else None,
        payment_method=rng.choice(METHODS),
    )
    company.person_of[name] = name
    for _ in range(rng.choice((1, 1, 2))):
        add_subscription(rng, company, name, since)
    if rng.random() < 0.4:
        for _ in range(rng.choice((1, 2))):
            add_top_up(rng, company, name, rng.choice(MONTHS[:2]))


def add_subscription(
    rng: random.Random, company: Company, customer_id: str, since: str = ""
) -> str:
    number = company.number()
    ends = rng.random() < 0.15
    company.world.add(
        "subscriptions",
        subscription_id=f"sub-{number}",
        customer_id=customer_id,
        plan_id=rng.choice(PLANS),
        quantity=rng.choice((1, 1, 2, 5)),
        starts_at=since or rng.choice(("2025-11-01", "2025-12-15", "2026-01-10")),
        ends_at="2026-02-20" if ends else "",
        coupon_id=rng.choice(("", "", "", "tenth", "five")),
        minimum_amount=rng.choice(("", "", "", "30")),
    )
    return f"sub-{number}"


def add_top_up(rng: random.Random, company: Company, customer_id: str, month: BillingMonth) -> str:
    """Of so much that it pays some of an invoice, all of it, or several."""
    rows = company.world.tables["customers"]
    currency = next(row["currency"] for row in rows if row["customer_id"] == customer_id)
    name = f"top-up-{company.number()}"
    company.world.add(
        "wallet_transactions",
        transaction_id=name,
        customer_id=customer_id,
        amount=rng.choice((10, 40, 150)),
        currency=currency,
        occurred_at=f"{month}-{rng.randint(1, 28):02}",
        kind="top_up",
    )
    return name


def add_usage(
    rng: random.Random,
    company: Company,
    customer_id: str,
    month: BillingMonth,
    file: str = "a.csv",
) -> None:
    for _ in range(rng.randint(1, 3)):
        company.world.event(
            str(month),
            file,
            event_id=f"e{company.number()}",
            customer_id=customer_id,
            event_name=rng.choice(("call", "call", "disk")),
            occurred_at=f"{month}-{rng.randint(1, 28):02}T12:00:00",
            quantity=rng.randint(1, 60),
        )
