"""What dbt-spark refuses before it begins, without Spark: a source in a database.

What belongs here: what can be seen without Java. What does not: Spark itself (`make spark-test`).
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import yaml
from jinja2 import Template

MODELS = Path(__file__).resolve().parents[2] / "dbt_project" / "models"


def test_sources_name_a_database_in_duckdb_only() -> None:
    databases = [
        source["database"]
        for path in MODELS.rglob("*.yml")
        for source in yaml.safe_load(path.read_text(encoding="utf-8")).get("sources", [])
        if "database" in source
    ]
    assert databases
    for text in databases:
        made = [
            Template(text).render(target=SimpleNamespace(type=one)) for one in ("duckdb", "spark")
        ]
        assert made == ["billing", ""]
