"""An invoice, a supplement or a credit note as it was issued: every text on it, in order.

What belongs here: the texts, from the document's rows; pure. They do not change with later
payments or a later run. What does not: layout (``templates``), the month's present state
(``invoice``), electronic invoices (``electronic``).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing_pipeline.documents.formatting import (
    amount,
    day,
    month_name,
    period,
    plain,
    quantity,
)
from billing_pipeline.documents.issued import IssuedDocument
from billing_pipeline.documents.line_rows import NO_FIGURES, has_unit_prices, line_rows
from billing_pipeline.documents.parties import party
from billing_pipeline.documents.tax_groups import Breakdown, NetLine, TaxGroup, breakdown_of
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.money import plain_number

Document = dict[str, Any]
_SETTLED = "Prepaid wallet and balance"
TITLES = {
    "invoice": "Invoice",
    "supplement": "Supplementary invoice",
    "credit_note": "Credit note",
}


def issued_page(issued: IssuedDocument) -> Document:
    """All texts of the document. A credit note's amounts are what it gives back, above 0."""
    row, breakdown = issued.document, breakdown_of(issued)
    currency, sign = str(row["currency"]), -1 if issued.is_credit_note else 1
    total = sign * Decimal(row["amount"])
    due = sign * Decimal(row["amount_due"])
    is_void = row["status"] == "void"
    title = TITLES[issued.kind]
    lines = _lines(issued, breakdown, sign)
    return {
        "title": f"Void: {title}" if is_void else title,
        "number": plain(issued.number),
        "state": None,
        "date": _date(issued, "issued_at").isoformat(),
        "currency": currency,
        "facts": _facts(issued),
        "seller": party(issued.seller) if issued.seller["name"] else None,
        "buyer": party(issued.buyer, fallback=issued.buyer["customer_id"]),
        "lines": lines,
        "has_unit_prices": has_unit_prices(lines),
        "totals": _totals(issued, breakdown, sign),
        "settlement": [{"label": _SETTLED, "amount": amount(due - total, currency)}]
        if due != total
        else [],
        "due": {
            "label": "Credited" if issued.is_credit_note else "Amount due",
            "amount": amount(due, currency),
        },
        "notices": _notices(issued, breakdown, is_void),
        "revisions": [],
        "payment_terms": _payment_terms(issued, due),
        "foot": plain(issued.seller["note"]),
    }


def _zone(issued: IssuedDocument) -> ZoneInfo:
    return ZoneInfo(issued.seller["timezone"] or "UTC")


def _date(issued: IssuedDocument, name: str) -> Any:
    return issued.document[name].astimezone(_zone(issued)).date()


def _facts(issued: IssuedDocument) -> list[Row]:
    row = issued.document
    label = "Credit note number" if issued.is_credit_note else "Invoice number"
    facts = [(label, plain(issued.number)), ("Date of issue", day(_date(issued, "issued_at")))]
    if issued.corrects is not None:
        first = issued.corrects
        what = "Corrects invoice" if issued.is_credit_note else "Supplements invoice"
        facts.append((what, f"{plain(first.number)} of {day(_date(first, 'issued_at'))}"))
    if not issued.is_credit_note and row["due_at"]:
        is_automatic = row["due_at"] == row["issued_at"]
        due = ("Payment", "charged automatically")
        facts.append(due if is_automatic else ("Due date", day(_date(issued, "due_at"))))
    if order := plain(issued.buyer.get("purchase_order")):
        facts.append(("Purchase order", order))
    if reference := plain(issued.buyer.get("buyer_reference")):
        facts.append(("Your reference", reference))
    facts += [("Billing month", month_name(row["billing_month"])), ("Reference", row["invoice_id"])]
    return [{"label": label, "value": value} for label, value in facts]


def _lines(issued: IssuedDocument, breakdown: Breakdown | None, sign: int) -> list[Document]:
    """The rows of the document's table: its lines, or what is known if it is not itemized."""
    currency = str(issued.document["currency"])
    if not issued.is_itemized:
        return [_unexplained(issued, line, breakdown, sign) for line in _net_lines(breakdown)] or [
            {
                **NO_FIGURES,
                "kind": "correction",
                "description": _subject(issued),
                "amount": amount(sign * issued.document["amount"], currency),
            }
        ]
    return line_rows(
        # A line of which only the share of a discount has changed affects the taxes, but a row for
        # it would only puzzle the reader.
        [line for line in issued.lines if line["amount"]] or issued.lines,
        issued.document["customer_id"],
        issued.names,
        lambda line: _line(issued, line, sign),
    )


def _net_lines(breakdown: Breakdown | None) -> Sequence[NetLine]:
    return breakdown.lines if breakdown else ()


def _subject(issued: IssuedDocument) -> str:
    number = issued.corrects.number if issued.corrects else issued.document["invoice_id"]
    return f"{'Credit on' if issued.is_credit_note else 'Correction of'} invoice {plain(number)}"


def _unexplained(
    issued: IssuedDocument, line: NetLine, breakdown: Breakdown | None, sign: int
) -> Document:
    groups = {group.key: group for group in breakdown.groups} if breakdown else {}
    rate = f" ({groups[line.group].percentage:f} %)" if groups[line.group].rates else ""
    return {
        **NO_FIGURES,
        "kind": "correction",
        "description": f"{_subject(issued)}{rate}",
        "amount": amount(sign * line.net, line.row["currency"]),
    }


