"""`billing verify MONTH`: recompute a month, and compare it with what was published.

What belongs here: the argument and what is printed. What does not: recomputing and comparing
(``published.verification``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console

from billing_pipeline.collection import prepaid
from billing_pipeline.commands.parameters import MONTH, json_option, settings_with_home
from billing_pipeline.commands.terminal import CommandError, print_json, table
from billing_pipeline.defs.usage import moved_in_stripe
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.intake.late_usage import changed_inputs, rated_inputs
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.verification import TableCheck, verify_month
from billing_pipeline.settings import Settings
from billing_pipeline.text import printable


@click.command()
@click.argument("month", type=MONTH)
@json_option
def verify(month: BillingMonth, as_json: bool) -> None:
    """Recompute MONTH from its inputs and records, and compare every published table."""
    settings = settings_with_home()
    settings.require_month(month, datetime.now(UTC))
    has_records = settings.records_dir.exists()
    checks = verify_month(
        settings,
        month,
        prepaid.known_applications(settings, month) if has_records else (),
        moved_in_stripe(settings) if has_records else (),
    )
    different = [check for check in checks if not check.is_equal]
    document: dict[str, Any] = {
        "month": str(month),
        "success": not different,
        "tables": [vars(check) | {"is_equal": check.is_equal} for check in checks],
        "changed_inputs": _changed(settings, month),
    }
    if different:
        names = ", ".join(check.table for check in different)
        document["first_difference"] = different[0].first_difference
        document["reason"] = (
            f"{len(different)} of {len(checks)} tables differ: {names}; the first difference: "
            f"{printable(different[0].first_difference or different[0].table)}"
        )
        if document["changed_inputs"]:
            document["reason"] += f". Inputs since then: {document['changed_inputs']}"
    if not as_json:
        _show(checks)
    if different:
        raise CommandError(document["reason"], document)
    if as_json:
        print_json(document)
    else:
        click.echo(f"{month} matches its inputs and records: {len(checks)} tables")


def _changed(settings: Settings, month: BillingMonth) -> str | None:
    """The files that have changed since the month was last rated; None if that is unknown."""
    known = rated_inputs(settings, month)
    changed = None if known is None else changed_inputs(settings, month, known)
    return str(changed) if changed is not None else None


def _show(checks: Sequence[TableCheck]) -> None:
    console = Console(highlight=False)
    cells = [
        (
            *(check.table, check.rows, check.recomputed_rows),
            *(check.digest[:12], "equal" if check.is_equal else "DIFFERS"),
        )
        for check in checks
    ]
    columns = ("table", "rows", "recomputed", "digest", "")
    console.print(table("Published and recomputed", columns, cells))
    for check in checks:
        for side, found in (
            ("published", check.only_published),
            ("recomputed", check.only_recomputed),
        ):
            for row in found:
                click.echo(f"{check.table}, only {side}: {_line(row)}")


def _line(row: Row) -> str:
    return printable(", ".join(f"{name}={value}" for name, value in row.items()))
