"""Prepaid wallets: our ledger's movements in Stripe's customer balance.

What belongs here: bringing the customer's balance in Stripe to where finalizing an invoice takes
exactly what our ledger says the wallet pays, and comparing the two. What does not: computing what
the wallet pays (dbt does), finalizing (`send_invoice.py`), and top-ups in Stripe (`top_ups.py`).

Stripe applies a customer's whole credit at finalize. So before it
1. every movement of the ledger up to the month's end is posted, once each, marked with its id.
   Where the ledger says another amount by now, the difference is posted under a name of its own.
   Where a later month's invoice has taken what an earlier one may take by the ledger, because more
   came in since, as many of the later movements are posted as this invoice needs.
   What invoices took from the wallet while the customer was another one in Stripe is taken off
   the balance of the present one. What is taken out beyond what the wallet holds stays owed in
   the ledger and is covered in Stripe, marked as an overdraft, since there a debit would be
   charged to the card. Later top-ups fill the hole first: the cover is taken back;
2. what must not be taken (top-ups of later months, when an old month is closed late) is held
   back by a debit, marked with the invoice, and given back right after. The invoice itself
   carries the mark of the hold, so that an interruption is seen by the next plan. Whoever has the
   next turn at the balance gives back what an interrupted run has left held, of whatever invoice.
From the first to the last of these calls no other month's run may move the same balance: each
takes the customer's `turn`. What the balance holds besides, such as credit notes, is the
customer's and applies as Stripe does it: the wallet is taken first.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.collection.plan.desired import DesiredInvoice, clean_text, short_hash
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    change_for_sure,
)
from billing_pipeline.collection.records.lock import WalletLockedError, wallet_lock
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.refresh import (
    from_cache,
    paid_by_wallets,
    read_credit_notes,
)
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice, read_invoice
from billing_pipeline.money import format_minor, to_major, whole_units
from billing_pipeline.stripe_api.client import Json, StripeGateway
from billing_pipeline.stripe_api.errors import StripeFailure


@dataclass(frozen=True)
class WalletMovement:
    """One movement of a wallet, signed, in minor units: what comes in is above 0.

    A movement may be finer. What of it is no whole unit stays in the ledger and comes to Stripe
    with the movement that makes it whole, so that the sum of all is what the ledger has in whole
    units at any time. One that makes none whole is 0, and is not posted.
    """

    transaction_id: str
    customer_id: str
    currency: str
    amount: int
    occurred_at: int
    kind: str
    stripe_customer_id: str | None = None
    read_at: int = 0
    """When the inputs were read that say so: older ones never correct what newer ones posted."""


Movements = dict[tuple[str, str], tuple[WalletMovement, ...]]
"""By customer and currency, in the order in which they occurred, those after the month included: a
wallet that begins later is there too, and what Stripe holds of it must not be taken either."""

FindCustomer = Callable[[str], Awaitable[str | None]]


@dataclass(frozen=True)
class WalletProblem:
    """Whose wallet and balance could not be brought together or compared, and why."""

    customer_id: str
    currency: str
    message: str


async def stripe_customer_of(
    customer_id: str, movements: Sequence[WalletMovement], find: FindCustomer
) -> str | None:
    """The Stripe customer whose balance holds the wallet: the one that the accounts name, else
    the one that `find` finds by our id, or None."""
    known = next((item.stripe_customer_id for item in movements), None)
    return known or await find(customer_id)


_TABLES = "select table_name from information_schema.tables where table_schema = 'raw'"
_MOVEMENTS = """
select w.transaction_id, w.customer_id, w.currency, w.amount, floor(epoch(w.occurred_at))::bigint,
       w.kind, c.stripe_customer_id
from raw.wallet_transactions w left join raw.customers c using (customer_id)
order by w.occurred_at, w.transaction_id
"""


def read_movements(warehouse: Path) -> Movements:
    """All wallets in `raw.wallet_transactions`, with their movements."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        tables = {row[0] for row in connection.execute(_TABLES).fetchall()}
        rows = connection.execute(_MOVEMENTS).fetchall() if "wallet_transactions" in tables else []
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
    return {key: tuple(movements) for key, movements in grouped.items()}


