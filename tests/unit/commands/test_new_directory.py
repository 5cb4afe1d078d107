"""A new data directory: nothing is overwritten, and its page explains every column there is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from billing_pipeline.commands.init import DirectoryInUseError, create, init, input_page
from billing_pipeline.intake.reference.schemas import TABLES, USAGE_COLUMNS, Table
from billing_pipeline.months import BillingMonth

MONTH = BillingMonth(2024, 5)


@pytest.mark.parametrize("with_example", [False, True])
def test_every_input_file_is_there_with_its_columns(tmp_path: Path, with_example: bool) -> None:
    create(tmp_path, MONTH, with_example=with_example)
    for table in TABLES:
        with (tmp_path / f"{table.path}.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == table.column_names
        assert (len(rows) > 1) == with_example
    (usage,) = (tmp_path / "usage" / "2024-05").iterdir()
    assert usage.read_text().startswith(",".join(USAGE_COLUMNS))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_page_explains_each_column_and_has_an_example(tmp_path: Path, table: Table) -> None:
    create(tmp_path, MONTH, with_example=False)
    page = (tmp_path / "README.md").read_text()
    _, _, section = page.partition(f"### {table.path}.csv")
    section = section.partition("\n#")[0]
    missing = [name for name in table.column_names if f"`{name}`" not in section]
    assert not missing
    assert "```csv\n" + ",".join(table.column_names) in section
    assert "YYYY" not in section


def test_placeholders_in_descriptions_are_not_filled(tmp_path: Path) -> None:
    """If the month were written into the price book, it would be on every later invoice."""
    create(tmp_path, MONTH, with_example=True)
    with (tmp_path / "catalog" / "prices.csv").open(newline="") as file:
        texts = [row["description"] for row in csv.DictReader(file)]
    assert texts and all("{month}" in text for text in texts)
    page = (tmp_path / "README.md").read_text()
    assert all(text in page for text in texts)


def test_the_page_in_docs_is_the_one_that_is_written() -> None:
    """`make docs` writes it anew."""
    page = Path(__file__).parents[3] / "docs" / "inputs.md"
    assert page.read_text(encoding="utf-8") == input_page("2024-01")


def test_the_dates_of_the_example_are_in_the_month(tmp_path: Path) -> None:
    create(tmp_path, MONTH, with_example=True)
    texts = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert not [str(path) for path, text in texts.items() if "YYYY" in text]
    for name in ("usage/2024-05/events.csv", "accounts/wallet_transactions.csv"):
        with (tmp_path / name).open(newline="") as file:
            assert {row["occurred_at"][:7] for row in csv.DictReader(file)} == {"2024-05"}


def test_nothing_is_written_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "accounts").mkdir()
    mine = tmp_path / "accounts" / "customers.csv"
    mine.write_text("mine")
    with pytest.raises(DirectoryInUseError, match="accounts already exists"):
        create(tmp_path, MONTH, with_example=True)
    assert mine.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["accounts"]


def test_json_lists_the_written_files(tmp_path: Path) -> None:
    done = CliRunner().invoke(init, [str(tmp_path / "ours"), "--json"])
    document = json.loads(done.output)
    assert document["success"] is True
    written = {str(path) for path in (tmp_path / "ours").rglob("*") if path.is_file()}
    assert set(document["files"]) == written
