"""The sample and the examples: their form, and that the generator still writes what is committed.

What belongs here: checks of data at rest. What does not: what it bills (tests/end_to_end).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

DATA = Path(__file__).parents[3] / "data"
EXAMPLES = sorted(path.parent for path in DATA.glob("examples/*/expected.csv"))
DIRECTORIES = [DATA, *EXAMPLES]
MAX_BYTES = 6_000_000  # of everything committed under data/: a clone and the demo stay quick

# The contract's columns, written out here: the generator has its own copy, which must agree.
COLUMNS = {
    "catalog/meters": "meter_id event_name aggregation property carry_forward group_by bucket "
    "event_rounding",
    "catalog/plans": "plan_id name trial_days billing_cycle based_on",
    "catalog/prices": "price_id plan_id meter_id description currency charge_model unit_amount "
    "flat_amount package_size percentage included_quantity included_per quantity_rounding "
    "minimum_amount maximum_amount event_minimum_amount event_maximum_amount free_events filter "
    "filter_rest timing interval prorate valid_from valid_to tax_code replaces",
    "catalog/price_tiers": "price_id up_to unit_amount flat_amount percentage valid_from",
    "catalog/costs/prices": "price_id meter_id description currency charge_model unit_amount "
    "flat_amount package_size percentage included_quantity included_per quantity_rounding "
    "minimum_amount maximum_amount event_minimum_amount event_maximum_amount free_events filter "
    "filter_rest timing interval prorate valid_from valid_to tax_code replaces",
    "catalog/costs/price_tiers": "price_id up_to unit_amount flat_amount percentage valid_from",
    "catalog/entitlements": "plan_id feature meter_id limit_quantity soft_limit replaces",
    "catalog/coupons": "coupon_id percent_off amount_off currency duration duration_in_months "
    "price_ids",
    "catalog/tax_rates": "tax_rate_id country percentage inclusive description valid_from "
    "valid_to region tax_code",
    "catalog/sources": "source file_pattern expected",
    "catalog/accounts": "account detail number name xero_tax_rate",
    "accounts/customers": "customer_id name email country currency stripe_customer_id is_payer "
    "collection_method days_until_due payment_method tax_exempt address tax_id region bill_to "
    "purchase_order valid_from street city postal_code buyer_reference electronic_address "
    "tax_category exemption_reason",
    "accounts/seller": "name address country tax_id email website bank_account note street city "
    "postal_code contact phone electronic_address datev_consultant datev_client",
    "accounts/subscriptions": "subscription_id customer_id plan_id quantity starts_at ends_at "
    "trial_ends_at coupon_id minimum_amount",
    "accounts/wallet_transactions": "transaction_id customer_id amount currency occurred_at kind "
    "reference expires_at priority",
    "accounts/adjustments": "adjustment_id customer_id subscription_id amount currency "
    "occurred_at description tax_code reason author",
    "accounts/commitments": "commitment_id customer_id amount currency starts_at ends_at kind "
    "price_ids overage_percent",
    "accounts/usage_corrections": "correction_id customer_id event_name occurred_at quantity "
    "properties reason author",
}
USAGE_COLUMNS = [
    *("event_id", "customer_id", "event_name", "occurred_at", "quantity", "properties"),
    "subscription_id",
]
EXPECTED_COLUMNS = {
    "expected.csv": "billing_month customer_id currency total amount_due note",
    "expected_wallet.csv": "billing_month customer_id currency balance",
    "expected_charges.csv": "billing_month customer_id price_id currency quantity amount note",
    "expected_entitlements.csv": "billing_month customer_id feature used limit_quantity state",
}
# column of a table -> table and column that it must be found in
REFERENCES = (
    ("catalog/prices", "plan_id", "catalog/plans", "plan_id"),
    ("catalog/prices", "meter_id", "catalog/meters", "meter_id"),
    ("catalog/price_tiers", "price_id", "catalog/prices", "price_id"),
    ("catalog/costs/prices", "meter_id", "catalog/meters", "meter_id"),
    ("catalog/costs/price_tiers", "price_id", "catalog/costs/prices", "price_id"),
    ("catalog/entitlements", "plan_id", "catalog/plans", "plan_id"),
    ("catalog/entitlements", "meter_id", "catalog/meters", "meter_id"),
    ("accounts/subscriptions", "customer_id", "accounts/customers", "customer_id"),
    ("accounts/subscriptions", "plan_id", "catalog/plans", "plan_id"),
    ("accounts/subscriptions", "coupon_id", "catalog/coupons", "coupon_id"),
    ("accounts/wallet_transactions", "customer_id", "accounts/customers", "customer_id"),
    ("accounts/usage_corrections", "customer_id", "accounts/customers", "customer_id"),
    ("accounts/usage_corrections", "event_name", "catalog/meters", "event_name"),
)
KEYS = {
    "catalog/meters": "meter_id",
    "catalog/plans": "plan_id",
    "catalog/prices": "price_id",
    "catalog/coupons": "coupon_id",
    "catalog/tax_rates": "tax_rate_id",
    "accounts/customers": "customer_id",
    "accounts/subscriptions": "subscription_id",
    "accounts/wallet_transactions": "transaction_id",
    "accounts/usage_corrections": "correction_id",
}

for_each_directory = pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
for_each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """data/generate.py as a module; its modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(DATA))
    known = set(sys.modules)
    import generate

    yield generate
    for name in set(sys.modules) - known:
        if name == "generate" or name.split(".")[0] == "generator":
            del sys.modules[name]


