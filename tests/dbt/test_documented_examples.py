"""docs/charge-models.md is true: its examples are billed and its calculations are checked.

What belongs here: the comparison of the document with the pipeline. What does not: how its tables
are read (documented_examples.py).
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from math import ceil
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from billing_pipeline.intake.reference.dbt_vars import AGGREGATION_KINDS, CHARGE_MODELS
from tests.dbt.documented_examples import DOCUMENT, MONTH, Example, examples, world_of
from tests.proofs import disagreements, proofs_of
from tests.property.harness import Row, Tables, exact, run_pipeline
from tests.property.tables import write

EXAMPLES = examples(DOCUMENT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Tables:
    """All examples in one build, each as a customer of its own."""
    data: Path = tmp_path_factory.mktemp("data")
    write(world_of(EXAMPLES), data, ZoneInfo("UTC"))
    return run_pipeline(data, MONTH, "UTC", home)


def charges_of(billed: Tables, example: Example) -> list[Row]:
    rows = [row for row in billed["charges"] if row["customer_id"] == example.name]
    return sorted(rows, key=lambda row: row["period_start"])


def numbers(cell: str) -> list[Fraction]:
    return [Fraction(number) for number in cell.split(", ")]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_billed_as_the_document_says(billed: Tables, example: Example) -> None:
    charges = charges_of(billed, example)
    columns = {"quantity": "quantity", "billable": "billable_quantity"}
    columns |= {"exact_amount": "exact_amount", "amount": "amount"}
    for heading, column in columns.items():
        if heading in example.cells:
            found = [exact(charge[column]) for charge in charges]
            assert found == numbers(example.cells[heading]), (heading, example)


@pytest.mark.parametrize(
    "example",
    [example for example in EXAMPLES if example.cells.get("calculation")],
    ids=lambda example: example.name,
)
def test_a_calculation_adds_up_and_leads_to_the_amount(example: Example) -> None:
    amounts = numbers(example.cells["amount"])
    for chain, amount in zip(example.cells["calculation"].split("; "), amounts, strict=True):
        value, bound = worked_out(chain)
        assert abs(abs(bound if bound is not None else value) - abs(amount)) <= Fraction(1, 200)


def worked_out(chain: str) -> tuple[Fraction, Fraction | None]:
    """`8 × 1 = 8, raised to 9`: its value, and the bound if there is one; every side is equal."""
    chain, _, words = chain.replace(" for May", "").partition(", ")
    value, *others = (side for side in chain.split(" = ") if not side.endswith("…"))
    assert all(calculated(side) == calculated(value) for side in others), chain
    bound = re.search(r" to (\S+)$", words)
    return calculated(value), Fraction(bound[1]) if bound else None


_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@cache
def calculated(text: str) -> Fraction:
    """The exact value of a sum as it is written on paper."""
    text = re.sub(r"⌈(.*?)⌉", lambda found: str(ceil(calculated(found[1]))), text)
    python = text.replace("×", "*").replace("÷", "/")
    return _value(ast.parse(python, mode="eval").body, python)


def _value(node: ast.expr, text: str) -> Fraction:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, text), _value(node.right, text))
    written = ast.get_source_segment(text, node)
    assert isinstance(node, ast.Constant)
    assert written is not None
    return Fraction(written)


@pytest.mark.parametrize("model", CHARGE_MODELS)
def test_every_charge_model_has_its_section_with_examples(model: str) -> None:
    assert f"### `{model}`" in DOCUMENT.read_text(encoding="utf-8")
    assert len([example for example in EXAMPLES if example.model == model]) >= 3


@pytest.mark.parametrize("aggregation", AGGREGATION_KINDS)
def test_every_aggregation_has_an_example(aggregation: str) -> None:
    meters = [example.cells.get("meter", "") for example in EXAMPLES]
    name = "p50" if aggregation == "percentile" else aggregation
    assert any(f"aggregation {name}" in meter for meter in meters)


def test_every_example_proves_itself(billed: Tables, home: Path) -> None:
    """The calculator of `billing prove`, in JavaScript, computes every number of each invoice."""
    proofs = proofs_of(home / "months" / MONTH / "warehouse.duckdb")
    assert len(proofs) == len(billed["invoices"]) > 80
    assert disagreements(proofs) == []
    charges = [charge for proof in proofs for charge in proof["charges"]]
    assert {charge["charge_model"] for charge in charges} == set(CHARGE_MODELS)
    first, *others = proofs
    text = json.dumps(first)
    assert not [one for one in others if one["invoice"]["customer_id"] in text]


def test_of_very_many_events_those_of_one_line_are_in_a_proof(billed: Tables, home: Path) -> None:
    warehouse = home / "months" / MONTH / "warehouse.duckdb"
    whole = max(proofs_of(warehouse), key=lambda proof: len(proof["charges"][0].get("events", ())))
    charge = whole["charges"][0]
    found = {
        line: next(
            proof["charges"][0]
            for proof in proofs_of(warehouse, max_events=10, events_of=line)
            if proof["invoice"] == whole["invoice"]
        )
        for line in (None, whole["lines"][0]["line_id"])
    }
    without, chosen = found.values()
    assert without["events"] is None and without["events_digest"] == charge["events_digest"]
    assert chosen["events"] == charge["events"]
