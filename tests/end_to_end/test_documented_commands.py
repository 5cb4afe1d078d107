"""The commands of the guides, as a reader pastes them: each page's blocks in one shell."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from billing_pipeline.commands.cli import main
from tests.end_to_end.commands import ROOT, binaries, environment

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = re.MULTILINE | re.DOTALL
# Not `sudo -u billing git pull`, which is the user.
COMMAND = re.compile(r"(?:^|sudo |\(|/bin/)billing ([a-z]+[^#|;&$]*)")
README = (ROOT / "README.md").read_text()
PAGES = [README, *(page.read_text() for page in sorted((ROOT / "docs").glob("*.md")))]


@pytest.mark.slow
def test_the_guide_to_ones_own_data(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "own-data.md").read_text())
    assert len(blocks) >= 6
    binaries(tmp_path)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env=environment(tmp_path / ".billing-ours", tmp_path / "our-data")
        | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage/2024-02/: 4 rows in 1 files, 1 set aside, 0 repeated" in done.stdout
    assert "unknown_customer" in done.stdout
    for amount in ("40.00", "12.07"):
        assert amount in done.stdout
    assert "10000 × 0.002; exactly 20, rounded to 20.00 EUR" in done.stdout


def test_help_lists_every_command_once() -> None:
    with click.Context(main, info_name="billing") as context:
        text = main.get_help(context)
    listed = re.findall(r"^  (\w+)  ", text, re.MULTILINE)
    assert sorted(name for name in listed if name in main.commands) == sorted(main.commands)


@pytest.mark.parametrize("name", sorted(main.commands))
def test_the_readme_names_every_command(name: str) -> None:
    assert f"`.venv/bin/billing {name}" in README


@pytest.mark.parametrize("name", ["", *sorted(main.commands)])
def test_the_pages_name_every_option(name: str) -> None:
    command = main.commands[name] if name else main
    options = {option for parameter in command.params for option in parameter.opts}
    named = set(re.findall(r"--[a-z-]+", "".join(PAGES)))
    assert {option for option in options if option.startswith("--")} <= named


def documented() -> list[str]:
    """Each `billing …` that a page names, in a line or in a block: its command and options."""
    found = set()
    for page in PAGES:
        for block, span in re.findall(r"^```.*?\n(.*?)^```$|`([^`\n]+)`", page, FLAGS):
            for line in (block or span).splitlines():
                found.update(COMMAND.findall(line))
    return sorted({command.strip() for command in found})


@pytest.mark.parametrize("command", documented())
def test_every_documented_command_and_option_exists(command: str) -> None:
    name, *words = command.split()
    options = {option for parameter in main.commands[name].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options | {"--help"}


def test_the_workflow_of_price_changes_is_understood() -> None:
    workflow = yaml.safe_load((ROOT / "docs" / "price-change-workflow.yml").read_text())
    [script] = [step["run"] for step in workflow["jobs"]["simulate"]["steps"] if step.get("id")]
    [line] = [line for line in script.splitlines() if line.startswith("billing ")]
    line = line.replace("$first..$last", "2024-01..2024-12").replace(
        "--catalog catalog", f"--catalog {ROOT / 'data' / 'catalog'}"
    )
    with click.Context(main) as context:
        found = main.commands["simulate"].make_context(
            "simulate", shlex.split(line)[2:], parent=context
        )
    assert (found.params["since"], len(found.params["months"])) == ("$BASE", 12)


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"`\.venv/bin/billing ([^`]+)`", README)))
)
def test_every_command_of_the_readme_is_understood(command: str) -> None:
    """Parsed, not run: its name, its arguments and its options are there."""
    name, *arguments = command.split()
    found = main.commands[name]
    places = {"ID": "in_1", "DIR": str(ROOT / "data" / "catalog"), "A..B": "2024-01..2024-02"}
    with click.Context(main) as context:
        found.make_context(name, [places.get(part, part) for part in arguments], parent=context)
