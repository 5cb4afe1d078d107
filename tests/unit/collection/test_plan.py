"""The plan as a pure function: every action, what makes one wait, and the hash."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.desired import DesiredInvoice, DesiredLine
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan, plan
from billing_pipeline.collection.plan.limits import Limits, MonthTotal
from billing_pipeline.collection.plan.stripe_limits import beyond_stripe
from billing_pipeline.collection.plan_pages import plan_markdown, plan_sentence
from billing_pipeline.collection.plan_rows import PlanNotes, plan_rows
from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.push.send_invoice import Step, next_step
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.profiles import Payer
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    ActualLine,
    InvoiceStatus,
)

MONTH = "2026-01-01"
NOTES = PlanNotes(date(2026, 2, 3))


def wanted(*amounts: int, customer: str = "ada", currency: str = "USD") -> DesiredInvoice:
    # A charge is one customer's: its id stands on nobody else's invoice.
    whose = "" if customer == "ada" else f"_{customer}"
    lines = tuple(
        DesiredLine(f"l{at}{whose}", "charge", f"Item {at}", amount, quantity=str(amount))
        for at, amount in enumerate(amounts, 1)
    )
    return DesiredInvoice(f"in_{customer}", MONTH, Payer(customer), currency, lines)


def in_stripe(
    invoice: DesiredInvoice, status: str = "paid", name: str = "in_1", **more: object
) -> ActualInvoice:
    """The invoice as Stripe has it after a push."""
    lines = tuple(
        ActualLine(f"il_{line.line_id}", line.line_id, line.amount, line.description, line.quantity)
        for line in invoice.lines
    )
    held = ActualInvoice(
        name,
        "cus_1",
        InvoiceStatus(status),
        invoice.currency,
        invoice.total,
        1,
        stripe_requests.invoice_metadata(invoice)
        | {metadata_keys.LINES_HASH: invoice.content_hash},
        lines=lines,
        attempted=True,
    )
    return replace(held, **more)  # type: ignore[arg-type]


def of(desired: list[DesiredInvoice], actual: list[ActualInvoice], **more: object) -> InvoicePlan:
    return plan(desired, actual, month_key=MONTH, **more)  # type: ignore[arg-type]


def kinds(present: InvoicePlan) -> list[str]:
    return [action.kind.value for action in present.actions]


def test_nothing_there_is_created() -> None:
    present = of([wanted(100)], [])
    assert kinds(present) == ["create"]
    assert (present.actions[0].amount_before, present.actions[0].amount_after) == (0, 100)


@pytest.mark.parametrize("status", ["open", "paid", "uncollectible"])
def test_billed_as_it_should_be_is_unchanged(status: str) -> None:
    assert kinds(of([wanted(100)], [in_stripe(wanted(100), status)])) == ["unchanged"]


def test_other_lines_with_the_same_total_change_nothing() -> None:
    assert kinds(of([wanted(60, 40)], [in_stripe(wanted(100))])) == ["unchanged"]


def test_a_draft_is_resumed_with_or_without_lines() -> None:
    whole = in_stripe(wanted(100), "draft")
    empty = replace(whole, lines=(), metadata=stripe_requests.invoice_metadata(wanted(100)))
    assert kinds(of([wanted(100)], [whole])) == ["resume"]
    assert kinds(of([wanted(100)], [empty])) == ["resume"]
    changed = of([wanted(120)], [whole])
    assert kinds(changed) == ["resume"]
    assert "changed since" in changed.actions[0].reason


def test_more_due_is_a_supplement_of_the_changed_lines() -> None:
    (action,) = of([wanted(150, 50)], [in_stripe(wanted(100))]).actions
    assert action.kind is ActionKind.SUPPLEMENT
    assert action.send is not None
    assert [(line.line_id, line.amount) for line in action.send.lines] == [("l1", 50), ("l2", 50)]
    assert (action.revision, action.amount_before, action.amount_after) == (2, 100, 200)
    assert "usage changed on 1 line (late" in action.reason and "1 line added" in action.reason


def test_a_changed_price_is_distinguished_from_changed_usage() -> None:
    line = wanted(100).lines[0]._replace(amount=130)
    (action,) = of([replace(wanted(100), lines=(line,))], [in_stripe(wanted(100))]).actions
    assert "price changed on 1" in action.reason


def test_another_invoice_of_the_same_customer_makes_a_first_one_wait() -> None:
    """By the mark alone: other charges, another Stripe customer, and nothing else is known."""
    line = wanted(100).lines[0]._replace(line_id="other")
    euro = replace(wanted(100, currency="EUR"), invoice_id="in_ada_eur", lines=(line,))
    present = of([wanted(100), euro], [in_stripe(wanted(100))])
    assert kinds(present) == ["unchanged", "create"]
    assert present.waiting == present.actions[1:]


def test_supplements_count_on() -> None:
    first, second = in_stripe(wanted(100)), replace(wanted(20), revision=2)
    held = in_stripe(second, name="in_2")
    (action,) = of([wanted(150)], [first, held]).actions
    assert (action.kind, action.revision) == (ActionKind.SUPPLEMENT, 3)
    assert action.send is not None and action.send.total == 30


def test_credited_and_due_again_is_charged_again() -> None:
    held = in_stripe(wanted(100, 50), credit_notes=50, last_credit_number=1)
    (action,) = of([wanted(100, 50)], [held]).actions
    assert action.send is not None
    assert action.reason == "more is due: USD 0.50 was credited earlier and is due again"
    assert [(line.line_id, line.amount) for line in action.send.lines] == [
        ("credited-charged-again", 50)
    ]
    again = in_stripe(action.send, name="in_2")
    assert kinds(of([wanted(100, 50)], [held, again])) == ["unchanged"]


def test_less_due_is_credited_on_the_original_first_and_never_beyond_it() -> None:
    first = in_stripe(wanted(100), credit_notes=70, last_credit_number=2)
    second = in_stripe(replace(wanted(60), revision=2), name="in_2")
    (action,) = of([wanted(40)], [first, second]).actions
    assert action.kind is ActionKind.CREDIT
    assert [(p.stripe_invoice_id, p.number, p.amount) for p in action.credits] == [
        ("in_1", 3, 30),
        ("in_2", 1, 20),
    ]


def test_a_vanished_invoice_is_credited_to_nothing() -> None:
    (action,) = of([], [in_stripe(wanted(100), "open")]).actions
    assert (action.kind, action.amount_after) == (ActionKind.CREDIT, 0)
    assert sum(part.amount for part in action.credits) == 100


def test_an_unwanted_draft_is_deleted() -> None:
    assert kinds(of([], [in_stripe(wanted(100), "draft")])) == ["withdraw"]


def test_the_older_of_two_drafts_is_used() -> None:
    older = in_stripe(wanted(100), "draft", "in_2")
    newer = in_stripe(wanted(100), "draft", "in_1", created=2)
    present = of([wanted(100)], [newer, older])
    assert kinds(present) == ["resume", "withdraw"]
    assert present.actions[1].drafts == ("in_1",)


def test_a_supplements_draft_is_safe_only_with_the_approved_content() -> None:
    first = in_stripe(wanted(100))
    send = of([wanted(130)], [first]).actions[0].send
    assert send is not None
    draft = in_stripe(send, "draft", "in_2")
    assert kinds(of([wanted(130)], [first, draft])) == ["resume"]
    assert kinds(of([wanted(140)], [first, draft])) == ["supplement"]
    assert kinds(of([wanted(100)], [first, draft])) == ["unchanged", "withdraw"]


def test_finalized_and_never_tried_is_resumed() -> None:
    held = in_stripe(wanted(100), "open", attempted=False, amount_remaining=100)
    (action,) = of([wanted(100)], [held]).actions
    assert (action.kind, action.finish) == (ActionKind.RESUME, ("in_1",))


def doubtful() -> list[tuple[str, list[ActualInvoice]]]:
    invoice = wanted(100)
    draft = in_stripe(invoice, "draft")
    foreign = ActualLine("il_x", None, 5)
    edited = (replace(draft.lines[0], amount=99),) if draft.lines else ()
    unmarked = {k: v for k, v in draft.metadata.items() if k != metadata_keys.LINES_HASH}
    no_revision = {k: v for k, v in draft.metadata.items() if k != metadata_keys.REVISION}
    return [
        ("voided", [in_stripe(invoice, "void")]),
        ("more than once", [in_stripe(invoice), in_stripe(invoice, name="in_2")]),
        ("revised", [in_stripe(invoice, is_revised=True)]),
        ("is in EUR", [in_stripe(invoice, currency="EUR")]),
        ("metadata", [in_stripe(invoice, metadata=no_revision)]),
        ("no original", [in_stripe(replace(invoice, revision=2))]),
        ("by hand", [replace(draft, metadata=unmarked)]),
        ("not ours", [replace(draft, lines=(*(draft.lines or ()), foreign))]),
        ("edited", [replace(draft, lines=edited)]),
        (
            "credited by hand",
            [in_stripe(wanted(90), credit_notes=10, credited_by_hand=10)],
        ),
    ]


@pytest.mark.parametrize(("why", "held"), doubtful(), ids=[why for why, _ in doubtful()])
def test_cases_that_need_a_persons_decision(why: str, held: list[ActualInvoice]) -> None:
    present = of([wanted(100)], held)
    assert kinds(present) == ["review"]
    assert why in present.actions[0].reason
    assert not present.safe


def test_a_credit_by_hand_alone_is_only_noted() -> None:
    held = in_stripe(wanted(100), credit_notes=10, credited_by_hand=10)
    (action,) = of([wanted(100)], [held]).actions
    assert action.kind is ActionKind.UNCHANGED
    assert "USD 0.10 credited by hand" in action.reason


def test_below_zero_is_a_further_invoice_where_no_credit_note_can_be() -> None:
    (action,) = of([wanted(-30)], [in_stripe(wanted(100))]).actions
    assert action.kind is ActionKind.SUPPLEMENT
    assert action.send is not None and action.send.total == -130


def test_limits_make_the_whole_plan_wait() -> None:
    desired = [wanted(100), wanted(99_999, customer="bob")]
    held = of(desired, [], limits=Limits(Decimal("999.98")))
    assert not held.safe and len(held.waiting) == 2
    assert "BILLING_MAX_INVOICE_TOTAL" in held.held_by[0]
    assert of(desired, [], limits=Limits(Decimal("999.99"))).safe
    percent = Limits(max_month_change_percent=Decimal(50))
    for before, is_held in ((60_000, True), (70_000, False), (200_000, False), (200_300, True)):
        totals = {"USD": MonthTotal(before, 2)}
        present = of(desired, [], limits=percent, previous_totals=totals)
        assert bool(present.held_by) == is_held, before
    assert not of(desired, [], limits=percent).held_by


@pytest.mark.parametrize(
    ("before", "invoices", "is_held"),
    [(33_000, 20, True), (33_000, 19, False), (34_000, 20, False), (400_000, 20, False)],
)
def test_a_month_three_times_the_one_before_waits_unless_that_was_small(
    before: int, invoices: int, is_held: bool
) -> None:
    totals = {"USD": MonthTotal(before, invoices)}
    assert bool(of([wanted(100_000)], [], previous_totals=totals).held_by) == is_held


def test_an_invoice_resumed_with_a_supplement_counts_once_for_the_limit() -> None:
    held = in_stripe(wanted(60_000), "open", amount_remaining=60_000, attempted=False)
    totals = {"USD": MonthTotal(60_000, 1)}
    percent = Limits(max_month_change_percent=Decimal(50))
    present = of([wanted(60_000, 100)], [held], limits=percent, previous_totals=totals)
    assert kinds(present) == ["resume", "supplement"] and not present.held_by


def test_a_month_that_is_billed_is_held_by_nothing() -> None:
    held = of([wanted(100)], [in_stripe(wanted(100))], limits=Limits(Decimal("0.01")))
    assert not held.held_by


def test_the_hash_covers_what_would_happen_and_nothing_else() -> None:
    first = of([wanted(100)], [])
    assert first.hash == of([wanted(100)], []).hash
    others = [
        of([wanted(101)], []),
        of([wanted(100, customer="bob")], []),
        of([wanted(100, currency="EUR")], []),
        of([wanted(100)], [], account_id="acct_other"),
        plan([wanted(100)], [], month_key="2026-02-01"),
        of([replace(wanted(100), lines=(wanted(100).lines[0]._replace(description="x"),))], []),
    ]
    assert len({first.hash, *(other.hash for other in others)}) == 1 + len(others)
    billed = in_stripe(wanted(100, customer="bob"))
    assert of([wanted(100), wanted(100, customer="bob")], [billed]).hash == first.hash


@given(
    st.lists(st.integers(-500, 500).filter(bool), min_size=1, max_size=6),
    st.lists(st.integers(-500, 500).filter(bool), min_size=1, max_size=6),
    st.integers(0, 300),
)
def test_carried_out_a_plan_leaves_nothing_to_do(
    before: list[int], after: list[int], credit: int
) -> None:
    """From any billed and credited amounts, one more invoice or credit notes correct the total."""
    first = in_stripe(wanted(*before))
    first = replace(first, credit_notes=min(credit, max(0, first.total)))
    (action,) = of([wanted(*after)], [first]).actions
    if action.kind is ActionKind.SUPPLEMENT:
        assert action.send is not None
        held = [first, in_stripe(action.send, name="in_2")]
    elif action.kind is ActionKind.CREDIT:
        amount = sum(part.amount for part in action.credits)
        held = [replace(first, credit_notes=first.credit_notes + amount)]
        assert held[0].credit_notes <= first.total
    else:
        held = [first]
    assert kinds(of([wanted(*after)], held)) == ["unchanged"]


def test_the_page_says_before_after_and_why_and_shows_markup_as_text() -> None:
    evil = "<script>|[x](http://evil)\n# =cmd()"
    present = of([wanted(150, customer=evil), wanted(5)], [in_stripe(wanted(100, customer=evil))])
    page = plan_markdown(present, NOTES)
    assert present.hash in page
    assert "USD 1.00" in page and "USD 1.50" in page
    assert "<script>" not in page and "[x](" not in page and "\n# =cmd" not in page
    assert [row["state"] for row in plan_rows(present, NOTES)] == ["waiting", "ready"]


def test_the_page_has_each_line_with_what_shows_it_and_leaves_out_what_is_done() -> None:
    present = of([wanted(150)], [in_stripe(wanted(100))])
    line = {
        **{"invoice_id": present.actions[0].invoice_id, "customer_id": "ada", "currency": "USD"},
        **{"description": "API calls", "quantity_before": Decimal(8), "cause": "late usage"},
        **{"quantity_after": Decimal("13.500"), "amount_before": Decimal(1)},
        **{"amount_after": Decimal("1.5"), "evidence": "usage/2026-01/late.csv row 2"},
    }
    done = line | {"invoice_id": "in_other", "description": "Seats"}
    page = plan_markdown(present, NOTES, [line, done])
    assert (
        "| API calls | 8 → 13.5 | USD 1.00 | USD 1.50 | +USD 0.50 | late usage "
        "| usage/2026-01/late.csv row 2 |"
    ) in page
    assert "Seats" not in page
    assert plan_sentence(present) == (
        "1 of 1 change waits for approval: supplement for ada +USD 0.50"
    )


def test_of_what_waits_the_largest_change_of_a_currency_is_read_first() -> None:
    due = {"ada": 150, "bob": 900, "cyd": 120, "dan": 40}
    wished = [wanted(amount, customer=customer) for customer, amount in due.items()]
    held = [
        in_stripe(wanted(100, customer=customer), name=f"in_{customer}_1")
        for customer in ("ada", "bob", "cyd")
    ]
    present = of(wished, held)
    assert plan_sentence(present).startswith("3 of 4 changes wait for approval: supplement for bob")
    page = plan_markdown(present, NOTES)
    places = [page.index(f"| {customer} |") for customer in ("bob", "ada", "cyd", "dan")]
    assert places == sorted(places)


def test_rows_name_the_customer_the_change_and_the_cause_and_end_with_what_is_unchanged() -> None:
    named = [
        replace(invoice, payer=replace(invoice.payer, name=f"{invoice.customer_id} Ltd"))
        for invoice in (wanted(5), wanted(150, customer="bob"), wanted(7, customer="cyd"))
    ]
    gone = replace(in_stripe(wanted(9, customer="dan"), name="in_9"), customer_name="Dan & Co")
    held = [in_stripe(named[0]), in_stripe(wanted(100, customer="bob"), name="in_2"), gone]
    rows = plan_rows(of(named, held), PlanNotes(NOTES.today, {"in_bob": "late usage"}))
    shown = [(row["customer_name"], str(row["amount_change"]), row["cause"]) for row in rows]
    assert shown == [
        ("bob Ltd", "0.50", "late usage"),
        ("Dan & Co", "-0.09", "other"),
        ("cyd Ltd", "0.07", "first invoice"),
        ("ada Ltd", "0.00", None),
    ]


def test_what_will_be_charged_to_an_expired_card_says_so() -> None:
    cards = {"ada": date(2026, 1, 31), "bob": NOTES.today, "eve": date(2025, 12, 31)}
    wants = [wanted(5), wanted(7, customer="bob"), wanted(9, customer="eve")]
    wants[2] = replace(
        wants[2],
        collection_method="send_invoice",
        days_until_due=30,
        payer=replace(wants[2].payer, email="eve@example.com"),
    )
    present, notes = of(wants, []), replace(NOTES, cards=cards)
    reasons = {row["customer_id"]: row["reason"] for row in plan_rows(present, notes)}
    assert "the card that paid last expired on 2026-01-31" in reasons["ada"]
    assert "card" not in reasons["bob"] + reasons["eve"]
    assert "expired on 2026-01-31" in plan_markdown(present, notes)


def test_the_page_ends_with_the_net_of_each_currency_and_says_how_to_approve() -> None:
    held = [in_stripe(wanted(900)), in_stripe(wanted(5, customer="eve", currency="EUR"))]
    wants = [wanted(400), wanted(200, customer="bob"), wanted(25, customer="eve", currency="EUR")]
    present = of(wants, held)
    page = plan_markdown(present, replace(NOTES, approval_url="https://ui.example/x"))
    assert "| **net** | | | | **−USD 3.00** |" in page
    assert "| **net** | | | | **+EUR 0.20** |" in page
    assert f"billing apply 2026-01 --approve {present.hash}" in page
    assert "(https://ui.example/x)" in page


def money(present: InvoicePlan) -> list[str]:
    return [row["collection"] for row in plan_rows(present, NOTES)]


def test_the_plan_says_how_money_moves_before_approval() -> None:
    sent = replace(wanted(500), collection_method="send_invoice", days_until_due=14)
    assert money(of([sent], [])) == ["invoice due on 2026-02-17"]
    assert money(of([wanted(500)], [])) == ["card today"]
    assert money(of([replace(wanted(500), wallet_applied=200)], [])) == [
        "USD 2.00 from the wallet, card today"
    ]
    assert money(of([replace(wanted(500), wallet_applied=500)], [])) == ["USD 5.00 from the wallet"]
    assert money(of([replace(wanted(-500), wallet_applied=-500)], [])) == ["credit to balance"]
    assert money(of([wanted(500)], [in_stripe(wanted(500))])) == ["nothing"]
    interrupted = in_stripe(wanted(500), "open", attempted=False, amount_remaining=500)
    assert money(of([wanted(500)], [interrupted])) == ["card today"]


def test_customers_who_cannot_pay_are_named_before_anything_is_sent() -> None:
    def why(invoice: DesiredInvoice) -> str:
        [row] = plan_rows(of([invoice], []), NOTES)
        return str(row["reason"])

    by_card = wanted(500)
    assert "no payment method" in why(by_card)
    with_card = replace(by_card, payer=replace(by_card.payer, payment_method="pm_card_visa"))
    known = replace(by_card, payer=replace(by_card.payer, stripe_customer_id="cus_1"))
    sent = replace(by_card, collection_method="send_invoice", days_until_due=14)
    with_email = replace(sent, payer=replace(sent.payer, email="ada@example.com"))
    assert why(sent) == "not billed yet; no e-mail to send the invoice to"
    for fine in (with_card, known, with_email, replace(by_card, wallet_applied=500)):
        assert why(fine) == "not billed yet"


def test_a_credit_first_lowers_what_is_still_to_be_paid() -> None:
    less = [wanted(200)]
    assert money(of(less, [in_stripe(wanted(500))])) == ["credit to balance"]
    still_open = in_stripe(wanted(500), "open", amount_remaining=500)
    assert money(of(less, [still_open])) == ["USD 3.00 less to pay"]
    paid_in_part = in_stripe(wanted(500), "open", amount_remaining=100)
    assert money(of(less, [paid_in_part])) == ["USD 1.00 less to pay, USD 2.00 credit to balance"]


def test_an_old_mark_under_a_number_is_written_over() -> None:
    send = replace(wanted(100), billed_for=tuple(f"customer {at}" for at in range(45)))
    more = replace(send, billed_for=(*send.billed_for, "one more"))
    draft = in_stripe(more, "draft")
    assert next_step(more, draft) is Step.FINALIZE
    assert next_step(send, draft) is Step.COLLECTION
    metadata = stripe_requests.rewrite_draft("in_1", send, draft.metadata).params["metadata"]
    assert metadata["billing_billed_for_2"] == ""


@pytest.mark.parametrize(
    "too_many",
    [
        {"billed_for": tuple(f"customer {at}" for at in range(32 * 45 + 1))},
        {"together": tuple(wanted(at).reference for at in range(13))},
    ],
)
def test_the_plan_says_which_invoice_stripes_metadata_cannot_hold(too_many: dict[str, Any]) -> None:
    send = replace(wanted(100), **too_many)
    [row] = plan_rows(of([send], []), NOTES)
    assert "Stripe's metadata cannot hold so many" in row["reason"]
    fits = replace(wanted(100), **{name: names[:-1] for name, names in too_many.items()})
    assert beyond_stripe(fits) is None
    marks = stripe_requests.invoice_metadata(fits) | {metadata_keys.LINES_HASH: "x"}
    later = ("TRIES", "FIRST_FAILURE", "CARD_TRIED", "PAYMENT_NOTE")
    later += ("WALLET_PAYMENTS", "WALLET_HOLD", "RESOLVED")
    named = {*marks, *(getattr(metadata_keys, name) for name in later)}
    assert len(named - {metadata_keys.CORRECTIONS}) <= 50, "an empty one is not kept"
    assert max(map(len, marks.values())) <= 500


def test_the_plan_says_which_amounts_are_too_large_for_stripe() -> None:
    def obstacle(*amounts: int, **more: Any) -> str:
        [row] = plan_rows(of([replace(wanted(*amounts), **more)], []), NOTES)
        return str(row["obstacle"])

    payer = Payer("ada", email="ada@example.com", payment_method="pm_card_visa")
    assert "USD 1,000,000.00 is more than Stripe charges" in obstacle(10**8, payer=payer)
    assert obstacle(10**8, payer=payer, wallet_applied=1) == "None"
    sent = {"payer": payer, "collection_method": "send_invoice", "days_until_due": 30}
    assert obstacle(10**12 - 1, **sent) == "None"
    assert "is more than Stripe can have on an invoice" in obstacle(10**12, -5, **sent)
    assert "is more than Stripe can have on an invoice" in obstacle(10**11, *[10**11] * 9, **sent)