_HOLD, _OVERDRAFT = "hold:", "billing_overdraft:"
_CORRECTION, _TAKEN_BEFORE = "billing_correction:", "billing_taken_before:"
_MOVEMENT = "billing_movement:"
_OURS = (_HOLD, _OVERDRAFT, _CORRECTION, _TAKEN_BEFORE, _MOVEMENT)
"""What the names of what we post besides the movements themselves begin with; a movement whose own
name begins so is posted as `billing_movement:…`."""


@dataclass(frozen=True)
class _Posted:
    """A transaction of ours on a customer's balance in Stripe; a debit is above 0."""

    name: str
    currency: str
    amount: int
    read_at: int = 0

    @property
    def is_movement(self) -> bool:
        """True for the ledger's own; the others hold back or cover."""
        return not self.name.startswith((_HOLD, _OVERDRAFT))

    @property
    def transaction_id(self) -> str | None:
        """The movement that it is, or that it corrects."""
        if self.name.startswith(_CORRECTION):
            return self.name.removeprefix(_CORRECTION).rpartition(":")[0]
        if self.name.startswith(_MOVEMENT):
            return self.name.removeprefix(_MOVEMENT)
        return None if self.name.startswith(_OURS) else self.name


@dataclass(frozen=True)
class _Wallet:
    """A wallet as Stripe has it: what we posted, and what invoices took. `taken_before`: while the
    customer was another one in Stripe, from which this balance does not know it."""

    currency: str
    posted: tuple[_Posted, ...]
    taken: int
    taken_before: int = 0

    @property
    def names(self) -> frozenset[str]:
        return frozenset(item.name for item in self.posted)

    @cached_property
    def by_movement(self) -> dict[str, list[_Posted]]:
        """What is posted of each movement: itself and its corrections."""
        found: dict[str, list[_Posted]] = defaultdict(list)
        for item in self.posted:
            if item.transaction_id is not None:
                found[item.transaction_id].append(item)
        return dict(found)

    def amount_of(self, transaction_id: str) -> int:
        """What is posted of a movement; below 0: credit."""
        return sum(item.amount for item in self.by_movement.get(transaction_id, ()))

    @cached_property
    def read_at(self) -> int:
        """When the newest inputs were read that anything was posted from."""
        return max((item.read_at for item in self.posted), default=0)

    @property
    def own(self) -> int:
        """Movements less what invoices took; below 0: owed."""
        return -sum(item.amount for item in self.posted if item.is_movement) - self.taken

    @property
    def covered(self) -> int:
        return -sum(item.amount for item in self.posted if item.name.startswith(_OVERDRAFT))

    @property
    def held(self) -> int:
        """What stands in Stripe's balance, less what is held back of it."""
        return -sum(item.amount for item in self.posted) - self.taken

    def held_for(self, invoice: ActualInvoice) -> int:
        """What is held back from an invoice."""
        name = _holds_of(invoice)
        return sum(item.amount for item in self.posted if item.name.startswith(name))

    def missing(self, movements: Sequence[WalletMovement], taking: int) -> list[_Posted]:
        """What is to be posted, in this order, before an invoice takes `taking`. Pure.

        An invoice comes before what was taken out after its month, as in the ledger, also where
        that stands in Stripe already.
        """
        missing = [
            found for item in movements for found in [self._difference(item)] if found is not None
        ] + self._taken_elsewhere()
        own = self.own - sum(item.amount for item in missing)
        counted = {item.transaction_id for item in movements}
        taken_out_later = sum(
            max(0, sum(item.amount for item in posted))
            for name, posted in self.by_movement.items()
            if name not in counted
        )
        taking = min(taking, max(0, own + taken_out_later))
        change = self.covered - max(0, taking - own)
        number = 1 + sum(name.startswith(_OVERDRAFT) for name in self.names)
        cover = _Posted(f"{_OVERDRAFT}{self.currency}:{number}", self.currency, change)
        # More cover comes first: an interruption must not leave a debit.
        return [*[cover] * (change < 0), *missing, *[cover] * (change > 0)]

    def _difference(self, movement: WalletMovement) -> _Posted | None:
        """What of a movement is not posted, or is posted with another amount than it has now."""
        name = movement.transaction_id
        posted = self.by_movement.get(name, [])
        change = -movement.amount - self.amount_of(name)
        if not change or (posted and self.read_at > movement.read_at):
            return None
        if posted:
            ours = f"{_CORRECTION}{name}:{len(posted)}"
        else:
            ours = f"{_MOVEMENT}{name}" if name.startswith(_OURS) else name
        return _Posted(ours, self.currency, change, movement.read_at)

    def _taken_elsewhere(self) -> list[_Posted]:
        known = [item for item in self.posted if item.name.startswith(_TAKEN_BEFORE)]
        change = self.taken_before - sum(item.amount for item in known)
        name = f"{_TAKEN_BEFORE}{self.currency}:{1 + len(known)}"
        return [_Posted(name, self.currency, change)] if change else []

    def left_held(self, except_for: str) -> dict[str, int]:
        """What interrupted runs have left held back, by what the names of the holds begin with."""
        held: dict[str, int] = defaultdict(int)
        for item in self.posted:
            if item.name.startswith(_HOLD):
                held[item.name.rpartition(":")[0] + ":"] += item.amount
        return {name: amount for name, amount in held.items() if amount and name != except_for}


