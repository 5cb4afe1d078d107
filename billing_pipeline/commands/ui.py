"""`billing ui` and `billing dashboard`: pages for browsers on this machine, or behind a proxy.

What belongs here: their options, and Dagster's daemon beside the UI. What does not: the pages, and
who may request them (``web.own_pages``).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
from starlette.types import ASGIApp

from billing_pipeline.commands.parameters import (
    address_options,
    cannot_listen,
    settings_with_home,
)
from billing_pipeline.commands.terminal import CommandError
from billing_pipeline.runs.code_location import CODE_LOCATION
from billing_pipeline.settings import Settings
from billing_pipeline.web.own_pages import own_origins, same_origin_only
from billing_pipeline.web.serving import listen, serve


@click.command()
@address_options(3000)
@click.option("--read-only", is_flag=True, help="Do not allow anything to be started or changed.")
@click.option("--daemon", is_flag=True, help="Run Dagster's schedules and sensors as well.")
def ui(host: str, port: int, urls: tuple[str, ...], read_only: bool, daemon: bool) -> None:
    """Serve the Dagster UI; requests from other sites' pages are refused.

    Set BILLING_UI_URL to its address if it is behind a proxy.
    """
    from billing_pipeline.web.dagster_ui import dagster_ui  # takes seconds

    settings = settings_with_home()
    with (
        dagster_ui(settings, is_read_only=read_only) as application,
        _daemon(settings) if daemon else nullcontext(),
    ):
        _serve(application, host, port, (*urls, settings.ui_url))


@click.command()
@address_options(2718)
def dashboard(host: str, port: int, urls: tuple[str, ...]) -> None:
    """Serve the dashboard over the published tables; read-only."""
    try:
        from billing_pipeline.dashboard.application import application
    except ImportError as error:
        raise CommandError(
            "the dashboard is not installed: make dashboard installs requirements-dashboard.txt"
        ) from error
    Settings.from_env()  # invalid settings fail here, not on a page
    _serve(application(), host, port, urls)


def _serve(application: ASGIApp, host: str, port: int, urls: tuple[str, ...]) -> None:
    try:
        listener, found = listen(host, port)
    except OSError as error:
        raise cannot_listen(host, port, error) from error
    guarded = same_origin_only(application, own_origins(found, urls))
    serve(guarded, listener, "/", click.echo)


@contextmanager
def _daemon(settings: Settings) -> Iterator[None]:
    """Dagster's daemon, in a process of its own until the block ends."""
    program = str(Path(sys.executable).with_name("dagster-daemon"))
    command = [program, "run", "-m", CODE_LOCATION]
    environment = os.environ | {"DAGSTER_HOME": str(settings.dagster_dir)}
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield
        finally:
            process.terminate()
