"""Several months of one wallet, closed at the same time, in any order, or interrupted: the ledger
and Stripe agree, and no customer's wallet stops another customer."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from billing_pipeline.collection import prepaid, steps
from billing_pipeline.collection.plan.wallet_ledger import Movements, WalletMovement
from billing_pipeline.collection.records.lock import wallet_lock
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.months import BillingMonth

from .conftest import JANUARY, Company
from .test_interruptions import Killed
from .test_wallets import FEBRUARY, MARCH, balance, due, reconciled

DAY = 86_400


def applications(company: Company, month: BillingMonth) -> dict[str, tuple[str, str]]:
    """The input for rating the month: by month, the amounts taken and billed."""
    company.wait(prepaid.pull_applications(company.gateway(), company.settings))
    found = prepaid.known_applications(company.settings, month)
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    for item in found:
        taken, billed = sums.get(item.billing_month[:7], (Decimal(0), Decimal(0)))
        sums[item.billing_month[:7]] = taken + item.amount, billed + item.billed_amount
    return {month: (str(taken), str(billed)) for month, (taken, billed) in sums.items()}


def test_what_is_billed_for_commitments_is_known_of_each_revision(company: Company) -> None:
    """100.00 of 150.00 are a commitment's line, then 60.00 of 130.00: 40.00 are less in all."""
    company.movements = movements("top-up", "ada", 5000)
    for amounts, committed in ([10_000, 5000], 10_000), ([6000, 9000], 6000):
        company.want({"ada": amounts}, wallet=5000)
        assert company.desired is not None
        company.desired = tuple(replace(item, committed=committed) for item in company.desired)
        company.apply(approved_hash=company.preview().hash)
    company.wait(prepaid.pull_applications(company.gateway(), company.settings))
    found = list(prepaid.known_applications(company.settings, JANUARY))
    assert [item.committed_amount for item in found] == [Decimal(100)]
    company.want({"ada": [6000, 10_000]}, wallet=5000)
    company.desired = tuple(replace(item, committed=6000) for item in company.desired or ())
    company.apply(approved_hash=company.preview().hash)
    company.wait(prepaid.pull_applications(company.gateway(), company.settings))
    found = list(prepaid.known_applications(company.settings, JANUARY))
    assert sum(item.committed_amount for item in found) == 60


def movements(name: str, who: str, amount: int, read_at: int = 0) -> Movements:
    at = 1_767_000_000
    movement = WalletMovement(name, who, "USD", amount, at, "top_up", read_at=read_at)
    return {(who, "USD"): (movement,)}


def posted(company: Company) -> list[tuple[str, int]]:
    """Our balance transactions, by name; credit is below 0."""
    return [
        (item["metadata"]["billing_wallet_transaction"], item["amount"])
        for item in company.stripe.objects["cbtxn"].values()
        if item["metadata"]
    ]


def stripe_id(company: Company, customer_id: str) -> str:
    [found] = [
        customer["id"]
        for customer in company.stripe.objects["cus"].values()
        if customer["metadata"].get("billing_customer_id") == customer_id
    ]
    return str(found)


def unknown(company: Company, customer_id: str) -> None:
    """Stripe no longer knows the customer, because somebody deleted it there."""
    gone = stripe_id(company, customer_id)

    def answer(fake: Any, method: str, path: str, params: Any) -> tuple[int, Any] | None:
        error = {"type": "invalid_request_error", "code": "resource_missing", "message": "No such"}
        if path.startswith(f"/v1/customers/{gone}"):
            return 404, {"error": error | {"param": "id"}}
        if method == "post" and path == "/v1/invoices" and params.get("customer") == gone:
            return 400, {"error": error | {"param": "customer"}}
        if method == "get" and path == "/v1/customers":
            listed = fake.act(method, path, dict(params))[1]
            return 200, listed | {"data": [c for c in listed["data"] if c["id"] != gone]}
        return None

    company.stripe.faults.append(answer)


# --- at once, in any order, interrupted ---------------------------------------------------------


