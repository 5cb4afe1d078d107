"""Webhooks and answers of Stripe in which one thing is not as Stripe describes it.

What must hold: what cannot be read is refused in words or set aside, stops nobody for good, and
nobody is billed twice or too little once Stripe answers as it should.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from billing_pipeline.collection import payments
from billing_pipeline.collection.plan.dunning_policy import DunningPolicy
from billing_pipeline.collection.pull.inbox import Inbox, InvalidEventError, read_event
from billing_pipeline.collection.push.requests import NotSentError
from billing_pipeline.collection.records.account import WrongAccountError
from billing_pipeline.collection.steps import ApplyOutcome, PlanChangedError
from billing_pipeline.stripe_api.errors import StripeFailure
from tests.fuzz.odd import odd_bytes, odd_json
from tests.fuzz.verdict import Case
from tests.unit.collection.conftest import Company

DAY = 86_400
REQUESTS = 80
"""About as many as the story of `answers` makes."""
ROUNDS = 6
_EXPLAINED_ERRORS = (StripeFailure, PlanChangedError, NotSentError, WrongAccountError)


def answers(case: Case, rng: Random, folder: Path) -> None:
    """One answer in a push, a pull, dunning, a supplement and a credit; then a healthy Stripe."""
    company, position, count = Company(folder / "home"), rng.randrange(1, REQUESTS), 0

    def fault(fake: Any, method: str, path: str, params: Any) -> tuple[int, Any] | None:
        nonlocal count
        count += 1
        if count != position:
            return None
        # Stripe does what it was asked for; only what it says is odd.
        status, body, _ = fake._once(method, path, params, fake.key)
        odd, where = odd_json(rng, body)
        case.made = f"{method} {path}: {where}"
        return status, odd

    def attempt(approved: str | None = None) -> ApplyOutcome | None:
        outcome = None
        with case.refusing(*_EXPLAINED_ERRORS):
            outcome = company.apply(approved_hash=approved)
        return outcome

    company.stripe.faults.append(fault)
    company.want({"ada": [1000], "bob": [500]}, country="DE", tax_id="DE123456789")
    attempt()
    with case.refusing(*_EXPLAINED_ERRORS):
        company.pull()
    company.clock.advance(DAY)
    with case.refusing(*_EXPLAINED_ERRORS):
        company.wait(payments.stale_months(company.gateway(), company.settings))
    with case.refusing(*_EXPLAINED_ERRORS):
        dun = payments.dun(
            company.gateway(), company.settings, run_id="dun", policy=DunningPolicy()
        )
        company.wait(dun)
    company.want({"ada": [1000, 300], "bob": [400]}, country="DE", tax_id="DE987654321")
    if (outcome := attempt()) is not None:
        attempt(outcome.remaining.hash)
    company.stripe.faults.clear()
    company.clock.advance(2 * DAY)
    _settle(case, company)


def _settle(case: Case, company: Company) -> None:
    """Run and approve; then ada was billed 13.00 and bob 4.00, once each."""
    with case.refusing(PlanChangedError):
        for _ in range(ROUNDS):
            outcome = company.apply()
            if outcome.remaining.waiting:
                outcome = company.apply(approved_hash=outcome.remaining.hash)
            if not outcome.remaining.changes:
                break
        else:
            case.expect(False, f"not done: {outcome.remaining.changes}, {outcome.problems}")
        company.pull()
    billed: Counter[str] = Counter()
    for invoice in company.invoices():
        if invoice["status"] in ("open", "paid", "uncollectible"):
            credited = invoice.get("pre_payment_credit_notes_amount", 0)
            credited += invoice.get("post_payment_credit_notes_amount", 0)
            billed[invoice["metadata"]["billing_customer_id"]] += invoice["total"] - credited
        else:
            case.expect(False, f"{invoice['id']} is {invoice['status']}")
    case.expect(dict(billed) == {"ada": 1300, "bob": 400}, f"billed {dict(billed)}")


_EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "invoice.paid",
    "created": 1_770_000_000,
    "request": {"id": None, "idempotency_key": "in_202601_ada:1:pay"},
    "data": {
        "object": {
            "id": "in_000001",
            "object": "invoice",
            "created": 1_769_990_000,
            "metadata": {"billing_invoice_id": "in_202601_ada", "billing_month": "2026-01-01"},
        }
    },
}
_TYPES = (
    *("invoice.paid", "invoice.upcoming", "customer.updated", "customer.deleted", "refund.failed"),
    *("charge.refunded", "credit_note.created", "customer.subscription.created", "x", "💥.y"),
)


def webhooks(case: Case, rng: Random, folder: Path) -> None:
    """An event with a valid signature and an odd body, beside a good one; then the pull."""
    company = Company(folder / "home")
    company.want({"ada": [1000]})
    company.apply()
    company.wait(payments.stale_months(company.gateway(), company.settings))
    event, where = odd_json(rng, _EVENT | {"type": rng.choice(_TYPES)})
    body = json.dumps(event).encode()
    if rng.random() < 0.3:
        body, where = odd_bytes(rng, body), "bytes"
    case.made = f"{where}: {body[:300]!r}"
    inbox = Inbox(company.settings.records_dir)
    with case.refusing(InvalidEventError):
        inbox.put(read_event(body), company.clock.now())
    inbox.put(read_event(json.dumps(_EVENT | {"id": "evt_good"}).encode()), company.clock.now())
    company.wait(payments.stale_months(company.gateway(), company.settings))
    case.expect(not inbox.pending(), f"still to be read: {inbox.pending()}")
    inbox.close()
