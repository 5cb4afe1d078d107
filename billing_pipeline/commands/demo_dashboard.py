"""What people do in Stripe's dashboard while the demo runs: a refund, a credit note, a debit.

What belongs here: these acts, made past the pipeline as a person would make them, each once however
often the demo runs. What does not: what the pipeline says of them.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import format_amount, format_minor, to_minor
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import SANDBOX_KEY
from billing_pipeline.stripe_sandbox import Sandbox
from billing_pipeline.stripe_sandbox.server import FILE_NAME

DEBIT = 1500
"""In minor units: what is put on a customer's balance to be paid with the next invoice."""
_MADE_BY = {"made_by": "the demo"}
_PAID_BY_CARD = """
SELECT paid.customer_id, paid.payment_id AS charge, paid.amount, paid.currency,
    paid.stripe_invoice_id AS invoice, documents.stripe_customer_id AS customer
FROM payments AS paid
JOIN stripe_invoices AS documents USING (stripe_invoice_id)
WHERE paid.billing_month = $1::DATE AND paid.kind = 'payment' AND paid.method = 'card'
    AND paid.currency = 'USD' AND paid.amount = documents.total AND paid.amount >= 50
ORDER BY paid.customer_id, paid.payment_id
LIMIT 3
"""


def act(settings: Settings, published: duckdb.DuckDBPyConnection, month: BillingMonth) -> list[str]:
    """Refund a payment, credit an invoice and debit a balance, of three customers whose cards have
    paid for the month. Gives a sentence for each; none where there are no such customers."""
    sandbox = Sandbox(settings.sandbox_dir / FILE_NAME)
    try:
        acts = (_refund, _credit, _debit)
        found = rows(published, _PAID_BY_CARD, month.key)
        return [one(sandbox, row) for one, row in zip(acts, found, strict=False)]
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
    amount = format_minor(DEBIT, paid["currency"])
    return f"debited {amount} to the balance of {paid['customer_id']}"


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
