"""Small companies to bill: customers, plans and prices by name, billed in one build.

What belongs here: building the inputs and reading the charges. What does not: expectations.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.property.harness import Row, Tables, compare, exact, run_pipeline
from tests.property.invoicing import AlreadyBilled, AppliedElsewhere
from tests.property.oracle import bill
from tests.property.tables import World, write

LONG_AGO = "2023-01-01T00:00:00Z"


class Company:
    """A world under construction: a customer, a plan, a meter and a price of one name each."""

    def __init__(self) -> None:
        self.world = World()

    def customer(self, name: str, **cells: object) -> None:
        self.world.add("customers", customer_id=name, currency="USD", **cells)

    def plan(self, name: str, **cells: object) -> None:
        self.world.add("plans", plan_id=name, **cells)

    def price(self, name: str, model: str, **cells: Any) -> None:
        cells = {"plan_id": name, "price_id": name} | cells
        self.world.add("prices", charge_model=model, **cells)

    def metered(self, name: str, model: str, aggregation: str = "sum", **cells: Any) -> None:
        """A usage price with a meter of its own, which reads events of this name."""
        gauge = cells.pop("carry_forward", "")
        self.world.add(
            "meters", meter_id=name, event_name=name, aggregation=aggregation, carry_forward=gauge
        )
        self.price(name, model, meter_id=name, **cells)

    def tiers(self, name: str, *rows: tuple[str, str, str], rate: str = "unit_amount") -> None:
        for up_to, amount, flat in rows:
            cells = {"up_to": up_to, rate: amount, "flat_amount": flat}
            self.world.add("price_tiers", price_id=name, **cells)

    def subscribe(self, customer: str, plan: str, starts_at: str = LONG_AGO, **cells: Any) -> None:
        """A subscription that is named like its plan, or both where the customer has several."""
        name = customer if customer == plan else f"{customer}/{plan}"
        ids = {"subscription_id": name, "customer_id": customer, "plan_id": plan}
        self.world.add("subscriptions", starts_at=starts_at, **ids, **cells)

    def use(self, name: str, quantity: str, at: str, month: str = "", customer: str = "") -> None:
        number = len(self.world.usage)
        self.world.event(
            month or at[:7],
            event_id=f"{name}-{number}",
            customer_id=customer or name,
            event_name=name,
            occurred_at=at,
            quantity=quantity,
        )

    def fill_wallet(self, customer: str, amount: str, at: str, name: str = "") -> None:
        self.world.add(
            "wallet_transactions",
            transaction_id=f"{customer} {at}{name}",
            customer_id=customer,
            amount=amount,
            currency="USD",
            occurred_at=at,
            kind="refund" if amount.startswith("-") else "top_up",
        )

    def whole(self, name: str) -> None:
        """A customer who always has the plan of the same name."""
        self.customer(name)
        self.plan(name)
        self.subscribe(name, name)


@dataclass(frozen=True)
class Billed:
    tables: Tables

    def charges(self, subscription_id: str) -> list[Row]:
        rows = [r for r in self.tables["charges"] if r["subscription_id"] == subscription_id]
        return sorted(rows, key=lambda row: row["period_start"])

    def charge(self, subscription_id: str) -> Row:
        (row,) = self.charges(subscription_id)
        return row

    def exactly(self, subscription_id: str) -> list[Fraction]:
        return [exact(row["exact_amount"]) for row in self.charges(subscription_id)]

    def invoice(self, customer: str) -> Row:
        (row,) = [r for r in self.tables["invoices"] if r["customer_id"] == customer]
        return row


def billed(
    company: Company,
    month: str,
    zone: str,
    directory: Path,
    taken: AppliedElsewhere | None = None,
    already: AlreadyBilled | None = None,
) -> Billed:
    """Bill the company's month with the pipeline; the oracle must agree on all of it.

    `taken`: the wallet amounts of each month's invoices; `already`: the amount billed this month.
    """
    write(company.world, directory, ZoneInfo(zone))
    applications = [
        (*wallet, f"{other}-01", decimal(part), decimal((already or {}).get(wallet, part)))
        for wallet, of_months in (taken or {}).items()
        for other, part in of_months.items()
    ]
    tables = run_pipeline(directory, month, zone, taken=applications)
    oracle = bill(company.world, month, zone, taken, already)
    differences = compare(tables, oracle, company.world)
    assert not differences, "\n".join(map(str, differences))
    return Billed(tables)


def decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / number.denominator
