"""Definitions that the intake and dbt share, read from dbt_project.yml.

What belongs here: reading charge models, aggregations, custom meters, accounts of the journal and
the form of a decimal. What does not: what they compute (dbt), and checking inputs against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from billing_pipeline.settings import dbt_project_dir


@dataclass(frozen=True)
class ChargeModel:
    """The columns of prices.csv that a price of this model must and may fill, the column of
    price_tiers.csv by which its tiers are charged, and whether it needs a meter."""

    needs: Sequence[str] = ()
    may_use: Sequence[str] = ()
    tier_rate: str | None = None
    usage_only: bool = False


@dataclass(frozen=True)
class Aggregation:
    """`adds_up`: corrections are added to its sum. `carries_forward`: its last value may carry
    over. `is_gauge`: it measures a level rather than something that adds up over time. `by_bucket`:
    it can be computed by hour or by
    day. `reads_numbers`: its values are numbers, which can be rounded."""

    adds_up: bool = False
    carries_forward: bool = False
    is_gauge: bool = False
    by_bucket: bool = False
    reads_numbers: bool = False


_PROJECT = dbt_project_dir() / "dbt_project.yml"
_VARS: dict[str, Any] = yaml.safe_load(_PROJECT.read_text(encoding="utf-8"))["vars"]

CHARGE_MODELS = {name: ChargeModel(**row) for name, row in _VARS["charge_models"].items()}
# As in dbt_project.yml, where all percentiles are one kind.
AGGREGATION_KINDS = {name: Aggregation(**row) for name, row in _VARS["aggregations"].items()}
# As meters name them, with percentiles `p1` to `p99`.
AGGREGATIONS = {
    name: known
    for kind, known in AGGREGATION_KINDS.items()
    for name in ([f"p{percent}" for percent in range(1, 100)] if kind == "percentile" else [kind])
}
ACCOUNTS = tuple[str, ...](_VARS["accounts"])
CUSTOM_METERS = frozenset[str](_VARS["custom_meters"])
DECIMAL: str = _VARS["decimal"]
