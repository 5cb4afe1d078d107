"""`billing completion`: shell completion of commands, options and months."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell completion script, to be loaded with `source <(billing completion bash)`."""
    program = click.get_current_context().find_root().command
    shell_class = get_completion_class(shell)
    assert shell_class is not None
    click.echo(shell_class(program, {}, "billing", "_BILLING_COMPLETE").source())
