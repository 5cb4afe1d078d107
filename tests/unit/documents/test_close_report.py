"""The close report of a small month: sums, changes, customers, rejected rows, checks."""

from __future__ import annotations

from typing import Any

import pytest

from billing_pipeline.documents import rendering
from billing_pipeline.documents.close_report import close_report
from billing_pipeline.documents.reading import NoDocumentError, published
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from tests.unit.documents.conftest import FEBRUARY, JANUARY
from tests.unit.documents.pdf_text import pdf_text
from tests.unit.documents.test_rendering import Page, texts_of, words


def report(settings: Settings, month: BillingMonth) -> dict[str, Any]:
    with published(settings) as connection:
        return close_report(connection, month)


def test_totals_and_their_change(settings: Settings) -> None:
    names = ("currency", "invoices", "total", "total_before", "change", "change_share", "billed")
    assert [tuple(row[name] for name in names) for row in report(settings, FEBRUARY)["totals"]] == [
        ("EUR", "2", "1,100.50", "80.00", "+1,020.50", "+1,275.6 %", "1,100.50"),
        ("JPY", "1", "1,200", "0", "+1,200", "new", "0"),
    ]
    assert [tuple(row[name] for name in names) for row in report(settings, JANUARY)["totals"]] == [
        ("EUR", "1", "80.00", "0.00", "+80.00", "new", "80.00")
    ]


def test_states_and_customers(settings: Settings) -> None:
    found = report(settings, FEBRUARY)
    assert [
        (row["currency"], row["state"]["label"], row["invoices"], row["outstanding"])
        for row in found["states"]
    ] == [("EUR", "Open", "2", "1,100.50"), ("JPY", "Not sent", "1", "0")]
    assert [
        (row["currency"], row["name"], row["total"], row["change"]) for row in found["customers"]
    ] == [
        ("EUR", "bob", "1,030.50", "+1,030.50"),
        ("EUR", '=Ada "A"', "70.00", "−10.00"),
        ("JPY", '=Ada "A"', "1,200", "+1,200"),
    ]


def test_rejected_usage_and_checks(settings: Settings) -> None:
    found = report(settings, FEBRUARY)
    assert found["usage"] == {
        "files": "2", "rows_read": "1,500", "accepted": "1,496", "rejected": "3", "duplicates": "1"
    }  # fmt: skip
    assert found["rejected"] == [
        {"reason": "unknown customer", "rows": "2", "where": "2 files"},
        {"reason": "malformed row", "rows": "1", "where": "b.csv"},
    ]
    failed = {row["sentence"]: row["result"] for row in found["checks"] if not row["passed"]}
    assert failed == {"Each invoice is billed in Stripe with our total": "no: 1 invoice"}
    assert all(row["passed"] for row in report(settings, JANUARY)["checks"])


def test_the_page_shows_all_of_it(settings: Settings) -> None:
    document = report(settings, FEBRUARY)
    page = Page(rendering.html("close_report", document)).text
    content, _ = rendering.pdf("close_report", document)
    assert b"/Count 1/" in content  # one page to file
    shown = {"html": page, "pdf": pdf_text(content)}
    not_in_pdf = {row["where"] for row in document["rejected"]}
    for name, text in shown.items():
        for part in texts_of({**document, "month": ""}):
            if name == "html" or part not in not_in_pdf:
                assert words(part).lower() in words(text).lower(), (name, part)


def test_a_month_that_is_not_published(settings: Settings) -> None:
    with pytest.raises(NoDocumentError, match="2024-03 is not published"):
        report(settings, FEBRUARY.shift(1))
