"""Tax ids from `customers.csv` to the invoices in Stripe, by the commands that a person types."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import stripe

from billing_pipeline.stripe_sandbox import Sandbox
from tests.end_to_end.commands import EXAMPLES, billing
from tests.in_process import InProcessClient

pytestmark = pytest.mark.slow
MONTH = "2026-01"
TAX_IDS = {
    "m-startup": ("NL", "NL 1234 56789 B12"),
    # Of a form that Stripe does not take.
    "m-half-cent": ("IE", "IE12"),
    # Of no country that has a type.
    "m-agency": ("AQ", "not known"),
}


class Closed(NamedTuple):
    data: Path
    home: Path
    result: Any


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Closed:
    folder = tmp_path_factory.mktemp("tax_ids")
    data = folder / "data"
    shutil.copytree(EXAMPLES / "metered-api", data)
    path = data / "accounts" / "customers.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["country"], row["tax_id"] = TAX_IDS.get(row["customer_id"], (row["country"], ""))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    done = billing(folder / "home", data, "run", MONTH, "--json")
    assert done.returncode == 0, done.stderr
    return Closed(data, folder / "home", json.loads(done.stdout))


def test_the_invoices_show_them_and_all_are_sent(closed: Closed) -> None:
    sandbox = InProcessClient(Sandbox(closed.home / "sandbox" / "stripe.sqlite"))
    client = stripe.StripeClient("sk_test_sandbox", http_client=sandbox)
    shown = {
        invoice.metadata["billing_customer_id"]: [
            one.value for one in invoice.customer_tax_ids or []
        ]
        for invoice in client.v1.invoices.list({"limit": 100}).data
        if invoice.metadata and "billing_customer_id" in invoice.metadata
    }
    assert shown.pop("m-startup") == ["NL123456789B12"]
    assert len(shown) > 1 and not any(shown.values())


def test_customers_without_one_in_stripe_are_named(closed: Closed) -> None:
    problems = closed.result["tax_ids_not_in_stripe"]
    assert set(problems) == {"m-half-cent", "m-agency"}
    assert "tax_id_invalid" in problems["m-half-cent"]
    assert "a customer in AQ" in problems["m-agency"]
    status = billing(closed.home, closed.data, "status")
    assert "2 tax ids are not in Stripe: m-agency: " in " ".join(status.stdout.split())
    check = json.loads(billing(closed.home, closed.data, "check", "--json").stdout)
    [named] = [ids for hint, ids in check["hints"].items() if hint.startswith("tax ids of no type")]
    assert named == ["m-agency (not known)"]


def test_once_they_are_corrected_nobody_is(closed: Closed) -> None:
    path = closed.data / "accounts" / "customers.csv"
    text = path.read_text(encoding="utf-8")
    for wrong, right in (
        ("IE12", "IE1234567AB"),
        ("AQ,", "US,"),
        ("not known", "12-3456789"),
    ):
        assert wrong in text
        text = text.replace(wrong, right)
    path.write_text(text, encoding="utf-8")
    done = billing(closed.home, closed.data, "run", MONTH, "--json")
    assert json.loads(done.stdout)["tax_ids_not_in_stripe"] == {}, done.stderr
    assert "tax ids" not in billing(closed.home, closed.data, "status").stdout
