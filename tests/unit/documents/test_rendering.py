"""Invoices as HTML and PDF: all texts are there, as text; the same bytes again; no silent boxes."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
import typst

from billing_pipeline.documents import rendering
from billing_pipeline.documents.invoice import invoice_document
from tests.unit.documents.made import line, payment, records, stripe_invoice
from tests.unit.documents.pdf_text import pdf_text

HOSTILE = (
    "<script>alert(1)</script> \"quoted\" 'single' #set page(fill: red) $x^2$ *bold* _it_ `code` "
    "@label <lbl> \\ // [link](x) {{ 7 * 7 }} {% raw %} = Heading - item ~ & ]"
)


@pytest.fixture
def built_in_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without any font."""
    fonts = typst.Fonts(include_system_fonts=False)
    monkeypatch.setattr(typst, "Fonts", lambda **_: fonts)


def made(**customer: Any) -> dict[str, Any]:
    """With every part that a document can have: a supplement, a credit note, a failed payment."""
    amounts = {"billed": "129", "credited": "10", "paid": "19", "outstanding": "100"}
    return invoice_document(
        records(
            lines=[line(1, "100", description=customer.pop("description", "Line 1"))],
            held=[
                stripe_invoice("110", credited=Decimal(10)),
                stripe_invoice("19", revision=2, number="A-2"),
            ],
            paid=payment("overdue", **amounts) | {"last_error": "card declined"},
            customer=customer,
        ),
        has_pages=True,
    )


def words(text: str) -> str:
    """A text without its line breaks and spaces, which layout may change."""
    return "".join(text.replace("\u200b", "").split())


class Page(HTMLParser):
    """The text of a page, and its tags and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def texts_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [
            text for key, part in value.items() if key not in UNSHOWN for text in texts_of(part)
        ]
    if isinstance(value, list):
        return [text for part in value for text in texts_of(part)]
    return [value] if value and isinstance(value, str) else []


UNSHOWN = {"kind", "tone", "date"}


def test_both_documents_show_every_text() -> None:
    document = made()
    texts = texts_of(document)
    assert {
        "Ada & Co",
        "A-1",
        "119.00",
        "−19.00",
        "A-2",
        "1 – 31 January 2024",
        "Thank you.",
    } <= set(texts)
    content, lacking = rendering.pdf("invoice", document)
    assert lacking == ""
    shown = {"html": Page(rendering.html("invoice", document)).text, "pdf": pdf_text(content)}
    for name, page in shown.items():
        for text in texts:
            # labels of the PDF are set in capitals
            assert words(text).lower() in words(page).lower(), (name, text)


def test_hostile_names_stay_text() -> None:
    document = made(name=HOSTILE, description=HOSTILE, address=f"{HOSTILE}\n{HOSTILE}")
    page = Page(rendering.html("invoice", document))
    harmless = Page(rendering.html("invoice", made()))
    assert (page.tags, page.attributes) == (harmless.tags, harmless.attributes)
    assert words(page.text).count(words(HOSTILE)) == 4  # name, two lines of address, line
    content, _ = rendering.pdf("invoice", document)
    assert words(pdf_text(content)).count(words(HOSTILE)) == 4


def test_nothing_is_loaded_or_run_by_the_page() -> None:
    page = rendering.html("invoice", made())
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<img|<link|url\(|@import", page)


def test_the_same_document_gives_the_same_bytes() -> None:
    assert rendering.pdf("invoice", made()) == rendering.pdf("invoice", made())
    assert rendering.pdf("invoice", made()) != rendering.pdf("invoice", made(name="Other"))


def test_the_pdf_declares_pdf_a() -> None:
    content, _ = rendering.pdf("invoice", made())
    assert b"<pdfaid:part>2</pdfaid:part>" in content
    assert b"D:20240203" in content  # the day of issue, not of printing


@pytest.mark.parametrize("name", ["Αρχείο Θεσσαλονίκης ΑΕ", "Студия «Северный Свет»", "Weißenfels"])
def test_greek_and_cyrillic_need_no_installed_font(name: str, built_in_fonts: None) -> None:
    content, lacking = rendering.pdf("invoice", made(name=name))
    assert words(name) in words(pdf_text(content))
    assert lacking == ""


def test_a_name_that_no_font_has_is_refused_and_named(built_in_fonts: None) -> None:
    document = made(name="深蓝科技 🦖")
    with pytest.raises(rendering.MissingGlyphError) as refused:
        rendering.pdf("invoice", document)
    message = str(refused.value)
    assert "深 (U+6DF1 CJK UNIFIED IDEOGRAPH-6DF1)" in message
    assert "and 2 more" in message
    assert "apt install fonts-noto-cjk fonts-symbola" in message
    assert "--html" in message
    assert "深蓝科技 🦖" in rendering.html("invoice", document)


def test_a_given_substitute_replaces_missing_characters(built_in_fonts: None) -> None:
    content, lacking = rendering.pdf("invoice", made(name="A深B蓝C深"), substitute="?")
    assert lacking == "深蓝"
    assert "A?B?C?" in pdf_text(content)


def test_a_word_without_end_stays_on_the_page() -> None:
    """Each run of glyphs begins left of the page's right edge, and there are many lines."""
    content, _ = rendering.pdf("invoice", made(name="W" * 300, description="M" * 300))
    runs = [run for run in pdf_text(content).splitlines() if set(run) & {"W", "M"}]
    longest = max(run.count("W") + run.count("M") for run in runs)
    assert len(runs) > 6
    assert longest < 60


def test_a_template_that_fails_says_what_typst_says() -> None:
    with pytest.raises(rendering.TypstFailure, match="dictionary does not contain key"):
        rendering.pdf("invoice", {"title": "x"})
