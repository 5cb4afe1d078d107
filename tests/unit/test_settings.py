"""Which Stripe the settings may reach: never live money by accident, never a stranger."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from billing_pipeline.settings import InvalidSettingError, Settings

ROOT = Path(__file__).resolve().parents[2]
# The table of the README: a row's settings, and their defaults.
ROWS = [
    (re.findall(r"`([A-Z_]+)`", names), re.findall(r"`([^`]+)`", defaults))
    for names, defaults in re.findall(
        r"^\| (`(?:BILLING|STRIPE)_.*?) \| (.*?) \|", (ROOT / "README.md").read_text(), re.MULTILINE
    )
]


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1"])
@pytest.mark.parametrize("allowed", ["", "0", "yes", "true", "11"])
def test_a_live_key_is_refused(key: str, allowed: str) -> None:
    with pytest.raises(InvalidSettingError, match="BILLING_ALLOW_LIVE=1") as refused:
        Settings.from_env({"STRIPE_API_KEY": key, "BILLING_ALLOW_LIVE": allowed})
    assert key not in str(refused.value)


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1"])
def test_a_live_key_is_taken_where_it_is_allowed(key: str) -> None:
    settings = Settings.from_env({"STRIPE_API_KEY": key, "BILLING_ALLOW_LIVE": "1"})
    assert settings.stripe_api_key == key
    assert not settings.uses_sandbox


@pytest.mark.parametrize("key", ["sk_test_1", "rk_test_1"])
def test_a_test_key_needs_no_leave(key: str) -> None:
    settings = Settings.from_env({"STRIPE_API_KEY": key})
    assert not settings.uses_sandbox
    assert key not in repr(settings)


@pytest.mark.parametrize("key", ["pk_live_1", "whsec_1", "SK_TEST_1", "sk_1", "x sk_test_1"])
def test_an_invalid_key_is_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(InvalidSettingError, match="not a secret or restricted key") as refused:
        Settings.from_env({"STRIPE_API_KEY": key})
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    "base", ["https://api.stripe.com", "http://10.0.0.1:80", "http://localhost.evil.example"]
)
def test_without_a_key_only_this_machine_is_spoken_to(base: str) -> None:
    with pytest.raises(InvalidSettingError, match="is not on this machine"):
        Settings.from_env({"STRIPE_API_BASE": base})


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_another_stripe_server_on_this_machine_may_be_used(base: str) -> None:
    assert not Settings.from_env({"STRIPE_API_BASE": base}).uses_sandbox


def test_without_key_and_address_it_is_the_sandbox() -> None:
    assert Settings.from_env({}).uses_sandbox


@pytest.mark.parametrize(
    "prefix", ["s3://bucket", "s3://bucket/", "gs://bucket/a/b", "az://container", "abfs://c/a"]
)
def test_inputs_may_lie_in_an_object_store(prefix: str) -> None:
    assert Settings.from_env({"BILLING_DATA_DIR": prefix}).data_dir == prefix


@pytest.mark.parametrize("prefix", ["s3://", "s3:///a", "file:///a", "S3://bucket", "https://a/b"])
def test_a_store_that_is_not_spoken_to_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidSettingError, match="for example s3://bucket/billing"):
        Settings.from_env({"BILLING_DATA_DIR": prefix})


@pytest.mark.parametrize(
    ("text", "count"),
    [("1048576", 1_048_576), ("1.5GB", 1_500_000_000), ("2 MiB", 2_097_152), ("64kb", 64_000)],
)
def test_a_bound_of_inputs_is_a_size_or_a_number_of_bytes(text: str, count: int) -> None:
    assert Settings.from_env({"BILLING_MAX_INPUT_BYTES": text}).max_input_bytes == count


@pytest.mark.parametrize("text", ["0", "0GB", "-1", "1e9", "much", "5 apples"])
def test_an_invalid_input_limit_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettingError, match="BILLING_MAX_INPUT_BYTES"):
        Settings.from_env({"BILLING_MAX_INPUT_BYTES": text})


@pytest.mark.parametrize(("text", "count"), [("4GB", 4 * 10**9), ("512 MiB", 2**29)])
def test_the_memory_limit_means_what_duckdb_takes_it_for(text: str, count: int) -> None:
    assert Settings.from_env({"BILLING_MEMORY_LIMIT": text}).memory_bytes == count


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("BILLING_MAX_INVOICE_TOTAL", text) for text in ("-1", "much", "NaN")),
        *(("BILLING_DUNNING_HOURS", text) for text in ("72,0", "a", "-1,2", "5,5")),
        *(("BILLING_DUNNING_END", "never"), ("BILLING_UI_URL", "javascript:alert(1)")),
        *(("BILLING_SPIKE_FACTOR", text) for text in ("1", "NaN", "much")),
        *(("BILLING_SUSPEND_DAYS", text) for text in ("-1", "1.5", "soon")),
        ("BILLING_TRIAL_NOTICE_DAYS", "-1"),
        # A day that some month lacks.
        *(("BILLING_CLOSE_DAY", text) for text in ("0", "29", "-1", "1.5", "first")),
        *(("BILLING_CLOSE_GRACE_HOURS", text) for text in ("-1", "337", "2.5", "two")),
        ("BILLING_LOCKED_THROUGH", "2024-13"),
        ("BILLING_LOCKED_THROUGH", "2024-02-29"),
        ("BILLING_LOCKED_THROUGH", "february"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidSettingError, match=name):
        Settings.from_env({name: text})


@pytest.mark.parametrize("text", ["2024-02", "2024-02-01", " 2024-02 "])
def test_books_are_closed_through_a_month(text: str) -> None:
    locked = Settings.from_env({"BILLING_LOCKED_THROUGH": text}).locked_through
    assert locked is not None
    assert str(locked) == "2024-02"
    assert Settings.from_env({}).locked_through is None


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("http://[", "is not an address"),
        ("stripe.example", "is not an address"),
        ("ftp://127.0.0.1", "is not an address"),
        ("http://127.0.0.1:99999", "is not an address"),
        ("http:///v1", "is not an address"),
        ("http://stripe.example", "not https"),
        ("http://localhost.evil.example:8420", "not https"),
        ("http://localhost@evil.example", "not https"),
        ("HTTP://stripe.example", "not https"),
    ],
)
def test_no_key_goes_to_another_machine_in_the_clear(base: str, reason: str) -> None:
    settings = {"STRIPE_API_KEY": "sk_test_0", "STRIPE_API_BASE": base}
    with pytest.raises(InvalidSettingError, match=f"STRIPE_API_BASE .*{reason}"):
        Settings.from_env(settings)


@pytest.mark.parametrize(
    "base",
    ["https://stripe.example", "http://127.0.0.1:8420", "http://localhost", "http://[::1]:1"],
)
def test_a_key_goes_to_this_machine_and_over_https(base: str) -> None:
    settings = {"STRIPE_API_KEY": "sk_test_0", "STRIPE_API_BASE": base}
    assert Settings.from_env(settings).stripe_api_base == base


@pytest.mark.parametrize("url", ["http://[", "https://", "billing.example.com", "http://a:b"])
def test_the_address_of_the_ui_is_one(url: str) -> None:
    with pytest.raises(InvalidSettingError, match=r"BILLING_UI_URL .* is not an address"):
        Settings.from_env({"BILLING_UI_URL": url})


def test_only_the_settings_read_the_environment() -> None:
    """dbt, Spark, Dagster's storage and its daemon are told something in it by these four."""
    passed_on = {"rating/dbt_runner.py", "rating/spark.py", "runs/event_log.py", "commands/ui.py"}
    readers = {
        str(path.relative_to(ROOT / "billing_pipeline"))
        for path in (ROOT / "billing_pipeline").rglob("*.py")
        if re.search(r"os\.environ|getenv", path.read_text(encoding="utf-8"))
    }
    assert readers - passed_on == {"settings.py"}


