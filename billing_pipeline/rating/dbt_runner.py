"""Calling dbt in this process: its project parsed once, its models built on one month's warehouse.

What belongs here: the saved manifest, the calls of dbt, and the result of each node. What does
not: what the models compute (``dbt_project/``), and what is in the warehouse before them.

In a process of its own, dbt would spend 6 seconds a month on starting and parsing; the models of a
small month take 2. dbt keeps state in globals, so only one call at a time runs in a process.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings, dbt_project_dir

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

DBT_PROJECT_DIR = dbt_project_dir()
# Where an installation parses the project once, for every home (`prepare.py`).
INSTALLED_DIR = DBT_PROJECT_DIR / "target" / "parsed"
BUILD = ("build", "--exclude-resource-type", "unit_test")
CLOSE = ("--selector", "close")
"""What a close builds: dbt_project/selectors.yml."""

# The name of a DuckDB file is the name of its database, which the manifest has for each model. So
# the project is parsed for a file with the same name as every month's warehouse, which is never
# opened. Its path is always the same, because dbt parses everything anew when the profile changes.
_ANY_WAREHOUSE = Path("warehouse.duckdb")
_MANIFEST = "manifest.json"
_PARSED = "partial_parse.msgpack"
_ONE_AT_A_TIME = threading.Lock()
_FAILED = frozenset({"error", "fail", "runtime error", "partial success"})


class DbtError(RuntimeError):
    """dbt could not parse its project, or a model or test failed; the message names each."""


@dataclass(frozen=True)
class NodeResult:
    """The result of one model or test; `failures` counts the rows that a test found."""

    unique_id: str
    resource_type: str
    status: str
    seconds: float
    failures: int
    message: str

    @property
    def is_failed(self) -> bool:
        return self.status in _FAILED

    @property
    def is_skipped(self) -> bool:
        return self.status == "skipped"

    @property
    def name(self) -> str:
        """The model's or test's name, without the digest at the end of a generic test's id."""
        return self.unique_id.split(".")[2]


def ensure_manifest(settings: Settings) -> Path:
    """``manifest.json`` of dbt's project as it is on disk now; parsed anew after a change, unless
    an installation has parsed exactly this state.

    Beside it is ``partial_parse.msgpack``, the same as dbt's own object, for the builds.
    """
    return installed_manifest() or _parse_into(settings.home / "dbt" / project_digest())


def installed_manifest() -> Path | None:
    """The manifest that the installation has parsed; None if the project has changed since."""
    installed = INSTALLED_DIR / project_digest() / _MANIFEST
    return installed if installed.exists() else None


def parse_at_install(before: Path | None = None) -> Path:
    """Parse the project as it is now into ``manifest.json`` beside it, where every home finds
    it."""
    return _parse_into(INSTALLED_DIR / project_digest(), before)


def _parse_into(folder: Path, before: Path | None = None) -> Path:
    """Parse the project into `folder` unless that has been done; returns its manifest.

    If `before` is the folder of an earlier state of these files, dbt reads only what has changed,
    in half the time. It then loses descriptions of tests, so only the mutants are parsed this way.
    """
    if not folder.exists():
        scratch = folder.with_name(f"{folder.name}.{os.getpid()}")
        if before is not None:
            shutil.copytree(before, scratch)
        # Compiling also parses, and the manifest then has the reports' queries, from which
        # publishing creates views (`published/tables.py`).
        reports = ["--select", "fqn:reports", "--indirect-selection", "empty"]
        compiled = ["compile", *reports, "--no-introspect", "--no-populate-cache"]
        _invoke(None, compiled, scratch, _environment(_ANY_WAREHOUSE))
        try:
            scratch.rename(folder)
        except OSError:
            # Another process was first, with the same files.
            shutil.rmtree(scratch)
    return folder / _MANIFEST


def run_dbt(
    settings: Settings,
    month: BillingMonth,
    args: Sequence[str] = (*BUILD, *CLOSE),
    on_node: Callable[[NodeResult], None] = lambda node: None,
) -> list[NodeResult]:
    """Call dbt on the month's warehouse: ``dbt build`` of what a close needs, or whatever `args`
    say.

    `on_node` is called as each node ends. Returns every node, failed ones too: see `check`.
    Raises `DbtError` if dbt could not start. The warehouse is closed when this returns.
    """
    # Read again for each call, because dbt writes into the manifest while it compiles.
    manifest = _read_manifest(ensure_manifest(settings).with_name(_PARSED))
    nodes: list[NodeResult] = []
    target = settings.month_dir(month) / "dbt"
    environment = _environment(settings.warehouse_path(month))
    listen = _listener(nodes, on_node)
    _invoke(manifest, [*args, "--no-write-json"], target, environment, listen)
    return nodes


def run_models(project: Path, models: Sequence[str]) -> list[NodeResult]:
    """``dbt run`` of these models and everything upstream, in a project with a profile of its own.
    Its parsed and compiled files are left where dbt from a shell leaves them."""
    nodes: list[NodeResult] = []
    args = ["run", "--select", *(f"+{model}" for model in models)]
    _invoke(None, args, project / "target", {}, _listener(nodes), project)
    return nodes


