"""Where dbt's parsed project is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from billing_pipeline.rating import dbt_runner
from billing_pipeline.rating.dbt_runner import ensure_manifest, parse_at_install
from billing_pipeline.settings import Settings


def test_the_installed_manifest_serves_every_home_until_the_project_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[Path] = []

    def parse(_manifest: object, _args: object, target: Path, *_more: object) -> None:
        target.mkdir(parents=True)
        (target / "manifest.json").write_text("{}")
        parsed.append(target)

    monkeypatch.setattr(dbt_runner, "_invoke", parse)
    monkeypatch.setattr(dbt_runner, "INSTALLED_DIR", tmp_path / "installed")
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path / "home")})

    installed = parse_at_install()
    assert installed.is_relative_to(tmp_path / "installed")
    assert ensure_manifest(settings) == installed
    assert len(parsed) == 1 and not settings.home.exists()

    monkeypatch.setattr(dbt_runner, "project_digest", lambda: "another")
    for _ in range(2):
        assert ensure_manifest(settings).is_relative_to(settings.home)
    assert len(parsed) == 2
