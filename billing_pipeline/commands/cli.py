"""The command line, `billing …`.

What belongs here: arguments, exit codes, and what a person or a script reads. What does not: any
work, which the Dagster jobs do.

Exit codes: 0 done, 3 some of the plan waits for approval, 1 failed (the reason on the last line),
2 not understood (an unknown command or option). With `--json` stdout is one JSON document,
however a command ends.
"""

from __future__ import annotations

import getpass
import json
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import click
import duckdb
from click.shell_completion import CompletionItem, get_completion_class
from rich.console import Console

from billing_pipeline.collection.plan.dunning_policy import DunningPolicy
from billing_pipeline.collection.plan.limits import limits_from_env
from billing_pipeline.commands.check import check
from billing_pipeline.commands.documents import commands as document_commands
from billing_pipeline.commands.init import init
from billing_pipeline.commands.status import commands as status_commands
from billing_pipeline.commands.terminal import json_option, table
from billing_pipeline.duckdb_sql import rows as queried
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.money import format_amount
from billing_pipeline.months import BillingMonth, InvalidMonthError
from billing_pipeline.published.database import open_published, plan_publication
from billing_pipeline.runs.interruption import INTERRUPTED, was_interrupted
from billing_pipeline.settings import InvalidSettingError, Settings
from billing_pipeline.text import csv_text

FAILED = 1
WAITS = 3
# A mail server may be slow; what is not sent by then, the next command sends.
SEND_FOR_SECONDS = 600.0
# Changes that are listed one by one on the terminal; all are in the table `invoice_plan`.
MAX_SHOWN = 40


_SECTIONS = {
    "Begin": ("init", "check", "completion"),
    "A month": ("plan", "run", "apply", "resolve", "pull"),
    "Look": ("status", "months", "invoices", "explain", "simulate"),
    "Documents": ("invoice", "report", "export"),
    "Server": ("home", "notices", "webhooks"),
}


class _Month(click.ParamType[BillingMonth]):
    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> BillingMonth:
        try:
            return BillingMonth.parse(str(value))
        except InvalidMonthError as error:
            _fail(str(error))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The months that were computed here."""
        found = sorted(path.name for path in Settings.from_env().home.glob("months/????-??"))
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]


class CommandError(Exception):
    """A command ends here. `document` is what `--json` prints in place of the reason alone."""

    def __init__(self, reason: str, document: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.document = document or {"success": False, "reason": reason}


def _fail(reason: str) -> NoReturn:
    raise CommandError(reason)


class _Commands(click.Group):
    """The commands, and the one place where a failure becomes text and an exit code."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **named: Any) -> NoReturn:
        arguments = sys.argv[1:] if args is None else list(args)
        named["standalone_mode"] = False
        code, document = FAILED, None
        try:
            sys.exit(super().main(arguments, *more, **named))
        except click.ClickException as error:
            code = error.exit_code
            document = {"success": False, "reason": error.format_message()}
            error.show()
        except CommandError as error:
            document = error.document
            click.echo(str(error), err=True)
        except (click.Abort, KeyboardInterrupt):
            document = {"success": False, "reason": INTERRUPTED}
            click.echo(INTERRUPTED, err=True)
        except Exception as error:  # noqa: BLE001  (the outermost edge: no user reads a traceback)
            if "--verbose" in arguments:
                traceback.print_exc()
            document = {"success": False, "reason": _reason(error)}
            click.echo(_reason(error), err=True)
        if "--json" in arguments:
            click.echo(json.dumps(document, default=_json, indent=1))
        sys.exit(code)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """In the order in which a newcomer needs them, each with its whole first sentence."""
        for title, names in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, self.commands[name].get_short_help_str(limit=200)) for name in names]
                )


def _reason(error: Exception) -> str:
    """What is not ours is one line with its kind, and `--verbose` tells where it came from."""
    if was_interrupted():
        return INTERRUPTED
    if isinstance(error, InvalidInput):
        return error.told(Settings.from_env().home)
    if type(error).__module__.startswith("billing_pipeline."):
        return str(error)
    text = " ".join(str(error).split())
    if isinstance(error, duckdb.Error):
        return (
            f"{text}. Where this names a file under published/ that is gone or damaged, delete "
            "that file and run its month again: what is published is made anew"
        )
    return f"{type(error).__name__}: {text} (billing --verbose … shows where)"


