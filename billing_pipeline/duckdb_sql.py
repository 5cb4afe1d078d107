"""DuckDB's SQL from Python: values where a statement takes no parameters, and rows by column name.

What belongs here: writing a text, a name or a path so that DuckDB reads just that (for views,
ATTACH, COPY and printed queries), which tables there are, and reading rows as dicts. What does not:
any other statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

Row = dict[str, Any]

# What DuckDB's readers take for a pattern, and the bracket that ends one.
_WILDCARD = re.compile(r"[*?\[\]]")


def sql_text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def sql_name(value: str) -> str:
    """An identifier."""
    return '"' + value.replace('"', '""') + '"'


def glob_literal(path: str) -> str:
    """A path that DuckDB's globbing readers take as it is, whatever its characters."""
    return _WILDCARD.sub(r"[\g<0>]", path)


def path_list(paths: Iterable[Path | str]) -> str:
    """A list of files for `read_parquet`, each read as it is named."""
    return f"[{', '.join(sql_text(glob_literal(str(path))) for path in paths)}]"


def table_names(connection: duckdb.DuckDBPyConnection, *schemas: str) -> set[str]:
    """The tables and views in these schemas."""
    found = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE list_contains($1, table_schema)",
        [schemas],
    ).fetchall()
    return {str(name) for (name,) in found}


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[Row]:
    """All rows of a query, each by its columns' names."""
    found = connection.execute(sql, list(parameters))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
