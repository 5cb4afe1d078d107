"""Our ledger of a wallet compared with the balance in Stripe: what has to be posted there.

What belongs here: the ledger's movements and reading them from the warehouse, our transactions on a
balance in Stripe, and the movements that are missing there. What does not: computing what the
wallet pays (dbt does), posting (``push.wallets``), comparing for people (``pull.wallet_balances``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import duckdb

from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.collection.stripe_state.wallet_payments import PAYMENT
from billing_pipeline.duckdb_sql import table_names
from billing_pipeline.money import whole_units

EXPIRY = "billing_expiry:"
"""Begins the names of expiries: movements that stand in no file, when a lot has expired."""


@dataclass(frozen=True)
class WalletMovement:
    """One movement of a wallet at `occurred_at` (epoch seconds). `amount` is in minor units: what
    comes in is above 0.

    The ledger may count in fractions of a minor unit. Fractions are posted to Stripe with the
    movement that completes a whole unit, so that at any time the amounts add up to the ledger's
    whole units. A movement that completes none has the amount 0, and is not posted.
    """

    transaction_id: str
    customer_id: str
    currency: str
    amount: int
    occurred_at: int
    kind: str
    stripe_customer_id: str | None = None
    read_at: int = 0
    """When its inputs were read, epoch seconds: older inputs never correct what newer ones
    posted."""

    @property
    def expires_by_itself(self) -> bool:
        """True for what is left of a lot at its `expires_at`; the lot is in the name."""
        return self.transaction_id.startswith(EXPIRY)

    @property
    def is_newest_authoritative(self) -> bool:
        """True where only the newest inputs have the right amount: for what expires by itself, and
        for payments of open invoices, which may come back."""
        return self.transaction_id.startswith((EXPIRY, PAYMENT))

    def counts_until(self, month_end: float) -> bool:
        """True where it belongs to the month that ends at `month_end` (epoch seconds), or to an
        earlier one."""
        by_its_last_instant = self.expires_by_itself and self.occurred_at == month_end
        return self.occurred_at < month_end or by_its_last_instant


Movements = dict[tuple[str, str], tuple[WalletMovement, ...]]
"""By customer and currency, in the order in which they occurred, including those after the month:
an invoice must not take what Stripe holds of a wallet that begins later. Empty for a wallet that
has only what invoices put in."""

_TRANSACTIONS = """
select 1 as turn, transaction_id, customer_id, currency, amount, occurred_at, kind
from raw.wallet_transactions
"""
_COMMITMENTS = """
select 1, lot_id, customer_id, currency, amount, came_at, 'commitment' from main.prepaid_lots
"""
# Including lots that were empty when they expired: a rerun may find less to expire than was posted.
_EXPIRIES = f"""
select 0, '{EXPIRY}' || lot_id, customer_id, currency, -amount, expired_at, 'expiry'
from main.wallet_expiries
"""
_WALLETS = "select customer_id, upper(currency) from main.wallet_turns order by all"
_MOVEMENTS = """
select w.transaction_id, w.customer_id, w.currency, w.amount, floor(epoch(w.occurred_at))::bigint,
       w.kind, c.stripe_customer_id
from ({}) w left join (
    select distinct on (customer_id) customer_id, stripe_customer_id
    from raw.customers order by customer_id, valid_from desc nulls last
) c using (customer_id)
order by w.occurred_at, w.turn, w.transaction_id
"""


def read_movements(warehouse: Path) -> Movements:
    """All wallets: the transactions in `raw.wallet_transactions`, what commitments put in, and what
    has expired by itself by the month's end."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        tables = table_names(connection, "raw", "main")
        rows = []
        if "wallet_transactions" in tables:
            parts = [_TRANSACTIONS]
            parts += [_COMMITMENTS] * ("prepaid_lots" in tables)
            parts += [_EXPIRIES] * ("wallet_expiries" in tables)
            rows = connection.execute(_MOVEMENTS.format(" union all ".join(parts))).fetchall()
        wallets = connection.execute(_WALLETS).fetchall() if "wallet_turns" in tables else []
        read_at = (
            connection.execute("select floor(epoch(read_at))::bigint from raw.intake").fetchall()
            if "intake" in tables
            else [(0,)]
        )[0][0]
    grouped: dict[tuple[str, str], list[WalletMovement]] = defaultdict(list)
    sums: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for transaction_id, customer_id, currency, amount, occurred_at, kind, known in rows:
        code = currency.upper()
        key = customer_id, code
        held, sums[key] = sums[key], sums[key] + Fraction(amount)
        minor = whole_units(sums[key], code) - whole_units(held, code)
        grouped[key].append(
            WalletMovement(
                *(transaction_id, customer_id, code, minor, occurred_at, kind, known, read_at)
            )
        )
    # A wallet that has only what invoices put in has no movements to post, but Stripe holds it.
    return {key: tuple(grouped[key]) for key in [*grouped, *wallets]}


