"""Lots of prepaid wallets, one customer each, worked out by hand.

What belongs here: which lots pay, what expires, and what a refund or a supplement takes. What does
not: balances (test_invoice_edges.py), what stands in Stripe (tests/unit/collection).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from billing_pipeline.rating.month import StripeMovement, WalletApplication
from tests.dbt.company import Company
from tests.property.harness import Row, Tables, run_pipeline
from tests.property.tables import write

MONTH_END = "2024-05-01T00:00:00Z"


class Put(NamedTuple):
    """A row of the file; its name is the transaction's id."""

    name: str
    amount: str
    at: str
    expires_at: str = ""
    priority: str = ""
    reference: str = ""


class Took(NamedTuple):
    """An invoice that was billed: its month, what it took, and, of an earlier month, what was
    billed by it, with how much of that for commitments."""

    month: str
    amount: str
    after_month: str = ""
    billed: str = "0"
    committed: str = "0"
    after_payment: str = ""


class Pays(NamedTuple):
    """What the wallet paid of an open invoice; `spares`: of one with a line of a commitment."""

    amount: str
    at: str
    spares: bool = False


class Prepaid(NamedTuple):
    """A commitment that is paid beforehand."""

    amount: str
    starts_at: str
    ends_at: str = "2024-07-01T00:00:00Z"


@dataclass(frozen=True)
class Case:
    """The customer's invoice of April is 30. `paid`: by lot; `left`: of each lot, at its end;
    `others`: other movements of April, by kind and lot."""

    rows: list[Put]
    paid: dict[str, str]
    left: dict[str, str]
    others: dict[str, str] = field(default_factory=dict)
    took: list[Took] = field(default_factory=list)
    billed: str = ""
    prepaid: Prepaid | None = None
    adjustment: str = ""
    pays: list[Pays] = field(default_factory=list)


