"""Ending a command by a signal: Ctrl-C and SIGTERM alike.

What belongs here: that a signal ends the process, whatever it is doing. What does not: what is said
of it (``cli``), and what has to hold afterwards: a run may be killed at any moment.

The first signal raises `KeyboardInterrupt`, so that what is open is closed. That is not enough:
Dagster puts handlers of its own in place, which note a signal for later, and Python calls none
while a query or a connection keeps the main thread. So a thread watches the signals as well, told
by the interpreter at the moment they arrive. It ends the process where a second one comes, or where
the first has not done so in some seconds.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

INTERRUPTED = "interrupted: the same command again goes on from here, nothing is sent twice"
ENDS_WITHIN_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


_came = threading.Event()


def end_on_signals(last_words: Callable[[], int]) -> None:
    """From now on, in this process. `last_words` are said where the process has to be ended from
    outside; they give its exit code."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
    watch = threading.Thread(
        target=_watch, args=(ours, last_words), name="end-on-signals", daemon=True
    )
    watch.start()


def was_interrupted() -> bool:
    """True once a signal came: what fails from then on, fails of that."""
    return _came.is_set()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _watch(told: socket.socket, last_words: Callable[[], int]) -> None:
    _wait_for_signal(told, None)
    _came.set()
    _wait_for_signal(told, ENDS_WITHIN_SECONDS)
    code = 1
    try:
        code = last_words()
    finally:
        os._exit(code)


def _wait_for_signal(told: socket.socket, seconds: float | None) -> None:
    """Returns at a signal that ends, or after so many seconds. Others pass here as well."""
    while select.select([told], [], [], seconds)[0]:
        if told.recv(1)[0] in _SIGNALS:
            return
