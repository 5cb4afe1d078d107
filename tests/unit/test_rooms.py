"""Which room may import which: what a reader of the layout relies on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "billing_pipeline"


def imports() -> Iterator[tuple[str, str]]:
    """Each module of the package, as `room/module.py`, with each module that it imports."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                yield str(path.relative_to(PACKAGE)), node.module or ""
            elif isinstance(node, ast.Import):
                yield from ((str(path.relative_to(PACKAGE)), name.name) for name in node.names)


def test_one_room_speaks_to_stripe_and_one_stands_in_for_it() -> None:
    users = {user for user, module in imports() if module.partition(".")[0] == "stripe"}
    assert {user.partition("/")[0] for user in users} == {"stripe_api", "stripe_sandbox"}


def test_the_sandbox_knows_nothing_of_ours_but_money() -> None:
    ours = {
        module
        for user, module in imports()
        if user.startswith("stripe_sandbox/") and module.startswith("billing_pipeline.")
    }
    others = {name for name in ours if not name.startswith("billing_pipeline.stripe_sandbox")}
    assert others <= {"billing_pipeline.money"}


def test_nothing_but_the_program_imports_its_commands() -> None:
    users = {user for user, module in imports() if module.startswith("billing_pipeline.commands")}
    assert {user for user in users if not user.startswith("commands/")} == {"__main__.py"}