@dataclass(frozen=True)
class WalletFunds:
    """What a wallet's lots hold at one moment, in whole minor units. `without_prepaid`: the part of
    it that is not in lots of prepaid commitments. `at`, and `read_at`, when the inputs were read,
    are epoch seconds."""

    customer_id: str
    currency: str
    at: int
    amount: int
    without_prepaid: int
    read_at: int = 0


_FUNDS = """
select changes.customer_id, changes.currency, sum(changes.change),
       coalesce(sum(changes.change) filter (where not lots.is_prepaid), 0),
       (select floor(epoch(read_at))::bigint from raw.intake)
from main.wallet_changes as changes
join main.wallet_deposits as lots using (customer_id, currency, lot_id)
where changes.happens_at <= to_timestamp($at)
group by all
"""


def read_funds(warehouse: Path, at: int) -> list[WalletFunds]:
    """What each wallet holds at a moment (epoch seconds) in the warehouse's month or before it."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        rows = connection.execute(_FUNDS, {"at": at}).fetchall()
    found = []
    for customer_id, currency, *amounts, read_at in rows:
        code = currency.upper()
        held, besides = (whole_units(Fraction(amount), code) for amount in amounts)
        found.append(WalletFunds(customer_id, code, at, held, besides, read_at))
    return found


HOLD, _OVERDRAFT = "hold:", "billing_overdraft:"
_CORRECTION, _TAKEN_BEFORE = "billing_correction:", "billing_taken_before:"
_MOVEMENT = "billing_movement:"
_OURS = (HOLD, _OVERDRAFT, _CORRECTION, _TAKEN_BEFORE, _MOVEMENT)
"""Begin the names of what we post besides the movements themselves. A movement whose own name
begins so is posted as `billing_movement:…`. Intake refuses names that begin like `EXPIRY`."""


@dataclass(frozen=True)
class PostedTransaction:
    """A transaction of ours on a customer's balance in Stripe, in minor units; a debit is above
    0."""

    name: str
    currency: str
    amount: int
    read_at: int = 0

    @property
    def is_movement(self) -> bool:
        """True for the ledger's own movements; the others hold back or cover an overdraft."""
        return not self.name.startswith((HOLD, _OVERDRAFT))

    @property
    def transaction_id(self) -> str | None:
        """The movement that it is, or that it corrects."""
        if self.name.startswith(_CORRECTION):
            return self.name.removeprefix(_CORRECTION).rpartition(":")[0]
        if self.name.startswith(_MOVEMENT):
            return self.name.removeprefix(_MOVEMENT)
        return None if self.name.startswith(_OURS) else self.name


