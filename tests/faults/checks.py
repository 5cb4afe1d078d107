"""The invariants at the end of a story, whichever faults happened on the way.

What belongs here: reading the sandbox's database and our records, and naming the violations. What
does not: the story (`story.py`) and the expected amounts of each customer (`company.py`).
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from billing_pipeline.collection import payments
from billing_pipeline.collection.payments import PullResult
from billing_pipeline.collection.plan.differences import CREDITED_AGAIN
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.months import BillingMonth
from billing_pipeline.stripe_sandbox.others import is_third_party
from tests.books import journal_problems
from tests.faults.company import FEBRUARY, JANUARY, Expected, expected_by_invoice
from tests.faults.story import Story

Json = dict[str, Any]


@dataclass
class Verdict:
    """The violations at the end; all lists are empty if there are none."""

    double_billed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        return [
            *(f"double-billed: {text}" for text in self.double_billed),
            *(f"lost: {text}" for text in self.lost),
            *self.other,
        ]


class Books:
    """All that Stripe holds of what was made here, read past its API. What others have in the
    account has no part in the story."""

    def __init__(self, story: Story) -> None:
        store = story.network.sandbox._store
        with store.transaction(write=False):
            self.of = {
                kind: [
                    item
                    for item in store.select(kind, [], limit=10_000, oldest_first=True)
                    if not is_third_party(item["id"]) and not _is_about_others(item)
                ]
                for kind in (
                    "customer",
                    "invoice",
                    "line_item",
                    "credit_note",
                    "charge",
                    "customer_balance_transaction",
                    "event",
                    "tax_id",
                )
            }

    def lines(self, invoice: Json) -> list[Json]:
        return [line for line in self.of["line_item"] if line["invoice"] == invoice["id"]]

    def invoices(self, month: BillingMonth) -> list[Json]:
        return [i for i in self.of["invoice"] if i["metadata"].get("billing_month") == month.key]


def _is_about_others(item: Json) -> bool:
    return item["object"] == "event" and is_third_party(item["data"]["object"]["id"])


async def judge(story: Story, *, with_books: bool) -> Verdict:
    """Everything that must hold; the story is at its end and no fault is left. `with_books`: of the
    journal, too, which takes a third of a second."""
    verdict = Verdict(other=list(story.problems))
    books = Books(story)
    months = [JANUARY, *([FEBRUARY] if story.billed_february else [])]
    for month in months:
        wanted = expected_by_invoice(story.company, month)
        if month == FEBRUARY:
            # It was billed aside, with whatever was due at that stage: only the sum is certain.
            _billed_sums(verdict, books.invoices(month), wanted)
        else:
            _revisions(verdict, books, wanted)
        verdict.other += _left_over(books, month)
    verdict.other += [*_customers(story, books), *_payments(books), *_wallets(story, books, months)]
    verdict.other += _request_log(story, books)
    if with_books:
        verdict.other += journal_problems([await story.pull(month) for month in months])
    verdict.other += await _records(story, books)
    return verdict


def _by_revision(invoices: Iterable[Json]) -> dict[str, dict[int, list[Json]]]:
    grouped: dict[str, dict[int, list[Json]]] = defaultdict(lambda: defaultdict(list))
    for invoice in invoices:
        if invoice["status"] not in ("draft", "void"):
            metadata = invoice["metadata"]
            revision = int(metadata["billing_revision"])
            grouped[metadata["billing_invoice_id"]][revision].append(invoice)
    return grouped


def _credited(invoice: Json) -> int:
    pre, post = "pre_payment_credit_notes_amount", "post_payment_credit_notes_amount"
    return int(invoice[pre] + invoice[post])


def _billed_sums(
    verdict: Verdict, invoices: Iterable[Json], wanted: Mapping[str, Expected]
) -> None:
    billed = _by_revision(invoices)
    for invoice_id in sorted({*wanted, *billed}):
        held = billed.get(invoice_id, {})
        for revision, several in held.items():
            if len(several) > 1:
                verdict.double_billed.append(f"{invoice_id} revision {revision}: {len(several)}")
        net = sum(i["total"] - _credited(i) for several in held.values() for i in several)
        due = wanted[invoice_id].net if invoice_id in wanted else 0
        if net > due:
            verdict.double_billed.append(f"{invoice_id}: {net} was billed and {due} is due")
        if net < due:
            verdict.lost.append(f"{invoice_id}: {net} was billed and {due} is due")


def _revisions(verdict: Verdict, books: Books, wanted: Mapping[str, Expected]) -> None:
    """Exactly one finalized invoice for each revision, with the right lines and total."""
    invoices = books.invoices(JANUARY)
    _billed_sums(verdict, invoices, wanted)
    billed = _by_revision(invoices)
    for invoice_id, books_of in wanted.items():
        held = billed.get(invoice_id, {})
        totals = [held[revision][0]["total"] for revision in sorted(held)]
        if sorted(held) != list(range(1, len(held) + 1)) or totals != books_of.revisions:
            found = {revision: held[revision][0]["total"] for revision in sorted(held)}
            text = f"{invoice_id}: the revisions are {found}, expected {books_of.revisions}"
            verdict.other.append(text)
            continue
        credited = sum(_credited(several[0]) for several in held.values())
        if credited != books_of.credited:
            text = f"{invoice_id}: credited {credited}, expected {books_of.credited}"
            verdict.other.append(text)
        verdict.other += _lines(books, invoice_id, held, books_of)


def _lines(
    books: Books, invoice_id: str, held: Mapping[int, list[Json]], wanted: Expected
) -> Iterator[str]:
    """The lines up to each revision add up to what was due when it was made."""
    sums: Counter[str] = Counter()
    for revision, (lines, credited) in enumerate(wanted.lines, 1):
        (invoice,) = held[revision]
        for line in books.lines(invoice):
            line_id = line["metadata"].get("billing_line_id", "(unmarked)")
            sums[line_id] += line["amount"]
            if revision == 1 and list(lines).count(line_id) != 1:
                yield f"{invoice_id}: line {line_id} should not be there"
        due = lines | ({CREDITED_AGAIN: credited} if credited else {})
        if {name: amount for name, amount in sums.items() if amount} != due:
            yield f"{invoice_id} revision {revision}: lines {dict(sums)}, expected {due}"
        if sum(line["amount"] for line in books.lines(invoice)) != invoice["total"]:
            yield f"{invoice_id} revision {revision}: the lines are not its total"


def _left_over(books: Books, month: BillingMonth) -> Iterator[str]:
    for invoice in books.invoices(month):
        if invoice["status"] in ("draft", "void"):
            yield f"{invoice['id']} was left as {invoice['status']}"
        if invoice["metadata"].get("billing_wallet_hold"):
            yield f"{invoice['id']} still holds back part of a wallet"
    ids = {invoice["id"] for invoice in books.of["invoice"]}
    for line in books.of["line_item"]:
        if line["invoice"] not in ids:
            yield f"invoice item {line['id']} is an orphan"


def _customers(story: Story, books: Books) -> Iterator[str]:
    found = Counter(item["metadata"].get("billing_customer_id") for item in books.of["customer"])
    for customer_id, count in found.items():
        if count > 1:
            yield f"customer {customer_id} was created {count} times"
    for account in story.company.accounts:
        of_one = [
            item["value"]
            for item in books.of["tax_id"]
            for customer in books.of["customer"]
            if item["customer"] == customer["id"]
            and customer["metadata"].get("billing_customer_id") == account.customer_id
        ]
        # Without our records nobody knows whose one was that had not been marked yet: it stays.
        alike = account.tax_ids[-1:] == tuple(of_one[-1:] if story.lost_records else of_one)
        if not alike:
            yield f"the tax ids of {account.customer_id} are {of_one}"


def _payments(books: Books) -> Iterator[str]:
    """Every invoice was charged once, or could not be."""
    charges = Counter((item["customer"], item["amount"]) for item in books.of["charge"])
    for invoice in books.of["invoice"]:
        if invoice["collection_method"] != "charge_automatically":
            continue
        if not invoice["attempted"] and not invoice["metadata"].get("billing_payment_note"):
            yield f"{invoice['id']} was never tried to collect"
        if invoice["amount_due"] <= 0 or not invoice["attempt_count"]:
            continue
        # An interrupted run may leave an invoice unpaid, and a credit note come before its payment.
        due = invoice["amount_due"]
        tried = [due, due - invoice["pre_payment_credit_notes_amount"]]
        found = [(invoice["customer"], amount) for amount in tried]
        key = next((key for key in found if charges[key]), None)
        if key is None:
            yield f"{invoice['id']}: nothing was charged of the {due} that were due"
        else:
            charges[key] -= 1
    for (customer, amount), count in sorted(charges.items()):
        if count:
            yield f"{customer} was charged {amount} more often than due: {count}"


def _wallets(story: Story, books: Books, months: list[BillingMonth]) -> Iterator[str]:
    """Every wallet transaction was posted once, and the balance is what the wallet still holds."""
    ids = {item["metadata"].get("billing_customer_id"): item["id"] for item in books.of["customer"]}
    for (customer_id, currency), movements in story.company.movements().items():
        theirs = [
            item
            for item in books.of["customer_balance_transaction"]
            if item["customer"] == ids.get(customer_id) and item["currency"] == currency.lower()
        ]
        marks = Counter(item["metadata"].get("billing_wallet_transaction") for item in theirs)
        for movement in movements:
            if marks[movement.transaction_id] != 1:
                yield f"{movement.transaction_id} was posted {marks[movement.transaction_id]} times"
        last = story.company.stages - 1
        paid = sum(
            invoice.wallet_applied
            for month in months
            for invoice in story.company.desired(last, month)
            if invoice.customer_id == customer_id
        )
        balance = -sum(item["amount"] for item in theirs)
        # What is owed is not in Stripe.
        left = max(0, sum(movement.amount for movement in movements) - paid)
        if balance != left:
            yield f"wallet of {customer_id}: {balance} in Stripe, {left} should be left"


def _request_log(story: Story, books: Books) -> Iterator[str]:
    """Every change that Stripe made was written down before, and no two runs worked at once."""
    if story.lost_records:
        return
    with open_records(story.settings.records_dir) as records:
        entries = list(records.request_log.entries())
    keys = {entry["idempotency_key"] for entry in entries}
    for event in books.of["event"]:
        key = (event.get("request") or {}).get("idempotency_key")
        if key is not None and key not in keys:
            yield f"{event['type']} was done under {key}, which is not in the request log"
    for month in ("in_202601_", "in_202602_"):
        runs = [e["run_id"] for e in entries if e["invoice_id"].startswith(month)]
        turns = [run for at, run in enumerate(runs) if at == 0 or runs[at - 1] != run]
        if len(set(turns)) < len(turns):
            yield f"two runs worked on {month} at the same time: {turns}"


async def _records(story: Story, books: Books) -> list[str]:
    """Records and tables agree with Stripe, and a rebuild without records sends nothing."""
    pulled = await story.pull()
    problems = list(_records_of_billed(story, books))
    problems += [f"reconciliation: {row}" for row in pulled.reconciliation if _differs(row)]
    sent = _sent(story)
    shutil.rmtree(story.settings.records_dir)
    outcome = await story.apply()
    if outcome.report.results or _sent(story) != sent:
        problems.append("a run without records sent something")
    rebuilt = await story.pull()
    problems += [f"rebuilt: {problem}" for problem in _records_of_billed(story, books)]
    if tables(pulled) != tables(rebuilt):
        problems.append(f"a rebuild gives other tables: {tables(pulled)} {tables(rebuilt)}")
    return problems


def tables(pulled: PullResult) -> list[Any]:
    """Everything that a rebuild must reproduce. The time of the first failed charge is only in the
    records: without them it counts as failed when its invoice was finalized, so the first attempt
    may be due earlier by that much. Whether there is a next attempt must be the same."""
    rows = [
        row | {"next_attempt_at": row["next_attempt_at"] is not None}
        for row in pulled.invoice_payments
    ]
    return [pulled.stripe_invoices, rows, pulled.reconciliation]


def _differs(row: Mapping[str, Any]) -> bool:
    return bool(row["difference"] or row["state"] != "matched")


def _sent(story: Story) -> int:
    return sum(request.method != "GET" for request in story.network.passed)


def _records_of_billed(story: Story, books: Books) -> Iterator[str]:
    """What is wrong with the records of January, of what Stripe has finalized of it."""
    for problem in payments.verify_billed(story.settings, JANUARY):
        yield f"record: {problem}"
    with closing(sqlite3.connect(story.settings.records_dir / "billed.db")) as db:
        rows = db.execute("select subject, body from billed where month = ?", [JANUARY.key])
        records = {stripe_id: json.loads(body) for stripe_id, body in rows}
    for invoice in books.invoices(JANUARY):
        if invoice["status"] in ("draft", "void"):
            continue
        record = records.pop(invoice["id"], None)
        if record is None:
            yield f"{invoice['id']} has no record"
            continue
        held = [(i["metadata"].get("billing_line_id"), i["amount"]) for i in books.lines(invoice)]
        sent = held  # what was not recorded as it was sent has its lines in Stripe alone
        if "content" in record:
            sent = [(line[0], line[3]) for line in json.loads(record["content"])[-1]]
        if sorted(sent) != sorted(held) or record["total"] != invoice["total"]:
            yield f"the record of {invoice['id']} is not what was billed"
    for note in books.of["credit_note"]:
        if note["metadata"].get("billing_month") != JANUARY.key:
            continue
        record = records.pop(note["id"], None)
        if record is None or record["total"] != note["total"]:
            yield f"credit note {note['id']} has no record as it is"
    for stripe_id in records:
        yield f"{stripe_id} is recorded and was not billed"
