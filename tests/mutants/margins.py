"""Mutants of costs and margins.

What belongs here: mistakes that a person could make and overlook. What does not: what costs share
with prices (sql.py).
"""

from __future__ import annotations

from tests.mutants.engine import Mutant
from tests.mutants.sql import INTAKE, METERING, RATING, WORLDS

MARGINS = "tests/dbt/test_margins.py"
MODEL = "dbt_project/models/audit/margins.sql"

MUTANTS = (
    Mutant(
        "the_first_subscription_has_every_cost",
        f"{METERING}/cost_spans.sql",
        "order by claims.claim, claims.subscription_starts_at",
        "order by claims.subscription_starts_at",
        MARGINS,
    ),
    Mutant(
        "usage_costs_for_each_subscription_that_is_named",
        f"{METERING}/cost_times.sql",
        "owners.is_owner as reads_unnamed",
        "true as reads_unnamed",
        MARGINS,
    ),
    Mutant(
        "another_subscription_cuts_a_cost",
        f"{METERING}/cost_owners.sql",
        ") = span_start then 0",
        ") = span_start then 1",
        WORLDS,
    ),
    Mutant(
        "usage_of_a_subscription_costs_of_no_plan_as_well",
        f"{METERING}/unsubscribed_times.sql",
        "where parts.is_subscribed = 0",
        "where true",
        MARGINS,
    ),
    Mutant(
        "usage_after_a_subscription_costs_nothing",
        f"{METERING}/unsubscribed_times.sql",
        "inner join run on times.ends_at > run.month_start and times.ends_at < run.month_end",
        "inner join run on times.ends_at > run.month_end and times.ends_at < run.month_end",
        MARGINS,
    ),
    Mutant(
        "a_minimum_costs_where_nothing_is_used_or_sold",
        f"{RATING}/used_quantities.sql",
        "and (costs_unused or quantity <> 0 or exact_quantity.num > 0 or event_count > 0)",
        "",
        MARGINS,
    ),
    Mutant(
        "tiers_of_one_version_of_a_cost_are_those_of_all",
        "dbt_project/models/staging/catalog/stg_catalog__cost_prices.sql",
        "    tiers.valid_from as tiers_from,",
        "    cast(null as timestamp with time zone) as tiers_from,",
        WORLDS,
    ),
    Mutant(
        "costs_stand_among_metered_usage",
        f"{METERING}/metered_usage.sql",
        " and not windows.is_cost",
        "",
        MARGINS,
    ),
    Mutant(
        "a_margin_forgets_the_discount",
        MODEL,
        "coalesce(lines.amount - lines.discount_share, 0) as revenue",
        "coalesce(lines.amount, 0) as revenue",
        MARGINS,
    ),
    Mutant(
        "what_is_paid_beforehand_is_earned_twice",
        MODEL,
        "(kind = 'commitment' and is_taxed)",
        "kind = 'commitment'",
        WORLDS,
    ),
    Mutant(
        "what_a_cost_cannot_read_is_silent",
        f"{METERING}/usage_issues.sql",
        "where meter_id in (select meter_id from {{ ref('stg_catalog__cost_prices') }})",
        "where false",
        MARGINS,
    ),
    Mutant(
        "a_value_of_an_earlier_month_costs_nothing",
        "billing_pipeline/rating/month.py",
        " UNION ALL SELECT meter_id FROM raw.cost_prices",
        "",
        MARGINS,
    ),
    Mutant(
        "usage_of_an_earlier_month_costs_nothing",
        "billing_pipeline/intake/price_periods.py",
        " FROM raw.plans CROSS JOIN raw.cost_prices)",
        " FROM raw.plans CROSS JOIN raw.cost_prices WHERE false)",
        f"{INTAKE}/test_costs.py",
    ),
    Mutant(
        "a_cost_of_a_plan_is_a_cost_of_all",
        "billing_pipeline/intake/reference/cells.py",
        "if is_note(column):",
        "if column:",
        f"{INTAKE}/test_costs.py",
    ),
    Mutant(
        "changed_costs_are_changed_prices",
        "billing_pipeline/intake/late_usage.py",
        'if not (but and name.startswith(f"{but}/"))',
        "if name",
        f"{INTAKE}/test_late_usage.py",
    ),
    Mutant(
        "late_readings_of_earlier_months_change_nothing",
        "billing_pipeline/intake/late_usage.py",
        'if "earlier" in known:',
        'if "earlier" in known and not known:',
        f"{INTAKE}/test_late_usage.py",
    ),
)
