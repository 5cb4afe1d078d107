"""Explaining an amount: from an invoice, line or charge back to the rule and the events.

What belongs here: reading the published tables and laying out what they say. What does not:
computing anything anew: an explanation that computes could differ from what was billed.
"""

from __future__ import annotations

from typing import Any

import duckdb

from billing_pipeline.settings import Settings

Record = dict[str, Any]


def explain(settings: Settings, record_id: str) -> Record:
    """What is known of an id: its invoice, lines, charges, tiers and the SQL to list its events.

    Raises `LookupError` for an id that no published table has.
    """
    path = settings.published_dir / "billing.duckdb"
    if not path.exists():
        raise LookupError("nothing is published yet: close a month first (billing run MONTH)")
    with duckdb.connect(str(path), read_only=True) as published:
        published.execute("SET TimeZone = 'UTC'")
        invoices = _rows(published, "SELECT * FROM invoices WHERE invoice_id = ?", record_id)
        column = "invoice_id" if invoices else "line_id"
        lines = _rows(
            published,
            f"SELECT * FROM invoice_lines WHERE {column} = ? OR charge_id = ? ORDER BY position",
            record_id,
            record_id,
        )
        charge_ids = [line["charge_id"] for line in lines if line["charge_id"]] or [record_id]
        charges = _rows(
            published, "SELECT * FROM charges WHERE list_contains(?, charge_id)", charge_ids
        )
        tiers = _rows(
            published,
            "SELECT * FROM charge_tiers WHERE list_contains(?, charge_id) ORDER BY charge_id, tier",
            charge_ids,
        )
    if not (invoices or lines or charges):
        raise LookupError(f"{record_id!r} is no invoice, line or charge that was published")
    for charge in charges:
        charge["tiers"] = [tier for tier in tiers if tier["charge_id"] == charge["charge_id"]]
        charge["events_sql"] = _events_sql(charge)
    return {
        "id": record_id,
        "invoice": invoices[0] if invoices else None,
        "lines": lines,
        "charges": charges,
    }


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[Record]:
    found = connection.execute(sql, list(parameters))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _events_sql(charge: Record) -> str | None:
    if charge["meter_id"] is None:
        return None
    return (
        "SELECT * FROM accepted_events JOIN raw.meters USING (event_name)"
        f" WHERE meter_id = {_text(charge['meter_id'])}"
        f" AND customer_id = {_text(charge['customer_id'])}"
        f" AND occurred_at >= {_text(charge['period_start'])}"
        f" AND occurred_at < {_text(charge['period_end'])}"
        "  -- in the month's warehouse: months/YYYY-MM/warehouse.duckdb under BILLING_HOME"
    )


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def render(found: Record) -> str:
    """The explanation as text for a terminal."""
    parts: list[str] = []
    invoice = found["invoice"]
    if invoice is not None:
        parts.append(
            f"Invoice {invoice['invoice_id']} of {invoice['customer_id']}: subtotal"
            f" {invoice['subtotal']} - discount {invoice['discount']} + tax {invoice['tax']}"
            f" = {invoice['total']} {invoice['currency']}; wallet {invoice['wallet_applied']},"
            f" due {invoice['amount_due']}"
        )
    explained = {charge["charge_id"]: charge for charge in found["charges"]}
    for line in found["lines"]:
        parts.append(
            f"\n{line['line_id']}  {line['description']}: {line['amount']} {line['currency']}"
        )
        charge = explained.pop(line["charge_id"], None)
        if charge is not None:
            parts += _charge_text(charge)
    for charge in explained.values():
        parts.append(
            f"\n{charge['charge_id']}  {charge['description']}: {charge['amount']} {charge['currency']}"
        )
        parts += _charge_text(charge)
    return "\n".join(parts)


def _charge_text(charge: Record) -> list[str]:
    texts = [
        f"    price {charge['price_id']} ({charge['charge_model']}),"
        f" {charge['period_start']} to {charge['period_end']}",
        f"    {charge['calculation']}",
    ]
    texts += [
        f"      tier {tier['tier']}: {tier['quantity']} -> {tier['exact_amount']}"
        for tier in charge["tiers"]
    ]
    if charge["events_sql"]:
        texts.append(f"    events: {charge['events_sql']}")
    return texts
