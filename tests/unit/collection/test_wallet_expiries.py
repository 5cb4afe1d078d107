"""Lots that expire: what is posted to the customer's balance in Stripe, and when."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest

from billing_pipeline.collection.plan.wallet_ledger import WalletMovement, read_movements

from .conftest import JANUARY, Company
from .test_wallet_months import posted
from .test_wallets import FEBRUARY, balance, due, reconciled

JANUARY_10 = 1_768_003_200
JANUARY_20 = 1_768_867_200
JANUARY_END = 1_769_904_000


def wallet(
    company: Company, expired: int, at: int, *, read_at: int = 0, put_in: int = 2000
) -> None:
    """Ada has put something in, and so much of it has expired by itself."""
    rows = (
        ("lot", put_in, JANUARY_10, "top_up"),
        ("billing_expiry:lot", -expired, at, "expiry"),
    )
    company.movements = {
        ("ada", "USD"): tuple(
            WalletMovement(name, "ada", "USD", amount, when, kind, read_at=read_at)
            for name, amount, when, kind in rows
        )
    }


def differences(company: Company) -> list[tuple[str, str]]:
    return [
        (row["wallet_balance"], row["difference"])
        for month in (JANUARY, FEBRUARY)
        for row in reconciled(company, month)
    ]


def test_what_expires_before_the_months_end_leaves_before_the_invoice(company: Company) -> None:
    wallet(company, 2000, JANUARY_20)
    company.want({"ada": [1500]}, wallet=0)
    for _ in range(2):
        assert not company.apply().problems
    assert due(company) == {"in_202601_ada/1": (1500, 1500)}
    assert posted(company) == [("lot", -2000), ("billing_expiry:lot", 2000)]
    assert differences(company) == [("0.00", "0.00")] * 2


def test_what_expires_at_the_months_end_pays_first_and_leaves_in_the_same_run(
    company: Company,
) -> None:
    wallet(company, 500, JANUARY_END)
    company.want({"ada": [1500]}, wallet=1500)
    for _ in range(2):
        assert not company.apply().problems
    assert due(company) == {"in_202601_ada/1": (1500, 0)}
    assert posted(company) == [("lot", -2000), ("billing_expiry:lot", 500)]
    assert balance(company) == 0
    assert differences(company) == [("0.00", "0.00")] * 2


def test_without_an_invoice_it_leaves_too(company: Company) -> None:
    company.want({"ada": [100]}, wallet=0)
    company.movements = {}
    company.apply()
    company.want({})
    wallet(company, 2000, JANUARY_END)
    company.apply(FEBRUARY)
    assert posted(company) == [("lot", -2000), ("billing_expiry:lot", 2000)]


def test_credit_to_a_lot_that_has_expired_expires_once(company: Company) -> None:
    """15.00 were taken and 5.00 expired; 4.00 are credited: 9.00 have expired then."""
    wallet(company, 500, JANUARY_END, read_at=1)
    company.want({"ada": [1500]}, wallet=1500)
    company.apply()
    wallet(company, 900, JANUARY_END, read_at=2)
    company.want({"ada": [1100]}, wallet=1100)
    company.apply(approved_hash=company.preview().hash)
    assert not company.apply().problems
    assert posted(company)[1:] == [
        ("billing_expiry:lot", 500),
        ("billing_correction:billing_expiry:lot:1", 400),
    ]
    assert balance(company) == 0
    assert differences(company) == [("0.00", "0.00")] * 2


def test_an_older_month_believes_a_newer_one_about_what_has_expired(company: Company) -> None:
    """January's tables were rated before what changed the expiry, or know nothing of it."""
    wallet(company, 300, JANUARY_20, read_at=2)
    company.want({"ada": [100]}, wallet=100)
    company.apply()
    wallet(company, 700, JANUARY_20, read_at=1)
    assert differences(company) == [("16.00", "0.00")] * 2
    company.movements = {("ada", "USD"): company.movements[("ada", "USD")][:1]}
    assert differences(company) == [("16.00", "0.00")] * 2


def test_less_may_have_expired_than_was_posted(company: Company) -> None:
    """A month that was closed late has taken from the lot: what was posted is taken back."""
    wallet(company, 2000, JANUARY_20, read_at=1)
    company.want({"ada": [100]}, wallet=0)
    company.apply()
    assert balance(company) == 0
    wallet(company, 0, JANUARY_20, read_at=2)
    company.apply()
    assert balance(company) == -2000
    assert differences(company) == [("20.00", "0.00")] * 2


def test_movements_are_transactions_commitments_and_what_has_expired(company: Company) -> None:
    """In their order, in whole minor units: 0.995 + 2.01 less 2.0049 are 3.00 and then 1.00."""
    path = company.settings.warehouse_path(JANUARY)
    path.parent.mkdir(parents=True)
    with duckdb.connect(str(path)) as db:
        db.execute(
            "create schema raw; create table raw.customers as"
            " select 'ada' as customer_id, 'cus_1' as stripe_customer_id,"
            " null::timestamptz as valid_from;"
            " create table raw.wallet_transactions as"
            " select * replace (occurred_at::timestamptz as occurred_at) from (values"
            " ('b', 'ada', 2.01::decimal(38, 12), 'USD', '2026-01-10 00:00Z', 'top_up'),"
            " ('a', 'ada', 0.995::decimal(38, 12), 'USD', '2026-01-09 00:00Z', 'grant'))"
            " t (transaction_id, customer_id, amount, currency, occurred_at, kind);"
            " create table wallet_expiries as select * from (values"
            " ('b', 'ada', 'USD', 2.0049::decimal(38, 12), '2026-01-20 00:00Z'::timestamptz))"
            " t (lot_id, customer_id, currency, amount, expired_at);"
            " create table prepaid_lots as select 'billing_commitment:year' as lot_id,"
            " 'ada' as customer_id, 'USD' as currency, 50::decimal(38, 12) as amount,"
            " '2026-01-31 00:00Z'::timestamptz as came_at"
        )
    (movements,) = read_movements(path).values()
    assert [(item.transaction_id, item.amount, item.kind) for item in movements] == [
        ("a", 99, "grant"),
        ("b", 201, "top_up"),
        ("billing_expiry:b", -200, "expiry"),
        ("billing_commitment:year", 5000, "commitment"),
    ]
    assert [item.occurred_at for item in movements][2] == JANUARY_20
    assert {item.stripe_customer_id for item in movements} == {"cus_1"}


@pytest.mark.parametrize(
    ("name", "at", "counts"),
    [
        ("lot", JANUARY_END - 1, True),
        ("lot", JANUARY_END, False),
        ("billing_expiry:lot", JANUARY_END, True),
        ("billing_expiry:lot", JANUARY_END + 1, False),
    ],
)
def test_what_expires_at_a_months_end_belongs_to_that_month(
    name: str, at: int, counts: bool
) -> None:
    movement = WalletMovement(name, "ada", "USD", 1, at, "top_up")
    assert movement.counts_until(JANUARY_END) is counts
    assert Decimal(movement.amount) == 1
