"""Mutants of the intake and of the SQL that computes charges, invoices and wallets.

What belongs here: mistakes that a person could make and overlook. What does not: requests to
Stripe (stripe.py).

Most are caught by the smallest data set of generated worlds; each names the smallest test that
notices it.
"""

from __future__ import annotations

from tests.mutants.engine import Mutant

METERING = "dbt_project/models/metering"
RATING = "dbt_project/models/rating"
INVOICING = "dbt_project/models/invoicing"
ARITHMETIC = "dbt_project/macros/exact_arithmetic.sql"

ORACLE = "tests/property/test_against_oracle.py::test_charges_and_invoices_are_those_of_the_oracle"
WORLDS = f"{ORACLE}[2024-02@Asia/Kolkata]"
EDGES = "tests/dbt/test_edges.py"
GAUGES = "tests/dbt/test_gauges.py"
PRICE_FILTERS = "tests/dbt/test_price_filters.py"
PRICE_TERMS = "tests/dbt/test_price_terms.py"
FILTERS = "dbt_project/macros/usage_filters.sql"
UNCHANGED = "tests/unit/rating/test_unchanged.py"
METERS = "tests/dbt/test_meters.py"
NAMED = "tests/dbt/test_named_subscriptions.py"
INVOICE_EDGES = "tests/dbt/test_invoice_edges.py"
TAXES_AND_COUPONS = "tests/dbt/test_taxes_and_coupons.py"
ADJUSTMENTS_AND_PAYERS = "tests/dbt/test_adjustments_and_payers.py"
COMMITMENTS = "tests/dbt/test_commitments.py"
INTAKE = "tests/unit/intake"
WALLET_LOTS = "tests/dbt/test_wallet_lots.py"
VERSIONS = "tests/dbt/test_versions.py"
BASED_ON = "tests/dbt/test_based_on.py"
INHERITANCE = "billing_pipeline/intake/reference/inheritance.py"
INTERVALS = "tests/dbt/test_intervals.py"
UNIT_TESTS = "tests/dbt/test_examples_and_rules.py"

