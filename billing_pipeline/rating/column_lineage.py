"""The columns from which each column of a model comes, computed from dbt's compiled SQL.

What belongs here: tracing a column through one compiled query, and adding the result to the output
of `dbt docs generate`. What does not: running dbt (`dbt_runner`), and the folder
(`dbt_sandbox`).

dbt's docs know which model reads which, but not where a column comes from. sqlglot, which
dagster-dbt also uses to read SQL, can tell. Columns from which a column is computed count as its
origins; columns that only join or filter rows do not. An origin is one step away, in a model or
source that the query reads; the docs lead on from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

COMES_FROM = "comes from"
"""The label of the origins among a column's details in dbt's docs."""
_DIALECT = "duckdb"
_MAIN = "main"
# An ephemeral model is a CTE with this prefix in the queries of the models that read it. If an
# ephemeral model reads another one, dbt leaves that CTE out of the compiled SQL that it keeps.
_EPHEMERAL = "__dbt__cte__"

Schema = Mapping[str, Mapping[str, Mapping[str, str]]]


class LineageError(RuntimeError):
    """dbt's docs are missing, or nothing in them is compiled; the message says what to run."""


def add_to_docs(target: Path) -> int:
    """Add the origins of columns to the docs in dbt's `target`, for all compiled models. Returns
    how many columns have origins."""
    path, static = target / "manifest.json", target / "static_index.html"
    try:
        written = path.read_text(encoding="utf-8")
        catalog = json.loads((target / "catalog.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LineageError(f"run `dbt docs generate` first: {error}") from error
    manifest, found = json.loads(written), 0
    schema = _schema(manifest, catalog)
    compiled = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node.get("compiled_code")
    ]
    if not compiled:
        raise LineageError("run `dbt docs generate` first, without --no-compile")
    for node in compiled:
        origins = origins_of(node["compiled_code"], schema)
        for name, column in node["columns"].items():
            # Names are in lower case, because DuckDB ignores case.
            if comes_from := origins.get(name.lower()):
                column["meta"][COMES_FROM] = ", ".join(sorted(comes_from))
                found += 1
    changed = json.dumps(manifest)
    path.write_text(changed, encoding="utf-8")
    if static.exists():
        page = static.read_text(encoding="utf-8")
        static.write_text(page.replace(written, changed), encoding="utf-8")
    return found


def origins_of(sql: str, schema: Schema) -> dict[str, set[str]]:
    """For each column of the query, the columns (`table.column`) from which it is computed.
    `schema` has the columns of tables, for `select *`."""
    query = qualify(
        parse_one(sql, dialect=_DIALECT),
        schema={name: dict(tables) for name, tables in schema.items()},
        db=_MAIN,
        dialect=_DIALECT,
        validate_qualify_columns=False,
    )
    root = build_scope(query)
    if root is None:
        raise LineageError(f"not a query: {sql}")
    traced = _Traced({id(scope.expression): scope for scope in root.traverse()})
    return {name: traced.origins(root, name) for name in _names(root)}


@dataclass(frozen=True)
class _Traced:
    """The steps of one query, by their expressions, and what is known about their columns."""

    scopes: Mapping[int, Scope]
    known: dict[tuple[int, str], set[str]] = field(default_factory=dict)

    def origins(self, scope: Scope, name: str) -> set[str]:
        """The origins of one column of the query, or of one of its steps."""
        key = (id(scope), name)
        if key not in self.known:
            found = self.known[key] = set()
            for expression in _computing(scope, name):
                for column in _columns(expression):
                    found |= self._column_origins(column, scope)
        return self.known[key]

    def _column_origins(self, column: exp.Column | exp.TableColumn, scope: Scope) -> set[str]:
        is_row = isinstance(column, exp.TableColumn)
        table = column.name if is_row else column.text("table")
        within: Scope | None = self.scopes.get(id(column.parent_select), scope)
        while within is not None and table not in within.sources:
            within = within.parent
        if within is None:
            return set()
        source = within.sources[table]
        if isinstance(source, exp.Table):
            return {f"{_model(source.name)}.{'*' if is_row else column.name}"}
        names = _names(source) if is_row else [column.name]
        step = source.expression.parent
        if isinstance(step, exp.CTE) and step.alias.startswith(_EPHEMERAL):
            return {f"{_model(step.alias)}.{name}" for name in names}
        return set().union(*(self.origins(source, name) for name in names))


def _model(table: str) -> str:
    return table.removeprefix(_EPHEMERAL)


def _computing(scope: Scope, name: str) -> Iterator[exp.Expr]:
    """The expressions that compute the column, one for each part of a union: matched by position
    or, in a union by name, by name, where a part may lack it."""
    if scope.set_operation_scopes:
        place = _names(scope).index(name)
        for part in scope.set_operation_scopes:
            names = _names(part)
            if not scope.expression.args.get("by_name"):
                yield from _computing(part, names[place])
            elif name in names:
                yield from _computing(part, name)
    elif isinstance(scope.expression, exp.Select):
        yield from (found for found in scope.expression.selects if found.alias_or_name == name)
    else:  # an unnested list
        yield scope.expression


def _names(scope: Scope) -> list[str]:
    """The columns of a step, in order."""
    if scope.set_operation_scopes and scope.expression.args.get("by_name"):
        return list(dict.fromkeys(chain.from_iterable(map(_names, scope.set_operation_scopes))))
    return list(scope.expression.named_selects) if isinstance(scope.expression, exp.Query) else []


def _columns(expression: exp.Expr) -> Iterator[exp.Column | exp.TableColumn]:
    """The columns that the expression reads, including whole rows (`list(tiers)`, where `tiers` is
    a step); of a subquery, only the columns that it selects."""
    for node in expression.walk(prune=lambda node: isinstance(node, exp.Query)):
        if isinstance(node, exp.Column | exp.TableColumn):
            yield node
        elif isinstance(node, exp.Query):
            for selected in node.selects:
                yield from _columns(selected)


def _schema(manifest: Mapping[str, Any], catalog: Mapping[str, Any]) -> Schema:
    """The columns of all tables: as they are in the database, or as described for what is not built
    there (reports are all in `main`)."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for node in (*manifest["nodes"].values(), *manifest["sources"].values()):
        if node["resource_type"] in ("model", "source") and node["columns"]:
            columns = {
                name: column.get("data_type") or "" for name, column in node["columns"].items()
            }
            named = found.setdefault(_MAIN, {})
            named[node["name"]] = named[_EPHEMERAL + node["name"]] = columns
    for node in (*catalog["nodes"].values(), *catalog["sources"].values()):
        place = node["metadata"]
        columns = {column["name"]: column["type"] for column in node["columns"].values()}
        found.setdefault(place["schema"], {})[place["name"]] = columns
    return found
