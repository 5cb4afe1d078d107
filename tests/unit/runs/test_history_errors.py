"""An error in Dagster's history gives one sentence, however it was wrapped."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from billing_pipeline.runs.history_errors import HistoryError, explain_errors
from billing_pipeline.settings import Settings


class ServerError(Exception):
    """As a driver for a server has it."""


def message_of(home: Path, error: Exception, wrapped: bool = False) -> str:
    settings = Settings.from_env({"BILLING_HOME": str(home)})
    with pytest.raises(HistoryError) as failed, explain_errors(settings):
        if wrapped:
            raise RuntimeError("too many retries") from error
        raise error
    return str(failed.value)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_server_that_is_away(tmp_path: Path, wrapped: bool) -> None:
    refused = OperationalError("SELECT 1", {}, ServerError("port 5432 failed:\n refused\n"))
    assert message_of(tmp_path, refused, wrapped) == (
        "the database of Dagster's history, which dagster.yaml names, does not answer: port 5432 "
        "failed: refused. Run again once it does; nothing is sent twice"
    )


def test_a_full_disk_and_a_damaged_file(tmp_path: Path) -> None:
    full = OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
    file = tmp_path / "dagster" / "history" / "runs.db"
    assert "cannot be used: database or disk is full. Make sure" in message_of(tmp_path, full)
    assert "cannot be used: [Errno 28]" in message_of(
        tmp_path, OSError(28, "No space left on device")
    )
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database" * 1000)
    damaged = OperationalError("SELECT", {}, sqlite3.DatabaseError("file is not a database"))
    assert message_of(tmp_path, damaged).startswith(
        f"Dagster's history is damaged, {file}: file is not"
    )


def test_other_errors_are_raised_unchanged(tmp_path: Path) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    with pytest.raises(ZeroDivisionError), explain_errors(settings):
        raise ZeroDivisionError
