"""A month of the example with wallets, closed once for all tests that begin with a closed month.

What belongs here: closing it, once for all workers of a test run, and handing out copies. What
does not: what the tests do with their copies.

A copy is a home of its own: nothing that happens to it is seen by another test. Until it publishes
something itself, the views of its published database read the files of the original, which nobody
changes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.end_to_end.commands import EXAMPLES, billing

EXAMPLE = EXAMPLES / "prepaid-wallet"
MONTH = "2024-01"

# Copies the closed home to a folder that is not there yet; returns what `run MONTH --json` said.
Closed = Callable[[Path], dict[str, Any]]


def closed_once(folder: Path) -> Closed:
    """The month closed in `folder`, by whichever process is first."""
    home, output_file = folder / "home", folder / "said.json"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not output_file.exists():
            done = billing(home, EXAMPLE, "run", MONTH, "--json")
            assert done.returncode == 0, done.stderr
            output_file.write_text(done.stdout, encoding="utf-8")

    def copy(target: Path) -> dict[str, Any]:
        shutil.copytree(home, target)
        found: dict[str, Any] = json.loads(output_file.read_text(encoding="utf-8"))
        return found

    return copy
