"""Settings: what the operator chooses through the environment, checked once, in one place.

What belongs here: the variables of the README's table, their defaults, the paths under
``BILLING_HOME``, and where dbt's project is. What does not: reading or writing any of those paths.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from billing_pipeline.months import BillingMonth, InvalidMonthError


class InvalidSettingError(ValueError):
    """A setting has a value that cannot be used; the message names it and says what is allowed."""


@dataclass(frozen=True)
class Settings:
    """All settings of one process. Secrets are left out of ``repr`` on purpose."""

    data_dir: str
    home: Path
    timezone: ZoneInfo
    first_month: BillingMonth
    stripe_api_key: str | None = field(default=None, repr=False)
    stripe_api_base: str | None = None
    stripe_webhook_secret: str | None = field(default=None, repr=False)
    allow_live: bool = False
    memory_limit: str = "4GB"
    max_input_bytes: int = 100 * 10**9
    notify_urls: tuple[str, ...] = field(default=(), repr=False)
    metering: str = "duckdb"
    catalog_dir: Path | None = None
    """Another price book than the data directory's, for a simulation; no variable sets it."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings; raises `InvalidSettingError` for the first that cannot be used."""
        env = os.environ if environ is None else environ

        def text(name: str) -> str | None:
            return env.get(name, "").strip() or None

        settings = cls(
            data_dir=_data_dir(text("BILLING_DATA_DIR") or "data"),
            home=Path(text("BILLING_HOME") or ".billing").expanduser().absolute(),
            timezone=_zone(text("BILLING_TIMEZONE") or "UTC"),
            first_month=_first_month(text("BILLING_FIRST_MONTH") or "2024-01-01"),
            stripe_api_key=text("STRIPE_API_KEY"),
            stripe_api_base=text("STRIPE_API_BASE"),
            stripe_webhook_secret=text("STRIPE_WEBHOOK_SECRET"),
            allow_live=text("BILLING_ALLOW_LIVE") == "1",
            memory_limit=_size("BILLING_MEMORY_LIMIT", text("BILLING_MEMORY_LIMIT") or "4GB"),
            max_input_bytes=_max_input_bytes(text("BILLING_MAX_INPUT_BYTES") or "100GB"),
            notify_urls=tuple((text("BILLING_NOTIFY_URLS") or "").split()),
            metering=_metering(text("BILLING_METERING") or "duckdb"),
        )
        settings._refuse_unsafe_stripe()
        return settings

    def _refuse_unsafe_stripe(self) -> None:
        key = self.stripe_api_key
        if key is not None:
            if not key.startswith(("sk_test_", "rk_test_", "sk_live_", "rk_live_")):
                raise InvalidSettingError(
                    "STRIPE_API_KEY is no secret or restricted key: "
                    "it starts with sk_test_, rk_test_, sk_live_ or rk_live_"
                )
            if key.startswith(("sk_live_", "rk_live_")) and not self.allow_live:
                raise InvalidSettingError(
                    "STRIPE_API_KEY is a live key: set BILLING_ALLOW_LIVE=1 to charge real money"
                )
        elif self.stripe_api_base is not None:
            host = urlsplit(self.stripe_api_base).hostname or ""
            if host not in ("localhost", "127.0.0.1", "::1"):
                raise InvalidSettingError(
                    f"STRIPE_API_BASE {self.stripe_api_base!r} is not on this machine: "
                    "set STRIPE_API_KEY as well, or use a loopback address"
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
        """True where the embedded sandbox stands in for Stripe."""
        return self.stripe_api_key is None and self.stripe_api_base is None

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The signing secrets of Stripe's webhooks that are good: two while one is replaced."""
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
        """Copies of usage files, by content: normalised ones of text, and Parquet out of an object
        store. Parquet on this machine is read where it lies."""
        return self.home / "usage"

    def month_dir(self, month: BillingMonth) -> Path:
        """The work room of one month: its warehouse and dbt's artifacts."""
        return self.home / "months" / str(month)

    def warehouse_path(self, month: BillingMonth) -> Path:
        return self.month_dir(month) / "warehouse.duckdb"


def dbt_project_dir() -> Path:
    """dbt's project: inside the package in a wheel, beside it in a clone (``setup.py``)."""
    package = Path(__file__).parent
    installed = package / "dbt_project"
    return installed if installed.is_dir() else package.parent / "dbt_project"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidSettingError(
            f"BILLING_TIMEZONE {name!r} is no IANA time zone, for example UTC or Europe/Berlin"
        ) from error


def _data_dir(text: str) -> str:
    if "://" in text and re.fullmatch(r"(s3|gs|az|abfs)://[^/]+(/.*)?", text) is None:
        raise InvalidSettingError(
            f"BILLING_DATA_DIR {text!r} is no directory and no prefix in an object store, "
            "for example s3://bucket/billing"
        )
    return text


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT])(i?)B", re.IGNORECASE)


def _size(name: str, text: str) -> str:
    if _SIZE.fullmatch(text) is None:
        raise InvalidSettingError(f"{name} {text!r} is no size, for example 4GB")
    return text


def _bytes(size: str) -> int:
    """How many bytes a size is, as DuckDB reads it."""
    match = _SIZE.fullmatch(size)
    assert match is not None
    power = "KMGT".index(match[2].upper()) + 1
    return int(Decimal(match[1]) * (1024 if match[3] else 1000) ** power)


def _max_input_bytes(text: str) -> int:
    name = "BILLING_MAX_INPUT_BYTES"
    count = int(text) if re.fullmatch("[0-9]{1,18}", text) else _bytes(_size(name, text))
    if count == 0:
        raise InvalidSettingError(f"{name} is 0: no file could be read")
    return count


def _metering(text: str) -> str:
    if text not in ("duckdb", "spark"):
        raise InvalidSettingError(f"BILLING_METERING {text!r} is no engine: duckdb or spark")
    return text


def _first_month(text: str) -> BillingMonth:
    try:
        return BillingMonth.parse(text)
    except InvalidMonthError as error:
        raise InvalidSettingError(f"BILLING_FIRST_MONTH: {error}") from error