def test_the_readme_lists_every_setting() -> None:
    """`BILLING_SPARK_…` and `BILLING_WAREHOUSE` are handed to dbt by the pipeline itself."""
    read = {
        name
        for module in (ROOT / "billing_pipeline").rglob("*.py")
        for name in re.findall(r'"((?:BILLING|STRIPE)_[A-Z_]+)"', module.read_text())
        if not name.startswith(("BILLING_SPARK_", "BILLING_WAREHOUSE"))
    }
    # Named in the row of the key that it allows.
    assert read == {name for names, _ in ROWS for name in names} | {"BILLING_ALLOW_LIVE"}


@pytest.mark.parametrize(("names", "defaults"), [row for row in ROWS if row[1]])
def test_a_default_of_the_readme_is_the_default(names: list[str], defaults: list[str]) -> None:
    assert Settings.from_env(dict(zip(names, defaults, strict=True))) == Settings.from_env({})


@pytest.mark.parametrize(
    ("env", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, "http://proxy.example:3128"),
        ({"https_proxy": "proxy.example:3128"}, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "localhost,.stripe.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "tripe.com, other.example"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://p:1", "STRIPE_API_BASE": "http://127.0.0.1:4242"}, None),
    ],
)
def test_the_way_to_stripe_may_be_a_proxy(env: dict[str, str], proxy: str | None) -> None:
    assert Settings.from_env(env).https_proxy == proxy


@pytest.mark.parametrize(
    "env", [{"HTTPS_PROXY": "socks5://p:secret@h:1"}, {"STRIPE_ACCOUNT": "sk_test_x"}]
)
def test_a_proxy_or_account_that_cannot_be_used_is_named(env: dict[str, str]) -> None:
    [name] = env
    with pytest.raises(InvalidSettingError, match=name) as caught:
        Settings.from_env(env)
    assert "secret" not in str(caught.value)
