"""Invoice lines and invoice items: two views of one row.

What belongs here: adding, changing and removing lines, and pending items. What does not: the
invoice's own state (`invoices.py`).

A line ``il_7`` and its item ``ii_7`` share one row of the kind `line_item`, whose parent is the
invoice; an item without a parent is pending.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from billing_pipeline.stripe_sandbox.context import Call, json_equal, route
from billing_pipeline.stripe_sandbox.customers import existing_customer
from billing_pipeline.stripe_sandbox.errors import ApiError, InvalidParamsError, missing
from billing_pipeline.stripe_sandbox.errors import unsupported as _unsupported
from billing_pipeline.stripe_sandbox.rules import MAX_INVOICE_AMOUNT, require_state
from billing_pipeline.stripe_sandbox.validation import merge_metadata

Json = dict[str, Any]

MAX_LINES = 250

_LINE = frozenset(
    ["amount", "description", "discountable", "metadata", "period", "price_data", "quantity"]
)
_ITEM = "amount currency customer description discountable invoice metadata period quantity"
_ITEM += " price_data unit_amount_decimal"


def draft(call: Call, invoice_id: str) -> Json:
    """The invoice; raises an error unless it is a draft."""
    invoice = call.get("invoice", invoice_id)
    require_state(invoice, "change_lines")
    return invoice


def retotal(call: Call, invoice: Json) -> Json:
    count, total = call.store.count("line_item", invoice["id"])
    if count > MAX_LINES:
        raise ApiError(f"Invoices can have at most {MAX_LINES} invoice items; this has {count}")
    if abs(total) > MAX_INVOICE_AMOUNT:
        raise ApiError("The invoice's total is too large", code="amount_too_large")
    for name in ("total", "subtotal", "subtotal_excluding_tax", "total_excluding_tax"):
        invoice[name] = total
    invoice["amount_due"] = invoice["amount_remaining"] = max(0, total)
    call.save(invoice)
    call.event("invoice.updated", invoice)
    return invoice


def remove_all(call: Call, invoice_id: str) -> None:
    for row in call.store.select("line_item", [("parent = ?", invoice_id)], limit=10_000):
        call.store.remove("line_item", row["id"])


def _amount(given: Json, currency: str) -> int:
    """The amount in whole minor units, given as such or as a price times a quantity."""
    amount = given.get("amount")
    price = given.get("price_data") or {}
    if "currency" in price and price["currency"].lower() != currency:
        raise ApiError(f"The price's currency must be the invoice's ({currency})")
    each = price.get("unit_amount_decimal", price.get("unit_amount"))
    each = given.get("unit_amount_decimal", each)
    if (amount is None) == (each is None):
        text = "You must specify exactly one of the params: 'amount', 'price_data'"
        raise InvalidParamsError(text, param="amount")
    if amount is None:
        try:
            product = Decimal(str(each)) * Decimal(given.get("quantity", 1))
            amount = int(product.quantize(Decimal(1), rounding=ROUND_HALF_UP))
        except (InvalidOperation, ValueError):
            raise InvalidParamsError(f"Invalid decimal: {each}", param="unit_amount") from None
    if abs(amount) > MAX_INVOICE_AMOUNT:
        raise ApiError(
            "Amount must be no more than 999999999999", code="amount_too_large", param="amount"
        )
    return int(amount)


def add_line(
    call: Call, invoice: Json | None, customer_id: str, currency: str, given: Json
) -> Json:
    """Create a line; without an invoice it is pending until the customer's next one."""
    period = given.get("period") or {"start": call.now, "end": call.now}
    if int(period["end"]) < int(period["start"]):
        raise ApiError("The period's end must not be before its start", param="period[end]")
    amount = _amount(given, currency)
    quantity = int(given.get("quantity", 1))
    invoice_id = invoice["id"] if invoice else None
    line = {
        "amount": amount,
        "currency": currency,
        "description": given.get("description"),
        "discountable": given.get("discountable", amount >= 0),
        "invoice": invoice_id,
        "metadata": merge_metadata({}, given.get("metadata")),
        "parent": {"type": "invoice_item_details", "invoice_item_details": {}},
        "period": period,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
        "_customer": customer_id,
    }
    made = call.new("line_item", line, customer=customer_id, parent=invoice_id)
    item = {"invoice_item": _item_id(made["id"]), "proration": False}
    made["parent"]["invoice_item_details"] = item
    return call.save(made)


