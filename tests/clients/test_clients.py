"""The comparison of what a client got, without any client: `make clients` runs them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.clients.__main__ import Client, differences

CLIENT = Client("a client", "none", (), ("charge", "invoice"))
ACCOUNT = {"invoice": {"in_1", "in_else"}, "charge": {"ch_1"}}
PUBLISHED = {
    "invoice": {"in_1": ("JPY", Decimal(1500))},
    "charge": {"ch_1": ("USD", Decimal("15.00"))},
}
ROWS: list[dict[str, Any]] = [
    {"kind": "invoice", "id": "in_1", "currency": "jpy", "amount": 1500, "ours": True},
    {"kind": "invoice", "id": "in_else", "currency": "eur", "amount": 9900, "ours": False},
    {"kind": "charge", "id": "ch_1", "currency": "usd", "amount": "1500", "ours": False},
]


def found(rows: list[dict[str, Any]]) -> list[str]:
    return list(differences(CLIENT, rows, ACCOUNT, PUBLISHED))


def test_all_that_is_there_and_nothing_else() -> None:
    assert found(ROWS) == []


def test_each_kind_of_difference_is_named() -> None:
    assert found(ROWS[:1] + ROWS[2:]) == ["invoice: 1 rows of 2 objects, 1 missing"]
    assert found([*ROWS, ROWS[2]]) == ["charge: 2 rows of 1 objects, 0 missing"]
    [less] = found([*ROWS[:2], ROWS[2] | {"amount": 1499}])
    assert less == "charge: 1 of 1 published rows differ, such as ch_1"
    [unmarked] = found([ROWS[0] | {"ours": False}, *ROWS[1:]])
    assert unmarked == "0 invoices have our mark, 1 are published"
