"""Ending a command by a signal: Ctrl-C and SIGTERM alike.

What belongs here: ending the process on a signal, whatever it is doing. What does not: the message
(``commands.cli``), and what must hold afterwards (a run may be killed at any moment).

The first signal raises `KeyboardInterrupt`, so that open files are closed. That is not enough:
Dagster installs handlers of its own, which only note a signal for later, and Python calls none
while the main thread is in a query or waits for a connection. So a thread watches the signals as
well, through the interpreter's wakeup file descriptor. It ends the process at the second signal, or
if the first has not done so within some seconds.
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
SHUTDOWN_TIMEOUT_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received = threading.Event()


def end_on_signals(last_words: Callable[[], int]) -> None:
    """Let signals end this process from now on. If it has to be ended by force, `last_words` is
    called first and returns the exit code."""
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
    """True after a signal: whatever fails from then on fails because of it."""
    return _received.is_set()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _watch(wakeup: socket.socket, last_words: Callable[[], int]) -> None:
    _wait_for_signal(wakeup, None)
    _received.set()
    _wait_for_signal(wakeup, SHUTDOWN_TIMEOUT_SECONDS)
    code = 1
    try:
        code = last_words()
    finally:
        os._exit(code)


def _wait_for_signal(wakeup: socket.socket, seconds: float | None) -> None:
    """Return at a signal that ends the process, or after `seconds`; ignore other signals."""
    while select.select([wakeup], [], [], seconds)[0]:
        if wakeup.recv(1)[0] in _SIGNALS:
            return
