"""What `billing verify` names first: the row and the column that differ."""

from __future__ import annotations

from decimal import Decimal

import duckdb

from billing_pipeline.published.verification import digest, first_difference

ONE = {"charge_id": "c1", "quantity": Decimal(2), "amount": Decimal("5.00")}
TWO = {"charge_id": "c2", "quantity": Decimal(3), "amount": Decimal("7.50")}


def test_the_first_column_that_differs_of_the_first_row() -> None:
    changed = {**ONE, "amount": Decimal("5.01")}
    assert first_difference("charges", [ONE, TWO], [changed, TWO]) == (
        "charges, charge_id=c1: amount is 5.00 as published and 5.01 recomputed"
    )


def test_a_row_that_only_one_side_has() -> None:
    assert first_difference("charges", [ONE], [TWO]) == (
        "charges, charge_id=c1 is published and not recomputed"
    )
    assert first_difference("charges", [], [TWO]) == (
        "charges, charge_id=c2 is not published, only recomputed"
    )
    assert first_difference("charges", [], []) is None


def test_rows_of_one_id_are_matched_by_similarity() -> None:
    lots = [{"customer_id": "c", "kind": kind, "amount": amount} for kind, amount in (("a", 1),)]
    others = [{"customer_id": "c", "kind": "b", "amount": 2}, {**lots[0], "amount": 3}]
    assert first_difference("wallet_ledger", lots, others) == (
        "wallet_ledger, customer_id=c: amount is 1 as published and 3 recomputed"
    )


def test_a_digest_depends_on_rows_and_not_on_their_order() -> None:
    with duckdb.connect() as connection:
        values = "(VALUES (1.10::DECIMAL(38, 4), 'a'), (2, NULL), (2, NULL)) AS t(amount, name)"
        found = digest(connection, values, ["amount", "name"])
        assert found[0] == 3
        ordered = f"(SELECT * FROM {values} ORDER BY amount DESC)"
        assert digest(connection, ordered, ["amount", "name"]) == found
        for other in (
            values.replace(", (2, NULL), (2, NULL)", ", (2, NULL)"),
            # as many rows, and another one is there twice
            values.replace("(2, NULL), (2, NULL)", "(1.10, 'a'), (2, NULL)"),
            values.replace("1.10", "1.1001"),
            values.replace("NULL", "''"),
            values.replace("'a'", "'1.1000'").replace("1.10::", "2::"),
        ):
            assert digest(connection, other, ["amount", "name"]) != found, other
