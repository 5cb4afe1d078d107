"""`billing plan | run | apply | resolve | pull`: the steps of closing a month.

What belongs here: which job a command runs, and how its outcome is shown to a person or a script.
What does not: the work, which the jobs do, and running them (``execution``).
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from billing_pipeline.collection.approval_answers import Answer, first_answer, month_of
from billing_pipeline.collection.plan.closed_books import closed_sentence
from billing_pipeline.collection.stripe_state.cached_tax_ids import (
    read_tax_id_problems,
    tax_ids_summary,
)
from billing_pipeline.commands.execution import execute
from billing_pipeline.commands.parameters import (
    MONTH,
    MONTH_OR_HASH,
    json_option,
    settings_with_home,
)
from billing_pipeline.commands.plan_tables import net, show
from billing_pipeline.commands.terminal import CommandError, print_json
from billing_pipeline.duckdb_sql import rows as queried
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.health import usage_gaps
from billing_pipeline.published.reading import open_published, plan_publication
from billing_pipeline.settings import Settings
from billing_pipeline.text import printable
from billing_pipeline.web.links import approval_url

# Some of the plan waits for approval.
WAITS = 3

_month = click.argument("month", type=MONTH)


@click.command()
@_month
@click.option(
    "--without",
    multiple=True,
    metavar="SOURCE",
    help="Do not wait for usage from this source; may be repeated.",
)
@json_option
def run(month: BillingMonth, without: tuple[str, ...], as_json: bool) -> None:
    """Close MONTH: load, rate, plan, apply what is safe, pull."""
    config: dict[str, object] = {"ops": {"intake": {"config": {"without": list(without)}}}}
    _run("close_month", month, as_json, config if without else None)


@click.command()
@_month
@json_option
def plan(month: BillingMonth, as_json: bool) -> None:
    """Load, rate and show the invoice plan of MONTH; writes nothing to Stripe."""
    _run("preview_month", month, as_json)


@click.command()
@click.argument("what", metavar="[MONTH|HASH]", type=MONTH_OR_HASH, required=False)
@click.option("--approve", "approved", metavar="HASH", help="Hash of the plan to apply.")
@click.option(
    "--decline",
    "declined",
    metavar="HASH",
    help="Reject what waits in this plan; it is not proposed again until it changes.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="CUSTOMER",
    help="Only this customer; the rest keeps waiting under the same hash. May be repeated.",
)
@click.option("--reason", default="", help="Reason, for the record; required with --decline.")
@click.option(
    "--by", "decided_by", default=getpass.getuser, show_default="your login", help="Who decides."
)
@json_option
def apply(
    what: BillingMonth | str | None,
    approved: str | None,
    declined: str | None,
    only: tuple[str, ...],
    reason: str,
    decided_by: str,
    as_json: bool,
) -> None:
    """Apply exactly the plan with this hash, in full or for some customers; refused if the plan
    has changed since. Or decline it. MONTH can be left out: the hash determines it."""
    named = what if isinstance(what, str) else None
    hashes = [each for each in (named, approved, declined) if each is not None]
    if len(hashes) != 1:
        raise click.UsageError("one hash is needed: HASH, --approve HASH or --decline HASH")
    [plan_hash] = hashes
    if declined and not reason.strip():
        raise click.UsageError("--decline needs a --reason")
    settings = settings_with_home()
    month = what if isinstance(what, BillingMonth) else month_of(settings, plan_hash)
    if isinstance(month, Answer):
        raise CommandError(month.sentence)
    answer = first_answer(settings, month, plan_hash)
    if answer is not None and answer.is_harmless:
        if as_json:
            print_json({"success": True, "reason": answer.sentence})
        else:
            click.echo(answer.sentence)
        return
    if answer is not None:
        raise CommandError(answer.sentence)
    decision = {
        "plan_hash": plan_hash,
        "only": list(only),
        "decline": declined is not None,
        "reason": reason.strip(),
        "decided_by": decided_by,
    }
    _run("apply_plan", month, as_json, {"ops": {"approved_changes": {"config": decision}}})


@click.command()
@click.argument("invoice_id", metavar="INVOICE_ID")
@click.option(
    "--adopt", "decision", flag_value="adopt", help="Accept the invoice as it is in Stripe."
)
@click.option(
    "--reissue",
    "decision",
    flag_value="reissue",
    help="Bill again what was voided or deleted in Stripe.",
)
@click.option(
    "--write-off", "decision", flag_value="write_off", help="Accept the difference; never bill it."
)
@click.option("--reason", required=True, help="Reason, for the record.")
@click.option(
    "--by", "decided_by", default=getpass.getuser, show_default="your login", help="Who decides."
)
@json_option
def resolve(
    invoice_id: str, decision: str | None, reason: str, decided_by: str, as_json: bool
) -> None:
    """Decide on an invoice in review; the decision waits for approval of the plan's hash."""
    if decision is None:
        raise click.UsageError("one of --adopt, --reissue and --write-off is needed")
    if not reason.strip():
        raise click.UsageError("--reason is empty")
    month, known_as = _invoice_of(settings_with_home(), invoice_id)
    asked = {
        "invoice_id": known_as,
        "decision": decision,
        "reason": reason.strip(),
        "decided_by": decided_by,
    }
    _run("resolve_review", month, as_json, {"ops": {"proposed_resolution": {"config": asked}}})


_INVOICE = """
SELECT billing_month, invoice_id FROM invoice_plan WHERE invoice_id = $1
UNION ALL
SELECT billing_month, invoice_id FROM stripe_invoices
WHERE list_contains([stripe_invoice_id, number, invoice_id], $1)
LIMIT 1
"""


