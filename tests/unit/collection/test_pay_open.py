"""What a wallet holds pays what is open: once, despite any interruption, before a card is tried."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.collection import open_invoices, payments, prepaid
from billing_pipeline.collection.open_invoices import WalletRun, Wallets
from billing_pipeline.collection.plan.dunning_policy import DunningPolicy
from billing_pipeline.collection.plan.wallet_ledger import WalletFunds, WalletMovement
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.stripe_state.refresh import paid_by_wallets
from billing_pipeline.money import to_minor
from billing_pipeline.stripe_api.errors import StripeFailure

from .conftest import JANUARY, Company
from .test_interruptions import FAULTS, UNSEEN, Killed, at
from .test_wallets import FEBRUARY, balance, due, reconciled

DECLINES = "pm_card_chargeCustomerFail"
HOUR = 3600
ADA = ("ada", "USD")


def wallets(company: Company) -> Wallets:
    """As the ledger has them, without lots: what came in, less what invoices and payments took."""
    now = int(company.clock.now())
    paid = [
        WalletMovement(
            *(item.transaction_id, item.customer_id, item.currency),
            to_minor(item.amount, item.currency),
            int(item.occurred_at.timestamp()),
            item.kind,
            read_at=now,
        )
        for item in prepaid.known_payments(company.settings)
    ]
    with open_records(company.settings.records_dir) as records:
        taken = sum(item.wallet_taken for item in paid_by_wallets(records.cache))
    came = [replace(item, read_at=now) for item in (company.movements or {}).get(ADA, ())]
    ours = (*came, *paid)
    held = sum(item.amount for item in ours) - taken
    funds = {ADA: WalletFunds(*ADA, now, held, held, now)}
    return Wallets(now, {ADA: ours}, funds)


async def collecting(company: Company, run_id: str = "collect") -> WalletRun:
    """What the job does: read, pay from wallets, then try cards."""
    gateway, settings = company.gateway(), company.settings
    await open_invoices.refresh_wallet_movements(gateway, settings)
    run = await open_invoices.pay_open_invoices(
        gateway,
        settings,
        wallets(company),
        open_invoices.open_invoices(settings),
        run_id=run_id,
    )
    await payments.dun(
        gateway,
        settings,
        run_id=run_id,
        policy=DunningPolicy(),
        except_for={customer for customer, _ in run.problems},
    )
    return run


def collect(company: Company) -> WalletRun:
    return company.wait(collecting(company))


def owes(company: Company, *amounts: int) -> None:
    """Ada's card is declined, month after month."""
    company.movements = {ADA: ()}
    for month, amount in zip((JANUARY, FEBRUARY), amounts, strict=False):
        company.want({"ada": [amount]}, month, payment_method=DECLINES)
        company.apply(month)


def put_in(company: Company, amount: int, name: str = "top-up") -> None:
    movement = WalletMovement(name, *ADA, amount, int(company.clock.now()), "top_up")
    company.movements = {ADA: (*(company.movements or {}).get(ADA, ()), movement)}


def state(company: Company) -> list[tuple[str, int, int]]:
    return [(i["status"], i["amount_paid"], i["amount_remaining"]) for i in company.invoices()]


def card_tries(company: Company) -> int:
    return sum(path.endswith("/pay") for path in company.stripe.posts())


def records_attached(company: Company) -> list[int]:
    return [
        p["amount_paid"]
        for p in company.stripe.objects["inpay"].values()
        if p["payment"].get("type") == "payment_record"
    ]


def test_what_the_wallet_holds_pays_what_is_open_before_the_card_is_tried(
    company: Company,
) -> None:
    owes(company, 300)
    tried = card_tries(company)
    company.clock.advance(HOUR)
    put_in(company, 2000)
    run = collect(company)
    assert [(p.invoice_id, p.amount) for p in run.paid] == [("in_202601_ada", 300)]
    assert state(company) == [("paid", 300, 0)]
    assert (balance(company), card_tries(company), records_attached(company)) == (
        -1700,
        tried,
        [300],
    )
    assert collect(company) == WalletRun([], [])
    (row,) = company.pull().invoice_payments
    assert (row["status"], str(row["paid"]), str(row["outstanding"])) == ("paid", "3.00", "0.00")
    (row,) = company.pull().reconciliation
    wallet = (str(row["expected_wallet"]), str(row["stripe_wallet"]))
    assert (row["state"], wallet, str(row["charged"])) == ("matched", ("0.00", "0.00"), "3.00")


