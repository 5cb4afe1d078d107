"""The work against Stripe: a push under its limits, an unchanged rerun, a pull of what changed.

What belongs here: that work and its figures. What does not: the account (``account.py``), the
aims (``scenarios.py``).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.account import KEY, CountingSandbox, account
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

Figures = dict[str, Any]
HOUR = 3600.0
FIRST, SECOND = BillingMonth.parse("2024-01"), BillingMonth.parse("2024-02")


def run_job(
    job: str, month: BillingMonth, operation: str = "", config: dict[str, object] | None = None
) -> float:
    """Seconds of one job, which must succeed; `config` is that of its one `operation`."""
    from billing_pipeline.commands.execution import execute

    given: dict[str, object] | None = None
    if config is not None:
        given = {"ops": {operation: {"config": config}}}
    began = time.perf_counter()
    result = execute(Settings.from_env(os.environ), job, month, given)
    assert result.is_success, f"{job} {month}: {result.reason}"
    return time.perf_counter() - began


def published(query: str) -> Any:
    from billing_pipeline.published.reading import open_published

    with open_published(Settings.from_env(os.environ)) as database:
        [[value]] = database.execute(query).fetchall()
    return value


def prepare(data: Path, home: Path) -> Figures:
    """The month before, without limits: the account knows the customers."""
    with account(home) as stripe:
        seconds = run_job("close_month", FIRST)
        return {"seconds": seconds, "requests": stripe.count.requests}


def push(data: Path, home: Path, rounds: str) -> Figures:
    """Apply a month's approved plan under Stripe's limits, then close it again unchanged, so many
    times."""
    with account(home, like_stripe=True) as stripe:
        # Else the month before, made minutes ago, would be listed with this one.
        stripe.ahead = 30 * 24 * HOUR
        previewed = run_job("preview_month", SECOND)
        plan_hash = published(
            f"SELECT any_value(plan_hash) FROM invoice_plan WHERE billing_month = '{SECOND}-01'"
        )
        stripe.taken()
        seconds = run_job("apply_plan", SECOND, "approved_changes", {"plan_hash": plan_hash})
        sent = stripe.taken()
        invoices = _settled(SECOND)
        reruns = [run_job("close_month", SECOND) for _ in range(int(rounds))]
        again = stripe.taken()
        assert again.writes == 0, f"{again.writes} writes to Stripe on an unchanged rerun"
        return {
            "seconds": seconds,
            "preview_seconds": previewed,
            "invoices": invoices,
            "lines": published(
                f"SELECT count(*) FROM invoice_lines WHERE billing_month = '{SECOND}-01'"
            ),
            "writes": sent.writes,
            "requests": sent.requests,
            "too_many": sent.too_many,
            "rerun_seconds": reruns,
            "rerun_requests": again.requests / len(reruns),
            "rerun_too_many": again.too_many,
        }


def rerun(data: Path, home: Path) -> Figures:
    """First run and unchanged rerun of each of the data's months but the first, in one process."""
    months = sorted(BillingMonth.parse(path.name) for path in (data / "usage").iterdir())
    first_runs, reruns = [], []
    with account(home) as stripe:
        run_job("close_month", months[0])
        for month in months[1:]:
            first_runs.append(run_job("close_month", month))
            stripe.taken()
            reruns.append(run_job("close_month", month))
            assert stripe.taken().writes == 0, "writes to Stripe on an unchanged rerun"
    return {"seconds": sum(reruns), "each": reruns, "first_runs": first_runs}


def pull(data: Path, home: Path) -> Figures:
    """Bring payments up to date after 1 % of the invoices were paid, as the sensor does: right
    after the close, and hours later."""
    with account(home) as stripe:
        run_job("close_month", FIRST)
        invoices = _settled(FIRST)
        _pull_changes()
        at_once = _pay_and_pull(stripe, invoices // 100)
        # Something happens in the meantime, or the events of the close would still be the last.
        stripe.ahead += HOUR
        _pay_and_pull(stripe, 1)
        stripe.ahead += HOUR
        later = _pay_and_pull(stripe, invoices // 100)
        return {
            "seconds": later["seconds"],
            "invoices": invoices,
            "changed": invoices // 100,
            "at_once": at_once,
            "later": later,
        }


def _pay_and_pull(stripe: CountingSandbox, count: int) -> Figures:
    """Pay some invoices, bring payments up to date, and see that they are."""
    paid = "SELECT count(*) FROM invoice_payments WHERE status = 'paid'"
    expected = published(paid) + _pay_invoices(stripe, count)
    stripe.taken()
    began = time.perf_counter()
    _pull_changes()
    figures = {"seconds": time.perf_counter() - began, "requests": stripe.taken().requests}
    assert published(paid) == expected, f"{expected} were paid, {published(paid)} are seen to be"
    return figures


def _settled(month: BillingMonth) -> int:
    """How many invoices of a month Stripe holds, each with exactly our total."""
    where = f"WHERE billing_month = '{month}-01'"
    wrong = published(f"SELECT count(*) FROM reconciliation {where} AND difference <> 0")
    assert wrong == 0, f"{wrong} invoices of {month} have another total in Stripe"
    held = published(f"SELECT count(*) FROM stripe_invoices {where} AND status <> 'draft'")
    assert held == published(f"SELECT count(*) FROM invoices {where}")
    return int(held)


def _pull_changes() -> None:
    """What the sensor `stripe_changes` and the runs that it asks for do."""
    from billing_pipeline.collection import payments, stripe_gateway

    settings = Settings.from_env(os.environ)
    with stripe_gateway.open_gateway(settings) as gateway:
        stale = stripe_gateway.run(gateway, lambda: payments.stale_months(gateway, settings))
    for found in stale:
        run_job("pull_payments", found.month, "invoice_payments", {"in_full": found.in_full})


def _pay_invoices(stripe: CountingSandbox, count: int) -> int:
    """Have customers pay open invoices by card, as on Stripe's page, spread over all of them."""
    settings = Settings.from_env(os.environ)
    from billing_pipeline.published.reading import open_published

    with open_published(settings) as database:
        ids = database.execute(
            "SELECT stripe_invoice_id, stripe_customer_id FROM stripe_invoices"
            " WHERE status = 'open' ORDER BY md5(stripe_invoice_id) LIMIT ?",
            [count],
        ).fetchall()
    headers = {"Authorization": f"Bearer {KEY}"}
    for stripe_invoice_id, customer in ids:
        attach = "/v1/payment_methods/pm_card_visa/attach"
        attached = stripe.handle("POST", attach, headers, f"customer={customer}")
        assert attached.status == 200, attached.body
        card, path = attached.json()["id"], f"/v1/invoices/{stripe_invoice_id}/pay"
        answer = stripe.handle("POST", path, headers, f"payment_method={card}")
        assert answer.status == 200, answer.body
    return len(ids)
