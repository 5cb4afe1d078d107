"""Dunning: the rule, and that no rerun makes two attempts for one due time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil

import pytest

from billing_pipeline.collection import payments
from billing_pipeline.collection.plan.dunning_policy import (
    AfterLastTry,
    Due,
    DueKind,
    DunningPolicy,
    next_due,
    start_after,
)
from billing_pipeline.collection.push.dunning import DunningResult
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.errors import StripeFailure

from .conftest import Company
from .fake_stripe import FakeStripe
from .test_interruptions import FAULTS, Killed, at, kill_after, kill_before

HOUR = 3600
DECLINES = "pm_card_chargeCustomerFail"


@pytest.mark.parametrize(
    ("tries", "due"),
    [
        (0, Due(DueKind.TRY, 1, 1000)),
        (1, Due(DueKind.TRY, 2, 1000 + 72 * HOUR)),
        (2, Due(DueKind.TRY, 3, 1000 + 144 * HOUR)),
        (3, Due(DueKind.GIVE_UP, 3, 1000 + 144 * HOUR)),
    ],
)
def test_three_attempts_then_uncollectible(tries: int, due: Due) -> None:
    assert next_due(DunningPolicy(), 1000, tries) == due


def test_other_delays_and_an_open_end_are_settings() -> None:
    env = {"BILLING_DUNNING_HOURS": "24,48", "BILLING_DUNNING_END": "leave_open"}
    policy = DunningPolicy.of(Settings.from_env(env))
    assert policy == DunningPolicy((24, 48), AfterLastTry.LEAVE_OPEN)
    assert next_due(policy, 0, 1) == Due(DueKind.TRY, 2, 48 * HOUR)
    assert next_due(policy, 0, 2) is None


def test_only_a_late_attempt_moves_the_later_ones() -> None:
    second = next_due(DunningPolicy(), 1000, 1)
    assert second is not None
    assert start_after(1000, second, second.at + HOUR) == 1000
    late = start_after(1000, second, second.at + 200 * HOUR)
    assert next_due(DunningPolicy(), late, 2) == Due(DueKind.TRY, 3, 1000 + 344 * HOUR)


def dun(company: Company) -> list[DunningResult]:
    return company.wait(
        payments.dun(company.gateway(), company.settings, run_id="dun", policy=DunningPolicy())
    )


def pays(company: Company) -> int:
    return sum(path.endswith("/pay") for path in company.stripe.posts())


def test_from_the_first_failure_to_giving_up(company: Company) -> None:
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    assert pays(company) == 1
    outcomes = []
    for _ in range(200):
        outcomes += [(r.due.number, r.outcome.value) for r in dun(company)]
        company.clock.advance(HOUR)
    assert outcomes == [(1, "declined"), (2, "declined"), (3, "given_up")]
    assert pays(company) == 4
    (row,) = company.pull().invoice_payments
    assert row["status"] == "uncollectible"
    assert row["last_error"] == "Your card was declined."


def watch(company: Company, hours: int = 300, step: int = 12) -> list[tuple[int, str]]:
    """Run the schedule every few hours; returns the hour and the outcome of each attempt."""
    seen = []
    for hour in range(0, hours, step):
        seen += [(hour, result.outcome.value) for result in dun(company)]
        company.clock.advance(step * HOUR)
    return seen


def kill_at_pay(stripe: object, method: str, path: str, params: object) -> None:
    if path.endswith("/pay"):
        raise Killed


def test_dunning_turned_on_late_begins_with_the_first_attempt(company: Company) -> None:
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    company.clock.advance(10 * 24 * HOUR)
    assert watch(company) == [(0, "declined"), (72, "declined"), (144, "given_up")]


def test_off_for_a_while_it_goes_on_at_its_own_pace(company: Company) -> None:
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    assert watch(company, 10) == [(0, "declined")]
    company.clock.advance(240 * HOUR)
    assert watch(company) == [(0, "declined"), (72, "given_up")]


def test_hours_count_from_the_first_charge_however_late_it_was(company: Company) -> None:
    """The push was killed between finalizing and charging, and went on ten days later."""
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.stripe.faults.append(kill_at_pay)
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    company.stripe.faults.clear()
    company.clock.advance(10 * 24 * HOUR)
    company.apply()
    assert company.pull().invoice_payments[0]["attempt_count"] == 1
    policy = DunningPolicy((24, 48))
    outcomes = []
    for hour in range(0, 100, 12):
        run = payments.dun(company.gateway(), company.settings, run_id="dun", policy=policy)
        outcomes += [(hour, result.outcome.value) for result in company.wait(run)]
        company.clock.advance(12 * HOUR)
    assert outcomes == [(24, "declined"), (48, "given_up")]


DEBIT = "pm_sepa_debit"


@pytest.mark.parametrize("counts", [True, False])
def test_a_debit_that_is_processing_is_waited_for(company: Company, counts: bool) -> None:
    company.stripe.counts_debits = counts
    company.want({"ada": [1000]}, payment_method=DEBIT)
    [result] = company.apply().report.results
    assert result.state.value == "done"
    assert watch(company, 200) == []
    assert not company.apply().report.results  # it was not forgotten either
    assert pays(company) == 1
    (row,) = company.pull().invoice_payments
    assert (row["status"], row["payment_state"], row["last_error"]) == ("open", "processing", None)
    assert row["next_attempt_at"] is None
    company.stripe.bank_decides(company.invoices()[0], pays=True)
    assert watch(company, 200) == []
    (row,) = company.pull().invoice_payments
    assert (row["status"], row["payment_state"]) == ("paid", None)


@pytest.mark.parametrize("tells", [True, False])
def test_after_a_debit_that_failed_the_hours_begin(company: Company, tells: bool) -> None:
    company.want({"ada": [1000]}, payment_method=DEBIT)
    company.apply()
    assert watch(company, 120) == []
    (customer,) = company.stripe.objects["cus"].values()
    customer["invoice_settings"]["default_payment_method"] = DECLINES
    company.stripe.bank_decides(company.invoices()[0], pays=False, tells=tells)
    # Without an event the end of the debit is seen by looking, which costs a few hours at most.
    (first, _), *others = watch(company)
    assert first <= (0 if tells else 12)
    assert others == [(first + 72, "declined"), (first + 144, "given_up")]


def test_checking_processing_debits_takes_few_requests(company: Company) -> None:
    company.want({"ada": [1000]}, payment_method=DEBIT)
    company.apply()
    watch(company, 1, step=1)
    looks = [path for _, path, _ in company.stripe.calls if path == "/v1/invoice_payments"]
    watch(company, 24, step=1)
    again = [path for _, path, _ in company.stripe.calls if path == "/v1/invoice_payments"]
    assert len(again) - len(looks) <= 4


def test_a_processing_debit_after_the_last_attempt_is_not_given_up(company: Company) -> None:
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    assert watch(company, 96) == [(0, "declined"), (72, "declined")]
    (customer,) = company.stripe.objects["cus"].values()
    customer["invoice_settings"]["default_payment_method"] = DEBIT
    assert watch(company, 200) == [(48, "processing")]
    assert company.invoices()[0]["status"] == "open"


def test_a_customer_who_pays_by_debit_meanwhile_is_not_charged(company: Company) -> None:
    """The push was killed before the first charge; the customer paid on Stripe's page."""
    company.stripe.counts_debits = False
    company.want({"ada": [1000]})
    company.stripe.faults.append(kill_at_pay)
    with pytest.raises(BaseExceptionGroup):
        company.apply()
    company.stripe.faults.clear()
    company.stripe._pay_later(company.invoices()[0], DEBIT)
    assert not company.preview().changes
    company.apply()
    assert company.invoices()[0]["status"] == "open"
    assert watch(company, 100) == []