def test_two_months_at_once_and_the_loser_again(company: Company) -> None:
    """Both were rated with 25.00 in the wallet. The later one finds it empty and is rated again:
    its draft must no longer say that the wallet pays."""
    company.top_up(first=2500)
    company.want({"ada": [4000]}, FEBRUARY, wallet=2500)
    company.apply(FEBRUARY)
    company.want({"ada": [4000]}, wallet=2500)
    (failed,) = company.apply().report.failed
    assert "run the month again" in failed.message
    assert applications(company, JANUARY) == {"2026-02": ("25.00", "40.00")}
    company.want({"ada": [4000]}, wallet=0)
    company.apply()
    assert due(company) == {"in_202602_ada/1": (4000, 1500), "in_202601_ada/1": (4000, 4000)}
    assert {item["status"] for item in company.invoices()} == {"paid"}
    company.top_up(second=2500)
    company.want({"ada": [3000]}, MARCH, wallet=2500)
    company.apply(MARCH)
    assert due(company)["in_202603_ada/1"] == (3000, 500)
    assert balance(company) == 0


@pytest.mark.parametrize("mark", ["billing_wallet_applied", "billing_month", "billing_revision"])
def test_every_mark_of_a_draft_that_is_resumed_is_ours(company: Company, mark: str) -> None:
    """Only to be finalized, and somebody has edited its metadata: all are written again."""
    company.want({"ada": [1000]})

    def killed(fake: Any, method: str, path: str, params: Any) -> None:
        if path.endswith("/finalize"):
            raise Killed

    company.stripe.faults.append(killed)
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    company.stripe.faults.clear()
    (draft,) = company.invoices()
    written = dict(draft["metadata"])
    if mark == "billing_wallet_applied":
        draft["metadata"][mark] = "700"
        company.apply()
        assert company.invoices()[0]["metadata"] == written
    assert {mark, "billing_content_hash", "billing_customer_id"} <= written.keys()


def test_rating_does_not_depend_on_published_or_cached_wallet_amounts(
    company: Company,
) -> None:
    """A run was killed before it published, and then the cache of Stripe was lost as well."""
    company.top_up(first=1000)
    company.want({"ada": [1500]}, wallet=1000)
    company.apply()
    company.want({"bob": [300]}, FEBRUARY)
    company.apply(FEBRUARY)
    expected = {"2026-01": ("10.00", "15.00"), "2026-02": ("0.00", "3.00")}
    assert applications(company, FEBRUARY) == expected
    for path in (company.home / "records").glob("stripe_mirror*"):
        path.unlink()
    assert applications(company, FEBRUARY) == expected
    # Of other months only what was taken counts.
    assert applications(company, MARCH) == {"2026-01": ("10.00", "15.00")}


@pytest.mark.parametrize("lost", [False, True], ids=["kept", "lost"])
@pytest.mark.parametrize(
    "mark", [metadata_keys.WALLET_APPLIED, metadata_keys.CUSTOMER_ID, metadata_keys.INVOICE_ID]
)
def test_what_an_invoice_took_does_not_hang_on_marks_that_somebody_removes(
    company: Company, mark: str, lost: bool
) -> None:
    """Otherwise February would be rated with a full wallet, and the debit that holds back the rest
    would be charged to the card."""
    company.top_up(first=10_000)
    company.want({"ada": [6000]}, wallet=6000)
    company.apply()
    (january,) = company.invoices()
    del january["metadata"][mark]
    for path in (company.home / "records").glob("stripe_mirror*") if lost else ():
        path.unlink()
    assert applications(company, FEBRUARY) == {"2026-01": ("60.00", "60.00")}
    company.want({"ada": [7000]}, FEBRUARY, wallet=3000)
    company.apply(FEBRUARY)
    assert company.invoices()[1]["amount_due"] == 4000
    assert balance(company) == -1000


def test_a_draft_has_taken_nothing(company: Company) -> None:
    company.want({"ada": [1500]}, wallet=1000)
    assert company.apply().problems
    assert applications(company, JANUARY) == applications(company, FEBRUARY) == {}