def _line(issued: IssuedDocument, line: Row, sign: int) -> Document:
    has_period = line["period_start"] is not None and line["period_end"] is not None
    text = plain(line["description"])
    counted, unit = unit_price(line) or (None, None)
    if counted is None and line["kind"] == "charge" and line["is_whole"]:
        counted = line["quantity"]
    return {
        "kind": line["kind"],
        "description": text if line["is_whole"] else f"Correction: {text}",
        "period": period(line["period_start"], line["period_end"], _zone(issued))
        if has_period
        else "",
        "quantity": quantity(sign * counted) if counted is not None else "",
        "unit_price": quantity(unit) if unit is not None else "",
        "amount": amount(sign * line["amount"], line["currency"]),
    }


def unit_price(line: Row) -> tuple[Decimal, Decimal] | None:
    """Quantity and unit price whose product is the line's amount; for a correction, the change in
    quantity and the unit price. None if no single unit price gives the amount: tiers, packages,
    proration, minimums, a changed price."""
    if line["unit_amount"] is None or not line["billable_quantity"]:
        return None
    counted, unit = Decimal(line["billable_quantity"]), Decimal(line["unit_amount"])
    return (counted, unit) if counted * unit == line["amount"] else None


def _totals(issued: IssuedDocument, breakdown: Breakdown | None, sign: int) -> list[Row]:
    """From the subtotal to the total: discounts, then each tax with its taxable amount."""
    currency = str(issued.document["currency"])
    lines = issued.lines
    rows: list[tuple[str, Decimal, str]] = []
    if issued.is_itemized:
        kinds = ("tax", "discount")
        sums = [line["amount"] for line in lines if line["kind"] not in kinds]
        rows.append(("Subtotal", sum(sums, Decimal(0)), "plain"))
        discounts = sum((x["amount"] for x in lines if x["kind"] == "discount"), Decimal(0))
        if discounts:
            rows.append(("Discounts", discounts, "plain"))
    elif breakdown:
        rows.append(("Subtotal", sum((g.net for g in breakdown.groups), Decimal(0)), "plain"))
    taxes = _tax_rows(issued, breakdown, sign)
    rows += [(text, value, "plain") for text, value, is_inclusive in taxes if not is_inclusive]
    rows.append(("Total", issued.document["amount"], "total"))
    rows += [(f"of which {text}", value, "note") for text, value, is_in in taxes if is_in]
    return [
        {"label": label, "amount": amount(sign * value, currency), "kind": kind}
        for label, value, kind in rows
    ]


def _tax_rows(
    issued: IssuedDocument, breakdown: Breakdown | None, sign: int
) -> list[tuple[str, Decimal, bool]]:
    """Each tax: its text with the taxable amount, the tax, and whether the amounts contain it."""
    currency = str(issued.document["currency"])
    if not issued.is_itemized:
        groups = breakdown.groups if breakdown else []
        return [
            (f"Tax {_percent(group)} on {amount(sign * group.net, currency)}", group.tax, False)
            for group in groups
            if group.rates
        ]
    rows = []
    for line in issued.lines:
        if line["kind"] != "tax":
            continue
        parts = [tax for tax in issued.taxes if tax["tax_rate_id"] == line["tax_rate_id"]]
        base = sum((tax["tax_base"] for tax in parts), Decimal(0))
        net = base - (line["amount"] if line["is_inclusive"] else 0)
        text = f"{plain(line['description'])} on {amount(sign * net, currency)}"
        rows.append((text, line["amount"], bool(line["is_inclusive"])))
    return rows


def _percent(group: TaxGroup) -> str:
    return f"{plain_number(group.percentage)} %"


def _notices(issued: IssuedDocument, breakdown: Breakdown | None, is_void: bool) -> list[str]:
    notices = ["This invoice is void: nothing has to be paid."] if is_void else []
    groups = breakdown.groups if breakdown else []
    untaxed = [group for group in groups if group.category not in ("S", "O")]
    notices += [_reason(issued, group, is_whole=len(groups) == 1) for group in untaxed]
    if not issued.is_itemized:
        notices.append("Its lines are not recorded: the amount is spread over the tax rates.")
    return notices


def _reason(issued: IssuedDocument, group: TaxGroup, *, is_whole: bool) -> str:
    """Why there is no tax, and on which amount unless it is the whole document."""
    if is_whole:
        return f"{plain(group.reason)}."
    currency = str(issued.document["currency"])
    return f"{plain(group.reason)}: {currency} {amount(abs(group.net), currency)}."


def _payment_terms(issued: IssuedDocument, due: Decimal) -> Document | None:
    bank_account = plain(issued.seller["bank_account"])
    row = issued.document
    is_sent = row["due_at"] is not None and row["due_at"] != row["issued_at"]
    if due <= 0 or issued.is_credit_note or not bank_account or not is_sent:
        return None
    return {
        "text": f"Please quote {plain(issued.number)} with your payment.",
        "bank_account": bank_account,
        "page": "",
    }
