"""`billing home`: makes BILLING_HOME ready for Dagster's services."""

from __future__ import annotations

import click

from billing_pipeline.commands.parameters import settings_with_home
from billing_pipeline.runs.instance import instance_home


@click.command()
def home() -> None:
    """Make BILLING_HOME ready for Dagster's services, and print their DAGSTER_HOME."""
    click.echo(instance_home(settings_with_home()))
