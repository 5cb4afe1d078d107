"""Prepaid wallets: our ledger's movements in Stripe's customer balance.

What belongs here: bringing the customer's balance in Stripe to where finalizing an invoice takes
exactly what our ledger says the wallet pays, and comparing the two. What does not: computing what
the wallet pays (dbt does), finalizing (`sending.py`), and top-ups in Stripe (`top_ups.py`).

Stripe applies a customer's whole credit at finalize. So before it
1. every movement of the ledger up to the month's end is posted, once each, marked with its id.
   What is taken out beyond what the wallet holds stays owed in the ledger and is covered in
   Stripe, marked as an overdraft, since there a debit would be charged to the card. Later top-ups
   fill the hole first: the cover is taken back;
2. what must not be taken (top-ups of later months, when an old month is closed late) is held
   back by a debit, marked with the invoice, and given back right after. The invoice itself
   carries the mark of the hold, so that an interruption is seen by the next plan.
From the first to the last of these calls no other month's run may move the same balance: each
takes the customer's `turn`. What the balance holds besides, such as credit notes, is the
customer's and applies as Stripe does it: the wallet is taken first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.invoicing import documents
from billing_pipeline.invoicing.actual import ActualInvoice, read_invoice
from billing_pipeline.invoicing.desired import DesiredInvoice, clean_text, short_hash
from billing_pipeline.invoicing.lock import WalletLockedError, wallet_lock
from billing_pipeline.invoicing.money import show, to_major, whole_units
from billing_pipeline.invoicing.refresh import each
from billing_pipeline.invoicing.requests import Desk, NotSentError, Subject, change_for_sure
from billing_pipeline.stripe_api.client import Json, StripeGateway


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


Movements = dict[tuple[str, str], tuple[WalletMovement, ...]]
"""By customer and currency, in the order in which they occurred. A wallet of which no movement
counts yet is there with none: what Stripe holds of it must not be taken either."""

FindCustomer = Callable[[str], Awaitable[str | None]]

_MOVEMENTS = """
select w.transaction_id, w.customer_id, w.currency, w.amount, floor(epoch(w.occurred_at))::bigint,
       w.kind, c.stripe_customer_id
from raw.wallet_transactions w left join raw.customers c using (customer_id)
order by w.occurred_at, w.transaction_id
"""


def read_movements(warehouse: Path, before: int | None = None) -> Movements:
    """All wallets in `raw.wallet_transactions`, with their movements (before an instant, epoch
    seconds)."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        exists = connection.execute(
            "select 1 from information_schema.tables "
            "where table_schema = 'raw' and table_name = 'wallet_transactions'"
        ).fetchone()
        rows = connection.execute(_MOVEMENTS).fetchall() if exists else []
    grouped: dict[tuple[str, str], list[WalletMovement]] = defaultdict(list)
    sums: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for transaction_id, customer_id, currency, amount, occurred_at, kind, known in rows:
        code = currency.upper()
        key = customer_id, code
        held, sums[key] = sums[key], sums[key] + Fraction(amount)
        minor = whole_units(sums[key], code) - whole_units(held, code)
        wallet = grouped[key]
        if before is None or occurred_at < before:
            wallet.append(
                WalletMovement(transaction_id, customer_id, code, minor, occurred_at, kind, known)
            )
    return {key: tuple(movements) for key, movements in grouped.items()}


@dataclass(frozen=True)
class _Posted:
    """A transaction of ours on a customer's balance in Stripe; a debit is above 0."""

    name: str
    currency: str
    amount: int

    @property
    def is_movement(self) -> bool:
        """True for the ledger's own; the others hold back or cover."""
        return not self.name.startswith((_HOLD, _OVERDRAFT))


_HOLD, _OVERDRAFT = "hold:", "billing_overdraft:"
"""What the names of what we post besides movements begin with."""


@dataclass(frozen=True)
class _Wallet:
    """A wallet as Stripe has it: what we posted, and what invoices took."""

    currency: str
    posted: tuple[_Posted, ...]
    taken: int

    @property
    def names(self) -> frozenset[str]:
        return frozenset(item.name for item in self.posted)

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
            _Posted(item.transaction_id, self.currency, -item.amount)
            for item in movements
            if item.amount and item.transaction_id not in self.names
        ]
        own = self.own - sum(item.amount for item in missing)
        counted = {item.transaction_id for item in movements}
        taken_out_later = sum(
            item.amount
            for item in self.posted
            if item.amount > 0 and item.is_movement and item.name not in counted
        )
        taking = min(taking, max(0, own + taken_out_later))
        change = self.covered - max(0, taking - own)
        number = 1 + sum(name.startswith(_OVERDRAFT) for name in self.names)
        cover = _Posted(f"{_OVERDRAFT}{self.currency}:{number}", self.currency, change)
        # More cover comes first: an interruption must not leave a debit.
        return [*[cover] * (change < 0), *missing, *[cover] * (change > 0)]


