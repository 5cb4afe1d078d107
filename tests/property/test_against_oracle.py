"""The pipeline against the oracle, over thousands of made-up subscriptions and prices.

What belongs here: how many, and with which seeds. What does not: how they are compared
(harness.py). A failure names its seed, setting and worlds; to look at one of them alone:

    python -m tests.property --seed SEED --setting MONTH@ZONE --worlds w00012 --keep DIR
"""

from __future__ import annotations

import shutil

import pytest

from tests.property.harness import check, check_seed
from tests.property.tables import merge
from tests.property.world_maker import Setting
from tests.property.worlds import SETTINGS, explored_worlds, make_taxes

SEED = 20240229
# About 5.5 cases a world: the five data sets below have more than 2,000 together.
WORLDS = 90


@pytest.mark.parametrize(
    "setting",
    [*SETTINGS[:3], *(pytest.param(other, marks=pytest.mark.slow) for other in SETTINGS[3:5])],
    ids=str,
)
def test_charges_and_invoices_are_those_of_the_oracle(setting: Setting) -> None:
    # In one zone whose clocks change, the invoices' own calculator computes them too.
    proofs = setting == SETTINGS[1] and shutil.which("node") is not None
    comparison = check_seed(SEED, range(WORLDS), setting, proofs=proofs)
    assert comparison.cases >= 2000 // 5, f"only {comparison.cases} cases: raise WORLDS"
    assert not comparison.differences, f"seed {SEED}, {comparison.report()}"
    assert not comparison.unproven, f"seed {SEED}, {comparison.report()}"
    assert not proofs or comparison.proven >= 200, f"only {comparison.proven} cases were proven"


@pytest.mark.slow
def test_worlds_explored_by_hypothesis() -> None:
    setting = SETTINGS[5]
    worlds = [make_taxes(SEED, setting), *explored_worlds(WORLDS, setting)]
    comparison = check(merge(worlds), setting)
    assert not comparison.differences, comparison.report()
