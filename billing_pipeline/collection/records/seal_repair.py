"""Seals that are missing: made up from what Stripe holds.

What belongs here: finding billed invoices and credit notes of ours without a seal (the process
ended between Stripe's answer and the seal, or ``records/`` was lost) and sealing what Stripe has
of them, marked as restored. What does not: changing any seal that is there.
"""

from __future__ import annotations

from collections.abc import Iterable

from billing_pipeline.collection.records import sealed
from billing_pipeline.collection.records.sealed import Seals
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.refresh import each, read_lines
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.stripe_api.client import StripeGateway


async def restore_seals(
    gateway: StripeGateway, seals: Seals, month_key: str, invoices: Iterable[ActualInvoice]
) -> list[str]:
    """Seal what has no seal yet; gives the Stripe ids, in the order of sealing."""
    known = seals.targets(month_key)
    billed = [item for item in invoices if item.is_billed and item.unreadable is None]
    unsealed = [item for item in billed if item.stripe_invoice_id not in known]
    lines = await each(unsealed, lambda item: read_lines(gateway, item.stripe_invoice_id))
    restored = []
    for item, its_lines in zip(unsealed, lines, strict=True):
        body = sealed.found_invoice(item, its_lines, gateway.clock.now())
        if seals.append(month_key, item.stripe_invoice_id, body):
            restored.append(item.stripe_invoice_id)
    return restored + await _restore_credits(gateway, seals, month_key, billed)


async def _restore_credits(
    gateway: StripeGateway, seals: Seals, month_key: str, billed: list[ActualInvoice]
) -> list[str]:
    sealed_credits: dict[str, int] = {}
    for entry in seals.entries(month_key):
        if entry["what"] == "credit_note":
            invoice = entry["stripe_invoice_id"]
            sealed_credits[invoice] = sealed_credits.get(invoice, 0) + entry["total"]
    restored = []
    for item in billed:
        if item.credited <= sealed_credits.get(item.stripe_invoice_id, 0):
            continue  # asks nothing of Stripe where all is sealed
        query = {"invoice": item.stripe_invoice_id}
        notes = [note async for note in gateway.list("/v1/credit_notes", query)]
        for note in sorted(notes, key=lambda note: (int(note["created"]), note["id"])):
            ours = (note.get("metadata") or {}).get(metadata_keys.INVOICE_ID) == item.invoice_id
            if not ours or note["status"] == "void":
                continue
            body = sealed.credit_note(item, note, gateway.clock.now(), restored=True)
            if seals.append(month_key, str(note["id"]), body):
                restored.append(str(note["id"]))
    return restored