def rows(directory: Path, name: str) -> list[dict[str, str]]:
    path = directory / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def text_of(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    return content.decode("utf-8-sig")


def header(text: str) -> list[str]:
    return next(csv.reader(io.StringIO(text)))


def test_all_five_examples_are_there() -> None:
    names = {"metered-api", "platform", "prepaid-wallet", "restoration", "subscriptions"}
    assert {path.name for path in EXAMPLES} == names
    for example in EXAMPLES:
        assert (example / "README.md").exists()


@for_each_directory
def test_headers_are_the_contract_s(directory: Path) -> None:
    files = [*directory.glob("catalog/*.csv"), *directory.glob("accounts/*.csv")]
    assert {"customers.csv", "prices.csv"} <= {file.name for file in files}
    for file in files:
        name = f"{file.parent.name}/{file.stem}"
        # A file may leave out columns that are empty in it.
        found = header(text_of(file))
        assert found == [column for column in COLUMNS[name].split() if column in found], file


@for_each_directory
def test_usage_files_have_the_contract_s_columns(directory: Path) -> None:
    files = sorted(directory.glob("usage/*/*"))
    assert files
    for file in files:
        if file.suffix == ".parquet":
            assert pq.read_schema(file).names in (USAGE_COLUMNS, USAGE_COLUMNS[:-1]), file
        elif ".csv" in file.name:
            assert header(text_of(file)) in (USAGE_COLUMNS, USAGE_COLUMNS[:-1]), file
        elif file.name != "gateway-beta.jsonl":  # that one is broken on purpose
            for line in text_of(file).splitlines():
                assert set(json.loads(line)) <= set(USAGE_COLUMNS), file


@for_each_directory
def test_references_resolve_and_ids_are_unique(directory: Path) -> None:
    for table, column, other, key in REFERENCES:
        known = {row[key] for row in rows(directory, other)}
        used = {row[column] for row in rows(directory, table)} - {""}
        assert used <= known, f"{table}.{column}: {sorted(used - known)} not in {other}"
    for table, key in KEYS.items():
        ids = [row[key] for row in rows(directory, table)]
        assert len(ids) == len(set(ids)), table


@for_each_directory
def test_tiers_rise_and_the_last_has_no_bound(directory: Path) -> None:
    tiers: dict[str, list[str]] = {}
    for row in rows(directory, "catalog/price_tiers"):
        tiers.setdefault(row["price_id"], []).append(row["up_to"])
    for price_id, bounds in tiers.items():
        assert bounds[-1] == "", price_id
        limits = [Decimal(bound) for bound in bounds[:-1]]
        assert limits == sorted(set(limits)), price_id
    tiered = {
        row["price_id"]
        for row in rows(directory, "catalog/prices")
        if row["charge_model"] in ("graduated", "volume", "graduated_percentage")
    }
    assert tiered == set(tiers)


@for_each_directory
def test_signs_and_coupons_follow_the_contract(directory: Path) -> None:
    for row in rows(directory, "accounts/wallet_transactions"):
        is_in = row["kind"] in ("top_up", "grant")
        assert (Decimal(row["amount"]) > 0) == is_in, row
        assert Decimal(row["amount"]) != 0
    for row in rows(directory, "catalog/coupons"):
        assert bool(row["percent_off"]) != bool(row["amount_off"]), row
        assert bool(row["duration_in_months"]) == (row["duration"] == "repeating"), row


def customers_naming_subscriptions(directory: Path) -> set[str]:
    return {
        row["customer_id"]
        for file in directory.glob("usage/*/*.csv")
        for row in csv.DictReader(io.StringIO(text_of(file)))
        if row.get("subscription_id")
    }


@for_each_directory
def test_a_customer_s_subscriptions_to_one_plan_do_not_overlap(directory: Path) -> None:
    """Their usage would be charged twice, unless it names the subscription which it is for."""
    naming = customers_naming_subscriptions(directory)
    spans: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in rows(directory, "accounts/subscriptions"):
        assert not row["ends_at"] or row["starts_at"] < row["ends_at"], row
        if row["customer_id"] in naming:
            continue
        span = (row["starts_at"], row["ends_at"] or "9999")
        spans.setdefault((row["customer_id"], row["plan_id"]), []).append(span)
    for key, found in spans.items():
        found.sort()
        for earlier, later in pairwise(found):
            assert earlier[1] <= later[0], key


@for_each_example
def test_expected_files_name_existing_customers_and_features(example: Path) -> None:
    customers = {row["customer_id"]: row for row in rows(example, "accounts/customers")}
    prices = {row["price_id"] for row in rows(example, "catalog/prices")}
    features = {row["feature"] for row in rows(example, "catalog/entitlements")}
    for file in example.glob("expected*.csv"):
        assert header(text_of(file)) == EXPECTED_COLUMNS[file.name].split()
        found = rows(example, file.stem)
        assert found
        for row in found:
            assert row["billing_month"].endswith("-01")
            assert row["customer_id"] in customers
            assert row.get("price_id", "") in {*prices, ""}
            assert row.get("feature", "") in {*features, ""}
    keys = [
        (r["billing_month"], r["customer_id"], r["currency"]) for r in rows(example, "expected")
    ]
    assert len(keys) == len(set(keys))
    for row in rows(example, "expected"):
        assert customers[row["customer_id"]]["is_payer"] != "false"
        assert 0 <= Decimal(row["amount_due"]) <= Decimal(row["total"])
        assert row["note"]


@for_each_example
def test_the_table_of_expected_totals_names_each_example(example: Path) -> None:
    table = (DATA / "examples" / "README.md").read_text(encoding="utf-8")
    named = {
        line.split("|")[3].strip() for line in table.splitlines() if f"| {example.name} |" in line
    }
    customers = {row["customer_id"] for row in rows(example, "accounts/customers")}
    mentioned = {name.strip() for cell in named for name in cell.split(",")}
    assert mentioned
    assert mentioned <= customers


def test_the_columns_of_the_generator_are_the_contract_s(generate: object) -> None:
    from generator.contract import COLUMNS as WRITTEN

    assert {name: " ".join(columns) for name, columns in WRITTEN.items()} == {
        **COLUMNS,
        "usage": " ".join(USAGE_COLUMNS),
    }


def test_the_committed_data_is_the_generators_output(tmp_path: Path, generate: object) -> None:
    """catalog/, accounts/ and one month; compared by content where a library packs the bytes."""
    generate.write_reference(tmp_path)  # type: ignore[attr-defined]
    generate.write_month(tmp_path, "2024-01")  # type: ignore[attr-defined]
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    there = [
        path.relative_to(DATA)
        for folder in ("catalog", "catalog/costs", "accounts", "usage/2024-01")
        for path in (DATA / folder).iterdir()
        if path.is_file()
    ]
    assert written == sorted(there)
    for name in written:
        if name.suffix == ".parquet":
            assert pq.read_table(tmp_path / name).equals(pq.read_table(DATA / name)), name
        elif name.suffix == ".gz":
            assert text_of(tmp_path / name) == text_of(DATA / name), name
        else:
            assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name


def test_the_generator_gives_the_same_bytes_each_time(tmp_path: Path, generate: object) -> None:
    for run in ("first", "second"):
        generate.write_month(tmp_path / run, "2024-02")  # type: ignore[attr-defined]
    files = sorted((tmp_path / "first").rglob("*.*"))
    assert files
    for file in files:
        other = tmp_path / "second" / file.relative_to(tmp_path / "first")
        assert file.read_bytes() == other.read_bytes(), file.name


def test_the_sample_has_the_flaws_of_real_usage() -> None:
    """Without them the demo would show less than it says."""
    names = {path.name for path in DATA.glob("usage/*/*")}
    assert any("-late" in name for name in names)
    endings = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
    assert all(any(name.endswith(ending) for name in names) for ending in endings)
    customers = rows(DATA, "accounts/customers")
    assert any(row["name"].startswith("=") for row in customers)
    assert any(row["payment_method"] == "pm_card_chargeCustomerFail" for row in customers)
    assert any(row["is_payer"] == "false" for row in customers)
    assert {"USD", "EUR", "JPY"} == {row["currency"] for row in customers}
    models = {row["charge_model"] for row in rows(DATA, "catalog/prices")}
    assert len(models) == 8
    assert len(customers_naming_subscriptions(DATA)) == 1
    assert all(row["reason"] and row["author"] for row in rows(DATA, "accounts/usage_corrections"))


def test_the_data_stays_small() -> None:
    files = [path for path in DATA.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < MAX_BYTES
