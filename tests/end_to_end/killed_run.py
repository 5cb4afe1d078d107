"""``python -m tests.end_to_end.killed_run KIND NUMBER COMMAND…``: `billing COMMAND…`, killed.

What belongs here: ending this process at a chosen moment, as the machine might. What does not:
what must be true afterwards. KIND is `before` or `after` (the NUMBERth request to Stripe, which
is not sent, or whose answer never arrives), `publishing` (before the NUMBERth publication is put
in place) or `interrupt` (Ctrl-C at the NUMBERth request).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from billing_pipeline.commands import cli
from billing_pipeline.published import publish
from billing_pipeline.stripe_api.client import Answer, StripeGateway
from tests.compiled_models import take_the_place_of_dbt


def main(kind: str, number: int, command: list[str]) -> None:
    send, swap = StripeGateway._once, publish._swap
    counted = {"requests": 0, "publications": 0}

    def die() -> None:
        os.kill(os.getpid(), signal.SIGINT if kind == "interrupt" else signal.SIGKILL)

    async def once(
        self: StripeGateway, method: str, path: str, params: Mapping[str, Any], key: str | None
    ) -> Answer:
        counted["requests"] += 1
        struck = counted["requests"] == number
        if struck and kind in ("before", "interrupt"):
            die()
        answer = await send(self, method, path, params, key)
        if struck and kind == "after":
            die()
        return answer

    def put_in_place(new: Path, path: Path) -> None:
        counted["publications"] += 1
        if kind == "publishing" and counted["publications"] == number:
            die()
        swap(new, path)

    StripeGateway._once = once  # type: ignore[method-assign]
    publish._swap = put_in_place
    take_the_place_of_dbt()
    cli.main(command)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
