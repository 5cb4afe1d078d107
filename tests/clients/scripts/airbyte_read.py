"""Airbyte's source reads the account: one line of JSON for each record. Runs in an environment of
its own."""

import json
import subprocess
import sys
from pathlib import Path

AMOUNTS = {
    "balance_transactions": "amount",
    "charges": "amount",
    "credit_notes": "total",
    "customers": "balance",
    "invoices": "total",
    "payment_intents": "amount",
    "products": None,
    "refunds": "amount",
}
SOURCE = """
import sys

import requests
from source_stripe.run import run

base, send = sys.argv.pop(1), requests.Session.send


def sent(session, request, **more):
    # The source has Stripe's own address in its manifest: only what is sent is another.
    request.url = request.url.replace("https://api.stripe.com", base)
    return send(session, request, **more)


requests.Session.send = sent
run()
"""


def run(base, *arguments):
    command = [sys.executable, "-c", SOURCE, base, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main(work, base, key, *_):
    config, chosen = Path(work) / "config.json", Path(work) / "catalog.json"
    account = {"account_id": "acct_sandbox", "client_secret": key}
    config.write_text(json.dumps(account | {"start_date": "2020-01-01T00:00:00Z"}))
    [found] = [
        message["catalog"]
        for message in run(base, "discover", "--config", str(config))
        if message["type"] == "CATALOG"
    ]
    streams = [
        {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}
        for stream in found["streams"]
        if stream["name"] in AMOUNTS
    ]
    chosen.write_text(json.dumps({"streams": streams}))
    for message in run(base, "read", "--config", str(config), "--catalog", str(chosen)):
        if message["type"] == "TRACE" and message["trace"]["type"] == "ERROR":
            raise SystemExit(message["trace"]["error"]["message"])
        if message["type"] != "RECORD":
            continue
        stream, record = message["record"]["stream"], message["record"]["data"]
        amount = AMOUNTS[stream] and record.get(AMOUNTS[stream])
        ours = bool((record.get("metadata") or {}).get("billing_invoice_id"))
        made = {"kind": record["object"], "id": record["id"], "currency": record.get("currency")}
        print(json.dumps(made | {"amount": amount, "ours": ours}))


if __name__ == "__main__":
    main(*sys.argv[1:])
