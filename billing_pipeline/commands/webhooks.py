"""`billing webhooks`: serves the receiver of Stripe's events (``collection.pull.receiver``)."""

from __future__ import annotations

import click

from billing_pipeline.collection.pull.receiver import serve
from billing_pipeline.commands.parameters import settings_with_home
from billing_pipeline.commands.terminal import CommandError


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8787, show_default=True,
    help="0: any that is free.",
)  # fmt: skip
def webhooks(host: str, port: int) -> None:
    """Receive Stripe's events, verified by STRIPE_WEBHOOK_SECRET; the sensor takes them up."""
    try:
        serve(settings_with_home(), host, port, click.echo)
    except OSError as error:
        raise CommandError(
            f"{host}:{port} cannot be listened on: {error}; choose another with --host, --port"
        ) from error