def test_a_payment_to_be_confirmed_is_neither_retried_nor_waited_for(
    company: Company,
) -> None:
    company.want({"ada": [1000]}, payment_method="pm_card_authenticationRequired")
    company.apply()
    (row,) = company.pull().invoice_payments
    assert row["payment_state"] == "requires_action"
    assert "confirm" in row["last_error"]
    assert watch(company) == [(0, "unconfirmed"), (72, "unconfirmed"), (144, "given_up")]
    assert pays(company) == 1


def test_the_next_attempt_is_shown(company: Company) -> None:
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    dun(company)
    (row,) = company.pull().invoice_payments
    first = company.invoices()[0]["status_transitions"]["finalized_at"]
    assert row["next_attempt_at"].timestamp() == first + 72 * HOUR
    assert row["attempt_count"] == 2


def test_a_card_that_works_again_ends_it(company: Company) -> None:
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    (customer,) = company.stripe.objects["cus"].values()
    customer["invoice_settings"]["default_payment_method"] = "pm_card_visa"
    (result,) = dun(company)
    assert result.outcome.value == "paid"
    assert dun(company) == []
    assert not company.preview().changes


def _declined(company: Company, tries: int = 1) -> str:
    """Ada's card failed, also when it was tried again; gives her Stripe customer."""
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    for _ in range(tries):
        dun(company)
    company.clock.advance(5 * HOUR)
    (customer,) = company.stripe.objects["cus"]
    return customer


