"""The commands that write documents: `billing invoice | report | export`.

What belongs here: arguments, files, and what the terminal shows. What does not: the content of
documents (``billing_pipeline.documents``). These commands only read the published database, so they
can run while anything else does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import duckdb
from rich.console import Console

from billing_pipeline.commands.parameters import MONTH, json_option
from billing_pipeline.commands.terminal import CommandError, print_json, table, writing
from billing_pipeline.documents import exports, rendering
from billing_pipeline.documents.close_report import close_report
from billing_pipeline.documents.electronic import electronic_invoice
from billing_pipeline.documents.facturx import factur_x
from billing_pipeline.documents.invoice import invoice_document
from billing_pipeline.documents.issued import IssuedDocument, find_documents, read_issued
from billing_pipeline.documents.issued_page import issued_page
from billing_pipeline.documents.journal import NoDatevError, differences, journal_files
from billing_pipeline.documents.reading import NoDocumentError, published, read_invoice
from billing_pipeline.documents.ubl import ubl
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from billing_pipeline.text import printable

_FILE = click.Path(dir_okay=False, path_type=Path)
_pdf = click.option("--pdf", "pdf_file", type=_FILE, help="Write a PDF (PDF/A).")
_html = click.option("--html", "html_file", type=_FILE, help="Write an HTML page.")
_fonts = click.option(
    "--fonts",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="A folder with further fonts for the PDF; may be repeated.",
)


@click.command()
@click.argument("invoice_id", metavar="ID")
@_pdf
@_html
@click.option("--ubl", "ubl_file", type=_FILE, help="Write UBL (EN 16931, Peppol BIS 3).")
@click.option("--xrechnung", is_flag=True, help="With --ubl: the German profile, XRechnung.")
@click.option(
    "--facturx", "facturx_file", type=_FILE, help="Write a Factur-X PDF, with the XML attached."
)
@_fonts
@json_option
def invoice(
    invoice_id: str,
    pdf_file: Path | None,
    html_file: Path | None,
    ubl_file: Path | None,
    xrechnung: bool,
    facturx_file: Path | None,
    fonts: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show an invoice, supplement or credit note as it was issued, or write it to a file.

    ID is Stripe's id or the document's number. Our invoice id shows the month's statement if it
    has several documents.
    """
    settings = Settings.from_env()
    with published(settings) as connection:
        found = find_documents(connection, invoice_id)
        issued = _issued(connection, found, invoice_id)
        if issued is None:
            records = read_invoice(connection, invoice_id)
    if xrechnung and ubl_file is None:
        raise CommandError("--xrechnung is a profile of UBL: give --ubl FILE as well")
    if ubl_file is not None or facturx_file is not None:
        if issued is None:
            raise CommandError(_none_issued(invoice_id, found))
        _write_electronic(issued, ubl_file, facturx_file, fonts, is_xrechnung=xrechnung)
    if issued is not None:
        document = issued_page(issued)
    else:
        document = invoice_document(records, has_pages=not settings.uses_sandbox)
    if document["seller"] is None:
        click.echo(
            "the document names no seller: fill accounts/seller.csv and run the month again",
            err=True,
        )
    if html_file is not None:
        _write(html_file, rendering.html("invoice", document).encode())
    if pdf_file is not None:
        content, _ = rendering.pdf("invoice", document, fonts)
        _write(pdf_file, content)
    if as_json:
        print_json(vars(records if issued is None else issued), ensure_ascii=False)
    elif all(file is None for file in (html_file, pdf_file, ubl_file, facturx_file)):
        _show_invoice(document)


def _write_electronic(
    issued: IssuedDocument,
    ubl_file: Path | None,
    facturx_file: Path | None,
    fonts: tuple[str, ...],
    *,
    is_xrechnung: bool,
) -> None:
    if ubl_file is not None:
        _write(ubl_file, ubl(electronic_invoice(issued), is_xrechnung=is_xrechnung))
    if facturx_file is not None:
        _write(facturx_file, factur_x(issued, fonts))


def _none_issued(name: str, found: list[Row]) -> str:
    """Why there is no electronic invoice for that name."""
    if not found:
        return f"{name} has not been issued: only what was issued is an electronic invoice"
    numbers = ", ".join(str(row["number"] or row["document_id"]) for row in found)
    return f"{name} consists of {len(found)} documents, name one of them: {numbers}"


def _issued(
    connection: duckdb.DuckDBPyConnection, found: list[Row], name: str
) -> IssuedDocument | None:
    """The document with that id or number; None if our invoice id has no document, several, or one
    that an earlier release billed."""
    named = [row for row in found if name in (row["document_id"], row["number"])]
    if named:
        return read_issued(connection, named[0])
    if len(found) == 1 and found[0]["version_before"] is not None:
        return read_issued(connection, found[0])
    return None


