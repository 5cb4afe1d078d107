"""``python -m tests.end_to_end.payments_story FILE``: what happens after a month was closed.

What belongs here: driving the real sensor and jobs over the sandbox in one process (the settings
are the process's own), breaking things on purpose, and noting what was seen into FILE. What does
not: judging any of it (`test_payments.py`).
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from billing_pipeline.collection import stripe_gateway
from billing_pipeline.commands.execution import execute
from billing_pipeline.definitions import defs
from billing_pipeline.defs.resources import resources
from billing_pipeline.defs.sensors import stripe_changes
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import open_published
from billing_pipeline.runs.instance import open_instance
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_sandbox.server import FILE_NAME
from tests.compiled_models import take_the_place_of_dbt

Json = dict[str, Any]
MONTH = BillingMonth.parse("2026-01")
CUSTOMER = "m-failing-card"
RUNNING = BillingMonth.containing(datetime.now(UTC), ZoneInfo("UTC"))


class Story:
    """A home whose month is closed, and what can happen to it."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance

    def tick(self) -> list[Json]:
        """One tick of the sensor, and the runs that it requests."""
        asked = []
        with dg.build_sensor_context(self.instance, resources=RESOURCES) as context:
            requests = list(stripe_changes(context))
        for request in requests:
            if isinstance(request, dg.SkipReason):
                continue
            ran = self.run("pull_payments", request.partition_key, request.run_config)
            full = request.run_config["ops"]["invoice_payments"]["config"]["in_full"]
            asked.append({"month": request.partition_key, "in_full": full, **ran})
        return asked

    def run(
        self, job: str, partition: str | None = None, config: Mapping[str, Any] | None = None
    ) -> Json:
        result = defs.resolve_job_def(job).execute_in_process(
            partition_key=partition,
            instance=self.instance,
            raise_on_error=False,
            run_config={"loggers": _QUIET, **(config or {})},
        )
        return {
            "success": result.success,
            "checks": {
                check.check_name: check.passed for check in result.get_asset_check_evaluations()
            },
            "severities": {
                check.check_name: check.severity.value
                for check in result.get_asset_check_evaluations()
            },
        }

    def payment(self, customer: str = CUSTOMER) -> Json:
        """The customer's published payment status."""
        with open_published(self.settings) as published:
            found = published.execute(
                "SELECT status, paid::VARCHAR, outstanding::VARCHAR, attempt_count,"
                " epoch(next_attempt_at)::BIGINT"
                " FROM invoice_payments WHERE customer_id = ?",
                [customer],
            ).fetchall()
        (row,) = found
        names = ("status", "paid", "outstanding", "attempt_count", "next_attempt_at")
        return dict(zip(names, row, strict=True))

    def pay_by_hand(self, customer: str = CUSTOMER) -> None:
        """The customer puts in another card and pays, on Stripe's page."""
        with stripe_gateway.open_gateway(self.settings) as gateway:

            async def pay() -> None:
                async for invoice in gateway.list("/v1/invoices"):
                    if invoice["metadata"].get("billing_customer_id") == customer:
                        card = {"customer": invoice["customer"]}
                        attach = "/v1/payment_methods/pm_card_visa/attach"
                        method = (await gateway.post(attach, card, key="card")).body["id"]
                        path = f"/v1/invoices/{invoice['id']}/pay"
                        await gateway.post(path, {"payment_method": method}, key="by-hand")

            stripe_gateway.run(gateway, pay)

    def top_up(self, payment: str, *, customer: str = CUSTOMER) -> None:
        """Somebody pays 25.00 for the top-up `top-1`."""
        with stripe_gateway.open_gateway(self.settings) as gateway:

            async def pay() -> None:
                ids = {
                    found["metadata"].get("billing_customer_id"): found["id"]
                    async for found in gateway.list("/v1/customers")
                }
                intent = {
                    "amount": 2500,
                    "currency": "usd",
                    "customer": ids[CUSTOMER],
                    "payment_method": "pm_card_visa",
                    "confirm": True,
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "metadata": {"billing_top_up": "top-1", "billing_customer_id": customer},
                }
                await gateway.post("/v1/payment_intents", intent, key=payment)

            stripe_gateway.run(gateway, pay)

    def wallet(self) -> list[Json]:
        """The movements of the running month, as published by its preview."""
        with open_published(self.settings) as published:
            found = published.execute(
                "SELECT customer_id, kind, amount::DECIMAL(38, 2)::VARCHAR, reference"
                " FROM wallet_ledger WHERE billing_month = ?::DATE",
                [RUNNING.key],
            ).fetchall()
        return [dict(zip(("customer", "kind", "amount", "by"), row, strict=True)) for row in found]

    def edit_in_stripe(self, change: str) -> None:
        """Change the sandbox directly: nobody could do this in Stripe, and no event reports it."""
        with sqlite3.connect(self.settings.sandbox_dir / FILE_NAME) as books:
            books.execute(
                f"update objects set body = {change} where kind = 'invoice' and id ="
                " (select max(id) from objects where kind = 'invoice' and id not like 'in_else%')"
            )

    def use_more(self) -> None:
        """A call arrives late: a supplement, which waits for approval."""
        late = Path(self.settings.data_dir) / "usage" / str(MONTH) / "late.csv"
        late.write_text(
            "event_id,customer_id,event_name,occurred_at,quantity,properties\n"
            'late-1,m-steady,api_call,2026-01-30T00:00:00Z,,"{""cost_cents"": 100}"\n'
        )

    def waiting(self) -> list[str]:
        """What the published plan would do to each invoice of the month."""
        with open_published(self.settings) as published:
            query = "SELECT DISTINCT action FROM invoice_plan WHERE billing_month = ?::DATE"
            return [action for (action,) in published.execute(query, [MONTH.key]).fetchall()]

    def requests_that_changed(self) -> int:
        with sqlite3.connect(self.settings.records_dir / "journal.db") as request_log:
            (row,) = request_log.execute("select count(*) from requests").fetchall()
        return int(row[0])

    def change_records(self) -> None:
        with sqlite3.connect(self.settings.records_dir / "billed.db") as billed:
            billed.executescript("drop trigger billed_stays;")
            billed.execute("update billed set body = replace(body, '\"total\":', '\"total\": ')")