class WalletBook:
    """Keeps customers' balances in Stripe in step with their wallets. One for each push; `until`
    is the month's end (epoch seconds), up to which movements count."""

    def __init__(
        self,
        session: StripeSession,
        movements: Movements | None = None,
        until: float = math.inf,
    ) -> None:
        self._session = session
        self._movements = movements or {}
        self._until = until
        self._credited: set[tuple[str, str]] = set()

    def concerns(self, send: DesiredInvoice) -> bool:
        """True where the customer has a wallet in the invoice's currency."""
        return send.wallet_applied > 0 or self.has_wallet(send.customer_id, send.currency)

    def has_wallet(self, customer_id: str, currency: str) -> bool:
        """True where the customer has a wallet in that currency."""
        return (customer_id, currency) in self._movements

    @asynccontextmanager
    async def turn(self, customer: str) -> AsyncIterator[None]:
        """Have the customer's balance in Stripe to oneself, from `prepare` to `release`.

        Raises `NotSentError` where another month's run keeps it.
        """
        lock = wallet_lock(
            self._session.locks_dir, stripe_customer_id=customer, clock=self._session.gateway.clock
        )
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(lock)
            except WalletLockedError as error:
                raise NotSentError(str(error)) from None
            yield

    async def prepare(self, send: DesiredInvoice, draft: ActualInvoice) -> None:
        """Before finalizing: post what is missing, hold back what must not be taken.

        Raises `NotSentError` where Stripe holds less than the wallet pays.
        """
        key, customer = (send.customer_id, send.currency), draft.stripe_customer_id
        counted, holds = self._counted(key), _holds_of(draft)
        wallet = await self._settle(key, customer, counted, send.wallet_applied, holds)
        held_back = wallet.held_for(draft)
        if later := self._covering(key, wallet, send.wallet_applied - wallet.held - held_back):
            counted = (*counted, *later)
            wallet = await self._settle(key, customer, counted, send.wallet_applied, holds)
        would_pay = min(wallet.held + held_back, max(0, send.total))
        if would_pay < send.wallet_applied:
            raise NotSentError(
                f"the wallet pays {format_minor(send.wallet_applied, send.currency)} of "
                f"{send.invoice_id} and the balance in Stripe can pay "
                f"{format_minor(would_pay, send.currency)}: left as a draft. Another month may "
                "have taken it since this one was computed: run the month again"
            )
        keep = wallet.held + held_back - send.wallet_applied
        hold = (keep if would_pay > send.wallet_applied else 0) - held_back
        if hold:
            await self._hold(draft, wallet, hold)

    async def release(self, invoice: ActualInvoice) -> ActualInvoice:
        """After finalizing: give back what was held, and take the mark off the invoice."""
        target, customer = _target(invoice), invoice.stripe_customer_id
        posted = await self._posted(customer)
        await self._give_back(target, customer, posted, _holds_of(invoice))
        return await self._mark(target, invoice, step="wallet-released", value="")

    async def _give_back(
        self, target: RequestTarget, customer: str, posted: Sequence[_Posted], holds: str
    ) -> list[_Posted]:
        """Take back what the holds whose names begin so still hold; gives what was posted."""
        ours = [item for item in posted if item.name.startswith(holds)]
        held, number = sum(item.amount for item in ours), len(ours)
        if not held:
            return []
        given = _Posted(f"{holds}release-{number}", ours[0].currency, -held)
        await self._post(target, customer, f"wallet-release-{number}", given)
        return [given]

    def note_credit(self, customer_id: str, currency: str) -> None:
        """A credit note may have given back to the wallet: `post_outstanding` looks at it."""
        self._credited.add((customer_id, currency))

    async def post_outstanding(self, find: FindCustomer) -> list[WalletProblem]:
        """Post the movements of customers who were not invoiced, each by itself; gives those for
        whom that did not work. `find` gives the Stripe customer of a customer of ours, or None: one
        who is not in Stripe yet waits for the first invoice.
        """
        problems = []
        for key in sorted(self._movements):
            try:
                await self._post_outstanding(key, self._counted(key), find)
            except (NotSentError, StripeFailure) as error:
                problems.append(WalletProblem(*key, str(error)))
        return problems

    async def _post_outstanding(
        self, key: tuple[str, str], movements: Sequence[WalletMovement], find: FindCustomer
    ) -> None:
        customer = await stripe_customer_of(key[0], movements, find)
        if customer is None:
            return
        is_posted = all(
            self._session.cache.is_posted(customer, key[1], item.transaction_id, item.amount)
            for item in movements
        )
        if not is_posted or key in self._credited:
            async with self.turn(customer):
                await self._settle(key, customer, movements)

    def _counted(self, key: tuple[str, str]) -> tuple[WalletMovement, ...]:
        """The wallet's movements up to the month's end."""
        movements = self._movements.get(key, ())
        return tuple(item for item in movements if item.occurred_at < self._until)

    def _covering(
        self, key: tuple[str, str], wallet: _Wallet, missing: int
    ) -> tuple[WalletMovement, ...]:
        """The first movements after the month that put in what is missing; none where all of them
        do not."""
        found = []
        for item in self._movements.get(key, ())[len(self._counted(key)) :]:
            if missing <= 0:
                break
            found.append(item)
            missing -= item.amount + wallet.amount_of(item.transaction_id)
        return tuple(found) if missing <= 0 else ()

    async def _settle(
        self,
        key: tuple[str, str],
        customer: str,
        movements: Sequence[WalletMovement],
        taking: int = 0,
        holds: str = "",
    ) -> _Wallet:
        """Post what is missing of a wallet, and give back what others than `holds` hold of it:
        whose turn it is finds no run at work on it. Gives what Stripe has then."""
        customer_id, currency = key
        wallet = await self._read(key, customer)
        for name in wallet.left_held(except_for=holds):
            given = await self._give_back(_subject_of(key, name), customer, wallet.posted, name)
            wallet = replace(wallet, posted=(*wallet.posted, *given))
        missing = wallet.missing(movements, taking)
        for item in missing:
            # The name is part of the step: each has a key of its own.
            step = f"wallet-{short_hash(item.name)[:16]}"
            await self._post(RequestTarget(customer_id), customer, step, item)
        wallet = replace(wallet, posted=(*wallet.posted, *missing))
        self._session.cache.note_posted(
            customer,
            currency,
            {
                item.transaction_id: item.amount
                for item in movements
                if item.amount == -wallet.amount_of(item.transaction_id)
            },
        )
        return wallet

    async def _read(self, key: tuple[str, str], customer: str) -> _Wallet:
        customer_id, currency = key
        posted = [item for item in await self._posted(customer) if item.currency == currency]
        known = paid_by_wallets(self._session.cache, customer_id=customer_id)
        before = [item for item in known if item.stripe_customer_id != customer]
        return _Wallet(
            currency,
            tuple(posted),
            sum(item.wallet_taken for item in await self._invoices(customer, currency)),
            sum(item.wallet_taken for item in before if item.currency == currency),
        )

    async def _hold(self, draft: ActualInvoice, wallet: _Wallet, amount: int) -> None:
        target = _target(draft)
        # The mark first: by it the next plan sees, after an interruption, that something may
        # have to be given back. How much is told by the holds themselves.
        await self._mark(target, draft, step="wallet-held", value="1")
        number = 1 + sum(name.startswith(_holds_of(draft)) for name in wallet.names)
        hold = _Posted(f"{_holds_of(draft)}{number}", draft.currency, amount)
        await self._post(target, draft.stripe_customer_id, f"wallet-hold-{number}", hold)

    async def _mark(
        self, target: RequestTarget, invoice: ActualInvoice, *, step: str, value: str
    ) -> ActualInvoice:
        path = f"/v1/invoices/{invoice.stripe_invoice_id}"
        params = {"metadata": {metadata_keys.WALLET_HOLD: value}}

        async def look() -> Json | None:
            body = await self._session.gateway.get(path)
            return body if read_invoice(body).is_wallet_held == bool(value) else None

        body = await change_for_sure(self._session, target, step, path, params, look)
        self._session.cache.store([body])
        return read_invoice(body)

    async def _post(self, target: RequestTarget, customer: str, step: str, item: _Posted) -> None:
        """One transaction on Stripe's balance, marked by its name, once."""
        path = f"/v1/customers/{customer}/balance_transactions"
        params = {
            "amount": item.amount,
            "currency": item.currency.lower(),
            "description": clean_text(f"Prepaid wallet {item.name}", 350),
            "metadata": {
                metadata_keys.WALLET_TRANSACTION: item.name,
                metadata_keys.WALLET_READ_AT: str(item.read_at),
            },
        }
        # Whatever becomes of this run: the month's tables about wallets are old from now on.
        self._session.cache.touch_wallets()

        async def look() -> Json | None:
            posted = await self._posted(customer)
            is_there = any(p.name == item.name and p.currency == item.currency for p in posted)
            return {} if is_there else None

        await change_for_sure(self._session, target, step, path, params, look)

    async def _posted(self, customer: str) -> list[_Posted]:
        path = f"/v1/customers/{customer}/balance_transactions"
        return [
            _Posted(
                metadata[metadata_keys.WALLET_TRANSACTION],
                str(item["currency"]).upper(),
                int(item["amount"]),
                int(metadata.get(metadata_keys.WALLET_READ_AT) or 0),
            )
            async for item in self._session.gateway.list(path)
            for metadata in [item.get("metadata") or {}]
            if metadata.get(metadata_keys.WALLET_TRANSACTION) is not None
        ]

    async def _invoices(self, customer: str, currency: str) -> list[ActualInvoice]:
        """The invoices of ours that a customer has in Stripe."""
        gateway, cache = self._session.gateway, self._session.cache
        return await invoices_of(gateway, cache, customer, currency)


