"""Airbyte's source reads the account: one line of JSON for each record. Runs in the source's own
environment."""

import json
import subprocess
import sys
from pathlib import Path

import source_stripe

AMOUNTS = {
    "charges": "amount",
    "credit_notes": "total",
    "customers": "balance",
    "invoices": "total",
    "payment_intents": "amount",
    "refunds": "amount",
}
STRIPE = "https://api.stripe.com"


def point_to(base):
    """The source has no setting for another address: it stands in its manifest."""
    manifest = Path(source_stripe.__file__).parent / "manifest.yaml"
    published = manifest.with_suffix(".published")
    if not published.exists():
        published.write_text(manifest.read_text())
    manifest.write_text(published.read_text().replace(STRIPE, base))


def run(*arguments):
    code = "from source_stripe.run import run; run()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for message in messages:
        if message["type"] == "TRACE" and message["trace"]["type"] == "ERROR":
            print(message["trace"]["error"], file=sys.stderr)
    return messages


def main(work, base, key, *_):
    point_to(base)
    config, catalog = Path(work) / "config.json", Path(work) / "catalog.json"
    account = {"account_id": "acct_sandbox", "client_secret": key}
    config.write_text(json.dumps(account | {"start_date": "2020-01-01T00:00:00Z"}))
    [found] = [m["catalog"] for m in run("discover", "--config", str(config)) if "catalog" in m]
    chosen = [
        {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}
        for stream in found["streams"]
        if stream["name"] in AMOUNTS
    ]
    catalog.write_text(json.dumps({"streams": chosen}))
    for message in run("read", "--config", str(config), "--catalog", str(catalog)):
        if message["type"] != "RECORD":
            continue
        stream, record = message["record"]["stream"], message["record"]["data"]
        ours = bool((record.get("metadata") or {}).get("billing_invoice_id"))
        made = {"kind": record["object"], "id": record["id"], "currency": record.get("currency")}
        print(json.dumps(made | {"amount": record.get(AMOUNTS[stream]), "ours": ours}))


if __name__ == "__main__":
    main(*sys.argv[1:])
