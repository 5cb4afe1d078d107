"""Fixtures for the tests of several files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dbt.rated_once import Rated, rated_once


@pytest.fixture(scope="session")
def rated_subscriptions(of_all_workers: Path, tmp_path_factory: pytest.TempPathFactory) -> Rated:
    return rated_once(of_all_workers / "rated", lambda: tmp_path_factory.mktemp("rated"))