def test_new_invoices_are_listed_and_no_old_ones_again(company: Company) -> None:
    for number in range(3):
        company.want({"ada": [1500 + number]}, JANUARY.shift(number))
        company.apply(JANUARY.shift(number))
        company.clock.advance(30 * DAY)
    applications(company, JANUARY)
    company.stripe.calls.clear()
    applications(company, JANUARY)
    (query,) = [params for _, path, params in company.stripe.calls if path == "/v1/invoices"]
    assert int(query["created"]["gte"]) > company.clock.now() - 31 * DAY


def test_a_credit_first_takes_back_what_the_wallet_did_not_pay(company: Company) -> None:
    """20.00 by the wallet, then 5.00 more by card: of 20.00 that are left the wallet paid all."""
    company.top_up(first=2000)
    company.want({"ada": [2000]}, wallet=2000)
    company.apply()
    company.want({"ada": [2000, 500]}, wallet=2000)
    company.apply(approved_hash=company.preview().hash)
    company.want({"ada": [2000]}, wallet=2000)
    company.apply(approved_hash=company.preview().hash)
    assert applications(company, JANUARY) == {"2026-01": ("20.00", "20.00")}
    assert {note["amount"] for note in company.stripe.objects["cn"].values()} == {"500"}
    (row,) = reconciled(company)
    assert (row["wallet_balance"], row["other_credit"], row["difference"]) == (
        *("0.00", "5.00", "0.00"),
    )
    assert [row["state"] for row in company.pull().reconciliation] == ["matched"]


def test_a_credit_by_hand_does_not_change_what_the_wallet_paid(company: Company) -> None:
    company.top_up(first=2000)
    company.want({"ada": [2000]}, wallet=2000)
    company.apply()
    before = applications(company, JANUARY)
    (invoice,) = company.invoices()
    note = {"invoice": invoice["id"], "amount": 500, "credit_amount": 500, "metadata": {}}
    assert company.stripe.act("post", "/v1/credit_notes", note)[0] == 200
    company.pull()
    assert applications(company, JANUARY) == before == {"2026-01": ("20.00", "20.00")}
    (row,) = reconciled(company)
    assert (row["wallet_balance"], row["other_credit"], row["difference"]) == (
        *("0.00", "5.00", "0.00"),
    )


def killed_giving_back(fake: Any, method: str, path: str, params: Any) -> None:
    if method == "post" and path.endswith("/balance_transactions") and int(params["amount"]) < 0:
        raise Killed


def test_a_hold_left_by_a_killed_run_is_released_by_the_next_run(company: Company) -> None:
    """January is closed late and killed before the hold is given back; then its supplement waits
    for approval. March is billed from the wallet all the same, and January ends when approved."""
    company.top_up(later=2000)
    company.want({"ada": [500]}, FEBRUARY, wallet=500)
    company.apply(FEBRUARY)
    both, company.movements = company.movements, {("ada", "USD"): ()}
    company.want({"ada": [700]})
    company.stripe.faults.append(killed_giving_back)
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    company.stripe.faults.clear()
    assert balance(company) == 0
    company.movements = both
    company.want({"ada": [900]}, MARCH, wallet=900)
    assert not company.apply(MARCH).problems
    assert due(company)["in_202603_ada/1"] == (900, 0)
    assert balance(company) == -600
    company.movements = {("ada", "USD"): ()}
    company.want({"ada": [700]})
    company.apply()
    assert balance(company) == -600
    assert not any("billing_wallet_hold" in item["metadata"] for item in company.invoices())


def test_wallets_are_old_until_what_moved_them_is_published(company: Company) -> None:
    """A kill between an approved credit and the publication: the next run has nothing to send, and
    must read the wallets again all the same. The same for a movement without an invoice."""
    settings = company.settings

    def publish() -> None:
        tables = company.wait(prepaid.wallet_tables(company.gateway(), settings, JANUARY))
        prepaid.record_published(settings, JANUARY, tables)

    company.top_up(first=1000)
    company.want({"ada": [1000]}, wallet=1000)
    company.apply()
    publish()
    assert prepaid.wallets_are_published(settings, JANUARY)
    company.want({"ada": [119]}, wallet=119)
    company.apply(approved_hash=company.preview().hash)
    assert not company.apply().report.results
    assert not prepaid.wallets_are_published(settings, JANUARY)
    publish()
    assert prepaid.wallets_are_published(settings, JANUARY)
    company.top_up(second=500)
    company.apply()
    assert not prepaid.wallets_are_published(settings, JANUARY)


