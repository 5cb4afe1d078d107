"""A line that 38 digits do not hold is named by its customer and price."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.dbt_runner import DbtError, NodeResult
from billing_pipeline.rating.month import check_models
from tests.compiled_models import rate_month
from tests.dbt.inputs import settings_of
from tests.dbt.price_books import PriceBook

APRIL = BillingMonth(2024, 4)


def book() -> PriceBook:
    made = PriceBook()
    made.meter("m")
    for plan in ("unit", "tiers", "fee", "percent", "small"):
        made.add("catalog/plans", plan_id=plan, name=plan)
        made.customer(plan, plan, quantity="99999999999999999999" if plan == "fee" else "1")
        made.use(plan, "m", "5" if plan == "small" else "999999999999999", "2024-04-10")
    made.price("unit", "per-unit", "m", unit_amount="1000000")
    made.price("tiers", "tiered", "m", charge_model="graduated")
    made.add("catalog/price_tiers", price_id="tiered", unit_amount="999999999999")
    made.price("fee", "seats", "", charge_model="flat", flat_amount="999999999999999")
    made.price("percent", "rate", "m", charge_model="percentage", percentage="999999999")
    made.price("small", "right", "m")
    return made


def test_lines_that_cannot_be_computed_are_named(tmp_path: Path) -> None:
    book().write(tmp_path / "data")
    settings = settings_of(tmp_path)
    with pytest.raises(duckdb.OutOfRangeException) as found:
        rate_month(settings, APRIL)
    node = NodeResult("model.billing.rated_charges", "model", "error", 0, 0, str(found.value))
    with pytest.raises(DbtError) as error:
        check_models(settings, APRIL, [node])
    first, *lines = str(error.value).splitlines()
    assert first == "2024-04 cannot be computed:"
    assert [line.split(" USD for")[0] for line in lines] == [
        "customer fee: price seats comes to about 1.0e+35",
        "customer tiers: price tiered comes to about 1.0e+27",
        "customer percent: price rate comes to about 1.0e+22",
        "customer unit: price per-unit comes to about 1.0e+21",
    ]
    other = NodeResult("model.billing.invoices", "model", "error", 0, 0, "Binder Error")
    with pytest.raises(DbtError, match="Binder Error"):
        check_models(settings, APRIL, [other])
