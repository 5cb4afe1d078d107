"""`billing simulate`: past usage with another price book, beside what the present one charges.

What belongs here: arguments and what the terminal shows. What does not: rating (``published
.simulation``), comparing (``published.two_ratings``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from billing_pipeline.commands.differences import show_differences
from billing_pipeline.commands.parameters import MONTHS, json_option, settings_with_home
from billing_pipeline.commands.terminal import print_json
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.simulation import simulate as simulation
from billing_pipeline.text import csv_text


@click.command()
@click.option(
    "--catalog",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder like catalog/, with the other price book.",
)
@click.option("--months", required=True, type=MONTHS, help="For example 2024-01..2024-03.")
@click.option(
    "--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write a file."
)
@json_option
def simulate(
    catalog: Path, months: list[BillingMonth], csv_file: Path | None, as_json: bool
) -> None:
    """Rate past usage with another price book; nothing that was billed is touched."""
    settings = settings_with_home()
    for month in months:
        settings.require_month(month, datetime.now(UTC))

    def notify(month: BillingMonth) -> None:
        if not as_json:
            click.echo(f"{month} …", err=True)

    done = simulation(settings, catalog, months, datetime.now(UTC), notify)
    if csv_file is not None:
        csv_file.write_text(csv_text(done.changes), encoding="utf-8", newline="")
    if as_json:
        print_json(
            {
                "simulation_id": done.simulation_id,
                "changes": done.changes,
                "invoices": done.differences.invoices,
                "margins": done.differences.margins,
            }
        )
    else:
        console = Console()
        show_differences(console, done.differences)
        console.print(f"All rows: table simulation_changes, {done.simulation_id}.")