# --- rows that change ---------------------------------------------------------------------------


def test_a_row_that_was_corrected_is_posted_by_its_difference_once(company: Company) -> None:
    company.top_up(first=1000)
    company.want({"ada": [400]}, wallet=400)
    company.apply()
    company.movements = movements("first", "ada", 3000)
    company.want({"ada": [2500]}, FEBRUARY, wallet=2500)
    for _ in range(2):
        assert not company.apply(FEBRUARY).problems
    assert balance(company) == -100
    assert posted(company) == [("first", -1000), ("billing_correction:first:1", -2000)]
    company.movements = movements("first", "ada", 2950)
    for _ in range(2):
        assert not company.apply(FEBRUARY).problems
    assert balance(company) == -50
    assert posted(company)[2:] == [("billing_correction:first:2", 50)]


def test_older_inputs_do_not_correct_what_newer_ones_posted(company: Company) -> None:
    """February's plan was computed before the row was corrected, and is approved afterwards."""
    company.want({"ada": [400]}, wallet=400)
    company.movements = movements("first", "ada", 3000, read_at=200)
    company.apply()
    company.movements = movements("first", "ada", 1000, read_at=100)
    company.want({"ada": [100]}, FEBRUARY, wallet=100)
    company.apply(FEBRUARY)
    assert posted(company) == [("first", -3000)]
    company.movements = movements("first", "ada", 1000, read_at=300)
    company.apply(FEBRUARY)
    assert balance(company) == -500
    assert posted(company)[1:] == [("billing_correction:first:1", 2000)]


@pytest.mark.parametrize("name", ["hold:in_1:1:1", "billing_overdraft:USD:1", "billing_movement:x"])
def test_a_movement_may_have_any_name(company: Company, name: str) -> None:
    company.movements = movements(name, "ada", 1000)
    company.want({"ada": [400]}, wallet=400)
    for _ in range(2):
        company.apply()
    assert balance(company) == -600
    assert posted(company) == [(f"billing_movement:{name}", -1000)]
    assert reconciled(company)[0]["difference"] == "0.00"


def test_two_customers_movements_of_one_name_are_both_posted(company: Company) -> None:
    company.want({"ada": [100], "bob": [100]})
    company.apply()
    company.movements = movements("top-1", "ada", 1000)
    company.apply()
    company.movements |= movements("top-1", "bob", 2500)
    company.apply()
    assert sorted(c["balance"] for c in company.stripe.objects["cus"].values()) == [-2500, -1000]


# --- a customer who is another one in Stripe ----------------------------------------------------


def test_a_customer_created_again_has_the_rest_of_the_wallet(company: Company) -> None:
    company.top_up(first=2000)
    company.want({"ada": [1234]}, wallet=1234)
    company.apply()
    unknown(company, "ada")
    company.clock.advance(30 * DAY)
    company.want({"ada": [500]}, FEBRUARY, wallet=500)
    for _ in range(3):
        outcome = company.apply(FEBRUARY)
    assert not outcome.problems
    (_, new) = company.stripe.objects["cus"].values()
    assert new["balance"] == -266
    (row,) = reconciled(company, FEBRUARY)
    assert (row["wallet_balance"], row["posted_balance"], row["difference"]) == (
        *("2.66", "2.66", "0.00"),
    )


def test_a_customer_created_again_gets_the_wallet_without_an_invoice(company: Company) -> None:
    company.top_up(first=2000)
    company.want({"ada": [1234]}, wallet=1234)
    company.apply()
    unknown(company, "ada")
    company.stripe.act("post", "/v1/customers", {"metadata": {"billing_customer_id": "ada"}})
    with open_records(company.settings.records_dir) as records:
        old = records.cache.customers.oldest_of("ada")
        assert old is not None
        records.cache.customers.forget(old.stripe_customer_id)
    company.desired = ()
    company.apply(FEBRUARY)
    (_, new) = company.stripe.objects["cus"].values()
    assert new["balance"] == -766