def _invoice_of(settings: Settings, name: str) -> tuple[BillingMonth, str]:
    """An invoice's month and our id for it; `name` is our id, Stripe's, or its number."""
    with open_published(settings) as published:
        found = published.execute(_INVOICE, [name]).fetchall()
    if not found:
        raise CommandError(
            f"no invoice {name} was planned or sent: `billing plan MONTH` names those in review"
        )
    [(billing_month, invoice_id)] = found
    return BillingMonth.parse(str(billing_month)), str(invoice_id or name)


@click.command()
@_month
@json_option
def pull(month: BillingMonth, as_json: bool) -> None:
    """Refresh the payment status of MONTH."""
    _run("pull_payments", month, as_json)


def _run(
    job: str, month: BillingMonth, as_json: bool, config: dict[str, object] | None = None
) -> None:
    """Run a job for the month, and print what was planned, sent and paid. Exits with `WAITS` if
    some of the plan waits, except after a preview, which sends nothing."""
    settings = settings_with_home()
    if not as_json:
        click.echo(f"{job} {month} …", err=True)
    verbose = bool(click.get_current_context().obj)
    former = plan_publication(settings, month)
    result = execute(settings, job, month, config, is_verbose=verbose)
    # A run that failed before it published anything has nothing to show.
    is_published = result.is_success or plan_publication(settings, month) != former
    found = _published(settings, month) if is_published else _Published()
    rows = found.plan
    waiting = [row for row in rows if row["state"] == "waiting"]
    summary: dict[str, Any] = {
        "job": job,
        "month": str(month),
        "run_id": result.run_id,
        "success": result.is_success,
        "reason": result.reason,
        "plan_hash": rows[0]["plan_hash"] if rows else None,
        "plan": rows,
        "plan_changes": found.changes,
        "net": {row[0]: row[-1] for row in net(rows, "amount_change")},
        "next": _next_step(settings, month, waiting),
        "payments": found.payments,
        "missing_usage": found.gaps,
        "closed": closed_sentence(settings.locked_through, month),
        "tax_ids_not_in_stripe": read_tax_id_problems(settings.records_dir),
    }
    if not as_json:
        show(rows, found.changes, found.payments)
        for gap in found.gaps:
            click.secho(f"{month}: {gap}", fg="red", err=True)
        if summary["closed"]:
            click.echo(f"{month}: {summary['closed']}", err=True)
        if summary["tax_ids_not_in_stripe"]:
            click.secho(
                printable(tax_ids_summary(summary["tax_ids_not_in_stripe"])), fg="yellow", err=True
            )
    if not result.is_success:
        raise CommandError(result.reason or "the run failed", summary)
    if result.answer is not None:
        raise CommandError(result.answer, summary | {"success": False, "reason": result.answer})
    if as_json:
        print_json(summary)
    if job == "preview_month" and rows and not as_json:
        click.echo(f"Nothing was sent. The plan's hash: {rows[0]['plan_hash']}")
    if waiting:
        _show_next_steps(summary["next"], waiting)
        if job != "preview_month":
            sys.exit(WAITS)


def _next_step(
    settings: Settings, month: BillingMonth, waiting: Sequence[dict[str, Any]]
) -> dict[str, str]:
    """How to proceed with what waits: a command for reviews, a command and a link for changes."""
    steps = {}
    reviews = [row["invoice_id"] for row in waiting if row["action"] == "review"]
    if reviews:
        steps["resolve"] = (
            f"billing resolve {reviews[0]} --adopt | --reissue | --write-off --reason TEXT"
        )
    if len(waiting) > len(reviews):
        plan_hash = waiting[0]["plan_hash"]
        steps["approve"] = f"billing apply {month} --approve {plan_hash}"
        steps["approve_in_ui"] = approval_url(settings.ui_url, month, plan_hash)
    return steps


def _show_next_steps(steps: dict[str, str], waiting: Sequence[dict[str, Any]]) -> None:
    reviews = sum(row["action"] == "review" for row in waiting)
    if reviews:
        click.echo(f"{reviews} invoices are in review, the first: {steps['resolve']}", err=True)
    if "approve" in steps:
        changes = len(waiting) - reviews
        what = "1 change waits" if changes == 1 else f"{changes} changes wait"
        click.echo(f"{what} for approval: {steps['approve']}", err=True)
        click.echo(f"or in the Dagster UI (billing ui): {steps['approve_in_ui']}", err=True)


@dataclass(frozen=True)
class _Published:
    """The month's invoice plan, the lines that it changes, its payments, and the usage that has not
    arrived."""

    plan: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    payments: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


# A plan published by an earlier release does not say which lines change.
_PLAN = """
SELECT * REPLACE (coalesce(amount_change, amount_after - amount_before) AS amount_change)
FROM invoice_plan WHERE billing_month = $1::DATE
"""
_CHANGES = "SELECT * FROM plan_changes WHERE billing_month = $1::DATE"
_PAYMENTS = "SELECT * FROM invoice_payments WHERE billing_month = $1::DATE"


def _published(settings: Settings, month: BillingMonth) -> _Published:
    with open_published(settings) as published:
        return _Published(
            plan=queried(published, _PLAN, month.key),
            changes=queried(published, _CHANGES, month.key),
            payments=queried(published, _PAYMENTS, month.key),
            gaps=[gap["reason"] for gap in usage_gaps(published) if gap["month"] == str(month)],
        )
