"""`billing webhooks`: serves the receiver of Stripe's events (``collection.pull.receiver``)."""

from __future__ import annotations

import click

from billing_pipeline.collection.pull.receiver import serve
from billing_pipeline.commands.parameters import (
    address_options,
    cannot_listen,
    settings_with_home,
)


@click.command()
@address_options(8787)
def webhooks(host: str, port: int, urls: tuple[str, ...]) -> None:
    """Receive Stripe's webhook events, verified by STRIPE_WEBHOOK_SECRET."""
    settings = settings_with_home()
    try:
        serve(settings, host, port, click.echo, (*urls, settings.ui_url))
    except OSError as error:
        raise cannot_listen(host, port, error) from error
