"""``python -m tests.end_to_end.tick SENSOR…``: tick sensors once, as the daemon would.

What belongs here: evaluating sensors by name against the instance under `BILLING_HOME`, starting
the requested runs once per run key, and saving the results. What does not: expectations.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import dagster as dg

from billing_pipeline.commands.execution import execute
from billing_pipeline.months import BillingMonth
from billing_pipeline.runs.instance import open_instance
from billing_pipeline.settings import Settings
from tests.compiled_models import take_the_place_of_dbt


def main(names: list[str]) -> None:
    take_the_place_of_dbt()
    settings = Settings.from_env()
    from billing_pipeline.definitions import build_defs

    defs = build_defs({"settings": settings})
    ticks: dict[str, Any] = {}
    keys = settings.home / "run_keys"
    asked = set(keys.read_text(encoding="utf-8").splitlines()) if keys.exists() else set()
    for name in names:
        sensor = defs.resolve_sensor_def(name)
        with (
            open_instance(settings) as instance,
            dg.build_sensor_context(
                instance, definitions=defs, resources=defs.resources, sensor_name=name
            ) as context,
        ):
            data = sensor.evaluate_tick(context)
        runs = []
        for request in data.run_requests or ():
            if request.run_key not in asked:
                asked.add(str(request.run_key))
                month = BillingMonth.parse(str(request.partition_key))
                done = execute(settings, sensor.job_name, month)
                runs.append([sensor.job_name, str(month), done.is_success])
        ticks[name] = {"runs": runs, "skipped": data.skip_message}
    keys.write_text("\n".join(sorted(asked)), encoding="utf-8")
    print(json.dumps(ticks))


if __name__ == "__main__":
    main(sys.argv[1:])
