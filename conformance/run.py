#!/usr/bin/env python3
"""Measures a billing engine by scenarios: `python conformance/run.py --engine "COMMAND"`.

The command is an adapter: it reads scenarios as JSON, one a line, and writes an answer for each,
one a line (README.md). This needs Python 3.11 and nothing else.

What belongs here: handing out scenarios, comparing answers, the report. What does not: scenarios
(scenarios/), and how an engine is asked (adapters/).
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# What an engine is not told.
_KEPT_BACK = ("expected", "arithmetic", "source", "deviations")
_SUMS = ("subtotal", "discount", "tax", "tax_included", "total", "amount_due")


def load(topics: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All scenarios, or those of some topics."""
    found = []
    for path in sorted((HERE / "scenarios").glob("*.json")):
        if not topics or path.stem in topics:
            found += json.loads(path.read_text(encoding="utf-8"))
    return found


def questions(scenarios: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The scenarios as an engine gets them."""
    return [
        {name: value for name, value in scenario.items() if name not in _KEPT_BACK}
        for scenario in scenarios
    ]


def ask(command: Sequence[str], scenarios: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the adapter answers."""
    asked = "".join(json.dumps(one) + "\n" for one in questions(scenarios))
    done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"the adapter ended with {done.returncode}: {shlex.join(command)}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def judge(scenario: Mapping[str, Any], answer: Mapping[str, Any] | None) -> dict[str, Any]:
    """`agrees`, `deviates` (with what) or `not supported` (with why)."""
    verdict = {"id": scenario["id"], "title": scenario["title"], "result": "agrees"}
    if answer is None:
        return verdict | {"result": "not supported", "why": "no answer"}
    if "unsupported" in answer:
        return verdict | {"result": "not supported", "why": answer["unsupported"]}
    expected = scenario["expected"]
    wrong = [
        f"{name} {answer.get(name)}, not {expected[name]}"
        for name in _SUMS
        if name in expected and not _equal(answer.get(name), expected[name])
    ]
    wrong += _wrong_lines(expected.get("lines", []), answer.get("lines", []))
    wrong += _wrong_later(expected.get("later", {}), answer.get("later", {}))
    if wrong:
        same_as = _same_as(scenario, answer)
        return verdict | {
            "result": "deviates",
            "what": wrong,
            "arithmetic": scenario["arithmetic"],
            **({"as_documented_by": same_as} if same_as else {}),
        }
    return verdict


def _wrong_lines(
    expected: Sequence[Mapping[str, str]], answered: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The lines of each price, in any order. Lines of 0 may be left out."""
    wrong = []
    by_price: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in answered:
        by_price[str(line.get("price_id"))].append(line)
    for wanted in expected:
        rest = by_price[wanted["price_id"]]
        found = next((line for line in rest if _fits(line, wanted)), None)
        if found is not None:
            rest.remove(found)
        elif not (rest or Decimal(wanted.get("amount", "1"))):
            continue
        else:
            had = ", ".join(_shown(line, wanted) for line in rest) or "no line"
            wrong.append(f"{wanted['price_id']}: {had}, not {_shown(wanted, wanted)}")
            rest.clear()
    unexpected = [line for rest in by_price.values() for line in rest if expected]
    wrong += [
        f"{line.get('price_id')}: {line.get('amount')} that nothing is charged for"
        for line in unexpected
        if not _equal(line.get("amount"), "0")
    ]
    return wrong


def _wrong_later(expected: Mapping[str, str], answered: Mapping[str, Any]) -> list[str]:
    """What is sent once more is known."""
    wanted, had = ((one.get("document"), one.get("amount")) for one in (expected, answered))
    if not expected or (wanted[0] == had[0] and _equal(had[1], str(wanted[1]))):
        return []
    return [f"later {had[0]} of {had[1]}, not {wanted[0]} of {wanted[1]}"]


def _fits(line: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """An engine that does not tell quantities is judged by its amounts."""
    names = [name for name in wanted if name != "price_id"]
    told = [name for name in names if name in line or name == "amount" or "amount" not in wanted]
    return all(_equal(line.get(name), wanted[name]) for name in told)


def _shown(line: Mapping[str, Any], wanted: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {line.get(name)}" for name in wanted if name != "price_id")


def _equal(answered: object, expected: str) -> bool:
    try:
        return answered is not None and Decimal(str(answered)) == Decimal(expected)
    except InvalidOperation:
        return False


def _same_as(scenario: Mapping[str, Any], answer: Mapping[str, Any]) -> list[str]:
    """The systems that are documented to bill what was answered."""
    amounts = [line.get("amount") for line in answer.get("lines", [])]
    amounts += [answer.get(name) for name in _SUMS]
    return [
        f"{other['system']}: {other['why']} ({other['source']})"
        for other in scenario.get("deviations", [])
        if any(_equal(amount, other["amount"]) for amount in amounts)
    ]


def report(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """By topic how many agree, then what deviates."""
    by_topic: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in verdicts:
        by_topic[one["id"].partition("/")[0]].append(one)
    rows = [f"{'topic':16} {'agree':>6} {'deviate':>8} {'not supported':>14}"]
    results = ("agrees", "deviates", "not supported")
    for topic, of_topic in [*sorted(by_topic.items()), ("all", list(verdicts))]:
        counts = [sum(one["result"] == result for one in of_topic) for result in results]
        rows.append(f"{topic:16} {counts[0]:6} {counts[1]:8} {counts[2]:14}")
    for one in verdicts:
        if one["result"] == "deviates":
            rows += ["", f"{one['id']}: {one['title']}"]
            rows += [f"    {text}" for text in one["what"]]
            rows.append(f"    {one['arithmetic']}")
            rows += [f"    as {text}" for text in one.get("as_documented_by", [])]
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", required=True, help="the command of the adapter")
    parser.add_argument("--topic", action="append", default=[], help="only this one")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    chosen = parser.parse_args()
    scenarios = load(chosen.topic)
    answers = {answer["id"]: answer for answer in ask(shlex.split(chosen.engine), scenarios)}
    verdicts = [judge(scenario, answers.get(scenario["id"])) for scenario in scenarios]
    print(json.dumps(verdicts, indent=1, ensure_ascii=False) if chosen.json else report(verdicts))
    return int(any(one["result"] == "deviates" for one in verdicts))


if __name__ == "__main__":
    sys.exit(main())
