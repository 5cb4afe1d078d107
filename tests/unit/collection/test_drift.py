"""The rows of `month_drift`: what a closed month would be charged today, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from billing_pipeline.collection.plan.approval import PlanDecision, Verdict
from billing_pipeline.collection.plan.drift import drift_rows
from tests.unit.collection.test_plan import in_stripe, of, wanted

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_all_customers_of_a_currency_are_in_its_sums() -> None:
    more = (wanted(100), wanted(130))
    less = (wanted(70, customer="bob"), wanted(50, customer="bob"))
    same = wanted(7, customer="eve")
    euro = wanted(9, customer="max", currency="EUR")
    present = of(
        [more[1], less[1], same, euro],
        [
            in_stripe(more[0], name="in_1"),
            in_stripe(less[0], name="in_2"),
            in_stripe(same, name="in_3"),
            in_stripe(euro, name="in_4"),
        ],
    )
    causes = {"in_ada": ["late usage, price change"], "in_bob": ["correction", "late usage"]}
    assert drift_rows(present, causes, "other", NOW) == [
        {
            "currency": "USD",
            "billed": Decimal("1.77"),
            "would_be": Decimal("1.87"),
            "difference": Decimal("0.10"),
            "customers": 2,
            "cause": "correction, late usage, price",
            "seen_at": NOW,
        }
    ]


def test_what_no_charge_explains_has_the_cause_of_the_files() -> None:
    present = of([wanted(130)], [in_stripe(wanted(100))])
    assert [row["cause"] for row in drift_rows(present, {}, "account", NOW)] == ["account"]
    found = drift_rows(present, {"in_ada": ["other"]}, "price", NOW)
    assert [row["cause"] for row in found] == ["price"]


def test_a_first_invoice_of_a_closed_month_is_drift() -> None:
    [row] = drift_rows(of([wanted(130)], []), {}, "account", NOW)
    assert (row["billed"], row["would_be"], row["customers"]) == (0, Decimal("1.30"), 1)


def test_what_is_in_review_comes_from_no_input() -> None:
    present = of([wanted(130)], [in_stripe(wanted(100), "void")])
    assert [action.kind.value for action in present.actions] == ["review"]
    assert drift_rows(present, {}, "other", NOW) == []


def test_what_was_declined_is_not_asked_for_until_it_is_another() -> None:
    """Neither in the sums nor among the customers; of the others all is."""
    held = [in_stripe(wanted(100)), in_stripe(wanted(70, customer="bob"), name="in_2")]
    first = [wanted(130), wanted(90, customer="bob")]
    ada = of(first, held).actions[0]
    refusal = PlanDecision(
        Verdict.DECLINED, "hash", 0.0, "finance", "not agreed", "run-1", ("ada",),
        ((ada.invoice_id, ada.digest),), frozenset(),
    )  # fmt: skip
    [row] = drift_rows(of(first, held, decisions=[refusal]), {}, "late usage", NOW)
    assert (row["billed"], row["would_be"], row["difference"], row["customers"]) == (
        Decimal("1.70"), Decimal("1.90"), Decimal("0.20"), 1,
    )  # fmt: skip
    only = of(first[:1], held[:1], decisions=[refusal])
    assert drift_rows(only, {}, "late usage", NOW) == []
    more = of([wanted(140)], held[:1], decisions=[refusal])
    [row] = drift_rows(more, {}, "late usage", NOW)
    assert (row["difference"], row["customers"]) == (Decimal("0.40"), 1)
