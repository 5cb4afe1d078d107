"""The request log: every request that changes Stripe, and what people decided about invoices.

What belongs here: writing the intent before a request and the answer after it, and reading both.
What does not: decisions that depend on it. It is the audit log that finance reads and additional
evidence in recovery, never the only one. It holds no secret key, no card and no body, only who
asked for what, when, and Stripe's id of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from billing_pipeline.collection.stripe_state.resolutions import Decision, Proposal
from billing_pipeline.runs.sqlite_file import open_file

_SCHEMA = """
create table if not exists requests (
    entry integer primary key,
    run_id text not null, actor text not null, plan_hash text not null,
    customer_id text not null, invoice_id text not null,
    method text not null, path text not null, idempotency_key text not null,
    asked_at real not null
) strict;
create table if not exists answers (
    entry integer primary key references requests (entry),
    outcome text not null, status integer, request_id text, object_id text, message text,
    is_replayed integer not null, answered_at real not null
) strict;
create index if not exists requests_by_key on requests (idempotency_key);
create table if not exists decisions (
    entry integer primary key, at real not null, run_id text not null, plan_hash text not null,
    billing_month text not null, invoice_id text not null,
    decision text not null, reason text not null, decided_by text not null,
    doubts text not null,
    stripe_invoice_id text, customer_id text, currency text, mark text
) strict;
create index if not exists decisions_of_month on decisions (billing_month);
create trigger if not exists decisions_stay before update on decisions
begin select raise(abort, 'the journal is append-only'); end;
create trigger if not exists decisions_kept before delete on decisions
begin select raise(abort, 'the journal is append-only'); end;
create trigger if not exists requests_stay before update on requests
begin select raise(abort, 'the journal is append-only'); end;
create trigger if not exists requests_kept before delete on requests
begin select raise(abort, 'the journal is append-only'); end;
create trigger if not exists answers_stay before update on answers
begin select raise(abort, 'the journal is append-only'); end;
create trigger if not exists answers_kept before delete on answers
begin select raise(abort, 'the journal is append-only'); end;
"""


class CarriedOut(NamedTuple):
    """A decision that was carried out on one Stripe invoice, and the mark that records it."""

    stripe_invoice_id: str
    invoice_id: str
    customer_id: str
    currency: str
    mark: str


@dataclass(frozen=True)
class Author:
    """On whose behalf requests are sent; `actor` is as claimed, nothing proves it."""

    run_id: str
    actor: str = "unattended"
    plan_hash: str = ""


class RequestLog:
    """Append-only. `synchronous` full: an intent is on the disk before its request is sent."""

    def __init__(self, path: Path | str, *, synchronous: str) -> None:
        self._db = open_file(path, _SCHEMA, synchronous=synchronous)

    def close(self) -> None:
        self._db.close()

    def log_request(
        self,
        author: Author,
        *,
        customer_id: str,
        invoice_id: str,
        method: str,
        path: str,
        key: str,
        now: float,
    ) -> int:
        """Log what is about to be sent; returns the entry's number."""
        cursor = self._db.execute(
            "insert into requests (run_id, actor, plan_hash, customer_id, invoice_id, method, "
            "path, idempotency_key, asked_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                author.run_id,
                author.actor,
                author.plan_hash,
                customer_id,
                invoice_id,
                method,
                path,
                key,
                now,
            ],
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def answer(
        self,
        entry: int,
        outcome: str,
        *,
        now: float,
        status: int | None = None,
        request_id: str | None = None,
        object_id: str | None = None,
        message: str | None = None,
        replayed: bool = False,
    ) -> None:
        """Log what came back: `outcome` is ``done`` or the kind of failure."""
        self._db.execute(
            "insert into answers values (?, ?, ?, ?, ?, ?, ?, ?)",
            [entry, outcome, status, request_id, object_id, message, int(replayed), now],
        )

    def entries(self, *, run_id: str | None = None) -> Iterator[dict[str, Any]]:
        """All entries in order, each with its answer or with nulls where none came."""
        cursor = self._db.execute(
            "select r.*, a.outcome, a.status, a.request_id, a.object_id, a.message, "
            "a.is_replayed, a.answered_at from requests r left join answers a using (entry) "
            "where ?1 is null or r.run_id = ?1 order by entry",
            [run_id],
        )
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))

    def find(self, key: str) -> dict[str, Any] | None:
        """The newest request under an idempotency key, with its answer if there is one."""
        row = self._db.execute(
            "select r.asked_at, a.outcome, a.object_id from requests r "
            "left join answers a using (entry) "
            "where r.idempotency_key = ? order by entry desc limit 1",
            [key],
        ).fetchone()
        names = ("asked_at", "outcome", "object_id")
        return None if row is None else dict(zip(names, row, strict=True))

    def propose(self, author: Author, month_key: str, proposal: Proposal, now: float) -> None:
        """Log a decision that somebody proposes to end a review."""
        self._decide(author, month_key, proposal, now)

    def carried_out(
        self, author: Author, month_key: str, proposal: Proposal, done: CarriedOut, now: float
    ) -> None:
        """Log that an approved decision was carried out on a Stripe invoice."""
        self._decide(author, month_key, proposal, now, done)

    def _decide(
        self,
        author: Author,
        month_key: str,
        proposal: Proposal,
        now: float,
        done: CarriedOut | None = None,
    ) -> None:
        self._db.execute(
            "insert into decisions (at, run_id, plan_hash, billing_month, invoice_id, decision, "
            "reason, decided_by, doubts, stripe_invoice_id, customer_id, currency, mark) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                now,
                author.run_id,
                author.plan_hash,
                month_key,
                proposal.invoice_id,
                proposal.decision.value,
                proposal.reason,
                proposal.decided_by,
                json.dumps(sorted(proposal.review_reasons)),
                *(
                    (done.stripe_invoice_id, done.customer_id, done.currency, done.mark)
                    if done
                    else (None, None, None, None)
                ),
            ],
        )

    def proposals(self, month_key: str) -> dict[str, Proposal]:
        """The newest decision that waits for approval, by invoice."""
        rows = self._db.execute(
            "select invoice_id, decision, reason, decided_by, doubts, mark from decisions "
            "where billing_month = ? order by entry",
            [month_key],
        )
        found: dict[str, Proposal] = {}
        for invoice_id, decision, reason, decided_by, review_reasons, mark in rows:
            if mark is None:
                found[invoice_id] = Proposal(
                    invoice_id,
                    Decision(decision),
                    reason,
                    decided_by,
                    frozenset(json.loads(review_reasons)),
                )
            else:
                found.pop(invoice_id, None)
        return found

    def decided(self, month_key: str) -> list[CarriedOut]:
        """The newest decision that was carried out on each Stripe invoice."""
        rows = self._db.execute(
            "select stripe_invoice_id, invoice_id, customer_id, currency, mark from decisions "
            "where billing_month = ? and mark is not null order by entry",
            [month_key],
        )
        return list({row[0]: CarriedOut(*row) for row in rows}.values())

    def last_entry(self) -> int:
        """The number of the newest entry, 0 where there is none: it grows with every request."""
        [[entry]] = self._db.execute("select coalesce(max(entry), 0) from requests").fetchall()
        return int(entry)
