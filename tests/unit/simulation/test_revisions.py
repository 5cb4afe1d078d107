"""A folder as it was at a git revision."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from billing_pipeline.simulation.revisions import RevisionError, read_revision


def git(folder: Path, *args: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=n@example.com")
    subprocess.run(["git", "-C", str(folder), *who, *args], check=True, capture_output=True)


def test_reading_a_revision_leaves_the_work_tree_alone(tmp_path: Path) -> None:
    book = tmp_path / "repo" / "book" / "catalog"
    (book / "costs").mkdir(parents=True)
    (book / "costs" / "prices.csv").write_text("old")
    git(tmp_path, "init", "-q", "repo")
    git(book, "add", ".")
    git(book, "commit", "-qm", "one")
    git(book, "tag", "before")
    (book / "costs" / "prices.csv").write_text("new")
    git(book, "commit", "-qam", "two")
    (book / "costs" / "prices.csv").write_text("unsaved")

    for revision, content in (("before", "old"), ("HEAD", "new"), ("HEAD~1", "old")):
        target = tmp_path / content / revision
        target.mkdir(parents=True)
        assert len(read_revision(book, revision, target)) >= 7
        assert (target / "costs" / "prices.csv").read_text() == content
        assert [path.name for path in target.iterdir()] == ["costs"]
    assert (book / "costs" / "prices.csv").read_text() == "unsaved"

    for revision in ("nowhere", "--all"):
        with pytest.raises(RevisionError, match=f"no revision '{revision}'"):
            read_revision(book, revision, tmp_path)
    (tmp_path / "repo" / "later").mkdir()
    with pytest.raises(RevisionError, match="untracked"):
        read_revision(tmp_path / "repo" / "later", "before", tmp_path)
