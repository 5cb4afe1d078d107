"""Reading what should be billed: minor units, roll-up, and what is refused."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.collection.plan.desired import (
    MAX_LINES,
    DesiredLine,
    InconsistentInvoiceError,
    read_desired,
    roll_up,
)
from billing_pipeline.collection.push.stripe_requests import add_lines, idempotency_key
from billing_pipeline.collection.stripe_state.texts import clean_text
from billing_pipeline.money import (
    CURRENCY_PLACES,
    AmountError,
    format_minor,
    to_major,
    to_minor,
    whole_units,
)

from .conftest import JANUARY, Company


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.34", "USD", 1234),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1234),
        ("5", "ISK", 500),
        ("-0.01", "eur", -1),
    ],
)
def test_money_as_stripe_counts_it(amount: str, currency: str, minor: int) -> None:
    assert to_minor(Decimal(amount), currency) == minor
    assert to_major(minor, currency) == Decimal(amount)


@pytest.mark.parametrize(("amount", "currency"), [("0.5", "JPY"), ("0.001", "USD"), ("0.5", "ISK")])
def test_an_amount_that_stripe_cannot_express_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(AmountError):
        to_minor(Decimal(amount), currency)


@pytest.mark.parametrize("currency", CURRENCY_PLACES)
def test_the_least_amount_of_a_line_can_be_sent(currency: str) -> None:
    """Lines are rounded to these places: one that Stripe could not be sent would stop the month."""
    least = Decimal(1).scaleb(-CURRENCY_PLACES[currency])
    assert to_major(to_minor(least, currency), currency) == least


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("0.005", "USD", 0),
        ("10.019999999999", "USD", 1001),
        ("-0.005", "USD", -1),
        ("7.9", "JPY", 7),
        ("1.2345", "KWD", 1234),
        ("12.5", "ISK", 1200),
        ("99999999999999999999999999.019999999999", "USD", 9999999999999999999999999901),
    ],
)
def test_a_wallet_balance_is_truncated_to_whole_minor_units(
    amount: str, currency: str, units: int
) -> None:
    assert whole_units(Fraction(amount), currency) == units


def test_show_groups_thousands() -> None:
    assert format_minor(123456789, "usd") == "USD 1,234,567.89"


def test_the_warehouse_is_read(company: Company) -> None:
    company.bill({"ada": ["10.00", "2.50"]}, collection_method="send_invoice", currency="EUR")
    (invoice,) = read_desired(company.settings.warehouse_path(JANUARY), JANUARY.key)
    assert (invoice.total, invoice.currency, invoice.days_until_due) == (1250, "EUR", 30)
    params = add_lines("in_1", invoice, {}).params["lines"][0]
    # Half-open with us; Stripe's period includes its last second.
    assert params["period"] == {"start": 1767225600, "end": 1769903999}


def test_lines_that_do_not_add_up_stop_the_month(company: Company) -> None:
    import duckdb

    company.bill({"ada": ["10.00"]})
    path = company.settings.warehouse_path(JANUARY)
    with duckdb.connect(str(path)) as db:
        db.execute("update invoices set total = 11")
    with pytest.raises(InconsistentInvoiceError, match="customer ada"):
        read_desired(path, JANUARY.key)


lines = st.lists(
    st.tuples(st.integers(-10_000, 10_000), st.sampled_from(["charge", "tax", "discount"])),
    min_size=1,
    max_size=60,
)


@given(lines, st.integers(4, 20))
def test_rolled_up_lines_keep_every_kinds_total(given_lines: list, most: int) -> None:
    made = tuple(
        DesiredLine(f"l{at}", kind, f"Item {at}", amount)
        for at, (amount, kind) in enumerate(given_lines)
    )
    rolled = roll_up(made, most)
    assert len(rolled) == min(len(made), most) or len(rolled) <= most
    for kind in ("charge", "tax", "discount"):
        before = sum(line.amount for line in made if line.kind == kind)
        assert sum(line.amount for line in rolled if line.kind == kind) == before
    assert roll_up(made, most) == rolled


def test_the_largest_lines_stay_as_they_are() -> None:
    made = tuple(DesiredLine(f"l{at}", "charge", f"Item {at}", at) for at in range(1, 301))
    rolled = roll_up(made)
    assert len(rolled) == MAX_LINES
    assert rolled[-1] == made[-1]
    assert "51 further small items" in rolled[0].description


def test_control_characters_never_reach_stripe() -> None:
    assert clean_text("a\x00b\nc\u2028d") == "a b c d"
    assert len(clean_text("x" * 900)) == 500


def test_exactly_unicodes_control_and_separator_characters_are_removed() -> None:
    every = [chr(code) for code in range(0x110000)]
    turns = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    cleaned = {
        char for char in every if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
    } | set(turns)
    shown = clean_text("".join(every), len(every))
    assert {char for char, now in zip(every, shown, strict=True) if char != now} == cleaned


def test_keys_never_hold_what_a_header_cannot() -> None:
    assert idempotency_key("in_1", 2, "create", 0) == "in_1:2:create:0"
    strange = idempotency_key("kunde ü\n", 0, "customer", 1)
    assert strange.isascii() and strange.isprintable() and " " not in strange
