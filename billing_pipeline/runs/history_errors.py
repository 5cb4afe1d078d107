"""Errors of Dagster's history, in words: a full disk, a damaged file, a server that is down.

What belongs here: the sentence, and what to do. What does not: using the history (``instance``,
``recent_runs``), and what fails inside of a run's steps. No money depends on the history: whatever
happens to it, the next run goes on from what Stripe and ``records/`` say.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from billing_pipeline.runs.sqlite_file import damaged_databases
from billing_pipeline.settings import Settings


class HistoryError(RuntimeError):
    """The history of runs cannot be read or written; the message says why, and what to do."""


@contextmanager
def explain_errors(settings: Settings) -> Iterator[None]:
    """Turn what the history's files and databases raise in the block into a `HistoryError`."""
    try:
        yield
    except Exception as error:
        cause = _cause(error)
        if cause is None:
            raise
        raise HistoryError(_sentence(settings, cause)) from error


def _cause(error: BaseException | None) -> BaseException | None:
    """The error of the database or the disk that caused `error`; None where neither did."""
    # Imported here: it takes a while, and many commands do not use the history.
    from sqlalchemy.exc import DBAPIError

    while error is not None:
        if isinstance(error, DBAPIError):
            below: BaseException | None = error.orig
            return below or error
        if isinstance(error, OSError):
            return error
        error = error.__cause__
    return None


def _sentence(settings: Settings, cause: BaseException) -> str:
    reason = " ".join(str(cause).split()).rstrip(".?")
    if not isinstance(cause, sqlite3.Error | OSError):
        return (
            "the database of Dagster's history, which dagster.yaml names, does not answer: "
            f"{reason}. Run again once it does; nothing is sent twice"
        )
    damaged = damaged_databases(settings.dagster_dir)
    if damaged:
        files = ", ".join(str(path) for path in damaged)
        return (
            f"Dagster's history is damaged, {files}: {reason}. Delete what is damaged, it is only "
            "the history of runs, and run again"
        )
    return (
        f"Dagster's history in {settings.dagster_dir} cannot be used: {reason}. Make sure that it "
        "can be written and that the disk has room, then run again; nothing is sent twice"
    )
