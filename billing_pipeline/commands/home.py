"""`billing home`: makes BILLING_HOME ready for Dagster's services."""

from __future__ import annotations

import click

from billing_pipeline.commands.parameters import settings_with_home
from billing_pipeline.runs.instance import open_instance


@click.command()
def home() -> None:
    """Prepare BILLING_HOME for Dagster's services, and print their DAGSTER_HOME."""
    settings = settings_with_home()
    # Services that start at the same time would all try to create the history.
    with open_instance(settings):
        click.echo(settings.dagster_dir)
