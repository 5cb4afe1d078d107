"""The calls that a restricted key needs are those that the documents list, no more and no fewer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.collection import payments, prepaid
from billing_pipeline.collection.plan.dunning_policy import DunningPolicy

from .conftest import Company
from .test_interruptions import Killed
from .test_interruptions import story as changes
from .test_pay_open import collect, owes, put_in
from .test_wallets import paid
from .test_wallets import story as wallet

ROOT = Path(__file__).resolve().parents[3]
ROW = re.compile(r"^\| `(GET|POST|DELETE) (/v1/\S+)` \| ")
DOCUMENTED = {
    f"{found[1]} {found[2]}"
    for line in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()
    for found in [ROW.match(line)]
    if found
}
DECLINES = "pm_card_chargeCustomerFail"


def call(method: str, path: str) -> str:
    """``POST /v1/invoices/:id/pay``"""
    parts = path.strip("/").split("/")
    if parts[2:] != ["report_payment"]:
        parts[2:3] = [":id"] if len(parts) > 2 else []
        parts[4:5] = [":id"] if len(parts) > 4 else []
    return f"{method.upper()} /{'/'.join(parts)}"


def unfinished(company: Company, wanted: dict[str, list[int]], **more: Any) -> None:
    """A push that ends before it finalizes."""
    company.want(wanted, **more)

    def killed(fake: Any, method: str, path: str, params: Any) -> None:
        if path.endswith("/finalize"):
            raise Killed

    company.stripe.faults.append(killed)
    with pytest.raises(BaseExceptionGroup) as error:
        company.apply()
    assert error.value.subgroup(Killed)
    company.stripe.faults.remove(killed)


def drafts(company: Company) -> None:
    """Drafts left by interruptions: with other lines than are due by now, and not due any more."""
    unfinished(company, {"ada": [1000]})
    company.want({"ada": [900]})
    company.apply(approved_hash=company.preview().hash)
    unfinished(company, {"ada": [900], "bob": [500]})
    company.want({"ada": [900]})
    company.apply(approved_hash=company.preview().hash)


def collecting(company: Company) -> None:
    """A card that declines to the end, another card in the accounts, and all ways to pull."""
    company.want({"ada": [1000]}, payment_method=DECLINES)
    company.apply()
    for _ in range(4):
        work = payments.dun(
            company.gateway(), company.settings, run_id="dun", policy=DunningPolicy()
        )
        company.wait(work)
        company.clock.advance(80 * 3600)
    company.want({"ada": [1000], "bob": [10]}, company.settings.first_month.shift(1))
    company.apply(company.settings.first_month.shift(1))
    company.wait(payments.stale_months(company.gateway(), company.settings))
    company.pull()


def top_ups(company: Company) -> None:
    for name in ("first", "second"):
        paid(company, name)
        company.wait(prepaid.pull_top_ups(company.gateway(), company.settings))
        company.clock.advance(60)
    company.stripe.refund(next(iter(company.stripe.objects["pi"].values())), 100)
    company.wait(prepaid.pull_top_ups(company.gateway(), company.settings))


def wallets_pay(company: Company) -> None:
    owes(company, 1000)
    put_in(company, 2000)
    collect(company)


def fees(company: Company) -> None:
    """Payments whose fees are found in the list, and one whose fee is asked for by its id; all of
    them wait for a payout."""
    company.want({name: [1000] for name in ("ada", "bob", "cyd", "dan")})
    company.apply()
    paid = company.stripe.objects["pi"].values()
    company.stripe.objects["txn"] = {}
    for number, intent in enumerate(paid):
        name, long_ago = f"txn_{number}", 90 * 86_400 if number == 0 else 0
        intent["latest_charge"]["balance_transaction"] = name
        fee = {"fee": 59, "currency": "eur", "created": intent["created"] - long_ago}
        fee |= {"net": 941, "available_on": intent["created"]}
        company.stripe.objects["txn"][name] = {"id": name, "metadata": {}, **fee}
    company.pull()


def named(company: Company) -> None:
    """The accounts name the customer in Stripe."""
    _, customer = company.stripe.act("post", "/v1/customers", {"metadata": {}})
    company.bill({"ada": ["10.00"]}, stripe_customer_id=customer["id"])
    company.desired = None
    company.apply()


def tax_ids(company: Company) -> None:
    """One that is known, and another that takes its place."""
    for tax_id in ("DE123456789", "DE987654321"):
        company.want({"ada": [1000]}, country="DE", tax_id=tax_id)
        company.apply()


STORIES = [changes, wallet, drafts, collecting, top_ups, wallets_pay, fees, named, tax_ids]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """All calls of all stories."""
    calls = set()
    for number, story in enumerate(STORIES):
        company = Company(tmp_path_factory.mktemp("permissions") / str(number))
        story(company)
        calls |= {call(method, path) for method, path, _ in company.stripe.calls}
    return calls


def test_the_calls_that_are_made_are_those_that_are_documented(made: set[str]) -> None:
    assert made == DOCUMENTED


def paths_in_the_source() -> Iterator[str]:
    """The request paths in the engine's modules, with ``:id`` for inserted values."""
    for file in (ROOT / "billing_pipeline" / "collection").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"/v1/[a-z_]+", str(node.value)):
                yield str(node.value)
            if isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else ":id" for p in node.values]
                text = "".join(str(part) for part in parts)
                if text.startswith("/v1/"):
                    yield text
                elif re.fullmatch(r":id/[a-z_]+", text):
                    yield text.removeprefix(":id")


def test_every_path_in_the_source_was_called(made: set[str]) -> None:
    paths = {text.split(" ")[1] for text in made}
    written = set(paths_in_the_source())
    assert len(written) > 15
    unknown = {w for w in written if not any(path.endswith(w) for path in paths)}
    assert unknown == set()
