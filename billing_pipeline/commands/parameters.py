"""What a command is given: months, options that several commands have, and a home to write to.

What belongs here: reading them. What does not: the settings themselves (``settings``).
"""

from __future__ import annotations

import tempfile
from typing import Any

import click
from click.shell_completion import CompletionItem

from billing_pipeline.commands.terminal import CommandError
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print machine-readable results."
)


class _Month(click.ParamType[BillingMonth]):
    name = "month"

    def convert(self, value: Any, param: Any, ctx: Any) -> BillingMonth:
        return BillingMonth.parse(str(value))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The months that were computed here."""
        found = sorted(path.name for path in Settings.from_env().home.glob("months/????-??"))
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]


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


MONTH = _Month()
MONTHS = _Months()


def settings_with_home() -> Settings:
    """The settings, with a BILLING_HOME that is there and can be written."""
    settings = Settings.from_env()
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home):
            pass
    except OSError as error:
        raise CommandError(
            f"BILLING_HOME {settings.home} cannot be written: {error.strerror}"
        ) from error
    return settings
