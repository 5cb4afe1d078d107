"""`billing compare`: another system's bills compared with ours, laid out for a terminal.

What belongs here: arguments, and what is shown. What does not: comparing (``comparison``).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from billing_pipeline.collection import stripe_gateway
from billing_pipeline.collection.records.cut_over import record_cut_over
from billing_pipeline.commands.parameters import MONTH, json_option, settings_with_home
from billing_pipeline.commands.terminal import MAX_SHOWN, CommandError, print_json, table
from billing_pipeline.comparison.comparison import Comparison, CustomerTotal
from billing_pipeline.comparison.comparison import compare as compared
from billing_pipeline.comparison.lines import Difference
from billing_pipeline.comparison.our_month import OurMonth, read_month, with_late_usage
from billing_pipeline.comparison.their_file import Export, read_export
from billing_pipeline.comparison.their_stripe import later_invoices, read_stripe
from billing_pipeline.money import format_amount
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from billing_pipeline.text import named_few

_STRIPE = "stripe"
# The number of invoices that a message names; the rest are counted.
MAX_NAMED = 5
_EXPORT = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("month", type=MONTH)
@click.option(
    "--against",
    required=True,
    type=_EXPORT,
    metavar="FILE|stripe",
    help="The other system's export as CSV, or `stripe`: its invoices in our Stripe account.",
)
@click.option("--columns", type=_EXPORT, help="Column mapping of the export, as TOML.")
@click.option("--before-tax", is_flag=True, help="Compare without taxes.")
@click.option("--cut-over", type=MONTH, help="Cut over: the first month that we bill, after MONTH.")
@click.option("--accept", metavar="REASON", help="Cut over despite differences, for this reason.")
@click.option(
    "--besides",
    multiple=True,
    metavar="INVOICE",
    help="Ignore this invoice in Stripe when cutting over; may be repeated.",
)
@json_option
def compare(
    month: BillingMonth,
    against: Path,
    columns: Path | None,
    before_tax: bool,
    cut_over: BillingMonth | None,
    accept: str | None,
    besides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare MONTH with what another system billed: each difference with its cause."""
    settings = Settings.from_env()
    ours = read_month(settings, month)
    if str(against) != _STRIPE:
        export = read_export(against, settings.timezone, columns)
    elif columns is not None:
        raise click.UsageError("--columns maps the columns of a file; --against stripe needs none")
    else:
        export = _from_stripe(settings, month, ours)
    found = compared(
        ours,
        export,
        lambda lines: with_late_usage(settings, month, lines),
        before_tax=before_tax,
    )
    if as_json:
        print_json(document(month, against, found), ensure_ascii=False)
    else:
        _show(found)
    if cut_over is not None:
        _require_agreement(month, cut_over, found, accept)
        settings_with_home()
        _require_unbilled(settings, cut_over, ours, besides)
        _note(settings, month, cut_over, found, accept, besides)


def _from_stripe(settings: Settings, month: BillingMonth, ours: OurMonth) -> Export:
    with stripe_gateway.open_gateway(settings) as gateway:
        return stripe_gateway.run(
            gateway, lambda: read_stripe(gateway, month, settings.timezone, ours.customers)
        )


def _require_agreement(
    month: BillingMonth, first: BillingMonth, found: Comparison, accept: str | None
) -> None:
    """Allow the cut-over only if both systems agree, or a person says why they need not."""
    if first <= month:
        raise CommandError(
            f"{month} was billed by the other system: the cut-over must be to a later month"
        )
    if not found.agrees and not accept:
        raise CommandError(
            f"{len(found.differences)} differences remain in {month}: --accept REASON cuts over "
            "nevertheless"
        )


