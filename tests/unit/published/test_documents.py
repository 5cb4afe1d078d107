"""What each Stripe document bills, from the versions of its invoice."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare


@pytest.fixture
def published(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        declare(connection, Settings.from_env({"BILLING_HOME": str(tmp_path)}))
        yield connection


def version(
    published: duckdb.DuckDBPyConnection, number: int, amounts: dict[str, str], rate: str = "vat"
) -> None:
    """Lines with a tax of a tenth; the tax is a line of its own."""
    tax = Decimal(0)
    for line_id, text in amounts.items():
        amount = Decimal(text)
        tax += amount / 10
        published.execute(
            "INSERT INTO lines_as_billed (invoice_id, version, line_id, kind, is_inclusive,"
            " quantity, amount, discount_share, currency)"
            " VALUES ('i', $1, $2, 'charge', false, 1, $3, 0, 'EUR')",
            [number, line_id, amount],
        )
        published.execute(
            "INSERT INTO line_taxes_as_billed (invoice_id, version, line_id, tax_rate_id,"
            " percentage, is_inclusive, tax_base, tax_amount)"
            " VALUES ('i', $1, $2, $3, 10, false, $4, $5)",
            [number, line_id, rate, amount, amount / 10],
        )
    published.execute(
        "INSERT INTO lines_as_billed (invoice_id, version, line_id, kind, is_inclusive, quantity,"
        " amount, discount_share, currency)"
        " VALUES ('i', $1, 'tax-' || $2, 'tax', false, 1, $3, 0, 'EUR')",
        [number, rate, tax],
    )


def sent(
    published: duckdb.DuckDBPyConnection,
    day: int,
    amount: str,
    number: int | None,
    *,
    revision: int = 1,
    credit: int | None = None,
    status: str = "open",
) -> None:
    """A document that was issued on a day, and the version that it was sent with."""
    issued = f"2024-02-{day:02} 00:00:00+00"
    if credit is None:
        published.execute(
            "INSERT INTO stripe_invoices (invoice_id, revision, stripe_invoice_id, status, number,"
            " currency, total, amount_due, finalized_at)"
            " VALUES ('i', $1, 'in_' || $1, $2, 'A-' || $1, 'EUR', $3, $3, $4)",
            [revision, status, amount, issued],
        )
    else:
        published.execute(
            "INSERT INTO credit_notes (invoice_id, credit_note_id, number, stripe_invoice_id,"
            " currency, amount, issued_at, credit_number) VALUES ('i', 'cn_' || $1,"
            " 'A-CN-' || $1, 'in_' || $2, 'EUR', -($3::DECIMAL(38, 4)), $4, $5)",
            [day, revision, amount, issued, credit or None],
        )
    if credit != 0:
        published.execute(
            "INSERT INTO documents_as_billed (invoice_id, revision, credit_number, amount, version,"
            " kept_at) VALUES ('i', $1, $2, $3, $4, $5)",
            [revision, credit, amount, number, issued],
        )


def documents(published: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return published.execute(
        "SELECT number, kind, corrects_id, version_before, version FROM documents ORDER BY position"
    ).fetchall()


def test_each_document_bills_the_difference_to_the_one_before(
    published: duckdb.DuckDBPyConnection,
) -> None:
    version(published, 1, {"seats": "10", "calls": "20"})
    version(published, 2, {"seats": "10", "calls": "30"})
    version(published, 3, {"calls": "25"})
    sent(published, 1, "33", 1)
    sent(published, 2, "11", 2, revision=2)
    sent(published, 3, "-16.5", 3, credit=1)
    assert documents(published) == [
        ("A-1", "invoice", None, 0, 1),
        ("A-2", "supplement", None, 1, 2),
        ("A-CN-3", "credit_note", "in_1", 2, 3),
    ]
    lines = published.execute(
        "SELECT document_id, line_id, is_whole, amount FROM document_lines"
        " WHERE kind <> 'tax' ORDER BY ALL"
    ).fetchall()
    assert lines == [
        ("cn_3", "calls", False, -5),
        ("cn_3", "seats", False, -10),
        ("in_1", "calls", True, 20),
        ("in_1", "seats", True, 10),
        ("in_2", "calls", False, 10),
    ]
    taxes = published.execute(
        "SELECT document_id, sum(tax_base), sum(tax_amount) FROM document_taxes"
        " GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert taxes == [("cn_3", -15, Decimal("-1.5")), ("in_1", 30, 3), ("in_2", 10, 1)]


def test_a_change_that_no_version_explains_is_not_itemized(
    published: duckdb.DuckDBPyConnection,
) -> None:
    version(published, 1, {"seats": "10"})
    sent(published, 1, "11", 1)
    sent(published, 2, "-1", None, credit=0)  # made by hand
    assert documents(published)[1] == ("A-CN-2", "credit_note", "in_1", None, None)


def test_several_credit_notes_of_one_change_are_not_itemized(
    published: duckdb.DuckDBPyConnection,
) -> None:
    version(published, 1, {"seats": "10"})
    version(published, 2, {"seats": "20"})
    version(published, 3, {"seats": "5"})
    sent(published, 1, "11", 1)
    sent(published, 2, "11", 2, revision=2)
    sent(published, 3, "-11", 3, revision=2, credit=1)
    sent(published, 4, "-5.5", 3, credit=1)
    assert [row[3] for row in documents(published)] == [0, 1, None, None]


def test_what_is_no_longer_due_is_credited_as_a_whole(
    published: duckdb.DuckDBPyConnection,
) -> None:
    version(published, 1, {"seats": "10"})
    sent(published, 1, "11", 1)
    sent(published, 2, "-11", None, credit=1)
    assert documents(published)[1][3:] == (1, 0)
    assert published.execute(
        "SELECT sum(amount) FROM document_lines WHERE document_id = 'cn_2'"
    ).fetchall() == [(-11,)]


def test_what_is_issued_again_after_it_was_made_void_bills_all_of_it(
    published: duckdb.DuckDBPyConnection,
) -> None:
    version(published, 1, {"seats": "10"})
    sent(published, 1, "11", 1, status="void")
    sent(published, 2, "11", 1, revision=2)
    assert documents(published) == [
        ("A-1", "invoice", None, 0, 1),
        ("A-2", "invoice", None, 0, 1),
    ]


def test_another_tax_rate_is_a_line_of_its_own(published: duckdb.DuckDBPyConnection) -> None:
    version(published, 1, {"seats": "10"}, rate="old")
    version(published, 2, {"seats": "20"}, rate="new")
    sent(published, 1, "11", 1)
    sent(published, 2, "11", 2, revision=2)
    found = published.execute(
        "SELECT tax_rate_id, tax_base, tax_amount FROM document_taxes WHERE document_id = 'in_2'"
        " ORDER BY 1"
    ).fetchall()
    assert found == [("new", 20, 2), ("old", -10, -1)]