@dataclass(frozen=True)
class WalletInStripe:
    """A wallet as Stripe has it: what we posted, and what invoices took (`taken`, minor units).
    `taken_before`: what they took while the customer was another one in Stripe, which this balance
    does not show."""

    currency: str
    posted: tuple[PostedTransaction, ...]
    taken: int
    taken_before: int = 0

    @property
    def names(self) -> frozenset[str]:
        return frozenset(item.name for item in self.posted)

    @cached_property
    def by_movement(self) -> dict[str, list[PostedTransaction]]:
        """What is posted of each movement: itself and its corrections."""
        found: dict[str, list[PostedTransaction]] = defaultdict(list)
        for item in self.posted:
            if item.transaction_id is not None:
                found[item.transaction_id].append(item)
        return dict(found)

    def amount_of(self, transaction_id: str) -> int:
        """What is posted of a movement; below 0: credit."""
        return sum(item.amount for item in self.by_movement.get(transaction_id, ()))

    @cached_property
    def read_at(self) -> int:
        """When the newest inputs were read from which anything was posted, epoch seconds."""
        return max((item.read_at for item in self.posted), default=0)

    @property
    def ledger_balance(self) -> int:
        """Movements less what invoices took; below 0: owed."""
        return -sum(item.amount for item in self.posted if item.is_movement) - self.taken

    @property
    def overdraft_cover(self) -> int:
        """The credit that covers an overdraft, in minor units."""
        return -sum(item.amount for item in self.posted if item.name.startswith(_OVERDRAFT))

    @property
    def held(self) -> int:
        """The wallet's part of the balance in Stripe, without what is held back."""
        return -sum(item.amount for item in self.posted) - self.taken

    def held_for(self, invoice: ActualInvoice) -> int:
        """What is held back from an invoice."""
        name = holds_of(invoice)
        return sum(item.amount for item in self.posted if item.name.startswith(name))

    def missing_transactions(
        self, movements: Sequence[WalletMovement], taking: int, taking_back: int
    ) -> list[PostedTransaction]:
        """What to post, in this order, before an invoice takes `taking` (minor units). Pure.

        An invoice comes before what was taken out after its month, as in the ledger, even where the
        later withdrawal is in Stripe already. `taking_back`: what the month's earlier invoices have
        put in. A supplement takes that back even if later months have used it: it stays owed.
        """
        missing = [
            found for item in movements for found in [self._difference(item)] if found is not None
        ] + self._taken_elsewhere()
        own = self.ledger_balance - sum(item.amount for item in missing)
        counted = {item.transaction_id for item in movements}
        taken_out_later = sum(
            max(0, sum(item.amount for item in posted))
            for name, posted in self.by_movement.items()
            # But payments of open invoices come before an invoice that is sent late.
            if name not in counted and not name.startswith(PAYMENT)
        )
        taking = min(taking, max(0, own + taken_out_later, taking_back))
        change = self.overdraft_cover - max(0, taking - own)
        number = 1 + sum(name.startswith(_OVERDRAFT) for name in self.names)
        cover = PostedTransaction(f"{_OVERDRAFT}{self.currency}:{number}", self.currency, change)
        # Added cover is posted first: an interruption must not leave a debit without it.
        return [*[cover] * (change < 0), *missing, *[cover] * (change > 0)]

    def movements_covering(
        self, later: Sequence[WalletMovement], lacking: int
    ) -> tuple[WalletMovement, ...]:
        """The first of the later movements that together put in what is lacking; none where all of
        them do not."""
        found = []
        for item in later:
            if lacking <= 0:
                break
            found.append(item)
            lacking -= item.amount + self.amount_of(item.transaction_id)
        return tuple(found) if lacking <= 0 else ()

    def _difference(self, movement: WalletMovement) -> PostedTransaction | None:
        """What to post for a movement that is not posted, or posted with another amount than it has
        now; None where nothing is."""
        name = movement.transaction_id
        posted = self.by_movement.get(name, [])
        change = -movement.amount - self.amount_of(name)
        if not change or (posted and self.read_at > movement.read_at):
            return None
        if posted:
            ours = f"{_CORRECTION}{name}:{len(posted)}"
        else:
            ours = f"{_MOVEMENT}{name}" if name.startswith(_OURS) else name
        return PostedTransaction(ours, self.currency, change, movement.read_at)

    def _taken_elsewhere(self) -> list[PostedTransaction]:
        known = [item for item in self.posted if item.name.startswith(_TAKEN_BEFORE)]
        change = self.taken_before - sum(item.amount for item in known)
        name = f"{_TAKEN_BEFORE}{self.currency}:{1 + len(known)}"
        return [PostedTransaction(name, self.currency, change)] if change else []

    def leftover_holds(self, except_for: str) -> dict[str, int]:
        """What interrupted runs have left held back, by the beginning of the holds' names."""
        held: dict[str, int] = defaultdict(int)
        for item in self.posted:
            if item.name.startswith(HOLD):
                held[item.name.rpartition(":")[0] + ":"] += item.amount
        return {name: amount for name, amount in held.items() if amount and name != except_for}


def holds_of(invoice: ActualInvoice) -> str:
    """Begins the names of an invoice's holds and releases."""
    return f"{HOLD}{invoice.invoice_id}:{invoice.revision}:"
