"""Values as SQL, where a statement takes no parameters: views, ATTACH, COPY and printed queries.

What belongs here: writing a text, a name or a path so that DuckDB reads just that. What does
not: any statement.
"""

from __future__ import annotations

import re

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