def _settings() -> Settings:
    try:
        settings = Settings.from_env()
    except InvalidSettingError as error:
        _fail(str(error))
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home):
            pass
    except OSError as error:
        _fail(f"BILLING_HOME {settings.home} cannot be written: {error.strerror}")
    return settings


@click.group(cls=_Commands)
@click.option("--verbose", is_flag=True, help="Show Dagster's log while a job runs.")
def main(verbose: bool) -> None:
    """Close billing months: exact charges, sent once."""
    click.get_current_context().obj = verbose


def _run(
    job: str, month: BillingMonth, as_json: bool, config: dict[str, object] | None = None
) -> None:
    settings = _settings()
    # Checked before anything is done; the jobs read them again where they need them.
    limits_from_env()
    DunningPolicy.from_env()
    from billing_pipeline.commands.execution import execute

    if not as_json:
        click.echo(f"{job} {month} …", err=True)
    verbose = bool(click.get_current_context().obj)
    former = plan_publication(settings, month)
    result = execute(settings, job, month, config, is_verbose=verbose)
    rows: list[dict[str, Any]] = []
    payments: list[dict[str, Any]] = []
    # A run that failed before it published anything did nothing that could be shown.
    if result.is_success or plan_publication(settings, month) != former:
        rows, payments = _published(settings, month)
    waiting = [row for row in rows if row["state"] == "waiting"]
    summary = {
        "job": job,
        "month": str(month),
        "run_id": result.run_id,
        "success": result.is_success,
        "reason": result.reason,
        "plan_hash": rows[0]["plan_hash"] if rows else None,
        "plan": rows,
        "payments": payments,
    }
    if not as_json:
        _show(rows, payments)
    if not result.is_success:
        raise CommandError(result.reason or "the run failed", summary)
    if as_json:
        click.echo(json.dumps(summary, default=_json, indent=1))
    if job == "preview_month" and rows and not as_json:
        click.echo(f"Nothing was sent. The plan's hash: {rows[0]['plan_hash']}")
    if waiting:
        _say_what_to_do(month, waiting)
        if job != "preview_month":
            sys.exit(WAITS)


def _say_what_to_do(month: BillingMonth, waiting: Sequence[dict[str, Any]]) -> None:
    """The commands that end the waiting."""
    reviews = [row["invoice_id"] for row in waiting if row["action"] == "review"]
    changes = len(waiting) - len(reviews)
    if reviews:
        click.echo(
            f"{len(reviews)} invoices are in review, the first: billing resolve {reviews[0]} "
            "--adopt | --reissue | --write-off --reason TEXT",
            err=True,
        )
    if changes:
        command = f"billing apply {month} --approve {waiting[0]['plan_hash']}"
        click.echo(f"{changes} changes wait for approval: {command}", err=True)


