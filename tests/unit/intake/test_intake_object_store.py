"""Inputs in an object store: as on the disk, fetched once, and never a month of part of them."""

from __future__ import annotations

import gzip
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from obstore.store import AzureStore, GCSStore, S3Store

from billing_pipeline.intake.files.object_store import ObjectStore, StoreError
from billing_pipeline.intake.late_usage import late_usage, record_rated
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.intake.usage_files import usage_files
from billing_pipeline.months import BillingMonth
from tests.local_store import ROOT, LocalStore, local_store
from tests.unit.intake.conftest import USAGE_HEADER, World

JANUARY = BillingMonth(2024, 1)
ROW = "{},c1,call,2024-01-05T00:00:00Z,{},"
A = "usage/2024-01/a.csv"


@pytest.fixture(scope="module")
def running_store() -> Iterator[LocalStore]:
    with local_store() as store:
        yield store


@pytest.fixture
def store(running_store: LocalStore, catalog: World, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """The store, empty: where `catalog` reads its inputs from now on."""
    for name, value in running_store.environment.items():
        monkeypatch.setenv(name, value)
    running_store.reset()
    running_store.empty()
    catalog.env["BILLING_DATA_DIR"] = ROOT
    return running_store


def usage_csv(*rows: str) -> str:
    return "\n".join([USAGE_HEADER, *rows, ""])


def parquet(path: Path, event_id: str, quantity: int = 1) -> bytes:
    duckdb.execute(
        f"copy (select '{event_id}' as event_id, 'c1' as customer_id, 'call' as event_name, "
        f"timestamptz '2024-01-05 00:00:00Z' as occurred_at, {quantity} as quantity, "
        f"null::varchar as properties) to '{path}' (format parquet)"
    )
    return path.read_bytes()


def test_a_store_gives_what_a_directory_gives(
    store: LocalStore, catalog: World, tmp_path: Path
) -> None:
    catalog.env.pop("BILLING_DATA_DIR")
    catalog.usage("a[1] ü%20+#?&.csv", ROW.format("e1", 1), "x")
    catalog.usage("a.csv", ROW.format("e0", 1).replace("2024-01", "2023-12"), month="2023-12")
    packed = gzip.compress(b'{"event_id": "e2", "customer_id": "c1", "event_name": "call"}\n')
    catalog.write("usage/2024-01/b.jsonl.gz", packed)
    for event_id, name in (("e3", "c"), ("e4", "d'[*]")):
        catalog.write(f"usage/2024-01/{name}.parquet", parquet(tmp_path / "p.parquet", event_id))
    catalog.write("usage/2024-01/_ignored/a.csv", "x")
    tables, files = catalog.load_reference(), catalog.load_usage(months_back=1)
    rows = catalog.events("*")
    assert len(rows) == 6
    store.upload(catalog.data)
    catalog.env["BILLING_DATA_DIR"] = f"{ROOT}/"
    assert catalog.load_reference() == tables
    assert catalog.load_usage(months_back=1).fingerprint == files.fingerprint
    assert catalog.events("*") == rows
    assert catalog.select("select count(distinct row_id) from raw.usage_events") == [(6,)]


def test_a_listing_of_several_pages_is_read_to_its_end(
    store: LocalStore, catalog: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    for number in range(5):
        store.put(f"usage/2024-01/{number}.csv", usage_csv(ROW.format(number, 1)))
    assert catalog.load_usage().rows == 5


def test_unchanged_objects_are_not_fetched_again(
    store: LocalStore, catalog: World, tmp_path: Path
) -> None:
    b = "usage/2024-01/b.parquet"
    store.put(A, usage_csv(ROW.format("e1", 1)))
    store.put(b, parquet(tmp_path / "p.parquet", "e2"))
    catalog.load_usage()
    assert store.fetched == [A, b]
    catalog.load_usage()
    assert store.fetched == [A, b]
    # Of the same size, and written within the second in which the store counts time.
    store.put(A, usage_csv(ROW.format("e1", 7)))
    store.put(b, parquet(tmp_path / "p.parquet", "e2", 8))
    catalog.load_usage()
    assert store.fetched == [A, b, A, b]
    assert [int(row[0]) for row in catalog.events("quantity")] == [7, 8]  # type: ignore[call-overload]
    copies = (tmp_path / "home" / "usage").rglob("*")
    assert {path.suffix for path in copies if path.is_file()} == {".parquet", ".json"}


def test_a_fetched_month_is_read_without_the_store(
    store: LocalStore, catalog: World, tmp_path: Path
) -> None:
    """What is rated after the intake, and explained much later, is what was read by it."""
    store.put(A, usage_csv(ROW.format("e1", 1)))
    store.put("usage/2024-01/b.parquet", parquet(tmp_path / "p.parquet", "e2"))
    catalog.load_usage()
    store.empty()
    assert catalog.events("event_id, source_file") == [
        ("e1", A),
        ("e2", "usage/2024-01/b.parquet"),
    ]


def test_folders_that_a_console_made_are_no_files(store: LocalStore, catalog: World) -> None:
    store.put("usage/", "")
    store.put("usage/2024-01/", "")
    store.put(A, usage_csv(ROW.format("e1", 1)))
    assert catalog.load_usage().rows == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("usage/2024-01/deeper/b.csv", "usage/2024-01/deeper: is a folder"),
        ("usage/2024-01//b.csv", "usage/2024-01: cannot be listed: "),
        ("usage/2024-13/b.csv", "usage/2024-13: is not a month"),
        ("usage/b.csv", "usage/b.csv: is outside of a month's folder"),
    ],
)
def test_an_object_outside_any_month_is_refused(
    store: LocalStore, catalog: World, name: str, message: str
) -> None:
    store.put(name, usage_csv(ROW.format("e1", 1)))
    assert catalog.usage_problems()[0].startswith(message)


