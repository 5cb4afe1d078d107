"""Processes of `python -m MODULE …` that begin with the libraries already imported.

What belongs here: starting one and reading its output. What does not: which modules are run.

Importing Dagster and dbt takes a core four seconds, more than most commands need for their work.
So each worker of the tests has one process that imports them once (multiprocessing's fork server),
and the project's own modules; each command is a fork of it: a process of its own with its own
environment, output and exit code. How a user's shell starts the commands is tested by the guides'
tests, which use `binaries`.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.loopback import stay_on_this_machine

# What `billing run` imports and does not belong to the project.
LIBRARIES = [
    *("dagster", "dagster_dbt", "dbt.cli.main", "dbt.task.build", "dbt.adapters.duckdb.impl"),
    *("duckdb", "pyarrow.parquet", "pandas", "stripe", "aiohttp.web", "alembic.command"),
    *("dagster._core.storage.sqlite_storage", "sqlalchemy.dialects.sqlite", "uvicorn.config"),
    *("uvicorn.protocols.http.auto", "uvicorn.protocols.websockets.auto", "uvicorn.lifespan.on"),
    *("starlette.applications", "rich.console", "rich.table", "click", "apprise", "filelock"),
    *("upath", "uvloop", "watchdog.observers"),
    *("tests.end_to_end.warm_dbt", "tests.end_to_end.warm_project"),
]
# By these Dagster's partitions are defined (`billing_pipeline/defs/partitions.py`): where a
# command has one of them, it imports what may have been made without it anew.
_READ_AT_IMPORT = {"BILLING_TIMEZONE", "BILLING_FIRST_MONTH"}
_OURS = ("billing_pipeline", "tests.compiled_models")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(LIBRARIES)
# What takes longer hangs: no command of the tests takes more than half a minute.
TIMEOUT_SECONDS = 300
# multiprocessing reads a child's exit code also where another thread starts one, and only once.
_ONE_AT_A_TIME = threading.Lock()


def run_module(
    module: str, args: Sequence[str], env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """`python -m module args` with this environment, run to its end."""
    with tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch) / "out", Path(scratch) / "err"
        process = start(module, args, env, out, err)
        has_ended = wait([process.sentinel], TIMEOUT_SECONDS)
        if not has_ended:
            process.kill()
        code = end_of(process)
        output = (path.read_text(encoding="utf-8") for path in (out, err))
        done = subprocess.CompletedProcess([module, *args], code, *output)
        if not has_ended:
            raise TimeoutError(f"{done.args} hangs; it said {done.stdout!r}, {done.stderr!r}")
        return done


def start(
    module: str, args: Sequence[str], env: Mapping[str, str], out: Path, err: Path
) -> BaseProcess:
    """Like `run`, but without waiting for its end; its output goes to these files or terminals."""
    process = _FORKS.Process(target=_become, args=(module, list(args), dict(env), out, err))
    with _ONE_AT_A_TIME:
        process.start()
    return process


def end_of(process: BaseProcess) -> int:
    """The exit code of a process that has ended; below 0 is the signal that ended it."""
    with _ONE_AT_A_TIME:
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def _become(module: str, args: list[str], env: dict[str, str], out: Path, err: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for path, stream in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.environ.clear()
    os.environ.update(env)
    stay_on_this_machine()
    if _READ_AT_IMPORT & env.keys():
        for name in [name for name in sys.modules if name.startswith(_OURS)]:
            del sys.modules[name]
    sys.argv[1:] = args
    runpy.run_module(module, run_name="__main__", alter_sys=True)