class WalletBook:
    """Keeps customers' balances in Stripe in step with their wallets. One for each push."""

    def __init__(self, desk: Desk, movements: Movements | None = None) -> None:
        self._desk = desk
        self._movements = movements or {}
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
            self._desk.locks_dir, stripe_customer_id=customer, clock=self._desk.gateway.clock
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
        wallet = await self._settle(key, customer, taking=send.wallet_applied)
        held_back = wallet.held_for(draft)
        would_pay = min(wallet.held + held_back, max(0, send.total))
        if would_pay < send.wallet_applied:
            raise NotSentError(
                f"the wallet pays {show(send.wallet_applied, send.currency)} of "
                f"{send.invoice_id} and the balance in Stripe can pay "
                f"{show(would_pay, send.currency)}: left as a draft"
            )
        keep = wallet.held + held_back - send.wallet_applied
        hold = (keep if would_pay > send.wallet_applied else 0) - held_back
        if hold:
            await self._hold(draft, wallet, hold)

    async def release(self, invoice: ActualInvoice) -> ActualInvoice:
        """After finalizing: give back what was held, and take the mark off the invoice."""
        subject, customer = _subject(invoice), invoice.stripe_customer_id
        name = _holds_of(invoice)
        ours = [item for item in await self._posted(customer) if item.name.startswith(name)]
        held = sum(item.amount for item in ours)
        if held:
            number = len(ours)
            step = f"wallet-release-{number}"
            await self._post(
                subject, customer, step, invoice.currency, -held, f"{name}release-{number}"
            )
        return await self._mark(subject, invoice, step="wallet-released", value="")

    def note_credit(self, customer_id: str, currency: str) -> None:
        """A credit note may have given back to the wallet: `post_outstanding` looks at it."""
        self._credited.add((customer_id, currency))

    async def post_outstanding(self, find: FindCustomer) -> None:
        """Post the movements of customers who were not invoiced. `find` gives the Stripe customer
        of a customer of ours, or None: one who is not in Stripe yet waits for the first invoice.
        """
        for key, movements in sorted(self._movements.items()):
            is_posted = all(self._desk.mirror.is_posted(item.transaction_id) for item in movements)
            if is_posted and key not in self._credited:
                continue
            known = next((item.stripe_customer_id for item in movements), None)
            customer = known or await find(key[0])
            if customer is not None:
                async with self.turn(customer):
                    await self._settle(key, customer)

    async def _settle(self, key: tuple[str, str], customer: str, taking: int = 0) -> _Wallet:
        """Post what is missing of a wallet; gives what Stripe has then."""
        customer_id, currency = key
        movements = self._movements.get(key, ())
        wallet = await self._read(customer, currency)
        missing = wallet.missing(movements, taking)
        for item in missing:
            # The name is part of the step: each has a key of its own.
            step = f"wallet-{short_hash(item.name)[:16]}"
            await self._post(Subject(customer_id), customer, step, currency, item.amount, item.name)
        self._desk.mirror.note_posted(movement.transaction_id for movement in movements)
        return replace(wallet, posted=(*wallet.posted, *missing))

    async def _read(self, customer: str, currency: str) -> _Wallet:
        posted = [item for item in await self._posted(customer) if item.currency == currency]
        return _Wallet(currency, tuple(posted), await self._taken(customer, currency))

    async def _hold(self, draft: ActualInvoice, wallet: _Wallet, amount: int) -> None:
        subject = _subject(draft)
        # The mark first: by it the next plan sees, after an interruption, that something may
        # have to be given back. How much is told by the holds themselves.
        await self._mark(subject, draft, step="wallet-held", value="1")
        number = 1 + sum(name.startswith(_holds_of(draft)) for name in wallet.names)
        await self._post(
            subject,
            draft.stripe_customer_id,
            f"wallet-hold-{number}",
            draft.currency,
            amount,
            f"{_holds_of(draft)}{number}",
        )

    async def _mark(
        self, subject: Subject, invoice: ActualInvoice, *, step: str, value: str
    ) -> ActualInvoice:
        path = f"/v1/invoices/{invoice.stripe_invoice_id}"
        params = {"metadata": {documents.WALLET_HOLD: value}}

        async def look() -> Json | None:
            body = await self._desk.gateway.get(path)
            return body if read_invoice(body).is_wallet_held == bool(value) else None

        body = await change_for_sure(self._desk, subject, step, path, params, look)
        self._desk.mirror.store([body])
        return read_invoice(body)

    async def _post(
        self, subject: Subject, customer: str, step: str, currency: str, amount: int, name: str
    ) -> None:
        """One transaction on Stripe's balance, marked by `name`, once; above 0 is a debit."""
        path = f"/v1/customers/{customer}/balance_transactions"
        params = {
            "amount": amount,
            "currency": currency.lower(),
            "description": clean_text(f"Prepaid wallet {name}", 350),
            "metadata": {documents.WALLET_TRANSACTION: name},
        }

        async def look() -> Json | None:
            names = {item.name for item in await self._posted(customer)}
            return {} if name in names else None

        await change_for_sure(self._desk, subject, step, path, params, look)

    async def _posted(self, customer: str) -> list[_Posted]:
        path = f"/v1/customers/{customer}/balance_transactions"
        return [
            _Posted(name, str(item["currency"]).upper(), int(item["amount"]))
            async for item in self._desk.gateway.list(path)
            for name in [(item.get("metadata") or {}).get(documents.WALLET_TRANSACTION)]
            if name is not None
        ]

    async def _taken(self, customer: str, currency: str) -> int:
        """What invoices took from the wallet so far."""
        taken = 0
        async for data in self._desk.gateway.list("/v1/invoices", {"customer": customer}):
            invoice = read_invoice(data)
            if invoice.is_billed and invoice.currency == currency and invoice.invoice_id:
                taken += invoice.wallet_taken
        return taken


