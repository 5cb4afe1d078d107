"""Settings: what the operator sets in the environment, checked once, in one place.

What belongs here: every variable of the README's table with its default, the paths under
``BILLING_HOME``, and where dbt's project is. No other module reads the environment. What does not:
reading or writing any of those paths, and what a limit or a due time means (``Limits.of``,
``DunningPolicy.of``, ``Rules.of`` beside the code that applies them).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from billing_pipeline.months import BillingMonth, InvalidMonthError

_STRIPE_API = "https://api.stripe.com"


class InvalidSettingError(ValueError):
    """A setting has a value that cannot be used; the message names it and says what is allowed."""


@dataclass(frozen=True)
class PlanMove:
    """Subscriptions of a plan that are rated by another one: those for which the SQL condition
    `where` holds; all where it is empty."""

    from_plan: str
    to_plan: str
    where: str = ""


@dataclass(frozen=True)
class Settings:
    """All settings of one process. ``repr`` leaves secrets out."""

    data_dir: str
    home: Path
    timezone: ZoneInfo
    first_month: BillingMonth
    stripe_api_key: str | None = field(default=None, repr=False)
    stripe_api_base: str | None = None
    stripe_account: str | None = None
    """The connected account for which a platform's key works; None: the key's own."""
    https_proxy: str | None = field(default=None, repr=False)
    """The way to Stripe, where the network has no other. It may hold a password."""
    stripe_webhook_secret: str | None = field(default=None, repr=False)
    allow_live: bool = False
    memory_limit: str = "4GB"
    max_input_bytes: int = 100 * 10**9
    notify_urls: tuple[str, ...] = field(default=(), repr=False)
    metering: str = "duckdb"
    max_invoice_total: Decimal | None = None
    """Major units, in whatever currency the invoice has; None: no limit."""
    max_month_change_percent: Decimal | None = None
    """None: the default of `Limits`, which holds only for large months."""
    dunning_hours: tuple[int, ...] = (0, 72, 144)
    dunning_end: str = "uncollectible"
    ui_url: str = "http://127.0.0.1:3000"
    trial_notice_days: int = 3
    spike_factor: Decimal = Decimal(3)
    wallet_low_percent: int = 20
    suspend_days: int = 14
    """Days after the oldest due date from which a customer who has not paid counts as suspended."""
    drift_months: int = 3
    """How many of the last closed months are compared with what they would come to today."""
    locked_through: BillingMonth | None = None
    """This month and those before it are closed in the books; None: every month is open."""
    close_day: int = 1
    """1 to 28, so that every month has it. Later days leave late usage more time to arrive."""
    close_grace: timedelta = timedelta(hours=2)
    """How long after the start of that day; the last files of a month may come late."""
    readers_group: str | None = None
    """A group of this machine, which may read what is published."""
    catalog_dir: Path | None = None
    """A simulation's price book instead of the data directory's; no variable sets it."""
    moves: tuple[PlanMove, ...] = ()
    """Subscriptions that a simulation puts on another plan; no variable sets it."""
    renamed_folders: Mapping[str, str] = field(default_factory=dict)
    """Folders of the data directory that lie under another name; no variable sets it."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings; raises `InvalidSettingError` for the first that cannot be used."""
        env = os.environ if environ is None else environ

        def text(name: str) -> str | None:
            return env.get(name, "").strip() or None

        settings = cls(
            data_dir=_data_dir(text("BILLING_DATA_DIR") or "data"),
            home=Path(text("BILLING_HOME") or ".billing").expanduser().absolute(),
            timezone=timezone_from_env(env),
            first_month=first_month_from_env(env),
            stripe_api_key=text("STRIPE_API_KEY"),
            stripe_api_base=text("STRIPE_API_BASE"),
            stripe_account=_stripe_account(text("STRIPE_ACCOUNT")),
            https_proxy=_https_proxy(env, text("STRIPE_API_BASE") or _STRIPE_API),
            stripe_webhook_secret=text("STRIPE_WEBHOOK_SECRET"),
            allow_live=text("BILLING_ALLOW_LIVE") == "1",
            memory_limit=_size("BILLING_MEMORY_LIMIT", text("BILLING_MEMORY_LIMIT") or "4GB"),
            max_input_bytes=_max_input_bytes(text("BILLING_MAX_INPUT_BYTES") or "100GB"),
            notify_urls=tuple((text("BILLING_NOTIFY_URLS") or "").split()),
            metering=_metering(text("BILLING_METERING") or "duckdb"),
            max_invoice_total=_positive(env, "BILLING_MAX_INVOICE_TOTAL"),
            max_month_change_percent=_positive(env, "BILLING_MAX_MONTH_CHANGE_PERCENT"),
            dunning_hours=_dunning_hours(text("BILLING_DUNNING_HOURS") or "0,72,144"),
            dunning_end=_dunning_end(text("BILLING_DUNNING_END") or "uncollectible"),
            ui_url=page_url("BILLING_UI_URL", text("BILLING_UI_URL") or "http://127.0.0.1:3000"),
            trial_notice_days=_whole_number(env, "BILLING_TRIAL_NOTICE_DAYS", "3"),
            spike_factor=_spike_factor(text("BILLING_SPIKE_FACTOR") or "3"),
            wallet_low_percent=_whole_number(env, "BILLING_WALLET_LOW_PERCENT", "20"),
            suspend_days=_suspend_days(text("BILLING_SUSPEND_DAYS") or "14"),
            drift_months=_whole_number(env, "BILLING_DRIFT_MONTHS", "3", range(121)),
            locked_through=_locked_through(text("BILLING_LOCKED_THROUGH")),
            readers_group=text("BILLING_READERS_GROUP"),
            close_day=_whole_number(env, "BILLING_CLOSE_DAY", "1", range(1, 29)),
            close_grace=timedelta(
                hours=_whole_number(env, "BILLING_CLOSE_GRACE_HOURS", "2", range(14 * 24 + 1))
            ),
        )
        settings._refuse_unsafe_stripe()
        return settings

    def _refuse_unsafe_stripe(self) -> None:
        key = self.stripe_api_key
        if key is not None:
            if not key.startswith(("sk_test_", "rk_test_", "sk_live_", "rk_live_")):
                raise InvalidSettingError(
                    "STRIPE_API_KEY is not a secret or restricted key, which starts with "
                    "sk_test_, rk_test_, sk_live_ or rk_live_"
                )
            if key.startswith(("sk_live_", "rk_live_")) and not self.allow_live:
                raise InvalidSettingError(
                    "STRIPE_API_KEY is a live key: set BILLING_ALLOW_LIVE=1 to charge real money"
                )
        if self.stripe_api_base is not None:
            self._refuse_unsafe_base(self.stripe_api_base)

    def _refuse_unsafe_base(self, base: str) -> None:
        parts = _split_url(base)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidSettingError(
                f"STRIPE_API_BASE {base!r} is not an address, for example http://127.0.0.1:8420"
            )
        if parts.hostname in ("localhost", "127.0.0.1", "::1"):
            return
        if self.stripe_api_key is None:
            raise InvalidSettingError(
                f"STRIPE_API_BASE {base!r} is not on this machine: "
                "set STRIPE_API_KEY as well, or use a loopback address"
            )
        if parts.scheme != "https":
            raise InvalidSettingError(
                f"STRIPE_API_BASE {base!r} is on another machine and not https: anybody on the "
                "way could read the key"
            )

    def require_month(self, month: BillingMonth, now: datetime) -> None:
        """Raise `InvalidMonthError` unless the month is one from the first to the running one."""
        if month < self.first_month:
            raise InvalidMonthError(
                f"{month} is before the first billing month, {self.first_month}: "
                "BILLING_FIRST_MONTH sets it"
            )
        running = BillingMonth.containing(now, self.timezone)
        if month > running:
            raise InvalidMonthError(
                f"{month} has not begun: the running month is {running} in {self.timezone}"
            )

    @property
    def uses_sandbox(self) -> bool:
        """True if the embedded sandbox stands in for Stripe."""
        return self.stripe_api_key is None and self.stripe_api_base is None

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The valid signing secrets of Stripe's webhooks: two while one replaces the other."""
        parts = (self.stripe_webhook_secret or "").split(",")
        return tuple(part.strip() for part in parts if part.strip())

    @property
    def memory_bytes(self) -> int:
        return _bytes(self.memory_limit)

    # Where things live under BILLING_HOME. Only `records` and `sandbox` cannot be rebuilt.
    @property
    def records_dir(self) -> Path:
        return self.home / "records"

    @property
    def sandbox_dir(self) -> Path:
        return self.home / "sandbox"

    @property
    def published_dir(self) -> Path:
        return self.home / "published"

    @property
    def dagster_dir(self) -> Path:
        return self.home / "dagster"

    @property
    def usage_cache_dir(self) -> Path:
        """Copies of usage files, by content: normalised text files, and Parquet from an object
        store. Local Parquet is read in place."""
        return self.home / "usage"

    def month_dir(self, month: BillingMonth) -> Path:
        """The working folder of one month: its warehouse and dbt's artifacts."""
        return self.home / "months" / str(month)

    def warehouse_path(self, month: BillingMonth) -> Path:
        return self.month_dir(month) / "warehouse.duckdb"