def test_the_oldest_is_paid_first_and_the_next_in_part(company: Company) -> None:
    owes(company, 300, 500)
    put_in(company, 450)
    collect(company)
    assert state(company) == [("paid", 300, 0), ("open", 150, 350)]
    assert balance(company) == 0
    put_in(company, 1000, "second")
    company.clock.advance(HOUR)
    collect(company)
    assert state(company) == [("paid", 300, 0), ("paid", 500, 0)]
    assert (balance(company), records_attached(company)) == (-650, [300, 150, 350])
    assert reconciled(company)[0]["difference"] == "0.00"


def test_before_it_is_given_up(company: Company) -> None:
    owes(company, 300)
    for _ in range(145):
        collect(company)
        company.clock.advance(HOUR)
        if company.invoices()[0]["metadata"].get("billing_payment_tries") == "2":
            break
    put_in(company, 300)
    for _ in range(200):
        collect(company)
        company.clock.advance(HOUR)
    assert state(company) == [("paid", 300, 0)]
    assert balance(company) == 0


def test_a_debit_that_is_under_way_is_not_paid_twice(company: Company) -> None:
    company.movements = {ADA: ()}
    company.want({"ada": [300]}, payment_method="pm_sepa_debit")
    company.apply()
    put_in(company, 1000)
    assert collect(company).paid == []
    company.stripe.bank_decides(company.invoices()[0], pays=True)
    collect(company)
    assert (state(company), balance(company)) == ([("paid", 300, 0)], 0)


def test_a_payment_made_another_way_meanwhile_is_given_back(company: Company) -> None:
    """The run ends after the money was taken, and the customer pays by card."""
    owes(company, 300)
    put_in(company, 1000)

    def kill(fake: Any, method: str, path: str, params: Any) -> None:
        if path.endswith("/attach_payment"):
            raise Killed

    company.stripe.faults.append(kill)
    with pytest.raises(BaseExceptionGroup):
        collect(company)
    company.stripe.faults.clear()
    assert balance(company) == -700
    (customer,) = company.stripe.objects["cus"].values()
    customer["invoice_settings"]["default_payment_method"] = "pm_card_visa"
    company.stripe.act("post", f"/v1/invoices/{company.invoices()[0]['id']}/pay", {})
    run = collect(company)
    assert [item.amount for item in run.paid] == [-300]
    assert (balance(company), records_attached(company)) == (-1000, [])
    assert reconciled(company)[0]["difference"] == "0.00"
    assert collect(company).paid == []
    assert balance(company) == -1000


def test_a_payment_that_stripe_refuses_is_given_back_and_reported(company: Company) -> None:
    owes(company, 300)
    put_in(company, 1000)
    tried = card_tries(company)

    def refuse(fake: Any, method: str, path: str, params: Any) -> Any:
        if path.endswith("/attach_payment"):
            return 400, {"error": {"type": "invalid_request_error", "message": "no"}}
        return None

    company.stripe.faults.append(refuse)
    run = collect(company)
    assert [customer for customer, _ in run.problems] == ["ada"]
    # Nor is a card tried of whom the wallet may pay.
    assert (state(company), balance(company), card_tries(company)) == (
        [("open", 0, 300)],
        -1000,
        tried,
    )
    company.stripe.faults.clear()
    company.clock.advance(HOUR)
    assert collect(company).problems == []
    assert (state(company), balance(company)) == ([("paid", 300, 0)], -700)


