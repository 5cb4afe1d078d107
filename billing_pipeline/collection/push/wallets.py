"""Prepaid wallets: our ledger's movements in Stripe's customer balance.

What belongs here: setting the customer's balance in Stripe so that finalizing an invoice takes
exactly what the wallet pays by our ledger. What does not: what is missing in the balance
(`wallet_ledger.py`), finalizing (`send_invoice.py`), and comparing the two (`wallet_balances.py`).

Stripe applies a customer's whole credit when an invoice is finalized. So before that
1. every movement of the ledger up to the month's end is posted, once each, marked with its id.
   Where the ledger has another amount by now, the difference is posted under a name of its own.
   Where a later month's invoice has taken what this one may take by the ledger, because more came
   in since, as many of the later movements are posted as this invoice needs.
   What invoices took from the wallet while the customer was another one in Stripe is taken off
   the balance of the present one. What is taken out beyond what the wallet holds stays owed in
   the ledger and is covered in Stripe, marked as an overdraft, since Stripe would charge a debit
   to the card. Later top-ups pay back the overdraft first, and the cover is removed;
2. what must not be taken (top-ups of later months, when an old month is closed late) is held
   back by a debit, marked with the invoice, and given back right after. The invoice itself
   carries the mark of the hold, so that the next plan sees an interruption. The next run that has
   its turn at the balance gives back what interrupted runs have left held, for any invoice.
From the first to the last of these calls no other month's run may move the same balance: each
takes the customer's `turn`. Anything else in the balance, such as credit notes, is the customer's
and applies as Stripe does it: the wallet is taken first.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.plan.wallet_ledger import (
    HOLD,
    Movements,
    PostedTransaction,
    WalletInStripe,
    WalletMovement,
    holds_of,
)
from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    ensure_change,
)
from billing_pipeline.collection.records.lock import WalletLockedError, wallet_lock
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.refresh import invoices_of, paid_by_wallets
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    read_invoice_strictly,
)
from billing_pipeline.collection.stripe_state.texts import short_hash
from billing_pipeline.money import format_minor
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import StripeFailure

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


class WalletBook:
    """Keeps customers' balances in Stripe in step with their wallets. Each push has one; `until`
    is the month's end (epoch seconds), up to which movements count."""

    def __init__(
        self, session: StripeSession, movements: Movements | None = None, until: float = math.inf
    ) -> None:
        self._session = session
        self._movements = movements or {}
        self._until = until
        self._credited: set[tuple[str, str]] = set()

    def concerns(self, send: DesiredInvoice) -> bool:
        """True where the customer has a wallet in the invoice's currency."""
        return send.wallet_applied != 0 or self.has_wallet(send.customer_id, send.currency)

    def has_wallet(self, customer_id: str, currency: str) -> bool:
        """True where the customer has a wallet in that currency."""
        return (customer_id, currency) in self._movements

    @asynccontextmanager
    async def turn(self, customer: str) -> AsyncIterator[None]:
        """Lock the customer's balance in Stripe for this run, from `prepare` to `release`.

        Raises `NotSentError` where another month's run holds the lock for too long.
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
        """Call before finalizing: posts what is missing, holds back what must not be taken.

        Raises `NotSentError` where Stripe holds less than the wallet pays.
        """
        key, customer = (send.customer_id, send.currency), draft.stripe_customer_id
        counted, holds = self._counted(key), holds_of(draft)
        # An invoice below 0 pays into the wallet, but only once it is finalized.
        pays = max(0, send.wallet_applied)
        if send.wallet_applied < 0:
            self._credited.add(key)
        taking_back = await self._put_in_before(send, customer) if pays else 0
        wallet = await self.bring_up_to_date(key, customer, counted, pays, holds, taking_back)
        held_back = wallet.held_for(draft)
        later = [
            item
            for item in self._movements.get(key, ())
            if item not in counted and not item.expires_by_itself
        ]
        if covering := wallet.movements_covering(later, pays - wallet.held - held_back):
            counted = (*counted, *covering)
            wallet = await self.bring_up_to_date(key, customer, counted, pays, holds, taking_back)
        would_pay = min(wallet.held + held_back, max(0, send.total))
        if would_pay < pays:
            raise NotSentError(
                f"the wallet pays {format_minor(pays, send.currency)} of "
                f"{send.invoice_id} and the balance in Stripe can pay "
                f"{format_minor(would_pay, send.currency)}: left as a draft. Another month may "
                "have taken it since this one was computed: run the month again"
            )
        keep = wallet.held + held_back - pays
        hold = (keep if would_pay > pays else 0) - held_back
        if hold:
            await self._hold(draft, wallet, hold)

    async def _put_in_before(self, send: DesiredInvoice, customer: str) -> int:
        """What the earlier revisions of an invoice have put into the wallet, in minor units."""
        if send.revision == 1:
            return 0
        invoices = await self._invoices(customer, send.currency)
        return -sum(item.wallet_taken for item in invoices if item.invoice_id == send.invoice_id)

    async def release(self, invoice: ActualInvoice) -> ActualInvoice:
        """Call after finalizing: gives back what was held, and takes the mark off the invoice."""
        target, customer = _target(invoice), invoice.stripe_customer_id
        posted = await self._posted(customer)
        await self._give_back(target, customer, posted, holds_of(invoice))
        return await self._mark(target, invoice, step="wallet-released", value="")

    async def _give_back(
        self, target: RequestTarget, customer: str, posted: Sequence[PostedTransaction], holds: str
    ) -> list[PostedTransaction]:
        """Release what the holds whose names begin with `holds` still hold back. Returns what was
        posted for that."""
        ours = [item for item in posted if item.name.startswith(holds)]
        held, number = sum(item.amount for item in ours), len(ours)
        if not held:
            return []
        given = PostedTransaction(f"{holds}release-{number}", ours[0].currency, -held)
        await self.post(target, customer, f"wallet-release-{number}", given)
        return [given]

    def record_credit(self, customer_id: str, currency: str) -> None:
        """A credit note may have given back to the wallet: `post_outstanding` looks at it."""
        self._credited.add((customer_id, currency))

    async def post_outstanding(self, find: FindCustomer) -> list[WalletProblem]:
        """Post the movements of customers who were not invoiced. Returns the failures, each of
        which stops nobody else. `find` returns the Stripe customer of a customer of ours, or None:
        a customer who is not in Stripe yet waits for the first invoice.
        """
        problems = []
        for key in sorted(self._movements):
            try:
                movements = self._movements[key]
                counted = tuple(item for item in movements if item.counts_until(self._until))
                await self._post_outstanding(key, counted, find)
            except (NotSentError, StripeFailure) as error:
                problems.append(WalletProblem(*key, str(error)))
        return problems

    async def _post_outstanding(
        self, key: tuple[str, str], movements: Sequence[WalletMovement], find: FindCustomer
    ) -> None:
        if not movements and key not in self._credited:
            return
        customer = await stripe_customer_of(key[0], movements, find)
        if customer is None:
            return
        is_posted = all(
            self._session.cache.posted.has(customer, key[1], item.transaction_id, item.amount)
            for item in movements
        )
        if not is_posted or key in self._credited:
            async with self.turn(customer):
                await self.bring_up_to_date(key, customer, movements)

    async def post_expiries(self, find: FindCustomer) -> list[WalletProblem]:
        """As `post_outstanding`, but only for wallets of which something has expired."""
        concerned = {
            key: movements
            for key, movements in self._movements.items()
            if any(item.expires_by_itself and item.amount for item in movements)
        }
        return await WalletBook(self._session, concerned, self._until).post_outstanding(find)

    def _counted(self, key: tuple[str, str]) -> tuple[WalletMovement, ...]:
        """The wallet's movements before the month's invoice. What expires at the month's end comes
        after the invoice."""
        movements = self._movements.get(key, ())
        return tuple(item for item in movements if item.occurred_at < self._until)

    async def bring_up_to_date(
        self,
        key: tuple[str, str],
        customer: str,
        movements: Sequence[WalletMovement],
        taking: int = 0,
        holds: str = "",
        taking_back: int = 0,
    ) -> WalletInStripe:
        """Post what is missing of a wallet, and release every hold on it whose name does not begin
        with `holds`: during this run's turn no other run is at work, so those are left over.
        Returns what Stripe has then."""
        customer_id, currency = key
        wallet = await self._read(key, customer)
        for name in wallet.leftover_holds(except_for=holds):
            given = await self._give_back(_target_of(key, name), customer, wallet.posted, name)
            wallet = replace(wallet, posted=(*wallet.posted, *given))
        missing = wallet.missing_transactions(movements, taking, taking_back)
        for item in missing:
            # The name is part of the step: each has a key of its own.
            step = f"wallet-{short_hash(item.name)[:16]}"
            await self.post(RequestTarget(customer_id), customer, step, item)
        wallet = replace(wallet, posted=(*wallet.posted, *missing))
        self._session.cache.posted.add(
            customer,
            currency,
            {
                item.transaction_id: item.amount
                for item in movements
                if item.amount == -wallet.amount_of(item.transaction_id)
            },
        )
        return wallet

    async def _read(self, key: tuple[str, str], customer: str) -> WalletInStripe:
        customer_id, currency = key
        posted = [item for item in await self._posted(customer) if item.currency == currency]
        known = paid_by_wallets(self._session.cache, customer_id=customer_id)
        before = [item for item in known if item.stripe_customer_id != customer]
        return WalletInStripe(
            currency,
            tuple(posted),
            sum(item.wallet_taken for item in await self._invoices(customer, currency)),
            sum(item.wallet_taken for item in before if item.currency == currency),
        )

    async def _hold(self, draft: ActualInvoice, wallet: WalletInStripe, amount: int) -> None:
        target = _target(draft)
        # The mark comes first: after an interruption, it tells the next plan that something may
        # have to be given back. The holds themselves tell how much.
        await self._mark(target, draft, step="wallet-held", value="1")
        number = 1 + sum(name.startswith(holds_of(draft)) for name in wallet.names)
        hold = PostedTransaction(f"{holds_of(draft)}{number}", draft.currency, amount)
        await self.post(target, draft.stripe_customer_id, f"wallet-hold-{number}", hold)

    async def _mark(
        self, target: RequestTarget, invoice: ActualInvoice, *, step: str, value: str
    ) -> ActualInvoice:
        path = f"/v1/invoices/{invoice.stripe_invoice_id}"
        marks = {metadata_keys.WALLET_HOLD: value}
        request = stripe_requests.write_metadata(invoice.stripe_invoice_id, marks)

        async def look() -> Json | None:
            body = await self._session.gateway.get(path)
            return body if read_invoice_strictly(body).is_wallet_held == bool(value) else None

        body = await ensure_change(self._session, target, step, request, look)
        invoice = read_invoice_strictly(body)
        self._session.cache.invoices.store([body])
        return invoice

    async def post(
        self, target: RequestTarget, customer: str, step: str, item: PostedTransaction
    ) -> None:
        """One transaction on Stripe's balance, marked by its name, once."""
        request = stripe_requests.post_to_balance(
            customer, item.name, item.amount, item.currency, item.read_at
        )
        # Even if this run fails later, the published tables of wallets are stale from now on.
        self._session.cache.months.touch_wallets()

        async def look() -> Json | None:
            posted = await self._posted(customer)
            is_there = any(p.name == item.name and p.currency == item.currency for p in posted)
            return {} if is_there else None

        await ensure_change(self._session, target, step, request, look)

    async def _posted(self, customer: str) -> list[PostedTransaction]:
        path = f"/v1/customers/{customer}/balance_transactions"
        return [
            PostedTransaction(
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


def _target_of(key: tuple[str, str], holds: str) -> RequestTarget:
    invoice_id, _, revision = holds.removeprefix(HOLD).rstrip(":").rpartition(":")
    return RequestTarget(key[0], invoice_id, int(revision))


def _target(invoice: ActualInvoice) -> RequestTarget:
    return RequestTarget(invoice.customer_id or "", invoice.invoice_id or "", invoice.revision or 1)
