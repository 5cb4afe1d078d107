"""Corrections on later invoices, as Stripe holds them: they count as billed for the closed month,
and nothing of that month is sent any more."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from billing_pipeline.collection.closed_months import (
    ClosedMonthCorrections,
    billed_corrections,
    corrections_on,
    months_to_compare,
    open_corrections,
)
from billing_pipeline.collection.plan.approval import NotInPlanError
from billing_pipeline.collection.plan.closed_books import correction_id, invoice_id
from billing_pipeline.collection.plan.desired import DesiredInvoice, DesiredLine
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from tests.changes.books import write_warehouse
from tests.changes.rating import Rated

from .conftest import JANUARY, Company

DECEMBER = JANUARY.shift(-1)


class Closed(Company):
    """A company whose books are closed through December."""

    @property
    def settings(self) -> Settings:
        first = BillingMonth(2025, 1)
        return replace(super().settings, locked_through=DECEMBER, first_month=first)


def due(company: Company, month: BillingMonth, amount: int, correction: int = 0) -> None:
    company.want({"ada": [amount]}, month)
    assert company.desired is not None
    [invoice] = company.desired
    line = DesiredLine(correction_id("li_1", DECEMBER), "correction", "Correction", correction)
    lines = (*invoice.lines, *([line] if correction else []))
    name = invoice_id("ada", "USD", month)
    company.desired = (replace(invoice, invoice_id=name, lines=lines),)


@pytest.fixture
def corrected(tmp_path: Path) -> Closed:
    """December was billed 1.00, and 0.30 more for it stands on January's invoice."""
    usual = Company(tmp_path / "home")
    due(usual, DECEMBER, 100)
    assert usual.apply(DECEMBER).report.done
    company = Closed(usual.home, usual.clock)
    company.stripe = usual.stripe
    due(company, JANUARY, 50, correction=30)
    assert company.apply().report.done == ()  # it waits
    assert company.apply(approved_hash=company.preview().hash).report.done
    return company


def changes(company: Company, amount: int) -> list[tuple[int, int]]:
    due(company, DECEMBER, amount)
    return [(a.amount_before, a.amount_after) for a in company.preview(DECEMBER).changes]


@pytest.mark.parametrize("records", ["kept", "lost"])
def test_what_was_corrected_counts_as_billed_also_without_records(
    corrected: Closed, records: str
) -> None:
    if records == "lost":
        shutil.rmtree(corrected.home / "records")
    assert changes(corrected, 130) == []
    assert [after - before for before, after in changes(corrected, 150)] == [20]
    due(corrected, JANUARY, 50, correction=30)
    assert corrected.preview().changes == ()


def test_what_was_corrected_counts_as_billed_where_the_books_are_opened_again(
    corrected: Closed,
) -> None:
    opened = Company(corrected.home, corrected.clock)
    opened.stripe = corrected.stripe
    assert changes(opened, 130) == []


def test_no_approval_sends_anything_of_a_closed_month(corrected: Closed) -> None:
    due(corrected, DECEMBER, 150)
    before = len(corrected.invoices())
    plan = corrected.preview(DECEMBER)
    with pytest.raises(NotInPlanError, match="the books are closed through 2025-12"):
        corrected.apply(DECEMBER, approved_hash=plan.hash)
    assert len(corrected.invoices()) == before


def test_the_correction_that_was_billed_is_known_by_its_month(corrected: Closed) -> None:
    with open_records(corrected.settings.records_dir) as records:
        billed = billed_corrections(corrected.settings, records.cache)
        months = months_to_compare(
            corrected.settings, records.cache, records.billed.months(), JANUARY
        )
    assert months == [DECEMBER]
    [line] = corrections_on(billed, JANUARY).lines
    assert (line.payer_id, f"{line.amount:f}") == ("ada", "0.30")
    assert corrections_on(billed, DECEMBER).lines == ()


def test_other_corrections_change_the_content() -> None:
    company = Company(Path("nowhere"))
    hashes = set()
    for amount in (0, 30, 31):
        due(company, JANUARY, 50, correction=amount)
        assert company.desired is not None
        [invoice] = company.desired
        assert isinstance(invoice, DesiredInvoice)
        hashes.add(invoice.content_hash)
    assert len(hashes) == 3


def found_of(
    company: Company, customers: set[str]
) -> tuple[ClosedMonthCorrections, dict[str, str]]:
    """What December's change comes to on January's invoices, and the amounts by customer."""
    plan, scratch = (
        company.preview(DECEMBER),
        replace(company.settings, home=company.home / "aside"),
    )
    write_warehouse(scratch, DECEMBER, Rated(tuple(company.desired or ()), {}))
    found = open_corrections(company.settings, scratch, plan, [], DECEMBER, JANUARY, customers)
    return found, {line.payer_id: f"{line.amount:.2f}" for line in found.corrections.lines}


def renamed(tmp_path: Path, *, merged: bool) -> Closed:
    """December was billed to ada, who is called eve since the books were closed; `merged`: eve was
    a customer before, by another name, and has taken over what ada was charged for."""
    usual = Company(tmp_path / "home")
    before = {"ada": [100], **({"eve": [50]} if merged else {})}
    usual.want(before, DECEMBER, name="Ada Ltd")
    assert usual.apply(DECEMBER).report.done
    company = Closed(usual.home, usual.clock)
    company.stripe = usual.stripe
    company.want(
        {"eve": [50 if merged else 100]}, DECEMBER, name="Eve Ltd" if merged else "Ada Ltd"
    )
    if merged:
        assert company.desired is not None
        [invoice] = company.desired
        taken_over = DesiredLine("line_ada_1", "charge", "Item 1", 100, quantity="1")
        company.desired = (replace(invoice, lines=(*invoice.lines, taken_over)),)
    return company


@pytest.mark.parametrize("merged", [False, True])
def test_a_renamed_customer_is_not_charged_again_for_a_closed_month(
    tmp_path: Path, merged: bool
) -> None:
    found, amounts = found_of(renamed(tmp_path, merged=merged), {"eve"})
    assert amounts == {}
    assert "ada is not in accounts/customers.csv any more" in found.not_corrected["in_202512_ada"]
    why = found.not_corrected["in_202512_eve"]
    assert why.startswith("the increase of 2025-12 for eve is not billed: the customer was billed")
    assert "(customer ada, " in why


@pytest.mark.parametrize("merged", [False, True])
def test_where_both_are_in_the_accounts_one_is_credited_and_the_other_charged(
    tmp_path: Path, merged: bool
) -> None:
    found, amounts = found_of(renamed(tmp_path, merged=merged), {"ada", "eve"})
    assert amounts == {"ada": "-1.00", "eve": "1.00"}
    assert found.not_corrected == {}


def test_a_customer_who_left_does_not_block_the_corrections_of_others(tmp_path: Path) -> None:
    company = renamed(tmp_path, merged=False)
    company.want({"bob": [30]}, DECEMBER, name="Bob Ltd")
    found, amounts = found_of(company, {"bob"})
    assert amounts == {"bob": "0.30"}
    assert list(found.not_corrected) == ["in_202512_ada"]
