"""Mutants of documents as issued and of electronic invoices."""

from __future__ import annotations

from tests.mutants.engine import Mutant

DOCUMENTS = "billing_pipeline/documents"
REPORTS = "dbt_project/models/reports"
ISSUED = "tests/unit/documents/test_issued.py"
ELECTRONIC = "tests/unit/documents/test_electronic.py"
PUBLISHED = "tests/unit/published/test_documents.py"

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
        f"{DOCUMENTS}/electronic.py",
        'vat_id = tax_id if is_vat and not is_outside else ""',
        'vat_id = tax_id if is_vat else ""',
        ELECTRONIC,
    ),
    Mutant(
        "three_places_are_cut_to_two",
        f"{DOCUMENTS}/electronic.py",
        "if any(value != value.quantize(_CENT) for value in amounts):",
        "if False:",
        ELECTRONIC,
    ),
)
