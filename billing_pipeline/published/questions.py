"""What finance and auditors ask: saved queries, one view each in the schema `questions`.

What belongs here: reading them (dbt's analyses, ``dbt_project/analyses``). What does not: the page
that shows their answers (docs/questions.md), their views (``template``), and reports, which are
models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from billing_pipeline.rating.dbt_runner import DBT_PROJECT_DIR

SCHEMA = "questions"
_FOLDER = DBT_PROJECT_DIR / "analyses"


@dataclass(frozen=True)
class Question:
    """One question: the query that answers it, and how to check the answer by hand. `notes` are
    further lines of its head, which are only for the page."""

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
    """One question for each file of the analyses, whose head is the question, then `-- By hand:
    …`."""
    return [_read(path) for path in sorted(_FOLDER.rglob("*.sql"))]


def _read(path: Path) -> Question:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    notes = dict(line.split(": ", 1) for line in head[1:])
    sql = "\n".join(line for line in lines if not line.startswith("-- "))
    by_hand = notes.pop("By hand")
    return Question(path.parent.name, path.stem, head[0], by_hand, sql.rstrip(";\n"), notes)
