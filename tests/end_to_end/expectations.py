"""The sentences of the table in ``data/examples/README.md``, and the check for each.

What belongs here: reading the table, and one function for each form of sentence. A sentence without
a matching form fails its row, so the table cannot claim anything untested. What does not: closing
months.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from tests.end_to_end.closed_examples import ClosedExample, first_day
from tests.end_to_end.commands import EXAMPLES
from tests.end_to_end.dunning import Policy, dun_to_the_end

DAY = 86_400


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    what: str
    example: str
    customer: str
    month: str
    expected: str
    works: str

    def __str__(self) -> str:
        return f"{self.customer} {self.month}: {self.what}"


def table() -> Iterator[Case]:
    """Every row of the README's table of expected results."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0] != "what" and not cells[0].startswith("-"):
            yield Case(*cells)


def check(example: ClosedExample, case: Case) -> None:
    """Check every sentence of the row: they are parted by semicolons, not those in backticks."""
    for sentence in re.findall(r"(?:`[^`]*`|[^;`])+", case.expected):
        _check(example, case, sentence.strip())


Form = Callable[..., None]
_FORMS: list[tuple[re.Pattern[str], Form]] = []


def _form(pattern: str) -> Callable[[Form], Form]:
    def remember(function: Form) -> Form:
        _FORMS.append((re.compile(pattern), function))
        return function

    return remember


def _check(example: ClosedExample, case: Case, sentence: str) -> None:
    for pattern, function in _FORMS:
        found = pattern.fullmatch(sentence)
        if found:
            function(example, case, *found.groups())
            return
    raise AssertionError(f"no test knows what {sentence!r} means")


def cents(amount: str) -> int:
    return int(Decimal(amount) * 100)


# --- what is billed -----------------------------------------------------------------------------


@_form(r"([A-Z]{3}) (\d+\.\d\d)")
def _total(example: ClosedExample, case: Case, currency: str, amount: str) -> None:
    (ours,) = example.rows("invoices", case.customer, case.month)
    assert (ours["currency"], ours["total"]) == (currency, Decimal(amount))
    (theirs,) = example.stripe_invoices(case.customer, case.month)
    assert (theirs["currency"], theirs["total"]) == (currency.lower(), cents(amount))
    assert theirs["status_transitions"]["finalized_at"] is not None


@_form(r"no invoice")
def _no_invoice(example: ClosedExample, case: Case) -> None:
    assert example.rows("invoices", case.customer, case.month) == []
    assert example.rows("stripe_invoices", case.customer, case.month) == []
    assert example.stripe_invoices(case.customer, case.month) == []


@_form(r"charge ([A-Z]{3}) (\d+\.\d\d)")
def _charge(example: ClosedExample, case: Case, currency: str, amount: str) -> None:
    charges = example.rows("charges", case.customer, case.month)
    assert {row["currency"] for row in charges} == {currency}
    assert sum(row["amount"] for row in charges) == Decimal(amount)


@_form(r"lines? ((?:-?\d+\.\d\d, )*-?\d+\.\d\d)")
def _lines(example: ClosedExample, case: Case, amounts: str) -> None:
    wanted = [Decimal(amount) for amount in amounts.split(", ")]
    ours = sorted(
        example.rows("invoice_lines", case.customer, case.month), key=lambda row: row["position"]
    )
    assert [row["amount"] for row in ours] == wanted
    (invoice,) = example.stripe_invoices(case.customer, case.month)
    assert sorted(line["amount"] for line in invoice["lines"]["data"]) == sorted(
        int(amount * 100) for amount in wanted
    )


@_form(r"line `(.+)`")
def _line(example: ClosedExample, case: Case, description: str) -> None:
    ours = example.rows("invoice_lines", case.customer, case.month)
    assert description in [row["description"] for row in ours]
    (invoice,) = example.stripe_invoices(case.customer, case.month)
    assert description in [line["description"] for line in invoice["lines"]["data"]]


