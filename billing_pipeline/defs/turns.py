"""The locks that a step takes before it begins: the month, for its run, and a turn.

What belongs here: taking the locks of ``runs.locks`` for a step, and showing that it waits. What
does not: which locks there are.
"""

import sys
from dataclasses import replace
from typing import Protocol

import dagster as dg

from billing_pipeline.months import BillingMonth
from billing_pipeline.runs.liveness import hold
from billing_pipeline.runs.locks import RunLocks, Turn
from billing_pipeline.runs.process_locks import NamedLock
from billing_pipeline.settings import Settings


class _Context(Protocol):
    """The context of an asset or an op."""

    @property
    def run(self) -> dg.DagsterRun: ...

    @property
    def log(self) -> dg.DagsterLogManager: ...


def month_of(context: dg.AssetExecutionContext, settings: Settings) -> BillingMonth:
    """The month of a step. Locks the month for the step's run, and marks the run as alive: every
    step calls this first."""
    month = BillingMonth.parse(context.partition_key)
    hold(settings, context.run.run_id)
    _locks(context, settings).hold_month(month)
    return month


def turn(context: _Context, settings: Settings, kind: Turn) -> NamedLock:
    """A turn for the length of a `with` block."""
    return _locks(context, settings).turn(kind)


def other_month(context: _Context, settings: Settings, month: BillingMonth) -> NamedLock:
    """A month other than the run's own, for the length of a `with` block. Raises `HeldError` at
    once if another run works on it."""
    locks = replace(_locks(context, settings), timeout=0.0)
    locks.release_ended_runs()
    return locks.month(month)


def _locks(context: _Context, settings: Settings) -> RunLocks:
    def notify(text: str) -> None:
        context.log.info(text)
        # The command line shows no log.
        print(text, file=sys.stderr, flush=True)

    return RunLocks(settings, context.run.run_id, context.run.job_name, notify)
