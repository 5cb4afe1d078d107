"""`billing invoice | report | export`: what they write, print and refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
import typst
from click.testing import CliRunner, Result

from billing_pipeline.commands import documents
from billing_pipeline.commands.terminal import CommandError
from billing_pipeline.documents.reading import NoDocumentError
from billing_pipeline.published.reading import NotPublishedError
from tests.end_to_end.commands import ROOT


@pytest.fixture
def billing(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("BILLING_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: click.Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def test_an_invoice_on_the_terminal_and_as_json(billing: Path) -> None:
    shown = run(documents.invoice, "feb-b")
    assert shown.exit_code == 0
    assert "Statement feb-b: Open" in shown.output
    assert "Invoice number: N-feb-b" in shown.output
    assert "1,030.50" in shown.output
    found = json.loads(run(documents.invoice, "N-feb-b", "--json").stdout)
    assert found["invoice"]["total"] == "1030.5000"
    assert found["payment"]["outstanding"] == "1030.5000"
    assert [line["line_id"] for line in found["lines"]] == ["li_feb-b"]


def test_files_are_written(billing: Path) -> None:
    done = run(documents.invoice, "feb-a", "--pdf", "a.pdf", "--html", "a.html")
    assert (done.exit_code, done.stdout) == (0, "")
    assert (billing / "a.pdf").read_bytes().startswith(b"%PDF-1.7")
    assert "N-feb-a" in (billing / "a.html").read_text(encoding="utf-8")
    done = run(documents.report, "2024-02", "--pdf", "r.pdf", "--html", "r.html")
    assert "Close of February 2024" in (billing / "r.html").read_text(encoding="utf-8")
    assert (billing / "r.pdf").read_bytes().startswith(b"%PDF-1.7")
    done = run(documents.export, "2024-02", "--lines", "l.csv", "--focus", "f.csv", "--json")
    assert json.loads(done.stdout)["files"] == {"lines": "l.csv", "focus": "f.csv"}
    assert (billing / "l.csv").read_text(encoding="utf-8").count("\n") == 4


def test_what_a_month_has_none_of_stops_no_other_file(
    billing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a month that was not billed, in which corrections of another were issued."""

    def export(connection: object, month: object, what: str) -> str:
        if what == "invoices":
            raise NoDocumentError("2024-02 is not published")
        return "focus\n"

    monkeypatch.setattr("billing_pipeline.documents.exports.export", export)
    done = run(documents.export, "2024-02", "--focus", "g.csv", "--invoices", "h.csv", "--json")
    assert isinstance(done.exception, CommandError)
    assert str(done.exception) == "no invoices: 2024-02 is not published"
    assert done.exception.document["files"] == {"focus": Path("g.csv")}
    assert (billing / "g.csv").read_text() == "focus\n"
    assert not (billing / "h.csv").exists()


def test_a_report_on_the_terminal_and_as_json(billing: Path) -> None:
    shown = run(documents.report, "2024-02").output
    assert "Close of February 2024" in shown
    assert "no: 1 invoice" in shown
    assert json.loads(run(documents.report, "2024-02", "--json").stdout)["month"] == "2024-02"


def test_the_commands_of_the_guide_run(billing: Path) -> None:
    guide = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"```\n(.*?)```", guide, re.DOTALL))
    lines = [line.partition("#")[0] for line in blocks.splitlines()]
    assert len(lines) > 5
    for line in lines:
        known = re.sub(r"in_\w+", "feb-b", line).replace("SB000003-0001", "N-feb-b")
        program, name, *arguments = known.split()
        assert program == "billing"
        # These have tests of their own.
        if name == "prove" or "--ubl" in arguments or "--facturx" in arguments:
            continue
        done = run(getattr(documents, name), *arguments)
        assert done.exit_code == 0, (line, done.output, done.exception)


def test_folders_with_fonts_reach_typst(billing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    fonts = typst.Fonts()

    def recorded(font_paths: list[str]) -> typst.Fonts:
        asked.append(font_paths)
        return fonts

    monkeypatch.setattr(typst, "Fonts", recorded)
    (billing / "more").mkdir()
    for command, what in ((documents.invoice, "feb-a"), (documents.report, "2024-02")):
        assert run(command, what, "--pdf", "x.pdf", "--fonts", "more").exit_code == 0
    assert asked == [["more"], ["more"]]


def test_errors_are_explained(billing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command, arguments, kind, part in (
        (
            documents.invoice,
            ("nope",),
            NoDocumentError,
            "no published invoice has the id or number 'nope'",
        ),
        (documents.report, ("2025-01",), NoDocumentError, "2025-01 is not published"),
        (documents.export, ("2024-02",), CommandError, "give --invoices, --lines or --focus"),
        (documents.invoice, ("feb-a", "--html", "no/a"), CommandError, "no/a cannot be written"),
    ):
        done = run(command, *arguments)
        assert isinstance(done.exception, kind), done.output
        assert part in str(done.exception)
    monkeypatch.setenv("BILLING_HOME", str(billing / "nothing"))
    assert isinstance(run(documents.invoice, "x").exception, NotPublishedError)