def _holds_of(invoice: ActualInvoice) -> str:
    """What the names of an invoice's holds and releases begin with."""
    return f"{_HOLD}{invoice.invoice_id}:{invoice.revision}:"


def _subject_of(key: tuple[str, str], holds: str) -> RequestTarget:
    invoice_id, _, revision = holds.removeprefix(_HOLD).rstrip(":").rpartition(":")
    return RequestTarget(key[0], invoice_id, int(revision))


def _target(invoice: ActualInvoice) -> RequestTarget:
    return RequestTarget(invoice.customer_id or "", invoice.invoice_id or "", invoice.revision or 1)


async def invoices_of(
    gateway: StripeGateway, cache: StripeCache, customer: str, currency: str
) -> list[ActualInvoice]:
    """The invoices of ours that a customer has in Stripe in a currency, by the marks that they had
    when they were billed, and with who made their credit notes: what those by hand give back is no
    part of the wallet."""
    moment, query = cache.moment(), {"customer": customer}
    listed = [data async for data in gateway.list("/v1/invoices", query)]
    cache.store(listed, moment=moment)
    cached = [cache.invoice(data["id"]) for data in listed]
    known = [from_cache(item) for item in cached if item is not None]
    ours = [item for item in known if item.currency == currency and item.invoice_id]
    from_wallet = [item for item in ours if item.wallet_declared]
    others = [item for item in ours if not item.wallet_declared]
    return others + await read_credit_notes(gateway, cache, from_wallet)


