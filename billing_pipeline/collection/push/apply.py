"""Apply: carrying out a plan, many customers at a time, each customer's calls in order.

What belongs here: the order of the work, its bounds, and the table of how each action ended.
What does not: the calls themselves (`send_invoice.py`, `credit_notes.py`, `customers.py`), which
actions may be applied (`steps.py` decides by approval), or retries (`stripe_api/`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction, ResolutionStep
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.stripe_limits import beyond_stripe
from billing_pipeline.collection.plan.wallet_ledger import Movements
from billing_pipeline.collection.push.credit_notes import issue_credit
from billing_pipeline.collection.push.customers import CustomerDirectory
from billing_pipeline.collection.push.requests import NotSentError, RequestTarget, StripeSession
from billing_pipeline.collection.push.resolve import delete_draft, resolve
from billing_pipeline.collection.push.send_invoice import Sender, finish_finalized
from billing_pipeline.collection.push.wallets import WalletBook, WalletProblem
from billing_pipeline.collection.stripe_state.payment_status import with_payments_under_way
from billing_pipeline.collection.stripe_state.profiles import Payer
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    read_invoice_strictly,
)
from billing_pipeline.stripe_api.errors import StripeFailure
from billing_pipeline.stripe_api.tasks import task_group


class ResultState(StrEnum):
    """How an action ended."""

    DONE = "done"
    FAILED = "failed"
    WAITING = "waiting"
    DECLINED = "declined"


@dataclass(frozen=True)
class ActionResult:
    """One row of the run's table: what, how it ended, and for a failure why."""

    action: InvoiceAction
    state: ResultState
    message: str = ""
    request_id: str | None = None
    stripe_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class ApplyReport:
    """The plan and how each of its changes ended, in the plan's order."""

    plan: InvoicePlan
    results: tuple[ActionResult, ...]
    wallet_problems: tuple[WalletProblem, ...] = ()
    """Whose wallet movements could not be posted; the next run posts them."""
    customer_problems: tuple[tuple[str, str], ...] = ()
    """Whose name, e-mail or address could not be brought to Stripe, and why."""
    tax_id_problems: Mapping[str, str] = field(default_factory=dict)
    """Whose tax id could not be brought to Stripe, and why. No action fails by it; a person is
    notified."""

    @property
    def failed(self) -> tuple[ActionResult, ...]:
        return self._by_state(ResultState.FAILED)

    @property
    def done(self) -> tuple[ActionResult, ...]:
        return self._by_state(ResultState.DONE)

    def _by_state(self, state: ResultState) -> tuple[ActionResult, ...]:
        return tuple(result for result in self.results if result.state is state)


async def apply_actions(
    session: StripeSession,
    plan: InvoicePlan,
    actions: Iterable[InvoiceAction],
    held: Iterable[ActualInvoice],
    *,
    movements: Movements,
    movements_until: float,
    payers: Sequence[Payer],
) -> ApplyReport:
    """Carry out `actions` of `plan`; its other changes are reported as waiting or declined.

    `held` is what the plan was made from, `payers` are all who pay in this month. Wallet movements
    count up to `movements_until` (epoch seconds), the month's end. One customer's failure stops
    nobody else's invoices.
    """
    chosen = {action.key for action in actions}
    todo = [action for action in plan.changes if action.key in chosen]
    wallets = WalletBook(session, movements, movements_until)
    run = _Run(session, plan.month_key, tuple(held), wallets)
    results = {result.action.key: result for result in await run.all(todo)}
    table = [results.get(action.key) or _not_carried_out(plan, action) for action in plan.changes]
    problems = await run.post_wallets() if todo or not plan.held_by else []
    unwritten = await run.write_customers(payers) if not plan.held_by else []
    tax_ids = run.tax_id_problems()
    return ApplyReport(plan, tuple(table), tuple(problems), tuple(unwritten), tax_ids)


def _not_carried_out(plan: InvoicePlan, action: InvoiceAction) -> ActionResult:
    declined = plan.declined.get(action.key)
    if declined is not None:
        return ActionResult(action, ResultState.DECLINED, declined)
    return ActionResult(action, ResultState.WAITING, action.reason)


