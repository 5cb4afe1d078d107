"""`python -m tests.end_to_end.document_pictures MONTH CUSTOMER`: the pictures of docs/documents.md.

What belongs here: the first page of each kind of document of one customer, and of the month's
close report, as PNG files in docs/images. What does not: making the documents; they are read from
what `BILLING_HOME` has published. For a supplement and a credit note, close a month of data/, add
usage, approve, correct it downwards, and approve again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typst

from billing_pipeline.documents import rendering
from billing_pipeline.documents.close_report import close_report
from billing_pipeline.documents.invoice import invoice_document
from billing_pipeline.documents.issued import find_documents, read_issued
from billing_pipeline.documents.issued_page import issued_page
from billing_pipeline.documents.reading import published, read_invoice
from billing_pipeline.duckdb_sql import rows
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_INVOICE = "SELECT invoice_id FROM invoices WHERE billing_month = $1::DATE AND customer_id = $2"


def main(month: BillingMonth, customer_id: str) -> None:
    with published(Settings.from_env()) as connection:
        [found] = rows(connection, _INVOICE, month.key, customer_id)
        for row in reversed(find_documents(connection, found["invoice_id"])):
            page = issued_page(read_issued(connection, row))
            _write(str(row["kind"]).replace("_", "-"), "invoice", page)
        records = read_invoice(connection, found["invoice_id"])
        _write("statement", "invoice", invoice_document(records, has_pages=False))
        _write("close-report", "close_report", close_report(connection, month))


def _write(name: str, template: str, document: dict[str, Any]) -> None:
    # A PDF shows a character that no font here has as this, a picture as an empty box.
    _, lacking = rendering.pdf(template, document, substitute="?")
    text = json.dumps(document, ensure_ascii=False).translate(dict.fromkeys(map(ord, lacking), "?"))
    pages = typst.compile(
        rendering.typst_source(template),
        format="png",
        ppi=80,
        sys_inputs={"document": text},
        timestamp=0,
    )
    first = pages if isinstance(pages, bytes) else pages[0]
    (IMAGES / f"{name}.png").write_bytes(first)
    print(f"wrote docs/images/{name}.png")


if __name__ == "__main__":
    main(BillingMonth.parse(sys.argv[1]), sys.argv[2])