async def wallet_row(
    gateway: StripeGateway,
    cache: StripeCache,
    customer: str,
    movements: Sequence[WalletMovement],
    before: int,
    differs: int = 0,
) -> dict[str, Any]:
    """A wallet of ours against the balance in Stripe: the ledger, what we posted of it less what
    invoices took there, the balance, and the difference (Stripe's less ours).

    Movements from `before` on count where a later month has posted them. What the balance holds
    besides (credit notes on what was paid by card, amounts too small to charge) stands in a column
    of its own; what was moved by hand in Stripe is in the difference. `differs` is what our own
    month takes of the wallet beyond what Stripe says that it took.
    """
    customer_id, currency = movements[0].customer_id, movements[0].currency
    theirs = await _transactions(gateway, customer, currency)
    marks = [(item.get("metadata") or {}).get(metadata_keys.WALLET_TRANSACTION) for item in theirs]
    posted = [
        _Posted(str(mark), currency, int(item["amount"]))
        for item, mark in zip(theirs, marks, strict=True)
        if mark is not None
    ]
    known = {item.transaction_id for item in posted}
    put_in = sum(
        item.amount
        for item in movements
        if item.occurred_at < before or item.transaction_id in known
    )
    invoices = await invoices_of(gateway, cache, customer, currency)
    taken = sum(item.wallet_taken for item in invoices)
    elsewhere = sum(
        item.wallet_taken
        for item in paid_by_wallets(cache, customer_id=customer_id)
        if item.stripe_customer_id != customer and item.currency == currency
    )
    # What is owed stands in the ledger alone: in Stripe it would be charged.
    ledger = max(0, put_in - taken - elsewhere - differs)
    credited = -sum(int(item["amount"]) for item in theirs if item["type"] == "credit_note")
    other = credited + taken - sum(item.settled_by_balance for item in invoices)
    balance = -int(theirs[0]["ending_balance"]) if theirs else 0
    sums = {
        "wallet_balance": ledger,
        "posted_balance": -sum(item.amount for item in posted) - taken,
        "other_credit": other,
        "stripe_balance": balance,
        "difference": balance - other - ledger,
    }
    return {
        "customer_id": customer_id,
        "currency": currency,
        **{name: to_major(amount, currency) for name, amount in sums.items()},
        "problem": None,
    }


async def _transactions(gateway: StripeGateway, customer: str, currency: str) -> list[Json]:
    """A balance's transactions in a currency, newest first: the first has what it is now."""
    path = f"/v1/customers/{customer}/balance_transactions"
    found = [item async for item in gateway.list(path)]
    return [item for item in found if str(item["currency"]).upper() == currency]
