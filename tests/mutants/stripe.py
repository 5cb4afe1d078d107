"""Wrong changes to the push: keys, order, locks, plans, credits. Each could bill twice or lose."""

from __future__ import annotations

from tests.mutants.engine import Mutant

COLLECTION = "billing_pipeline/collection"
CLIENT = "billing_pipeline/stripe_api/client.py"
UNIT = "tests/unit/collection"
FAULTS = "tests/faults/test_faults.py"
CHANCE = f"{FAULTS}::test_several_faults_by_chance"
ONE_FAULT = f"{FAULTS}::test_one_fault_at_any_change_changes_nothing_in_the_end"

MUTANTS = (
    # --- idempotency keys ---
    Mutant(
        "no_idempotency_key",
        CLIENT,
        'options = {} if key is None else {"idempotency_key": key}',
        "options: dict[str, str] = {}",
        ONE_FAULT,
    ),
    Mutant(
        "a_random_key",
        f"{COLLECTION}/push/requests.py",
        "return idempotency_key(self.invoice_id or self.customer_id, "
        "self.revision, step, generation)",
        'return __import__("uuid").uuid4().hex',
        f"{UNIT}/test_records.py {UNIT}/test_interruptions.py {ONE_FAULT}",
    ),
    Mutant(
        "the_payload_in_the_key",
        f"{COLLECTION}/push/requests.py",
        'return await _logged(session, target, "post", *request, target.key(step, generation))',
        "key = target.key(step, generation) + str(sorted(map(str, request.params.items())))"
        '\n    return await _logged(session, target, "post", *request, key)',
        f"{UNIT} {ONE_FAULT}",
    ),
    Mutant(
        "the_epoch_never_moves_on",
        f"{COLLECTION}/push/send_invoice.py",
        "            left.pop(0)\n",
        "",
        f"{UNIT}/test_interruptions.py",
    ),
    Mutant(
        "a_repeated_answer_is_believed",
        f"{COLLECTION}/push/send_invoice.py",
        "        if not replayed:\n",
        "        if True:\n",
        f"{UNIT}/test_interruptions.py {FAULTS}",
    ),
    Mutant(
        "a_key_is_sent_again_after_a_day",
        CLIENT,
        "self.clock.now() - began > KEY_REUSE_SECONDS",
        "self.clock.now() - began > 1000 * KEY_REUSE_SECONDS",
        f"tests/unit/stripe_api {CHANCE}",
    ),
    # --- looking before acting ---
    Mutant(
        "no_refresh_before_the_plan",
        f"{COLLECTION}/month_plan.py",
        "        await list_month(gateway, cache, key, start)\n",
        "",
        f"{UNIT}/test_apply.py {ONE_FAULT}",
    ),
    Mutant(
        "only_the_first_page_of_a_list",
        CLIENT,
        'if not page.get("has_more") or not data:',
        "if True:",
        f"tests/unit/stripe_api {UNIT} {CHANCE}",
    ),
    Mutant(
        "listed_from_the_cursor_without_an_overlap",
        f"{COLLECTION}/stripe_state/refresh.py",
        "Window(cursor - OVERLAP)",
        "Window(cursor + 1)",
        f"{UNIT} {ONE_FAULT}",
    ),
    Mutant(
        "months_before_what_was_listed_are_not_listed",
        f"{COLLECTION}/stripe_state/refresh.py",
        "    if earliest < covered_from:\n",
        "    if False:\n",
        f"{UNIT}/test_records.py",
    ),
    Mutant(
        "what_a_month_has_of_long_ago_is_not_listed_again",
        f"{COLLECTION}/stripe_state/refresh.py",
        "        if first < since:\n",
        "        if False:\n",
        f"{UNIT}/test_records.py",
    ),
    Mutant(
        "a_draft_is_collected_as_it_was_made",
        f"{COLLECTION}/push/send_invoice.py",
        "    if not _has_same_collection(send, held):\n",
        "    if False:\n",
        f"{UNIT}/test_customers.py",
    ),
    Mutant(
        "a_draft_that_is_there_is_made_again",
        f"{COLLECTION}/plan/case.py",
        "        draft = self._draft(revision)\n        if draft is None:\n",
        "        draft = None\n        if draft is None:\n",
        f"{UNIT}/test_plan.py {ONE_FAULT}",
    ),
    Mutant(
        "any_revision_is_taken_for_this_one",
        f"{COLLECTION}/push/send_invoice.py",
        "if (found.invoice_id, found.revision) != (self._send.invoice_id, self._send.revision):",
        "if found.invoice_id != self._send.invoice_id:",
        f"{UNIT}/test_interruptions.py {ONE_FAULT}",
    ),
    Mutant(
        "a_draft_is_read_once",
        f"{COLLECTION}/stripe_state/refresh.py",
        "    if lines and draft.lines_hash is None:\n        body",
        "    if False:\n        body",
        f"{UNIT}/test_interruptions.py",
    ),
    # --- drafts ---
    Mutant(
        "lines_without_a_mark",
        f"{COLLECTION}/push/stripe_requests.py",
        "marks = {**invoice_metadata(invoice, held), LINES_HASH: invoice.content_hash}",
        "marks = {**invoice_metadata(invoice, held)}",
        f"{UNIT}/test_apply.py",
    ),
    Mutant(
        "finalized_before_the_total_is_compared",
        f"{COLLECTION}/push/send_invoice.py",
        "            self._compare_totals(held)\n",
        "",
        UNIT,
    ),
    Mutant(
        "lines_of_strangers_are_billed",
        f"{COLLECTION}/plan/review.py",
        "    if any(line.line_id is None for line in lines):\n",
        "    if False:\n",
        UNIT,
    ),
    Mutant(
        "lines_by_hand_are_finalized",
        f"{COLLECTION}/plan/review.py",
        "    if lines and draft.lines_hash is None:\n",
        "    if False:\n",
        UNIT,
    ),
    # --- failures ---
    Mutant(
        "a_failure_such_as_429_counts_as_done",
        f"{COLLECTION}/push/apply.py",
        "ActionResult(action, ResultState.FAILED, str(failure), failure.request_id)",
        "ActionResult(action, ResultState.DONE, str(failure), failure.request_id)",
        f"{UNIT}/test_apply.py",
    ),
    Mutant(
        "a_payment_is_tried_again_at_each_run",
        f"{COLLECTION}/stripe_state/stripe_invoice.py",
        "        and item.attempt_count == 0\n        and not item.attempted\n"
        "        and item.last_error is None\n",
        "",
        f"{UNIT}/test_apply.py",
    ),
    Mutant(
        "a_supplement_leaves_what_its_month_put_into_the_wallet",
        f"{COLLECTION}/plan/differences.py",
        "wallet_applied=max(min(0, due), min(max(0, due), from_wallet)),",
        "wallet_applied=max(min(0, due), min(due, desired.wallet_applied)),",
        f"{UNIT}/test_wallet_months.py",
    ),
    Mutant(
        "what_was_held_of_a_wallet_is_kept",
        f"{COLLECTION}/push/send_invoice.py",
        "    if held.is_wallet_held:\n        held = await wallets.release(held)\n",
        "",
        f"{UNIT}/test_wallets.py {FAULTS}",
    ),
    # --- locks and approval ---
    Mutant(
        "the_lock_is_left_out",
        f"{COLLECTION}/records/lock.py",
        "            lock.acquire(timeout=0)\n            return True\n",
        "            return True\n",
        f"{UNIT} {FAULTS}",
    ),
    Mutant(
        "any_hash_approves",
        f"{COLLECTION}/steps.py",
        "    if approval.plan_hash != present.hash:",
        "    if False:",
        f"{UNIT}/test_apply.py",
    ),
    Mutant(
        "approving_one_customer_sends_all",
        f"{COLLECTION}/plan/approval.py",
        "(action.customer_id in only if only else action.key not in declined)",
        "action.key not in declined",
        f"{UNIT}/test_approvals.py",
    ),
    Mutant(
        "what_was_declined_is_sent",
        f"{COLLECTION}/plan/invoice_plan.py",
        "tuple(a for a in self._open if a.is_safe)",
        "tuple(a for a in self.changes if a.is_safe)",
        f"{UNIT}/test_approvals.py",
    ),
    Mutant(
        "what_is_like_the_declined_is_sent",
        f"{COLLECTION}/plan/approval.py",
        "        if action.digest not in known and action.is_safe:\n",
        "        if False:\n",
        f"{UNIT}/test_approvals.py",
    ),
    Mutant(
        "approving_all_sends_what_was_declined",
        f"{COLLECTION}/plan/approval.py",
        "action.customer_id in only if only else action.key not in declined",
        "action.customer_id in only if only else True",
        f"{UNIT}/test_approvals.py",
    ),
    Mutant(
        "any_part_of_an_approved_plan_has_its_hash",
        f"{COLLECTION}/plan/approval.py",
        " and plan - present <= approved[plan_hash]:",
        ":",
        f"{UNIT}/test_approvals.py",
    ),
    Mutant(
        "approvals_are_written_after_sending",
        f"{COLLECTION}/steps.py",
        (
            "            _record(records, month, present, approval, Verdict.APPROVED, chosen,"
            " run_id, gateway)\n"
        ),
        "",
        f"{UNIT}/test_approvals.py",
    ),
    Mutant(
        "nothing_waits_for_approval",
        f"{COLLECTION}/steps.py",
        "        chosen: Sequence[InvoiceAction] = present.safe\n",
        "        chosen: Sequence[InvoiceAction] = present.changes\n",
        f"{UNIT}/test_apply.py",
    ),
    Mutant(
        "unchecked_months_are_sent",
        f"{COLLECTION}/steps.py",
        "    if not is_checked(settings, month):\n",
        "    if False:\n",
        f"{UNIT}/test_apply.py",
    ),
    # --- records of what was billed ---
    Mutant(
        "an_invoice_whose_record_was_changed_is_sent",
        f"{COLLECTION}/plan/review.py",
        "    if item.is_record_altered:\n",
        "    if False:\n",
        f"{UNIT}/test_billed.py",
    ),
    Mutant(
        "a_changed_record_says_whose_an_invoice_is",
        f"{COLLECTION}/records/recorded.py",
        "        if not item.is_altered:\n",
        "        if True:\n",
        f"{UNIT}/test_billed.py",
    ),
    Mutant(
        "a_changed_record_holds",
        f"{COLLECTION}/records/billed.py",
        "hash <> hash_of_row(month, position, subject, body, previous) as is_changed,",
        "false as is_changed,",
        f"{UNIT}/test_billed.py",
    ),
    Mutant(
        "a_record_that_moved_holds",
        f"{COLLECTION}/records/billed.py",
        "    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()\n",
        "    return hashlib.sha256(json.dumps(columns[2:]).encode()).hexdigest()\n",
        f"{UNIT}/test_billed.py",
    ),
    Mutant(
        "a_removed_record_is_not_missed",
        f"{COLLECTION}/records/billed.py",
        "position <> 1 + lag(position, 1, 0)",
        "position < lag(position, 1, 0)",
        f"{UNIT}/test_billed.py",
    ),
    Mutant(
        "a_record_of_other_content_holds",
        f"{COLLECTION}/records/billed.py",
        "content_hash(body ->> 'content') <> body ->> 'content_hash', false)",
        "false, false)",
        f"{UNIT}/test_billed.py",
    ),
    Mutant(
        "another_content_hash_in_stripe_holds",
        f"{COLLECTION}/records/recorded.py",
        "        if found == record.content_hash:\n",
        "        if True:\n",
        f"{UNIT}/test_billed.py",
    ),
    Mutant(
        "records_of_earlier_releases_are_left",
        f"{COLLECTION}/records/billed.py",
        "if db.execute(_NAMED_BEFORE).fetchone():  # no",
        "if False:  # no",
        f"{UNIT}/test_billed.py",
    ),
    Mutant(
        "a_trigger_that_somebody_drops_stays_away",
        "billing_pipeline/runs/sqlite_file.py",
        'changes = _number(db, "schema_version")',
        "changes = 0",
        "tests/unit/runs/test_sqlite_file.py",
    ),
    Mutant(
        "a_credit_note_without_a_record_stays_so",
        f"{COLLECTION}/records/recorded.py",
        "        if item.credited > credited.get(item.stripe_invoice_id, 0):\n",
        "        if False:\n",
        f"{UNIT}/test_billed.py",
    ),
    Mutant(
        "an_invoice_without_a_record_stays_so",
        f"{COLLECTION}/records/recorded.py",
        "        if item.stripe_invoice_id not in known:\n",
        "        if False:\n",
        f"{UNIT}/test_billed.py",
    ),
    # --- reuse of an empty plan ---
    Mutant(
        "a_plan_with_changes_is_kept",
        f"{COLLECTION}/steps.py",
        "if run_id is not None and not present.changes:",
        "if run_id is not None:",
        f"{UNIT}/test_empty_plan.py",
    ),
    Mutant(
        "an_empty_plan_is_kept_whatever_moved",
        f"{COLLECTION}/month_plan.py",
        """        if not 0 <= age <= REUSE_SECONDS or mark != empty_plan_mark(
            run_id, entry, self.desired, held
        ):""",
        "        if not 0 <= age <= REUSE_SECONDS:",
        f"{UNIT}/test_empty_plan.py",
    ),
    Mutant(
        "an_empty_plan_is_kept_although_something_was_sent",
        f"{COLLECTION}/plan/empty_plan.py",
        "text = repr((run_id, last_entry, tuple(desired), tuple(held)))",
        "text = repr((run_id, tuple(desired), tuple(held)))",
        f"{UNIT}/test_empty_plan.py",
    ),
    Mutant(
        "an_empty_plan_is_kept_for_another_run",
        f"{COLLECTION}/plan/empty_plan.py",
        "text = repr((run_id, last_entry, tuple(desired), tuple(held)))",
        "text = repr((last_entry, tuple(desired), tuple(held)))",
        f"{UNIT}/test_empty_plan.py",
    ),
    # --- supplements and credits ---
    Mutant(
        "a_supplement_bills_the_whole_again",
        f"{COLLECTION}/plan/differences.py",
        "amount=line.amount - (before[line.line_id].amount if line.line_id in before else 0),",
        "amount=line.amount,",
        UNIT,
    ),
    Mutant(
        "every_credit_note_has_the_number_one",
        f"{COLLECTION}/plan/case.py",
        "number = item.last_credit_number + 1",
        "number = 1",
        f"{UNIT} {ONE_FAULT}",
    ),
    Mutant(
        "credits_beyond_what_is_left_of_the_invoice",
        f"{COLLECTION}/plan/case.py",
        "from_wallet = min(beyond, item.creditable - part)",
        "from_wallet = beyond",
        UNIT,
    ),
    Mutant(
        "a_credit_on_what_is_still_open_goes_to_the_balance",
        f"{COLLECTION}/push/stripe_requests.py",
        "to_balance = amount - min(amount, max(0, amount_remaining))",
        "to_balance = amount",
        f"{UNIT}/test_wallet_months.py",
    ),
    Mutant(
        "a_credit_note_is_not_looked_for",
        f"{COLLECTION}/push/credit_notes.py",
        "        return await _find(session, part, action.invoice_id)\n",
        "        return None\n",
        f"{UNIT} {FAULTS}",
    ),
    # --- billed before, by whatever witness ---
    Mutant(
        "the_same_customer_is_no_witness",
        f"{COLLECTION}/plan/witnesses.py",
        "            yield _CUSTOMER, customer_id\n",
        "",
        f"{UNIT}/test_plan.py",
    ),
    Mutant(
        "anothers_invoice_is_no_witness",
        f"{COLLECTION}/plan/witnesses.py",
        "            yield _BILLED_FOR, metadata_keys.customer_digest(customer_id)\n",
        "",
        f"{UNIT}/test_witnesses.py",
    ),
    Mutant(
        "those_billed_to_a_payer_are_not_asked_about",
        f"{COLLECTION}/plan/witnesses.py",
        "for customer_id in (send.customer_id, *send.billed_for):",
        "for customer_id in (send.customer_id,):",
        f"{UNIT}/test_witnesses.py",
    ),
    Mutant(
        "the_same_stripe_customer_is_no_witness",
        f"{COLLECTION}/plan/witnesses.py",
        "            yield _STRIPE_CUSTOMER, name\n",
        "            pass\n",
        f"{UNIT}/test_witnesses.py",
    ),
    Mutant(
        "the_same_charge_is_no_witness",
        f"{COLLECTION}/plan/witnesses.py",
        "            yield _CHARGE, line_id\n",
        "            pass\n",
        f"{UNIT}/test_witnesses.py",
    ),
    Mutant(
        "invoices_of_one_plan_bear_witness_against_each_other",
        f"{COLLECTION}/plan/witnesses.py",
        "item.invoice_id == send.invoice_id or send.reference in item.together:\n",
        "item.invoice_id == send.invoice_id:\n",
        f"{UNIT}/test_witnesses.py",
    ),
    Mutant(
        "marks_are_believed_as_they_stand",
        f"{COLLECTION}/stripe_state/refresh.py",
        "        metadata={**invoice.metadata, **marks},\n",
        "",
        f"{UNIT}/test_witnesses.py",
    ),
    Mutant(
        "what_is_billed_waits_with_the_supplement",
        f"{COLLECTION}/plan/case.py",
        "        return [*finishing, self._supplement()]\n",
        "        return [self._supplement()]\n",
        f"{UNIT}/test_witnesses.py",
    ),
    Mutant(
        "falls_of_a_month_break_no_limit",
        f"{COLLECTION}/plan/limits.py",
        "Decimal(abs(now - before.amount))",
        "Decimal(now - before.amount)",
        f"{UNIT}/test_plan.py",
    ),
    Mutant(
        "a_decision_is_forgotten_by_stripe",
        f"{COLLECTION}/plan/review.py",
        "    marks = {metadata_keys.RESOLVED: resolution.mark}\n",
        '    marks: dict[str, str] = {metadata_keys.RESOLVED: ""}\n',
        f"{UNIT}/test_resolving.py",
    ),
    Mutant(
        "a_decision_holds_for_whatever_comes_later",
        f"{COLLECTION}/plan/review.py",
        "        return decided is not None and self.code in decided.answers\n",
        "        return decided is not None\n",
        f"{UNIT}/test_resolving.py",
    ),
    Mutant(
        "what_was_left_is_billed_after_all",
        f"{COLLECTION}/plan/case.py",
        '            ("difference", due - before - adjusted),\n',
        '            ("difference", due - before),\n',
        f"{UNIT}/test_resolving.py",
    ),
)