@_form(r"due ([A-Z]{3}) (\d+\.\d\d)")
def _due(example: ClosedExample, case: Case, currency: str, amount: str) -> None:
    (ours,) = example.rows("invoices", case.customer, case.month)
    assert (ours["currency"], ours["amount_due"]) == (currency, Decimal(amount))
    (theirs,) = example.stripe_invoices(case.customer, case.month)
    assert theirs["amount_due"] == cents(amount)


# --- how it is collected ------------------------------------------------------------------------


@_form(r"sent, due in (\d+) days")
def _sent(example: ClosedExample, case: Case, days: str) -> None:
    (invoice,) = example.stripe_invoices(case.customer, case.month)
    assert invoice["collection_method"] == "send_invoice"
    finalized = invoice["status_transitions"]["finalized_at"]
    assert invoice["due_date"] - finalized == int(days) * DAY
    _status(example, case, "open")


@_form(r"(paid|open)")
def _status(example: ClosedExample, case: Case, status: str) -> None:
    (invoice,) = example.stripe_invoices(case.customer, case.month)
    assert invoice["status"] == status
    (payment,) = example.rows("invoice_payments", case.customer, case.month)
    assert payment["status"] == status
    total = Decimal(invoice["total"]) / 100
    assert payment["billed"] == total
    left = total if status == "open" else 0
    assert payment["outstanding"] == left
    assert payment["paid"] + payment["settled_by_balance"] == total - left


@_form(r"declined, (?:and the others were paid|open)")
def _declined(example: ClosedExample, case: Case) -> None:
    _unpaid(example, case, "Your card was declined.")
    others = [
        invoice["status"]
        for invoice in example.after(case.month)["invoices"]
        if invoice["metadata"]["billing_customer_id"] != case.customer
    ]
    assert "paid" in others


@_form(r"no payment method, open")
def _no_payment_method(example: ClosedExample, case: Case) -> None:
    _unpaid(example, case, "no attached payment source")


def _unpaid(example: ClosedExample, case: Case, reason: str) -> None:
    _status(example, case, "open")
    (payment,) = example.rows("invoice_payments", case.customer, case.month)
    assert reason in payment["last_error"]


@_form(r"owed on the customer's balance")
def _on_the_balance(example: ClosedExample, case: Case) -> None:
    (invoice,) = example.stripe_invoices(case.customer, case.month)
    assert (invoice["status"], invoice["amount_due"]) == ("paid", 0)
    assert example.stripe_balance(case.customer, case.month) == invoice["total"]


@_form(r"(uncollectible|overdue) after tries at ([\d, ]+) hours")
def _given_up(example: ClosedExample, case: Case, status: str, hours: str) -> None:
    tries = tuple(int(hour) for hour in hours.split(", "))
    ended = dun_to_the_end(example.home, case.month, Policy(tries, status))
    assert ended.tries[case.customer] == tries
    assert ended.statuses[case.customer] == status


# --- wallets and entitlements -------------------------------------------------------------------


@_form(r"balance (\d+\.\d\d)")
def _balance(example: ClosedExample, case: Case, amount: str) -> None:
    movements = [
        row
        for row in example.tables["wallet_ledger"]
        if row["customer_id"] == case.customer and row["billing_month"] <= first_day(case.month)
    ]
    last = max(movements, key=lambda row: int(row["movement_number"]))
    assert last["balance_after"] == Decimal(amount)
    assert example.stripe_balance(case.customer, case.month) == -cents(amount)


@_form(r"(\w+) (\d+) of (\d+): (ok|warning|exceeded)")
def _entitlement(
    example: ClosedExample, case: Case, feature: str, used: str, limit: str, state: str
) -> None:
    (row,) = (
        row
        for row in example.rows("entitlement_usage", case.customer, case.month)
        if row["feature"] == feature
    )
    assert (row["used"], row["limit_quantity"], row["state"]) == (int(used), int(limit), state)