def _holds_of(invoice: ActualInvoice) -> str:
    """What the names of an invoice's holds and releases begin with."""
    return f"{_HOLD}{invoice.invoice_id}:{invoice.revision}:"


def _subject(invoice: ActualInvoice) -> Subject:
    return Subject(invoice.customer_id or "", invoice.invoice_id or "", invoice.revision or 1)


async def wallet_rows(
    gateway: StripeGateway, wallets: Iterable[tuple[str, Sequence[WalletMovement]]], before: int
) -> list[dict[str, Any]]:
    """Our wallets against the balances in Stripe: both, and the difference (Stripe's less ours).

    Takes each wallet's Stripe customer and its movements; those from `before` on count where a
    later month has posted them. What the balance holds besides (credit notes on what was paid by
    card, amounts too small to charge) stands in a column of its own; what was moved by hand in
    Stripe is in the difference.
    """

    async def row(wallet: tuple[str, Sequence[WalletMovement]]) -> dict[str, Any]:
        customer, movements = wallet
        currency = movements[0].currency
        theirs = await _transactions(gateway, customer, currency)
        posted = {(item.get("metadata") or {}).get(documents.WALLET_TRANSACTION) for item in theirs}
        ours = sum(
            item.amount
            for item in movements
            if item.occurred_at < before or item.transaction_id in posted
        )
        query = {"customer": customer}
        listed = [read_invoice(item) async for item in gateway.list("/v1/invoices", query)]
        invoices = [item for item in listed if item.currency == currency]
        taken = sum(item.wallet_taken for item in invoices if item.invoice_id)
        # What is owed stands in the ledger alone: in Stripe it would be charged.
        held = max(0, ours - taken)
        credited = -sum(int(item["amount"]) for item in theirs if item["type"] == "credit_note")
        other = credited + taken - sum(item.settled_by_balance for item in invoices)
        balance = -int(theirs[0]["ending_balance"]) if theirs else 0
        sums = {
            "wallet_balance": held,
            "other_credit": other,
            "stripe_balance": balance,
            "difference": balance - other - held,
        }
        return {
            "customer_id": movements[0].customer_id,
            "currency": currency,
            **{name: to_major(amount, currency) for name, amount in sums.items()},
        }

    return await each(wallets, row)


async def _transactions(gateway: StripeGateway, customer: str, currency: str) -> list[Json]:
    """A balance's transactions in a currency, newest first: the first has what it is now."""
    path = f"/v1/customers/{customer}/balance_transactions"
    found = [item async for item in gateway.list(path)]
    return [item for item in found if str(item["currency"]).upper() == currency]
