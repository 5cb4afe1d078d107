"""`billing publish --to FILE`: all published tables in one plain DuckDB file, for another host.

What belongs here: the argument and what is printed. What does not: writing the file
(``published.single_file``).
"""

from __future__ import annotations

from pathlib import Path

import click

from billing_pipeline.commands.parameters import json_option
from billing_pipeline.commands.terminal import print_json
from billing_pipeline.published.single_file import write_single_file
from billing_pipeline.settings import Settings


@click.command()
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The DuckDB file to write; replaced if it exists.",
)
@json_option
def publish(target: Path, as_json: bool) -> None:
    """Write all published tables into one plain DuckDB file, for another host."""
    count = write_single_file(Settings.from_env(), target)
    if as_json:
        print_json({"success": True, "file": str(target), "tables": count})
    else:
        click.echo(f"{target}: {count} tables and views")
