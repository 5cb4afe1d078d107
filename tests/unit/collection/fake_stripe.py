"""A few hundred lines of Stripe for these tests: state in dicts, no rule that they do not need.

The embedded sandbox is the real stand-in; this one is here so that the engine's tests can put
any answer at any request (`faults`) and see every request that was made (`calls`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe

from tests.virtual_clock import VirtualClock

Json = dict[str, Any]
Fault = Callable[["FakeStripe", str, str, Json], tuple[int, Json] | None]


class Refused(Exception):
    def __init__(self, status: int, message: str, code: str = "", **more: Any) -> None:
        kind = {402: "card_error"}.get(status, "invalid_request_error")
        self.status = status
        self.body = {"error": {"type": kind, "message": message, "code": code, **more}}


class FakeStripe(stripe.HTTPClient):
    """Answers the SDK in process."""

    name = "fake"

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.objects: dict[str, dict[str, Json]] = {
            kind: {}
            for kind in (
                "cus",
                "in",
                "cn",
                "il",
                "evt",
                "inpay",
                "cbtxn",
                "pi",
                "re",
                "dp",
                "txn",
                "po",
                "pr",
                "txi",
            )
        }
        self.kept: dict[str, tuple[str, int, Json]] = {}
        self.calls: list[tuple[str, str, Json]] = []
        self.faults: list[Fault] = []
        self.serial = 0
        self.key: str | None = None
        self.deleted_customers: set[str] = set()
        self.counts_debits = True
        """Whether an invoice counts a debit that is under way as a try."""

    # The SDK's side.
    async def request_async(  # type: ignore[override]
        self, method: str, url: str, headers: Any, post_data: Any = None
    ) -> tuple[bytes, int, dict[str, str]]:
        parts = urlsplit(url)
        params = decode(post_data if method == "post" else parts.query)
        self.calls.append((method, parts.path, params))
        self.serial += 1
        answer_headers = {"Request-Id": f"req_{self.serial}"}
        key = self.key = headers.get("Idempotency-Key")
        for fault in self.faults:
            answer = fault(self, method, parts.path, params)
            if answer is not None:
                if answer[0] >= 500 and key and method == "post":
                    self.kept[key] = (self._fingerprint(parts.path, params), *answer)
                return json.dumps(answer[1]).encode(), answer[0], answer_headers
        status, body, replayed = self._once(method, parts.path, params, key)
        if replayed:
            answer_headers["Idempotent-Replayed"] = "true"
        return json.dumps(body).encode(), status, answer_headers

    async def close_async(self) -> None:
        pass

    def posts(self) -> list[str]:
        """The changing requests, ids left out: ``post /v1/invoices/:id/finalize``."""
        return [
            f"{method} {re.sub(r'/(cus|in|cn|pm|txi)_[A-Za-z0-9_]+', '/:id', path)}"
            for method, path, _ in self.calls
            if method != "get"
        ]

    def act(self, method: str, path: str, params: Json) -> tuple[int, Json]:
        """Carry out a request without being asked through the SDK."""
        try:
            return 200, self._route(method, path, params)
        except Refused as error:
            return error.status, error.body

    def carry_out(self, method: str, path: str, params: Json) -> None:
        """Carry out the current request and save its answer, which is lost."""
        self._once(method, path, params, self.key)

    def _once(
        self, method: str, path: str, params: Json, key: str | None
    ) -> tuple[int, Json, bool]:
        fingerprint = self._fingerprint(path, params)
        if method == "post" and key in self.kept:
            print_of_first, status, body = self.kept[key]
            if print_of_first != fingerprint:
                error = {"type": "idempotency_error", "message": "other parameters"}
                return 400, {"error": error}, False
            return status, body, True
        status, body = self.act(method, path, params)
        if method == "post" and key:
            self.kept[key] = (fingerprint, status, json.loads(json.dumps(body)))
        return status, body, False

    @staticmethod
    def _fingerprint(path: str, params: Json) -> str:
        return json.dumps([path, params], sort_keys=True)

    # Stripe's side.
    def _route(self, method: str, path: str, params: Json) -> Json:
        words = path.strip("/").split("/")[1:]
        name = "_".join([method, *(word for index, word in enumerate(words) if index % 2 == 0)])
        handler = getattr(self, f"{name}_one" if len(words) % 2 == 0 else name, None)
        if handler is None:
            raise Refused(404, f"Unrecognized request URL ({method} {path})")
        return json.loads(json.dumps(handler(params, *words[1::2])))

    def _new(self, kind: str, body: Json) -> Json:
        self.serial += 1
        item = {"id": f"{kind}_{self.serial:06}", "created": int(self.clock.now()), **body}
        item.setdefault("metadata", {})
        self.objects[kind][item["id"]] = item
        return item

    def _get(self, kind: str, item_id: str) -> Json:
        if item_id not in self.objects[kind]:
            raise Refused(404, f"No such object: {item_id}", "resource_missing", param="id")
        return self.objects[kind][item_id]

    def _list(self, kind: str, params: Json, **equal: Any) -> Json:
        created = params.get("created") or {}
        if len(params.get("types", ())) > 20:
            raise Refused(400, "Array types exceeded maximum 20 allowed elements.", param="types")
        rows = [
            item
            for item in self.objects[kind].values()
            if int(created.get("gte", 0)) <= item["created"] <= int(created.get("lte", 2**62))
            and all(value is None or item.get(name) == value for name, value in equal.items())
            and item.get("type") in [*params.get("types", {0: item.get("type")}).values()]
        ]
        rows.sort(key=lambda item: (item["created"], item["id"]), reverse=True)
        if after := params.get("starting_after"):
            index = next(i for i, item in enumerate(rows) if item["id"] == after)
            rows = rows[index + 1 :]
        limit = int(params.get("limit", 10))
        return {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit}

    def _event(self, kind: str, thing: Json) -> None:
        self._new("evt", {"type": kind, "data": {"object": json.loads(json.dumps(thing))}})

    def get_account(self, params: Json) -> Json:
        return {"id": "acct_fake", "object": "account"}

    def get_customers(self, params: Json) -> Json:
        return self._list("cus", params)

    def get_customers_one(self, params: Json, item_id: str) -> Json:
        if item_id in self.deleted_customers:
            return {"id": item_id, "object": "customer", "deleted": True}
        return self._get("cus", item_id)

    def delete_customers_one(self, params: Json, item_id: str) -> Json:
        item = self._get("cus", item_id)
        del self.objects["cus"][item_id]
        self.deleted_customers.add(item_id)
        self._event("customer.deleted", item)
        return {"id": item_id, "deleted": True}

    def post_customers(self, params: Json) -> Json:
        return self._new("cus", {"object": "customer", "balance": 0, **params})

    def post_customers_one(self, params: Json, item_id: str) -> Json:
        item = self._get("cus", item_id)
        item["metadata"] |= params.pop("metadata", {})
        item.update(params)
        self._event("customer.updated", item)
        return item

    def get_customers_tax_ids(self, params: Json, customer: str) -> Json:
        return self._list("txi", params, customer=self._get("cus", customer)["id"])

    def post_customers_tax_ids(self, params: Json, customer: str) -> Json:
        if "INVALID" in params["value"]:
            text = f"Invalid value for {params['type']}."
            raise Refused(400, text, "tax_id_invalid", param="value")
        owner = self._get("cus", customer)["id"]
        return self._new("txi", {"object": "tax_id", "customer": owner, **params})

    def delete_customers_tax_ids_one(self, params: Json, customer: str, item_id: str) -> Json:
        del self.objects["txi"][self._get("txi", item_id)["id"]]
        return {"id": item_id, "object": "tax_id", "deleted": True}

    def post_payment_methods_attach(self, params: Json, method: str) -> Json:
        if method == "pm_card_chargeDeclined":
            raise Refused(402, "Your card was declined.", "card_declined")
        return {"id": f"{method}_of_{params['customer']}"}

    def get_invoices(self, params: Json) -> Json:
        page = self._list("in", params, customer=params.get("customer"))
        return page | {"data": [self._with_lines(item) for item in page["data"]]}

    def get_invoices_one(self, params: Json, item_id: str) -> Json:
        return self._with_lines(self._get("in", item_id))

    def _with_lines(self, item: Json) -> Json:
        """The first lines come with an invoice."""
        lines = [line for line in self.objects["il"].values() if line["invoice"] == item["id"]]
        return item | {"lines": {"data": lines[:10], "has_more": len(lines) > 10}}

    def post_invoices(self, params: Json) -> Json:
        if params["customer"] not in self.objects["cus"]:
            raise Refused(400, "No such customer", "resource_missing", param="customer")
        days = int(params.pop("days_until_due", 0))
        due = int(self.clock.now()) + days * 86_400 if days else None
        metadata = {name: value for name, value in params.pop("metadata", {}).items() if value}
        customer = self.objects["cus"][params["customer"]]
        return self._new(
            "in",
            {
                **dict.fromkeys(_AMOUNTS, 0),
                "object": "invoice",
                "status": "draft",
                "attempted": False,
                "number": None,
                "status_transitions": {"finalized_at": None},
                **params,
                "metadata": metadata,
                "customer_name": customer.get("name"),
                "customer_email": customer.get("email"),
                "auto_advance": params.get("auto_advance") == "true",
                "due_date": due,
            },
        )

    def post_invoices_one(self, params: Json, item_id: str) -> Json:
        item = self._get("in", item_id)
        self._metadata(item, params.pop("metadata", {}))
        params.pop("days_until_due", None)
        item.update(params)
        self._event("invoice.updated", item)
        return item

    def delete_invoices_one(self, params: Json, item_id: str) -> Json:
        self._draft(item_id)
        del self.objects["in"][item_id]
        return {"id": item_id, "deleted": True}

    def get_invoices_lines(self, params: Json, item_id: str) -> Json:
        return self._list("il", params, invoice=item_id)

    def post_invoices_add_lines(self, params: Json, item_id: str) -> Json:
        item = self._draft(item_id)
        lines = list(params["lines"].values())
        if len(lines) > 250:
            raise Refused(400, "too many lines")
        for line in lines:
            self._new("il", {"invoice": item_id, **line, "amount": int(line["amount"])})
        self._metadata(item, params.get("invoice_metadata", {}))
        return self._total(item)

    def post_invoices_remove_lines(self, params: Json, item_id: str) -> Json:
        item = self._draft(item_id)
        for line in params["lines"].values():
            del self.objects["il"][line["id"]]
        self._metadata(item, params.get("invoice_metadata", {}))
        return self._total(item)

    def post_invoices_finalize(self, params: Json, item_id: str) -> Json:
        item = self._draft(item_id)
        item["customer_tax_ids"] = [
            {"type": one["type"], "value": one["value"]}
            for one in self.objects["txi"].values()
            if one["customer"] == item["customer"]
        ]
        item["status"] = "open" if item["total"] > 0 else "paid"
        item["auto_advance"] = params.get("auto_advance") == "true"
        item["number"] = f"N-{self.serial}"
        item["status_transitions"] = {"finalized_at": int(self.clock.now())}
        customer = self.objects["cus"][item["customer"]]
        # Credit lowers what is due, a debit is charged with it, a total below 0 becomes credit.
        left = item["total"] + customer["balance"]
        from_balance = min(0, left) - customer["balance"]
        if from_balance:
            self._balance(customer, from_balance, item["currency"], {}, "applied_to_invoice")
        item["ending_balance"] = customer["balance"]
        item["amount_due"] = item["amount_remaining"] = max(0, left)
        if item["amount_remaining"] == 0:
            item["status"] = "paid"
        self._event("invoice.finalized", item)
        return item

    def _balance(
        self, customer: Json, amount: int, currency: str, metadata: Json, kind: str
    ) -> Json:
        customer["balance"] += amount
        return self._new(
            "cbtxn",
            {
                "object": "customer_balance_transaction",
                "customer": customer["id"],
                "amount": amount,
                "currency": currency,
                "type": kind,
                "ending_balance": customer["balance"],
                "metadata": metadata,
            },
        )

    def get_customers_balance_transactions(self, params: Json, customer: str) -> Json:
        return self._list("cbtxn", params, customer=customer)

    def post_customers_balance_transactions(self, params: Json, customer: str) -> Json:
        return self._balance(
            self._get("cus", customer),
            int(params["amount"]),
            params["currency"],
            params["metadata"],
            "adjustment",
        )

    def get_payment_intents(self, params: Json) -> Json:
        return self._list("pi", params)

    def get_payment_intents_one(self, params: Json, item_id: str) -> Json:
        return self._get("pi", item_id)

    def get_balance_transactions(self, params: Json) -> Json:
        return self._list("txn", params, payout=params.get("payout"))

    def get_payouts(self, params: Json) -> Json:
        return self._list("po", params)

    def get_balance_transactions_one(self, params: Json, item_id: str) -> Json:
        return self._get("txn", item_id)

    def get_refunds(self, params: Json) -> Json:
        return self._list("re", params, payment_intent=params.get("payment_intent"))

    def get_disputes(self, params: Json) -> Json:
        return self._list("dp", params, payment_intent=params.get("payment_intent"))

    def refund(self, intent: Json, amount: int) -> Json:
        """Somebody refunds a payment, in part or as a whole."""
        charge = intent["latest_charge"]
        charge["amount_refunded"] = charge.get("amount_refunded", 0) + amount
        made = self._new(
            "re", {"payment_intent": intent["id"], "amount": amount, "status": "succeeded"}
        )
        self._event("charge.refunded", charge | {"payment_intent": intent["id"]})
        return made

    def dispute(self, intent: Json, status: str = "needs_response") -> Json:
        """A cardholder disputes a payment."""
        intent["latest_charge"]["disputed"] = True
        made = self._new(
            "dp",
            {
                "payment_intent": intent["id"],
                "amount": intent["amount"],
                "status": status,
                "balance_transactions": [
                    {"amount": -intent["amount"], "created": int(self.clock.now())}
                ],
            },
        )
        self._event("charge.dispute.created", made)
        return made

    def close_dispute(self, dispute: Json, status: str) -> None:
        dispute["status"] = status
        if status == "won":
            back = {"amount": dispute["amount"], "created": int(self.clock.now())}
            dispute["balance_transactions"].append(back)
        self._event("charge.dispute.closed", dispute)

    def post_invoices_pay(self, params: Json, item_id: str) -> Json:
        item = self._get("in", item_id)
        if item["status"] != "open":
            raise Refused(400, "Invoice is already paid" if item["status"] == "paid" else "no")
        customer = self.objects["cus"][item["customer"]]
        method = (customer.get("invoice_settings") or {}).get("default_payment_method")
        if not method:
            raise Refused(400, "This customer has no attached payment source")
        if "sepa" in method or "authenticationRequired" in method:
            return self._pay_later(item, method)
        item["attempted"] = True
        item["attempt_count"] = item["attempt_count"] or 1
        if "chargeCustomerFail" in method:
            self._new("inpay", {"invoice": item_id, "payment": {"payment_intent": _DECLINED}})
            self._event("invoice.payment_failed", item)
            raise Refused(402, "Your card was declined.", "card_declined")
        item |= {"status": "paid", "amount_paid": item["amount_remaining"], "amount_remaining": 0}
        self._paid_by_card(item)
        self._event("invoice.paid", item)
        return item

    def post_payment_records_one(self, params: Json, action: str) -> Json:
        if action != "report_payment" or params["outcome"] != "guaranteed":
            raise Refused(404, f"Unrecognized request URL ({action})")
        return self._new("pr", {"object": "payment_record", **params})

    def post_invoices_attach_payment(self, params: Json, item_id: str) -> Json:
        item, record = self._get("in", item_id), self._get("pr", params["payment_record"])
        if item["status"] not in ("open", "uncollectible"):
            raise Refused(400, f"Invoice is {item['status']} and cannot be paid")
        if any(
            p["payment"].get("payment_record") == record for p in self.objects["inpay"].values()
        ):
            raise Refused(400, "The PaymentRecord is attached to an invoice already.")
        amount = int(record["amount_requested"]["value"])
        counts = min(amount, item["amount_remaining"])
        payment = {"type": "payment_record", "payment_record": record}
        paid_at = {"paid_at": int(self.clock.now())}
        self._new(
            "inpay",
            {
                **{"invoice": item_id, "status": "paid", "amount_paid": amount},
                **{"payment": payment, "status_transitions": paid_at},
            },
        )
        item["amount_paid"] += counts
        item["amount_remaining"] -= counts
        if amount > counts:
            customer = self.objects["cus"][item["customer"]]
            self._balance(customer, counts - amount, item["currency"], {}, "invoice_overpaid")
        if item["amount_remaining"] == 0:
            item["status"] = "paid"
        self._event("invoice.paid" if item["status"] == "paid" else "invoice.updated", item)
        return item

    def _paid_by_card(self, item: Json) -> None:
        intent = self._new("pi", {"amount": item["amount_paid"], "status": "succeeded"})
        intent["latest_charge"] = {
            "id": f"ch_of_{intent['id']}",
            "created": int(self.clock.now()),
            "payment_method_details": {
                "type": "card",
                "card": {"exp_month": 12, "exp_year": 2040},
            },
        }
        payment = {"type": "payment_intent", "payment_intent": intent}
        paid_at = {"paid_at": int(self.clock.now())}
        self._new(
            "inpay",
            {
                **{"invoice": item["id"], "status": "paid", "amount_paid": item["amount_paid"]},
                **{"payment": payment, "status_transitions": paid_at},
            },
        )

    def _pay_later(self, item: Json, method: str) -> Json:
        """The bank takes days, or the customer has to confirm it first."""
        if self.counts_debits:
            item |= {"attempted": True, "attempt_count": item["attempt_count"] or 1}
        waits = "sepa" not in method
        status = "requires_action" if waits else "processing"
        intent = {"id": f"pi_of_{item['id']}", "status": status, "last_payment_error": None}
        self._new("inpay", {"invoice": item["id"], "payment": {"payment_intent": intent}})
        if waits:
            self._event("invoice.payment_action_required", item)
            raise Refused(402, "It has to be confirmed.", "invoice_payment_intent_requires_action")
        return item

    def bank_decides(self, item: Json, *, pays: bool, tells: bool = True) -> None:
        """The end of a debit; `tells`: whether an event reports it."""
        [payment] = [p for p in self.objects["inpay"].values() if p["invoice"] == item["id"]]
        if pays:
            payment["payment"]["payment_intent"]["status"] = "succeeded"
            payment |= {"status": "paid", "amount_paid": item["amount_remaining"]}
            item |= {"status": "paid", "amount_paid": item["amount_remaining"]}
            item["amount_remaining"] = 0
        else:
            problem = {"message": "The debit was returned."}
            payment["payment"]["payment_intent"] |= {
                "status": "requires_payment_method",
                "last_payment_error": problem,
            }
        if tells:
            self._event("invoice.paid" if pays else "invoice.payment_failed", item)

    def post_invoices_void(self, params: Json, item_id: str) -> Json:
        item = self._get("in", item_id)
        item["status"] = "void"
        self._event("invoice.voided", item)
        return item

    def post_invoices_mark_uncollectible(self, params: Json, item_id: str) -> Json:
        item = self._get("in", item_id)
        item["status"] = "uncollectible"
        self._event("invoice.marked_uncollectible", item)
        return item

    def get_invoice_payments(self, params: Json) -> Json:
        equal = {name: params.get(name) for name in ("invoice", "status")}
        listed = self._list("inpay", params, **equal)
        if "data.invoice" not in params.get("expand", {}).values():
            return listed
        shown = [{**item, "invoice": self._get("in", item["invoice"])} for item in listed["data"]]
        return {**listed, "data": shown}

    def get_credit_notes(self, params: Json) -> Json:
        return self._list("cn", params, invoice=params.get("invoice"))

    def post_credit_notes(self, params: Json) -> Json:
        item = self._get("in", params["invoice"])
        amount, to_balance = int(params["amount"]), int(params.get("credit_amount", 0))
        if to_balance and item["customer"] in self.deleted_customers:
            raise Refused(400, f"No such customer: '{item['customer']}'", "resource_missing")
        outside = int(params.get("out_of_band_amount", 0))
        before = item["pre_payment_credit_notes_amount"], item["post_payment_credit_notes_amount"]
        if amount > item["total"] - sum(before):
            raise Refused(400, "The credit note exceeds the invoice")
        off_due = min(amount, item["amount_remaining"])
        if amount - off_due != to_balance + outside:
            raise Refused(400, "The sum of credit amount, refund amount ... must equal")
        item["amount_remaining"] -= off_due
        item["pre_payment_credit_notes_amount"] += off_due
        item["post_payment_credit_notes_amount"] += to_balance + outside
        if item["status"] == "open" and item["amount_remaining"] == 0:
            item["status"] = "paid"
        if to_balance:
            customer = self.objects["cus"][item["customer"]]
            self._balance(customer, -to_balance, item["currency"], {}, "credit_note")
        note = self._new(
            "cn", {"object": "credit_note", "status": "issued", **params, "total": amount}
        )
        self._event("credit_note.created", note)
        return note

    def get_events(self, params: Json) -> Json:
        return self._list("evt", params, type=params.get("type"))

    def _draft(self, item_id: str) -> Json:
        item = self._get("in", item_id)
        if item["status"] != "draft":
            raise Refused(400, "Only drafts can be changed")
        return item

    def _total(self, item: Json) -> Json:
        lines = [i for i in self.objects["il"].values() if i["invoice"] == item["id"]]
        item["total"] = sum(line["amount"] for line in lines)
        item["amount_due"] = item["amount_remaining"] = max(0, item["total"])
        return item

    @staticmethod
    def _metadata(item: Json, changes: Any) -> None:
        for name, value in dict(changes).items():
            if value == "":
                item["metadata"].pop(name, None)
            else:
                item["metadata"][name] = value


_AMOUNTS = [
    "total",
    "amount_due",
    "amount_paid",
    "amount_remaining",
    "pre_payment_credit_notes_amount",
    "post_payment_credit_notes_amount",
    "attempt_count",
]
_DECLINED = {"id": "pi_1", "last_payment_error": {"message": "Your card was declined."}}


def decode(text: Any) -> Json:
    """``a[b][0][c]=d`` as nested dicts; lists become dicts by index."""
    result: Json = {}
    for name, value in parse_qsl(text or "", keep_blank_values=True):
        path = re.findall(r"[^\[\]]+", name)
        place = result
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
    return result
