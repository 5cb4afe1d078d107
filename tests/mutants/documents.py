"""Mutants of documents as issued, of electronic invoices, of the journal and of FOCUS."""

from __future__ import annotations

from tests.mutants.engine import Mutant

DOCUMENTS = "billing_pipeline/documents"
REPORTS = "dbt_project/models/reports"
ISSUED = "tests/unit/documents/test_issued.py"
ELECTRONIC = "tests/unit/documents/test_electronic.py"
PUBLISHED = "tests/unit/published/test_documents.py"
BOOKS = f"{REPORTS}/accounting"
ACCOUNTING = "tests/unit/published/test_accounting.py"
FOCUS = "tests/unit/published/test_focus.py"

MUTANTS = (
    Mutant(
        "a_supplement_bills_all_of_its_version",
        f"{REPORTS}/issued_documents.sql",
        "then earlier_version",
        "then 0",
        PUBLISHED,
    ),
    Mutant(
        "numbers_in_names_are_sorted_as_text",
        f"{DOCUMENTS}/issued.py",
        "(0, int(part)) if part.isdecimal() else (1, part)",
        "(1, part)",
        ISSUED,
    ),
    Mutant(
        "a_rest_is_lost_when_a_credit_is_spread",
        f"{DOCUMENTS}/tax_groups.py",
        "        parts[index] += 1\n",
        "        pass\n",
        ISSUED,
    ),
    Mutant(
        "reverse_charge_without_a_tax_id",
        f"{DOCUMENTS}/tax_groups.py",
        'and buyer.get("tax_id") and seller.get("tax_id")',
        "",
        ISSUED,
    ),
    Mutant(
        "a_price_below_zero",
        f"{DOCUMENTS}/electronic.py",
        "return (-base if net < 0 else base), abs(net), base",
        "return base, net, base",
        ELECTRONIC,
    ),
    Mutant(
        "a_vat_number_outside_the_scope_of_vat",
        f"{DOCUMENTS}/electronic_party.py",
        'vat_id = "" if is_outside else own_vat_id',
        "vat_id = own_vat_id",
        ELECTRONIC,
    ),
    Mutant(
        "three_places_are_cut_to_two",
        f"{DOCUMENTS}/electronic.py",
        "if any(value != value.quantize(CENT) for value in amounts):",
        "if False:",
        ELECTRONIC,
    ),
    Mutant(
        "two_sums_of_one_percentage",
        f"{DOCUMENTS}/electronic.py",
        "key = (tax.category, tax.percentage)",
        "key = (tax.category, tax.net)",
        ELECTRONIC,
    ),
    Mutant(
        "factur_x_of_what_its_rules_cannot_add_up",
        f"{DOCUMENTS}/cii.py",
        "    _require_sum(invoice)\n",
        "",
        ELECTRONIC,
    ),
    Mutant(
        "each_part_of_a_line_is_cut_off_by_itself",
        f"{BOOKS}/posted_parts.sql",
        "minor_units * days_through // days - minor_units * days_before // days",
        "minor_units * (days_through - days_before) // days",
        ACCOUNTING,
    ),
    Mutant(
        "what_was_earned_before_the_invoice_is_deferred",
        f"{BOOKS}/posted_parts.sql",
        "recognized_month < issued_month as is_unbilled",
        "false as is_unbilled",
        ACCOUNTING,
    ),
    Mutant(
        "discounts_are_revenue",
        f"{BOOKS}/itemized_lines.sql",
        "case when lines.kind = 'tax' then 0 else lines.discount_share end",
        "0",
        ACCOUNTING,
    ),
    Mutant(
        "void_documents_are_owed",
        f"{BOOKS}/posted_documents.sql",
        "known.status <> 'void'",
        "true",
        ACCOUNTING,
    ),
    Mutant(
        "a_credit_gives_the_wallet_nothing_back",
        f"{BOOKS}/settlement_postings.sql",
        "then invoices.by_wallet - invoices.wallet_applied else 0",
        "then 0 else 0",
        ACCOUNTING,
    ),
    Mutant(
        "a_credit_by_hand_has_no_tax",
        f"{BOOKS}/unitemized_taxes.sql",
        "where percentage > 0",
        "where percentage > 100",
        ACCOUNTING,
    ),
    Mutant(
        "focus_restates_a_month",
        f"{REPORTS}/focus_lines.sql",
        "    where status <> 'void'\n",
        "    where status = 'void'\n",
        FOCUS,
    ),
)
