"""Where the installation did not parse dbt's project, a home does it for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from billing_pipeline.rating import dbt_runner
from billing_pipeline.rating.dbt_runner import ensure_manifest, run_dbt
from billing_pipeline.rating.unchanged import is_checked
from tests.dbt.rated_once import MONTH, Rated


@pytest.mark.slow
def test_a_home_parses_the_project_and_builds_from_it(
    rated_subscriptions: Rated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = rated_subscriptions()
    assert is_checked(settings, MONTH)
    monkeypatch.setattr(dbt_runner, "INSTALLED_DIR", tmp_path / "nothing parsed here")
    assert ensure_manifest(settings).is_relative_to(settings.home)
    [node] = run_dbt(settings, MONTH, ("run", "--select", "charges"))
    assert not node.is_failed, node.message
    assert not is_checked(settings, MONTH)  # who builds by hand has not tested what is billed
