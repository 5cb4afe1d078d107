"""What finance and auditors ask: saved queries, one view each in the schema `questions`.

What belongs here: reading them (dbt's analyses, ``dbt_project/analyses``), and the database that
has their views. What does not: the page that shows their answers (docs/questions.md), and reports,
which are models.

Their views are made once for each state of dbt's project, over tables that are empty and then
dropped: every publication begins with a copy of that, and does not bind them anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from billing_pipeline.duckdb_sql import sql_name, sql_text
from billing_pipeline.published.durable import fsync
from billing_pipeline.published.export import no_rows
from billing_pipeline.published.reading import utc_session
from billing_pipeline.published.tables import published_tables
from billing_pipeline.rating.dbt_runner import DBT_PROJECT_DIR, ensure_manifest
from billing_pipeline.settings import Settings

# Readers have older releases of DuckDB, in a BI tool for example: this one reads as from 1.1 on.
STORAGE_VERSION = "v1.0.0"

SCHEMA = "questions"
_FOLDER = DBT_PROJECT_DIR / "analyses"


@dataclass(frozen=True)
class Question:
    """One question: the query that answers it, and how a person checks the answer by hand. `notes`
    are further lines of its head, which only the page reads."""

    topic: str
    name: str
    question: str
    by_hand: str
    sql: str
    notes: dict[str, str]

    @property
    def comment(self) -> str:
        return f"{self.question} By hand: {self.by_hand}"


def read_questions() -> Sequence[Question]:
    """Each file of the analyses; its head is the question, then `-- By hand: …`."""
    return [_read(path) for path in sorted(_FOLDER.rglob("*.sql"))]


def _read(path: Path) -> Question:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    notes = dict(line.split(": ", 1) for line in head[1:])
    sql = "\n".join(line for line in lines if not line.startswith("-- "))
    by_hand = notes.pop("By hand")
    return Question(path.parent.name, path.stem, head[0], by_hand, sql.rstrip(";\n"), notes)


def questions_database(settings: Settings) -> Path:
    """A database that has the questions' views and nothing else, beside dbt's manifest."""
    path = ensure_manifest(settings).with_name("questions.duckdb")
    if not path.exists():
        new = path.with_name(f"{path.name}.{os.getpid()}")
        _build(settings, new)
        new.replace(path)
    return path


def _build(settings: Settings, path: Path) -> None:
    path.unlink(missing_ok=True)
    published = published_tables(settings)
    tables = {**published.tables, **published.reports}
    with utc_session() as connection:
        connection.execute(
            f"ATTACH {sql_text(str(path))} AS billing (STORAGE_VERSION '{STORAGE_VERSION}')"
        )
        connection.execute("USE billing")
        connection.begin()
        for name, table in tables.items():
            connection.execute(f"CREATE TABLE {sql_name(name)} AS {no_rows(table.columns)}")
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        for one in read_questions():
            view = f"{SCHEMA}.{sql_name(one.name)}"
            connection.execute(f"CREATE VIEW {view} AS {one.sql}")
            connection.execute(f"COMMENT ON VIEW {view} IS {sql_text(one.comment)}")
        for name in tables:
            connection.execute(f"DROP TABLE {sql_name(name)}")
        connection.commit()
        connection.execute("CHECKPOINT")
        connection.execute("USE memory")
        connection.execute("DETACH billing")
    fsync(path)
