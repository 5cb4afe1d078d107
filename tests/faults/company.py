"""A few customers whose month changes from stage to stage, and the expected invoices.

What belongs here: generating the desired invoices of each stage, and the oracle: the revisions and
credits that they must lead to. What does not: running the pipeline (`story.py`).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from billing_pipeline.collection.plan.desired import DesiredInvoice, DesiredLine
from billing_pipeline.collection.plan.wallet_ledger import Movements, WalletMovement
from billing_pipeline.collection.stripe_state.profiles import Payer
from billing_pipeline.months import BillingMonth

JANUARY = BillingMonth(2026, 1)
FEBRUARY = BillingMonth(2026, 2)
GOOD_CARD, BAD_CARD = "pm_card_visa", "pm_card_chargeCustomerFail"


@dataclass(frozen=True)
class Account:
    """A customer: the amounts of its lines at each stage (none: no invoice), in minor units.

    `top_ups`: what it paid into its wallet (below 0: took out); `from_wallet`: what the wallet
    pays of each stage's invoice of January. February's gets the rest. `tax_ids`: its tax id at each
    stage.
    """

    customer_id: str
    stages: tuple[tuple[int, ...], ...]
    card: str | None = GOOD_CARD
    is_sent: bool = False
    currency: str = "USD"
    top_ups: tuple[int, ...] = ()
    from_wallet: tuple[int, ...] = ()
    tax_ids: tuple[str, ...] = ()

    def desired(self, stage: int, month: BillingMonth) -> DesiredInvoice | None:
        amounts = self.stages[stage]
        if not amounts:
            return None
        return DesiredInvoice(
            invoice_id=f"in_{month.year}{month.month:02}_{self.customer_id}",
            month_key=month.key,
            payer=Payer(
                self.customer_id,
                email=f"{self.customer_id}@example.com",
                payment_method=self.card,
                tax_id=self.tax_ids[stage] if self.tax_ids else None,
            ),
            currency=self.currency,
            lines=tuple(
                DesiredLine(
                    f"line_{self.customer_id}_{at}", "charge", f"Item {at}", amount, quantity="1"
                )
                for at, amount in enumerate(amounts, 1)
                if amount
            ),
            collection_method="send_invoice" if self.is_sent else "charge_automatically",
            days_until_due=14 if self.is_sent else None,
            wallet_applied=self._from_wallet(stage, month),
        )

    def _from_wallet(self, stage: int, month: BillingMonth) -> int:
        if not self.from_wallet:
            return 0
        rest = max(0, sum(self.top_ups) - self.from_wallet[-1])
        return self.from_wallet[stage] if month == JANUARY else min(rest, sum(self.stages[stage]))


@dataclass(frozen=True)
class Company:
    """All accounts, with as many stages each."""

    accounts: tuple[Account, ...]

    @property
    def stages(self) -> int:
        return len(self.accounts[0].stages)

    def desired(self, stage: int, month: BillingMonth = JANUARY) -> tuple[DesiredInvoice, ...]:
        found = [account.desired(stage, month) for account in self.accounts]
        return tuple(sorted((i for i in found if i), key=lambda invoice: invoice.invoice_id))

    def movements(self) -> Movements:
        return {
            (account.customer_id, account.currency): tuple(
                WalletMovement(
                    f"top-up-{account.customer_id}-{at}",
                    account.customer_id,
                    account.currency,
                    amount,
                    1_767_000_000 + at,
                    "top_up",
                )
                for at, amount in enumerate(account.top_ups, 1)
            )
            for account in self.accounts
            if account.from_wallet
        }


@dataclass
class Expected:
    """The expected state of one invoice in Stripe at the end."""

    revisions: list[int] = field(default_factory=list)
    """Totals of the original and its supplements, in order."""
    credited: int = 0
    lines: list[tuple[dict[str, int], int]] = field(default_factory=list)
    """For each revision: what all lines up to it add up to by id, and what was credited by then."""

    @property
    def net(self) -> int:
        return sum(self.revisions) - self.credited

    @property
    def creditable(self) -> int:
        return sum(max(0, total) for total in self.revisions) - self.credited


def expected(stages: Sequence[DesiredInvoice | None]) -> Expected:
    """The oracle: each stage was brought to its end before the next one began."""
    books = Expected()
    for invoice in stages:
        total = invoice.total if invoice else 0
        if total > books.net or books.net - total > books.creditable:
            assert invoice is not None
            lines = {line.line_id: line.amount for line in invoice.lines}
            books.lines.append((lines, books.credited))
            books.revisions.append(total - books.net)
        elif total < books.net:
            books.credited += books.net - total
    return books


def expected_by_invoice(company: Company, month: BillingMonth = JANUARY) -> Mapping[str, Expected]:
    every = [company.desired(stage, month) for stage in range(company.stages)]
    ids = sorted({invoice.invoice_id for stage in every for invoice in stage})
    return {
        invoice_id: expected(
            [next((i for i in stage if i.invoice_id == invoice_id), None) for stage in every]
        )
        for invoice_id in ids
    }


SMALL = Company(
    (
        Account("ada", ((1000, 200), (1000, 450)), tax_ids=("DE123456789", "DE987654321")),
        Account("bob", ((700,), (500,))),
        Account("cyd", ((), (300,))),
    )
)
"""More for one, less for another, and one who was not there: the least that has every action."""

WALLETS = Company(
    (
        Account("dee", ((1200,), (1500,)), top_ups=(500, 500), from_wallet=(600, 800)),
        Account("gus", ((700,), (700,)), top_ups=(300, -500), from_wallet=(0, 0)),
        Account("hal", ((-900,), (-900, 300)), from_wallet=(-900, -600)),
        Account("eve", ((900,), ()), card=BAD_CARD),
        Account("fay", ((800, 100), (800, 150)), card=None, is_sent=True),
    )
)
"""A wallet of which a part is kept back, one that is overdrawn, one that only invoices below 0
have filled, a card that declines, an invoice that is sent."""


def random_company(rng: random.Random) -> Company:
    """Two to four customers over two or three stages, each with a life of its own."""
    stages = rng.choice((2, 2, 3))
    names = ("ada", "bob", "cyd", "dee")[: rng.randint(2, 4)]
    return Company(tuple(_random_account(rng, name, stages) for name in names))


def _random_account(rng: random.Random, name: str, stages: int) -> Account:
    lines = [rng.randrange(100, 3000) for _ in range(rng.randint(1, 3))]
    lives: list[tuple[int, ...]] = []
    for _ in range(stages):
        change = rng.choice(("same", "same", "more", "less", "another", "none"))
        if change == "more":
            lines[rng.randrange(len(lines))] += rng.randrange(100, 900)
        elif change == "less":
            lines[rng.randrange(len(lines))] = rng.randrange(60, 100)
        elif change == "another":
            lines.append(rng.randrange(60, 900))
        lives.append(() if change == "none" else tuple(lines))
    is_sent = rng.random() < 0.2
    card = None if is_sent else rng.choice((GOOD_CARD, GOOD_CARD, GOOD_CARD, BAD_CARD, None))
    if rng.random() < 0.3:
        return _with_wallet(rng, Account(name, tuple(lives), card, is_sent), lines)
    currency = rng.choice(("USD", "EUR", "JPY"))
    return Account(name, tuple(lives), card, is_sent, currency)


def _with_wallet(rng: random.Random, account: Account, lines: list[int]) -> Account:
    """Amounts due only grow: credit notes on wallets are tested elsewhere."""
    lines[0] += 700  # what the wallet leaves must be enough for a card
    growing = lines[:1]
    for _ in account.stages[1:]:
        growing.append(growing[-1] + rng.choice((0, 100, 700)))
    # The rest is nothing, or enough for a card.
    paid = rng.choice((sum(lines), sum(lines) // 2))
    top_ups = (paid // 3, paid - paid // 3 + rng.choice((0, 500)))
    return replace(
        account,
        stages=tuple((amount, *lines[1:]) for amount in growing),
        top_ups=top_ups,
        from_wallet=tuple(paid for _ in growing),
    )
