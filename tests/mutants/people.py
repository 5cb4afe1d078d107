"""Wrong changes that people bring to light: what counts as billed before, what waits, how a review
ends, whose an invoice is, what is published. Each is caught by a sequence of the simulator of
people, or by the test that was made of one."""

from __future__ import annotations

from tests.mutants.engine import Mutant

COLLECTION = "billing_pipeline/collection"
UNIT = "tests/unit/collection"
NOTICES = "tests/unit/notices/test_due_customers.py"
CHANGES = "tests/changes/test_changes.py::test_no_change_by_people_bills_twice_or_blocks_a_customer"


def seed(number: int) -> str:
    """The sequence of the suite with that seed."""
    return f"{CHANGES}[{number}]"


MUTANTS = (
    # --- what counts as billed before ---
    Mutant(
        "people_another_currency_is_no_trace",
        f"{COLLECTION}/plan/witnesses.py",
        "                if item.invoice_id == send.invoice_id or send.reference in item.together:",
        "                if item.currency != send.currency or send.reference in item.together:",
        seed(11),
    ),
    Mutant(
        "people_the_stripe_customer_is_no_trace",
        f"{COLLECTION}/plan/witnesses.py",
        ("            yield _STRIPE_CUSTOMER, name\n        for line"),
        ("            pass\n        for line"),
        seed(1),
    ),
    Mutant(
        "people_the_address_is_no_trace",
        f"{COLLECTION}/plan/witnesses.py",
        (
            "        yield _ADDRESS, _folded(send.payer.email)\n"
            "        yield _NAME, _folded(send.payer.name)"
        ),
        "        return",
        seed(24),
    ),
    Mutant(
        "people_a_charge_is_no_trace",
        f"{COLLECTION}/plan/witnesses.py",
        ("        for line_id in sorted(charges_of(send)):\n            yield _CHARGE, line_id\n"),
        "",
        seed(2),
    ),
    Mutant(
        "people_one_currency_says_nothing_of_another",
        f"{COLLECTION}/plan/invoice_plan.py",
        "        for reason in [before.get(action.customer_id)]",
        "        for reason in [action.send and witnesses.billed_before(action.send)]",
        seed(31),
    ),
    # --- what waits, and what an approval covers ---
    Mutant(
        "people_what_waits_is_sent",
        f"{COLLECTION}/plan/actions.py",
        "return self.kind.is_safe and self.billed_before is None",
        "return self.kind.is_safe",
        seed(0),
    ),
    Mutant(
        "people_supplements_need_no_approval",
        f"{COLLECTION}/plan/actions.py",
        "return self in (ActionKind.CREATE, ActionKind.RESUME, ActionKind.UNCHANGED)",
        "return self not in (ActionKind.CREDIT, ActionKind.REVIEW, ActionKind.RESOLVE)",
        seed(1),
    ),
    Mutant(
        "people_credits_need_no_approval",
        f"{COLLECTION}/plan/actions.py",
        "return self in (ActionKind.CREATE, ActionKind.RESUME, ActionKind.UNCHANGED)",
        "return self not in (ActionKind.SUPPLEMENT, ActionKind.REVIEW, ActionKind.RESOLVE)",
        seed(0),
    ),
    Mutant(
        "people_everything_is_sent_without_a_hash",
        f"{COLLECTION}/steps.py",
        "        chosen: Sequence[InvoiceAction] = present.safe\n",
        "        chosen: Sequence[InvoiceAction] = present.changes\n",
        seed(0),
    ),
    Mutant(
        "people_all_wait_for_one",
        f"{COLLECTION}/plan/actions.py",
        "        return self.kind.is_safe and self.billed_before is None",
        "        return False",
        seed(0),
    ),
    Mutant(
        "people_a_credit_says_more_than_it_gives",
        f"{COLLECTION}/plan/case.py",
        "after=self.before - to_credit,",
        "after=self.before,",
        seed(0),
    ),
    Mutant(
        "people_approval_covers_reviews",
        f"{COLLECTION}/plan/approval.py",
        (
            "        if action.kind is not ActionKind.REVIEW\n"
            "        and (action.customer_id in only if only else action.key not in declined)"
        ),
        "        if (action.customer_id in only if only else action.key not in declined)",
        seed(19),
    ),
    # --- how a review ends ---
    Mutant(
        "people_written_off_is_forgotten",
        f"{COLLECTION}/plan/case.py",
        "item.resolution.decision is not Decision.REISSUE\n            for item in self.held",
        "item.resolution.decision is Decision.REISSUE\n            for item in self.held",
        seed(6),
    ),
    Mutant(
        "people_decided_differences_come_back",
        f"{COLLECTION}/plan/case.py",
        '("difference", due - before - adjusted)',
        '("difference", due - before)',
        seed(6),
    ),
    Mutant(
        "people_answers_are_forgotten",
        f"{COLLECTION}/stripe_state/resolutions.py",
        '        return f"{self.decision.value} {self.adjustment:+d} {answers}"',
        '        return f"{self.decision.value} {self.adjustment:+d} {_NOTHING}"',
        seed(6),
    ),
    Mutant(
        "people_decisions_are_not_kept",
        f"{COLLECTION}/push/resolve.py",
        ("    if marking.is_gone:\n        return"),
        ("    if not marking.is_gone:\n        return"),
        seed(6),
    ),
    Mutant(
        "people_decisions_are_left_out_of_the_plan",
        f"{COLLECTION}/plan/case.py",
        (
            "        if applies(self.proposal, review_reasons):\n"
            "            return self._resolve(review_reasons)\n"
            "        return"
        ),
        "        return",
        seed(6),
    ),
    Mutant(
        "people_a_void_has_no_way_out",
        f"{COLLECTION}/plan/review.py",
        'yield ReviewReason("void", "was voided in Stripe", item, ANY_DECISION)',
        'yield ReviewReason("void", "was voided in Stripe", item, frozenset())',
        seed(6),
    ),
    Mutant(
        "people_lost_marks_have_no_way_out",
        f"{COLLECTION}/plan/review.py",
        "ADOPT_ONLY = frozenset([Decision.ADOPT])",
        "ADOPT_ONLY = frozenset([Decision.REISSUE])",
        seed(19),
    ),
    # --- what stands in Stripe ---
    Mutant(
        "people_credits_do_not_count",
        f"{COLLECTION}/stripe_state/stripe_invoice.py",
        "return self.total - self.credited if self.is_billed else 0",
        "return self.total if self.is_billed else 0",
        seed(0),
    ),
    Mutant(
        "people_credits_by_hand_count_as_ours",
        f"{COLLECTION}/stripe_state/stripe_invoice.py",
        "return self.credit_notes - self.credited_by_hand",
        "return self.credit_notes",
        seed(19),
    ),
    Mutant(
        "people_credit_notes_are_not_read",
        f"{COLLECTION}/stripe_state/refresh.py",
        "        if not invoice.credit_notes and not invoice.last_credit_number:",
        "        if True:",
        seed(19),
    ),
    Mutant(
        "people_voided_counts_as_billed",
        f"{COLLECTION}/stripe_state/stripe_invoice.py",
        "return self.status not in (InvoiceStatus.DRAFT, InvoiceStatus.VOID)",
        "return self.status is not InvoiceStatus.DRAFT",
        seed(6),
    ),
    Mutant(
        "people_what_is_left_over_is_credited_beyond_it",
        f"{COLLECTION}/plan/case.py",
        ("            return -self.difference\n        # What"),
        ("            return 1 - self.difference\n        # What"),
        seed(0),
    ),
    Mutant(
        "people_drafts_stay",
        f"{COLLECTION}/plan/case.py",
        ("        if not unused:\n            return []"),
        ("        if unused:\n            return []"),
        seed(0),
    ),
    Mutant(
        "people_changes_of_older_invoices_are_not_listed",
        f"{COLLECTION}/stripe_state/refresh.py",
        ("        if first < since:\n            windows.append(Window(first, min(last, since)))"),
        ("        if first > since:\n            windows.append(Window(first, min(last, since)))"),
        seed(52),
    ),
    Mutant(
        "people_the_last_customer_ends_the_run",
        f"{COLLECTION}/push/apply.py",
        "        except StripeFailure as failure:\n            failure.customer_id = action",
        "        except NotImplementedError as failure:\n            failure.customer_id = action",
        seed(1),
    ),
    # --- payments, wallets, and what is published ---
    Mutant(
        "people_debits_are_given_up",
        f"{COLLECTION}/stripe_state/payment_status.py",
        (
            "    if PaymentState.PROCESSING.value in held:\n"
            "        return PaymentStatus(PaymentState.PROCESSING)\n"
        ),
        "",
        seed(1),
    ),
    Mutant(
        "people_dunning_does_not_ask",
        f"{COLLECTION}/push/dunning.py",
        (
            "        if invoice.payment is PaymentState.PROCESSING:\n"
            "            return None\n"
            "        if due.kind"
        ),
        "        if due.kind",
        seed(7),
    ),
    Mutant(
        "people_wallets_are_taken_twice",
        f"{COLLECTION}/prepaid.py",
        "                to_major(taken, item.currency),\n",
        "                to_major(0, item.currency),\n",
        seed(0),
    ),
    Mutant(
        "people_the_wallet_pays_supplements_again",
        f"{COLLECTION}/plan/differences.py",
        "wallet_applied=max(min(0, due), min(max(0, due), from_wallet)),",
        "wallet_applied=max(min(0, due), min(max(0, due), desired.wallet_applied)),",
        seed(1),
    ),
    Mutant(
        "people_events_of_payments_are_not_read",
        f"{COLLECTION}/stripe_state/event_reader.py",
        '    "invoice.paid",\n',
        "",
        seed(10),
    ),
    Mutant(
        "people_events_are_read_without_overlap",
        f"{COLLECTION}/stripe_state/event_reader.py",
        ('created = Window(cursor - EVENTS_OVERLAP, until).as_filter()\n    query = {"limit"'),
        ('created = Window(cursor + EVENTS_OVERLAP, until).as_filter()\n    query = {"limit"'),
        seed(10),
    ),
    Mutant(
        "people_a_month_is_never_stale",
        f"{COLLECTION}/payments.py",
        ("            if key in rated\n        ]"),
        ("            if key not in rated\n        ]"),
        seed(3),
    ),
    Mutant(
        "people_what_was_paid_is_published_as_due",
        f"{COLLECTION}/pull/tables.py",
        '            "amount_paid": to_major(item.amount_paid, item.currency),',
        '            "amount_paid": to_major(item.amount_due, item.currency),',
        seed(0),
    ),
    # --- whose an invoice is that has lost its marks ---
    Mutant(
        "people_records_do_not_say_whose_an_invoice_is",
        f"{COLLECTION}/records/opening.py",
        "StripeCache(folder / STRIPE_CACHE, partial(recorded_marks, billed))",
        "StripeCache(folder / STRIPE_CACHE)",
        f"{UNIT}/test_witnesses.py::test_an_invoice_is_of_the_month_in_which_our_records_have_it",
    ),
    Mutant(
        "people_a_removed_mark_fills_the_wallet",
        f"{COLLECTION}/stripe_state/cached_invoices.py",
        "json_extract(marks, '$.{metadata_keys.WALLET_APPLIED}')",
        "json_extract(body, '$.metadata.{metadata_keys.WALLET_APPLIED}')",
        f"{UNIT}/test_wallet_months.py"
        "::test_what_an_invoice_took_does_not_hang_on_marks_that_somebody_removes",
    ),
    Mutant(
        "people_what_came_in_later_covers_nothing",
        f"{COLLECTION}/plan/wallet_ledger.py",
        "        return tuple(found) if lacking <= 0 else ()",
        "        return ()",
        f"{UNIT}/test_wallets.py::test_what_came_in_later_covers_what_a_later_month_has_taken",
    ),
    Mutant(
        "people_later_movements_count",
        f"{COLLECTION}/push/wallets.py",
        "return tuple(item for item in movements if item.occurred_at < self._until)",
        "return tuple(movements)",
        f"{UNIT}/test_wallets.py::test_movements_count_to_the_months_last_microsecond",
    ),
    # --- what is said ---
    Mutant(
        "people_refunds_are_payments_received",
        "billing_pipeline/notices/due_customers.py",
        "WHERE kind = 'payment' AND amount > 0 AND paid_at > $1",
        "WHERE paid_at > $1",
        f"{NOTICES}::test_money_that_came_in_also_from_a_wallet",
    ),
    Mutant(
        "people_another_coupon_is_another_plan",
        "billing_pipeline/notices/due_customers.py",
        "    WHERE ended_before IS DISTINCT FROM starts_at\n",
        "    WHERE true OR ended_before IS DISTINCT FROM starts_at\n",
        f"{NOTICES}::test_subscriptions_that_began_changed_and_ended",
    ),
    Mutant(
        "people_a_preview_for_each_month_and_not_for_each_difference",
        "billing_pipeline/defs/sensors.py",
        'asked[month] = f"drift {month} {difference}"',
        'asked[month] = f"drift {month}"',
        "tests/unit/defs/test_sensors.py"
        "::test_each_difference_of_a_closed_month_asks_for_one_preview",
    ),
    Mutant(
        "people_what_failed_in_part_is_not_counted",
        "billing_pipeline/runs/recent_runs.py",
        "        return failure.metadata if failure is not None else {}",
        "        return {}",
        "tests/unit/runs/test_recent_runs.py::test_what_failed_in_part_and_who_approved_it",
    ),
)
