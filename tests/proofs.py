"""Proofs of all invoices of a rated month, computed by node as a browser would.

What belongs here: reading the proofs out of a warehouse, and running the calculator. What does not:
expectations.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.duckdb_sql import rows
from billing_pipeline.proof.document import read_proofs

CALCULATOR = Path(__file__).resolve().parents[1] / "billing_pipeline" / "proof" / "calculator.js"
# One proof a line; one answer a line. A proof that cannot be computed says why.
_RUN = """
const { prove, eventsDigest } = require(process.argv[1]);
const lines = require("fs").readFileSync(0, "utf8").split("\\n").filter((line) => line);
for (const line of lines) {
  const proof = JSON.parse(line);
  let answer;
  try {
    const { findings, agrees } = prove(proof);
    const digests = proof.charges.filter((charge) => charge.events)
      .every((charge) => eventsDigest(charge.events) === charge.events_digest);
    answer = { agrees: agrees && digests, findings };
  } catch (error) {
    answer = { agrees: false, findings: [{ what: String(error.stack) }] };
  }
  console.log(JSON.stringify(answer));
}
"""


def proofs_of(warehouse: Path, **how: Any) -> list[dict[str, Any]]:
    """The proof of each invoice of a warehouse, which has the tables that are published too."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        invoices = rows(connection, "SELECT * FROM invoices ORDER BY invoice_id")
        return read_proofs(connection, connection, invoices, **how)


def computed(proofs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the calculator finds of each; the test is skipped where there is no node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the calculator of proofs runs in it, as in a browser")
    done = subprocess.run(
        [node, "-e", _RUN, str(CALCULATOR)],
        input="\n".join(json.dumps(proof) for proof in proofs),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def disagreements(proofs: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Each number that the calculator computes otherwise, with its invoice's customer."""
    found = []
    for proof, answer in zip(proofs, computed(proofs), strict=True):
        wrong = [one for one in answer["findings"] if one.get("agrees") is not True]
        found += [(proof["invoice"]["customer_id"], one) for one in wrong]
        if not answer["agrees"] and not wrong:
            found.append((proof["invoice"]["customer_id"], {"what": "digest of events"}))
    return found
