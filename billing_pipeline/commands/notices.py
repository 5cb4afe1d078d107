"""`billing notices`: sends the notices that are due where no daemon does it
(``defs.notifications``)."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from billing_pipeline.commands.parameters import json_option, settings_with_home
from billing_pipeline.commands.terminal import print_json
from billing_pipeline.defs.notifications import delivery_summary, notify_once

# A mail server may be slow; the next command sends what is not sent by then.
MAX_SEND_SECONDS = 600.0


@click.command()
@json_option
def notices(as_json: bool) -> None:
    """Send the notices that are due, each once, as the daemon does."""
    outcome = notify_once(settings_with_home(), datetime.now(UTC), MAX_SEND_SECONDS)
    if as_json:
        print_json({"success": True, "sent": outcome.sent, "is_busy": outcome.is_busy})
    else:
        click.echo(delivery_summary(outcome))
