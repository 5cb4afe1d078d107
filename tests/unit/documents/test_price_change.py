"""The page of a price change: sums, names, and texts from outside that have no effect."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

from billing_pipeline.documents import rendering
from billing_pipeline.documents.price_change import price_change, stray_sentence
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.two_ratings import Differences
from billing_pipeline.simulation.price_book import Difference
from billing_pipeline.simulation.reach import Outside
from billing_pipeline.simulation.simulate import Side, Simulation
from tests.unit.documents.test_rendering import HOSTILE

MONTHS = [BillingMonth.parse("2024-01"), BillingMonth.parse("2024-02")]


def margin(month: int, customer: str, before: str, after: str, **more: Any) -> dict[str, Any]:
    costs = {"present_cost": Decimal(2), "simulated_cost": Decimal(2)}
    return {
        "billing_month": date(2024, month, 1),
        "customer_id": customer,
        "plan_id": "plan",
        "currency": "USD",
        "present_revenue": Decimal(before),
        "simulated_revenue": Decimal(after),
        **costs,
        **more,
    }


def made(strays: Any = ()) -> Simulation:
    lines = [{"currency": "USD", "lines": 3, "amount": Decimal("40")}]
    inside = frozenset({"up", "down", "same"})
    # "late" is charged in one of the months only, and the change is not about it.
    others = [
        Outside(month, inside, frozenset(names), lines, strays)
        for month, names in zip(MONTHS, (["other"], ["other", "late"]), strict=True)
    ]
    return Simulation(
        "sim_1",
        Side("main (1a2b3c4)"),
        Side("dearer | ` @team"),
        MONTHS,
        differences=Differences(
            margins=[
                *(margin(month, "up", "100", "104.5") for month in (1, 2)),
                *(margin(month, "down", "50", "30", plan_id="other-plan") for month in (1, 2)),
                *(margin(month, "same", "10", "10") for month in (1, 2)),
                *(margin(month, "other", "20", "20", currency="JPY") for month in (1, 2)),
                margin(2, "late", "0", "0", present_cost=Decimal(0), simulated_cost=Decimal(0)),
            ]
        ),
        price_book=[Difference("catalog/prices", "fee", "changed", "flat_amount 99 → 109")],
        outside=others,
        names={"up": HOSTILE, "down": "Down | Ltd", "other": "Other"},
    )


def test_the_page_says_what_changes_for_whom_and_for_nobody_else() -> None:
    page = price_change(made())
    [usd] = page["currencies"]  # nothing changes in JPY
    assert usd["revenue"] == {
        **{"label": "Revenue", "before": "320.00", "after": "289.00"},
        **{"change": "−31.00", "share": "−9.7 %"},
    }
    assert [row["label"] for row in usd["margin"]] == ["Cost", "Margin", "Margin of revenue"]
    assert usd["margin"][1]["after"] == "277.00"
    assert usd["margin"][2]["before"] == "96.2 %"
    assert [(row["customer_id"], row["change"], row["share"]) for row in usd["dearer"]] == [
        ("up", "+9.00", "+4.5 %")
    ]
    assert [(row["label"], row["share"]) for row in usd["cheaper"]] == [("Down | Ltd", "−40.0 %")]
    assert usd["customers"] == "3 customers"
    assert usd["counts"] == "customers who pay more: 1, less: 1, the same: 1"
    assert page["outside"]["text"] == (
        "6 invoice lines of 2 other customers are the same on both sides, row by row "
        "(80.00 USD with tax)"
    )
    assert stray_sentence(made()) is None


def test_texts_from_outside_have_no_effect_on_either_page() -> None:
    page = price_change(made())
    html = rendering.html("price_change", page)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "Nobody else's bill changes by a cent: 6 invoice lines of 2 other customers" in html
    assert html.count("<svg") == 2
    customers = html[html.index("Customers by the change") :]
    assert re.findall(r'text-anchor="end">([^<]*)<', customers) == ["0", "1"]
    assert "January 2024, after: 144.50 USD" in html
    markdown = rendering.markdown("price_change", page)
    for line in markdown.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (5, 6), line
        outside_code = re.sub(r"`[^`]*`", "", line)
        assert "@" not in outside_code and "<script" not in outside_code
    assert "bar [160.00, 160.00]" in markdown
    assert "line [144.50, 144.50]" in markdown
    assert 'y-axis "USD" 0 --> 168' in markdown


def test_a_stray_customer_outside_the_change_is_named() -> None:
    amounts = {"present_amount": Decimal("20"), "simulated_amount": Decimal("20.01")}
    strays = [{"customer_id": "other", "currency": "USD", **amounts}]
    done = made(strays)
    # In each of the two months, and still one customer.
    assert str(stray_sentence(done)).startswith("1 customer whom the change is not about would be")
    assert "Other in 2024-01, 20.00 before and 20.01 after, USD" in str(stray_sentence(done))
    page = price_change(done)
    for text in (rendering.html("price_change", page), rendering.markdown("price_change", page)):
        assert "Nobody else" not in text
        assert "20.01" in text
