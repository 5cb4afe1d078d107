"""`billing prove`: an invoice as a file that recomputes itself.

What belongs here: arguments, and opening the databases that are read. What does not: the content of
the file (``proof``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import duckdb

from billing_pipeline.commands.parameters import json_option
from billing_pipeline.commands.terminal import print_json, writing
from billing_pipeline.documents.reading import published, read_invoice
from billing_pipeline.duckdb_sql import rows
from billing_pipeline.money import stripe_places
from billing_pipeline.months import BillingMonth
from billing_pipeline.proof.document import NoProofError, read_proof, read_sent_content
from billing_pipeline.proof.page import page
from billing_pipeline.published.reading import attach, utc_session
from billing_pipeline.settings import Settings
from billing_pipeline.text import printable


@click.command()
@click.argument("invoice_id", metavar="ID")
@click.option(
    "--out",
    "out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The HTML file to write.",
)
@click.option("--line", help="Include the events of this line only, if the invoice has too many.")
@json_option
def prove(invoice_id: str, out: Path, line: str | None, as_json: bool) -> None:
    """Write an invoice as one HTML page that recomputes it from its events, offline."""
    proof = _proof(Settings.from_env(), invoice_id, line)
    with writing(out):
        out.write_text(page(proof), encoding="utf-8")
    listed = sum(len(charge.get("events") or ()) for charge in proof["charges"])
    left = [one for one in proof["charges"] if one["meter_id"] and one["events"] is None]
    key = proof["invoice"]["invoice_id"]
    if as_json:
        print_json(
            {"invoice_id": key, "file": out, "events": listed, "charges_without_events": len(left)}
        )
        return
    click.echo(printable(f"wrote {out}: {key}, {listed} events"), err=True)
    if left:
        click.echo(
            f"the events of {len(left)} charges are not in it, only their digests: "
            "--line LINE puts in those of one line",
            err=True,
        )


def _proof(settings: Settings, invoice_id: str, line: str | None) -> dict[str, Any]:
    with published(settings) as connection:
        records = read_invoice(connection, invoice_id)
        (invoice,) = rows(
            connection,
            "SELECT * FROM invoices WHERE invoice_id = $1",
            records.invoice["invoice_id"],
        )
        month = BillingMonth(invoice["billing_month"].year, invoice["billing_month"].month)
        path = settings.warehouse_path(month)
        if not path.exists():
            raise NoProofError(
                f"the month's warehouse {path} is gone, which has the events: "
                f"`billing plan {month}` makes it again, and sends nothing"
            )
        with utc_session() as warehouse:
            try:
                attach(warehouse, path, "warehouse")
                warehouse.execute("USE warehouse")
                proof = read_proof(connection, warehouse, invoice, events_of=line)
            except duckdb.Error as error:
                raise NoProofError(
                    f"{path} cannot be read: {' '.join(str(error).split())}; a run may be "
                    f"rating {month}, or an earlier release rated it: `billing plan {month}`"
                ) from error
    return {
        **proof,
        "customer": records.customer.get("name") or invoice["customer_id"],
        "seller": records.seller["name"],
        "stripe_places": stripe_places(invoice["currency"]),
        "sent": read_sent_content(settings.records_dir / "billed.db", invoice["invoice_id"]),
    }
