"""Parameters of commands: months, options that several commands share, and a home to write to.

What belongs here: reading them. What does not: the settings themselves (``settings``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from billing_pipeline.commands.terminal import CommandError, writing
from billing_pipeline.home import make_home
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import InvalidSettingError, Settings, page_url

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print machine-readable results."
)


def _computed_months(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The months that were computed in this home, for shell completion."""
    found = sorted(path.name for path in Settings.from_env().home.glob("months/????-??"))
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


class _Month(click.ParamType[BillingMonth]):
    name = "month"

    def convert(self, value: Any, param: Any, ctx: Any) -> BillingMonth:
        return BillingMonth.parse(str(value))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return _computed_months(ctx, param, incomplete)


class _MonthOrHash(click.ParamType[BillingMonth | str]):
    """A month, or the hash of a plan, which contains no hyphen."""

    name = "month or hash"

    def convert(self, value: Any, param: Any, ctx: Any) -> BillingMonth | str:
        return BillingMonth.parse(str(value)) if "-" in str(value) else str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return _computed_months(ctx, param, incomplete)


class _Months(click.ParamType[list[BillingMonth]]):
    name = "A..B"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[BillingMonth]:
        first, _, last = str(value).partition("..")
        months = [BillingMonth.parse(first)]
        until = BillingMonth.parse(last or first)
        if until < months[0]:
            raise CommandError(f"{value}: the first month comes after the last")
        while months[-1] < until:
            months.append(months[-1].shift(1))
        return months


class _Url(click.ParamType[str]):
    name = "url"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        try:
            return page_url("--url", str(value))
        except InvalidSettingError as error:
            self.fail(str(error), param, ctx)


MONTH = _Month()
MONTH_OR_HASH = _MonthOrHash()
MONTHS = _Months()


def settings_with_home() -> Settings:
    """The settings, with a BILLING_HOME that exists and can be written."""
    settings = Settings.from_env()
    with writing(f"BILLING_HOME {settings.home}"):
        make_home(settings)
        with tempfile.TemporaryFile(dir=settings.home):
            pass
    return settings


def address_options(port: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--host`, `--port` and `--url` (`urls`) of a server; `port` is the default port."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        options = (
            click.option(
                "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
            ),
            click.option(
                "--port", type=click.IntRange(0, 65535), default=port, show_default=True,
                help="Port to listen on; 0: any free port.",
            ),
            click.option(
                "--url", "urls", type=_Url(), multiple=True,
                help="Public address behind a proxy: requests to its host are answered too.",
            ),
        )  # fmt: skip
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def cannot_listen(host: str, port: int, error: OSError) -> CommandError:
    return CommandError(
        f"cannot listen on {host}:{port}: {error}; choose another with --host, --port"
    )
