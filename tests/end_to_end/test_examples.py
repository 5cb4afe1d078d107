"""The five systems from their files to paid invoices: the real jobs over the embedded sandbox.

Every invoice, charge, wallet and limit that the examples' tables of expectations name, and every
row of the table in ``data/examples/README.md``.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from billing_pipeline.collection.records.cut_over import read_cut_over
from billing_pipeline.commands.cli import main as billing_commands
from billing_pipeline.comparison.comparison import compare
from billing_pipeline.comparison.lines import TheirLine
from billing_pipeline.comparison.our_month import read_month, with_late_usage
from billing_pipeline.comparison.their_file import Export
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.questions import read_questions
from billing_pipeline.published.tables import published_tables
from billing_pipeline.settings import Settings
from tests.end_to_end.billed_by_hand import ByHand
from tests.end_to_end.closed_examples import MONTHS, Closing, first_day
from tests.end_to_end.commands import EXAMPLES, ROOT
from tests.end_to_end.document_sums import check_books, check_documents
from tests.end_to_end.expectations import Case, cents, check, table
from tests.end_to_end.questions_page import PAGE, SAMPLE, TOPICS, answer_in, page, sample_of
from tests.proofs import disagreements, proofs_of

# Stripe charges no less; what is below is moved to the customer's balance.
MIN_CHARGE = 50

for_each_example = pytest.mark.parametrize("name", MONTHS)


@pytest.fixture(scope="module")
def closing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closing]:
    closing = Closing(tmp_path_factory.mktemp("examples"))
    yield closing
    closing.end()


@for_each_example
def test_every_invoice_expected_is_billed_and_no_other(name: str, closing: Closing) -> None:
    example = closing.of(name)
    wanted = {
        (row["billing_month"], row["customer_id"], row["currency"]): row
        for row in example.expected("expected.csv")
    }
    ours = {
        (str(row["billing_month"]), row["customer_id"], row["currency"]): (
            row["total"],
            row["amount_due"],
        )
        for row in example.tables["invoices"]
    }
    assert ours == {
        key: (Decimal(row["total"]), Decimal(row["amount_due"])) for key, row in wanted.items()
    }
    held = [
        (
            invoice["metadata"]["billing_month"],
            invoice["metadata"]["billing_customer_id"],
            invoice["currency"].upper(),
            invoice["total"],
            sum(line["amount"] for line in invoice["lines"]["data"]),
            invoice["amount_due"],
        )
        for invoice in example.runs[-1][1]["invoices"]
    ]
    assert sorted(held) == sorted(
        (*key, cents(row["total"]), cents(row["total"]), _asked_for(cents(row["amount_due"])))
        for key, row in wanted.items()
    )
    assert {row["state"] for row in example.tables["reconciliation"]} == {"matched"}
    assert len(example.tables["reconciliation"]) == len(wanted)


def _asked_for(due: int) -> int:
    return due if due >= MIN_CHARGE else 0


@for_each_example
def test_charges_that_lead_to_no_invoice(name: str, closing: Closing) -> None:
    example = closing.of(name)
    for row in example.expected("expected_charges.csv"):
        month = row["billing_month"][:7]
        (charge,) = example.rows("charges", row["customer_id"], month)
        assert charge["price_id"] == row["price_id"]
        assert charge["quantity"] == Decimal(row["quantity"])
        assert (charge["currency"], charge["amount"]) == (row["currency"], Decimal(row["amount"]))
        assert example.stripe_invoices(row["customer_id"], month) == []


def test_wallets_hold_after_each_month_what_they_hold_in_stripe(closing: Closing) -> None:
    example = closing.of("prepaid-wallet")
    months = {row["billing_month"] for row in example.expected("expected_wallet.csv")}
    for month in sorted(months):
        balances: dict[str, Decimal] = {}
        for row in sorted(example.tables["wallet_ledger"], key=lambda row: row["movement_number"]):
            if row["billing_month"] <= first_day(month[:7]):
                balances[row["customer_id"]] = row["balance_after"]
        wanted = {
            row["customer_id"]: Decimal(row["balance"])
            for row in example.expected("expected_wallet.csv")
            if row["billing_month"] == month
        }
        assert balances == wanted
        for customer, balance in wanted.items():
            assert example.stripe_balance(customer, month[:7]) == -cents(str(balance)), customer


def test_entitlements_used_and_left(closing: Closing) -> None:
    example = closing.of("subscriptions")
    for row in example.expected("expected_entitlements.csv"):
        (found,) = (
            entitlement
            for entitlement in example.rows(
                "entitlement_usage", row["customer_id"], row["billing_month"][:7]
            )
            if entitlement["feature"] == row["feature"]
        )
        used, limit = Decimal(row["used"]), Decimal(row["limit_quantity"])
        assert (found["used"], found["limit_quantity"], found["state"]) == (
            used,
            limit,
            row["state"],
        )
        assert found["remaining"] == max(Decimal(0), limit - used)


@for_each_example
def test_a_month_agrees_with_an_export_of_its_own_lines(name: str, closing: Closing) -> None:
    """What `billing compare` reads, over what the jobs published; the causes have unit tests."""
    example = closing.of(name)
    month = BillingMonth.parse(MONTHS[name][0])
    settings = Settings.from_env({"BILLING_HOME": str(example.home)})
    ours = read_month(settings, month)
    theirs = [
        TheirLine(row, line.customer_id, line.currency, line.description, line.amount)
        for row, line in enumerate(ours.lines, start=2)
        if line.amount and not line.is_inclusive
    ]
    lines = with_late_usage(settings, month, ours.lines)
    assert len(lines) == len(ours.lines)
    assert compare(ours, Export(tuple(theirs), name)).agrees
    less = compare(ours, Export(tuple(theirs[1:]), name))
    assert {difference.cause for difference in less.differences} == {"missing line"}


def test_a_month_is_compared_with_what_another_system_billed_in_stripe(
    closing: Closing, tmp_path: Path
) -> None:
    """And a month that Stripe holds a bill of is not cut over to."""
    home = closing.of("subscriptions").home
    shutil.copytree(home / "published", tmp_path / "published")
    environ = {"BILLING_HOME": str(tmp_path), "STRIPE_API_KEY": ""}
    settings = Settings.from_env(environ)
    june, july = BillingMonth(2024, 6), BillingMonth(2024, 7)
    there = ByHand(settings, june)
    lines = [line for line in read_month(settings, june).lines if not line.is_inclusive]
    for invoice_id, of_invoice in groupby(lines, key=lambda line: line.invoice_id):
        if invoice_id is not None:
            there.bill(list(of_invoice))

    def compared(*more: str) -> Result:
        command = ["compare", "2024-06", "--against", "stripe", "--json", *more]
        return CliRunner().invoke(billing_commands, command, env=environ)

    def causes() -> list[tuple[str, str]]:
        found = json.loads(compared().stdout)["causes"]
        return [(one["cause"], one["difference"]) for one in found]

    assert causes() == []
    setup = there.charge("s-berlin", "USD", [{"description": "Setup", "amount": 500}])
    assert causes() == [("extra line", "5.00")]
    there.void(setup)
    assert causes() == []

    in_july = {
        "start": int(july.start(settings.timezone).timestamp()),
        "end": there.now["end"] + 90,
    }
    ahead = there.charge(
        "s-berlin", "USD", [{"description": "July", "amount": 900, "period": in_july}]
    )
    refused = compared("--cut-over", "2024-07")
    assert refused.exit_code == 1
    assert "2024-07 would be billed twice" in refused.stderr and f" {ahead}. " in refused.stderr
    assert read_cut_over(settings.records_dir) is None
    accepted = compared("--cut-over", "2024-07", "--besides", ahead)
    assert accepted.exit_code == 0, accepted.output
    assert read_cut_over(settings.records_dir) == july


def test_a_second_run_changes_nothing(closing: Closing) -> None:
    example = closing.of("prepaid-wallet")
    (first, _), (_, before), (again, after) = example.runs
    assert again == first
    assert after == before
    plan = [
        row for row in example.tables["invoice_plan"] if row["billing_month"] == first_day(first)
    ]
    assert len(plan) == 5
    assert {(row["action"], row["state"]) for row in plan} == {("unchanged", "done")}


@pytest.mark.parametrize("case", list(table()), ids=str)
def test_a_row_of_the_table(case: Case, closing: Closing) -> None:
    assert case.works == "yes", "a row that does not work belongs under what is not done yet"
    check(closing.of(case.example), case)


def test_the_table_has_rows_of_every_example() -> None:
    assert {case.example for case in table()} == set(MONTHS)


@pytest.mark.slow
@for_each_example
def test_documents_and_exports_add_up_to_the_tables(name: str, closing: Closing) -> None:
    check_documents(closing.of(name))


@pytest.mark.slow
@for_each_example
def test_the_journal_agrees_with_everything_else(name: str, closing: Closing) -> None:
    check_books(closing.of(name))


def test_every_test_named_in_the_readme_exists() -> None:
    """Each line of the README's second list ends in a test that is there."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    lines = text.partition("## What else they ask for")[2].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][2:]
    assert len(rows) > 10
    for asked, where in rows:
        path, name = where.strip("`").split("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), asked


@for_each_example
def test_every_line_of_an_example_proves_itself(name: str, closing: Closing) -> None:
    example = closing.of(name)
    months = {month for month, _ in example.runs}
    warehouses = [example.home / "months" / month / "warehouse.duckdb" for month in months]
    proofs = [proof for path in warehouses for proof in proofs_of(path)]
    assert len(proofs) == len(example.tables["invoices"]) > 0
    assert disagreements(proofs) == []


@for_each_example
def test_an_invoice_proves_itself_in_a_browser_without_a_network(
    name: str, closing: Closing, tmp_path: Path
) -> None:
    """Every line, discount, tax and sum, and the digest that Stripe holds; and nothing of another
    customer is in the file."""
    pytest.importorskip("playwright", reason="the browser tests need playwright")
    from tests.browser.dagster_ui import chromium
    from tests.browser.proof_page import seen_offline

    if chromium() is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    example = closing.of(name)
    month = MONTHS[name][-1]
    invoices = example.tables["invoices"]
    longest = max(
        (one for one in invoices if one["billing_month"] == first_day(month) and one["amount_due"]),
        key=lambda one: (one["discount"] > 0, one["tax"] > 0, one["line_count"]),
    )
    file = tmp_path / "proof.html"
    command = ["prove", longest["invoice_id"], "--out", str(file)]
    proven = CliRunner().invoke(billing_commands, command, env={"BILLING_HOME": str(example.home)})
    assert proven.exit_code == 0, proven.output

    seen = seen_offline(file)
    assert seen.verdict.startswith("All "), seen
    lines = [
        one for one in example.tables["invoice_lines"] if one["invoice_id"] == longest["invoice_id"]
    ]
    assert len(seen.lines) >= len(lines) > 0
    assert {*seen.lines, *seen.sums, *seen.digests} == {"agrees"}
    assert len(seen.sums) >= 4 and seen.digests
    assert (seen.asked, seen.errors) == ([file.as_uri()], [])
    text = file.read_text(encoding="utf-8")
    strangers = [
        str(one[column])
        for one in example.tables["customers"]
        for column in ("customer_id", "email")
        if one["payer_id"] != longest["customer_id"] and one[column]
    ]
    assert strangers and not [one for one in strangers if re.search(rf"\b{re.escape(one)}\b", text)]


GUIDE = ROOT / "docs" / "analysts.md"
QUERIES = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_queries_of_the_analysts_guide(closing: Closing) -> None:
    """Each runs and finds something, or nothing where the guide says so."""
    assert QUERIES
    path = closing.of("subscriptions").home / "published" / "billing.duckdb"
    with duckdb.connect(str(path), read_only=True) as published:
        for query in QUERIES:
            rows = published.execute(query).fetchall()
            assert (rows == []) == query.rstrip().endswith("-- none"), query


QUESTIONS = read_questions()


@pytest.mark.slow
def test_the_page_of_questions_has_their_answers(closing: Closing) -> None:
    """`python -m tests.end_to_end.questions_page` writes it anew."""
    assert len(QUESTIONS) >= 50
    assert {one.topic for one in QUESTIONS} == TOPICS.keys()
    assert [one.name for one in QUESTIONS if len(one.sql.splitlines()) > 10] == []
    text = page(lambda one: answer_in(closing.of(sample_of(one)).home, one))
    assert text == PAGE.read_text(encoding="utf-8")


# What makes the questions find something whose answer is none in the examples.
BREACHES = {
    "billed_in_advance": "UPDATE seller SET month_end = month_start",
    "billed_twice": "INSERT INTO stripe_invoices FROM stripe_invoices LIMIT 1",
    "came_in_late": "INSERT INTO charge_changes_known BY NAME SELECT 's-berlin' AS customer_id",
    "changed_since_billing": "INSERT INTO line_changes BY NAME SELECT 1 AS change",
    "changed_since_first_computed": "UPDATE invoices SET total = total + 0.01",
    "changes_without_approval": "UPDATE documents SET kind = 'supplement'",
    "charges_on_no_invoice": "DELETE FROM invoice_lines WHERE kind = 'charge'",
    "credit_notes_issued": "INSERT INTO credit_notes BY NAME SELECT 'CN-1' AS number",
    "decisions": "INSERT INTO approvals BY NAME SELECT 'approved' AS decision",
    "drift_of_closed_months": "INSERT INTO month_drift BY NAME SELECT 1 AS difference",
    "invoices_not_sent": "UPDATE stripe_invoices SET status = 'void'",
    "issued_before_the_month_ended": "UPDATE seller SET month_end = now() + INTERVAL 1 DAY",
    "lines_and_totals": "UPDATE invoices SET total = total + 0.01",
    "missing_sources": "UPDATE usage_sources SET expected = 'monthly', file_count = 0",
    "prices_between_months": "UPDATE prices SET unit_amount = 9 WHERE billing_month = '2024-07-01'",
    "refunds_and_disputes": "UPDATE payments SET kind = 'refund'",
    "rejected_rows": "INSERT INTO rejected_usage BY NAME SELECT 'calls.csv' AS source_file",
    "rows_not_accounted_for": "UPDATE usage_files SET rows_read = rows_read + 1",
    "service_after_the_month": "UPDATE seller SET month_end = month_end - INTERVAL 1 DAY",
    "taxes_recomputed": "UPDATE line_taxes SET tax_amount = tax_amount + 0.01",
    "tiers_and_quantities": (
        "INSERT INTO charge_tiers BY NAME SELECT charge_id, 7.5 AS quantity FROM charges LIMIT 1"
    ),
    "totals_in_stripe": "UPDATE reconciliation SET difference = 0.01",
    "usage_in_doubt": "INSERT INTO usage_issues BY NAME SELECT 'views' AS meter_id",
    "usage_not_charged": "INSERT INTO unpriced_usage BY NAME SELECT 's-berlin' AS customer_id",
    "waiting_for_approval": "UPDATE invoice_plan SET state = 'waiting'",
    "wallets_in_stripe": "INSERT INTO wallet_reconciliation BY NAME SELECT 1 AS difference",
    "written_by_hand": "INSERT INTO manual_entries BY NAME SELECT 'adjustment' AS kind",
}


def test_a_question_without_an_answer_finds_what_it_looks_for(closing: Closing) -> None:
    path = closing.of(SAMPLE).home / "published" / "billing.duckdb"
    with duckdb.connect() as books:
        books.execute(f"ATTACH '{path}' AS published (READ_ONLY)")
        tables = (
            "SELECT view_name FROM duckdb_views() WHERE (database_name, schema_name) = ($1, $2)"
        )
        for (table,) in books.execute(tables, ["published", "main"]).fetchall():
            books.execute(f"CREATE TABLE {table} AS FROM published.{table}")
        without = {one.name: one.sql for one in QUESTIONS if not books.execute(one.sql).fetchall()}
        elsewhere = {one.name for one in QUESTIONS if sample_of(one) != SAMPLE}
        assert without.keys() - elsewhere == BREACHES.keys() - elsewhere
        for name, breach in BREACHES.items():
            books.execute("BEGIN")
            books.execute(breach)
            assert books.execute(without[name]).fetchall(), name
            if name == "changes_without_approval":
                books.execute(
                    "INSERT INTO approvals BY NAME SELECT billing_month, 'approved' AS decision,"
                    " issued_at AS decided_at FROM documents"
                )
                assert not books.execute(without[name]).fetchall(), name
            books.execute("ROLLBACK")


def test_every_published_column_is_described(closing: Closing) -> None:
    path = closing.of("subscriptions").home / "published" / "billing.duckdb"
    with duckdb.connect(str(path), read_only=True) as published:
        views = {row[0] for row in published.execute("SHOW TABLES").fetchall()}
        undescribed = published.execute(
            "SELECT table_name, column_name FROM duckdb_columns()"
            " WHERE NOT internal AND schema_name = 'main' AND coalesce(comment, '') = ''"
            " UNION ALL SELECT view_name, '' FROM duckdb_views()"
            " WHERE NOT internal AND coalesce(comment, '') = ''"
        ).fetchall()
    published = published_tables(closing.of("subscriptions"))
    assert views == {*published.tables, *published.reports}
    assert undescribed == []