class _Run:
    """Carries out actions, with what they share: what Stripe holds, the customers, the wallets."""

    def __init__(
        self,
        session: StripeSession,
        month_key: str,
        held: tuple[ActualInvoice, ...],
        wallets: WalletBook,
    ) -> None:
        self._session = session
        self._month_key = month_key
        self._held = held
        self._directory = CustomerDirectory(session)
        self._wallets = wallets

    async def all(self, actions: Sequence[InvoiceAction]) -> list[ActionResult]:
        by_customer: dict[str, list[InvoiceAction]] = defaultdict(list)
        for action in actions:
            by_customer[action.customer_id].append(action)
        queue = iter(by_customer.values())
        results: list[ActionResult] = []

        async def worker() -> None:
            # The workers share one iterator: whoever is free takes the next customer.
            for mine in queue:
                results.extend([await self._one(action) for action in mine])

        workers = self._session.gateway.config.workers
        async with task_group() as group:
            for _ in range(max(1, min(workers, len(by_customer)))):
                group.create_task(worker())
        return results

    async def write_customers(self, payers: Sequence[Payer]) -> list[tuple[str, str]]:
        """Write the changed profiles of customers who have no invoice to send. Returns customer and
        reason of each failure."""
        return await self._directory.write_changes(payers)

    def tax_id_problems(self) -> Mapping[str, str]:
        """By customer, why the tax id is not in Stripe; also saved, for `billing status`."""
        self._directory.tax_ids.save_problems()
        return self._directory.tax_ids.problems

    async def post_wallets(self) -> list[WalletProblem]:
        """Post the wallet movements of customers who have no invoice to send. Returns the
        failures."""
        return await self._wallets.post_outstanding(self._directory.find)

    async def _one(self, action: InvoiceAction) -> ActionResult:
        try:
            return await self._carry_out(action)
        except NotSentError as error:
            return ActionResult(action, ResultState.FAILED, str(error))
        except StripeFailure as failure:
            failure.customer_id = action.customer_id
            return ActionResult(action, ResultState.FAILED, str(failure), failure.request_id)

    async def _carry_out(self, action: InvoiceAction) -> ActionResult:
        beyond = beyond_stripe(action.send) if action.send is not None else None
        if beyond is not None:
            raise NotSentError(beyond)
        if action.resolution is not None:
            return await self._resolve(action, action.resolution)
        if action.kind is ActionKind.CREDIT:
            return await self._credit(action)
        if action.kind is ActionKind.WITHDRAW:
            return await self._delete_draft(action)
        if action.finish:
            return await self._finish(action)
        return await self._send(action)

    async def _send(self, action: InvoiceAction) -> ActionResult:
        try:
            return await self._send_once(action)
        except StripeFailure as failure:
            known = self._session.cache.customers.oldest_of(action.customer_id)
            if failure.param != "customer" or known is None:
                raise
            # The customer was deleted in Stripe since: find another with our mark, or create one.
            self._session.cache.customers.forget(known.stripe_customer_id)
            return await self._send_once(action)

    async def _send_once(self, action: InvoiceAction) -> ActionResult:
        assert action.send is not None, f"{action.kind} without an invoice to send"
        draft = self._draft_of(action)
        if draft is None:
            stripe_customer_id = await self._directory.find_or_create(action.send.payer)
        else:
            # The draft has a customer already, and the plan has checked that it is the right one.
            stripe_customer_id = draft.stripe_customer_id
            await self._directory.update_profile(action.send.payer, stripe_customer_id)
        sender = Sender(self._session, action.send, stripe_customer_id, self._wallets)
        if self._wallets.concerns(action.send) or (draft is not None and draft.is_wallet_held):
            async with self._wallets.turn(stripe_customer_id):
                sent = await sender.run(draft)
        else:
            sent = await sender.run(draft)
        return ActionResult(action, ResultState.DONE, stripe_ids=(sent,))

    def _draft_of(self, action: InvoiceAction) -> ActualInvoice | None:
        deleted = action.resolution.delete if action.resolution else ()
        return next(
            (
                item
                for item in self._held
                if item.is_draft
                and item.resolution is None
                and item.stripe_invoice_id not in deleted
                and item.invoice_id == action.invoice_id
                and item.revision == action.revision
            ),
            None,
        )

    async def _credit(self, action: InvoiceAction) -> ActionResult:
        notes = [
            await issue_credit(self._session, action, part, self._month_key)
            for part in action.credits
        ]
        self._wallets.record_credit(action.customer_id, action.currency)
        return ActionResult(
            action, ResultState.DONE, stripe_ids=tuple(str(note["id"]) for note in notes)
        )

    async def _delete_draft(self, action: InvoiceAction) -> ActionResult:
        for stripe_invoice_id in action.drafts:
            await delete_draft(self._session, action, stripe_invoice_id, "withdraw")
        return ActionResult(action, ResultState.DONE, stripe_ids=action.drafts)

    async def _resolve(self, action: InvoiceAction, step: ResolutionStep) -> ActionResult:
        await resolve(self._session, self._wallets, action, step, self._month_key)
        if action.send is not None:
            return await self._send(action)
        marked = [marking.stripe_invoice_id for marking in step.markings]
        stripe_ids = tuple(dict.fromkeys([*marked, *step.finalize]))
        return ActionResult(action, ResultState.DONE, stripe_ids=stripe_ids)

    async def _finish(self, action: InvoiceAction) -> ActionResult:
        for stripe_invoice_id in action.finish:
            data = await self._session.gateway.get(f"/v1/invoices/{stripe_invoice_id}")
            # The customer may have begun to pay since the invoice was finalized.
            [invoice] = await with_payments_under_way(
                self._session.gateway, self._session.cache, [read_invoice_strictly(data)]
            )
            revision = invoice.revision or action.revision
            target = RequestTarget(action.customer_id, action.invoice_id, revision)
            async with self._wallets.turn(invoice.stripe_customer_id):
                await finish_finalized(self._session, self._wallets, target, invoice)
        return ActionResult(action, ResultState.DONE, stripe_ids=action.finish)
