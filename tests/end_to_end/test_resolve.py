"""Somebody voids an invoice in Stripe: it is in review, a person decides, and the month ends."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.stripe_api.client import SANDBOX_KEY
from billing_pipeline.stripe_sandbox import running_sandbox
from tests.end_to_end.commands import EXAMPLES, billing, last_line

DATA = EXAMPLES / "metered-api"
MONTH = "2026-01"
CUSTOMER = "m-failing-card"
REASON = "cancelled by agreement"


def void(home: Path, customer: str) -> str:
    """The invoice of a customer is voided in Stripe; gives our id of it."""
    with running_sandbox(home / "sandbox") as base:

        def ask(method: str, path: str) -> Any:
            headers = {"Authorization": f"Bearer {SANDBOX_KEY}"}
            request = urllib.request.Request(base + path, method=method, headers=headers)
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)

        [invoice] = [
            item
            for item in ask("GET", "/v1/invoices?limit=100")["data"]
            if item["metadata"].get("billing_customer_id") == customer
        ]
        assert invoice["status"] == "open", "what was paid cannot be voided"
        ask("POST", f"/v1/invoices/{invoice['id']}/void")
    return str(invoice["metadata"]["billing_invoice_id"])


def published(home: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home / "published/billing.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.slow
def test_a_voided_invoice_is_reviewed_decided_and_done(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert billing(home, DATA, "run", MONTH).returncode == 0
    invoice_id = void(home, CUSTOMER)

    waits = billing(home, DATA, "run", MONTH)
    assert waits.returncode == 3
    assert f"billing resolve {invoice_id} --adopt" in last_line(waits)

    nothing = billing(home, DATA, "resolve", "in_unknown", "--adopt", "--reason", REASON)
    assert nothing.returncode == 1 and "no invoice in_unknown" in last_line(nothing)

    decide = ("resolve", invoice_id, "--adopt", "--reason", REASON, "--by", "ada", "--json")
    asked = billing(home, DATA, *decide)
    assert asked.returncode == 3, asked.stderr
    result = json.loads(asked.stdout)
    [action] = [row for row in result["plan"] if row["state"] == "waiting"]
    assert action["action"] == "resolve" and action["invoice_id"] == invoice_id
    assert f"by ada: {REASON}" in action["reason"]

    approved = billing(home, DATA, "apply", MONTH, "--approve", result["plan_hash"])
    assert approved.returncode == 0, approved.stderr
    assert billing(home, DATA, "run", MONTH).returncode == 0
    [[state, difference]] = published(
        home, f"SELECT state, difference FROM reconciliation WHERE invoice_id = '{invoice_id}'"
    )
    assert state == "adopted" and difference < 0
    assert "This invoice is void" in billing(home, DATA, "invoice", invoice_id).stdout