def dbt_project_dir() -> Path:
    """dbt's project: inside the package in a wheel, beside it in a clone (``setup.py``)."""
    package = Path(__file__).parent
    installed = package / "dbt_project"
    return installed if installed.is_dir() else package.parent / "dbt_project"


def timezone_from_env(environ: Mapping[str, str] | None = None) -> ZoneInfo:
    """`BILLING_TIMEZONE`, read separately because Dagster's partitions are defined with it."""
    name = _from(environ, "BILLING_TIMEZONE") or "UTC"
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidSettingError(
            f"BILLING_TIMEZONE {name!r} is not an IANA time zone, for example UTC or Europe/Berlin"
        ) from error


def _stripe_account(text: str | None) -> str | None:
    if text is not None and re.fullmatch(r"acct_\w+", text) is None:
        raise InvalidSettingError(
            f"STRIPE_ACCOUNT {text!r} is not an account id, which begins with acct_"
        )
    return text


def _https_proxy(env: Mapping[str, str], base: str) -> str | None:
    """`HTTPS_PROXY`, unless `NO_PROXY` has the host or Stripe stands on plain HTTP: that is a
    stand-in on this machine."""
    url = _split_url(base)
    named = (env.get("https_proxy") or env.get("HTTPS_PROXY") or "").strip()
    if url is None or url.scheme != "https" or not named:
        return None
    apart = re.split(r"[\s,]+", env.get("no_proxy") or env.get("NO_PROXY") or "")
    host = f".{url.hostname}"
    if any(name == "*" or host.endswith(f".{name.lstrip('.')}") for name in apart if name):
        return None
    proxy = named if "://" in named else f"http://{named}"
    parts = _split_url(proxy)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        # Not shown: it may hold a password.
        raise InvalidSettingError(
            "HTTPS_PROXY is not an address, for example http://proxy.example:3128"
        )
    return proxy