JANUARY, FEBRUARY, MAY = "2024-01-10T00:00:00Z", "2024-02-10T00:00:00Z", "2024-05-10T00:00:00Z"
CASES = {
    "the oldest first": Case(
        [Put("new", "20", FEBRUARY), Put("old", "20", JANUARY)],
        {"old": "20", "new": "10"},
        {"old": "0", "new": "10"},
    ),
    "what expires first before what is older": Case(
        [Put("old", "20", JANUARY), Put("short", "20", FEBRUARY, "2024-06-01T00:00:00Z")],
        {"short": "20", "old": "10"},
        {"short": "0", "old": "10"},
    ),
    "the lowest priority before what expires first": Case(
        [
            Put("short", "20", JANUARY, "2024-06-01T00:00:00Z"),
            Put("bonus", "20", FEBRUARY, "", "5"),
            Put("last", "20", JANUARY, "", "101"),
        ],
        {"bonus": "20", "short": "10"},
        {"bonus": "0", "short": "10", "last": "20"},
    ),
    "by id at the same time": Case(
        [Put("b", "20", JANUARY), Put("a", "20", JANUARY)],
        {"a": "20", "b": "10"},
        {"a": "0", "b": "10"},
    ),
    "what expires at the month's end pays first, and then expires": Case(
        [Put("ends", "45", JANUARY, MONTH_END)],
        {"ends": "30"},
        {"ends": "0"},
        {"expiry ends": "15"},
    ),
    "what has expired before the month's end pays nothing": Case(
        [Put("ended", "45", JANUARY, "2024-04-30T23:59:59.999999Z"), Put("other", "4", JANUARY)],
        {"other": "4"},
        {"ended": "0", "other": "0"},
        {"expiry ended": "45"},
    ),
    "what comes later pays nothing": Case(
        [Put("next", "50", MONTH_END), Put("now", "5", "2024-04-30T23:59:59Z")],
        {"now": "5"},
        {"now": "0"},
        {"top_up now": "-5"},
    ),
    "fractions of a minor unit stay": Case(
        [Put("a", "9.999", JANUARY), Put("b", "5.005", FEBRUARY)],
        {"a": "9.999", "b": "5.001"},
        {"a": "0", "b": "0.004"},
    ),
    "what is owed is filled by one after the other": Case(
        [
            Put("old", "5", JANUARY),
            Put("back", "-15", FEBRUARY),
            Put("a", "6", "2024-03-05T00:00:00Z"),
            Put("b", "8", "2024-03-06T00:00:00Z"),
        ],
        {"b": "4"},
        {"old": "0", "a": "0", "b": "0"},
    ),
    "a refund takes nothing of what came and has expired since": Case(
        [
            Put("ended", "10", JANUARY, FEBRUARY),
            Put("back", "-4", "2024-03-05T00:00:00Z"),
            Put("new", "40", "2024-03-06T00:00:00Z"),
        ],
        {"new": "30"},
        {"ended": "0", "new": "6"},
    ),
    "a refund takes from its lot": Case(
        [
            Put("old", "10", JANUARY),
            Put("new", "10", FEBRUARY),
            Put("back", "-4", "2024-04-05T00:00:00Z", reference="new"),
        ],
        {"old": "10", "new": "6"},
        {"old": "0", "new": "0"},
        {"refund new": "4"},
    ),
    "a refund without a lot takes in the order of paying": Case(
        [
            Put("old", "10", JANUARY),
            Put("new", "10", FEBRUARY),
            Put("back", "-14", "2024-04-05T00:00:00Z", reference="ticket 7"),
        ],
        {"new": "6"},
        {"old": "0", "new": "0"},
        {"refund old": "10", "refund new": "4"},
    ),
    "a refund of more than its lot holds": Case(
        [
            Put("old", "10", JANUARY),
            Put("new", "10", FEBRUARY),
            Put("back", "-14", "2024-04-05T00:00:00Z", reference="new"),
        ],
        {"old": "6"},
        {"old": "0", "new": "0"},
        {"refund new": "10", "refund old": "4"},
    ),
    "what is owed is filled first": Case(
        [
            Put("old", "10", JANUARY),
            Put("back", "-14", "2024-04-05T00:00:00Z"),
            Put("fill", "10", "2024-04-06T00:00:00Z"),
        ],
        {"fill": "6"},
        {"old": "0", "fill": "0"},
        {"refund old": "10", "refund ": "4", "top_up fill": "-10"},
    ),
    "an earlier month took what expired first": Case(
        [Put("short", "20", JANUARY, "2024-04-02T00:00:00Z"), Put("long", "20", JANUARY)],
        {"long": "20"},
        {"short": "0", "long": "0"},
        {"expiry short": "12"},
        [Took("2024-03", "8")],
    ),
    "a supplement takes what its lots still hold after the later month": Case(
        [Put("old", "20", JANUARY), Put("new", "20", MAY)],
        {"old": "15"},
        {"old": "5"},
        # May took 5 of the oldest lot; of the 20 that came in May, April may take nothing
        took=[Took("2024-04", "5"), Took("2024-05", "5")],
        billed="20",
    ),
    "an invoice that is late takes what a later month has left of its lots": Case(
        [Put("old", "7", JANUARY), Put("new", "5", MAY)],
        {"old": "2"},
        {"old": "5"},
        took=[Took("2024-05", "5")],
    ),
    "what has expired in a published month stays expired": Case(
        [Put("short", "20", JANUARY, "2024-05-20T00:00:00Z"), Put("long", "20", JANUARY)],
        {"short": "10", "long": "14"},
        {"short": "10", "long": "6"},
        # May took 6 of the short lot and the other 4 expired: of the 20 more, long pays all it can
        took=[Took("2024-04", "10"), Took("2024-05", "6")],
        billed="16",
    ),
    "a supplement that was billed after a later month": Case(
        [Put("short", "20", JANUARY, "2024-05-20T00:00:00Z"), Put("long", "20", JANUARY)],
        {"short": "10", "long": "14"},
        {"short": "10", "long": "6"},
        took=[
            Took("2024-04", "10"),
            Took("2024-05", "6"),
            Took("2024-04", "14", "2024-05"),
        ],
        billed="30",
    ),
    "less is due: the credit returns to its lots": Case(
        [Put("short", "20", JANUARY, MONTH_END), Put("long", "30", JANUARY)],
        {"short": "20", "long": "10"},
        {"short": "0", "long": "20"},
        took=[Took("2024-04", "36")],
        billed="36",
    ),
    "credit to a lot that has expired expires": Case(
        [Put("short", "50", JANUARY, MONTH_END)],
        {"short": "30"},
        {"short": "0"},
        {"expiry short": "20"},
        took=[Took("2024-04", "36")],
        billed="36",
    ),
    "an open invoice is paid from the oldest": Case(
        [Put("old", "20", JANUARY), Put("new", "20", FEBRUARY)],
        {"old": "5", "new": "20"},
        {"old": "0", "new": "0"},
        {"payment old": "15"},
        pays=[Pays("15", "2024-04-10T00:00:00Z")],
    ),
    "an open invoice is paid from what is valid then": Case(
        [
            Put("ended", "20", JANUARY, "2024-04-09T00:00:00Z", "1"),
            Put("short", "20", FEBRUARY, "2024-04-20T00:00:00Z"),
            Put("next", "20", "2024-04-20T00:00:00Z", "", "1"),
            Put("long", "20", JANUARY),
        ],
        {"next": "20", "long": "10"},
        {"ended": "0", "short": "0", "next": "0", "long": "5"},
        {
            "expiry ended": "20",
            "payment short": "20",
            "payment long": "5",
            "top_up next": "-20",
        },
        pays=[Pays("25", "2024-04-10T00:00:00Z")],
    ),
    "a late invoice takes what a payment since then has left": Case(
        [Put("old", "20", JANUARY)],
        {"old": "5"},
        {"old": "15"},
        pays=[Pays("15", "2024-05-03T00:00:00Z")],
    ),
    "a supplement takes what a payment since then has left": Case(
        [Put("old", "35", JANUARY)],
        {"old": "25"},
        {"old": "10"},
        took=[Took("2024-04", "20")],
        billed="20",
        pays=[Pays("10", "2024-05-03T00:00:00Z")],
    ),
    "a supplement that was billed after a payment": Case(
        [Put("short", "20", JANUARY, "2024-05-02T00:00:00Z"), Put("long", "20", JANUARY)],
        {"short": "10", "long": "5"},
        {"short": "10", "long": "15"},
        took=[
            Took("2024-04", "10"),
            Took("2024-04", "5", after_payment="2024-05-03T00:00:00Z"),
        ],
        billed="30",
        pays=[Pays("15", "2024-05-03T00:00:00Z")],
    ),
    "what is prepaid pays open invoices too": Case(
        [Put("old", "50", JANUARY)],
        {"prepaid": "30"},
        {"prepaid": "50", "old": "50"},
        {"payment prepaid": "20"},
        prepaid=Prepaid("100", JANUARY),
        pays=[Pays("20", "2024-04-10T00:00:00Z")],
    ),
    "but none with a line of a commitment": Case(
        [Put("old", "50", JANUARY)],
        {"prepaid": "30"},
        {"prepaid": "70", "old": "30"},
        {"payment old": "20"},
        prepaid=Prepaid("100", JANUARY),
        pays=[Pays("20", "2024-04-10T00:00:00Z", spares=True)],
    ),
    "a prepaid commitment pays from its start, paid or not, and never itself": Case(
        [],
        {"prepaid": "30"},
        {"prepaid": "70"},
        {"commitment prepaid": "-100"},
        prepaid=Prepaid("100", "2024-04-10T00:00:00Z"),
    ),
    "other lots pay the line of the commitment": Case(
        [Put("old", "50", JANUARY)],
        {"prepaid": "30", "old": "50"},
        {"prepaid": "70", "old": "0"},
        {"commitment prepaid": "-100"},
        prepaid=Prepaid("100", "2024-04-10T00:00:00Z"),
    ),
    "what is prepaid pays first": Case(
        [Put("bonus", "50", JANUARY, MAY, "1")],
        {"prepaid": "20", "bonus": "10"},
        {"prepaid": "0", "bonus": "40"},
        prepaid=Prepaid("20", JANUARY),
    ),
    "a term that ends with the month pays first, and then expires": Case(
        [],
        {"prepaid": "30"},
        {"prepaid": "0"},
        {"expiry prepaid": "70"},
        prepaid=Prepaid("100", JANUARY, MONTH_END),
    ),
    "a term that has ended pays nothing": Case(
        [],
        {},
        {"prepaid": "0"},
        {"expiry prepaid": "100"},
        prepaid=Prepaid("100", JANUARY, "2024-04-30T23:59:59.999999Z"),
    ),
    "an earlier invoice took no more of it than what was not committed": Case(
        [Put("old", "50", JANUARY)],
        {"prepaid": "30"},
        {"prepaid": "40", "old": "40"},
        took=[Took("2024-03", "40", billed="130", committed="100")],
        prepaid=Prepaid("100", "2024-03-10T00:00:00Z"),
    ),
    "a supplement takes of it what was billed more besides the commitment": Case(
        [],
        {"prepaid": "30"},
        {"prepaid": "70"},
        {"commitment prepaid": "-100"},
        took=[Took("2024-04", "20", committed="100")],
        billed="120",
        prepaid=Prepaid("100", "2024-04-10T00:00:00Z"),
    ),
    "a total below 0 is put into the wallet": Case(
        [Put("old", "9", JANUARY)],
        {},
        {"old": "9", "credit": "20"},
        {"credit credit": "-20"},
        adjustment="-50",
    ),
    "what an earlier month has put in pays": Case(
        [Put("old", "9", FEBRUARY), Put("later", "9", "2024-04-01T00:00:00Z")],
        {"old": "9", "credit": "12", "later": "9"},
        {"old": "0", "credit": "0", "later": "0"},
        {"top_up later": "-9"},
        took=[Took("2024-03", "-12", billed="-12")],
    ),
    "what a later month has put in does not pay": Case(
        [],
        {},
        {},
        took=[Took("2024-05", "-12", billed="-12")],
    ),
    "what was put in was used by a later month": Case(
        [],
        {},
        {"credit": "20"},
        {"credit credit": "-20"},
        took=[Took("2024-04", "-20"), Took("2024-05", "15")],
        billed="-20",
        adjustment="-50",
    ),
    "what an earlier release gave in Stripe alone is not given again": Case(
        [],
        {},
        {},
        took=[Took("2024-04", "0")],
        billed="-20",
        adjustment="-50",
    ),
    "only what is beyond it is": Case(
        [],
        {},
        {"credit": "5"},
        {"credit credit": "-5"},
        took=[Took("2024-04", "0")],
        billed="-20",
        adjustment="-55",
    ),
}


