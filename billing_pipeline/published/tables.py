"""What is published, as dbt describes it: tables, their columns, and reports over all months.

What belongs here: reading that out of dbt's manifest. What does not: the descriptions themselves
(``dbt_project/models``: public models, and sources for what Python makes) and writing anything
(``export``, ``views``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from billing_pipeline.rating.dbt_runner import ensure_manifest
from billing_pipeline.settings import Settings

# dbt's source for the tables of the intake, which are not published.
_RAW = "raw"
_REPORTS = "reports"
_STAGES = ("staging", "metering", "rating", "invoicing")


@dataclass(frozen=True)
class Column:
    """One column: its name, DuckDB type and description."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Table:
    """One table or report: its grain in words, and its columns in order."""

    comment: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Report(Table):
    """A view over the published tables."""

    query: str


@dataclass(frozen=True)
class Published:
    """Everything published, by name: dbt's tables of a month, from usage to invoices; what Python
    makes, by dbt's source (`collection`, `as_billed`, `estimates`, `simulations`); and the
    reports."""

    models: Mapping[str, Table]
    sources: Mapping[str, Mapping[str, Table]]
    reports: Mapping[str, Report]

    @property
    def tables(self) -> Mapping[str, Table]:
        """All tables whose views read files."""
        made = {name: table for tables in self.sources.values() for name, table in tables.items()}
        return {**self.models, **made}


def published_tables(settings: Settings) -> Published:
    """What dbt's project, as it is on disk now, publishes; see `ensure_manifest`."""
    return _read(ensure_manifest(settings))


@lru_cache(maxsize=1)
def _read(manifest: Path) -> Published:
    found = json.loads(manifest.read_text(encoding="utf-8"))
    models: dict[str, Table] = {}
    reports: dict[str, Report] = {}
    for node in _in_order(found["nodes"]):
        if node["resource_type"] != "model" or node["access"] != "public":
            continue
        if node["group"] == _REPORTS:
            reports[node["name"]] = Report(*_described(node), node["compiled_code"])
        else:
            models[node["name"]] = Table(*_described(node))
    sources: dict[str, dict[str, Table]] = {}
    for source in found["sources"].values():
        if source["source_name"] != _RAW:
            of_source = sources.setdefault(source["source_name"], {})
            of_source[source["name"]] = Table(*_described(source))
    return Published(models, sources, reports)


def _in_order(nodes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Sorted by dependency: models by folder, from usage to invoices; a report after the reports
    that it reads."""
    reads = {key: node["depends_on"].get("nodes", ()) for key, node in sorted(nodes.items())}
    place = {key: number for number, key in enumerate(TopologicalSorter(reads).static_order())}

    def key_of(node: Mapping[str, Any]) -> tuple[int, int, str]:
        folder = str(node["fqn"][1])
        stage = _STAGES.index(folder) if folder in _STAGES else len(_STAGES)
        return (stage, place[node["unique_id"]] if folder == _REPORTS else 0, str(node["name"]))

    return sorted(nodes.values(), key=key_of)


def _described(node: Mapping[str, Any]) -> tuple[str, tuple[Column, ...]]:
    columns = (
        Column(column["name"], column["data_type"].upper(), column["description"].strip())
        for column in node["columns"].values()
    )
    return node["description"].strip(), tuple(columns)