def _data_dir(text: str) -> str:
    if "://" in text and re.fullmatch(r"(s3|gs|az|abfs)://[^/]+(/.*)?", text) is None:
        raise InvalidSettingError(
            f"BILLING_DATA_DIR {text!r} is neither a directory nor a prefix in an object store, "
            "for example s3://bucket/billing"
        )
    return text


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT])(i?)B", re.IGNORECASE)


def _size(name: str, text: str) -> str:
    if _SIZE.fullmatch(text) is None:
        raise InvalidSettingError(f"{name} {text!r} is not a size, for example 4GB")
    return text


def _bytes(size: str) -> int:
    """The number of bytes of a size, as DuckDB reads it."""
    match = _SIZE.fullmatch(size)
    assert match is not None
    power = "KMGT".index(match[2].upper()) + 1
    return int(Decimal(match[1]) * (1024 if match[3] else 1000) ** power)


def _max_input_bytes(text: str) -> int:
    name = "BILLING_MAX_INPUT_BYTES"
    count = int(text) if re.fullmatch("[0-9]{1,18}", text) else _bytes(_size(name, text))
    if count == 0:
        raise InvalidSettingError(f"{name} is 0, so no file could be read")
    return count


def _metering(text: str) -> str:
    if text not in ("duckdb", "spark"):
        raise InvalidSettingError(f"BILLING_METERING {text!r} is not an engine: duckdb or spark")
    return text