@pytest.fixture(scope="module")
def april(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """April, of customers for whom it is the last month that was billed, and of the others."""
    late = {name for name, case in CASES.items() if any(t.month > "2024-04" for t in case.took)}
    both = [
        _april({name: CASES[name] for name in names}, tmp_path_factory.mktemp("lots"))
        for names in (CASES.keys() - late, late)
    ]
    return {table: both[0][table] + both[1][table] for table in both[0]}


def _april(cases: dict[str, Case], directory: Path) -> Tables:
    company = Company()
    company.plan("fee")
    company.price("fee", "flat", flat_amount="30")
    taken, moved = [], []
    for customer, case in cases.items():
        for number, pays in enumerate(case.pays):
            name, at = f"billing_payment:{customer}:{number}", datetime.fromisoformat(pays.at)
            moved.append(
                StripeMovement(
                    *(name, customer, -Decimal(pays.amount), "USD", at),
                    *("in_open", "payment", pays.spares),
                )
            )
        company.customer(customer)
        company.subscribe(customer, "fee")
        for number, took in enumerate(case.took):
            is_own_total = took.month == "2024-04" and number == 0
            billed = Decimal(case.billed if is_own_total else took.billed)
            month, after = (
                f"{took.month}-01",
                f"{took.after_month}-01" if took.after_month else None,
            )
            paid = datetime.fromisoformat(took.after_payment) if took.after_payment else None
            cells = Decimal(took.amount), billed, after, Decimal(took.committed), paid
            taken.append(WalletApplication(customer, "USD", month, *cells))
        if case.adjustment:
            company.world.add(
                "adjustments",
                adjustment_id=customer,
                customer_id=customer,
                amount=case.adjustment,
                currency="USD",
                occurred_at="2024-04-10T00:00:00Z",
            )
        if case.prepaid:
            company.world.add(
                "commitments",
                commitment_id=f"{customer}: prepaid",
                customer_id=customer,
                currency="USD",
                kind="prepaid",
                **case.prepaid._asdict(),
            )
    write(company.world, directory, ZoneInfo("UTC"))
    _write_wallets(cases, directory / "accounts" / "wallet_transactions.csv")
    return run_pipeline(directory, "2024-04", "UTC", taken=taken, moved=moved)


def _write_wallets(cases: dict[str, Case], path: Path) -> None:
    columns = "transaction_id customer_id amount currency occurred_at kind reference"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow([*columns.split(), "expires_at", "priority"])
        for customer, case in cases.items():
            for row in case.rows:
                reference = f"{customer}: {row.reference}" if row.reference else ""
                kind = "refund" if row.amount.startswith("-") else "top_up"
                ids = [f"{customer}: {row.name}", customer, row.amount, "USD", row.at]
                lines.writerow([*ids, kind, reference, row.expires_at, row.priority])


def of(tables: Tables, name: str, customer: str) -> list[Row]:
    return [row for row in tables[name] if row["customer_id"] == customer]


def short(lot_id: str | None) -> str:
    if lot_id and lot_id.startswith("billing_credit:in_"):
        return "credit"
    return (lot_id or "").rpartition(": ")[2]


@pytest.mark.parametrize("name", CASES)
def test_which_lots_pay(april: Tables, name: str) -> None:
    ledger = of(april, "wallet_ledger", name)
    paid = {short(row["lot_id"]): -row["amount"] for row in ledger if row["kind"] == "invoice"}
    assert paid == {lot: Decimal(amount) for lot, amount in CASES[name].paid.items()}
    (invoice,) = of(april, "invoices", name)
    assert invoice["wallet_applied"] == sum(paid.values())
    assert invoice["amount_due"] == max(invoice["total"] - sum(paid.values()), 0)


@pytest.mark.parametrize("name", CASES)
def test_what_else_moves_and_what_is_left(april: Tables, name: str) -> None:
    ledger = sorted(of(april, "wallet_ledger", name), key=lambda row: row["movement_number"])
    others = {
        f"{row['kind']} {short(row['lot_id'])}": -row["amount"]
        for row in ledger
        if row["kind"] != "invoice"
    }
    assert others == {text: Decimal(amount) for text, amount in CASES[name].others.items()}
    lots = {short(row["lot_id"]): row["remaining"] for row in of(april, "wallet_lots", name)}
    assert lots == {lot: Decimal(amount) for lot, amount in CASES[name].left.items()}