def test_wallets_are_reconciled_with_the_ledger_not_with_stripe_itself(company: Company) -> None:
    """Somebody has posted a transaction twice: Stripe's state is consistent, and wrong."""
    company.top_up(first=2000)
    company.want({"ada": [1234]}, wallet=1234)
    company.apply()
    (customer,) = company.stripe.objects["cus"].values()
    mark = {"billing_wallet_transaction": "first"}
    company.stripe._balance(customer, -2000, "usd", mark, "adjustment")
    (row,) = reconciled(company)
    assert {name: row[name] for name in ("wallet_balance", "posted_balance", "difference")} == {
        **{"wallet_balance": "7.66", "posted_balance": "27.66", "difference": "20.00"},
    }


# --- nobody stops anybody else ------------------------------------------------------------------


def three(company: Company) -> None:
    company.want({"ada": [100], "bob": [100], "cyd": [100]})
    company.movements = {}
    company.apply()
    company.movements = {
        key: of_one
        for number, who in enumerate(("ada", "bob", "cyd"), 1)
        for key, of_one in movements(f"top-{who}", who, 1000 * number).items()
    }


def test_a_refused_wallet_transaction_is_reported_and_the_others_go_on(company: Company) -> None:
    three(company)
    unknown(company, "ada")
    outcome = company.apply()
    assert outcome.problems
    ((customer, message),) = outcome.problems
    assert customer == "ada" and "No such" in message
    found = {c["metadata"]["billing_customer_id"]: c["balance"] for c in
             company.stripe.objects["cus"].values()}  # fmt: skip
    assert found == {"ada": 0, "bob": -2000, "cyd": -3000}


def test_a_wallet_that_cannot_be_read_is_named_and_the_others_are_compared(
    company: Company,
) -> None:
    three(company)
    company.apply()
    unknown(company, "ada")
    rows = {row["customer_id"]: row for row in reconciled(company)}
    assert rows["bob"]["difference"] == rows["cyd"]["difference"] == "0.00"
    assert "No such" in rows["ada"]["problem"] and "difference" not in rows["ada"]
    tables = company.wait(
        prepaid.wallet_tables(company.gateway(), company.settings, JANUARY)
    )  # without a warehouse there are no wallets
    assert tables.unread == []


def test_two_turns_at_one_balance_follow_one_another(company: Company) -> None:
    """Between preparing and releasing a wallet, a run must keep other runs from reading it."""
    company.top_up(first=1000)
    company.want({"ada": [1500]}, wallet=1000)
    company.apply()
    folder, customer = company.settings.records_dir / "locks", stripe_id(company, "ada")

    async def beside() -> Any:
        async with wallet_lock(folder, stripe_customer_id=customer, clock=company.clock):
            company.want({"ada": [700]}, FEBRUARY)
            return await steps.apply_plan(
                company.gateway(), company.settings, FEBRUARY, run_id="beside",
                desired=company.desired, movements=company.movements,
            )  # fmt: skip

    outcome = company.wait(beside())
    ((_, message),) = outcome.problems[:1]
    assert "another run has been working on the wallet" in message
    assert len(company.invoices()) == 1


# --- what the wallet paid, and what the customer was charged ------------------------------------


def row_of(company: Company, month: BillingMonth = JANUARY) -> dict[str, Any]:
    (row,) = company.pull(month).reconciliation
    return row


def amounts(row: dict[str, Any]) -> tuple[str, ...]:
    names = ("expected_wallet", "stripe_wallet", "expected_due", "charged", "state")
    return tuple(str(row[name]) for name in names)


def test_both_halves_are_reconciled(company: Company) -> None:
    company.top_up(first=1000)
    company.want({"ada": [1234]}, wallet=1000)
    company.apply()
    assert amounts(row_of(company)) == ("10.00", "10.00", "2.34", "2.34", "matched")
    company.want({"ada": [1234]}, wallet=300)
    assert amounts(row_of(company)) == ("3.00", "10.00", "9.34", "2.34", "wallet_differs")


