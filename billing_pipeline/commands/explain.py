"""`billing explain`: how an amount came about, laid out for a terminal.

What belongs here: the layout. What does not: what is known of an amount
(``published.explanation``).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import click

from billing_pipeline.commands.parameters import json_option
from billing_pipeline.commands.terminal import print_json
from billing_pipeline.money import plain_number, with_places
from billing_pipeline.published.explanation import Record
from billing_pipeline.published.explanation import explain as explanation
from billing_pipeline.settings import Settings
from billing_pipeline.text import printable


@click.command()
@click.argument("record_id", metavar="ID")
@json_option
def explain(record_id: str, as_json: bool) -> None:
    """Explain an invoice, line or charge: its price, tiers, arithmetic and events."""
    found = explanation(Settings.from_env(), record_id)
    if as_json:
        print_json(found)
    else:
        click.echo(render(found))


def render(found: Record) -> str:
    """The explanation as text for a terminal."""
    asked_for_invoice = found["invoice"] and found["id"] == found["invoice"]["invoice_id"]
    parts = _invoice_text(found) if asked_for_invoice else []
    # The SQL is long; on an invoice of many lines it would hide the amounts.
    with_sql = not asked_for_invoice
    explained = {charge["charge_id"]: charge for charge in found["charges"]}
    for line in found["lines"]:
        title = _title(line)
        parts += ["", title, f"    {line['kind']}, line {line['line_id']}"]
        if not asked_for_invoice:
            parts.append(f"    on invoice {line['invoice_id']}")
        charge = explained.pop(line["charge_id"], None)
        if line.get("corrected_month"):
            parts.append(f"    {line['calculation']}")
            if charge is not None:
                parts.append(f"    the charge as billed in {line['corrected_month']:%Y-%m}:")
        if charge is not None:
            parts += _charge_text(charge, with_sql)
        elif line.get("calculation") and not line.get("corrected_month"):
            parts.append(f"    {line['calculation']}")
    for charge in explained.values():  # an amount of 0 has no line
        title = _title(charge)
        parts += ["", title, "    on no invoice", *_charge_text(charge, with_sql)]
    if asked_for_invoice and found["charges"]:
        parts += ["", "The events of a line: billing explain LINE"]
    return "\n".join(parts).lstrip("\n")


def _title(record: Record) -> str:
    currency = record["currency"]
    amount = with_places(record["amount"], currency)
    return f"{printable(record['description'])}: {amount:f} {currency}"


def _invoice_text(found: Record) -> list[str]:
    invoice, payment = found["invoice"], found["payment"]
    currency = invoice["currency"]

    def sums(record: Record, text: str) -> str:
        money = {name: value for name, value in record.items() if isinstance(value, Decimal)}
        return text.format(**{name: with_places(value, currency) for name, value in money.items()})

    parts = [
        f"Invoice {invoice['invoice_id']}",
        f"    customer {printable(invoice['customer_id'])}, month {invoice['billing_month']:%Y-%m}",
        sums(invoice, "    subtotal {subtotal} - discount {discount} + tax {tax} = total {total} ")
        + currency,
        sums(invoice, "    from the wallet {wallet_applied}, due {amount_due} ") + currency,
    ]
    if payment is not None:
        texts = "billed {billed}, paid {paid}, outstanding {outstanding}"
        parts.append(sums(payment, f"    in Stripe: {payment['status']}, {texts}"))
    return parts


def _charge_text(charge: Record, with_sql: bool) -> list[str]:
    start, end = _time(charge["period_start"]), _time(charge["period_end"])
    parts = [
        f"    charge {charge['charge_id']}, {start} to {end} UTC",
        f"    rule: price {charge['price_id']} of plan {charge['plan_id']}, {_rule_text(charge)}",
        f"    quantity {plain_number(charge['quantity'])},"
        f" billable {plain_number(charge['billable_quantity'])}, events {charge['event_count']}",
        f"    {charge['calculation']}",
    ]
    for tier in charge["tiers"]:
        upper = "∞" if tier["up_to"] is None else plain_number(tier["up_to"])
        parts.append(
            f"      tier {tier['tier']} ({plain_number(tier['from_quantity'])}, {upper}]:"
            f" {plain_number(tier['quantity'])} units -> {plain_number(tier['exact_amount'])}"
        )
    if charge["set_aside"]:
        reasons = ", ".join(f"{row['reason']} {row['events']}" for row in charge["set_aside"])
        parts.append(f"    not counted, of this customer in the months of its period: {reasons}")
    if with_sql and charge["events_sql"] is not None:
        parts.append(f"    its events, in {charge['events_database']}:")
        parts += [f"      {line}" for line in charge["events_sql"].splitlines()]
    return parts


def _rule_text(charge: Record) -> str:
    """The terms of the price that have an effect, or only the model if the terms are unknown."""
    terms = [str(charge["charge_model"])]
    for name, value in (charge["rule"] or {}).items():
        if name in _NAMED_ELSEWHERE or value is None or value in ("none", False):
            continue
        if isinstance(value, Decimal):
            terms.append(f"{name} {plain_number(value)}")
        elif isinstance(value, datetime):
            terms.append(f"{name} {_time(value)}")
        else:
            terms.append(f"{name} {value}")
    return ", ".join(terms)


_NAMED_ELSEWHERE = {"price_id", "plan_id", "description", "charge_model"}


def _time(value: datetime) -> str:
    return value.isoformat(sep=" ", timespec="auto").removesuffix("+00:00")