RESOURCES = resources()
_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


def main(out: Path) -> None:
    take_the_place_of_dbt()
    settings = Settings.from_env()
    closed = execute(settings, "close_month", MONTH)
    seen: Json = {"closed": closed.is_success, "reason": closed.reason}
    with open_instance(settings) as instance:
        story = Story(settings, instance)
        seen["first tick"], seen["second tick"] = story.tick(), story.tick()
        seen["billed"] = story.payment()
        seen["first collection"], seen["tried"] = story.run("collect_payments"), story.payment()
        seen["second collection"], seen["before"] = story.run("collect_payments"), story.payment()
        seen["tick after collections"] = story.tick()
        story.pay_by_hand()
        seen["tick after payment"] = story.tick()
        seen["after"] = story.payment()
        seen["last tick"] = story.tick()

        story.top_up("first")
        seen["topped up"], seen["wallet"] = story.run("preview_month", str(RUNNING)), story.wallet()
        story.top_up("second")
        story.run("preview_month", str(RUNNING))
        seen["topped up again"] = story.run("preview_month", str(RUNNING))
        seen["wallet again"] = story.wallet()

        seen["sound"] = story.run("pull_payments", str(MONTH))
        story.edit_in_stripe("json_set(body, '$.total', json_extract(body, '$.total') + 1)")
        seen["a cent more in Stripe"] = story.run("pull_payments", str(MONTH))
        story.edit_in_stripe("json_set(body, '$.total', json_extract(body, '$.total') - 1)")
        seen["put right"] = story.run("pull_payments", str(MONTH))
        story.use_more()
        seen["late usage"] = story.run("close_month", str(MONTH))
        seen["all as recorded"] = story.run("verify_billed")
        story.change_records()
        seen["all verified"] = story.run("verify_billed")
        seen["another month"] = story.run("pull_payments", str(RUNNING))
        seen["asked before"] = story.requests_that_changed()
        seen["closed over changed records"] = story.run("close_month", str(MONTH))
        seen["asked after"] = story.requests_that_changed()
        seen["waiting"] = story.waiting()
    seen["pulled over changed records"] = execute(settings, "pull_payments", MONTH).reason
    out.write_text(json.dumps(seen, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
