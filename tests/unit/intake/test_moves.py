"""Subscriptions that a simulation puts on another plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.intake.reference.load import load_reference
from billing_pipeline.settings import PlanMove
from tests.unit.intake.conftest import World


def moved(world: World, *moves: PlanMove) -> set[str]:
    """The subscriptions that the moves put on plan `pro`."""
    world.write(
        "accounts/customers.csv",
        "customer_id,currency,country,valid_from\na,USD,US,\nb,USD,US,\nb,USD,DE,2024-03-01\n",
    )
    world.write("catalog/plans.csv", "plan_id\nfree\npro\nmax\n")
    world.write(
        "accounts/subscriptions.csv",
        "subscription_id,customer_id,plan_id,quantity,starts_at\n"
        "s1,a,free,1,2024-01-01\ns2,a,free,20,2024-01-01\ns3,b,free,20,2024-02-01\n"
        "s4,b,max,20,2024-01-01\n",
    )
    load_reference(world.connection, replace(world.settings, moves=moves))
    found = world.select("SELECT subscription_id FROM raw.subscriptions WHERE plan_id = 'pro'")
    return {str(name) for (name,) in found}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("", {"s1", "s2", "s3"}),
        ("quantity >= 10 AND country = 'DE'", {"s3"}),
        ("quantity = 1 OR starts_at > '2024-01-15' -- some", {"s1", "s3"}),
    ],
)
def test_a_move_is_about_those_of_its_plan_and_condition(
    catalog: World, where: str, found: set[str]
) -> None:
    assert moved(catalog, PlanMove("free", "pro", where)) == found


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (PlanMove("free", "gold"), "--move: the price book has no plan 'gold'"),
        (PlanMove("pro", "free"), "--move: no subscription is on 'pro'"),
        (PlanMove("free", "pro", "quantity > 99"), "no subscription is on 'free' where quantity"),
        (PlanMove("free", "pro", "seats > 1"), "--where: 'seats > 1': .*seats"),
        (
            PlanMove("free", "pro", "customer_id IN (FROM read_text('/etc/hostname'))"),
            "--where: .*disabled",
        ),
    ],
)
def test_a_move_that_cannot_be_made_is_refused(
    catalog: World, move: PlanMove, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        moved(catalog, move)
