"""What another system billed through the same Stripe account: invoices without our marks.

What belongs here: which of Stripe's invoices and lines another system billed for a month, and what
is compared. What does not: which customer of ours is meant (``our_month``), and comparing.

It only reads: nothing that belongs to another system is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing_pipeline.collection.stripe_state.metadata_keys import INVOICE_ID
from billing_pipeline.comparison.lines import TheirLine
from billing_pipeline.comparison.their_file import Export
from billing_pipeline.money import to_major
from billing_pipeline.months import BillingMonth
from billing_pipeline.stripe_api.client import StripeGateway

COLUMNS = "Stripe's invoices without our marks"
_NOT_BILLED = ("draft", "void", "deleted")
Json = dict[str, Any]


async def read_stripe(
    gateway: StripeGateway, month: BillingMonth, zone: ZoneInfo, customers: Mapping[str, str]
) -> Export:
    """The other system's lines of the month. Fees may be invoiced a month ahead, and usage in the
    month after; `customers` are the ids by which ours are known."""
    first, last = month.shift(-1).start(zone), month.shift(1).end(zone)
    created = {"gte": int(first.timestamp()), "lt": int(last.timestamp())}
    invoices = await _their_invoices(gateway, created)
    return Export(tuple(lines_of_month(invoices, month, zone, customers)), COLUMNS)


async def later_invoices(
    gateway: StripeGateway, first: BillingMonth, zone: ZoneInfo, customers: Mapping[str, str]
) -> list[str]:
    """The other system's invoices that charge customers of ours for this month or a later one."""
    start = first.start(zone).timestamp()
    invoices = await _their_invoices(gateway, {"gte": int(first.shift(-1).start(zone).timestamp())})
    return [
        str(invoice["id"])
        for invoice, lines in invoices
        if _customer(invoice, customers) in customers
        and any(line["period"]["start"] >= start for line in lines)
    ]


async def _their_invoices(
    gateway: StripeGateway, created: Mapping[str, int]
) -> list[tuple[Json, Sequence[Json]]]:
    """The other system's invoices, the oldest first, each with all of its lines."""
    invoices: list[tuple[Json, Sequence[Json]]] = []
    async for invoice in gateway.list("/v1/invoices", {"created": created}):
        if is_theirs(invoice):
            lines = invoice["lines"]
            found = list(lines["data"])
            if lines.get("has_more"):
                path = f"/v1/invoices/{invoice['id']}/lines"
                found = [line async for line in gateway.list(path)]
            invoices.append((invoice, found))
    return invoices[::-1]


def is_theirs(invoice: Mapping[str, Any]) -> bool:
    """Whether another system billed it."""
    is_ours = INVOICE_ID in (invoice.get("metadata") or {})
    return not is_ours and invoice.get("status") not in _NOT_BILLED


def lines_of_month(
    invoices: Iterable[tuple[Json, Sequence[Json]]],
    month: BillingMonth,
    zone: ZoneInfo,
    customers: Mapping[str, str],
) -> Iterator[TheirLine]:
    """The lines whose service period begins in the month; a discount becomes a line of its own, as
    in our invoices. A line without a period belongs to the month of its date."""
    start, end = (moment.timestamp() for moment in (month.start(zone), month.end(zone)))
    row = 0
    for invoice, lines in invoices:
        for line in lines:
            if not start <= line["period"]["start"] < end:
                continue
            for found in _lines(invoice, line, customers):
                row += 1
                yield replace(found, row=row)


def _lines(invoice: Json, line: Json, customers: Mapping[str, str]) -> Iterator[TheirLine]:
    currency = str(line["currency"]).upper()
    begins, ends = line["period"]["start"], line["period"]["end"]
    has_period = ends > begins
    quantity = line.get("quantity")
    charge = TheirLine(
        row=0,
        customer_id=_customer(invoice, customers),
        currency=currency,
        description=line.get("description") or "",
        amount=to_major(line["amount"], currency),
        quantity=None if quantity is None else Decimal(str(quantity)),
        tax=_added_tax(line, currency),
        line_reference=_line_reference(line),
        period_start=datetime.fromtimestamp(begins, UTC) if has_period else None,
        period_end=datetime.fromtimestamp(ends, UTC) if has_period else None,
    )
    yield charge
    discount = sum(part["amount"] for part in line.get("discount_amounts") or ())
    if discount:
        yield replace(
            charge,
            description=f"Discount on {charge.description}",
            amount=to_major(-discount, currency),
            quantity=None,
            tax=None,
            line_reference=None,
            stated_kind="discount",
        )


def _customer(invoice: Json, customers: Mapping[str, str]) -> str:
    """The id by which a customer of ours is known: Stripe's, else the e-mail address."""
    stripe_id = invoice["customer"]
    stripe_id = str(stripe_id["id"] if isinstance(stripe_id, dict) else stripe_id)
    email = invoice.get("customer_email")
    return str(email).lower() if stripe_id not in customers and email else stripe_id


def _added_tax(line: Json, currency: str) -> Decimal | None:
    """The tax that is added to the line: `taxes` in newer versions of Stripe's API, `tax_amounts`
    in older ones. Tax that prices include is already in the amount."""
    if line.get("taxes") is not None:
        added = [tax["amount"] for tax in line["taxes"] if tax.get("tax_behavior") != "inclusive"]
    else:
        added = [tax["amount"] for tax in line.get("tax_amounts") or () if not tax["inclusive"]]
    return to_major(sum(added), currency) if added else None


def _line_reference(line: Json) -> str:
    """Their price, after which a price of ours may be named; else Stripe's id of the line."""
    price = (line.get("price") or {}).get("id")
    details = (line.get("pricing") or {}).get("price_details") or {}
    return str(price or details.get("price") or line["id"])
