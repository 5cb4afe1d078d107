"""What was billed can be read as it was billed, whatever arrives afterwards."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.end_to_end.commands import billing

MONTH = "2024-01"
CUSTOMERS = ("late", "corrected", "repriced", "moved", "same")


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def company(data: Path, *, price: str = "1", seats: str = "1") -> None:
    write(
        data / "catalog/meters.csv",
        "meter_id,event_name,aggregation",
        "calls,call,sum",
    )
    write(data / "catalog/plans.csv", "plan_id,name", "basic,Basic", "other,Other")
    write(
        data / "catalog/prices.csv",
        "price_id,plan_id,meter_id,currency,charge_model,unit_amount",
        "basic-calls,basic,calls,USD,graduated,",
        "basic-seats,basic,,USD,per_unit,5",
        f"other-calls,other,calls,USD,per_unit,{price}",
    )
    write(
        data / "catalog/price_tiers.csv",
        "price_id,up_to,unit_amount",
        "basic-calls,10,1",
        "basic-calls,,0.5",
    )
    write(
        data / "accounts/customers.csv",
        "customer_id,name,country,currency,payment_method",
        *(f"{name},{name},US,USD,pm_card_visa" for name in CUSTOMERS),
    )
    write(
        data / "accounts/subscriptions.csv",
        "subscription_id,customer_id,plan_id,quantity,starts_at",
        *(
            f"{name},{name},{'other' if name == 'repriced' else 'basic'},"
            f"{seats if name == 'moved' else 1},2024-01-01"
            for name in CUSTOMERS
        ),
    )
    write(
        data / "usage/2024-01/a.csv",
        "event_id,customer_id,event_name,occurred_at,quantity,properties",
        *(f"{name},{name},call,2024-01-05T00:00:00Z,12," for name in CUSTOMERS),
    )


def rows(home: Path, query: str) -> list[Any]:
    path = home / "published" / "billing.duckdb"
    with duckdb.connect(str(path), read_only=True) as published:
        return published.execute(query).fetchall()


_CHANGES = """
SELECT customer_id, quantity_before, quantity_after, amount_before, amount_after, cause, evidence
FROM plan_changes ORDER BY customer_id
"""
_WAITING = "SELECT customer_id FROM invoice_plan WHERE state = 'waiting' ORDER BY 1"


@pytest.mark.slow
def test_versions_are_saved_and_their_differences_have_causes(tmp_path: Path) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    company(data)
    held = billing(home, data, "run", MONTH, BILLING_MAX_INVOICE_TOTAL="1")
    assert held.returncode == 3, held.stderr
    assert rows(home, "SELECT * FROM charges_as_billed") == []
    first = billing(home, data, "run", MONTH)
    assert first.returncode == 0, first.stderr
    billed = rows(home, "SELECT * FROM charges_as_billed ORDER BY ALL")
    tiers = rows(home, "SELECT * FROM charge_tiers_as_billed ORDER BY ALL")
    assert len(billed) == 9
    assert len(tiers) == 8
    terms = "SELECT price_terms->>'$.price.price_id' = price_id, json_valid(price_terms)"
    assert set(rows(home, f"{terms} FROM charges_as_billed")) == {(True, True)}
    # The price book that rated the month is published with it.
    book = "SELECT billing_month, plan_id, price_id FROM charges SEMI JOIN prices"
    assert len(rows(home, f"{book} USING (billing_month, plan_id, price_id)")) == len(billed)

    company(data, price="2", seats="3")
    write(
        data / "usage/2024-01/late.csv",
        "event_id,customer_id,event_name,occurred_at,quantity,properties",
        "more,late,call,2024-01-06T00:00:00Z,4,",
    )
    write(
        data / "accounts/usage_corrections.csv",
        "correction_id,customer_id,event_name,occurred_at,quantity,reason,author",
        "c1,corrected,call,2024-01-05T00:00:00Z,-3,test call,ops",
    )
    waits = billing(home, data, "run", MONTH, "--json")
    assert waits.returncode == 3, waits.stderr
    # Computed anew and not billed: what was billed is still the only version.
    assert rows(home, "SELECT * FROM charges_as_billed ORDER BY ALL") == billed
    plan_hash = json.loads(waits.stdout)["plan_hash"]
    assert rows(home, _CHANGES) == [
        *(
            ("corrected", 12, 9, 11, 9, "correction",
             "accounts/usage_corrections.csv row 2 (c1): -3, test call, by ops"),
            ("late", 12, 16, 11, 13, "late usage", "usage/2024-01/late.csv row 2"),
            ("moved", 1, 3, 5, 15, "account change",
             "accounts/subscriptions.csv moved: quantity 1 → 3"),
            ("repriced", 12, 12, 12, 24, "price change",
             "catalog/prices.csv other-calls: unit_amount 1 → 2"),
        ),
    ]  # fmt: skip
    part = billing(home, data, "apply", MONTH, "--approve", plan_hash, "--only", "late")
    assert part.returncode == 3, part.stderr
    assert plan_hash in part.stderr
    assert rows(home, _WAITING) == [("corrected",), ("moved",), ("repriced",)]
    # The month follows from the hash, after the approval too.
    approved = billing(home, data, "apply", plan_hash, "--by", "eve")
    assert approved.returncode == 0, approved.stderr
    again = billing(home, data, "apply", plan_hash)
    assert again.returncode == 0 and "nothing is left to do" in again.stdout
    unknown = billing(home, data, "apply", "0" * 32)
    assert unknown.returncode == 1 and "no plan has the hash 0000" in unknown.stderr
    wrong = billing(home, data, "apply", MONTH, "--approve", "0" * 32)
    assert wrong.returncode == 1 and "is not the plan of 2024-01" in wrong.stderr
    assert rows(
        home,
        "SELECT plan_hash, decision, customers, decided_by = 'eve' FROM approvals ORDER BY"
        " decided_at",
    ) == [
        (plan_hash, "approved", "late", False),
        (plan_hash, "approved", "corrected;moved;repriced", True),
    ]

    assert rows(home, "SELECT * FROM charges_as_billed WHERE version = 1 ORDER BY ALL") == billed
    assert (
        rows(home, "SELECT * FROM charge_tiers_as_billed WHERE version = 1 ORDER BY ALL") == tiers
    )
    assert rows(
        home,
        "SELECT customer_id, price_id, quantity_before, quantity_after, change, cause"
        " FROM charge_changes ORDER BY ALL",
    ) == [
        ("corrected", "basic-calls", 12, 9, Decimal("-2"), "correction"),
        ("late", "basic-calls", 12, 16, Decimal("2"), "late usage"),
        ("moved", "basic-seats", 1, 3, Decimal("10"), "account change"),
        ("repriced", "other-calls", 12, 12, Decimal("12"), "price change"),
    ]
    assert rows(home, "SELECT count(*) FROM charges_as_billed WHERE customer_id = 'same'") == [(2,)]
    check_what_was_known(home, str(plan_hash))
    # Bookkeeping: the supplements and the credit note are in it, and it agrees with Stripe.
    kinds = "SELECT kind, count(DISTINCT entry_id) FROM journal"
    kinds += " WHERE kind IN ('invoice', 'supplement', 'credit_note') GROUP BY 1 ORDER BY 1"
    assert rows(home, kinds) == [("credit_note", 1), ("invoice", 5), ("supplement", 3)]
    assert rows(home, "SELECT * FROM journal_checks WHERE difference <> 0") == []
    corrections = """SELECT "BillingAccountId", "BilledCost", "ConsumedQuantity" FROM focus_charges
        WHERE "ChargeClass" = 'Correction' AND "ChargeCategory" <> 'Tax' ORDER BY 1"""
    assert rows(home, corrections) == [
        ("corrected", Decimal(-2), Decimal(-3)),
        ("late", Decimal(2), Decimal(4)),
        ("moved", Decimal(10), None),
        ("repriced", Decimal(12), Decimal(0)),
    ]


def test_what_came_late_in_an_earlier_month_is_named_where_it_changes_a_line(
    tmp_path: Path,
) -> None:
    """A counter's first increase and a carried gauge rest on readings of earlier months. A file of
    which a row was removed is named too."""
    data, home = tmp_path / "data", tmp_path / "home"
    company(data)
    write(
        data / "catalog/meters.csv",
        "meter_id,event_name,aggregation,carry_forward",
        "calls,call,latest,true",
        "total,reading,counter,",
    )
    with (data / "catalog/prices.csv").open("a", encoding="utf-8") as prices:
        prices.write("other-total,other,total,USD,per_unit,1\n")
    readings = (
        "event_id,customer_id,event_name,occurred_at,quantity,properties",
        "r1,repriced,reading,2024-01-05T00:00:00Z,100,",
    )
    write(data / "usage/2024-01/b.csv", *readings)
    write(
        data / "usage/2024-02/a.csv",
        readings[0],
        "r2,repriced,reading,2024-02-05T00:00:00Z,150,",
        "r3,same,call,2024-02-06T00:00:00Z,12,",
    )
    removed = "r7,moved,call,2024-02-06T00:00:00Z,20,"
    write(
        data / "usage/2024-02/b.csv", readings[0], removed, "r8,same,other,2024-02-06T00:00:00Z,1,"
    )
    first = billing(home, data, "run", "2024-02")
    assert first.returncode == 0, first.stderr
    write(
        data / "usage/2024-01/late.csv",
        readings[0],
        "r4,repriced,reading,2024-01-20T00:00:00Z,130,",
        "r5,late,call,2024-01-20T00:00:00Z,15,",
        "r6,same,call,2024-01-20T00:00:00Z,16,",
    )
    compared = billing(home, data, "drift")
    assert compared.returncode == 0, compared.stderr
    drift = "SELECT billing_month::VARCHAR, difference, cause FROM month_drift"
    assert rows(home, drift) == [("2024-02-01", Decimal("-28.5"), "usage changed")]
    write(
        data / "accounts/usage_corrections.csv",
        "correction_id,customer_id,event_name,occurred_at,quantity,reason,author",
        "c1,corrected,call,2024-01-21T00:00:00Z,9,misread,ops",
    )
    write(data / "usage/2024-02/b.csv", readings[0], "r8,same,other,2024-02-06T00:00:00Z,1,")
    waits = billing(home, data, "run", "2024-02")
    assert waits.returncode == 3, waits.stderr
    assert rows(home, _CHANGES) == [
        ("corrected", 12, 9, 11, 9, "usage changed",
         "accounts/usage_corrections.csv row 2 (c1): 9, misread, by ops"),
        ("late", 12, 15, 11, Decimal("12.5"), "usage changed", "usage/2024-01/late.csv row 3"),
        ("moved", 20, 12, 15, 11, "usage removed", "usage/2024-02/b.csv was changed"),
        ("repriced", 50, 20, 50, 20, "usage changed", "usage/2024-01/late.csv row 2"),
    ]  # fmt: skip


def check_what_was_known(home: Path, plan_hash: str) -> None:
    """Four runs computed the month, and two times something new: that is kept, and no more."""
    first, changed = rows(home, "SELECT DISTINCT known_from FROM charges_known ORDER BY 1")
    count = "SELECT count(*), count(known_to) FROM charges_known WHERE known_from = $$"
    # Of 9 charges 4 became others; the fifth is of the subscription that is another now.
    assert rows(home, f"{count}{first[0]}$$") == [(9, 5)]
    assert rows(home, f"{count}{changed[0]}$$") == [(5, 0)]
    columns = "customer_id, price_id, quantity_before, quantity_after, change, cause"
    billed = rows(home, f"SELECT {columns} FROM charge_changes ORDER BY ALL")
    known = rows(home, f"SELECT {columns}, changed_at FROM charge_changes_known ORDER BY ALL")
    assert known == [(*row, changed[0]) for row in billed]
    files = "SELECT source_file FROM usage_files_known WHERE known_from = $$"
    assert rows(home, f"{files}{changed[0]}$$") == [("usage/2024-01/late.csv",)]
    now = "SELECT customer_id, total FROM invoices"
    then = "SELECT customer_id, total FROM invoices_known WHERE known_to IS NULL"
    assert rows(home, f"({now} EXCEPT ALL {then}) UNION ALL ({then} EXCEPT ALL {now})") == []
    before = f"known_from <= $${first[0]}$$ AND (known_to IS NULL OR known_to > $${first[0]}$$)"
    total = "SELECT sum(amount) FROM charges_{} WHERE {}"
    assert rows(home, total.format("known", before)) == rows(
        home, total.format("as_billed", "version = 1")
    )
    plans = f"SELECT DISTINCT state FROM invoice_plan_known WHERE plan_hash = '{plan_hash}'"
    assert "waiting" in {state for (state,) in rows(home, plans)}


@pytest.mark.slow
def test_a_later_month_whose_commitment_counts_an_approved_change_is_drift(tmp_path: Path) -> None:
    """No file of that month has changed: only what was charged for the month before."""
    data, home = tmp_path / "data", tmp_path / "home"
    company(data)
    write(
        data / "accounts/commitments.csv",
        "commitment_id,customer_id,amount,currency,starts_at,ends_at,kind",
        "year,late,100,USD,2024-01-01,2024-03-01,true_up",
    )
    for month in (MONTH, "2024-02"):
        assert billing(home, data, "run", month).returncode == 0
    write(
        data / "usage/2024-01/late.csv",
        "event_id,customer_id,event_name,occurred_at,quantity,properties",
        "more,late,call,2024-01-06T00:00:00Z,4,",
    )
    plan_hash = json.loads(billing(home, data, "plan", MONTH, "--json").stdout)["plan_hash"]
    assert billing(home, data, "apply", MONTH, "--approve", plan_hash).returncode == 0

    drift = "SELECT billing_month::VARCHAR, billed, would_be FROM month_drift"
    assert billing(home, data, "drift").returncode == 0
    [(month, billed, would_be)] = rows(home, drift)
    assert (month, would_be - billed) == ("2024-02-01", -2)
    waits = billing(home, data, "run", "2024-02", "--json")
    assert waits.returncode == 3, waits.stderr
    assert rows(home, _CHANGES.replace("ORDER", "WHERE billing_month = '2024-02-01' ORDER")) == [
        ("late", 1, 1, 79, 77, "follows other lines",
         "earlier months have spent 18 of commitment year; 16 when this was billed"),
    ]  # fmt: skip
    plan_hash = json.loads(waits.stdout)["plan_hash"]
    assert billing(home, data, "apply", "2024-02", "--approve", plan_hash).returncode == 0
    assert billing(home, data, "drift").returncode == 0
    assert rows(home, drift) == []
