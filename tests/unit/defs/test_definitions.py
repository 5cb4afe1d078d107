"""What the Dagster UI shows: every asset explained, in its group, by month; no warning at load."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from billing_pipeline.definitions import defs
from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.defs.usage import RAW_TABLES
from billing_pipeline.runs.sending import SENDING_ASSETS
from tests.end_to_end.commands import ROOT
from tests.unit.defs.snapshot import snapshot

GROUPS = ["usage", "metering", "rating", "invoicing", "collection", "audit", "estimates"]
SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


@pytest.mark.parametrize("name", sorted(SPECS))
def test_an_asset_is_explained(name: str) -> None:
    spec = SPECS[name]
    assert spec.group_name in GROUPS
    # Sentences: no SQL, and no Jinja.
    assert spec.description and spec.description.rstrip().endswith((".", "`", ")"))
    assert not re.search(r"\{\{|\{%|```|^ *select ", spec.description, re.IGNORECASE | re.MULTILINE)
    assert spec.kinds
    # One look compares all of the last closed months.
    assert spec.partitions_def == (None if name == "month_drift" else MONTHS)
    assert spec.owners
    assert spec.tags["billing/stage"] == spec.group_name


def test_every_check_says_in_a_sentence_what_it_holds_to_be_true() -> None:
    specs = [spec for each in defs.resolve_asset_graph().assets_defs for spec in each.check_specs]
    assert len(specs) > 30
    for spec in specs:
        assert spec.description and spec.description.endswith("."), spec.name


def test_no_name_comes_or_goes_unnoticed() -> None:
    """A schedule under another name is off, and links and histories know the former name."""
    known = Path(__file__).with_name("snapshot.txt").read_text(encoding="utf-8")
    assert f"{snapshot()}\n" == known, f"write it anew: {snapshot.__module__} says how"


def test_usage_and_payments_must_not_grow_old() -> None:
    watched = {name for name, spec in SPECS.items() if spec.freshness_policy is not None}
    assert watched == {"usage_events", "stripe_invoices", "invoice_payments", "estimated_charges"}


def test_the_money_goes_one_way_through_the_groups() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        place = GROUPS.index(graph.get(key).group_name)
        for parent in graph.get(key).parent_keys:
            assert GROUPS.index(graph.get(parent).group_name) <= place, (parent, key)


def test_the_assets_of_the_contract_are_there() -> None:
    tables = {"usage_rejections", "metered_usage", "charges", "charge_tiers", "invoice_lines"}
    tables |= {"invoices", "wallet_ledger", "entitlement_usage", "invoice_plan", "stripe_invoices"}
    assert tables | {"invoice_payments"} | set(RAW_TABLES) <= set(SPECS)


def test_the_jobs_of_the_contract_are_there_and_explained() -> None:
    for name in ("close_month", "preview_month", "apply_plan", "pull_payments", "collect_payments"):
        assert defs.resolve_job_def(name).description


def test_sending_jobs_run_one_month_at_a_time() -> None:
    sending = {
        job.name for job in defs.resolve_all_job_defs() if job.tags.get("billing/sends") == "true"
    }
    assert sending == {"close_month", "apply_plan", "collect_payments"}


def test_the_assets_that_send_are_those_of_the_jobs_that_send() -> None:
    tagged = {name for name, spec in SPECS.items() if "billing/sends" in spec.tags}
    assert tagged == SENDING_ASSETS
    for job in defs.resolve_all_job_defs():
        if not job.name.startswith("__") and SENDING_ASSETS & set(job.graph.node_dict):
            assert job.tags["billing/sends"] == "true", job.name


def test_a_preview_can_never_reach_the_push() -> None:
    steps = set(defs.resolve_job_def("preview_month").graph.node_dict)
    assert not steps & {"stripe_invoices", "approved_changes"}


def test_an_estimate_is_apart_from_all_that_bills() -> None:
    assert list(defs.resolve_job_def("estimate_month").graph.node_dict) == ["estimated_charges"]
    estimate = defs.resolve_asset_graph().get(dg.AssetKey("estimated_charges"))
    assert not estimate.parent_keys | estimate.child_keys
    for job in defs.resolve_all_job_defs():
        if job.name != "estimate_month" and not job.name.startswith("__"):
            assert "estimated_charges" not in job.graph.node_dict, job.name


def test_nothing_warns_at_load() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", "import billing_pipeline.definitions"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    errors = done.stderr.replace(str(ROOT), "")
    ours = [line for line in errors.splitlines() if "billing_pipeline" in line]
    dagster = [line for line in errors.splitlines() if "dagster" in line.lower()]
    assert ours + dagster == []
