"""The lines that a closed month would have otherwise, as corrections, come to what it is off by."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.collection.plan.corrections import (
    ClosedInvoice,
    InvoiceContent,
    InvoiceCorrections,
    Line,
    LineTax,
    corrections_of,
)
from billing_pipeline.months import BillingMonth

JANUARY = BillingMonth(2024, 1)
NOTHING = InvoiceContent()


def line(name: str, amount: str, kind: str = "charge", **more: object) -> Line:
    found = Line(
        line_id=name,
        kind=kind,
        customer_id="ada",
        subscription_id="sub",
        charge_id=f"ch_{name}" if kind == "charge" else None,
        price_id="api" if kind == "charge" else None,
        tax_rate_id="vat" if kind == "tax" else None,
        is_inclusive=False,
        description={"charge": "API calls", "tax": "VAT 20 %"}.get(kind, kind),
        quantity=Decimal(amount) * 100 if kind == "charge" else None,
        amount=Decimal(amount),
        discount_share=Decimal(0),
        period_start=None,
        period_end=None,
        calculation=None,
    )
    return found._replace(**more)


def tax(name: str, base: str, amount: str, rate: str = "vat") -> LineTax:
    return LineTax(name, rate, Decimal(20), False, Decimal(base), Decimal(amount))


def closed(
    now: InvoiceContent,
    billed: InvoiceContent,
    elsewhere: InvoiceCorrections | None = None,
    net: Decimal | None = None,
) -> ClosedInvoice:
    net = billed.total if net is None else net
    name = "in_202401_1"
    return ClosedInvoice(
        name, JANUARY, "ada", "USD", now, billed, elsewhere or InvoiceCorrections(), net
    )


BILLED = InvoiceContent.of([line("a", "10"), line("t", "2", "tax")], [tax("a", "10", "2")])
LATER = InvoiceContent.of([line("a", "22"), line("t", "4.4", "tax")], [tax("a", "22", "4.4")])


def test_each_line_that_changed_names_its_month_its_charge_and_how_much_more() -> None:
    found = corrections_of(closed(LATER, BILLED))
    assert [(item.kind, item.description, item.quantity, item.amount) for item in found.lines] == [
        ("correction", "Correction of January 2024: API calls, 1,200 more", 1200, 12),
        ("tax", "Correction of January 2024: VAT 20 %", None, Decimal("2.4")),
    ]
    assert [item.line_id for item in found.lines] == ["a_for_202401", "t_for_202401"]
    assert found.lines[0].charge_id == "ch_a"
    assert found.lines[0].calculation == (
        "22.00 by what is known now; less 10.00 as billed; = 12.00 USD"
    )
    [row] = found.taxes
    assert (row.line_id, row.tax_base, row.tax_amount) == ("a_for_202401", 12, Decimal("2.4"))


def test_what_was_corrected_on_another_invoice_is_not_billed_again() -> None:
    first = corrections_of(closed(LATER, BILLED))
    assert corrections_of(closed(LATER, BILLED, first)) == InvoiceCorrections()


def test_further_usage_gives_only_the_further_difference() -> None:
    first = corrections_of(closed(LATER, BILLED))
    more = InvoiceContent.of([line("a", "25"), line("t", "5", "tax")], [tax("a", "25", "5")])
    found = corrections_of(closed(more, BILLED, first))
    assert [(item.amount, item.amount_before) for item in found.lines] == [
        (3, 22),
        (Decimal("0.6"), Decimal("4.4")),
    ]
    assert found.lines[0].quantity == 300
    assert [(row.tax_base, row.tax_amount) for row in found.taxes] == [(3, Decimal("0.6"))]


def test_a_correction_whose_cause_is_gone_is_taken_back() -> None:
    first = corrections_of(closed(LATER, BILLED))
    found = corrections_of(closed(BILLED, BILLED, first))
    assert found.total == -first.total
    # Also of a line that neither the invoice nor what it would be has.
    new = corrections_of(closed(InvoiceContent.of([line("b", "5")]), NOTHING))
    [back] = corrections_of(closed(NOTHING, NOTHING, new)).lines
    assert (back.line_id, back.amount, back.quantity) == ("b_for_202401", -5, -500)


def test_a_line_that_is_no_longer_due_is_reversed_with_its_tax() -> None:
    found = corrections_of(closed(NOTHING, BILLED))
    assert [item.amount for item in found.lines] == [-10, -2]
    assert found.lines[0].description == "Correction of January 2024: API calls, 1,000 less"


def test_another_rate_of_tax_alone_is_taxed_on_its_own_line() -> None:
    now = InvoiceContent.of([line("a", "10"), line("t", "2.5", "tax")], [tax("a", "10", "2.5")])
    found = corrections_of(closed(now, BILLED))
    assert [(item.kind, item.amount) for item in found.lines] == [("tax", Decimal("0.5"))]
    assert [(row.line_id, row.tax_amount) for row in found.taxes] == [
        ("t_for_202401", Decimal("0.5"))
    ]


def test_what_a_discount_takes_off_the_base_stands_on_the_line_that_corrects_the_discount() -> None:
    def content(amount: str, off: str, base: str, taxed: str) -> InvoiceContent:
        lines = [
            line("a", amount, discount_share=Decimal(off)),
            line("d", f"-{off}", "discount"),
            line("t", taxed, "tax"),
        ]
        return InvoiceContent.of(lines, [tax("a", base, taxed)])

    found = corrections_of(closed(content("20", "2", "18", "3.6"), content("10", "1", "9", "1.8")))
    assert {item.line_id: item.amount for item in found.lines} == {
        "a_for_202401": 10,
        "d_for_202401": -1,
        "t_for_202401": Decimal("1.8"),
    }
    assert {row.line_id: (row.tax_base, row.tax_amount) for row in found.taxes} == {
        "a_for_202401": (10, 2),
        "d_for_202401": (-1, Decimal("-0.2")),
    }
    assert {item.line_id: item.net_amount for item in found.lines}["a_for_202401"] == 9


def test_what_no_line_accounts_for_is_a_line_of_its_own() -> None:
    # 3 of the month's invoice were credited, and the version of that is lost.
    found = corrections_of(closed(LATER, BILLED, net=Decimal(9)))
    assert found.total == LATER.total - 9
    assert found.lines[-1].description.endswith("credited or decided earlier")


def test_other_lines_with_the_same_total_correct_nothing() -> None:
    moved = InvoiceContent.of([line("a", "5"), line("b", "5"), line("t", "2", "tax")])
    assert corrections_of(closed(moved, BILLED)) == InvoiceCorrections()


amounts = st.lists(st.decimals(-50, 50, places=2).filter(bool), max_size=4)


@st.composite
def contents(draw: st.DrawFn) -> InvoiceContent:
    """An invoice with two rates, each with the line of its tax."""
    lines, taxes = [], []
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for at, amount in enumerate(draw(amounts)):
        name, rate = f"l{at}", draw(st.sampled_from(["vat", "city"]))
        lines.append(line(name, str(amount)))
        part = (amount / 5).quantize(Decimal("0.01"))
        taxes.append(LineTax(name, rate, Decimal(20), False, amount, part))
        sums[rate] += part
    lines += [
        line(f"t_{rate}", str(part), "tax", tax_rate_id=rate) for rate, part in sums.items() if part
    ]
    return InvoiceContent.of(lines, taxes)


@given(contents(), st.lists(contents(), min_size=1, max_size=4))
def test_all_corrections_together_come_to_the_last_difference(
    billed: InvoiceContent, states: list[InvoiceContent]
) -> None:
    """However often the inputs change between invoices, each corrects only what is left."""
    before: list[InvoiceCorrections] = []
    for state in states:
        elsewhere = InvoiceCorrections(
            tuple(item for part in before for item in part.lines),
            tuple(row for part in before for row in part.taxes),
        )
        invoice = closed(state, billed, elsewhere)
        found = corrections_of(invoice)
        assert found.total == invoice.difference
        assert len({item.line_id for item in found.lines}) == len(found.lines)
        before.append(found)
        again = replace(invoice, elsewhere=InvoiceCorrections(
            (*elsewhere.lines, *found.lines), (*elsewhere.taxes, *found.taxes)
        ))  # fmt: skip
        assert corrections_of(again) == InvoiceCorrections()
    assert sum((part.total for part in before), Decimal(0)) == states[-1].total - billed.total


@given(contents(), contents())
def test_the_taxes_of_the_lines_come_to_the_lines_of_tax(
    billed: InvoiceContent, now: InvoiceContent
) -> None:
    found = corrections_of(closed(now, billed))
    lines, rows = defaultdict(Decimal), defaultdict(Decimal)
    for item in found.lines:
        if item.kind == "tax" and item.tax_rate_id:
            lines[item.tax_rate_id] += item.amount
    for row in found.taxes:
        rows[row.tax_rate_id] += row.tax_amount
    assert {rate: part for rate, part in lines.items() if part} == {
        rate: part for rate, part in rows.items() if part
    }


def test_a_line_that_moved_to_another_invoice_is_corrected_on_both_under_ids_of_their_own() -> None:
    """Of another payer or in another currency, the same charge has the same line."""
    one, nothing = InvoiceContent.of([line("a", "10")]), NOTHING
    left = corrections_of(closed(nothing, one))
    joined = replace(closed(one, nothing), invoice_id="in_202401_2", moved={"a"})
    came = corrections_of(joined)
    [gone], [new] = left.lines, came.lines
    assert (gone.line_id, gone.amount) == ("a_for_202401", -10)
    assert (new.line_id, new.amount) == ("a_on_in_202401_2_for_202401", 10)
    assert gone.corrected_line_id == new.corrected_line_id == "a"
    # Later differences keep the id of the line with which the first one was billed.
    more = InvoiceContent.of([line("a", "12")])
    [further] = corrections_of(replace(joined, now=more, elsewhere=came)).lines
    assert (further.line_id, further.amount) == (new.line_id, 2)
    [back] = corrections_of(replace(joined, now=nothing, elsewhere=came)).lines
    assert (back.line_id, back.amount) == (new.line_id, -10)
