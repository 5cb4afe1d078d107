"""What sqlfluff's Jinja sees as dbt's `adapter`: a dispatched macro is linted as a function call."""

from __future__ import annotations

from collections.abc import Callable


def dispatch(name: str) -> Callable[..., str]:
    return lambda *arguments: f"{name}({', '.join(map(str, arguments))})"


def quote(name: str) -> str:
    return f'"{name}"'
