"""The Dagster UI as an ASGI application over our home.

What belongs here: building it. What does not: who may ask it (``own_pages``), serving it.

`dagster-webserver` has no way to say which pages may ask it, so its application is built here and
wrapped. Dagster has no public name for a process's workspace, so this file alone imports that from
``dagster._core``; its test holds what is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__
from starlette.types import ASGIApp

from billing_pipeline.runs.code_location import CODE_LOCATION
from billing_pipeline.runs.instance import open_instance
from billing_pipeline.settings import Settings

# Those of `dagster-webserver`: milliseconds for a statement, seconds for a connection, connections.
_DATABASE_LIMITS = (15_000, 3_600, 20)
_POLLED_EVERY_MILLISECONDS = 2_000


@contextmanager
def dagster_ui(settings: Settings, *, is_read_only: bool) -> Iterator[ASGIApp]:
    """The UI, with a process that has our definitions loaded until the block ends."""
    with open_instance(settings) as instance:
        instance.optimize_for_webserver(*_DATABASE_LIMITS)
        with WorkspaceProcessContext(
            instance,
            workspace_load_target=ModuleTarget(CODE_LOCATION, None, None, CODE_LOCATION),
            version=__version__,
            read_only=is_read_only,
        ) as context:
            yield create_app_from_workspace_process_context(
                context, live_data_poll_rate=_POLLED_EVERY_MILLISECONDS
            )
