"""Subscriptions that a simulation puts on another plan.

What belongs here: finding them and changing their plan, before the tables are checked. What does
not: a real change of plan, which is a row of accounts/subscriptions.csv.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa

from billing_pipeline.intake.problems import Problem, shown
from billing_pipeline.intake.reference.rows import LoadedTable
from billing_pipeline.settings import PlanMove

_OPTION = "--move"
# A customer's newest row, as the invoice would have it.
_ROWS = """
CREATE TABLE rows AS
WITH newest AS (
    SELECT * FROM customers
    QUALIFY row_number() OVER (
        PARTITION BY customer_id ORDER BY valid_from DESC NULLS LAST, position DESC) = 1
)
SELECT * EXCLUDE (valid_from, position), subscriptions.position AS subscription_position
FROM subscriptions JOIN newest USING (customer_id)
"""


def move_subscriptions(
    moves: Sequence[PlanMove],
    subscriptions: LoadedTable,
    customers: LoadedTable,
    plans: LoadedTable,
) -> Iterator[Problem]:
    """Change the plan of the subscriptions that each move selects, one move after the other; yields
    the problems of the moves."""
    for move in moves:
        if move.to_plan not in plans.values["plan_id"]:
            message = f"the price book has no plan {shown(move.to_plan)}"
            yield Problem(_OPTION, None, None, None, message)
            continue
        try:
            found = _positions(move, subscriptions, customers)
        except duckdb.Error as error:
            yield Problem("--where", None, None, None, f"{shown(move.where)}: {error}")
            continue
        if not found:
            condition = f" where {move.where}" if move.where else ""
            message = f"no subscription is on {shown(move.from_plan)}{condition}"
            yield Problem(_OPTION, None, None, None, message)
        for position in found:
            subscriptions.values["plan_id"][position] = move.to_plan


def _positions(move: PlanMove, subscriptions: LoadedTable, customers: LoadedTable) -> list[int]:
    """The rows of subscriptions that the move selects, by their index."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for loaded in (subscriptions, customers):
            given = _arrow(loaded)  # noqa: F841  (read by name in the statement)
            connection.execute(f"CREATE TABLE {loaded.table.name} AS SELECT * FROM given")
        connection.execute(_ROWS)
        # The condition is the operator's own SQL and may read only these rows.
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        found = connection.execute(
            "SELECT subscription_position FROM rows"
            f" WHERE plan_id = $1 AND (\n{move.where or 'true'}\n) ORDER BY ALL",
            [move.from_plan],
        ).fetchall()
    return [position for (position,) in found]


def _arrow(loaded: LoadedTable) -> pa.Table:
    columns = {
        column.name: pa.array(loaded.values[column.name], column.type)
        for column in loaded.table.columns
    }
    return pa.table(columns | {"position": pa.array(range(len(loaded.numbers)), pa.int64())})
