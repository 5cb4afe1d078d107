"""``python -m billing_pipeline.stripe_sandbox``: the sandbox on its own, for trying things out."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from billing_pipeline.stripe_sandbox.engine import Rates
from billing_pipeline.stripe_sandbox.server import running_sandbox


def main() -> None:
    parser = argparse.ArgumentParser(description="The embedded Stripe sandbox, over HTTP.")
    parser.add_argument("directory", type=Path, help="where its state is, e.g. .billing/sandbox")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--limits", action="store_true", help="429 beyond test mode's limits")
    arguments = parser.parse_args()
    rates = Rates() if arguments.limits else None
    with running_sandbox(arguments.directory, latency=arguments.latency, rates=rates) as base:
        print(f"Stripe sandbox at {base} (any sk_test_ key); Ctrl-C ends it", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
