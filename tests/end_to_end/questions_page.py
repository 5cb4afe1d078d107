"""docs/questions.md: every saved question with its query, its answer on an example, and how a
person checks it; ``python -m tests.end_to_end.questions_page`` writes it.

What belongs here: the page. What does not: the questions (dbt_project/analyses).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path

import duckdb

from billing_pipeline.published.questions import Question, read_questions
from tests.end_to_end.closed_examples import Closing
from tests.end_to_end.commands import ROOT

PAGE = ROOT / "docs" / "questions.md"
SAMPLE = "subscriptions"
TOPICS = {
    "completeness": "Completeness: is all of it there?",
    "accuracy": "Accuracy: is it right, and only once?",
    "cut_off": "Cut-off: is it in the right month?",
    "authorization": "Authorization: who decided?",
    "changes": "Changes: what differs from before?",
    "invoices": "Invoices, discounts and taxes",
    "payments": "Payments and receivables",
    "wallets": "Wallets",
    "revenue": "Revenue, margins and limits",
}
INTRODUCTION = """# Questions of finance and auditors

Each question below is answered by a query of at most ten lines, which is also a view in the schema `questions` of the [published database](analysts.md): `FROM questions.usage_to_charges` answers the first one over all your months. To list them, with how to check each:

```
SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'questions'
```

Open the database itself, or `USE` it after `ATTACH`. The answers here are those of [data/examples/subscriptions](../data/examples/subscriptions/README.md), closed for June and July 2024, or of the example that is named. A test closes it, asks every question and compares: this page is written by `python -m tests.end_to_end.questions_page`. For those whose answer is "None", `tests/end_to_end/test_examples.py` makes what they look for, and they find it.

The queries are dbt's analyses, in `dbt_project/analyses/`: a file more there is a question more.
"""  # noqa: E501

Answer = tuple[list[str], list[tuple[object, ...]]]


def sample_of(question: Question) -> str:
    return question.notes.get("Sample", SAMPLE)


def page(answer: Callable[[Question], Answer]) -> str:
    return "\n".join([INTRODUCTION, *_topics(answer)])


def answer_in(home: Path, question: Question) -> Answer:
    """What the view of the question says in a home's published database."""
    path = home / "published" / "billing.duckdb"
    with duckdb.connect(str(path), read_only=True) as published:
        published.execute("SET TimeZone = 'UTC'")
        found = published.execute(f"FROM questions.{question.name}")
        return [column[0] for column in found.description], found.fetchall()


def _topics(answer: Callable[[Question], Answer]) -> Iterator[str]:
    order = list(TOPICS)
    questions = sorted(read_questions(), key=lambda one: (order.index(one.topic), one.name))
    for topic, of_topic in groupby(questions, key=lambda one: one.topic):
        yield f"## {TOPICS[topic]}\n"
        for question in of_topic:
            yield _section(question, answer(question))


def _section(question: Question, found: Answer) -> str:
    sample = sample_of(question)
    where = "" if sample == SAMPLE else f" In the example [{sample}](../data/examples/{sample}):"
    return (
        f"### {question.question}\n\n`questions.{question.name}`.{where}\n\n"
        f"```sql\n{question.sql};\n```\n\n{_table(question, found)}\n\n"
        f"By hand: {question.by_hand}\n"
    )


def _table(question: Question, found: Answer) -> str:
    columns, rows = found
    if "Answer" in question.notes:
        return f"The answer {question.notes['Answer']}."
    if not rows:
        return "None."
    lines = [columns, ["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    return str(value).replace("|", "\\|")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        closing = Closing(Path(folder), {sample_of(question) for question in read_questions()})
        text = page(lambda question: answer_in(closing.of(sample_of(question)).home, question))
        closing.end()
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