def first_month_from_env(environ: Mapping[str, str] | None = None) -> BillingMonth:
    """`BILLING_FIRST_MONTH`, read separately because Dagster's partitions are defined with it."""
    try:
        return BillingMonth.parse(_from(environ, "BILLING_FIRST_MONTH") or "2024-01-01")
    except InvalidMonthError as error:
        raise InvalidSettingError(f"BILLING_FIRST_MONTH: {error}") from error


def _locked_through(text: str | None) -> BillingMonth | None:
    try:
        return None if text is None else BillingMonth.parse(text)
    except InvalidMonthError as error:
        raise InvalidSettingError(f"BILLING_LOCKED_THROUGH: {error}") from error


def _from(environ: Mapping[str, str] | None, name: str) -> str:
    return (os.environ if environ is None else environ).get(name, "").strip()


def _positive(env: Mapping[str, str], name: str) -> Decimal | None:
    text = _from(env, name)
    if not text:
        return None
    value = _decimal(text)
    if value is None or value < 0:
        raise InvalidSettingError(f"{name} {text!r} is not a number of 0 or more")
    return value


def _decimal(text: str) -> Decimal | None:
    """The finite number in a text; None for anything else."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _whole_number(
    env: Mapping[str, str], name: str, default: str, allowed: range | None = None
) -> int:
    text = _from(env, name) or default
    if not text.isdecimal() or (allowed is not None and int(text) not in allowed):
        bounds = "" if allowed is None else f" from {allowed[0]} to {allowed[-1]}"
        raise InvalidSettingError(f"{name} {text!r} is not a whole number{bounds}")
    return int(text)


def _dunning_hours(text: str) -> tuple[int, ...]:
    hours = text.split(",")
    if all(hour.strip().isdecimal() for hour in hours):
        parsed = tuple(int(hour) for hour in hours)
        if all(earlier < later for earlier, later in pairwise(parsed)):
            return parsed
    raise InvalidSettingError(
        f"BILLING_DUNNING_HOURS {text!r} is not a list of increasing hours, for example 0,72,144"
    )


def _dunning_end(text: str) -> str:
    if text not in ("uncollectible", "leave_open"):
        raise InvalidSettingError(
            f"BILLING_DUNNING_END {text!r} is neither uncollectible nor leave_open"
        )
    return text


def page_url(name: str, text: str) -> str:
    """An address of pages, without a slash at its end. `name` is the setting or option that gives
    it; raises `InvalidSettingError`."""
    parts = _split_url(text)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidSettingError(
            f"{name} {text!r} is not an address, for example https://billing.example.com"
        )
    return text.rstrip("/")


def _split_url(text: str) -> SplitResult | None:
    """The parts of an address; None where it is none."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  (refused only when it is read)
    except ValueError:
        return None
    return parts


def _suspend_days(text: str) -> int:
    if not text.isdecimal() or len(text) > 4:
        raise InvalidSettingError(
            f"BILLING_SUSPEND_DAYS {text!r} is not a whole number of days from 0 to 9999"
        )
    return int(text)


def _spike_factor(text: str) -> Decimal:
    factor = _decimal(text)
    if factor is None or factor <= 1:
        raise InvalidSettingError(f"BILLING_SPIKE_FACTOR {text!r} is not a number above 1")
    return factor
