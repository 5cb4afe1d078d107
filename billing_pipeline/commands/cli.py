"""The command line, `billing …`: finding a command, and how it ends.

What belongs here: the list of commands, and how an error ends a command. What does not: what the
commands take and print (the other modules of this package), and any work.

Exit codes: 0 done, 3 some of the plan waits for approval, 1 failed (the reason on the last line),
2 not understood (an unknown command or option). With `--json` stdout is one JSON document,
however a command ends.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from importlib import import_module
from itertools import chain
from typing import Any, NoReturn, cast

import click
import duckdb

from billing_pipeline.commands.terminal import CommandError, print_json
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.runs.interruption import INTERRUPTED, was_interrupted
from billing_pipeline.settings import Settings
from billing_pipeline.text import printable_lines

FAILED = 1

# In the order in which a newcomer needs them.
_SECTIONS = {
    "Getting started": ("init", "pricebook", "check", "completion"),
    "Closing a month": ("plan", "run", "apply", "resolve", "pull"),
    "Without a daemon": ("estimate", "collect", "drift", "notices"),
    "Inspecting": ("status", "months", "runs", "invoices", "explain", "verify", "compare"),
    "Trying out changes": ("simulate", "sandbox", "diff", "lineage"),
    "Documents": ("invoice", "report", "export", "prove", "publish"),
    "Servers": ("home", "ui", "dashboard", "webhooks"),
}
_NAMES = tuple(chain.from_iterable(_SECTIONS.values()))
# Commands that share a module; any other is in the module of its name.
_SHARED_MODULES = {
    **dict.fromkeys(_SECTIONS["Closing a month"], "close"),
    **dict.fromkeys(("status", "months", "invoices"), "status"),
    **dict.fromkeys(("invoice", "report", "export"), "documents"),
    **dict.fromkeys(("estimate", "collect", "drift"), "daemon"),
    "dashboard": "ui",
    **dict.fromkeys(("diff", "lineage"), "sandbox"),
}


class _LazyCommands(Mapping[str, click.Command]):
    """Commands by name, each imported only when it is needed: Dagster alone takes a second."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in _NAMES:
            raise KeyError(name)
        module = import_module(f"billing_pipeline.commands.{_SHARED_MODULES.get(name, name)}")
        return cast(click.Command, getattr(module, name))

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


class _Program(click.Group):
    """The commands, and the one place where a failure becomes text and an exit code."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **named: Any) -> NoReturn:
        arguments = sys.argv[1:] if args is None else list(args)
        named["standalone_mode"] = False
        try:
            sys.exit(super().main(arguments, *more, **named))
        except click.ClickException as error:
            error.show()
            code, document = error.exit_code, _failure(error.format_message())
        except CommandError as error:
            click.echo(printable_lines(str(error)), err=True)
            code, document = FAILED, error.document
        except (click.Abort, KeyboardInterrupt):
            click.echo(INTERRUPTED, err=True)
            code, document = FAILED, _failure(INTERRUPTED)
        except Exception as error:  # noqa: BLE001  (the outermost edge: no user reads a traceback)
            if "--verbose" in arguments:
                traceback.print_exc()
            click.echo(printable_lines(_reason(error)), err=True)
            code, document = FAILED, _failure(_reason(error))
        if "--json" in arguments:
            print_json(document)
        sys.exit(code)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands in sections, each with the whole first sentence of its help."""
        for title, names in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, self.commands[name].get_short_help_str(limit=200)) for name in names]
                )


def _failure(reason: str) -> dict[str, Any]:
    return {"success": False, "reason": reason}


def _reason(error: Exception) -> str:
    """The text of an error. Our own errors say enough; any other is one line with its kind, and
    `--verbose` shows where it came from."""
    if was_interrupted():
        return INTERRUPTED
    if isinstance(error, InvalidInput):
        return error.message(Settings.from_env().home)
    if type(error).__module__.startswith("billing_pipeline."):
        return str(error)
    text = " ".join(str(error).split())
    if isinstance(error, duckdb.Error):
        return (
            f"{text}. Where this names a file under published/ that is gone or damaged, delete "
            "that file and run its month again, which recreates it"
        )
    return f"{type(error).__name__}: {text} (billing --verbose … shows where)"


# click looks names up and counts them; it never adds one.
_COMMANDS = cast(MutableMapping[str, click.Command], _LazyCommands())


@click.group(cls=_Program, commands=_COMMANDS)
@click.option("--verbose", is_flag=True, help="Show Dagster's log while a job runs.")
def main(verbose: bool) -> None:
    """Close billing months: exact charges, sent once."""
    click.get_current_context().obj = verbose
