"""``python -m billing_pipeline.spark_dbt ARGS``: dbt on Spark, in a process of its own.

What belongs here: what dbt-spark's `session` method needs before dbt begins. What does not: when
it is called and what becomes of its tables (spark_metering.py).
"""

from __future__ import annotations

import sys
from typing import Any


def main(args: list[str]) -> int:
    from dbt.adapters.spark import session
    from dbt.cli.main import dbtRunner

    class AnsiCursor(session.Cursor):
        """dbt-spark 1.11 switches ANSI mode off before each statement, whatever the profile says,
        and overflow would be NULL instead of an error. The macro `spark__prepare_warehouse`
        refuses to run without ANSI mode, so a release where this has no effect computes nothing.
        """

        def __init__(self, *, server_side_parameters: dict[str, Any] | None = None) -> None:
            parameters = {**(server_side_parameters or {}), "spark.sql.ansi.enabled": "true"}
            super().__init__(server_side_parameters=parameters)

    session.Cursor = AnsiCursor
    done = dbtRunner().invoke(args)
    if done.exception is not None:
        print(f"dbt on Spark: {done.exception}", file=sys.stderr)
    return 0 if done.success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
