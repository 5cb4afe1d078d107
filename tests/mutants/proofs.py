"""Wrong changes to the invoice that proves itself: a calculator that computes otherwise than the
documents say, and a page that obeys its data."""

from __future__ import annotations

from tests.mutants.engine import Mutant

CALCULATOR = "billing_pipeline/proof/calculator.js"
PAGE = "tests/unit/proof/test_page.py"
DOCUMENTED = "tests/dbt/test_documented_examples.py::test_every_example_proves_itself"

MUTANTS = (
    Mutant(
        "proof_tiers_end_before_their_bound",
        CALCULATOR,
        "    const endsHere = upTo === null || !less(upTo, billable);",
        "    const endsHere = upTo === null || less(billable, upTo);",
        DOCUMENTED,
    ),
    Mutant(
        "proof_half_is_rounded_down",
        CALCULATOR,
        "  const units = (2n * positive * scale + x.d) / (2n * x.d);",
        "  const units = (2n * positive * scale + x.d - 1n) / (2n * x.d);",
        DOCUMENTED,
    ),
    Mutant(
        "proof_what_is_not_computed_agrees",
        CALCULATOR,
        "    const agrees = computed === null ? null : same(number(billed), computed);",
        "    const agrees = true;",
        PAGE,
    ),
    Mutant(
        "proof_a_digest_is_believed",
        "billing_pipeline/proof/page.js",
        "    && proof.sent.every((one) => sha256(one.content).slice(0, 32) === one.digest);",
        "    && true;",
        PAGE,
    ),
    Mutant(
        "proof_data_may_end_its_element",
        "billing_pipeline/proof/page.py",
        '    for char in "<>&":',
        '    for char in "&":',
        PAGE,
    ),
    Mutant(
        "proof_any_script_runs",
        "billing_pipeline/proof/page.py",
        "            f\"script-src '{_digest(script)}'\",",
        "            \"script-src 'unsafe-inline'\",",
        PAGE,
    ),
    Mutant(
        "proof_events_are_always_put_in",
        "billing_pipeline/proof/document.py",
        '    if sum(charge["event_count"] or 0 for charge in charges) <= max_events:',
        "    if True:",
        "tests/dbt/test_documented_examples.py"
        "::test_of_very_many_events_those_of_one_line_are_in_a_proof",
    ),
    Mutant(
        "canary_an_unexpected_invoice_passes",
        "billing_pipeline/rating/canary.py",
        "        computed = found.pop(key, {})\n",
        "        computed = found.get(key, {})\n        found = {}\n",
        "tests/unit/rating/test_canary.py",
    ),
    Mutant(
        "canary_deviates_and_the_month_stays_checked",
        "billing_pipeline/defs/canary.py",
        "            set_checked(settings, month, False)",
        "            pass",
        "tests/end_to_end/test_canary.py",
    ),
    Mutant(
        "canary_is_rated_with_the_months_own_accounts",
        "billing_pipeline/rating/canary.py",
        "rate_month(canary_settings(scratch), expected.month)",
        "rate_month(scratch, expected.month)",
        "tests/unit/rating/test_canary.py",
    ),
    Mutant(
        "canary_is_not_looked_at_by_check",
        "billing_pipeline/commands/check.py",
        "    of_canary = canary_problems(settings)",
        "    of_canary = ()",
        "tests/unit/rating/test_canary.py",
    ),
    Mutant(
        "verify_any_row_is_the_counterpart",
        "billing_pipeline/published/verification.py",
        "sum(row[key] == other[key] for key in row)",
        "0",
        "tests/unit/published/test_verification.py",
    ),
    Mutant(
        "verify_a_repeated_row_counts_once",
        "billing_pipeline/published/verification.py",
        "SELECT count(*), sha256(coalesce(string_agg(digest, '' ORDER BY digest), ''))",
        "SELECT count(*), sha256(coalesce(string_agg(DISTINCT digest, '' ORDER BY digest), ''))",
        "tests/unit/published/test_verification.py",
    ),
    Mutant(
        "known_all_rows_are_kept_again",
        "billing_pipeline/published/as_known.py",
        "    FROM present ANTI JOIN standing USING (table_name, row_id)",
        "    FROM present",
        "tests/unit/published/test_as_known.py",
    ),
    Mutant(
        "known_what_is_gone_stands",
        "billing_pipeline/published/as_known.py",
        "HAVING NOT arg_max(is_gone, version)",
        "HAVING true",
        "tests/unit/published/test_as_known.py",
    ),
)
