"""A fork that begins with the libraries is otherwise a process as a shell starts it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end import warm
from tests.end_to_end.warm import LIBRARIES, run_module


def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, *args: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    (folder / "written.py").write_text(f"import json, os, signal, sys, time\n{code}\n")
    monkeypatch.syspath_prepend(folder)
    return run_module("written", args, {"ONLY": "this"} | settings)


def test_it_has_its_own_arguments_environment_and_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = "[sys.argv[1:], dict(os.environ), list(sys.modules), __name__]"
    done = run(tmp_path, monkeypatch, f"print(json.dumps({seen}))", "a", "b")
    args, environment, modules, name = json.loads(done.stdout)
    assert (args, environment, name) == (["a", "b"], {"ONLY": "this"}, "__main__")
    assert set(LIBRARIES) <= set(modules)


@pytest.mark.parametrize(
    ("setting", "value", "seen"),
    [
        ("BILLING_TIMEZONE", "Asia/Kolkata", ["Asia/Kolkata", "2024-01"]),
        ("BILLING_FIRST_MONTH", "2025-03", ["UTC", "2025-03"]),
        ("BILLING_NOTICES", "", ["UTC", "2024-01"]),
    ],
)
def test_what_is_read_at_import_is_of_its_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, seen: list[str]
) -> None:
    code = "from billing_pipeline.definitions import defs"
    code += "\njob = defs.resolve_job_def('close_month').partitions_def"
    code += "\nprint(json.dumps([str(job.timezone), job.get_first_partition_key()]))"
    done = run(tmp_path, monkeypatch, code, **{setting: value})
    assert json.loads(done.stdout) == seen, done.stderr


@pytest.mark.parametrize(
    ("code", "returned"),
    [
        ("pass", 0),
        ("sys.exit(3)", 3),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("raise ValueError('wrong')", 1),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", 1),
    ],
)
def test_its_end_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, returned: int
) -> None:
    done = run(tmp_path, monkeypatch, f"print('said', flush=True)\n{code}")
    assert (done.returncode, done.stdout) == (returned, "said\n")
    assert ("ValueError: wrong" in done.stderr) == ("ValueError" in code)


def test_a_hanging_process_is_ended_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(TimeoutError, match=r"\['written'\] hangs; it said"):
        run(tmp_path, monkeypatch, "print('said', flush=True)\ntime.sleep(99)")
