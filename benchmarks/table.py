"""The results: lines with their aims, as Markdown and JSON.

What belongs here: what a line is, when it met its aim, and writing README.md's table and
results.json. What does not: measuring (``scenarios.py``).

results.json holds the last run of each scenario; the table is made from it alone, so a scenario
that takes long can be run by itself and stays beside the others with its own date.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results: written by make bench -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Line:
    """One line of the table: ours against something, and the ratio that is aimed at.

    The ratio is ours / theirs and at most `aim`; of a `is_speedup` theirs / ours and at least it.
    """

    what: str
    ours: float
    against: str
    theirs: float
    aim: float
    unit: str = "s"
    is_speedup: bool = False
    rounds: int = 1

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours if self.is_speedup else self.ours / self.theirs

    @property
    def is_met(self) -> bool:
        return self.ratio >= self.aim if self.is_speedup else self.ratio <= self.aim

    def markdown(self, scenario: str) -> str:
        cells = (
            scenario,
            self.what,
            _number(self.ours, self.unit),
            f"{self.against}: {_number(self.theirs, self.unit)}",
            f"{_number(self.ratio)}{' × faster' if self.is_speedup else ''}",
            f"{'≥' if self.is_speedup else '≤'} {self.aim:g}",
            "met" if self.is_met else "**missed**",
            str(self.rounds),
        )
        return "| " + " | ".join(cells) + " |"


@dataclass(frozen=True)
class Measured:
    """What a scenario found: its lines, sentences about them, and every figure of every round."""

    lines: Sequence[Line]
    notes: Sequence[str]
    figures: dict[str, Any] = field(default_factory=dict)
    is_folded: bool = False
    """Of many lines the table has the one that is nearest to its bound, or farthest beyond; all of
    them are folded below."""


def _number(value: float, unit: str = "") -> str:
    text = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 0.1 else f"{value:.2f}"
    return f"{text} {unit}".strip()


def save_result(name: str, measured: Measured, machine: dict[str, str], results: Path) -> None:
    """Put a scenario's results in place of its former ones."""
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    known[name] = {
        "about": machine,
        "lines": [asdict(line) for line in measured.lines],
        "notes": list(measured.notes),
        "is_folded": measured.is_folded,
        "figures": measured.figures,
    }
    results.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def render(results: Path, order: Sequence[str]) -> str:
    """All that is remembered as Markdown, in the scenarios' order: the table, then what each
    scenario says of its lines."""
    known = json.loads(results.read_text(encoding="utf-8"))
    table, notes, folded = list(_TABLE), [], []
    for name in [name for name in order if name in known]:
        found = known[name]
        lines = [Line(**line) for line in found["lines"]]
        shown = lines
        if found.get("is_folded"):
            shown = [max(lines, key=lambda line: line.ratio / line.aim)]
            inner = [*_TABLE, *(line.markdown("") for line in lines)]
            summary = f"<summary>All {len(lines)} lines of {name}</summary>"
            folded += ["<details>", summary, "", *inner, "", "</details>", ""]
        table += [line.markdown("" if at else name) for at, line in enumerate(shown)]
        text = " ".join([*found["notes"], f"Measured {', '.join(found['about'].values())}."])
        notes.append(f"- **{name}**: {text}")
    return "\n".join([*table, "", *notes, "", *folded])


_TABLE = (
    "| | what | ours | against | ratio | aim | | rounds |",
    "| --- | --- | ---: | --- | ---: | ---: | --- | ---: |",
)


def write(text: str, readme: Path) -> None:
    """Put the tables between the marks of the README."""
    head, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    body = "\n".join([BEGIN, "", text.strip(), "", END])
    readme.write_text(head + body + rest.split(END)[1], encoding="utf-8")
