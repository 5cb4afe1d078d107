"""`billing sandbox`, `diff` and `lineage`: trying changed models on a month, and their effect.

What belongs here: arguments and what the terminal shows. What does not: the folder
(``rating.dbt_sandbox``), comparing (``published.two_ratings``), and the embedded Stripe
(``stripe_sandbox``), which is unrelated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from billing_pipeline.commands.differences import show_differences
from billing_pipeline.commands.parameters import MONTH, json_option
from billing_pipeline.commands.terminal import CommandError, print_json
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.two_ratings import COMPARED, compare_with_published
from billing_pipeline.rating.column_lineage import LineageError, add_to_docs
from billing_pipeline.rating.dbt_sandbox import lay_out, open_sandbox
from billing_pipeline.settings import Settings

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("month", type=MONTH)
@click.argument("folder", metavar="DIR", type=_FOLDER)
def sandbox(month: BillingMonth, folder: Path) -> None:
    """Copy MONTH into DIR as a dbt project whose models can be changed and run."""
    made = lay_out(Settings.from_env(), month, folder, lambda text: click.echo(text, err=True))
    click.echo(f"{month} as last rated is in {made.folder}. There,")
    click.echo("    dbt build, dbt show --select charges, dbt test, dbt docs generate … work on it")
    click.echo(f"    billing diff {folder} shows what changed models would change, in money")


@click.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@json_option
def diff(folder: Path, as_json: bool) -> None:
    """Build charges, invoices and margins with the models in DIR, and compare them with the
    published month."""
    settings, made = Settings.from_env(), open_sandbox(folder)
    same_inputs = made.has_inputs_of(settings)
    made.build(COMPARED)
    found = compare_with_published(settings, made.month, made.warehouse)
    if as_json:
        print_json(
            {
                "month": str(made.month),
                "same_inputs": same_inputs,
                "changes": _changed(found.charges),
                "invoices": _changed(found.invoices),
                "margins": _changed(found.margins),
            }
        )
        return
    if not any(map(_changed, (found.charges, found.invoices, found.margins))):
        click.echo(f"{made.month} would be billed as it is published: to the cent, nothing changes")
    else:
        show_differences(Console(), found)
    if not same_inputs:
        click.echo(
            f"The sandbox's inputs are not those that {made.month} was last rated from, so some"
            " differences come from them: create a new sandbox",
            err=True,
        )


@click.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
def lineage(folder: Path) -> None:
    """Add column-level lineage to the dbt docs of the sandbox in DIR."""
    try:
        found = add_to_docs(open_sandbox(folder).folder / "target")
    except LineageError as error:
        raise CommandError(str(error)) from None
    click.echo(f"dbt's docs now show the lineage of {found:,} columns: dbt docs serve")


def _changed(rows: Any) -> list[dict[str, Any]]:
    return [row for row in rows if row["change"]]
