"""Scratch homes: places to rate months from which nothing is billed.

What belongs here: making such a home and cleaning up after it. What does not: what is rated there
(``simulation``, ``published.estimate``). A plan is made from the month's warehouse in
`BILLING_HOME` itself, so what is rated here can be viewed but never sent.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from billing_pipeline.home import make_home
from billing_pipeline.rating.dbt_runner import ensure_manifest
from billing_pipeline.settings import Settings

# The leftovers of a killed process are deleted after this time. No rating takes as long.
_ABANDONED_SECONDS = 24 * 3600


@contextmanager
def scratch_home(settings: Settings) -> Iterator[Settings]:
    """The same settings with a home of their own, which is deleted afterwards.

    It shares what can be shared: the parsed project, the copies of usage files, which are named by
    their content, and, to be read only, what is published.
    """
    make_home(settings)
    ensure_manifest(settings)
    settings.usage_cache_dir.mkdir(parents=True, exist_ok=True)
    parent = settings.home / "scratch"
    parent.mkdir(exist_ok=True)
    _remove_abandoned(parent)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        home = Path(folder)
        (home / "dbt").symlink_to(settings.home / "dbt")
        (home / "usage").symlink_to(settings.usage_cache_dir)
        # Only read, for the lines of earlier months that count towards commitments.
        (home / "published").symlink_to(settings.published_dir)
        yield replace(settings, home=home)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.iterdir():
        if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
