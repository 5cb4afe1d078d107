"""`billing runs`: the last runs, whoever started them.

What belongs here: how they are shown. What does not: reading them (``runs.recent_runs``).

It is a command of its own because Dagster's history is read through Dagster, whose import takes
longer than all of `billing status`.
"""

from __future__ import annotations

import click
from rich.console import Console

from billing_pipeline.commands.parameters import json_option
from billing_pipeline.commands.terminal import print_json, table
from billing_pipeline.runs.recent_runs import DEFAULT_LIMIT, RecentRun, recent_runs
from billing_pipeline.settings import Settings
from billing_pipeline.text import printable

_TO_THE_MINUTE = len("2024-01-01 00:00")


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Number of runs to show.",
)
@json_option
def runs(limit: int, as_json: bool) -> None:
    """List recent runs: how each ended and what it did."""
    found = recent_runs(Settings.from_env(), limit)
    if as_json:
        print_json([vars(run) for run in found])
        return
    columns = ("when (UTC)", "job", "month", "ended", "seconds", "what it did")
    cells = [
        (run.at[:_TO_THE_MINUTE], run.job, run.month, run.ended, run.seconds, _did(run))
        for run in found
    ]
    Console(highlight=False).print(
        table("What ran last", columns, cells, folds="what it did") if cells else "No run yet."
    )


def _did(run: RecentRun) -> str:
    return run.did + (f" (decided by {printable(run.approved_by)})" if run.approved_by else "")
