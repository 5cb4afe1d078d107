"""What people do in Stripe while the demo runs: a refund, a credit note, a debit, a card that will
expire, an invoice that is given up.

What belongs here: these actions, done in Stripe directly as a person would, and only once however
often the demo runs. What does not: what the pipeline says about them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import format_amount, to_major, to_minor
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import SANDBOX_KEY
from billing_pipeline.stripe_sandbox import Sandbox
from billing_pipeline.stripe_sandbox.server import FILE_NAME

DEBIT = 1500
"""The amount added to a customer's balance, in minor units, to be paid with the next invoice."""
EXPIRES_AFTER_MONTHS = 3
"""A card is changed to one that expires in the month after the demo's last: too early to be charged
for that month."""
_MADE_BY = {"made_by": "the demo"}
_PAID_BY_CARD = """
SELECT paid.customer_id, paid.payment_id AS charge, paid.amount, paid.currency,
    paid.stripe_invoice_id AS invoice, documents.stripe_customer_id AS customer
FROM payments AS paid
JOIN stripe_invoices AS documents USING (stripe_invoice_id)
WHERE paid.billing_month = $1::DATE AND paid.kind = 'payment' AND paid.method = 'card'
    AND paid.currency = 'USD' AND paid.amount = documents.total AND paid.amount >= 50
ORDER BY paid.customer_id, paid.payment_id
LIMIT 4
"""
# The invoice that was given up before, if the demo runs again.
_DECLINED = """
SELECT documents.customer_id, documents.stripe_invoice_id AS invoice, documents.status,
    documents.amount_remaining AS amount, documents.currency
FROM stripe_invoices AS documents JOIN invoice_payments AS payments USING (invoice_id)
WHERE documents.billing_month = $1::DATE AND (documents.status = 'uncollectible'
    OR documents.status = 'open' AND payments.last_error IS NOT NULL)
ORDER BY documents.status = 'open', documents.customer_id
LIMIT 1
"""


def act(settings: Settings, published: duckdb.DuckDBPyConnection, month: BillingMonth) -> list[str]:
    """Refund a payment, credit an invoice, debit a balance and change a card, of four customers
    whose cards have paid for the month; and give up the invoice of one whose card was declined.
    Returns a sentence for each; none if there are no such customers."""
    sandbox = Sandbox(settings.sandbox_dir / FILE_NAME)
    try:
        expires = month.shift(EXPIRES_AFTER_MONTHS)
        acts: tuple[Callable[[Sandbox, Row], str], ...]
        acts = (_refund, _credit, _debit, partial(_change_card, expires=expires))
        found = rows(published, _PAID_BY_CARD, month.key)
        done = [one(sandbox, row) for one, row in zip(acts, found, strict=False)]
        return done + [_give_up(sandbox, row) for row in rows(published, _DECLINED, month.key)]
    finally:
        sandbox.close()


def _refund(sandbox: Sandbox, paid: Row) -> str:
    _post_once(sandbox, "refunds", {"charge": paid["charge"]}, {})
    return f"refunded {_shown(paid)} to {paid['customer_id']}"


def _credit(sandbox: Sandbox, paid: Row) -> str:
    amount = to_minor(paid["amount"], paid["currency"])
    given = {"amount": amount, "refund_amount": amount, "memo": "Goodwill"}
    _post_once(sandbox, "credit_notes", {"invoice": paid["invoice"]}, given)
    return f"made a credit note of {_shown(paid)} for {paid['customer_id']}"


def _debit(sandbox: Sandbox, paid: Row) -> str:
    given = {"amount": DEBIT, "currency": paid["currency"].lower(), "description": "Setup by phone"}
    path = f"customers/{paid['customer']}/balance_transactions"
    _post_once(sandbox, path, {}, given)
    amount = format_amount(to_major(DEBIT, paid["currency"]), paid["currency"])
    return f"debited {amount} {paid['currency']} to the balance of {paid['customer_id']}"


def _change_card(sandbox: Sandbox, paid: Row, *, expires: BillingMonth) -> str:
    [card] = _request(sandbox, "GET", f"customers/{paid['customer']}/payment_methods", {})["data"]
    given = {"card[exp_month]": expires.month, "card[exp_year]": expires.year}
    _request(sandbox, "POST", f"payment_methods/{card['id']}", given)
    return f"gave {paid['customer_id']} a card that expires in {expires}"


def _give_up(sandbox: Sandbox, unpaid: Row) -> str:
    if unpaid["status"] == "open":
        _request(sandbox, "POST", f"invoices/{unpaid['invoice']}/mark_uncollectible", {})
    return f"gave up the {_shown(unpaid)} that {unpaid['customer_id']} does not pay"


def _shown(paid: Row) -> str:
    return f"{format_amount(paid['amount'], paid['currency'])} {paid['currency']}"


def _post_once(sandbox: Sandbox, path: str, of: dict[str, Any], given: dict[str, Any]) -> None:
    known = _request(sandbox, "GET", path, of)["data"]
    if not any(item["metadata"] == _MADE_BY for item in known):
        marks = {f"metadata[{name}]": value for name, value in _MADE_BY.items()}
        _request(sandbox, "POST", path, of | given | marks)


def _request(sandbox: Sandbox, method: str, path: str, params: dict[str, Any]) -> Any:
    text = urlencode(params)
    target = f"/v1/{path}" + (f"?{text}" if method == "GET" else "")
    headers = {"Authorization": f"Bearer {SANDBOX_KEY}"}
    answer = sandbox.handle(method, target, headers, text if method == "POST" else "")
    found = json.loads(answer.body)
    if answer.status != 200:
        raise RuntimeError(f"{method} {target}: {found['error']['message']}")
    return found
