"""Dunning: the rule, and that no rerun makes two tries for one due time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil

import pytest

from billing_pipeline.invoicing import collection
from billing_pipeline.invoicing.dunning import (
    AfterLastTry,
    Due,
    DueKind,
    DunningPolicy,
    DunningResult,
    next_due,
)
from billing_pipeline.settings import InvalidSettingError
from billing_pipeline.stripe_api.errors import StripeFailure

from .conftest import Company
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
def test_three_tries_then_uncollectible(tries: int, due: Due) -> None:
    assert next_due(DunningPolicy(), 1000, tries) == due


def test_other_delays_and_an_open_end_are_settings() -> None:
    env = {"BILLING_DUNNING_HOURS": "24,48", "BILLING_DUNNING_END": "leave_open"}
    policy = DunningPolicy.from_env(env)
    assert policy == DunningPolicy((24, 48), AfterLastTry.LEAVE_OPEN)
    assert next_due(policy, 0, 1) == Due(DueKind.TRY, 2, 48 * HOUR)
    assert next_due(policy, 0, 2) is None


@pytest.mark.parametrize("hours", ["72,0", "a", "-1,2", "5,5"])
def test_delays_that_do_not_grow_are_refused(hours: str) -> None:
    with pytest.raises(InvalidSettingError):
        DunningPolicy.from_env({"BILLING_DUNNING_HOURS": hours})


def dun(company: Company) -> list[DunningResult]:
    return company.wait(
        collection.dun(company.gateway(), company.settings, run_id="dun", policy=DunningPolicy())
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


def test_the_next_try_is_shown(company: Company) -> None:
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


@pytest.mark.parametrize("fault", [kill_before, kill_after])
def test_interrupted_anywhere_a_due_time_has_one_try(fault: object, tmp_path: object) -> None:
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
            collection.dun(company.gateway(), company.settings, run_id=name, policy=DunningPolicy())
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


@pytest.mark.parametrize("seed", range(60))
def test_whatever_strikes_no_due_time_has_two_tries(company: Company, seed: int) -> None:
    rng = random.Random(seed)
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    # Looked for where records are lost: which months to list.
    company.settings.warehouse_path(company.settings.first_month).parent.mkdir(parents=True)
    (first,) = company.stripe.objects["inpay"].values()
    while company.clock.now() < first["created"] + 220 * HOUR:
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