def _require_unbilled(
    settings: Settings, first: BillingMonth, ours: OurMonth, besides: Sequence[str]
) -> None:
    """Refuse the cut-over if the other system has already billed later months through our Stripe
    account."""
    with stripe_gateway.open_gateway(settings) as gateway:
        charged = stripe_gateway.run(
            gateway, lambda: later_invoices(gateway, first, settings.timezone, ours.customers)
        )
    left = [invoice for invoice in charged if invoice not in besides]
    if left:
        raise CommandError(
            f"{first} would be billed twice: in Stripe the other system charges our customers for "
            f"it or for later on {named_few(left, MAX_NAMED)}. Void them, cut over to a "
            "later month, or name with --besides INVOICE what was credited or is something else"
        )


def _note(
    settings: Settings,
    month: BillingMonth,
    first: BillingMonth,
    found: Comparison,
    accept: str | None,
    besides: Sequence[str],
) -> None:
    record_cut_over(
        settings.records_dir,
        first,
        compared=str(month),
        differences=len(found.differences),
        accepted=accept,
        besides=list(besides),
    )
    click.echo(f"we bill from {first} on; earlier months are no longer sent", err=True)


def document(month: BillingMonth, against: Path, found: Comparison) -> dict[str, Any]:
    """The comparison as `--json` prints it."""
    differing = [total for total in found.totals if total.difference]
    return {
        "month": month,
        "against": against.name,
        "columns": found.columns,
        "agrees": found.agrees,
        "totals": [
            {
                "currency": currency,
                "customers": len(totals),
                "ours": sum((total.ours for total in totals), Decimal(0)),
                "theirs": sum((total.theirs for total in totals), Decimal(0)),
                "difference": sum((total.difference for total in totals), Decimal(0)),
            }
            for currency, totals in _by_currency(found)
        ],
        "causes": [
            {"currency": currency, "cause": cause, "count": count, "difference": amount}
            for currency, cause, count, amount in found.by_cause()
        ],
        "customers": [
            {
                "customer_id": total.customer_id,
                "currency": total.currency,
                "ours": total.ours,
                "theirs": total.theirs,
                "difference": total.difference,
                "causes": _causes(found, total),
            }
            for total in differing
        ],
        "differences": [vars(difference) for difference in found.differences],
    }


def _causes(found: Comparison, total: CustomerTotal) -> list[str]:
    key = (total.customer_id, total.currency)
    causes = {one.cause for one in found.differences if (one.customer_id, one.currency) == key}
    return sorted(causes)


def _by_currency(found: Comparison) -> list[tuple[str, list[CustomerTotal]]]:
    currencies = sorted({total.currency for total in found.totals})
    return [
        (currency, [total for total in found.totals if total.currency == currency])
        for currency in currencies
    ]


def _show(found: Comparison) -> None:
    console = Console()
    totals = [
        [
            currency,
            len(rows),
            sum(1 for row in rows if row.difference),
            *(
                format_amount(sum((getattr(row, name) for row in rows), Decimal(0)), currency)
                for name in ("ours", "theirs", "difference")
            ),
        ]
        for currency, rows in _by_currency(found)
    ]
    columns = ("currency", "customers", "differ", "ours", "theirs", "difference")
    console.print(table(f"Compared by {found.columns}", columns, totals))
    if found.agrees:
        console.print("Both agree to the last digit.")
        return
    causes = [
        [currency, cause, count, format_amount(amount, currency)]
        for currency, cause, count, amount in found.by_cause()
    ]
    console.print(table("Causes", ("currency", "cause", "differences", "amount"), causes))
    largest = sorted(found.differences, key=lambda one: -abs(one.difference))
    rows = [_cells(one) for one in largest[:MAX_SHOWN]]
    names = ("customer", "cause", "difference", "what", "why")
    console.print(table("Differences, the largest first", names, rows, folds="why"))
    if len(largest) > MAX_SHOWN:
        console.print(f"{len(largest) - MAX_SHOWN} more: --json has all of them.")


def _cells(one: Difference) -> list[str]:
    amount = f"{format_amount(one.difference, one.currency)} {one.currency}"
    what = one.description or one.their_description
    return [one.customer_id, one.cause, amount, what[:48], one.evidence]
