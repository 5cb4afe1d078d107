"""The tables that dbt publishes, as their contracts declare them: columns, types, descriptions.

What belongs here: reading ``published.yml`` of each folder of models. What does not: the tables
that Python makes (``tables``). dbt enforces these contracts at every build, so a table
that no month has yet can be shown empty, with the columns that it will have.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml

from billing_pipeline.published.tables import Column, Table
from billing_pipeline.rating.dbt_runner import DBT_PROJECT_DIR

# In C where that was built: in Python these files take a tenth of a second.
_SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@lru_cache(maxsize=1)
def contracts() -> dict[str, Table]:
    """Every table with a contract, by name."""
    found: dict[str, Table] = {}
    for path in sorted((DBT_PROJECT_DIR / "models").rglob("published.yml")):
        for model in yaml.load(path.read_text(encoding="utf-8"), _SAFE_LOADER)["models"]:
            found[model["name"]] = Table(
                model["description"].strip(),
                tuple(_column(column) for column in model["columns"]),
            )
    return found


def _column(column: dict[str, Any]) -> Column:
    return Column(column["name"], column["data_type"].upper(), column["description"].strip())
