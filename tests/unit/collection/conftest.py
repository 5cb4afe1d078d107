"""A company with a warehouse of a month, a fake Stripe, and a clock that a test turns."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import duckdb
import pytest

from billing_pipeline.collection import payments, steps
from billing_pipeline.collection.payments import PullResult
from billing_pipeline.collection.plan.desired import DesiredInvoice, DesiredLine
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.wallet_ledger import Movements, WalletMovement
from billing_pipeline.collection.records import opening
from billing_pipeline.collection.steps import ApplyOutcome, Approval
from billing_pipeline.collection.stripe_state.profiles import Payer
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.unchanged import set_checked
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import GatewayConfig, StripeGateway
from tests.virtual_clock import VirtualClock

from .fake_stripe import FakeStripe

T = TypeVar("T")
JANUARY = BillingMonth(2026, 1)

_TABLES = """
create table invoices (
    invoice_id varchar, billing_month date, customer_id varchar, currency varchar,
    total decimal(38, 4), wallet_applied decimal(38, 4), collection_method varchar,
    days_until_due integer);
create table invoice_lines (
    line_id varchar, invoice_id varchar, billing_month date, customer_id varchar, kind varchar,
    position integer, description varchar, quantity decimal(38, 18), amount decimal(38, 4),
    currency varchar, period_start timestamptz, period_end timestamptz, is_inclusive boolean);
create table stg_accounts__customers (
    customer_id varchar, name varchar, email varchar, country varchar,
    stripe_customer_id varchar, payment_method varchar, street varchar, city varchar,
    postal_code varchar, tax_id varchar);
"""


@dataclass
class Company:
    """Customers with amounts; `bill` writes the month's warehouse as dbt would."""

    home: Path
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(1_770_000_000.0))
    stripe: FakeStripe = field(init=False)
    runs: int = 0
    desired: tuple[DesiredInvoice, ...] | None = None
    movements: Movements | None = None
    max_invoice_total: Decimal | None = None

    def __post_init__(self) -> None:
        self.stripe = FakeStripe(self.clock)

    @property
    def settings(self) -> Settings:
        limit = self.max_invoice_total
        return Settings("data", self.home, ZoneInfo("UTC"), JANUARY, max_invoice_total=limit)

    def gateway(self) -> StripeGateway:
        config = GatewayConfig("sk_test_company", api_base="http://stripe.invalid", workers=4)
        return StripeGateway(
            config, http_client=self.stripe, clock=self.clock, rng=random.Random(1)
        )

    def bill(
        self, lines: dict[str, list[str]], month: BillingMonth = JANUARY, **customer: Any
    ) -> None:
        """`lines`: customer id to the amounts of its lines; each customer has one invoice."""
        path = self.settings.warehouse_path(month)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as db:
            db.execute(_TABLES)
            for customer_id, amounts in lines.items():
                self._bill_one(db, month, customer_id, amounts, customer)
        set_checked(self.settings, month, True)

    def want(self, lines: dict[str, list[int]], month: BillingMonth = JANUARY, **more: Any) -> None:
        """As `bill`, in minor units and without a warehouse: for tests that run many pushes."""
        self.desired = tuple(
            DesiredInvoice(
                f"in_{month.year}{month.month:02}_{customer_id}",
                month.key,
                Payer(
                    customer_id,
                    *(more.get(name) for name in ("name", "email", "country")),
                    stripe_customer_id=more.get("stripe_customer_id"),
                    payment_method=more.get("payment_method", "pm_card_visa"),
                    **{
                        name: more.get(name) for name in ("street", "city", "postal_code", "tax_id")
                    },
                ),
                more.get("currency", "USD"),
                tuple(
                    DesiredLine(
                        f"line_{customer_id}_{at}", "charge", f"Item {at}", amount, quantity="1"
                    )
                    for at, amount in enumerate(amounts, 1)
                ),
                collection_method=more.get("collection_method", "charge_automatically"),
                days_until_due=more.get("days_until_due"),
                wallet_applied=more.get("wallet", 0),
            )
            for customer_id, amounts in lines.items()
        )

    @staticmethod
    def _bill_one(
        db: Any, month: BillingMonth, customer_id: str, amounts: list[str], more: dict[str, Any]
    ) -> None:
        invoice_id = f"in_{month.key[:7].replace('-', '')}_{customer_id}"
        currency = more.get("currency", "USD")
        db.execute(
            "insert into stg_accounts__customers values (?, ?, ?, 'DE', ?, ?, null, null, null, ?)",
            [
                customer_id,
                f"Customer {customer_id}",
                f"{customer_id}@example.com",
                more.get("stripe_customer_id"),
                more.get("payment_method", "pm_card_visa"),
                more.get("tax_id"),
            ],
        )
        db.execute(
            "insert into invoices select ?, ?, ?, ?, sum(a::decimal(38,4)), 0, ?, ? "
            "from unnest(?) t(a)",
            [
                invoice_id,
                month.key,
                customer_id,
                currency,
                more.get("collection_method", "charge_automatically"),
                more.get("days_until_due"),
                amounts,
            ],
        )
        for position, amount in enumerate(amounts, 1):
            db.execute(
                "insert into invoice_lines values (?, ?, ?, ?, 'charge', ?, ?, 1, ?, ?, "
                "'2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z', false)",
                [
                    f"line_{customer_id}_{position}",
                    invoice_id,
                    month.key,
                    customer_id,
                    position,
                    f"Item {position}",
                    amount,
                    currency,
                ],
            )

    def top_up(self, **amounts: int) -> None:
        """Movements of Ada's wallet, by their ids, in minor units; further ones are added."""
        before = (self.movements or {}).get(("ada", "USD"), ())
        added = tuple(
            WalletMovement(name, "ada", "USD", amount, 1_767_000_000, "top_up")
            for name, amount in amounts.items()
        )
        self.movements = {("ada", "USD"): before + added}

    # The façade, each call in an event loop and with a gateway of its own.
    def preview(self, month: BillingMonth = JANUARY, **more: Any) -> InvoicePlan:
        more |= {"desired": self.desired}
        return self.wait(steps.preview(self.gateway(), self.settings, month, **more))

    def apply(self, month: BillingMonth = JANUARY, **more: Any) -> ApplyOutcome:
        self.runs += 1
        more |= {"desired": self.desired, "movements": self.movements}
        approved, only = more.pop("approved_hash", None), frozenset(more.pop("only", ()))
        if approved is not None:
            more["approval"] = Approval(approved, only, "finance")
        run_id = f"run-{self.runs}"
        return self.wait(
            steps.apply_plan(self.gateway(), self.settings, month, run_id=run_id, **more)
        )

    def decline(self, plan_hash: str, *only: str, reason: str = "wrong") -> InvoicePlan:
        self.runs += 1
        refusal = Approval(plan_hash, frozenset(only), "finance", reason)
        more: dict[str, Any] = {"run_id": f"run-{self.runs}", "desired": self.desired}
        return self.wait(steps.decline(self.gateway(), self.settings, JANUARY, refusal, **more))

    def pull(self, month: BillingMonth = JANUARY, **more: Any) -> PullResult:
        more |= {"desired": self.desired}
        return self.wait(payments.pull(self.gateway(), self.settings, month, **more))

    @staticmethod
    def wait(work: Awaitable[T]) -> T:
        async def main() -> T:
            return await work

        return asyncio.run(main())

    def invoices(self) -> list[dict[str, Any]]:
        return sorted(self.stripe.objects["in"].values(), key=lambda item: item["id"])


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "DURABILITY", "off")


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path / "home")