def _listener(
    nodes: list[NodeResult], on_node: Callable[[NodeResult], None] = lambda node: None
) -> Callable[[Any], None]:
    """A listener that notes the result of each node in `nodes`."""

    def listen(event: Any) -> None:
        if event.info.name == "NodeFinished":
            nodes.append(_node_result(event.data))
            on_node(nodes[-1])

    return listen


def run_operation(
    settings: Settings, month: BillingMonth, macro: str, arguments: Mapping[str, str]
) -> None:
    """Call one macro of the project on the month's warehouse; raises `DbtError` if it fails."""
    manifest: Any = _read_manifest(ensure_manifest(settings).with_name(_PARSED))
    manifest.build_flat_graph()  # what macros see as `graph`; dbt builds it only when it parses
    args = ["run-operation", macro, "--args", json.dumps(arguments), "--no-write-json"]
    target = settings.month_dir(month) / "dbt"
    errors: list[str] = []

    def listen(event: Any) -> None:
        if event.info.level == "error":
            errors.append(event.info.msg)

    environment = _environment(settings.warehouse_path(month))
    done: Any = _invoke(manifest, args, target, environment, listen)
    if any(str(result.status) != "success" for result in done.results):
        raise DbtError(f"dbt {macro} failed for {month}: {' '.join(errors)}")


def check(nodes: Sequence[NodeResult], month: BillingMonth) -> None:
    """Raise `DbtError` with one line for each failed node."""
    failed = [node for node in nodes if node.is_failed]
    if failed:
        lines = "\n".join(f"  {node.resource_type} {node.name}: {node.message}" for node in failed)
        raise DbtError(f"dbt: {len(failed)} of {len(nodes)} steps failed for {month}:\n{lines}")


def _read_manifest(path: Path) -> Manifest:
    # dbt's own form of its manifest; a pickled one loses its lookups.
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    return Manifest.from_msgpack(path.read_bytes(), decoder=extended_mashumuro_decoder)


def _invoke(
    manifest: Manifest | None,
    args: Sequence[str],
    target: Path,
    environment: Mapping[str, str],
    callback: Callable[[Any], None] | None = None,
    project: Path = DBT_PROJECT_DIR,
) -> object:
    """One call of dbt; returns its result. A failing node is a result, not an error here."""
    # Imported here: it takes 2 seconds, which a command that builds nothing need not spend.
    from dbt.cli.main import dbtRunner

    command = [
        *args,
        *("--project-dir", str(project), "--profiles-dir", str(project)),
        *("--target-path", str(target), "--log-path", str(target)),
        # Its log file would repeat what `on_node` gets, and every event would be formatted for it.
        *("--log-level-file", "none", "--quiet", "--log-level", "none"),
    ]
    callbacks = [callback] if callback is not None else []
    with _ONE_AT_A_TIME, _environ(environment):
        done = dbtRunner(manifest=manifest, callbacks=callbacks).invoke(command)
        if done.exception is not None and not isinstance(done.exception, Exception):
            # Ctrl-C or SIGTERM, which dbt must not swallow. Its threads may be in the middle of a
            # query, so nothing is closed; the process ends.
            raise done.exception
        _close_warehouse()
    if done.exception is not None:
        raise DbtError(f"dbt {args[0]}: {done.exception}") from done.exception
    return done.result


def _close_warehouse() -> None:
    """Close the file, which dbt-duckdb keeps open after its last connection; the next reader must
    not wait."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    manager: Any = DuckDBConnectionManager
    # There is no environment if dbt has opened no connection.
    if manager._ENV is not None:
        manager._ENV.close()
        manager.close_all_connections()


def _node_result(data: Any) -> NodeResult:
    result = data.run_result
    return NodeResult(
        unique_id=data.node_info.unique_id,
        resource_type=data.node_info.resource_type,
        status=str(result.status).lower(),
        seconds=result.execution_time,
        failures=result.num_failures,
        message=" ".join(str(result.message).split()),
    )


def _environment(warehouse: Path) -> dict[str, str]:
    return {"BILLING_WAREHOUSE": str(warehouse)}


@contextmanager
def _environ(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def project_digest() -> str:
    """A digest that changes with any file of dbt's project and with the versions of dbt."""
    files = []
    for folder, inside, names in os.walk(DBT_PROJECT_DIR):
        inside[:] = [name for name in inside if name != "target"]
        for name in names:
            if name.endswith((".sql", ".yml", ".md")):
                path = Path(folder, name)
                state = path.stat()
                files.append((path, state.st_size, state.st_mtime_ns))
    return _digest_of(tuple(sorted(files)))


@lru_cache(maxsize=1)
def _digest_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    """The digest of the files' content, read again only if the size or time of a file has
    changed."""
    digest = hashlib.sha256()
    for package in ("dbt-core", "dbt-duckdb"):
        digest.update(version(package).encode())
    for path, _, _ in files:
        digest.update(str(path.relative_to(DBT_PROJECT_DIR)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
