"""From which columns a column comes: through steps, unions, ephemeral models and queries within."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.rating.column_lineage import LineageError, add_to_docs, origins_of

TABLES = {
    "main": {
        "charges": {"charge_id": "varchar", "customer_id": "varchar", "amount": "decimal(38, 4)"},
        "prices": {"price_id": "varchar", "rate": "decimal(38, 12)", "tags": "varchar[]"},
    }
}
SQL = """
with __dbt__cte__totals as (
    select customer_id, sum(amount) as total from "month"."main"."charges" group by all
),
steps as (select * exclude (charge_id) from "month"."main"."charges"),
either as (
    select customer_id as who, amount as money from steps
    union all
    select price_id, rate from "month"."main"."prices"
),
named as (
    select rate, price_id from "month"."main"."prices"
    union all by name
    select customer_id, amount as rate from charges
),
rows as (select list(charges) as row, [named] as one_of_them from charges, named group by all)
select
    either.who,
    either.money,
    totals.total * 2 as twice,
    (select max(rate) from "month"."main"."prices" where price_id = charges.charge_id) as best,
    sum(charges.amount) filter (where charges.amount > 0) over () as all_of_it,
    list_transform([charges.amount], lambda each: each + 1) as more,
    tags.tag,
    named.rate as by_name,
    named.customer_id as of_one_part,
    rows.one_of_them,
    rows.row,
    1 as one
from "month"."main"."charges" as charges
left join __dbt__cte__totals as totals on charges.customer_id = totals.customer_id
cross join either
cross join (select unnest(tags) as tag from "month"."main"."prices") as tags
cross join named
cross join rows
"""


def test_a_column_comes_from_those_that_it_is_computed_from() -> None:
    assert origins_of(SQL, TABLES) == {
        "who": {"charges.customer_id", "prices.price_id"},
        "money": {"charges.amount", "prices.rate"},
        # Of an ephemeral model, though its query stands here.
        "twice": {"totals.total"},
        # Not what it is looked up by.
        "best": {"prices.rate"},
        "all_of_it": {"charges.amount"},
        "more": {"charges.amount"},
        "tag": {"prices.tags"},
        "by_name": {"prices.rate", "charges.amount"},
        "of_one_part": {"charges.customer_id"},
        "one_of_them": {"prices.rate", "prices.price_id", "charges.customer_id", "charges.amount"},
        "row": {"charges.*"},
        "one": set(),
    }


def _docs(target: Path, **node: Any) -> None:
    """As `dbt docs generate --static` writes them."""
    model = {"resource_type": "model", "name": "doubles", **node}
    model["columns"] = {"Doubled": {"meta": {}}}
    manifest = json.dumps({"nodes": {"model.billing.doubles": model}, "sources": {}})
    columns = {"amount": {"name": "amount", "type": "DECIMAL"}}
    charges = {"metadata": {"schema": "main", "name": "charges"}, "columns": columns}
    catalog = json.dumps({"nodes": {"model.billing.charges": charges}, "sources": {}})
    (target / "manifest.json").write_text(manifest, encoding="utf-8")
    (target / "catalog.json").write_text(catalog, encoding="utf-8")
    (target / "static_index.html").write_text(f"<script>{manifest}</script>", encoding="utf-8")


def test_dbt_s_docs_say_it_among_the_details_of_a_column(tmp_path: Path) -> None:
    sql = (
        "with all_of_it as (select * from main.charges) select 2 * amount as Doubled from all_of_it"
    )
    _docs(tmp_path, compiled_code=sql)
    assert add_to_docs(tmp_path) == 1
    text = (tmp_path / "manifest.json").read_text(encoding="utf-8")
    column = json.loads(text)["nodes"]["model.billing.doubles"]["columns"]["Doubled"]
    assert column["meta"] == {"comes from": "charges.amount"}
    assert text in (tmp_path / "static_index.html").read_text(encoding="utf-8")


def test_without_compiled_docs_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match=r"run `dbt docs generate` first: .*manifest\.json"):
        add_to_docs(tmp_path)
    _docs(tmp_path)
    with pytest.raises(LineageError, match="without --no-compile"):
        add_to_docs(tmp_path)
