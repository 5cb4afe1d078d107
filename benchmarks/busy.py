"""A first run on a busy account: all its payments are read, for some of them may top up wallets.

What belongs here: an account of many payments, which is a server in a process of its own that makes
up pages as they are asked for, and reading it. What does not: how it is judged (``scenarios.py``).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.account import KEY
from billing_pipeline.collection.pull.top_ups import read_top_ups
from billing_pipeline.collection.stripe_gateway import run
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.stripe_api.client import GatewayConfig, StripeGateway
from billing_pipeline.stripe_sandbox import Sandbox

Figures = dict[str, Any]
TOP_UP_INTERVAL = 1_000
NUMBER = "000000000001"
"""In the payment from which the others are made: theirs instead of it."""


def payments(data: Path, home: Path, count: str) -> Figures:
    """Read the top-ups among so many payments, over HTTP, into an empty cache."""
    home.mkdir(parents=True)
    with _account(int(count)) as base:
        gateway = StripeGateway(GatewayConfig(api_key=KEY, api_base=base))
        cache = StripeCache(home / "stripe.db")
        began = time.perf_counter()
        run(gateway, lambda: read_top_ups(gateway, cache, 0))
        seconds = time.perf_counter() - began
        found = len(cache.top_ups.all())
        cache.close()
    assert found == int(count) // TOP_UP_INTERVAL, found
    return {"seconds": seconds, "requests": gateway.requests_sent, "top_ups": found}


@contextmanager
def _account(count: int) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.busy", str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


def _payment() -> str:
    """A payment with its charge, as the sandbox shows it."""
    sandbox = Sandbox(others=False)

    def ask(method: str, path: str, body: str = "") -> str:
        headers = {"Authorization": f"Bearer {KEY}"}
        return sandbox.handle(method, f"/v1/{path}", headers, body).body.decode()

    made = "amount=2500&currency=usd&payment_method=pm_card_visa&confirm=true"
    ask("POST", "payment_intents", f"{made}&return_url=https://shop.example&metadata[order]=17")
    page = json.loads(ask("GET", "payment_intents?expand[0]=data.latest_charge"))
    return json.dumps(page["data"][0])


class _Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0
    payment = ""

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        after, limit = asked.get("starting_after", ["0"])[0], int(asked["limit"][0])
        first = int(after.rpartition("_")[2]) + 1
        last = min(first + limit - 1, self.count)
        items = ", ".join(self._item(number) for number in range(first, last + 1))
        more = json.dumps(last < self.count)
        body = f'{{"object": "list", "has_more": {more}, "data": [{items}]}}'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _item(self, number: int) -> str:
        item = self.payment.replace(NUMBER, f"{number:012}")
        if number % TOP_UP_INTERVAL:
            return item
        marks = {"billing_top_up": f"t{number}", "billing_customer_id": "ada"}
        return item.replace('"metadata": {"order": "17"}', f'"metadata": {json.dumps(marks)}')

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


if __name__ == "__main__":
    _Pages.count, _Pages.payment = int(sys.argv[1]), _payment()
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    print(listening.server_address[1], flush=True)
    listening.serve_forever()