def test_a_foreign_debit_that_the_card_paid_shows(company: Company) -> None:
    company.want({"ada": [100]})
    company.apply()
    (customer,) = company.stripe.objects["cus"].values()
    company.stripe._balance(customer, 1500, "usd", {}, "adjustment")
    company.want({"ada": [2500]}, FEBRUARY)
    company.apply(FEBRUARY)
    row = row_of(company, FEBRUARY)
    assert amounts(row) == ("0.00", "0.00", "25.00", "40.00", "charge_differs")
    assert row["difference"] == Decimal(0)
    company.want({"ada": [100]})
    assert row_of(company)["state"] == "matched"


def test_a_foreign_credit_that_paid_shows(company: Company) -> None:
    company.want({"ada": [100]})
    company.apply()
    (customer,) = company.stripe.objects["cus"].values()
    company.stripe._balance(customer, -700, "usd", {}, "adjustment")
    company.want({"ada": [2500]}, FEBRUARY)
    company.apply(FEBRUARY)
    assert amounts(row_of(company, FEBRUARY))[3:] == ("18.00", "charge_differs")


def test_credit_of_ours_that_paid_the_next_month_is_known(company: Company) -> None:
    company.want({"ada": [500, 500]})
    company.apply()
    company.want({"ada": [500]})
    company.apply(approved_hash=company.preview().hash)
    assert amounts(row_of(company))[2:] == ("5.00", "5.00", "matched")
    company.clock.advance(30 * DAY)
    company.want({"ada": [800]}, FEBRUARY)
    company.apply(FEBRUARY)
    assert amounts(row_of(company, FEBRUARY))[2:] == ("8.00", "3.00", "matched")


def test_a_credit_on_what_is_still_open_lowers_that_and_no_balance_moves(company: Company) -> None:
    """Only the overpaid part goes to the balance."""
    company.want({"ada": [600, 400]}, payment_method="pm_card_chargeCustomerFail")
    company.apply()
    company.want({"ada": [600]}, payment_method="pm_card_chargeCustomerFail")
    company.apply(approved_hash=company.preview().hash)
    (invoice,) = company.invoices()
    assert (invoice["status"], invoice["amount_remaining"]) == ("open", 600)
    assert balance(company) == 0
    (note,) = company.stripe.objects["cn"].values()
    assert "credit_amount" not in note
    assert amounts(row_of(company))[2:] == ("6.00", "6.00", "matched")


def test_no_step_of_a_withdrawal_leaves_a_debit(company: Company) -> None:
    """Interrupted at any of them, the customer's next invoice must not be charged with it."""
    company.want({"ada": [1000]})
    company.apply()
    company.top_up(refund=-400, expiry=-100)
    company.apply()
    balances = [item["ending_balance"] for item in company.stripe.objects["cbtxn"].values()]
    assert len(balances) == 3 and max(balances) == balances[-1] == 0


CREDITED: Movements = {("ada", "USD"): ()}
"""Ada's wallet has only what an invoice put in: nothing is posted of it."""


def test_a_total_below_0_is_put_into_the_wallet_and_pays_later_months(company: Company) -> None:
    company.movements = CREDITED
    company.want({"ada": [1000, -3000]}, wallet=-2000)
    for _ in range(2):
        assert not company.apply().problems
    assert applications(company, JANUARY) == {"2026-01": ("-20.00", "-20.00")}
    assert balance(company) == -2000
    assert [row["wallet_balance"] for row in reconciled(company)] == ["20.00"]
    pulled = company.pull()
    [row] = pulled.reconciliation
    shown = [str(row[name]) for name in ("expected_due", "charged", "stripe_wallet", "state")]
    assert shown == ["0.00", "0.00", "-20.00", "matched"]

    company.want({"ada": [1500]}, FEBRUARY, wallet=1500)
    assert not company.apply(FEBRUARY).problems
    assert due(company)["in_202602_ada/1"] == (1500, 0)
    assert applications(company, FEBRUARY) == {
        "2026-01": ("-20.00", "-20.00"),
        "2026-02": ("15.00", "15.00"),
    }
    assert [row["difference"] for row in reconciled(company, FEBRUARY)] == ["0.00"]


