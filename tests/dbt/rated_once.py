"""A month of the example with subscriptions, rated once for all tests that begin with it.

What belongs here: rating it, once for all workers of a test run, and handing out copies. What does
not: what the tests do with their copies.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.month import rate_month
from billing_pipeline.settings import Settings

EXAMPLE = Path(__file__).resolve().parents[2] / "data" / "examples" / "subscriptions"
MONTH = BillingMonth.parse("2024-06")

# The settings of a copy, a home of its own.
Rated = Callable[[], Settings]


def rated_once(folder: Path, new_folder: Callable[[], Path]) -> Rated:
    """The month rated in `folder`, by whichever process is first; each copy in a new folder."""
    home, done = folder / "home", folder / "done"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not done.exists():
            rate_month(_settings(home), MONTH)
            done.touch()

    def copy() -> Settings:
        return _settings(Path(shutil.copytree(home, new_folder() / "home")))

    return copy


def _settings(home: Path) -> Settings:
    return Settings.from_env({"BILLING_DATA_DIR": str(EXAMPLE), "BILLING_HOME": str(home)})