MUTANTS = (
    # --- usage ---
    Mutant(
        "last_duplicate_wins",
        f"{METERING}/repeated_events.sql",
        "partition by usage_month, event_id order by source_file, source_row",
        "partition by usage_month, event_id order by source_file desc, source_row desc",
        WORLDS,
    ),
    Mutant(
        "conflicting_duplicates_count",
        f"{METERING}/accepted_events.sql",
        "where verdict <> 'counted'",
        "where verdict = 'duplicate'",
        WORLDS,
    ),
    Mutant(
        "usage_without_a_subscription_is_in_no_doubt",
        f"{METERING}/doubtful_usage.sql",
        "where meters.event_name not in (select event_name from totalled)",
        "where false",
        UNIT_TESTS,
    ),
    Mutant(
        "what_a_limit_counts_is_unpriced",
        f"{METERING}/doubtful_usage.sql",
        "times.feature is not null",
        "false",
        UNIT_TESTS,
    ),
    Mutant(
        "a_gap_of_prices_is_no_price",
        f"{METERING}/unpriced_events.sql",
        "when row_id in (select row_id from in_gaps) then 'price_gap'",
        "when false then 'price_gap'",
        UNIT_TESTS,
    ),
    Mutant(
        "a_trial_charges_twice",
        f"{METERING}/usage_charged_twice.sql",
        "greatest(starts_at, coalesce(trial_ends_at, starts_at)) as paid_from",
        "starts_at as paid_from",
        UNIT_TESTS,
    ),
    Mutant(
        "what_names_a_subscription_is_charged_twice",
        f"{METERING}/usage_charged_twice.sql",
        "where events.subscription_id is null",
        "where true",
        UNIT_TESTS,
    ),
    Mutant(
        "named_subscription_ignored",
        FILTERS,
        "and coalesce(facts.subscription_id = keys.{{ subscription }}, {{ unnamed }})",
        "",
        NAMED,
    ),
    Mutant(
        "named_usage_counted_by_the_whole_month",
        f"{METERING}/usage_windows.sql",
        "and (windows.subscription_id is null or naming.customer_id is null) as is_whole_month",
        "as is_whole_month",
        NAMED,
    ),
    Mutant(
        "another_customers_subscription_accepted",
        "dbt_project/models/staging/usage/stg_usage__events.sql",
        "and events.customer_id = known_subscriptions.customer_id",
        "",
        NAMED,
    ),
    Mutant(
        "one_counter_for_all_subscriptions",
        f"{METERING}/counter_increases.sql",
        "readings.customer_id, readings.meter_id, readings.subscription_id,",
        "readings.customer_id, readings.meter_id,",
        NAMED,
    ),
    Mutant(
        "one_gauge_for_all_subscriptions",
        f"{METERING}/carried_windows.sql",
        "    case when is_by_subscription then reads_subscription_id end as reads_subscription_id,",
        "    cast(null as varchar(20)) as reads_subscription_id,",
        NAMED,
    ),
    Mutant(
        "folder_edge_inclusive",
        "dbt_project/models/staging/usage/stg_usage__events.sql",
        "or events.occurred_at >= folders.month_end then 'outside_month'",
        "or events.occurred_at > folders.month_end then 'outside_month'",
        WORLDS,
    ),
    Mutant(
        "month_edge_inclusive",
        "dbt_project/macros/usage_readings.sql",
        "and facts.occurred_at < keys.window_end",
        "and facts.occurred_at <= keys.window_end",
        WORLDS,
    ),
    Mutant(
        "first_microsecond_left_out",
        "dbt_project/macros/usage_readings.sql",
        "facts.occurred_at >= keys.window_start",
        "facts.occurred_at > keys.window_start",
        WORLDS,
    ),
    Mutant(
        "filter_ignored",
        FILTERS,
        "and facts.texts = keys.texts",
        "",
        WORLDS,
    ),
    Mutant(
        "free_events_by_id_alone",
        f"{METERING}/charged_events.sql",
        "order by occurred_at, event_id",
        "order by event_id desc",
        PRICE_TERMS,
    ),
    Mutant(
        "one_event_too_many_is_free",
        f"{METERING}/charged_events.sql",
        "placed.place > terms.free_events",
        "placed.place > terms.free_events + 1",
        PRICE_TERMS,
    ),
    Mutant(
        "events_are_not_held_to_their_maximum",
        f"{METERING}/charged_events.sql",
        "placed.value > terms.maximum_quantity",
        "false",
        PRICE_TERMS,
    ),
    Mutant(
        "corrections_of_bounded_events_are_forgotten",
        f"{METERING}/charged_events.sql",
        " + coalesce(corrections.corrected_quantity, 0)",
        "",
        PRICE_TERMS,
    ),
    Mutant(
        "flat_amount_of_free_events_is_due",
        f"{RATING}/charges_percentage.sql",
        "exact(charged_count::decimal(38, 0)), flat_amount",
        "exact(event_count::decimal(38, 0)), flat_amount",
        PRICE_TERMS,
    ),
    Mutant(
        "what_is_included_is_for_the_first_seat",
        f"{RATING}/billable_quantities.sql",
        "when seats.whole_us is not null",
        "when false",
        PRICE_TERMS,
    ),
    Mutant(
        "bound_above_inclusive",
        FILTERS,
        "coalesce(v.number > v.bound.above, true)",
        "coalesce(v.number >= v.bound.above, true)",
        PRICE_FILTERS,
    ),
    Mutant(
        "bound_up_to_exclusive",
        FILTERS,
        "coalesce(v.number <= v.bound.up_to, true)",
        "coalesce(v.number < v.bound.up_to, true)",
        PRICE_FILTERS,
    ),
    Mutant(
        "rest_is_everything",
        FILTERS,
        "claims.row_id is null\n        and",
        "",
        PRICE_FILTERS,
    ),
    Mutant(
        "prices_of_the_past_claim_what_is_left",
        FILTERS,
        "and (filters.valid_to is null or facts.occurred_at < filters.valid_to)",
        "",
        PRICE_FILTERS,
    ),
    Mutant(
        "other_plans_claim_what_is_left",
        FILTERS,
        "on facts.plan_id = filters.plan_id\n        and facts.meter_id",
        "on facts.meter_id",
        PRICE_FILTERS,
    ),
    Mutant(
        "only_the_first_text_of_a_list_matches",
        "billing_pipeline/intake/reference/filters.py",
        "for texts in product(*(lists[path] for path in paths)):",
        "for texts in product(*(list(lists[path])[:1] for path in paths)):",
        PRICE_FILTERS,
    ),
    Mutant(
        "months_begin_in_utc",
        "billing_pipeline/months.py",
        "return datetime(self.year, self.month, 1, tzinfo=zone).astimezone(UTC)",
        "return datetime(self.year, self.month, 1, tzinfo=UTC)",
        WORLDS,
    ),
    Mutant(
        "repeated_hour_read_as_the_earlier",
        "billing_pipeline/intake/wall_clock.py",
        "return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))",
        "return min(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))",
        f"{INTAKE}/test_intake_values.py",
    ),
    Mutant(
        "midnight_that_occurs_twice_read_as_the_later",
        "billing_pipeline/intake/wall_clock.py",
        "return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)",
        "return wall.replace(tzinfo=zone, fold=1).astimezone(UTC)",
        f"{INTAKE}/test_intake_wall_clock.py",
    ),
    Mutant(
        "long_numbers_of_properties_through_a_float",
        "billing_pipeline/intake/values.py",
        "_EXACT_IN_DOUBLE = 15",
        "_EXACT_IN_DOUBLE = 17",
        f"{INTAKE}/test_intake_values.py::test_json_numbers_keep_their_digits",
    ),
    # --- aggregations ---
    Mutant(
        "sum_through_a_float",
        "dbt_project/macros/usage_totals.sql",
        "sum(value) filter (where aggregation <> 'count') as value_sum",
        "sum(value::double) filter (where aggregation <> 'count')::decimal(38, 18) as value_sum",
        WORLDS,
    ),
    Mutant(
        "unique_count_counts_duplicates",
        "dbt_project/macros/usage_totals.sql",
        "count(distinct unique_value)",
        "count(unique_value)",
        WORLDS,
    ),
    Mutant(
        "latest_is_the_largest",
        "dbt_project/macros/usage_totals.sql",
        "max_by(value, (occurred_at, is_correction, source_file, source_row)) filter (",
        "max(value) filter (",
        WORLDS,
    ),
    Mutant(
        "p95_interpolated",
        "dbt_project/macros/usage_totals.sql",
        "list_sort(list({{ value }}) filter (where {{ condition }}))[\n"
        "        ({{ percent }} * count({{ value }}) filter (where {{ condition }}) + 99) // 100\n"
        "    ]",
        "(quantile_cont({{ value }}, 0.95) filter (where {{ condition }}))::decimal(38, 18)",
        WORLDS,
    ),
    Mutant(
        "p95_rank_rounded_down",
        "dbt_project/macros/usage_totals.sql",
        "+ 99) // 100",
        "+ 0) // 100",
        WORLDS,
    ),
    Mutant(
        "average_not_weighted_by_time",
        f"{METERING}/gauge_integrals.sql",
        "sum(exact_whole(value) * span_us) as whole_us",
        "sum(exact_whole(value)) * sum(span_us) // count(*) as whole_us",
        WORLDS,
    ),
    Mutant(
        "carry_forward_ignored",
        f"{METERING}/carried_windows.sql",
        "    is_carried\n",
        "    false\n",
        WORLDS,
    ),
    Mutant(
        "ids_taken_by_other_events_of_earlier_months_not_seen",
        "billing_pipeline/intake/usage.py",
        "where event_id in (select event_id from ({events}) where event_name in ({names}))",
        "where event_name in ({names})",
        f"{INTAKE}/test_intake_earlier_usage.py",
    ),
    Mutant(
        "gauges_carried_unasked",
        f"{METERING}/carried_windows.sql",
        "case when not is_carried then billing_period_start end",
        "case when false then billing_period_start end",
        GAUGES,
    ),
    Mutant(
        "gauge_forgotten_between_the_parts_of_a_period",
        f"{METERING}/carried_windows.sql",
        "window_start > billing_period_start",
        "window_start < billing_period_start",
        GAUGES,
    ),
    Mutant(
        "gauges_not_prorated_by_default",
        "billing_pipeline/intake/reference/load.py",
        "meter_id is None or meter_id in gauges if given is None",
        "meter_id is None if given is None",
        GAUGES,
    ),
    Mutant(
        "allowances_of_gauges_shared_as_if_they_added_up",
        f"{RATING}/used_quantities.sql",
        "is_gauge as is_share_of_amount",
        "false as is_share_of_amount",
        GAUGES,
    ),
    Mutant(
        "carried_readings_of_one_instant_in_another_order",
        f"{METERING}/carried_steps.sql",
        "max_by(value, (occurred_at, is_correction, source_file, source_row)) as value",
        "max_by(value, (occurred_at, is_correction, translate(source_file, 'ab', 'ba'),"
        " source_row)) as value",
        f"{EDGES}::test_readings_of_one_instant_are_carried_by_file_and_row",
    ),
    Mutant(
        "groups_forgotten_where_values_are_carried",
        f"{METERING}/carried_values.sql",
        "max(value) over (partition by series_id, group_values, value_number)",
        "max(value) over (partition by series_id, value_number)",
        METERS,
    ),
    Mutant(
        "counter_that_began_again_counts_nothing",
        f"{METERING}/counter_increases.sql",
        "case when value < value_before then value else",
        "case when value < value_before then 0 else",
        METERS,
    ),
    Mutant(
        "first_reading_of_a_counter_counts_in_full",
        f"{METERING}/counter_increases.sql",
        "            before.value\n        ) as value_before",
        "            before.value, 0\n        ) as value_before",
        METERS,
    ),
    Mutant(
        "counters_of_devices_mixed",
        f"{METERING}/counter_increases.sql",
        "readings.group_values, readings.value is null",
        "readings.value is null",
        METERS,
    ),
    Mutant(
        "a_changed_usage_file_keeps_the_month",
        "billing_pipeline/rating/unchanged.py",
        "settings.metering, usage.fingerprint, tables",
        "settings.metering, tables",
        UNCHANGED,
    ),
    Mutant(
        "a_changed_price_keeps_the_month",
        "billing_pipeline/rating/unchanged.py",
        "sum(hash(rows)::HUGEINT)",
        "0",
        UNCHANGED,
    ),
    Mutant(
        "another_model_keeps_the_month",
        "billing_pipeline/rating/unchanged.py",
        '(said["inputs"], said["models"])',
        '(said["inputs"], project_digest())',
        UNCHANGED,
    ),
    Mutant(
        "what_an_analyst_wrote_is_kept",
        "billing_pipeline/rating/unchanged.py",
        "    if not is_checked(settings, month):\n        return []\n",
        "",
        UNCHANGED,
    ),
    Mutant(
        "readings_of_counters_before_the_month_not_read",
        "billing_pipeline/rating/month.py",
        "(carry_forward OR aggregation = 'counter')",
        "carry_forward",
        METERS,
    ),
    Mutant(
        "gauge_hours_per_hour_of_the_period",
        f"{METERING}/gauge_integrals.sql",
        "when 'gauge_hours' then 3600000000",
        "when 'gauge_hours' then 3600000000000",
        METERS,
    ),
    Mutant(
        "buckets_of_utc",
        "dbt_project/models/staging/catalog/stg_catalog__meters.sql",
        "then run.timezone end as bucket_zone",
        "then 'UTC' end as bucket_zone",
        METERS,
    ),
    Mutant(
        "repeated_hour_is_one_bucket",
        ARITHMETIC,
        "when 'hour' then us - wall % 3600000000",
        "when 'hour' then wall - wall % 3600000000",
        METERS,
    ),
    Mutant(
        "buckets_carried_into_unasked",
        f"{METERING}/split_windows.sql",
        "when windows.is_carried or windows.bucket is null then",
        "when true then",
        METERS,
    ),
    Mutant(
        "event_values_rounded_half_up",
        ARITHMETIC,
        "(v.units + v.of - 1) // v.of",
        "(v.units + v.of // 2) // v.of",
        METERS,
    ),
    Mutant(
        "corrected_reading_counts_beside_its_correction",
        "dbt_project/macros/usage_totals.sql",
        "corrections.last_row is null\n",
        "true\n",
        METERS,
    ),
    Mutant(
        "correction_of_another_group_replaces_a_reading",
        "dbt_project/macros/usage_totals.sql",
        "(['group_values'] if 'group_values' not in keys else [])",
        "[]",
        METERS,
    ),
    Mutant(
        "corrections_of_what_adds_up_are_readings_of_gauges_too",
        f"{METERING}/correction_readings.sql",
        "        event_name is not null\n",
        "        false\n",
        METERS,
    ),
    Mutant(
        "corrections_of_other_cells_count",
        f"{METERING}/window_corrections.sql",
        "        corrections.*\n",
        '        corrections.* exclude (properties), \'{"region": "eu"}\' as properties\n',
        PRICE_FILTERS,
    ),
    Mutant(
        "negative_quantity_is_charged",
        f"{METERING}/measured_windows.sql",
        "else exact(greatest(plain_quantity, 0::decimal(38, 18)))",
        "else exact(plain_quantity)",
        WORLDS,
    ),
    # --- time ---
    Mutant(
        "price_version_by_run_date",
        f"{METERING}/active_times.sql",
        "periods.period_start, periods.starts_at, coalesce(prices.valid_from, periods.starts_at)\n"
        "    ) as active_start,\n"
        "    least(\n"
        "        periods.period_end,\n"
        "        coalesce(periods.ends_at, periods.period_end),\n"
        "        coalesce(prices.valid_to, periods.period_end)\n"
        "    ) as active_end\n"
        "from periods\n"
        "inner join prices\n    on periods.plan_id = prices.plan_id\n",
        "periods.period_start, periods.starts_at\n"
        "    ) as active_start,\n"
        "    least(\n"
        "        periods.period_end,\n"
        "        coalesce(periods.ends_at, periods.period_end)\n"
        "    ) as active_end\n"
        "from periods\n"
        "inner join prices\n    on periods.plan_id = prices.plan_id\n"
        "    and coalesce(prices.valid_from < periods.period_end, true)\n"
        "    and coalesce(prices.valid_to >= periods.period_end, true)\n",
        WORLDS,
    ),
    Mutant(
        "trial_usage_is_charged",
        f"{RATING}/used_quantities.sql",
        "    and not is_trial\n",
        "",
        WORLDS,
    ),
    Mutant(
        "fee_is_charged_in_the_trial",
        f"{RATING}/due_fees.sql",
        "greatest(due_start, coalesce(trial_ends_at, due_start), ",
        "greatest(due_start, ",
        WORLDS,
    ),
    Mutant(
        "every_subscription_has_a_trial",
        "dbt_project/models/staging/accounts/stg_accounts__subscriptions.sql",
        "when numbered.is_first and plans.trial_days > 0",
        "when plans.trial_days > 0",
        WORLDS,
    ),
    Mutant(
        "thirty_days_by_calendar",
        f"{METERING}/thirty_day_periods.sql",
        "{{ cycle_start('subscription_starts_at', '(period_number + 1)') }} as period_end",
        "subscription_starts_at + to_months((period_number + 1)::integer) as period_end",
        WORLDS,
    ),
    Mutant(
        "proration_by_day",
        f"{RATING}/billable_quantities.sql",
        "(epoch_us(due.period_end) - epoch_us(due.period_start)) as part_us",
        "(datediff('day', due.period_start, due.period_end) * 86400000000) as part_us",
        WORLDS,
    ),
    Mutant(
        "a_month_has_thirty_days",
        f"{METERING}/plan_periods.sql",
        "epoch_us(periods.period_end) - epoch_us(periods.period_start) as period_us",
        "2592000000000 as period_us",
        WORLDS,
    ),
    Mutant(
        "unused_advance_is_kept",
        f"{RATING}/fee_periods.sql",
        "and parts.fee_ends_at < parts.period_end",
        "and parts.fee_ends_at < parts.period_start",
        WORLDS,
    ),
    Mutant(
        "first_period_in_advance_is_free",
        f"{RATING}/fee_periods.sql",
        "where is_first_charged",
        "where is_first_charged and begins_inside",
        WORLDS,
    ),
    # --- versions of a subscription ---
    Mutant(
        "allowances_begin_anew_with_each_seat_change",
        "dbt_project/models/staging/accounts/stg_accounts__subscriptions.sql",
        "sum(case when goes_on and has_same_plan then 0 else 1 end)",
        "sum(case when goes_on and has_same_plan and has_same_quantity then 0 else 1 end)",
        VERSIONS,
    ),
    Mutant(
        "a_trial_begins_anew_with_each_version",
        "dbt_project/models/staging/accounts/stg_accounts__subscriptions.sql",
        "numbered.subscription_number\n        order by numbered.starts_at\n",
        "numbered.starts_at\n        order by numbered.starts_at\n",
        VERSIONS,
    ),
    Mutant(
        "seats_paid_in_advance_are_not_given_back",
        f"{RATING}/fee_periods.sql",
        "and parts.fee_ends_at < parts.period_end",
        "and parts.ends_at < parts.period_end",
        VERSIONS,
    ),
    Mutant(
        "an_unprorated_fee_takes_every_quantity",
        f"{RATING}/fee_parts.sql",
        "where fee_starts_at <= begins_at and coalesce(fee_ends_at > begins_at, true)",
        "where true",
        VERSIONS,
    ),
    Mutant(
        "coupon_months_begin_anew_with_each_version",
        f"{INVOICING}/coupon_months.sql",
        "partition by subscription_id, subscription_number, coupon_id",
        "partition by subscription_id, starts_at, coupon_id",
        VERSIONS,
    ),
    Mutant(
        "the_greatest_minimum_of_a_period_counts",
        f"{INVOICING}/subscription_minimums.sql",
        "'units': sum(share.units)",
        "'units': max(share.units)",
        VERSIONS,
    ),
    Mutant(
        "a_period_that_a_change_of_plan_cuts_keeps_its_date",
        f"{METERING}/billing_periods.sql",
        "(periods.period_end <= run.month_end or periods.ends_at <= run.month_end)",
        "periods.period_end <= run.month_end",
        INTERVALS,
    ),
    Mutant(
        "a_first_period_in_advance_waits_for_its_end",
        f"{RATING}/fee_parts.sql",
        "and begins_at < settled_until",
        "and period_end <= settled_until",
        INTERVALS,
    ),
    Mutant(
        "a_quarter_reads_its_last_month",
        "billing_pipeline/rating/month.py",
        "return max(months, 2 if found[0][0] else 0)",
        "return 2 if found[0][0] else 0",
        INTERVALS,
    ),
    # --- prices ---
    Mutant(
        "tier_bound_exclusive_below",
        f"{RATING}/tier_parts.sql",
        "(quantities.billable.units = tiers.from_units and quantities.billable.num > 0)",
        "(quantities.billable.units = tiers.from_units and quantities.billable.num >= 0)",
        WORLDS,
    ),
    Mutant(
        "tier_bound_exclusive_above",
        f"{RATING}/tier_parts.sql",
        "or (quantities.billable.units = tiers.up_to_units and quantities.billable.num = 0)",
        "or (quantities.billable.units = tiers.up_to_units and quantities.billable.num < 0)",
        WORLDS,
    ),
    Mutant(
        "zero_is_in_no_tier",
        f"{RATING}/tier_parts.sql",
        "        tiers.tier = 1\n        or quantities",
        "        quantities",
        WORLDS,
    ),
    Mutant(
        "volume_as_graduated",
        f"{RATING}/tier_parts.sql",
        "when charge_model = 'volume' then billable",
        "when charge_model = 'volumes' then billable",
        WORLDS,
    ),
    Mutant(
        "packages_rounded_down",
        f"{RATING}/charges_package.sql",
        "> 0 or billable.num > 0 then 1 else 0",
        "> 0 or billable.num > 0 then 0 else 0",
        WORLDS,
    ),
    Mutant(
        "flat_amount_once_for_all_events",
        f"{RATING}/charges_percentage.sql",
        "exact_times(exact(charged_count::decimal(38, 0)), flat_amount)",
        "exact_times(exact(least(charged_count, 1)::decimal(38, 0)), flat_amount)",
        WORLDS,
    ),
    Mutant(
        "included_before_the_quantity_is_rounded",
        f"{RATING}/billable_quantities.sql",
        "else exact_minus(rounded_quantity, included)",
        "else exact_round_quantity(exact_minus(exact_quantity, included), quantity_rounding)",
        WORLDS,
    ),
    Mutant(
        "half_of_a_unit_rounded_down",
        ARITHMETIC,
        "when 'half_up' then v.x.units + 500000000000000000",
        "when 'half_up' then v.x.units + 499999999999999999",
        WORLDS,
    ),
    Mutant(
        "minimum_not_applied_at_zero_usage",
        f"{RATING}/rated_charges.sql",
        "* least(greatest(shared_units, minimum_units), maximum_units)",
        "* least(greatest(shared_units, case when shared_units > 0 then minimum_units"
        " end), maximum_units)",
        WORLDS,
    ),
    Mutant(
        "the_calculation_leaves_the_maximum_out",
        "dbt_project/macros/texts.sql",
        "case when maximum_units < shared_units then",
        "case when false then",
        WORLDS,
    ),
    Mutant(
        "the_calculation_of_a_minimum_forgets_its_share",
        "dbt_project/models/invoicing/subscription_minimums.sql",
        "when part_us < billing_period_us\n                then",
        "when false\n                then",
        WORLDS,
    ),
    Mutant(
        "minimum_not_prorated",
        f"{RATING}/rated_charges.sql",
        "when is_shared then exact_share(exact(minimum_amount), part_us, whole_us)",
        "when false then exact_share(exact(minimum_amount), part_us, whole_us)",
        WORLDS,
    ),
    Mutant(
        "usage_currency_of_the_customer",
        f"{RATING}/billable_quantities.sql",
        "coalesce(prices.currency, due.customer_currency) as currency",
        "terms.customer_currency as currency",
        WORLDS,
    ),
    # --- rounding ---
    Mutant(
        "half_even",
        ARITHMETIC,
        "(v.units + sign(v.units) * (v.place // 2)) // v.place\n",
        "case when abs(v.units) % (2 * v.place) = v.place // 2 then 0"
        " else (v.units + sign(v.units) * (v.place // 2)) // v.place end\n",
        WORLDS,
    ),
    Mutant(
        "rounding_before_proration",
        f"{RATING}/rated_charges.sql",
        "then exact_share(model_amount, part_us, whole_us)",
        "then exact_share(exact(rounded_to_minor(model_amount.units, 2)), part_us, whole_us)",
        WORLDS,
    ),
    Mutant(
        "a_float_in_between",
        f"{RATING}/rated_charges.sql",
        "rounded_to_minor(amount_units, currencies.exponent) as amount",
        "round(exact_decimal(amount_units)::double, currencies.exponent)::decimal(38, 4) as amount",
        WORLDS,
    ),
    Mutant(
        "every_currency_has_cents",
        f"{RATING}/rated_charges.sql",
        "rounded_to_minor(amount_units, currencies.exponent) as amount",
        "rounded_to_minor(amount_units, 2) as amount",
        WORLDS,
    ),
    Mutant(
        "rest_of_an_included_share_is_dropped",
        ARITHMETIC,
        "when s.y.num = 0 and s.x.units >= s.y.units",
        "when s.x.units >= s.y.units",
        WORLDS,
    ),
    Mutant(
        "low_digits_of_a_product_are_dropped",
        ARITHMETIC,
        "'units': v.cut.quotient * v.pico + low.quotient,",
        "'units': v.cut.quotient * v.pico,",
        WORLDS,
    ),
    Mutant(
        "rest_of_an_average_is_dropped",
        ARITHMETIC,
        "'units': product.units + rest.units,",
        "'units': product.units,",
        EDGES,
    ),
    # --- invoices ---
    Mutant(
        "subscription_minimum_not_prorated",
        f"{INVOICING}/subscription_minimums.sql",
        "exact_share(exact(minimum_amount), part_us, billing_period_us)",
        "exact_share(exact(minimum_amount), billing_period_us, billing_period_us)",
        WORLDS,
    ),
    Mutant(
        "discounts_before_rounding",
        f"{INVOICING}/coupon_lines.sql",
        "lines as (select * from {{ ref('subscription_lines') }}),",
        "lines as (\n"
        "    select part.* replace (coalesce(charges.exact_amount, part.amount) as amount)\n"
        "    from {{ ref('subscription_lines') }} as part\n"
        "    left join {{ ref('charges') }} as charges on part.charge_id = charges.charge_id\n"
        "),",
        WORLDS,
    ),
    Mutant(
        "coupon_months_from_the_trial",
        f"{INVOICING}/coupon_months.sql",
        "greatest(terms.starts_at, coalesce(terms.trial_ends_at, terms.starts_at))",
        "terms.starts_at",
        INVOICE_EDGES,
    ),
    Mutant(
        "discount_above_the_lines",
        f"{INVOICING}/line_discounts.sql",
        "least(minor_off, greatest(covered_sum, 0))",
        "minor_off",
        INVOICE_EDGES,
    ),
    Mutant(
        "unused_time_given_back_at_full_price",
        f"{INVOICING}/coupon_lines.sql",
        "then months_run.is_of_sale and {{ coupon_counts('months_run.sold_month') }}",
        "then false",
        INVOICE_EDGES,
    ),
    Mutant(
        "unused_time_less_by_the_coupon_of_now",
        f"{INVOICING}/coupon_lines.sql",
        "then months_run.is_of_sale and {{ coupon_counts('months_run.sold_month') }}",
        "then months_run.is_of_run and {{ coupon_counts('run.billing_month') }}",
        INVOICE_EDGES,
    ),
    Mutant(
        "coupon_months_from_the_periods_start",
        f"{INVOICING}/coupon_months.sql",
        "case versions.billing_cycle\n            when '30_days'",
        "case versions.billing_cycle\n            when 'never'",
        INVOICE_EDGES,
    ),
    Mutant(
        "tax_before_the_discount",
        f"{INVOICING}/taxes.sql",
        "sum(lines.amount - lines.discount_share) as tax_base",
        "sum(lines.amount) as tax_base",
        WORLDS,
    ),
    Mutant(
        "inclusive_tax_on_top",
        f"{INVOICING}/invoice_tax_rates.sql",
        "exact_pico(whole) as whole_pico",
        "exact_pico(100) as whole_pico",
        WORLDS,
    ),
    Mutant(
        "tax_of_the_month_begin",
        f"{INVOICING}/invoice_tax_rates.sql",
        "coalesce(rates.valid_from < run.month_end, true)",
        "coalesce(rates.valid_from <= run.month_start, true)",
        WORLDS,
    ),
    Mutant(
        "exempt_customers_are_taxed",
        f"{INVOICING}/invoice_tax_rates.sql",
        "where not tax_exempt",
        "where true",
        WORLDS,
    ),
    Mutant(
        "a_later_coupon_finds_the_whole_line",
        f"{INVOICING}/line_discounts.sql",
        "case when lines.is_covered then spread.minor_left - spread.minor_share else 0 end",
        "case when lines.is_covered then lines.minor_amount else 0 end",
        TAXES_AND_COUPONS,
    ),
    Mutant(
        "a_coupon_of_some_prices_counts_for_all",
        f"{INVOICING}/coupon_lines.sql",
        "counts and has_currency and has_price as is_covered",
        "counts and has_currency as is_covered",
        TAXES_AND_COUPONS,
    ),
    Mutant(
        "what_is_missing_goes_to_the_smallest_remainders",
        "dbt_project/macros/coupons.sql",
        "order by {{ remainder }} desc, line_id",
        "order by {{ remainder }}, line_id",
        TAXES_AND_COUPONS,
    ),
    Mutant(
        "tax_of_every_region",
        f"{INVOICING}/invoice_tax_rates.sql",
        "and (rates.region is null or upper(rates.region) = upper(billed.region))",
        "",
        TAXES_AND_COUPONS,
    ),
    Mutant(
        "a_code_displaces_the_rates_of_every_region",
        f"{INVOICING}/invoice_tax_rates.sql",
        "partition by candidates.invoice_id, codes.tax_code, candidates.region",
        "partition by candidates.invoice_id, codes.tax_code",
        TAXES_AND_COUPONS,
    ),
    Mutant(
        "a_customer_moves_a_microsecond_early",
        "dbt_project/models/staging/accounts/stg_accounts__customers.sql",
        "'customers.valid_from', 'run.month_end'",
        "'customers.valid_from', 'run.month_end + to_microseconds(1)'",
        TAXES_AND_COUPONS,
    ),
    Mutant(
        "an_adjustment_of_the_next_month",
        f"{INVOICING}/adjustment_lines.sql",
        "adjustments.occurred_at < run.month_end",
        "adjustments.occurred_at <= run.month_end",
        ADJUSTMENTS_AND_PAYERS,
    ),
    Mutant(
        "credit_is_due",
        f"{INVOICING}/invoices.sql",
        "greatest(paid.total - paid.wallet_applied, 0)",
        "paid.total - paid.wallet_applied",
        ADJUSTMENTS_AND_PAYERS,
    ),
    Mutant(
        "who_does_not_pay_pays_through_another",
        f"{INVOICING}/paying_customers.sql",
        "where customers.is_payer",
        "",
        ADJUSTMENTS_AND_PAYERS,
    ),
    Mutant(
        "lines_for_a_payer_who_is_none",
        f"{INVOICING}/paying_customers.sql",
        "on customers.payer_id = payers.customer_id and payers.is_payer",
        "on customers.payer_id = payers.customer_id",
        ADJUSTMENTS_AND_PAYERS,
    ),
    Mutant(
        "a_commitment_counts_before_the_discount",
        f"{INVOICING}/commitment_sums.sql",
        "amount - discount_share as month_amount",
        "amount as month_amount",
        COMMITMENTS,
    ),
    Mutant(
        "a_commitment_counts_beyond_its_term",
        f"{INVOICING}/commitment_sums.sql",
        "        and lines.period_end <= commitments.ends_at",
        "",
        COMMITMENTS,
    ),
    Mutant(
        "a_commitment_that_ends_with_the_month_is_never_filled",
        f"{INVOICING}/commitment_lines.sql",
        "and ends_at <= month_end",
        "and ends_at < month_end",
        COMMITMENTS,
    ),
    Mutant(
        "overage_of_all_months_each_month",
        f"{INVOICING}/commitment_lines.sql",
        "- greatest(sums.spent_before - sums.amount, 0) as beyond",
        "as beyond",
        COMMITMENTS,
    ),
    Mutant(
        "what_is_prepaid_pays_for_itself",
        f"{INVOICING}/invoices.sql",
        "totals.total - totals.committed_amount",
        "totals.total",
        WALLET_LOTS,
    ),
    Mutant(
        "what_is_prepaid_has_paid_its_own_line",
        "dbt_project/macros/wallet_replay.sql",
        "when is_prepaid and prepaid_limit is not null then",
        "when false then",
        WALLET_LOTS,
    ),
    Mutant(
        "what_is_prepaid_is_taxed_twice",
        f"{INVOICING}/commitment_lines.sql",
        "        false as is_taxed",
        "        true as is_taxed",
        COMMITMENTS,
    ),
    Mutant(
        "what_is_prepaid_waits_its_turn",
        f"{INVOICING}/wallet_deposits.sql",
        "came_at, 0 as priority",
        "came_at, 100 as priority",
        WALLET_LOTS,
    ),
    Mutant(
        "what_an_earlier_release_gave_is_given_again",
        f"{INVOICING}/wallet_credits.sql",
        "-totals.total - coalesce(billed.given_otherwise, 0) as amount",
        "-totals.total as amount",
        WALLET_LOTS,
    ),
    Mutant(
        "what_an_earlier_month_put_in_is_forgotten",
        f"{INVOICING}/wallet_credits.sql",
        "applications.amount < 0 and applications.billing_month <> run.billing_month",
        "false",
        WALLET_LOTS,
    ),
    Mutant(
        "a_coupon_that_was_dropped_is_paid_back",
        f"{INVOICING}/coupon_lines.sql",
        "then months_run.is_of_sale and",
        "then months_run.is_of_run and",
        VERSIONS,
    ),
    Mutant(
        "wallet_goes_below_zero",
        f"{INVOICING}/invoices.sql",
        "        greatest(least(\n            totals.total,",
        "        greatest(coalesce(\n            totals.total,",
        WORLDS,
    ),
    Mutant(
        "what_a_later_month_took_is_spent_again",
        f"{INVOICING}/wallet_turns.sql",
        "run.billing_month <= applications.billing_month",
        "false",
        INVOICE_EDGES,
    ),
    Mutant(
        "later_top_ups_pay_too",
        f"{INVOICING}/wallet_balances.sql",
        "and lots.came_at < run.month_end",
        "and lots.came_at <= run.month_end",
        WALLET_LOTS,
    ),
    Mutant(
        "lots_pay_by_age_alone",
        "dbt_project/macros/wallet_replay.sql",
        "priority, coalesce(expires_at, 'infinity'::timestamptz), came_at, lot_id nulls last",
        "came_at, lot_id nulls last",
        WALLET_LOTS,
    ),
    Mutant(
        "a_lot_that_never_expires_pays_first",
        "dbt_project/macros/wallet_replay.sql",
        "coalesce(expires_at, 'infinity'::timestamptz)",
        "coalesce(expires_at, '-infinity'::timestamptz)",
        WALLET_LOTS,
    ),
    Mutant(
        "what_has_expired_pays",
        f"{INVOICING}/wallet_balances.sql",
        "where events.happens_at < turns.happens_at or turns.turn >= 2",
        "where events.happens_at < turns.happens_at and events.moves <> 'expire'"
        " or turns.turn >= 2",
        WALLET_LOTS,
    ),
    Mutant(
        "what_expires_at_a_months_end_pays_nothing",
        f"{INVOICING}/wallet_balances.sql",
        "and coalesce(lots.expires_at >= run.month_end, true)",
        "and coalesce(lots.expires_at > run.month_end, true)",
        WALLET_LOTS,
    ),
    Mutant(
        "a_refund_ignores_the_lot_that_it_names",
        "dbt_project/macros/wallet_replay.sql",
        "lots.lot_id = takings.lot_id,",
        "false and lots.lot_id = takings.lot_id,",
        WALLET_LOTS,
    ),
    Mutant(
        "a_late_supplement_takes_what_expired_before_it",
        f"{INVOICING}/wallet_events.sql",
        "{{ invoice_turn('applications') }} as turn,",
        "0 as turn,",
        WALLET_LOTS,
    ),
    Mutant(
        "an_invoice_is_before_the_payment_that_it_follows",
        f"{INVOICING}/wallet_events.sql",
        "coalesce(applications.after_payment_at, later.month_end) as happens_at,",
        "later.month_end as happens_at,",
        WALLET_LOTS,
    ),
    Mutant(
        "a_late_invoice_takes_what_was_paid_to_an_open_one",
        f"{INVOICING}/wallet_turns.sql",
        "case when paid.last_at >= months.month_end then paid.last_at end as after_payment_at,",
        "null::timestamptz as after_payment_at,",
        WALLET_LOTS,
    ),
    Mutant(
        "what_is_prepaid_pays_an_open_commitment",
        f"{INVOICING}/wallet_events.sql",
        "case when spares_prepaid then 0 end as prepaid_limit,",
        "null as prepaid_limit,",
        WALLET_LOTS,
    ),
    Mutant(
        "what_paid_an_open_invoice_is_not_used",
        f"{INVOICING}/wallet_lots.sql",
        "changes.kind in ('invoice', 'payment')",
        "changes.kind in ('invoice')",
        WALLET_LOTS,
    ),
    # --- plans that are based on others, tiers of versions ---
    Mutant(
        "a_replaced_price_never_comes_back",
        INHERITANCE,
        "    if start < end:\n        yield start, end",
        "    if start < end and not holes:\n        yield start, end",
        BASED_ON,
    ),
    Mutant(
        "a_replaced_price_counts_beside_its_replacement",
        INHERITANCE,
        "_without(price.span, holes.get(price.price_id, ()))",
        "_without(price.span, ())",
        BASED_ON,
    ),
    Mutant(
        "what_an_inherited_plan_inherits_is_forgotten",
        INHERITANCE,
        "            inherited = found[plan_id]\n",
        "            inherited = own[plan_id]\n",
        BASED_ON,
    ),
    Mutant(
        "a_replaced_limit_stays",
        INHERITANCE,
        "if name not in replaced}",
        "if name in features}",
        BASED_ON,
    ),
    Mutant(
        "the_same_price_of_two_plans_is_one_charge",
        f"{RATING}/billable_quantities.sql",
        " || coalesce(chr(10) || prices.inherited_by, '')",
        "",
        BASED_ON,
    ),
    Mutant(
        "the_cycle_is_not_inherited",
        INHERITANCE,
        "for plan_id in lines[str(plan)]",
        "for plan_id in lines[str(plan)][:1]",
        BASED_ON,
    ),
    Mutant(
        "tiers_of_a_version_count_for_all",
        f"{RATING}/tier_parts.sql",
        "        and quantities.tiers_from is not distinct from tiers.valid_from\n",
        "",
        UNIT_TESTS,
    ),
)
