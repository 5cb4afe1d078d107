"""Which permission of a restricted key a request needs, as Stripe's dashboard names it.

What belongs here: that table, for the endpoints that are used. What does not: sending.
"""

from __future__ import annotations

_OF_RESOURCE = {
    "account": "Accounts",
    "credit_notes": "Credit notes",
    "customers": "Customers",
    "disputes": "Disputes",
    "events": "Events",
    "invoice_payments": "Invoices",
    "invoices": "Invoices",
    "payment_intents": "PaymentIntents",
    "payment_methods": "PaymentMethods",
    # A refund is of a charge, and Stripe has no permission of its own for it.
    "refunds": "Charges",
}


def permission_for(method: str, path: str) -> str | None:
    """``Invoices: read``; None for an endpoint that is not known here."""
    name = _OF_RESOURCE.get(path.split("?")[0].strip("/").split("/")[1])
    if name is None:
        return None
    return f"{name}: {'read' if method.lower() == 'get' else 'write'}"
