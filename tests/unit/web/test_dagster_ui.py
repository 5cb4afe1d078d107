"""What is assumed of Dagster where it has no public name (``web.dagster_ui``)."""

from __future__ import annotations

import inspect
from pathlib import Path

import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster_webserver import cli
from dagster_webserver.app import create_app_from_workspace_process_context

from billing_pipeline.runs.code_location import CODE_LOCATION
from billing_pipeline.web import dagster_ui

ROOT = Path(__file__).resolve().parents[3]


def test_the_workspace_is_made_as_dagsters_own_server_makes_it() -> None:
    theirs = inspect.getsource(cli.dagster_webserver.callback)  # type: ignore[arg-type]
    assert "WorkspaceProcessContext(" in theirs and "optimize_for_webserver(" in theirs
    known = inspect.signature(WorkspaceProcessContext).parameters
    assert {"workspace_load_target", "version", "read_only"} <= set(known)
    assert (
        "live_data_poll_rate"
        in inspect.signature(create_app_from_workspace_process_context).parameters
    )
    limits = (
        cli.DEFAULT_DB_STATEMENT_TIMEOUT, cli.DEFAULT_POOL_RECYCLE, cli.DEFAULT_POOL_MAX_OVERFLOW
    )  # fmt: skip
    assert limits == dagster_ui._DATABASE_LIMITS


def test_the_module_is_the_location_of_workspace_yaml() -> None:
    """Runs made by commands are filed under that name, and so are links."""
    [origin] = ModuleTarget(CODE_LOCATION, None, None, CODE_LOCATION).create_origins()
    assert origin.location_name == CODE_LOCATION
    [listed] = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert listed["python_module"] == CODE_LOCATION