def story(company: Company) -> None:
    """Two open invoices, and a wallet that pays the first and a part of the second; runs until
    nothing is left, a day apart, so that Stripe has forgotten the keys of the runs before."""
    for _ in range(6):
        try:
            run = collect(company)
        except (Killed, StripeFailure):
            pass
        except BaseExceptionGroup as group:
            if group.split((Killed, StripeFailure))[1] is not None:
                raise
        else:
            if not run.problems:
                return
        company.clock.advance(2 * HOUR)
    raise AssertionError("not done after six runs")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_one_fault_anywhere_takes_once_and_pays_once(fault: Any, tmp_path: Path) -> None:
    """At every request what may have been done unseen, at every fourth one the rest; at every other
    one of those Stripe has forgotten the keys afterwards."""
    step = 1 if fault in UNSEEN else 4
    position, last = 1 - step, False
    while not last:
        position += step
        company = Company(tmp_path / str(position))
        owes(company, 300, 500)
        put_in(company, 450)
        before = len(company.stripe.calls)
        struck = []

        def once(*args: Any, company: Company = company, struck: list[int] = struck) -> Any:
            struck.append(1)
            return fault(*args)

        company.stripe.faults.append(at(position, once))
        story(company)
        company.stripe.faults.clear()
        if position // step % 2:
            company.stripe.kept.clear()
        last = not struck
        collect(company)
        assert state(company) == [("paid", 300, 0), ("open", 150, 350)], position
        assert balance(company) == 0
        assert records_attached(company) == [300, 150]
        assert reconciled(company)[0]["difference"] == "0.00"
        assert len(company.stripe.calls) > before


def test_two_runs_at_once_take_once(company: Company) -> None:
    owes(company, 300, 500)
    put_in(company, 450)

    async def both() -> None:
        await asyncio.gather(collecting(company, "one"), collecting(company, "two"))

    company.wait(both())
    collect(company)
    assert state(company) == [("paid", 300, 0), ("open", 150, 350)]
    assert (balance(company), records_attached(company)) == (0, [300, 150])


def test_a_month_that_is_closed_afterwards_takes_only_what_is_left(company: Company) -> None:
    """It was computed before the wallet paid: it stays a draft until it is computed anew."""
    company.movements = {ADA: (WalletMovement("old", *ADA, 1000, 1_769_000_000, "top_up"),)}
    company.want({"ada": [300]}, payment_method=DECLINES)
    company.apply()
    collect(company)
    assert balance(company) == -700
    company.want({"ada": [900]}, FEBRUARY, wallet=900, payment_method=DECLINES)
    (failed,) = company.apply(FEBRUARY).report.failed
    assert "can pay USD 7.00" in failed.message
    company.want({"ada": [900]}, FEBRUARY, wallet=700, payment_method=DECLINES)
    company.apply(FEBRUARY)
    assert due(company)["in_202602_ada/1"] == (900, 200)
    assert balance(company) == 0


def test_an_invoice_with_a_line_of_a_commitment_spares_what_is_prepaid(company: Company) -> None:
    owes(company, 300)
    [item] = company.invoices()
    item["metadata"]["billing_committed"] = "100"
    put_in(company, 1000)
    known = wallets(company)
    poor = replace(known, funds={ADA: replace(known.funds[ADA], without_prepaid=50)})
    gateway, settings = company.gateway(), company.settings
    company.wait(open_invoices.refresh_wallet_movements(gateway, settings))

    async def pay() -> WalletRun:
        return await open_invoices.pay_open_invoices(
            company.gateway(), settings, poor, open_invoices.open_invoices(settings), run_id="r"
        )

    with open_records(settings.records_dir) as records:
        records.cache.invoices.store([item])
    company.wait(pay())
    assert state(company) == [("open", 50, 250)]
    (payment,) = prepaid.known_payments(settings)
    assert payment.spares_prepaid


def test_what_has_expired_is_posted_without_an_invoice(company: Company) -> None:
    company.movements = {}
    company.want({"ada": [100]})
    company.apply()
    now = int(company.clock.now())
    lot = WalletMovement("lot", *ADA, 2000, now - 9 * HOUR, "grant")
    gone = WalletMovement("billing_expiry:lot", *ADA, -2000, now - HOUR, "expiry")
    company.movements = {ADA: (lot, gone)}
    for _ in range(2):
        assert collect(company) == WalletRun([], [])
        posted = [t["amount"] for t in company.stripe.objects["cbtxn"].values()]
        assert (posted, balance(company)) == ([-2000, 2000], 0)
    assert open_invoices.expired_until(company.settings) == now
