"""The lists of mutants match the current code, and the engine distinguishes caught from survived.

What belongs here: quick checks. What does not: running the mutants; `make mutants` does that.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.__main__ import all_mutants
from tests.mutants.engine import (
    ROOT,
    Mutant,
    Verdict,
    WrongMutant,
    check_unchanged,
    judge,
    mutated,
    try_mutant,
)

TOY = {
    "toy.py": "def bill(quantity):\n    return quantity * 2\n",
    "test_toy.py": "from toy import bill\n\ndef test_bill():\n    assert bill(3) == 6\n",
}


@pytest.mark.parametrize("mutant", all_mutants(), ids=lambda mutant: mutant.name)
def test_the_old_text_occurs_exactly_once(mutant: Mutant) -> None:
    mutated(mutant, (ROOT / mutant.path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("mutant", all_mutants(), ids=lambda mutant: mutant.name)
def test_the_tests_that_catch_it_exist(mutant: Mutant) -> None:
    assert mutant.tests
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).exists(), test
        if name:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert f"def {name.partition('[')[0]}(" in text, test


def test_names_are_unique() -> None:
    names = Counter(mutant.name for mutant in all_mutants())
    assert [name for name, count in names.items() if count > 1] == []


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    for name, text in TOY.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        ("quantity * 3", Verdict.CAUGHT),
        ("2 * quantity", Verdict.SURVIVED),
        ("quantity *", Verdict.BROKEN),
    ],
)
def test_a_mutant_is_judged_by_its_tests(toy: Path, new: str, verdict: Verdict) -> None:
    mutant = Mutant("toy", "toy.py", "quantity * 2", new, "test_toy.py::test_bill")
    assert try_mutant(mutant, toy, TOY).verdict is verdict
    assert (toy / "toy.py").read_text() == TOY["toy.py"]


def test_tests_that_fail_without_a_mutant_are_reported(toy: Path) -> None:
    mutant = Mutant("toy", "toy.py", "quantity * 2", "0", "test_toy.py")
    assert check_unchanged([mutant], toy, TOY) is None
    (toy / "toy.py").write_text("def bill(quantity):\n    return 0\n")
    assert "assert 0 == 6" in (check_unchanged([mutant], toy, TOY) or "")


def test_sql_that_does_not_compile_proves_nothing() -> None:
    assert judge(1, "E  DbtError: model charges: Binder Error: no such column") is Verdict.BROKEN
    assert judge(1, "E  AssertionError: 1 differences in 1 worlds") is Verdict.CAUGHT


@pytest.mark.parametrize("text", ["nothing of it", "old and old"])
def test_a_mutant_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(WrongMutant, match="not once"):
        mutated(Mutant("m", "p", "old", "new", "t"), text)


def test_a_mutant_that_changes_nothing_is_refused() -> None:
    with pytest.raises(WrongMutant, match="changes nothing"):
        mutated(Mutant("m", "p", "old", "old", "t"), "old")
