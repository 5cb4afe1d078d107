"""records/billed.db: what was billed stays as it was billed, and what was changed is found."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.collection import payments
from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.records import billed
from billing_pipeline.collection.records.billed import RecordProblem
from billing_pipeline.collection.stripe_state.resolutions import Decision
from billing_pipeline.months import BillingMonth

from .conftest import JANUARY, Company
from .test_resolving import resolve

REMOVED = "a record before it is missing"
CHANGED = "its record was changed"


@contextmanager
def past_the_triggers(company: Company) -> Iterator[sqlite3.Connection]:
    """The file as somebody opens it who means to change it."""
    with closing(sqlite3.connect(company.settings.records_dir / "billed.db")) as db:
        db.executescript(
            "drop trigger billed_stays; drop trigger billed_is_kept;"
            "drop trigger if exists seals_stay;"
        )
        with db:
            yield db


def alter(company: Company, change: str) -> None:
    with past_the_triggers(company) as db:
        db.execute(f"update billed set body = {change}")


def problems(company: Company, month: BillingMonth | None = JANUARY) -> list[str]:
    return [found.problem for found in payments.verify_billed(company.settings, month)]


def bodies(company: Company) -> dict[str, dict[str, Any]]:
    with closing(sqlite3.connect(company.settings.records_dir / "billed.db")) as db:
        rows = db.execute("select subject, body from billed order by position").fetchall()
    return {stripe_id: json.loads(body) for stripe_id, body in rows}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("update billed set body = replace(body, '1000', '1001') where position = 1", CHANGED),
        ("update billed set body = '{' || substr(body, 2) || ' ' where position = 1", CHANGED),
        ("update billed set body = 'no JSON' where position = 2", CHANGED),
        ("update billed set month = '2025-12-01' where position = 2", CHANGED),
        ("update billed set position = 3 where position = 2", CHANGED),
        ("delete from billed where position = 1", REMOVED),
    ],
)
def test_a_record_that_was_changed_or_removed_is_found(
    company: Company, change: str, problem: str
) -> None:
    company.want({"ada": [1000], "bob": [500]})
    company.apply()
    assert problems(company) == []
    with past_the_triggers(company) as db:
        db.execute(change)
    assert problems(company, month=None) == [problem]


def test_what_was_sent_is_the_text_whose_hash_stripe_holds(company: Company) -> None:
    company.want({"ada": [1000, 20]})
    company.apply()
    [invoice] = company.invoices()
    content = bodies(company)[invoice["id"]]["content"]
    held = hashlib.sha256(content.encode()).hexdigest()[:32]
    assert held == invoice["metadata"]["billing_content_hash"]
    name, currency, revision, lines = json.loads(content)
    assert (name, currency, revision) == ("in_202601_ada", "USD", 1)
    assert [line[:4] for line in lines] == [
        ["line_ada_1", "charge", "Item 1", 1000],
        ["line_ada_2", "charge", "Item 2", 20],
    ]


def test_a_rewritten_digest_is_found_by_the_content_hash(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    with past_the_triggers(company) as db:
        db.create_function("hash_of_row", 5, billed._hash_of_row)
        db.execute("update billed set body = replace(body, 'Item 1', 'Item 2')")
        db.execute("update billed set hash = hash_of_row(month, position, subject, body, previous)")
    assert problems(company) == ["its content does not match its hash"]


def test_another_content_hash_in_stripe_is_found_until_a_person_has_decided(
    company: Company,
) -> None:
    company.want({"ada": [1000], "bob": [500]})
    company.apply()
    invoice = company.invoices()[0]
    before = invoice["metadata"]["billing_content_hash"]
    invoice["metadata"]["billing_content_hash"] = "another"
    assert not company.preview().changes
    assert payments.verify_billed(company.settings, JANUARY) == [
        RecordProblem(
            JANUARY.key,
            invoice["id"],
            f"its billing_content_hash was {before} and is another in Stripe",
        )
    ]
    invoice["metadata"]["billing_resolved"] = "adopt +0 marks"
    company.pull()
    assert problems(company) == []


def test_an_invoice_without_its_marks_waits_and_does_not_fail_the_check(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    company.invoices()[0]["metadata"].clear()
    assert [action.kind for action in company.preview().changes] == [ActionKind.REVIEW]
    assert problems(company) == []


def test_an_invoice_whose_record_was_changed_waits_and_the_others_go_on(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    alter(company, "replace(body, 'in_202601_ada', 'in_202601_ada ')")
    company.want({"ada": [1200], "bob": [500]})
    outcome = company.apply(approved_hash=company.preview().hash)
    (waiting,) = outcome.remaining.waiting
    assert waiting.kind is ActionKind.REVIEW and waiting.customer_id == "ada"
    assert "our record of it in records/billed.db was changed" in waiting.reason
    assert [item["total"] for item in company.invoices()] == [1000, 500]
    resolve(company, Decision.ADOPT)
    assert not company.preview().changes
    assert problems(company) == [CHANGED]


def test_whose_an_invoice_is_a_changed_record_does_not_say(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()
    alter(company, "replace(body, 'ada', 'bob')")
    for path in company.settings.records_dir.glob("stripe_mirror.db*"):
        path.unlink()
    company.want({"ada": [1000], "bob": [500]})
    outcome = company.apply()
    assert [action.customer_id for action in outcome.remaining.waiting] == ["ada"]
    assert [item["total"] for item in company.invoices()] == [1000, 500]


def test_without_records_they_are_made_from_stripe_credit_notes_too(company: Company) -> None:
    company.want({"ada": [1000], "bob": [700]})
    company.apply()
    company.want({"ada": [1000], "bob": [600]})
    company.apply(approved_hash=company.preview().hash)
    before = {name: (body["what"], body["total"]) for name, body in bodies(company).items()}
    assert sorted(before.values()) == [("credit_note", 100), ("invoice", 700), ("invoice", 1000)]
    for path in company.settings.records_dir.glob("billed.db*"):
        path.unlink()
    company.pull()
    after = {name: (body["what"], body["total"]) for name, body in bodies(company).items()}
    assert after == before and problems(company) == []
    calls = len(company.stripe.calls)
    company.pull(full=False)
    assert [path for _, path, _ in company.stripe.calls[calls:]] == ["/v1/account"]


# As earlier releases wrote the file.
_CHAIN = """
create table seals (
    month text not null, position integer not null, subject text not null unique,
    body text not null, previous text not null, hash text not null,
    primary key (month, position)
) strict;
create trigger seals_stay before update on seals begin select raise(abort, 'no'); end;
create trigger seals_kept before delete on seals begin select raise(abort, 'no'); end;
"""


def chained(company: Company) -> Path:
    """What `company` has billed, in the file of an earlier release."""
    path = company.settings.records_dir / "billed.db"
    rows = list(bodies(company).items())
    path.unlink()
    previous = "0" * 64
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(_CHAIN)
        for position, (stripe_id, body) in enumerate(rows, 1):
            body["sealed_at"] = body.pop("recorded_at")
            body["lines"] = body.pop("content")
            row = [JANUARY.key, position, stripe_id, json.dumps(body), previous]
            previous = hashlib.sha256(json.dumps(row).encode()).hexdigest()
            db.execute("insert into seals values (?, ?, ?, ?, ?, ?)", [*row, previous])
    return path


def test_what_earlier_releases_recorded_is_a_witness(company: Company) -> None:
    company.want({"ada": [1000], "bob": [500]})
    company.apply()
    chained(company)
    assert problems(company) == []
    for invoice in company.invoices():
        invoice["metadata"].clear()
    for cache in company.settings.records_dir.glob("stripe_mirror.db*"):
        cache.unlink()
    company.want({"ada": [1000], "bob": [500], "cyd": [300]})
    outcome = company.apply()
    assert {action.customer_id for action in outcome.remaining.waiting} == {"ada", "bob"}
    assert [item["total"] for item in company.invoices()] == [1000, 500, 300]
    assert len(bodies(company)) == 3 and problems(company) == []
    alter(company, "replace(body, '1000', '1001')")
    assert problems(company) == [CHANGED]
