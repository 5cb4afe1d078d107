"""``python -m tests.end_to_end.estimate_twice``: the job, for the running month and the one before.

What belongs here: running it by today's clock in a process of its own, as the settings are the
process's. What does not: judging how it ends.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from billing_pipeline.commands.execution import execute
from billing_pipeline.published.estimate import running_month
from billing_pipeline.settings import Settings
from tests.compiled_models import take_the_place_of_dbt


def main() -> None:
    take_the_place_of_dbt()
    settings = Settings.from_env()
    running = running_month(settings, datetime.now(UTC))
    ends = [execute(settings, "estimate_month", month) for month in (running, running.shift(-1))]
    print(json.dumps([[end.is_success, end.reason] for end in ends]))


if __name__ == "__main__":
    main()
