"""Who approved or declined which part of a plan: evidence that is never deleted.

What belongs here: storing decisions and reading them. What does not: what follows from them
(`plan/approval.py`). Names are as claimed: nothing proves them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from billing_pipeline.collection.plan.approval import PlanDecision, Verdict
from billing_pipeline.runs.sqlite_file import open_file

_SCHEMA = """
create table if not exists approvals (
    entry integer primary key,
    billing_month text not null, verdict text not null check (verdict in ('approved', 'declined')),
    plan_hash text not null, decided_at real not null, decided_by text not null,
    reason text not null, run_id text not null,
    customers text not null, actions text not null, plan text not null
) strict;
create index if not exists approvals_of_month on approvals (billing_month);
create trigger if not exists approvals_stay before update on approvals
begin select raise(abort, 'approvals are append-only'); end;
create trigger if not exists approvals_kept before delete on approvals
begin select raise(abort, 'approvals are append-only'); end;
"""
_COLUMNS = "verdict, plan_hash, decided_at, decided_by, reason, run_id, customers, actions, plan"


class Approvals:
    """Append-only. `synchronous` full: a decision is on the disk before anything follows from
    it."""

    def __init__(self, path: Path | str, *, synchronous: str) -> None:
        self._db = open_file(path, _SCHEMA, synchronous=synchronous)

    def close(self) -> None:
        self._db.close()

    def add(self, month_key: str, decision: PlanDecision) -> None:
        self._db.execute(
            f"insert into approvals (billing_month, {_COLUMNS}) values (?{', ?' * 9})",
            [
                month_key,
                decision.verdict.value,
                decision.plan_hash,
                decision.decided_at,
                decision.decided_by,
                decision.reason,
                decision.run_id,
                json.dumps(decision.customers),
                json.dumps(decision.actions),
                json.dumps(sorted(decision.plan)),
            ],
        )

    def of_month(self, month_key: str) -> list[PlanDecision]:
        """The month's decisions, oldest first."""
        rows = self._db.execute(
            f"select {_COLUMNS} from approvals where billing_month = ? order by entry", [month_key]
        )
        return [_decided(row) for row in rows]


def _decided(row: tuple[Any, ...]) -> PlanDecision:
    verdict, plan_hash, at, by, reason, run_id, customers, actions, plan = row
    return PlanDecision(
        Verdict(verdict),
        plan_hash,
        at,
        by,
        reason,
        run_id,
        tuple(json.loads(customers)),
        tuple((invoice_id, digest) for invoice_id, digest in json.loads(actions)),
        frozenset(json.loads(plan)),
    )


def approval_rows(decisions: list[PlanDecision]) -> list[dict[str, Any]]:
    """Rows of the table `approvals`."""
    return [
        {
            "plan_hash": decision.plan_hash,
            "decided_at": datetime.fromtimestamp(decision.decided_at, UTC),
            "decided_by": decision.decided_by,
            "decision": decision.verdict.value,
            "customers": ";".join(decision.customers),
            "reason": decision.reason or None,
            "run_id": decision.run_id,
        }
        for decision in decisions
    ]
