"""From which columns each column of a model comes, computed from the SQL that dbt compiled.

What belongs here: tracing a column through one compiled query, and writing what is found into what
`dbt docs generate` has made. What does not: running dbt (`dbt_runner`), and the folder
(`dbt_sandbox`).

dbt's docs know which model reads which, but of no column where it comes from. sqlglot does, with
which dagster-dbt reads SQL as well. What a column is computed from counts, and not what only joins
or filters its rows. An origin is one step away, a column of a model or source that the query reads:
from there the docs lead on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

COMES_FROM = "comes from"
"""What dbt's docs show beside the origins, among the details of a column."""
_DIALECT = "duckdb"
# An ephemeral model is a CTE of this name in the queries of those that read it.
_EPHEMERAL = "__dbt__cte__"

Schema = Mapping[str, Mapping[str, Mapping[str, str]]]


class LineageError(RuntimeError):
    """dbt's docs are not there, or nothing in them is compiled; the message says what to run."""


def add_to_docs(target: Path) -> int:
    """Write the origins of the columns of all models that were compiled into the docs in dbt's
    `target`; returns how many columns have any."""
    path, static = target / "manifest.json", target / "static_index.html"
    try:
        written = path.read_text(encoding="utf-8")
        catalog = json.loads((target / "catalog.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LineageError(f"run `dbt docs generate` first: {error}") from error
    manifest, schema, found = json.loads(written), _schema(catalog), 0
    compiled = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node.get("compiled_code")
    ]
    if not compiled:
        raise LineageError("run `dbt docs generate` first, without --no-compile")
    for node in compiled:
        for name, origins in origins_of(node["compiled_code"], schema).items():
            if origins and name in node["columns"]:
                node["columns"][name]["meta"][COMES_FROM] = ", ".join(sorted(origins))
                found += 1
    changed = json.dumps(manifest)
    path.write_text(changed, encoding="utf-8")
    if static.exists():
        page = static.read_text(encoding="utf-8")
        static.write_text(page.replace(written, changed), encoding="utf-8")
    return found


def origins_of(sql: str, schema: Schema) -> dict[str, set[str]]:
    """Each column of the query, and the columns (`table.column`) that it is computed from.
    `schema`: the columns of tables, for `select *`."""
    query = qualify(
        parse_one(sql, dialect=_DIALECT),
        schema={name: dict(tables) for name, tables in schema.items()},
        dialect=_DIALECT,
        validate_qualify_columns=False,
    )
    root = build_scope(query)
    if root is None:
        raise LineageError(f"this is no query: {sql}")
    traced = _Traced({id(scope.expression): scope for scope in root.traverse()})
    return {name: traced.origins(root, name) for name in _names(root)}


@dataclass(frozen=True)
class _Traced:
    """The steps of one query, by their expressions, and what is known of their columns."""

    scopes: Mapping[int, Scope]
    known: dict[tuple[int, str], set[str]] = field(default_factory=dict)

    def origins(self, scope: Scope, name: str) -> set[str]:
        """Those of one column of the query, or of a step of it."""
        key = (id(scope), name)
        if key not in self.known:
            found = self.known[key] = set()
            for expression in _computing(scope, name):
                for column in _columns(expression):
                    found |= self._of_column(column, scope)
        return self.known[key]

    def _of_column(self, column: exp.Column, scope: Scope) -> set[str]:
        within: Scope | None = self.scopes.get(id(column.parent_select), scope)
        while within is not None and column.table not in within.sources:
            within = within.parent
        if within is None:
            return set()
        source = within.sources[column.table]
        if isinstance(source, exp.Table):
            return {f"{source.name}.{column.name}"}
        step = source.expression.parent
        if isinstance(step, exp.CTE) and step.alias.startswith(_EPHEMERAL):
            return {f"{step.alias.removeprefix(_EPHEMERAL)}.{column.name}"}
        return self.origins(source, column.name)


def _computing(scope: Scope, name: str) -> Iterator[exp.Expr]:
    """What computes the column: in each part of a union, which has it in the same place."""
    if scope.set_operation_scopes:
        place = _names(scope).index(name)
        for part in scope.set_operation_scopes:
            yield from _computing(part, _names(part)[place])
    elif isinstance(scope.expression, exp.Select):
        yield from (found for found in scope.expression.selects if found.alias_or_name == name)
    else:  # a list that is unnested
        yield scope.expression


def _names(scope: Scope) -> list[str]:
    """The columns of a step, in order."""
    return list(scope.expression.named_selects) if isinstance(scope.expression, exp.Query) else []


def _columns(expression: exp.Expr) -> Iterator[exp.Column]:
    """Those that the expression reads; of a query within it, those that it selects."""
    for node in expression.walk(prune=lambda node: isinstance(node, exp.Query)):
        if isinstance(node, exp.Column):
            yield node
        elif isinstance(node, exp.Query):
            for selected in node.selects:
                yield from _columns(selected)


def _schema(catalog: Mapping[str, Any]) -> dict[str, dict[str, dict[str, str]]]:
    found: dict[str, dict[str, dict[str, str]]] = {}
    for node in (*catalog["nodes"].values(), *catalog["sources"].values()):
        place = node["metadata"]
        columns = {column["name"]: column["type"] for column in node["columns"].values()}
        found.setdefault(place["schema"], {})[place["name"]] = columns
    return found
