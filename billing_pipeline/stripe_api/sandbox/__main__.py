"""``python -m billing_pipeline.stripe_api.sandbox``: the sandbox by itself, to look at."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from billing_pipeline.stripe_api.sandbox.server import running_sandbox


def main() -> None:
    parser = argparse.ArgumentParser(description="The embedded Stripe sandbox, over HTTP.")
    parser.add_argument("directory", type=Path, help="where its state is, e.g. .billing/sandbox")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    arguments = parser.parse_args()
    with running_sandbox(arguments.directory, latency=arguments.latency) as base:
        print(f"Stripe sandbox at {base} (any sk_test_ key); Ctrl-C ends it", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("ended")


if __name__ == "__main__":
    main()
