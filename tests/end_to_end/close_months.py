"""``python -m tests.end_to_end.close_months FOLDER MONTH…``: close months, save Stripe's state.

What belongs here: running `close_month` for several months in one process (the settings are the
process's own, so each example needs one), and writing down after each what the sandbox says over
its API. What does not: judging any of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from billing_pipeline.collection import stripe_gateway
from billing_pipeline.commands.execution import execute
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from tests.compiled_models import take_the_place_of_dbt


def main(folder: Path, months: list[str]) -> None:
    take_the_place_of_dbt()
    settings = Settings.from_env()
    folder.mkdir()
    for number, text in enumerate(months):
        result = execute(settings, "close_month", BillingMonth.parse(text))
        seen = {"success": result.is_success, "reason": result.reason, **held(settings)}
        (folder / f"{number}-{text}.json").write_text(json.dumps(seen), encoding="utf-8")


def held(settings: Settings) -> dict[str, Any]:
    """Our invoices and customers in the sandbox, oldest first; others have some there too."""
    with stripe_gateway.open_gateway(settings) as gateway:

        async def everything() -> dict[str, Any]:
            return {
                name: [
                    item
                    async for item in gateway.list(f"/v1/{name}")
                    if "billing_customer_id" in item["metadata"]
                ][::-1]
                for name in ("invoices", "customers")
            }

        return stripe_gateway.run(gateway, everything)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
