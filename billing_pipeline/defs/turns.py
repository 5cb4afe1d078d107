"""What a step waits for before it begins: the month's lock for its run, and its turn.

What belongs here: taking the locks of ``runs.locks`` for a step, and showing that it waits. What
does not: which locks there are.
"""

import sys
from typing import Protocol

import dagster as dg

from billing_pipeline.months import BillingMonth
from billing_pipeline.runs.liveness import hold
from billing_pipeline.runs.locks import Turn, hold_month, month_lock, release_of_ended, turn_lock
from billing_pipeline.runs.process_locks import NamedLock
from billing_pipeline.settings import Settings


class _Context(Protocol):
    """An asset's or an op's."""

    @property
    def run(self) -> dg.DagsterRun: ...

    @property
    def log(self) -> dg.DagsterLogManager: ...


def month_of(context: dg.AssetExecutionContext, settings: Settings) -> BillingMonth:
    """The month of a step, which this locks for the step's run. Every step calls it first; it also
    marks the run as alive."""
    month = BillingMonth.parse(context.partition_key)
    run = context.run
    hold(settings, run.run_id)
    hold_month(settings, month, run.run_id, run.job_name, lambda text: _notify(context, text))
    return month


def turn(context: _Context, settings: Settings, kind: Turn) -> NamedLock:
    """For the length of a `with` block."""
    run = context.run
    return turn_lock(settings, kind, run.run_id, run.job_name, lambda text: _notify(context, text))


def free_month(context: _Context, settings: Settings, month: BillingMonth) -> NamedLock:
    """A month other than the run's own, for the length of a `with` block. Raises `HeldError` at
    once if another run works on it."""
    run = context.run
    release_of_ended(run.run_id)
    return month_lock(settings, month, run.run_id, run.job_name, timeout=0.0)


def _notify(context: _Context, text: str) -> None:
    context.log.info(text)
    # The command line shows no log.
    print(text, file=sys.stderr, flush=True)
