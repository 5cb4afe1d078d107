"""Which runs send invoices or charge cards, and how the queue of the UI's runs knows.

What belongs here: the tag of such runs, and tagging those that are not of one of our jobs. What
does not: the limit on the tag, which is in ``dagster.yaml`` (``instance``).

A job's runs have the job's tags. When somebody materializes a single asset, the run belongs to
Dagster's own job of all assets, which has no tags, so the queue looks at what the run selects.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

SENDS = {"billing/sends": "true"}
SENDING_ASSETS = frozenset({"stripe_invoices", "approved_changes"})


class RunQueue(dg.QueuedRunCoordinator):
    """Dagster's queue, named in ``dagster.yaml``; runs that send are tagged before they wait."""

    def submit_run(self, context: Any) -> dg.DagsterRun:
        run: dg.DagsterRun = context.dagster_run
        if sends(run):
            self._instance.add_run_tags(run.run_id, SENDS)
        return super().submit_run(context)


def sends(run: dg.DagsterRun) -> bool:
    """True where a run of Dagster's own job of all assets includes an asset that sends. A run of
    all assets has no selection."""
    if not run.job_name.startswith("__"):
        return False
    selected = run.asset_selection
    return selected is None or any(key.path[-1] in SENDING_ASSETS for key in selected)
