"""The process `billing`, from its first moment to its end.

What belongs here: what has to be so before anything else is imported, and an end without delay.
What does not: the commands (``commands``).
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from billing_pipeline.runs.interruption import INTERRUPTED, end_on_signals

FAILED = 1


def program() -> NoReturn:
    """The command line."""
    run(_command_line)


def _command_line() -> None:
    # Imported here: it takes a second, in which the process can be interrupted too.
    from billing_pipeline.commands.cli import main

    main()


def run(main: Callable[[], None]) -> NoReturn:
    """`main` as this process, ended by signals from here on.

    Python ends by taking apart all that it holds, which after Dagster and dbt takes a second. What
    is to be done at the end is done; the memory is left to the system.
    """
    end_on_signals(_report_interruption)
    try:
        main()
    except KeyboardInterrupt:
        os._exit(_report_interruption())
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    else:
        code = 0
    atexit._run_exitfuncs()
    with suppress(BrokenPipeError):  # whoever read the output has closed it
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _report_interruption() -> int:
    """For a process that ends before `cli.main` can say it."""
    if "--json" in sys.argv:
        document = {"success": False, "reason": INTERRUPTED}
        os.write(1, f"{json.dumps(document, indent=1)}\n".encode())
    os.write(2, f"{INTERRUPTED}\n".encode())
    return FAILED


if __name__ == "__main__":
    program()
