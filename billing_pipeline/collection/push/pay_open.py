"""Paying open invoices from wallets, the oldest first.

What belongs here: the steps of such a payment, each of which can be the last one before an
interruption. What does not: what a wallet holds (dbt), the balance that mirrors it (`wallets.py`),
and when invoices are paid (`collection/open_invoices.py`).

Stripe takes from a customer's balance when an invoice is finalized and never after that. So a
payment is reported to Stripe as one that was made elsewhere (a payment record), which may also pay
a part of an invoice, and the balance is lowered by as much:
1. the payment is reported: as long as it is attached to no invoice it pays nothing;
2. it is written on the invoice. From here on the amount counts as taken from the wallet;
3. the balance is lowered, under the movement's name, once;
4. the record is attached to the invoice, which is paid by it;
5. it is written on the invoice that the payment is done.
The next run finishes what an interruption leaves between 2 and 5. Where the invoice was paid
otherwise meanwhile, or Stripe refuses the payment, the money goes back to the wallet.

All of it happens in the customer's `turn`, so that no month that is closed meanwhile and no other
run takes the same money. What the wallet holds was computed earlier. So it pays no more than what
Stripe's balance still has of it, and nothing if another run has paid from it in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from billing_pipeline.collection.plan.wallet_ledger import (
    PostedTransaction,
    WalletFunds,
    WalletInStripe,
    WalletMovement,
)
from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.push.charge import set_metadata
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    change,
    ensure_change,
    generations_of,
    leaves_state_unknown,
)
from billing_pipeline.collection.push.wallets import WalletBook
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.payment_status import with_payment_status
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
    PaymentState,
    read_invoice,
)
from billing_pipeline.collection.stripe_state.wallet_payments import (
    PAYMENT,
    WalletPayment,
    mark_of,
)
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure


@dataclass(frozen=True)
class PaidFromWallet:
    """What a wallet has paid of an open invoice, in minor units; below 0: what came back."""

    invoice_id: str
    customer_id: str
    currency: str
    amount: int


def may_be_paid(invoice: ActualInvoice) -> bool:
    """True for an open invoice of ours that has something left to pay and no debit under way."""
    return (
        invoice.status is InvoiceStatus.OPEN
        and invoice.amount_remaining > 0
        and invoice.payment is not PaymentState.PROCESSING
        and invoice.unreadable is None
        and not invoice.altered_marks
        and bool(invoice.invoice_id and invoice.customer_id)
    )


def is_unfinished(invoice: ActualInvoice) -> bool:
    """True where a payment from the wallet was interrupted."""
    return invoice.unreadable is None and any(not one.is_done for one in invoice.wallet_payments)


def _oldest_first(invoice: ActualInvoice) -> tuple[str, int, str]:
    return invoice.month_key or "", invoice.finalized_at or 0, invoice.stripe_invoice_id


class OpenInvoicePayer:
    """Pays open invoices from one wallet. `customer` is the Stripe customer whose balance mirrors
    the wallet; `movements` are the wallet's movements up to the moment of `funds`."""

    def __init__(
        self,
        session: StripeSession,
        book: WalletBook,
        customer: str,
        movements: Sequence[WalletMovement],
        funds: WalletFunds,
    ) -> None:
        self._session = session
        self._book = book
        self._customer = customer
        self._movements = movements
        self._funds = funds
        self._key = funds.customer_id, funds.currency
        self.done: list[PaidFromWallet] = []
        """What was paid or given back so far: it also counts if a later payment fails."""

    async def pay(self, invoices: Iterable[ActualInvoice]) -> None:
        """Finish what was interrupted, then pay what is open."""
        found = sorted(invoices, key=_oldest_first)
        async with self._book.turn(self._customer):
            wallet = await self._book.bring_up_to_date(self._key, self._customer, self._movements)
            for known in found:
                for payment in known.wallet_payments:
                    if not payment.is_done:
                        self._require_taken(wallet, payment)
                        await self._finish(known, payment)
            if self._is_outdated(wallet):
                return
            left = min(self._funds.amount, wallet.ledger_balance, wallet.held)
            spared = min(self._funds.without_prepaid, left)
            for known in found:
                if left <= 0:
                    break
                limit = spared if known.committed else left
                paid = await self._pay_one(known, limit)
                left, spared = left - paid, spared - paid

    def _require_taken(self, wallet: WalletInStripe, payment: WalletPayment) -> None:
        if wallet.amount_of(payment.name) != payment.amount:
            raise NotSentError(
                f"the payment {payment.name} was not taken from the balance in Stripe: is the "
                "customer still in the accounts?"
            )

    def _is_outdated(self, wallet: WalletInStripe) -> bool:
        """True if another run has paid from the wallet since the wallet was computed."""
        names = {item.transaction_id for item in self._movements}
        return any(name.startswith(PAYMENT) and name not in names for name in wallet.by_movement)

    async def _pay_one(self, known: ActualInvoice, limit: int) -> int:
        """Pay one invoice. Returns what was taken from the wallet (minor units), even if it was
        given back."""
        invoice = await self._read(known)
        amount = min(limit, invoice.amount_remaining)
        if amount <= 0 or not may_be_paid(invoice) or is_unfinished(invoice):
            return 0
        number = len(invoice.wallet_payments) + 1
        payment = WalletPayment(invoice.stripe_invoice_id, number, amount, self._funds.at)
        try:
            mark_of([*invoice.wallet_payments, replace(payment, is_done=True)])
        except ValueError as error:
            raise NotSentError(f"{invoice.invoice_id}: {error}") from None
        record = await self._report(invoice, payment)
        claim = mark_of([*invoice.wallet_payments, payment])
        await self._write(invoice, payment, "claim", claim)
        item = PostedTransaction(payment.name, invoice.currency, amount, self._funds.read_at)
        await self._book.post(self._target(invoice), self._customer, _step(payment, "take"), item)
        await self._finish(invoice, payment, record)
        return amount

    async def _finish(
        self, known: ActualInvoice, payment: WalletPayment, record: str | None = None
    ) -> None:
        """Attach a claimed payment, unless it is attached already; give the money back where it can
        no longer be attached."""
        invoice = await self._read(known) if record is None else known
        if record is None and await self._attached(invoice, payment) is not None:
            await self._done(invoice, payment)
            return
        if not may_be_paid(invoice) or invoice.amount_remaining < payment.amount:
            await self._give_back(invoice, payment)
            return
        try:
            await self._attach(invoice, payment, record or await self._report(invoice, payment))
        except StripeFailure as failure:
            if failure.kind is FailureKind.REFUSED:
                await self._give_back(invoice, payment)
            raise
        await self._done(invoice, payment)

    async def _report(self, invoice: ActualInvoice, payment: WalletPayment) -> str:
        """Report the payment; returns Stripe's id of it. A payment may be reported twice, but it is
        attached once."""
        target, step = self._target(invoice), _step(payment, "report")
        request = stripe_requests.report_wallet_payment(
            invoice.stripe_customer_id, payment.name, payment.amount, invoice.currency, payment.at
        )
        failure: StripeFailure | None = None
        for generation in generations_of(self._session, target, step):
            try:
                answer = await change(self._session, target, step, generation, request)
                return str(answer.body["id"])
            except StripeFailure as error:
                failure = error
                if not leaves_state_unknown(error):
                    raise
                await self._session.settle()
        raise failure or NotSentError(f"Stripe did not take the payment {payment.name}")

    async def _attach(self, invoice: ActualInvoice, payment: WalletPayment, record: str) -> None:
        async def look() -> Json | None:
            return await self._attached(invoice, payment)

        request = stripe_requests.attach_payment(invoice.stripe_invoice_id, record)
        step = _step(payment, "attach")
        await ensure_change(self._session, self._target(invoice), step, request, look)

    async def _attached(self, invoice: ActualInvoice, payment: WalletPayment) -> Json | None:
        """The invoice payment by which Stripe has attached this payment; None if it has not."""
        query = {
            "invoice": invoice.stripe_invoice_id,
            "status": "paid",
            "expand": ["data.payment.payment_record"],
        }
        async for item in self._session.gateway.list("/v1/invoice_payments", query):
            record = (item.get("payment") or {}).get("payment_record")
            marks = record.get("metadata") or {} if isinstance(record, dict) else {}
            if marks.get(metadata_keys.WALLET_TRANSACTION) == payment.name:
                return item
        return None

    async def _done(self, invoice: ActualInvoice, payment: WalletPayment) -> None:
        await self._settle_entry(invoice, replace(payment, is_done=True))
        # Read again for the invoice's new status and amounts.
        body = await self._session.gateway.get(f"/v1/invoices/{invoice.stripe_invoice_id}")
        self._session.cache.invoices.store([body])
        self._note(invoice, payment.amount)

    async def _give_back(self, invoice: ActualInvoice, payment: WalletPayment) -> None:
        nothing = replace(payment, amount=0, is_done=True)
        await self._settle_entry(invoice, nothing)
        movements = [item for item in self._movements if item.transaction_id != payment.name]
        zero = WalletMovement(
            *(payment.name, *self._key, 0, payment.at, "payment"), read_at=self._funds.read_at
        )
        self._movements = [*movements, zero]
        await self._book.bring_up_to_date(self._key, self._customer, self._movements)
        self._note(invoice, -payment.amount)

    async def _settle_entry(self, invoice: ActualInvoice, payment: WalletPayment) -> None:
        others = [one for one in invoice.wallet_payments if one.number != payment.number]
        entries = sorted([*others, payment], key=lambda one: one.number)
        await self._write(invoice, payment, "done", mark_of(entries))

    async def _write(
        self, invoice: ActualInvoice, payment: WalletPayment, step: str, mark: dict[str, str]
    ) -> None:
        target, name = self._target(invoice), invoice.stripe_invoice_id
        body = await set_metadata(self._session, target, _step(payment, step), name, mark)
        self._session.cache.invoices.store([body])

    async def _read(self, known: ActualInvoice) -> ActualInvoice:
        """The invoice as it is now, with the state of its payments if it is open."""
        body = await self._session.gateway.get(f"/v1/invoices/{known.stripe_invoice_id}")
        self._session.cache.invoices.store([body])
        invoice = replace(read_invoice(body), altered_marks=known.altered_marks)
        if invoice.status is not InvoiceStatus.OPEN:
            return invoice
        return await with_payment_status(self._session.gateway, self._session.cache, invoice)

    def _target(self, invoice: ActualInvoice) -> RequestTarget:
        return RequestTarget(
            self._funds.customer_id, invoice.invoice_id or "", invoice.revision or 1
        )

    def _note(self, invoice: ActualInvoice, amount: int) -> None:
        name, customer_id = invoice.invoice_id or "", self._funds.customer_id
        self.done.append(PaidFromWallet(name, customer_id, invoice.currency, amount))


def _step(payment: WalletPayment, step: str) -> str:
    return f"wallet-payment-{payment.number}-{step}"