def test_an_answer_that_breaks_off_is_asked_for_again(store: LocalStore, catalog: World) -> None:
    store.put(A, usage_csv(*(ROW.format(f"e{n}", n) for n in range(100))))
    store.cut_answers = 1
    assert catalog.load_usage().rows == 100
    assert store.fetched == [A, A]


def cut_always(store: LocalStore) -> None:
    store.cut_answers = 100


def refuse(store: LocalStore) -> None:
    store.is_refusing = True


def vanish(store: LocalStore) -> None:
    store.before_fetch = store.delete


def replace(store: LocalStore) -> None:
    store.before_fetch = lambda name: store.put(name, usage_csv(ROW.format("e1", 3)))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (cut_always, " broke off: "),
        (refuse, "Access Denied (AccessDenied)"),
        (vanish, "is gone, and was there when its folder was listed; run again"),
        (replace, "was replaced after its folder was listed; run again"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_object_that_cannot_be_had_stops_the_month(
    store: LocalStore,
    catalog: World,
    tmp_path: Path,
    fault: Callable[[LocalStore], None],
    reason: str,
    kind: str,
) -> None:
    name = f"usage/2024-01/a.{kind}"
    good = parquet(tmp_path / "p.parquet", "e1") if kind == "parquet" else usage_csv("x")
    store.put(name, good)
    fault(store)
    (problem,) = catalog.usage_problems()
    assert problem.startswith(f"{name}: cannot be read: {ROOT}/{name}")
    assert reason in problem
    assert not list((tmp_path / "home").rglob("*.tmp"))
    with pytest.raises(duckdb.Error):
        catalog.events("*")  # nothing to rate
    store.reset()
    store.put(name, good)
    assert catalog.load_usage().rows == 1


def test_a_missing_bucket_is_not_an_empty_month(store: LocalStore, catalog: World) -> None:
    catalog.env["BILLING_DATA_DIR"] = "s3://of-nobody/billing"
    reason = "The specified bucket does not exist (NoSuchBucket)"
    assert catalog.usage_problems() == [
        f"usage: cannot be listed: s3://of-nobody/billing/usage: {reason}"
    ]
    assert catalog.problems() == [
        f"the data directory: cannot be listed: s3://of-nobody/billing: {reason}"
    ]


def test_a_prefix_that_is_not_there_lacks_the_customers(store: LocalStore, catalog: World) -> None:
    catalog.env["BILLING_DATA_DIR"] = f"{ROOT}2"
    (problem,) = catalog.problems()
    assert f"is missing and needed (looked in {ROOT}2/accounts)" in problem


def test_an_unreachable_store_is_not_an_empty_month(
    store: LocalStore, catalog: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    (problem,) = catalog.usage_problems()
    assert problem.startswith(f"usage: cannot be listed: {ROOT}/usage: Generic S3 error: ")
    assert problem.endswith("HTTP error: error sending request")


def test_without_credentials_nothing_is_read(
    store: LocalStore, catalog: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # Where a machine's role would be asked for; here nobody answers.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9/169.254.169.254")
    (problem,) = catalog.usage_problems()
    assert problem.startswith(f"usage: cannot be listed: {ROOT}/usage: no credentials in the env")


@pytest.mark.parametrize(
    ("address", "kind", "bucket"),
    [
        ("s3://ours/a/b", S3Store, {"bucket": "ours"}),
        ("gs://ours/a/b", GCSStore, {"bucket": "ours"}),
        ("az://ours/a/b", AzureStore, {"container_name": "ours"}),
        ("abfs://ours/a/b", AzureStore, {"container_name": "ours"}),
    ],
)
def test_each_scheme_is_a_store_of_its_own(
    address: str, kind: type, bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment says of accounts and keys, obstore reads itself."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    store = ObjectStore(address)._store
    assert isinstance(store, kind)
    assert bucket.items() <= store.config.items()
    assert store.prefix is None
    assert store.retry_config is not None
    assert store.retry_config["max_retries"] == 2


def test_azure_without_an_account_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(StoreError, match=r"^az://ours: .* Account must be specified$"):
        ObjectStore("az://ours/a")


def test_a_signed_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a shared access signature, the query of each request to Azure is the credential."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", "sv=1&sig=s3cret-word")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"^az://ours/a: ") as caught:
        ObjectStore("az://ours/a").listed("az://ours/a")
    assert "s3cret-word" not in "".join(traceback.format_exception(caught.value))


def test_late_objects_are_noticed(store: LocalStore, catalog: World) -> None:
    def rate() -> None:
        catalog.settings.month_dir(JANUARY).mkdir(parents=True, exist_ok=True)
        record_rated(catalog.settings, JANUARY, [JANUARY], usage_files(catalog.settings, [JANUARY]))

    b, c = "usage/2024-01/b.csv", "usage/2024-01/c.csv"
    store.put(A, usage_csv(ROW.format("e1", 1)))
    store.put(b, usage_csv(ROW.format("e2", 1)))
    rate()
    assert late_usage(catalog.settings, JANUARY) is None
    store.put(A, usage_csv(ROW.format("e1", 1)))  # the same content, another time
    assert late_usage(catalog.settings, JANUARY) is None
    store.put(A, usage_csv(ROW.format("e1", 2)))
    store.put(c, usage_csv(ROW.format("e3", 1)))
    store.delete(b)
    late = late_usage(catalog.settings, JANUARY)
    assert late is not None
    assert (late.new, late.changed, late.gone) == ((c,), (A,), (b,))
    rate()
    assert late_usage(catalog.settings, JANUARY) is None


def test_a_store_that_is_away_is_not_called_late(
    store: LocalStore, catalog: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(A, usage_csv(ROW.format("e1", 1)))
    catalog.settings.month_dir(JANUARY).mkdir(parents=True)
    record_rated(catalog.settings, JANUARY, [JANUARY], usage_files(catalog.settings, [JANUARY]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InvalidInput, match="cannot be listed"):
        late_usage(catalog.settings, JANUARY)
