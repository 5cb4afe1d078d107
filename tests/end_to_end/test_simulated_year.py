"""Twelve months with two revisions of a price book, and with a cohort on another plan: each figure
of the page as a person computes it with a pencil."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.commands import billing
from tests.end_to_end.test_simulation import git

MONTHS = [f"2024-{month:02}" for month in range(1, 13)]
YEAR, AUTUMN = "2024-01..2024-12", "2024-10..2024-12"
# Calls of the n-th month: ada n hundred, bob twice as many, dee three hundred.
PRICES = """price_id,plan_id,meter_id,currency,charge_model,unit_amount,flat_amount,valid_from
team-fee,team,,USD,flat,,10,
team-calls,team,calls,USD,per_unit,{team},,
solo-fee,solo,,EUR,flat,,{solo},
other-fee,other,,USD,flat,,7,
other-calls,other,calls,USD,per_unit,0.02,,
"""
FILES = {
    "catalog/meters.csv": "meter_id,event_name,aggregation\ncalls,call,sum\n",
    "catalog/plans.csv": "plan_id,name\nteam,Team\nsolo,Solo\nother,Other\n",
    "catalog/costs/prices.csv": "price_id,meter_id,currency,charge_model,unit_amount\n"
    "server,calls,USD,per_unit,0.01\n",
    "accounts/customers.csv": "customer_id,name,country,currency\n"
    "ada,Ada Ltd,US,USD\nbob,Bob Inc,DE,USD\ncy,Cy SARL,FR,EUR\ndee,Dee LLC,US,USD\n",
    "accounts/subscriptions.csv": "subscription_id,customer_id,plan_id,quantity,starts_at\n"
    "s1,ada,team,1,2024-01-01\ns2,bob,team,1,2024-01-01\ns3,cy,solo,1,2024-07-01\n"
    "s4,dee,other,1,2024-01-01\n",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A price book in git: on the branch `dearer` calls of a team cost more, and solo less."""
    data = tmp_path / "data"
    for place, text in FILES.items():
        (data / place).parent.mkdir(parents=True, exist_ok=True)
        (data / place).write_text(text, encoding="utf-8")
    for number, month in enumerate(MONTHS, start=1):
        usage = data / "usage" / month / "calls.csv"
        usage.parent.mkdir(parents=True)
        calls = {"ada": 100 * number, "bob": 200 * number, "dee": 300}
        rows = [f"{who}-{month},{who},call,{month}-15,{count},\n" for who, count in calls.items()]
        usage.write_text(
            "event_id,customer_id,event_name,occurred_at,quantity,properties\n" + "".join(rows),
            encoding="utf-8",
        )
    book = data / "catalog" / "prices.csv"
    book.write_text(PRICES.format(team="0.05", solo="3"), encoding="utf-8")
    git(data, "init", "-q", "-b", "main")
    git(data, "add", "catalog")
    git(data, "commit", "-qm", "The price book as it is")
    git(data, "checkout", "-qb", "dearer")
    book.write_text(PRICES.format(team="0.06", solo="2.50"), encoding="utf-8")
    git(data, "commit", "-qam", "Calls cost more, solo less")
    git(data, "checkout", "-q", "main")
    return data


def simulated(
    tmp_path: Path, data: Path, months: str, *args: str
) -> tuple[dict[str, Any], str, str]:
    """What it says with `--json`, and both pages."""
    files = [tmp_path / "page.md", tmp_path / "page.html"]
    pages = ("--markdown", str(files[0]), "--html", str(files[1]))
    done = billing(tmp_path / "home", data, "simulate", *args, "--months", months, *pages, "--json")
    assert done.returncode == 0, done.stderr
    markdown, html = (file.read_text(encoding="utf-8") for file in files)
    return json.loads(done.stdout), markdown, html


@pytest.mark.slow
def test_a_year_with_two_revisions_is_rated_as_computed_by_hand(tmp_path: Path, data: Path) -> None:
    result, markdown, html = simulated(tmp_path, data, YEAR, "--from", "main", "--to", "dearer")
    assert {row["billing_month"] for row in result["changes"]} == {
        f"{month}-01" for month in MONTHS
    }
    # 1 + 2 + … + 12 = 78. Ada: 12 × 10 + 7,800 × 0.05 = 510, then 12 × 10 + 7,800 × 0.06 = 588;
    # Bob: 120 + 15,600 × 0.05 = 900, then 1,056; Dee: 12 × 7 + 3,600 × 0.02 = 156, as before.
    # Together 1,566 and 1,800. Each call costs 0.01: 270.00. Cy: 6 × 3, then 6 × 2.50.
    rows = (
        "| Revenue | 1,566.00 | 1,800.00 | +234.00 | +14.9 % |",
        "| Cost | 270.00 | 270.00 | 0.00 | 0.0 % |",
        "| Margin | 1,296.00 | 1,530.00 | +234.00 | +18.1 % |",
        "| Margin of revenue | 82.8 % | 85.0 % |  |  |",
        "| `Bob Inc` `bob` | 900.00 | 1,056.00 | +156.00 | +17.3 % |",
        "| `Ada Ltd` `ada` | 510.00 | 588.00 | +78.00 | +15.3 % |",
        "| `Cy SARL` `cy` | 18.00 | 15.00 | −3.00 | −16.7 % |",
        "- EUR: revenue **−3.00** (−16.7 %), customers who pay more: 0, less: 1, the same: 0",
        # Dee has two lines a month.
        "24 invoice lines of 1 other customer are the same",
        "(156.00 USD with tax)",
        # No bar is higher than its axis: 3.00 and a little more.
        'y-axis "EUR" 0 --> 4',
        "computed from today's usage and accounts",
    )
    for row in rows:
        assert row in markdown, markdown
    # Each of the twelve months: 10 + 10 + 7 + 6 + n × 300 × 0.05.
    before = [33 + 15 * number for number in range(1, 13)]
    after = [33 + 18 * number for number in range(1, 13)]
    assert f"bar [{', '.join(f'{value}.00' for value in before)}]" in markdown
    assert f"line [{', '.join(f'{value}.00' for value in after)}]" in markdown
    assert "December 2024, after: 249.00 USD" in html


@pytest.mark.slow
def test_a_cohort_on_another_plan_is_rated_as_computed_by_hand(tmp_path: Path, data: Path) -> None:
    where = "country = 'DE'"
    result, markdown, html = simulated(
        tmp_path, data, AUTUMN, "--move", "team:other", "--where", where
    )
    # 10 + 11 + 12 = 33. Bob: 3 × 10 + 6,600 × 0.05 = 360, then 3 × 7 + 6,600 × 0.02 = 153.
    # Ada: 3 × 10 + 3,300 × 0.05 = 195; Dee: 3 × 7 + 900 × 0.02 = 39.
    assert "| `Bob Inc` `bob` | 360.00 | 153.00 | −207.00 | −57.5 % |" in markdown
    assert "| `team` | 555.00 | 195.00 | −360.00 | −64.9 % |" in markdown
    assert "| `other` | 39.00 | 192.00 | +153.00 | +392.3 % |" in markdown
    moves = "From team to other: 1 subscription of 1 customer, where country = "
    assert moves in markdown and moves in html
    assert result["price_book"] == []
    changed = [row for row in result["invoices"] if Decimal(row["change"])]
    assert [row["customer_id"] for row in changed] == ["bob"] * 3
    assert result["strays"] == [] and result["outside"]["customers"] == "3"