def take_pending(call: Call, invoice: Json) -> None:
    """Move the customer's pending items in the invoice's currency onto it."""
    where = [("customer = ?", invoice["customer"]), ("parent is ?", None)]
    for line in call.store.select("line_item", where, limit=MAX_LINES, oldest_first=True):
        if line["currency"] == invoice["currency"]:
            _assign(call, line, invoice)


def _assign(call: Call, line: Json, invoice: Json) -> None:
    if line["currency"] != invoice["currency"] or line["_customer"] != invoice["customer"]:
        raise ApiError("The invoice item is of another customer or currency than the invoice")
    call.save(line | {"invoice": invoice["id"]})
    call.store.move("line_item", line["id"], invoice["id"])


# Lines.
@route("POST", "invoices/*/add_lines", "InvoiceAddLinesParams", "lines invoice_metadata")
def add_lines(call: Call, invoice_id: str) -> Json:
    invoice = draft(call, invoice_id)
    for at, line in enumerate(_given_lines(call)):
        if "invoice_item" in line:
            _assign(call, _pending(call, line["invoice_item"]), invoice)
            continue
        _require_only(line, _LINE, at)
        add_line(call, invoice, invoice["customer"], invoice["currency"], line)
    return _marked(call, invoice)


@route("POST", "invoices/*/update_lines", "InvoiceUpdateLinesParams", "lines invoice_metadata")
def update_lines(call: Call, invoice_id: str) -> Json:
    invoice = draft(call, invoice_id)
    for at, line in enumerate(_given_lines(call)):
        _require_only(line, _LINE | {"id"}, at)
        _change(call, _line_of(call, invoice_id, line["id"]), line)
    return _marked(call, invoice)


@route("POST", "invoices/*/remove_lines", "InvoiceRemoveLinesParams", "lines invoice_metadata")
def remove_lines(call: Call, invoice_id: str) -> Json:
    invoice = draft(call, invoice_id)
    for line in _given_lines(call):
        held = _line_of(call, invoice_id, line["id"])
        if line["behavior"] == "unassign":
            call.save(held | {"invoice": None})
            call.store.move("line_item", held["id"], None)
        else:
            call.store.remove("line_item", held["id"])
    return _marked(call, invoice)


@route("POST", "invoices/*/lines/*", "InvoiceLineItemUpdateParams", " ".join(_LINE))
def update_line(call: Call, invoice_id: str, line_id: str) -> Json:
    invoice = draft(call, invoice_id)
    line = _change(call, _line_of(call, invoice_id, line_id), call.params)
    retotal(call, invoice)
    return line


@route("GET", "invoices/*/lines", "InvoiceLineItemListParams")
def list_lines(call: Call, invoice_id: str) -> Json:
    call.get("invoice", invoice_id)
    url = f"/v1/invoices/{invoice_id}/lines"
    return call.page("line_item", url, parent=invoice_id, oldest_first=True)


def _marked(call: Call, invoice: Json) -> Json:
    invoice["metadata"] = merge_metadata(invoice["metadata"], call.params.get("invoice_metadata"))
    return retotal(call, invoice)


def _change(call: Call, line: Json, given: Json) -> Json:
    if "amount" in given or "price_data" in given or "unit_amount_decimal" in given:
        line["amount"] = line["subtotal"] = _amount(given, line["currency"])
    for name in ("description", "discountable", "period"):
        if name in given:
            line[name] = given[name]
    if "quantity" in given:
        line["quantity"] = int(given["quantity"])
        line["quantity_decimal"] = str(line["quantity"])
    line["metadata"] = merge_metadata(line["metadata"], given.get("metadata"))
    return call.save(line)


