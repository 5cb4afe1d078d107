"""The permission that a restricted key needs for a request, as Stripe's dashboard names it.

What belongs here: that table, for the endpoints that we use. What does not: sending.
"""

from __future__ import annotations

_RESOURCES = {
    "account": "Accounts",
    "balance_transactions": "Balance transactions",
    "credit_notes": "Credit notes",
    "customers": "Customers",
    "disputes": "Disputes",
    "events": "Events",
    "invoice_payments": "Invoices",
    "invoices": "Invoices",
    "payment_intents": "PaymentIntents",
    "payment_methods": "PaymentMethods",
    "payment_records": "Payment Records",
    "payouts": "Payouts",
    # Stripe has no separate permission for refunds; they belong to charges.
    "refunds": "Charges",
}
_PARTS = {"tax_ids": "Tax IDs"}
"""Parts of a customer that have a permission of their own."""


def permission_for(method: str, path: str) -> str | None:
    """Such as ``Invoices: read``; None for an endpoint that is not in the table."""
    resource, *rest = path.split("?")[0].strip("/").split("/")[1:]
    name = next((_PARTS[part] for part in rest if part in _PARTS), _RESOURCES.get(resource))
    if name is None:
        return None
    return f"{name}: {'read' if method.lower() == 'get' else 'write'}"
