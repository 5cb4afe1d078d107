"""A share of the cases that `make faults` plays."""

from __future__ import annotations

import pytest

from billing_pipeline.collection.records import opening
from tests.fuzz.targets import TARGETS, play

CASES = 12


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_odd_is_read_or_refused(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "DURABILITY", "off")
    bad = [case for case in (play(target, seed) for seed in range(CASES)) if case.problems]
    assert not bad, "\n".join(map(str, bad))