def _gives_another_card(company: Company, card: str) -> None:
    """On a page of Stripe's, say."""
    (customer,) = company.stripe.objects["cus"]
    settings = {"invoice_settings": {"default_payment_method": card}}
    company.stripe.act("post", f"/v1/customers/{customer}", settings)


def test_another_card_is_tried_at_once(company: Company) -> None:
    _declined(company)
    _gives_another_card(company, "pm_card_visa")
    (result,) = dun(company)
    assert (result.due.kind, result.outcome.value) == (DueKind.CARD, "paid")
    assert dun(company) == [] and not company.preview().changes


def test_another_card_of_a_customer_named_in_the_accounts_is_too(company: Company) -> None:
    settings = {"default_payment_method": DECLINES}
    _, made = company.stripe.act("post", "/v1/customers", {"invoice_settings": settings})
    company.want({"ada": [1000]}, payment_method=None, stripe_customer_id=made["id"])
    company.apply()
    dun(company)
    company.clock.advance(HOUR)
    _gives_another_card(company, "pm_card_visa")
    assert [result.outcome.value for result in dun(company)] == ["paid"]


def test_another_card_that_fails_too_is_tried_once_and_moves_nothing(company: Company) -> None:
    _declined(company)
    _gives_another_card(company, f"{DECLINES}_2")
    assert [result.outcome.value for result in dun(company)] == ["declined"]
    (row,) = company.pull().invoice_payments
    first = company.invoices()[0]["status_transitions"]["finalized_at"]
    assert row["next_attempt_at"].timestamp() == first + 72 * HOUR
    assert dun(company) == []
    # And back to the one that failed before: that may be covered by now.
    company.clock.advance(HOUR)
    _gives_another_card(company, DECLINES)
    assert [result.due.kind for result in dun(company)] == [DueKind.CARD]
    company.clock.advance(HOUR)
    assert dun(company) == []
    # The due times go on: 72 and 144 hours after the first failure.
    assert watch(company, 200, 1) == [(65, "declined"), (137, "given_up")]


def test_a_change_that_a_due_time_has_met_is_not_tried_again(company: Company) -> None:
    _declined(company)
    company.clock.advance(67 * HOUR)
    _gives_another_card(company, f"{DECLINES}_2")
    (result,) = dun(company)
    assert (result.due.kind, result.due.number) == (DueKind.TRY, 2)
    company.clock.advance(HOUR)
    assert dun(company) == []


def test_other_changes_of_a_customer_and_a_card_taken_away_try_nothing(company: Company) -> None:
    customer = _declined(company)
    company.stripe.act("post", f"/v1/customers/{customer}", {"name": "Ada L."})
    assert dun(company) == []
    _gives_another_card(company, "")
    assert dun(company) == []


