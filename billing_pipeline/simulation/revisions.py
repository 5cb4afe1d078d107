"""A price book as it was at a git revision.

What belongs here: asking git for a folder's files. What does not: what they mean.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path


class RevisionError(ValueError):
    """Git has no such revision of the folder; the message says what it was asked."""


def read_revision(folder: Path, revision: str, target: Path) -> str:
    """Write the folder as it was at `revision` to `target`; returns the commit's short name.

    Only what the commit holds is written: no work tree is touched, no branch is checked out.
    """
    commit = _git(folder, revision, "rev-parse", "--verify", "--end-of-options", revision + "^{}")
    archive = _git(folder, revision, "archive", "--format=tar", commit.decode().strip())
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        # The filter refuses links and names that lead out of `target`.
        files.extractall(target, filter="data")
    short = _git(folder, revision, "rev-parse", "--short", commit.decode().strip())
    return short.decode().strip()


def _git(folder: Path, revision: str, *args: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *args], capture_output=True, check=False, timeout=600
        )
    except FileNotFoundError:
        raise RevisionError("git is not installed: --from and --to read its revisions") from None
    if done.returncode:
        errors = done.stderr.decode(errors="replace").strip().splitlines()
        raise RevisionError(
            f"{folder} has no revision {revision!r}: {errors[-1] if errors else 'git failed'}"
        )
    return done.stdout