def _published(
    settings: Settings, month: BillingMonth
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The month's invoice plan and payments."""
    with open_published(settings) as published:
        return _read(published, "invoice_plan", month), _read(published, "invoice_payments", month)


def _read(
    published: duckdb.DuckDBPyConnection, table: str, month: BillingMonth
) -> list[dict[str, Any]]:
    return queried(published, f"SELECT * FROM {table} WHERE billing_month = $1::DATE", month.key)


def _json(value: object) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _show(plan: Sequence[dict[str, Any]], payments: Iterable[dict[str, Any]]) -> None:
    console = Console()
    actions = _sums(plan, ("action", "state", "currency"), ("amount_before", "amount_after"))
    if actions:
        columns = ("action", "state", "currency", "invoices", "before", "after")
        console.print(table("Invoice plan", columns, actions))
    attention = [row for row in plan if row["state"] in ("waiting", "failed")]
    if attention:
        columns = ("customer", "action", "state", "before", "after", "why")
        cells = [_change(row) for row in attention[:MAX_SHOWN]]
        console.print(table("What waits or failed", columns, cells, folds="why"))
        if len(attention) > MAX_SHOWN:
            console.print(f"and {len(attention) - MAX_SHOWN} more: see --json, or invoice_plan")
    states = _sums(payments, ("status", "currency"), ("billed", "paid", "outstanding"))
    if states:
        columns = ("status", "currency", "invoices", "billed", "paid", "outstanding")
        console.print(table("Invoices and payments", columns, states))


def _change(row: dict[str, Any]) -> list[str]:
    before, after = (
        format_amount(row[name], row["currency"]) for name in ("amount_before", "amount_after")
    )
    amounts = (f"{before} {row['currency']}", f"{after} {row['currency']}")
    return [row["customer_id"], row["action"], row["state"], *amounts, row["reason"]]


def _sums(
    rows: Iterable[dict[str, Any]], keys: tuple[str, ...], amounts: tuple[str, ...]
) -> list[list[Any]]:
    """One row for each key, whose last part is the currency: the key, a count, and the sums."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [
        [
            *key,
            len(group),
            *(format_amount(sum(row[name] for row in group), key[-1]) for name in amounts),
        ]
        for key, group in sorted(groups.items())
    ]


_month = click.argument("month", type=_Month())


@main.command()
@_month
@json_option
def run(month: BillingMonth, as_json: bool) -> None:
    """Close MONTH: load, rate, plan, apply what is safe, pull."""
    _run("close_month", month, as_json)


@main.command()
@_month
@json_option
def plan(month: BillingMonth, as_json: bool) -> None:
    """Load, rate and show the invoice plan of MONTH; writes nothing to Stripe."""
    _run("preview_month", month, as_json)


@main.command()
@_month
@click.option("--approve", "plan_hash", required=True, help="The hash of the plan that you read.")
@json_option
def apply(month: BillingMonth, plan_hash: str, as_json: bool) -> None:
    """Carry out exactly the plan with this hash; refused if it is another by now."""
    config: dict[str, object] = {"ops": {"approved_changes": {"config": {"plan_hash": plan_hash}}}}
    _run("apply_plan", month, as_json, config)


@main.command()
@click.argument("invoice_id", metavar="INVOICE_ID")
@click.option("--adopt", "decision", flag_value="adopt", help="What stands in Stripe is right.")
@click.option(
    "--reissue", "decision", flag_value="reissue", help="Bill again what was voided or deleted."
)
@click.option("--write-off", "decision", flag_value="write_off", help="Leave the difference.")
@click.option("--reason", required=True, help="Why, for the record.")
@click.option(
    "--by", "decided_by", default=getpass.getuser, show_default="your login", help="Who decides."
)
@json_option
def resolve(
    invoice_id: str, decision: str | None, reason: str, decided_by: str, as_json: bool
) -> None:
    """Decide about an invoice in review; the decision waits for approval by the plan's hash."""
    if decision is None:
        raise click.UsageError("one of --adopt, --reissue and --write-off is needed")
    if not reason.strip():
        raise click.UsageError("--reason is empty: why is it decided so?")
    month, known_as = _invoice_of(_settings(), invoice_id)
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
    """The month and our id of an invoice, by our id, Stripe's, or its number."""
    with open_published(settings) as published:
        found = published.execute(_INVOICE, [name]).fetchall()
    if not found:
        _fail(f"no invoice {name} was planned or sent: `billing plan MONTH` names those in review")
    [(billing_month, invoice_id)] = found
    return BillingMonth.parse(str(billing_month)), str(invoice_id or name)


@main.command()
@_month
@json_option
def pull(month: BillingMonth, as_json: bool) -> None:
    """Refresh the payment status of MONTH."""
    _run("pull_payments", month, as_json)


@main.command()
@click.argument("record_id", metavar="ID")
@json_option
def explain(record_id: str, as_json: bool) -> None:
    """Show how an invoice, line or charge came about: the rule, the tiers, the sums, the events."""
    settings = Settings.from_env()
    from billing_pipeline.commands.explain import explain as explained
    from billing_pipeline.commands.explain import render

    try:
        found = explained(settings, record_id)
    except LookupError as error:
        _fail(str(error))
    click.echo(json.dumps(found, default=_json, indent=1) if as_json else render(found))


class _Months(click.ParamType[list[BillingMonth]]):
    name = "A..B"

    def convert(self, value: Any, param: Any, context: Any) -> list[BillingMonth]:
        first, _, last = str(value).partition("..")
        try:
            months = [BillingMonth.parse(first)]
            until = BillingMonth.parse(last or first)
        except InvalidMonthError as error:
            _fail(str(error))
        if until < months[0]:
            _fail(f"{value}: the first month comes after the last")
        while months[-1] < until:
            months.append(months[-1].shift(1))
        return months


@main.command()
@click.option(
    "--catalog",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder like catalog/, with the other price book.",
)
@click.option("--months", required=True, type=_Months(), help="For example 2024-01..2024-03.")
@click.option(
    "--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write a file."
)
@json_option
def simulate(
    catalog: Path, months: list[BillingMonth], csv_file: Path | None, as_json: bool
) -> None:
    """Rate past usage with another price book; nothing that was billed is touched."""
    settings = _settings()
    for month in months:
        settings.require_month(month, datetime.now(UTC))
    from billing_pipeline.commands.simulate import simulate as simulated

    def notify(month: BillingMonth) -> None:
        if not as_json:
            click.echo(f"{month} …", err=True)

    done = simulated(settings, catalog, months, datetime.now(UTC), notify)
    if csv_file is not None:
        csv_file.write_text(csv_text(done.rows), encoding="utf-8", newline="")
    if as_json:
        document = {"simulation_id": done.simulation_id, "changes": list(done.rows)}
        click.echo(json.dumps(document, default=_json, indent=1))
        return
    console = Console()
    amounts = ("present_amount", "simulated_amount", "change")
    for key in ("plan_id", "price_id", "customer_id"):
        sums = _sums(done.rows, (key, "currency"), amounts)
        largest = sorted(
            (row for row in sums if row[-1] != format_amount(Decimal(0), row[1])),
            key=lambda row: -abs(Decimal(row[-1].replace(",", ""))),
        )
        name = key.removesuffix("_id")
        columns = (name, "currency", "rows", "present", "simulated", "change")
        console.print(table(f"Change by {name}", columns, largest[:MAX_SHOWN]))
    totals = _sums([{**row, "all": ""} for row in done.rows], ("all", "currency"), amounts)
    console.print(table("All months", columns[1:], [row[1:] for row in totals]))
    console.print(
        f"Before discounts and tax. All rows: table simulation_changes, {done.simulation_id}."
    )


@main.command()
def home() -> None:
    """Make BILLING_HOME ready for Dagster's services, and print their DAGSTER_HOME."""
    settings = _settings()
    from billing_pipeline.runs.instance import instance_home

    click.echo(instance_home(settings))


@main.command()
@json_option
def notices(as_json: bool) -> None:
    """Send the notices that are due, each once; for who runs no daemon."""
    settings = _settings()
    from billing_pipeline.defs.notifications import notify_once, said

    outcome = notify_once(settings, datetime.now(UTC), SEND_FOR_SECONDS)
    found = {"success": True, "sent": outcome.sent, "is_busy": outcome.is_busy}
    click.echo(json.dumps(found, indent=1) if as_json else said(outcome))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8787, show_default=True,
    help="0: any that is free.",
)  # fmt: skip
def webhooks(host: str, port: int) -> None:
    """Receive Stripe's events, verified by STRIPE_WEBHOOK_SECRET; the sensor takes them up."""
    from billing_pipeline.commands.webhooks import serve

    try:
        serve(_settings(), host, port, click.echo)
    except InvalidSettingError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{host}:{port} cannot be listened on: {error}; choose another with --host, --port")


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes Tab complete commands, options and months: `source <(… completion bash)`."""
    shell_class = get_completion_class(shell)
    assert shell_class is not None
    click.echo(shell_class(main, {}, "billing", "_BILLING_COMPLETE").source())


for _command in (*status_commands(), init, check, *document_commands()):
    main.add_command(_command)


if __name__ == "__main__":
    from billing_pipeline.__main__ import program

    program()