def test_a_card_that_was_changed_before_the_failure_is_not_tried_for_it(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    company.wait(payments.stale_months(company.gateway(), company.settings))
    company.clock.advance(HOUR)
    _gives_another_card(company, DECLINES)
    company.clock.advance(HOUR)
    february = company.settings.first_month.shift(1)
    company.want({"ada": [1000]}, february)
    company.apply(february)
    assert [result.due.kind for result in dun(company)] == [DueKind.TRY]
    assert dun(company) == []


def test_another_card_is_tried_before_an_invoice_is_given_up(company: Company) -> None:
    """The process ended when it was about to be."""
    _declined(company)

    def kills(stripe: FakeStripe, method: str, path: str, params: object) -> None:
        if path.endswith("/mark_uncollectible"):
            raise Killed

    company.stripe.faults.append(kills)  # type: ignore[arg-type]
    with pytest.raises(BaseExceptionGroup):
        watch(company, 200)
    company.stripe.faults.clear()
    company.clock.advance(HOUR)
    _gives_another_card(company, "pm_card_visa")
    assert [result.outcome.value for result in dun(company)] == ["paid"]


def test_another_card_in_the_accounts_is_tried_at_once(company: Company) -> None:
    _declined(company)
    company.want({"ada": [1000]}, payment_method="pm_card_visa")
    assert not company.apply().problems
    assert [result.outcome.value for result in dun(company)] == ["paid"]
    before = len(company.stripe.calls)
    company.apply()
    assert not [path for _, path, _ in company.stripe.calls[before:] if "customers" in path]


def test_a_card_that_stripe_does_not_attach_is_sent_once(company: Company) -> None:
    _declined(company)
    company.want({"ada": [1000]}, payment_method="pm_card_chargeDeclined")
    for _ in range(3):
        assert not company.apply().problems
    attaches = [path for path in company.stripe.posts() if path.endswith("/attach")]
    assert len(attaches) == 1 and dun(company) == []


@pytest.mark.parametrize("fault", [kill_before, kill_after])
def test_after_any_interruption_another_card_has_one_attempt(
    fault: object, tmp_path: object
) -> None:
    for position in range(1, 9):
        company = Company(tmp_path / str(position))  # type: ignore[operator]
        _declined(company)
        _gives_another_card(company, f"{DECLINES}_2")
        tried_before = len(company.stripe.objects["inpay"])
        company.stripe.faults.append(at(position, fault))  # type: ignore[arg-type]
        for _ in range(3):
            with contextlib.suppress(Killed, BaseExceptionGroup):
                dun(company)
            company.clock.advance(HOUR)
        # At worst the process ended between claiming it and asking for it.
        assert len(company.stripe.objects["inpay"]) - tried_before <= 1


def test_two_runs_at_once_try_another_card_once(company: Company) -> None:
    _declined(company)
    _gives_another_card(company, f"{DECLINES}_2")
    tried_before = len(company.stripe.objects["inpay"])
    two_at_once(company)
    company.stripe.faults.clear()
    dun(company)
    assert len(company.stripe.objects["inpay"]) - tried_before == 1


@pytest.mark.parametrize("fault", [kill_before, kill_after])
def test_after_any_interruption_a_due_time_has_one_attempt(fault: object, tmp_path: object) -> None:
    for position in range(1, 9):
        company = Company(tmp_path / str(position))  # type: ignore[operator]
        company.want({"ada": [1000]}, payment_method=DECLINES)
        company.apply()
        tried_before = len(company.stripe.objects["inpay"])
        company.stripe.faults.append(at(position, fault))  # type: ignore[arg-type]
        for _ in range(3):
            try:
                dun(company)
            except (Killed, BaseExceptionGroup):
                continue
        assert len(company.stripe.objects["inpay"]) - tried_before == 1


def two_at_once(company: Company) -> None:
    """The schedule and a person start the job in the same instant."""

    async def both() -> None:
        runs = [
            payments.dun(company.gateway(), company.settings, run_id=name, policy=DunningPolicy())
            for name in ("one", "two")
        ]
        await asyncio.gather(*runs, return_exceptions=True)

    company.wait(both())


def strike(company: Company, rng: random.Random) -> None:
    company.stripe.faults.clear()
    for _ in range(rng.randrange(3)):
        company.stripe.faults.append(at(rng.randrange(1, 12), rng.choice(FAULTS)))
    if rng.random() < 0.1:
        shutil.rmtree(company.settings.records_dir)


@pytest.mark.parametrize("seed", range(20))
def test_no_fault_leads_to_two_attempts_for_one_due_time(company: Company, seed: int) -> None:
    rng = random.Random(seed)
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    # Looked for where records are lost: which months to list.
    company.settings.warehouse_path(company.settings.first_month).parent.mkdir(parents=True)
    (first,) = company.stripe.objects["inpay"].values()
    # Each of the three may be noticed by more than a day late, and takes the later ones along.
    while company.clock.now() < first["created"] + 330 * HOUR:
        strike(company, rng)
        with contextlib.suppress(Killed, BaseExceptionGroup, StripeFailure):
            two_at_once(company) if rng.random() < 0.3 else dun(company)
        company.clock.advance(rng.choice([0, 60, HOUR, 5 * HOUR, 30 * HOUR]))
    company.stripe.faults.clear()
    dun(company)
    later = [p["created"] for p in company.stripe.objects["inpay"].values() if p is not first]
    hours = [(at - first["created"]) // HOUR for at in later]
    tries_by = [sum(hour < due for hour in hours) for due in (72, 144, 10**6)]
    assert all(tries <= due for tries, due in zip(tries_by, (1, 2, 3), strict=True)), hours
    assert company.invoices()[0]["status"] == "uncollectible"


def test_stripe_is_read_again_right_before_an_attempt(company: Company) -> None:
    """The customer pays after the events were read, in the last moment before the attempt."""
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    (customer,) = company.stripe.objects["cus"].values()
    customer["invoice_settings"]["default_payment_method"] = "pm_card_visa"
    invoice = f"/v1/invoices/{company.invoices()[0]['id']}"

    def pay(stripe: FakeStripe, method: str, path: str, params: object) -> None:
        if (method, path) == ("get", invoice):
            stripe.faults.clear()
            stripe.act("post", f"{invoice}/pay", {})

    company.stripe.faults.append(pay)
    sent = company.stripe.posts()
    assert dun(company) == []
    assert company.stripe.posts() == sent
    assert company.invoices()[0]["status"] == "paid"
