"""The page of a proof: data is shown and never obeyed, nothing is loaded, and what differs is said.

What belongs here: the page and parts of the calculator, over proofs made by hand. What does not:
whole months through the calculator (tests/dbt/test_documented_examples.py).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.proof.document import events_digest
from billing_pipeline.proof.page import page
from tests.proofs import CALCULATOR, computed

EVENTS = [
    {"id": "e1", "at": "1711965600000000", "raw": "700"},
    {"id": "e2", "at": "1712000000000000", "raw": "500.5"},
]
TERMS = dict.fromkeys(
    (
        "unit_amount", "flat_amount", "package_size", "percentage", "included_quantity",
        "included_per", "quantity_rounding", "minimum_amount", "maximum_amount",
        "event_minimum_amount", "event_maximum_amount", "free_events",
    )
)  # fmt: skip
CONTENT = '["in_1","USD",1,[["li_1","charge","Calls",12005,1711929600,1714521600]]]'
PROOF: dict[str, Any] = {
    "format": 1,
    "places": 2,
    "stripe_places": 2,
    "customer": "Ada",
    "seller": None,
    "invoice": {
        "invoice_id": "in_1", "customer_id": "ada", "currency": "USD",
        "billing_month": "2024-04-01", "subtotal": "120.05", "discount": "12.01",
        "tax": "20.53", "tax_included": "0", "total": "128.57", "wallet_applied": "28.57",
        "amount_due": "100",
    },
    "lines": [
        {"line_id": "li_1", "kind": "charge", "charge_id": "ch_1", "description": "Calls",
         "amount": "120.05", "is_inclusive": False, "calculation": None},
        {"line_id": "li_2", "kind": "discount", "charge_id": None, "description": "Coupon",
         "amount": "-12.01", "is_inclusive": False, "calculation": "10 % of 120.05"},
        {"line_id": "li_3", "kind": "tax", "charge_id": None, "description": "VAT",
         "amount": "20.53", "is_inclusive": False, "calculation": "108.04 × 19 / 100"},
    ],
    "charges": [
        {
            "charge_id": "ch_1", "price_id": "calls", "plan_id": "pro", "subscription_id": "s1",
            "meter_id": "calls", "kind": "usage", "charge_model": "per_unit",
            "quantity": "1200.5", "billable_quantity": "1200.5", "exact_amount": "120.05",
            "amount": "120.05", "event_count": "2", "calculation": "2 events, metered 1200.5",
            "description": "Calls", "period_start": "1711929600000000",
            "period_end": "1714521600000000", "whole_us": "2592000000000", "prorate": False,
            "is_share_of_amount": False, "corrected": None, "carried": [], "buckets": [],
            "rule": {}, "terms": {**TERMS, "unit_amount": "0.1", "tiers": []},
            "meter": {"meter_id": "calls", "aggregation": "sum", "event_rounding": None},
            "events": EVENTS, "events_digest": events_digest(EVENTS),
        }
    ],
    "discounts": [
        {"lines": ["li_1"], "coupons": [
            {"percent_off": "10", "amount_off": None, "lines": ["li_1"], "line_id": "li_2"}]}
    ],
    "taxes": [
        {"tax_rate_id": "vat", "percentage": "19", "is_inclusive": False, "lines": ["li_1"],
         "line_id": "li_3"}
    ],
    "sent": [
        {"stripe_invoice_id": "in_stripe", "revision": 1, "content": CONTENT,
         "digest": hashlib.sha256(CONTENT.encode()).hexdigest()[:32]}
    ],
}  # fmt: skip
# A document that has just what page.js asks for; prints the text of the page.
_SHOW = r"""
const html = require("fs").readFileSync(0, "utf8");
const data = /<script type="application\/json" id="proof">(.*?)<\/script>/s.exec(html)[1];
const script = /<script>(.*)<\/script>/s.exec(html)[1];
class Element {
  constructor() { this.parts = []; }
  append(...parts) { this.parts.push(...parts); }
  replaceChildren(...parts) { this.parts = parts; }
  addEventListener() {}
  get text() { return this.parts.map((part) => part.text ?? part).join(" "); }
}
const main = new Element();
global.document = {
  createElement: () => new Element(),
  getElementById: (id) => (id === "proof" ? { textContent: data } : main),
};
new Function(script)();
console.log(main.text);
"""


def shown(proof: dict[str, Any]) -> str:
    """The text that a reader sees."""
    return node(_SHOW, page(proof))


def node(script: str, given: str = "") -> str:
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed: it runs what a browser would")
    done = subprocess.run(
        [program, "-e", script, str(CALCULATOR)],
        input=given, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_proof_that_agrees() -> None:
    (answer,) = computed([PROOF])
    assert answer["agrees"] and len(answer["findings"]) == 13
    text = shown(PROOF)
    assert "All 13 numbers that were computed here agree" in text
    assert "1 of the 1 lines that were sent stand above with the same amount" in text
    assert "1200.5 × 0.1 = 120.05" in text


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        (("charges", 0, "events", 0, "raw"), "701", "quantity"),
        (("charges", 0, "terms", "unit_amount"), "0.11", "exact amount"),
        (("lines", 0, "amount"), "120.06", "line"),
        (("lines", 1, "amount"), "-12.00", "discount"),
        (("lines", 2, "amount"), "20.52", "tax"),
        (("invoice", "total"), "128.58", "total"),
        (("invoice", "wallet_applied"), "28.56", "amount due"),
    ],
)
def test_what_differs_is_found(path: tuple[Any, ...], value: str, what: str) -> None:
    proof = deepcopy(PROOF)
    place: Any = proof
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    (answer,) = computed([proof])
    assert what in {one["what"] for one in answer["findings"] if one["agrees"] is False}
    assert "differ from those that were billed" in shown(proof)


def test_a_text_that_stripe_was_not_sent_has_another_digest() -> None:
    proof = deepcopy(PROOF)
    proof["sent"][0]["content"] = CONTENT.replace("12005", "12006")
    text = shown(proof)
    assert "A digest is another one." in text
    assert "0 of the 1 lines" in text


def test_left_out_events_are_listed_as_such() -> None:
    proof = deepcopy(PROOF)
    proof["charges"][0]["events"] = None
    text = shown(proof)
    assert "The events of 1 charges are not in this file" in text
    assert EVENTS[0]["id"] not in text and PROOF["charges"][0]["events_digest"] in text


def test_data_is_shown_and_never_obeyed() -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\u2028\x1b[31m"
    proof = deepcopy(PROOF)
    proof["customer"] = proof["lines"][0]["description"] = hostile
    proof["charges"][0]["events"][0]["id"] = hostile
    text = page(proof)
    assert text.count("<script") == 2 and "<img" not in text and "\u202e" not in text
    assert hostile not in text
    seen = shown(proof)
    assert "<script>alert(1)" in seen, "as text"
    assert "\u202e" not in seen and "\x1b" not in seen


def test_nothing_is_loaded_and_no_other_script_runs() -> None:
    text = page(PROOF)
    script = re.findall(r"<script>(.*)</script>", text, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)[0]
    assert policy.startswith("default-src &#x27;none&#x27;; script-src &#x27;sha256-" + digest)
    assert not re.search(r"https?://|\bfetch\(|XMLHttp|innerHTML|\beval\(|import\(", text)
    assert not re.search(r"\b(?:parseFloat|Math\.|toFixed)", Path(CALCULATOR).read_text())


def test_digests_are_sha_256() -> None:
    texts = ["", "abc", "a" * 55, "a" * 56, "a" * 64, "häßlich €" * 40]
    script = (
        "const { sha256 } = require(process.argv[1]);"
        'const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));'
        "console.log(JSON.stringify(texts.map(sha256)));"
    )
    found = json.loads(node(script, json.dumps(texts)))
    assert found == [hashlib.sha256(text.encode()).hexdigest() for text in texts]