def _line_of(call: Call, invoice_id: str, line_id: str) -> Json:
    line = call.store.get("line_item", line_id)
    if line is None or line["invoice"] != invoice_id:
        raise missing("line_item", line_id, "lines")
    return line


def _given_lines(call: Call) -> list[Json]:
    given: list[Json] = call.params["lines"]
    if len(given) > MAX_LINES:
        text = f"Array lines exceeded maximum {MAX_LINES} allowed elements"
        raise InvalidParamsError(text, param="lines")
    return given


def _require_only(given: Json, names: frozenset[str], at: int) -> None:
    for name in given:
        if name not in names:
            raise _unsupported(f"lines[{at}][{name}]")


# Items.
def _item_id(line_id: str) -> str:
    return line_id.replace("il_", "ii_", 1)


def _item(line: Json) -> Json:
    fields = ("amount", "currency", "description", "discountable", "invoice", "metadata", "period")
    return {
        "id": _item_id(line["id"]),
        "object": "invoiceitem",
        "customer": line["_customer"],
        "date": line["created"],
        "livemode": False,
        "proration": False,
        "quantity": line["quantity"],
        "quantity_decimal": str(line["quantity"]),
        "net_amount": line["amount"],
        **{name: line[name] for name in fields},
    }


def _row(call: Call, item_id: str) -> Json:
    line = call.store.get("line_item", item_id.replace("ii_", "il_", 1))
    if line is None:
        raise missing("invoiceitem", item_id)
    return line


def _pending(call: Call, item_id: str) -> Json:
    line = _row(call, item_id)
    if line["invoice"] is not None:
        raise ApiError("The invoice item is already attached to an invoice")
    return line


@route("POST", "invoiceitems", "InvoiceItemCreateParams", _ITEM)
def create_item(call: Call) -> Json:
    given = call.params
    if "customer" not in given:
        raise InvalidParamsError("Missing required param: customer.", param="customer")
    customer = existing_customer(call, given["customer"], "customer")
    invoice = draft(call, given["invoice"]) if "invoice" in given else None
    currency = given.get("currency", "").lower()
    currency = currency or (invoice["currency"] if invoice else customer["currency"]) or "usd"
    if invoice and (invoice["customer"], invoice["currency"]) != (customer["id"], currency):
        raise ApiError("The invoice is of another customer or currency", param="invoice")
    line = add_line(call, invoice, customer["id"], currency, given)
    if invoice:
        retotal(call, invoice)
    return _item(line)


@route("POST", "invoiceitems/*", "InvoiceItemUpdateParams", " ".join(_LINE))
def update_item(call: Call, item_id: str) -> Json:
    line = _row(call, item_id)
    invoice = draft(call, line["invoice"]) if line["invoice"] else None
    changed = _change(call, line, call.params)
    if invoice:
        retotal(call, invoice)
    return _item(changed)


@route("DELETE", "invoiceitems/*", "InvoiceItemDeleteParams")
def delete_item(call: Call, item_id: str) -> Json:
    line = _row(call, item_id)
    invoice = draft(call, line["invoice"]) if line["invoice"] else None
    call.store.remove("line_item", line["id"])
    if invoice:
        retotal(call, invoice)
    return {"id": item_id, "object": "invoiceitem", "deleted": True}


@route("GET", "invoiceitems/*", "InvoiceItemRetrieveParams")
def retrieve_item(call: Call, item_id: str) -> Json:
    return _item(_row(call, item_id))


@route("GET", "invoiceitems", "InvoiceItemListParams", "customer invoice pending")
def list_items(call: Call) -> Json:
    for name in ("starting_after", "ending_before"):
        if name in call.params:
            call.params[name] = call.params[name].replace("ii_", "il_", 1)
    where = json_equal(call.params, "invoice")
    if "pending" in call.params:
        where.append(("(parent is null) = ?", int(call.params["pending"])))
    customer = call.params.get("customer")
    page = call.page("line_item", "/v1/invoiceitems", customer=customer, where=where)
    return page | {"data": [_item(line) for line in page["data"]]}
