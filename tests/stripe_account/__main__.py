"""``python -m tests.stripe_account``: compare the sandbox with the account of `STRIPE_TEST_KEY`.

Prints each difference, and saves the account's scrubbed answers to `recorded.json`, which the tests
replay from then on. Without a key it runs against the sandbox alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import stripe

from billing_pipeline.stripe_sandbox import Sandbox
from tests.in_process import InProcessClient
from tests.stripe_account.compare import Json, Send, differences, run
from tests.stripe_account.steps import STEPS
from tests.virtual_clock import VirtualClock

RECORDED = Path(__file__).parent / "recorded.json"


def sender(key: str, http_client: stripe.HTTPClient | None = None) -> Send:
    """Sends with the SDK, so that both get the same bytes."""
    client = stripe.StripeClient(key, http_client=http_client, max_network_retries=2)

    def send(method: str, path: str, params: Json) -> tuple[int, Json]:
        try:
            answer = client.raw_request(method.lower(), path, **params)
        except stripe.StripeError as error:
            body: Any = error.json_body
            if error.http_status is None or not isinstance(body, dict):
                raise
            return error.http_status, body
        return 200, dict(answer.data)

    return send


def sandbox_answers() -> dict[str, Json]:
    """With a second between two requests, as an account would take."""
    clock = VirtualClock(time.time())
    ask = sender("sk_test_sandbox", InProcessClient(Sandbox(clock=clock.now)))

    def send(method: str, path: str, params: Json) -> tuple[int, Json]:
        clock.advance(1)
        return ask(method, path, params)

    return run(STEPS, send)


def main(key: str, recorded: Path = RECORDED) -> int:
    """0: no difference; 1: some; 2: the key cannot be used."""
    if key and not key.startswith(("sk_test_", "rk_test_")):
        print("STRIPE_TEST_KEY is no test key: it begins with sk_test_ or rk_test_")
        return 2
    ours = sandbox_answers()
    if not key:
        refused = sum(answer.get("status") != 200 for answer in ours.values())
        print(f"No STRIPE_TEST_KEY: only the sandbox answered {len(ours)} requests.")
        print(f"{refused} were refused or skipped. Set a test key to compare it with an account.")
        return 0
    theirs = run(STEPS, sender(key))
    recorded.write_text(json.dumps(theirs, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    found = list(differences(ours, theirs))
    for step in STEPS:
        if step.question:
            print(f"? {step.question}: {json.dumps(theirs[step.name])}")
    print(*found, sep="\n")
    print(f"{len(found)} differences in {len(theirs)} requests; saved to {recorded}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(os.environ.get("STRIPE_TEST_KEY", "").strip()))
