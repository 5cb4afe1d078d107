"""Mutants of the finer rules of meters, prices, plans and accounts.

What belongs here: mistakes that a person could make and overlook in counters, groups and buckets,
event amounts, filters, versions, intervals, coupons, payers, commitments and wallets. What does
not: the first mutants of each of these rules (sql.py), costs (margins.py).
"""

from __future__ import annotations

from tests.mutants.engine import Mutant
from tests.mutants.margins import MARGINS
from tests.mutants.sql import (
    ARITHMETIC,
    FILTERS,
    INHERITANCE,
    INTERVALS,
    INVOICING,
    METERING,
    METERS,
    PRICE_TERMS,
    RATING,
    UNIT_TESTS,
    VERSIONS,
)

PERIODS = "billing_pipeline/intake/price_periods.py"
COMBINATIONS = "tests/dbt/test_combinations.py"
FINDINGS = "billing_pipeline/commands/findings.py"
FINDING_TESTS = "tests/unit/commands/test_findings.py"
CUSTOMERS = "dbt_project/models/staging/accounts/stg_accounts__customers.sql"
REPLAY = "dbt_project/macros/wallet_replay.sql"

MUTANTS = (
    # --- meters ---
    Mutant(
        "a_counter_is_read_by_file_and_not_by_time",
        f"{METERING}/counter_increases.sql",
        "order by readings.occurred_at, readings.source_file, readings.source_row",
        "order by readings.source_file, readings.source_row",
        COMBINATIONS,
    ),
    Mutant(
        "a_counter_goes_on_from_its_oldest_reading",
        f"{METERING}/counter_increases.sql",
        "max_by(value, (occurred_at, source_file, source_row)) as value",
        "min_by(value, (occurred_at, source_file, source_row)) as value",
        COMBINATIONS,
    ),
    Mutant(
        "a_reading_that_is_no_number_interrupts_a_counter",
        f"{METERING}/counter_increases.sql",
        "readings.group_values, readings.value is null",
        "readings.group_values",
        COMBINATIONS,
    ),
    Mutant(
        "an_average_mixes_the_readings_of_groups",
        f"{METERING}/gauge_integrals.sql",
        "partition by points.window_id, points.group_values",
        "partition by points.window_id",
        METERS,
    ),
    Mutant(
        "a_bucket_of_a_day_begins_in_utc",
        ARITHMETIC,
        "when 'day' then wall - wall % 86400000000",
        "when 'day' then us - us % 86400000000",
        METERS,
    ),
    Mutant(
        "a_correction_is_rounded_up_like_an_event",
        "dbt_project/macros/usage_readings.sql",
        "{% if is_correction -%}\n        number",
        "{% if false -%}\n        number",
        COMBINATIONS,
    ),
    Mutant(
        "the_greatest_value_of_a_bucket_forgets_the_one_before",
        f"{METERING}/split_windows.sql",
        "when 'max' then greatest(value_max, opening)",
        "when 'max' then value_max",
        COMBINATIONS,
    ),
    Mutant(
        "windows_of_one_start_have_the_same_buckets",
        f"{METERING}/carried_buckets.sql",
        "        and windows.window_end = buckets.window_end\n",
        "",
        "tests/dbt/test_meters.py",
    ),
    Mutant(
        "every_other_half_hour_has_a_bucket",
        f"{METERING}/carried_buckets.sql",
        "(first_us + step * 1800000000)::bigint",
        "(first_us + step * 3600000000)::bigint",
        COMBINATIONS,
    ),
    Mutant(
        "a_maximum_is_that_of_a_whole_period",
        f"{RATING}/rated_charges.sql",
        "when is_shared then exact_share(exact(maximum_amount), part_us, whole_us)",
        "when false then exact_share(exact(maximum_amount), part_us, whole_us)",
        COMBINATIONS,
    ),
    # --- prices ---
    Mutant(
        "the_most_seats_of_a_period_are_included",
        f"{RATING}/included_seats.sql",
        "sum(exact_whole(versions.quantity) * held.us) as whole_us",
        "max(exact_whole(versions.quantity) * held.us) as whole_us",
        COMBINATIONS,
    ),
    Mutant(
        "an_event_below_the_minimum_comes_to_the_maximum",
        f"{RATING}/charges_percentage.sql",
        "exact(minimum_count::decimal(38, 0)), coalesce(event_minimum_amount, 0)",
        "exact(minimum_count::decimal(38, 0)), coalesce(event_maximum_amount, 0)",
        PRICE_TERMS,
    ),
    Mutant(
        "what_corrections_take_back_is_charged",
        f"{RATING}/charges_percentage.sql",
        "events.percentage_quantity < 0 as is_taken_back",
        "false as is_taken_back",
        PRICE_TERMS,
    ),
    Mutant(
        "a_filter_claims_whatever_has_its_properties",
        FILTERS,
        "        and facts.texts = filters.texts\n        and (filters.valid_from",
        "        and (filters.valid_from",
        COMBINATIONS,
    ),
    Mutant(
        "bounds_claim_every_number",
        FILTERS,
        "where {{ within_bounds('facts.properties', 'filters.bounds') }}",
        "where true",
        COMBINATIONS,
    ),
    Mutant(
        "prices_of_the_future_claim_what_is_left",
        FILTERS,
        "and (filters.valid_from is null or facts.occurred_at >= filters.valid_from)",
        "",
        COMBINATIONS,
    ),
    Mutant(
        "rests_with_a_filter_claim_too",
        f"{METERING}/plan_filters.sql",
        "where prices.filter <> '' and not prices.filter_rest",
        "where prices.filter <> ''",
        COMBINATIONS,
    ),
    Mutant(
        "a_replaced_price_comes_back_between_replacements_in_any_order",
        INHERITANCE,
        "for hole_start, hole_end in sorted(holes):",
        "for hole_start, hole_end in holes:",
        COMBINATIONS,
    ),
    # --- usage that nothing, or more than one subscription, charges ---
    Mutant(
        "usage_is_filtered_out_by_a_subscription_that_it_does_not_name",
        f"{METERING}/unpriced_events.sql",
        "        and coalesce(readings.subscription_id = times.subscription_id, true)\n",
        "",
        UNIT_TESTS,
    ),
    Mutant(
        "usage_that_names_a_subscription_that_is_over_has_one",
        f"{METERING}/unpriced_events.sql",
        "        and coalesce(unpriced.subscription_id = plans.subscription_id, true)\n",
        "",
        UNIT_TESTS,
    ),
    Mutant(
        "a_filter_that_does_not_match_is_no_price",
        f"{METERING}/unpriced_events.sql",
        "when row_id in (select row_id from filtered_out) then 'no_matching_filter'",
        "when row_id in (select row_id from subscribed) then 'no_price'",
        UNIT_TESTS,
    ),
    Mutant(
        "a_subscription_that_has_ended_hides_one_that_goes_on",
        f"{METERING}/usage_charged_twice.sql",
        "            max(ends_at) over (",
        "            min(ends_at) over (",
        UNIT_TESTS,
    ),
    Mutant(
        "two_prices_of_a_subscription_charge_twice",
        f"{METERING}/usage_charged_twice.sql",
        "having min(charged_by) < max(charged_by)",
        "having count(*) > 1",
        UNIT_TESTS,
    ),
    Mutant(
        "subscriptions_with_different_filters_charge_the_same",
        FINDINGS,
        "WHERE charging > 1 AND without_filter > 0",
        "WHERE charging > 1",
        FINDING_TESTS,
    ),
    Mutant(
        "numbers_between_bounds_are_charged",
        FINDINGS,
        "AND (has_next IS NULL OR next_above > reached)",
        "AND has_next IS NULL",
        FINDING_TESTS,
    ),
    Mutant(
        "what_another_meter_charges_is_uncharged",
        FINDINGS,
        "HAVING count(DISTINCT meter_id) = 1\n        AND bool_and(",
        "HAVING bool_and(",
        FINDING_TESTS,
    ),
    # --- versions and periods ---
    Mutant(
        "seats_that_change_with_the_next_month_change_in_this_one",
        f"{RATING}/fee_parts.sql",
        "else fee_ends_at < settled_until",
        "else fee_ends_at <= settled_until",
        COMBINATIONS,
    ),
    Mutant(
        "periods_that_begin_together_are_one",
        f"{INVOICING}/subscription_lines.sql",
        "        and minimums.billing_period_us = charged.billing_period_us\n",
        "",
        VERSIONS,
    ),
    Mutant(
        "a_fee_in_advance_is_cut_by_a_new_price",
        f"{RATING}/due_fees.sql",
        "case when fee.timing = 'advance' then prices.price_interval end is not null",
        "false",
        COMBINATIONS,
    ),
    Mutant(
        "an_anniversary_is_the_months_last_day",
        PERIODS,
        "day = date(year, month + 1, min(local.day, last))",
        "day = date(year, month + 1, last)",
        COMBINATIONS,
    ),
    Mutant(
        "a_week_begins_on_sunday",
        PERIODS,
        "date.fromordinal(7 * number + 1)",
        "date.fromordinal(7 * number + 7)",
        INTERVALS,
    ),
    # --- coupons and taxes ---
    Mutant(
        "coupons_count_in_the_order_of_their_ids",
        f"{INVOICING}/coupon_lines.sql",
        "months_run.place nulls last, months_run.sold_place nulls last, months_run.coupon_id",
        "months_run.coupon_id",
        COMBINATIONS,
    ),
    Mutant(
        "a_coupon_counts_a_month_too_long",
        "dbt_project/macros/coupons.sql",
        "between 0 and coupons.duration_in_months - 1",
        "between 0 and coupons.duration_in_months",
        COMBINATIONS,
    ),
    Mutant(
        "a_share_of_what_is_given_back_is_cut_off_towards_zero",
        f"{INVOICING}/line_discounts.sql",
        "part.quotient - is_below::integer as whole",
        "part.quotient as whole",
        UNIT_TESTS,
    ),
    Mutant(
        "half_a_minor_unit_is_no_discount",
        ARITHMETIC,
        "case when v.remainder >= 50000000000000 then 1 else 0 end",
        "case when v.remainder > 50000000000000 then 1 else 0 end",
        UNIT_TESTS,
    ),
    Mutant(
        "a_long_product_forgets_its_first_digits",
        ARITHMETIC,
        "divided(v.known.remainder * 1000000000000::hugeint + v.a * v.piece, v.c)",
        "divided(v.a * v.piece, v.c)",
        UNIT_TESTS,
    ),
    # --- accounts ---
    Mutant(
        "a_payer_of_the_next_month_pays_for_this_one",
        CUSTOMERS,
        "coalesce(valid.bill_to, valid.customer_id) as payer_id",
        "coalesce(newest.bill_to, newest.customer_id) as payer_id",
        COMBINATIONS,
    ),
    Mutant(
        "an_exemption_of_the_next_month_counts_in_this_one",
        CUSTOMERS,
        "valid.tax_exempt",
        "newest.tax_exempt",
        COMBINATIONS,
    ),
    Mutant(
        "a_credit_is_charged",
        f"{INVOICING}/adjustment_lines.sql",
        "case when adjustments.amount < 0 then -1 else 1 end",
        "1",
        COMBINATIONS,
    ),
    Mutant(
        "a_commitment_forgets_who_is_billed_to_it",
        f"{INVOICING}/commitment_sums.sql",
        "(commitments.customer_id = lines.customer_id or commitments.customer_id = lines.payer_id)",
        "commitments.customer_id = lines.customer_id",
        COMBINATIONS,
    ),
    Mutant(
        "a_commitment_forgets_what_is_invoiced_after_its_term",
        f"{INVOICING}/commitment_sums.sql",
        "commitments.ends_at > run.month_start or counted.is_charged",
        "commitments.ends_at > run.month_start",
        "tests/dbt/test_commitments.py",
    ),
    Mutant(
        "what_is_given_back_has_its_coupons_by_their_ids",
        f"{INVOICING}/coupon_lines.sql",
        "months_run.sold_place nulls last, months_run.coupon_id",
        "months_run.coupon_id",
        UNIT_TESTS,
    ),
    Mutant(
        "an_hour_that_the_clock_begins_in_its_middle_counts_the_one_before",
        f"{METERING}/carried_buckets.sql",
        "local_bucket(bucket_zone, 'half_hour', epoch_us(window_start))",
        "local_bucket(bucket_zone, 'hour', epoch_us(window_start))",
        UNIT_TESTS,
    ),
    Mutant(
        "the_remainder_of_an_average_is_cut_off_before_its_share",
        f"{RATING}/rated_charges.sql",
        "share_units(model_amount, part_us, whole_us)",
        "share_units(exact(exact_decimal(model_amount.units)), part_us, whole_us)",
        "tests/dbt/test_meters.py",
    ),
    Mutant(
        "a_commitment_to_several_prices_counts_none",
        f"{INVOICING}/commitment_sums.sql",
        "list_contains(string_split(commitments.price_ids, ';'), lines.price_id)",
        "commitments.price_ids = lines.price_id",
        COMBINATIONS,
    ),
    Mutant(
        "what_is_owed_is_not_paid_back",
        REPLAY,
        "greatest(-lots.held - quiet_events.came_before, 0) as owed,",
        "greatest(-lots.held - quiet_events.came_before, 0) * 0 as owed,",
        COMBINATIONS,
    ),
    Mutant(
        "a_quarter_counts_as_the_month_with_which_it_begins",
        f"{INVOICING}/charged_periods.sql",
        "    and charges.whole_us = own.period_us\n",
        "",
        INTERVALS,
    ),
    Mutant(
        "usage_too_little_to_be_shown_costs_nothing",
        f"{RATING}/used_quantities.sql",
        " or exact_quantity.num > 0",
        "",
        MARGINS,
    ),
)
