"""``python -m billing_pipeline.rating.spark_dbt ARGS``: dbt on Spark, in a process of its own.

What belongs here: what dbt-spark's `session` method needs before dbt starts. What does not: when it
is called and what happens to its tables (``spark``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

# dbt-spark 1.11 switches ANSI mode off before each statement, whatever the profile says, and
# overflow would then give NULL instead of an error. The macro `spark__prepare_warehouse` refuses to
# run without ANSI mode, so if this has no effect in another release of dbt-spark, nothing is
# computed.
_ANSI = {"spark.sql.ansi.enabled": "true"}


def main(args: list[str]) -> int:
    from dbt.adapters.spark import session
    from dbt.cli.main import dbtRunner

    cursor = session.Cursor

    def ansi_cursor(*, server_side_parameters: Mapping[str, str]) -> Any:
        return cursor(server_side_parameters={**server_side_parameters, **_ANSI})

    session.Cursor = ansi_cursor
    done = dbtRunner().invoke(args)
    if done.exception is not None:
        print(f"dbt on Spark: {done.exception}", file=sys.stderr)
    return 0 if done.success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
