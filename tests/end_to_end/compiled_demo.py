"""``python -m tests.end_to_end.compiled_demo``: the demo, without a run of dbt for each month."""

from __future__ import annotations

from billing_pipeline.__main__ import run
from billing_pipeline.commands.demo import main
from tests.compiled_models import take_the_place_of_dbt

if __name__ == "__main__":
    take_the_place_of_dbt()
    run(main)
