"""An invoice of the sample proves itself in a browser; those of the examples do in
tests/end_to_end/test_examples.py, where these are closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the browser tests need playwright")

from billing_pipeline.money import stripe_places
from billing_pipeline.months import BillingMonth
from billing_pipeline.proof.page import page
from billing_pipeline.settings import Settings
from tests.browser.dagster_ui import ROOT, chromium
from tests.browser.proof_page import seen_offline
from tests.compiled_models import rate_month
from tests.proofs import proofs_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        chromium() is None, reason="no Chromium on this machine: apt-get install chromium"
    ),
]


def test_an_invoice_of_the_sample_proves_itself_offline(tmp_path: Path) -> None:
    settings = Settings.from_env({"BILLING_DATA_DIR": str(ROOT / "data")})
    warehouse = rate_month(replace(settings, home=tmp_path), BillingMonth(2024, 2))
    proof = max(proofs_of(warehouse), key=lambda one: (len(one["taxes"]), len(one["lines"])))
    places = stripe_places(proof["invoice"]["currency"])
    about = {"customer": "Somebody", "seller": None, "stripe_places": places, "sent": []}
    file = tmp_path / "proof.html"
    file.write_text(page({**proof, **about}), encoding="utf-8")
    seen = seen_offline(file)
    assert seen.verdict.startswith("All "), seen
    billed = {line["charge_id"] for line in proof["lines"]}
    idle = [one for one in proof["charges"] if one["charge_id"] not in billed]
    assert seen.lines == ["agrees"] * (len(proof["lines"]) + len(idle))
    assert len(proof["taxes"]) == 2 and set(seen.sums) == {"agrees"}
    assert (seen.asked, seen.errors) == ([file.as_uri()], [])
