"""`billing simulate`: past usage with another price book, beside what the present one charges.

What belongs here: arguments and what the terminal shows. What does not: rating and comparing
(``published.simulation``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click
from rich.console import Console

from billing_pipeline.commands.parameters import MONTHS, json_option, settings_with_home
from billing_pipeline.commands.terminal import MAX_SHOWN, print_json, sums, table
from billing_pipeline.money import format_amount
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.simulation import Simulation
from billing_pipeline.published.simulation import simulate as simulation
from billing_pipeline.text import csv_text

_AMOUNTS = ("present_amount", "simulated_amount", "change")
_MARGINS = ("simulated_revenue", "simulated_cost", "present_margin", "simulated_margin", "change")


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
        csv_file.write_text(csv_text(done.rows), encoding="utf-8", newline="")
    if as_json:
        print_json(
            {
                "simulation_id": done.simulation_id,
                "changes": list(done.rows),
                "margins": list(done.margins),
            }
        )
    else:
        _show(done)


def _show(done: Simulation) -> None:
    console = Console()
    for name in ("plan", "price", "customer"):
        changed = [
            row
            for row in sums(done.rows, (f"{name}_id", "currency"), _AMOUNTS)
            if row[-1] != format_amount(Decimal(0), row[1])
        ]
        largest = sorted(changed, key=lambda row: -abs(Decimal(row[-1].replace(",", ""))))
        columns = (name, "currency", "rows", "present", "simulated", "change")
        console.print(table(f"Change by {name}", columns, largest[:MAX_SHOWN]))
    if any(row["present_cost"] or row["simulated_cost"] for row in done.margins):
        titles = ("plan", "currency", "rows", *(name.replace("_", " ") for name in _MARGINS))
        margins = sums(done.margins, ("plan_id", "currency"), _MARGINS)
        console.print(table("Margin by plan, after discounts", titles, margins[:MAX_SHOWN]))
    totals = sums([{**row, "all": ""} for row in done.rows], ("all", "currency"), _AMOUNTS)
    console.print(table("All months", columns[1:], [row[1:] for row in totals]))
    console.print(
        f"Before discounts and tax. All rows: table simulation_changes, {done.simulation_id}."
    )
