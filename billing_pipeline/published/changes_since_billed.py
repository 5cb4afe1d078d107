"""Why a month that is rated in a scratch home comes to amounts other than those billed.

What belongs here: the causes, by the rules of the published view `charge_changes`. What does not:
by how much the amounts differ (``collection.plan``).
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from datetime import datetime

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import CHARGES, save_versions, versions_query
from billing_pipeline.published.reading import utc_session
from billing_pipeline.published.tables import published_tables
from billing_pipeline.settings import Settings

_SCRATCH_RUN_ID = "aside"
_CAUSES = f"""
SELECT changes.invoice_id, list(DISTINCT changes.cause ORDER BY changes.cause)
FROM ({{changes}}) AS changes
INNER JOIN (
    SELECT DISTINCT invoice_id, version FROM {CHARGES} WHERE run_id = '{_SCRATCH_RUN_ID}'
) AS present
    ON changes.invoice_id = present.invoice_id AND changes.version_after = present.version
GROUP BY changes.invoice_id
"""


def causes_since_billed(
    settings: Settings,
    scratch: Settings,
    month: BillingMonth,
    invoice_ids: Collection[str],
    now: datetime,
) -> dict[str, list[str]]:
    """By invoice, the causes of charges that differ from those last billed. `scratch` is the home
    in which the month was rated again; afterwards it also contains the versions as billed, and new
    ones of the invoices that differ."""
    billed = settings.records_dir / "versions" / str(month)
    if not billed.exists():
        return {}
    shutil.copytree(billed, scratch.records_dir / "versions" / str(month))
    save_versions(scratch, month, invoice_ids, _SCRATCH_RUN_ID, now)
    query = versions_query(scratch, month, CHARGES)
    changes = published_tables(settings).reports["charge_changes"].query
    with utc_session() as connection:
        connection.execute(f"CREATE TEMP VIEW {CHARGES} AS {query}")
        found = connection.execute(_CAUSES.format(changes=changes)).fetchall()
    return {str(invoice_id): list(causes) for invoice_id, causes in found}