def test_what_a_later_month_put_in_is_held_back_from_an_earlier_one(company: Company) -> None:
    company.movements = CREDITED
    company.want({"ada": [-2000]}, FEBRUARY, wallet=-2000)
    company.apply(FEBRUARY)
    company.want({"ada": [1500]}, wallet=0)
    assert not company.apply().problems
    assert due(company)["in_202601_ada/1"] == (1500, 1500)
    assert balance(company) == -2000


def test_a_supplement_takes_back_what_the_month_had_put_in(company: Company) -> None:
    """20.00 were put in; then 10.00 are due: of the supplement of 30.00 the wallet pays 20.00."""
    company.movements = CREDITED
    company.want({"ada": [1000, -3000]}, wallet=-2000)
    company.apply()
    company.want({"ada": [4000, -3000]}, wallet=0)
    company.apply(approved_hash=company.preview().hash)
    assert due(company)["in_202601_ada/2"] == (3000, 1000)
    assert balance(company) == 0
    assert applications(company, JANUARY) == {"2026-01": ("0.00", "10.00")}
    assert [row["difference"] for row in reconciled(company)] == ["0.00"]


def test_a_supplement_takes_back_what_a_later_month_has_used(company: Company) -> None:
    """20.00 were put in and February used 15.00 of them; then 10.00 are due for January. The
    supplement is sent all the same, the 15.00 stay owed, and the next top-up covers them."""
    company.movements = CREDITED
    company.want({"ada": [1000, -3000]}, wallet=-2000)
    company.apply()
    company.want({"ada": [1500]}, FEBRUARY, wallet=1500)
    company.apply(FEBRUARY)
    company.want({"ada": [4000, -3000]}, wallet=0)
    assert not company.apply(approved_hash=company.preview().hash).problems
    assert due(company)["in_202601_ada/2"] == (3000, 1000)
    assert balance(company) == 0
    assert [row["difference"] for row in reconciled(company, FEBRUARY)] == ["0.00"]
    assert not company.apply().problems and balance(company) == 0

    company.movements = movements("top-up", "ada", 4000)
    company.want({"ada": [100]}, MARCH, wallet=100)
    assert not company.apply(MARCH).problems
    assert due(company)["in_202603_ada/1"] == (100, 0)
    assert balance(company) == -2400  # 40.00 less 15.00 and 1.00


def test_what_was_paid_and_comes_back_is_not_put_into_the_wallet(company: Company) -> None:
    """50.00 were paid, 10.00 of it by the wallet; at -20.00 the wallet has its 10.00 and 20.00."""
    company.movements = movements("top-up", "ada", 1000)
    company.want({"ada": [5000]}, wallet=1000)
    company.apply()
    company.want({"ada": [5000, -7000]}, wallet=-2000)
    company.apply(approved_hash=company.preview().hash)
    assert balance(company) == -7000
    assert applications(company, JANUARY) == {"2026-01": ("-20.00", "-20.00")}
    [row] = reconciled(company)
    shown = [row[name] for name in ("wallet_balance", "other_credit", "difference")]
    assert shown == ["30.00", "40.00", "0.00"]
    # The 40.00 of the card are on the balance: that is credit of ours, and not a foreign debit.
    assert amounts(row_of(company)) == ("-20.00", "-20.00", "0.00", "40.00", "matched")


def test_a_deposit_fills_an_overdrawn_wallet(company: Company) -> None:
    company.top_up(first=1000, second=-1500)
    company.want({"ada": [-2000]}, wallet=-2000)
    for _ in range(2):
        assert not company.apply().problems
    assert balance(company) == -1500
    assert [row["difference"] for row in reconciled(company)] == ["0.00"]


def test_an_invoice_that_an_earlier_release_sent_has_put_nothing_in(company: Company) -> None:
    company.want({"ada": [-2000]}, wallet=0)
    company.apply()
    company.movements = CREDITED
    assert applications(company, JANUARY) == {"2026-01": ("0.00", "-20.00")}
    assert [row["other_credit"] for row in reconciled(company)] == ["20.00"]