@click.command()
@click.argument("month", type=MONTH)
@_pdf
@_html
@_fonts
@json_option
def report(
    month: BillingMonth,
    pdf_file: Path | None,
    html_file: Path | None,
    fonts: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the close report of MONTH: totals, changes, payments, rejected usage, checks."""
    with published(Settings.from_env()) as connection:
        document = close_report(connection, month)
    if html_file is not None:
        _write(html_file, rendering.html("close_report", document).encode())
    if pdf_file is not None:
        content, lacking = rendering.pdf("close_report", document, fonts, substitute="?")
        _write(pdf_file, content)
        if lacking:
            advice = rendering.glyph_advice(lacking)
            click.echo(f"{pdf_file} has ? for some characters: {advice}", err=True)
    if as_json:
        print_json(document, ensure_ascii=False)
    elif html_file is None and pdf_file is None:
        _show_report(document)


@click.command()
@click.argument("month", type=MONTH)
@click.option("--invoices", type=_FILE, help="Write the invoices with their payments as CSV.")
@click.option("--lines", type=_FILE, help="Write the invoice lines as CSV.")
@click.option("--focus", type=_FILE, help="Write the charges as CSV, in the columns of FOCUS 1.2.")
@click.option(
    "--journal",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the journal and its totals for DATEV, QuickBooks and Xero to this folder.",
)
@json_option
def export(
    month: BillingMonth,
    invoices: Path | None,
    lines: Path | None,
    focus: Path | None,
    journal: Path | None,
    as_json: bool,
) -> None:
    """Export MONTH for bookkeeping as CSV files; at least one option is needed."""
    wanted = {"invoices": invoices, "lines": lines, "focus": focus}
    files = {what: path for what, path in wanted.items() if path is not None}
    if not files and journal is None:
        raise CommandError(
            "nothing to write: give --invoices, --lines or --focus with a file, or --journal with "
            "a folder"
        )
    texts: dict[str, str] = {}
    entries: Mapping[str, bytes | NoDatevError] = {}
    found: Sequence[str] = ()
    missing: list[str] = []  # a missing file does not stop the others
    with published(Settings.from_env()) as connection:
        for what in files:
            try:
                texts[what] = exports.export(connection, month, what)
            except NoDocumentError as error:
                missing.append(f"no {what}: {error}")
        if journal is not None:
            try:
                entries, found = journal_files(connection, month), differences(connection)
            except NoDocumentError as error:
                missing.append(f"no journal: {error}")
    written = {what: files[what] for what in texts}
    for what, path in written.items():
        _write(path, texts[what].encode())
    if journal is not None and entries:
        written["journal"] = journal
        _write_journal(journal, entries, found)
    done = {"month": month, "files": written}
    if missing:
        reason = "\n".join(missing)
        raise CommandError(reason, {"success": False, "reason": reason, **done})
    if as_json:
        print_json(done, ensure_ascii=False)


def _write_journal(
    folder: Path, files: Mapping[str, bytes | NoDatevError], found: Sequence[str]
) -> None:
    """Write the files. Differences from other tables (`found`) are printed, but do not stop it,
    because most of the journal is right."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, NoDatevError):
            click.echo(f"no {name}: {content}", err=True)
        else:
            _write(folder / name, content)
    for sentence in found:
        click.echo(f"incorrect: {sentence}", err=True)


def _write(path: Path, content: bytes) -> None:
    with writing(path):
        path.write_bytes(content)
    click.echo(printable(f"wrote {path}"), err=True)


def _show_invoice(document: dict[str, Any]) -> None:
    console = Console()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    state = f": {document['state']['label']}" if document["state"] else ""
    say(f"{document['title']} {document['number']}{state}")
    say(f"  to {', '.join([document['buyer']['name'], *document['buyer']['lines']])}")
    for fact in document["facts"][1:]:
        say(f"  {fact['label']}: {fact['value']}")
    for text in document["notices"]:
        say(f"  {text}")
    names = ("description", "period", "quantity", "unit_price", "amount")
    cells = [[line[name] for name in names] for line in document["lines"]]
    sums = [*document["totals"], *document["settlement"], document["due"]]
    cells += [[row["label"], "", "", "", row["amount"]] for row in sums]
    columns = ("", "service period", "quantity", "unit price", document["currency"])
    console.print(table("", columns, cells, folds=""))


def _show_report(document: dict[str, Any]) -> None:
    console = Console()
    names = ("currency", "invoices", "total", "change", "billed", "paid", "outstanding")
    totals = [[row[name] for name in names] for row in document["totals"]]
    console.print(table(document["title"], names, totals))
    states = [
        [row["currency"], row["state"]["label"], row["invoices"], row["total"], row["outstanding"]]
        for row in document["states"]
    ]
    columns = ("currency", "state", "invoices", "total", "unpaid")
    console.print(table("Invoices by state", columns, states))
    rejected = [[row["reason"], row["rows"], row["where"]] for row in document["rejected"]]
    if rejected:
        console.print(table("Rejected usage", ("reason", "rows", "where"), rejected))
    checks = [[row["sentence"], row["result"]] for row in document["checks"]]
    console.print(table("Checks", ("check", "holds"), checks, folds="check"))
