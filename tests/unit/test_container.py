"""The Dockerfile and compose.yaml name what is there. That the wheel works: test_wheel.py."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
# One instruction a line, with its continuation lines.
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def instructions(name: str) -> list[str]:
    return [text for found, text in INSTRUCTIONS if found == name]


def test_the_stages_begin_with_one_exact_version() -> None:
    images = {text.split()[0] for text in instructions("FROM")}
    assert len(instructions("FROM")) == 2
    [image] = images
    # No host of a registry, and every number of the version.
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", image)


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    again = [line[1:] for line in ignore if line.startswith("!")]
    copied = [
        source
        for text in instructions("COPY")
        if not text.startswith("--from")
        for source in shlex.split(text)[:-1]
    ]
    assert ignore[1] == "*" and sorted(copied) == sorted(again)
    assert all((ROOT / name).exists() for name in copied)


def test_no_data_and_no_secret_comes_into_the_image() -> None:
    copied = " ".join(instructions("COPY"))
    assert not any(fnmatch(word, "*data*") or "env" in word for word in copied.split())
    assert not re.search(r"STRIPE|SECRET|PASSWORD|KEY", (ROOT / "Dockerfile").read_text())


def test_the_last_stage_runs_as_a_user_without_rights() -> None:
    last = max(place for place, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM")
    assert [text for name, text in INSTRUCTIONS[last:] if name == "USER"] == ["10001"]
    [made] = [text for name, text in INSTRUCTIONS[last:] if name == "RUN"]
    assert "useradd --uid 10001" in made


def test_the_steps_are_shell_that_can_be_read() -> None:
    for text in instructions("RUN"):
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    [requirements] = [text for text in instructions("RUN") if "--require-hashes" in text]
    [default] = instructions("ARG")
    assert (ROOT / default.partition("=")[2]).exists() and "--no-deps" in requirements


def test_the_services_start_programs_that_are_there() -> None:
    commands = [shlex.split(service["command"]) for service in SERVICES.values()]
    commands.append(yaml.safe_load(instructions("CMD")[0]))
    programs = {command[0] for command in commands}
    assert programs == {"billing", "dagster-daemon"}
    assert all((Path(sys.executable).parent / program).exists() for program in programs)


def test_what_is_published_is_published_to_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    exposed = instructions("EXPOSE")[0].split()
    assert {port.rpartition(":")[2] for port in ports} == set(exposed)
    assert all(port.startswith("127.0.0.1:") for port in ports)
