"""With which payout the money of an invoice came to the bank, as it is read and published."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.payouts import read_payouts
from billing_pipeline.collection.stripe_state.received import read_received
from billing_pipeline.collection.stripe_state.set_aside import read_set_aside
from billing_pipeline.collection.stripe_state.stripe_invoice import read_invoice
from billing_pipeline.stripe_api.client import GatewayConfig, StripeGateway
from tests.unit.stripe_sandbox.company import KEY
from tests.unit.stripe_sandbox.company import Company as Bank

from .conftest import JANUARY, Company
from .test_pull import catch_up, publish, requests, stale
from .test_received import paid_once

DAY = 86_400
Json = dict[str, Any]


@pytest.fixture
def paid(company: Company) -> Company:
    """One invoice of 10.00, whose 9.41 are available by now."""
    intent = paid_once(company)
    intent["latest_charge"]["balance_transaction"] = "txn_1"
    book(company, "txn_1", 941, fee=59, available_on=int(company.clock.now()) + 2 * DAY)
    company.clock.advance(2 * DAY)
    return company


def book(company: Company, name: str, net: int, kind: str = "charge", **more: Any) -> None:
    made = {"id": name, "created": int(company.clock.now()), "type": kind, "currency": "usd"}
    made |= {"amount": net + more.get("fee", 0), "net": net, "fee": 0, "metadata": {}}
    company.stripe.objects["txn"][name] = made | more


def pay_out(company: Company, name: str = "po_1", *inside: str, **more: Any) -> Json:
    """A payout with these transactions, and one for itself, as Stripe lists it."""
    transactions = company.stripe.objects["txn"]
    amount = sum(transactions[item]["net"] for item in inside)
    now = int(company.clock.now())
    made: Json = {"id": name, "created": now, "arrival_date": now + DAY, "amount": amount}
    made |= {"currency": "usd", "status": "paid", "automatic": True, "metadata": {}}
    company.stripe.objects["po"][name] = made | {"reconciliation_status": "completed"} | more
    for item in inside:
        transactions[item]["payout"] = name
    book(company, f"txn_{name}", -amount, "payout", payout=name)
    return company.stripe.objects["po"][name]


def named(company: Company, **more: Any) -> list[str | None]:
    return [row["payout_id"] for row in company.pull(**more).payments]


def test_a_payment_is_found_in_its_payout_and_asked_for_once(paid: Company) -> None:
    assert named(paid) == [None]
    book(paid, "txn_else", 5000)
    pay_out(paid, "po_else", "txn_else")
    pay_out(paid, "po_1", "txn_1")
    pulled = paid.pull(full=False)
    assert [row["payout_id"] for row in pulled.payments] == ["po_1"]
    [row] = pulled.payouts
    assert (row["amount"], row["of_month"], row["currency"]) == (
        *(Decimal("9.41"), Decimal("9.41")),
        "USD",
    )
    assert row["arrives_on"] == datetime.fromtimestamp(paid.clock.now() + DAY, UTC).date()
    assert paid.pull().payouts == paid.pull(full=False).payouts == [row]
    paid.clock.advance(20 * DAY)
    # The account, and nothing of what is in the bank for good.
    assert requests(paid, lambda: paid.pull(full=False)) == 1


def test_each_payout_is_looked_through_once(paid: Company) -> None:
    book(paid, "txn_else", 5000)
    pay_out(paid, "po_else", "txn_else")
    assert named(paid) == [None]
    paid.clock.advance(DAY)
    # The account, and payouts since then.
    assert requests(paid, lambda: paid.pull(full=False)) == 2
    under_way = pay_out(paid, "po_1", "txn_1", reconciliation_status="in_progress")
    assert named(paid, full=False) == [None]
    paid.clock.advance(DAY)
    under_way["reconciliation_status"] = "completed"
    assert named(paid, full=False) == ["po_1"]


def test_an_event_of_a_payout_has_its_months_read(paid: Company) -> None:
    publish(paid)
    catch_up(paid)
    payout = pay_out(paid, "po_1", "txn_1") | {"object": "payout"}
    paid.stripe._event("payout.reconciliation_completed", payout)
    [month] = stale(paid)
    assert (month.month, month.in_full) == (JANUARY, False)
    [row] = paid.pull(full=False).payments
    assert row["payout_id"] == "po_1"
    catch_up(paid)
    # One that is paid may fail all the same.
    paid.clock.advance(DAY)
    paid.stripe.objects["po"]["po_1"]["status"] = "failed"
    paid.stripe._event("payout.failed", payout)
    assert len(stale(paid)) == 1
    assert [row["status"] for row in paid.pull(full=False).payouts] == ["failed"]
    catch_up(paid)
    paid.stripe._event("payout.paid", payout | {"id": "po_of_others"})
    assert stale(paid) == []


def test_unreadable_payouts_are_reported_and_stop_nothing(paid: Company) -> None:
    def says(path: str, status: int, message: str) -> None:
        error = {"type": "invalid_request_error", "message": message}
        paid.stripe.faults = [
            lambda _, method, at, params: (status, {"error": error}) if at == path else None
        ]

    for status in (403, 404):
        says("/v1/payouts", status, "no payouts here")
        [row] = paid.pull().payments
        assert (row["net"], row["payout_id"]) == (Decimal("9.41"), None)
        [aside] = read_set_aside(paid.settings.records_dir)
        assert (aside.kind, "no payouts here" in aside.reason) == ("payouts", True)
    paid.stripe.faults = []
    # By hand: Stripe does not say what is in it.
    pay_out(paid, "po_1", "txn_1", automatic=False, reconciliation_status="not_applicable")
    assert named(paid) == [None]
    assert read_set_aside(paid.settings.records_dir) == []


def test_a_server_that_does_not_know_the_filter_is_not_believed(paid: Company) -> None:
    pay_out(paid, "po_1", "txn_1", amount=500)
    assert named(paid) == [None]
    [aside] = read_set_aside(paid.settings.records_dir)
    assert str(aside) == "payout po_1: its transactions come to 941 and not to its amount, 500"


def test_marks_of_ours_that_nobody_here_knows_are_published(paid: Company) -> None:
    [ours] = paid.stripe.objects["in"].values()
    marks = ours["metadata"] | {"billing_invoice_id": "in_x", "billing_month": "2031-05-01"}
    paid.stripe.objects["in"]["in_x"] = ours | {"id": "in_x", "metadata": marks}
    paid.stripe.objects["in"]["in_y"] = ours | {"id": "in_y", "metadata": {}}
    [row] = paid.pull().unknown_invoices
    assert (row["stripe_invoice_id"], row["invoice_id"], row["amount_paid"]) == (
        *("in_x", "in_x"),
        Decimal(10),
    )
    assert str(row["marked_month"]) == "2031-05-01"


def test_the_sandbox_tells_of_payouts_what_stripe_documents(tmp_path: Path) -> None:
    """A refund is paid out too: it lowers a later payout."""
    bank = Bank(others=True)
    invoice = bank.draft(bank.customer(), 1500, metadata={"billing_month": "2026-01-01"})
    bank.v1.invoices.finalize_invoice(invoice)
    bank.v1.invoices.pay(invoice)
    cache = StripeCache(tmp_path / "stripe.db")

    def moved() -> list[tuple[Any, ...]]:
        async def read() -> None:
            data = await gateway.get(f"/v1/invoices/{invoice}")
            cache.invoices.store([data])
            await read_received(gateway, cache, [read_invoice(data)], again=True)
            await read_payouts(gateway, cache, [invoice])

        gateway = StripeGateway(GatewayConfig(KEY), http_client=bank.transport, clock=bank.clock)
        Company.wait(read())
        rows = cache.invoices.received([invoice])[invoice][1]
        return [(row["kind"], row["net"], row.get("payout")) for row in rows]

    def newest() -> str:
        return next(item.id for item in bank.v1.payouts.list().data if item.currency == "usd")

    assert moved() == [("payment", 1426, None)]
    bank.clock.advance(4 * DAY)
    first = newest()
    [charge] = bank.v1.charges.list({"limit": 1}).data
    bank.v1.refunds.create({"charge": charge.id, "amount": 400})
    other = bank.draft(bank.customer(), 5000)
    bank.v1.invoices.finalize_invoice(other)
    bank.v1.invoices.pay(other)
    bank.clock.advance(4 * DAY)
    assert moved() == [("payment", 1426, first), ("refund", -400, newest())]
    assert newest() != first
    cache.close()
