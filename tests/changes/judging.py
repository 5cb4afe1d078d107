"""What must be true after each step, whatever people changed.

What belongs here: who was billed for what, kept by the person behind the ids, and the three
questions: was anybody billed twice, is anybody stuck, is anything silent. What does not: making
the steps (`story.py`).

All is read past the API, from the sandbox's own books, and nothing from the pipeline's records.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from billing_pipeline.collection.payments import PullResult
from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.closed_books import is_closed, read_mark
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.wallet_ledger import WalletFunds, WalletMovement
from billing_pipeline.collection.push.pay_open import PaidFromWallet
from billing_pipeline.collection.steps import ApplyOutcome
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.months import BillingMonth
from tests.changes.acts import Dashboard
from tests.changes.company import Company
from tests.changes.rating import Rated, Taken, Wallet
from tests.property.values import EXPONENTS

Json = dict[str, Any]
PersonMonth = tuple[str, str]
"""The person behind whatever id, and the month (``YYYY-MM-01``)."""


@dataclass
class Run:
    """One run of a month. `shown`: the plan that was approved for it."""

    month: BillingMonth
    rated: Rated
    shown: InvoicePlan | None = None

    @property
    def approved(self) -> bool:
        return self.shown is not None


@dataclass(frozen=True)
class Made:
    """An invoice as the pipeline made it: whose it is does not hang on marks that may be lost."""

    person: str
    month_key: str
    invoice_id: str
    run: int
    approved: bool
    traces: frozenset[str]
    """All by which it can be known again: ids, name, address, the Stripe customer, its charges."""


@dataclass
class Judge:
    """Sees every run; what is wrong goes into `problems`, as (kind, sentence), and into the diary,
    where it says when it happened."""

    company: Company
    dashboard: Dashboard
    problems: list[tuple[str, str]]
    diary: list[str]
    runs: int = 0
    made: dict[str, Made] = field(default_factory=dict)
    finalized: dict[str, int] = field(default_factory=dict)
    """In which run each invoice was finalized."""
    by_hand: set[str] = field(default_factory=set)
    credited: set[str] = field(default_factory=set)
    first: dict[str, Any] = field(default_factory=dict)
    """Each of our invoices as it was due when it was billed first."""
    changed: set[str] = field(default_factory=set)
    """Those of our invoices that were due with other content since, or not at all for a while: what
    was credited in between is due again, and waits for a person like any other change."""
    ids: dict[PersonMonth, set[str]] = field(default_factory=lambda: defaultdict(set))
    locked: BillingMonth | None = None
    """The last month whose books are closed."""
    not_corrected: dict[BillingMonth, set[str]] = field(default_factory=dict)
    """By closed month, of whom the log says that they keep what was billed."""
    most: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """The most that a person's month ever came to, in each currency."""

    def before(self, run: Run) -> None:
        """Whatever was finalized and credited by now, people have done."""
        self.runs += 1
        for item in self.dashboard.all("invoice"):
            if item["status"] != "draft" and item["id"] not in self.finalized:
                self.finalized[item["id"]] = 0
        self.credited |= {item["id"] for item in self.dashboard.all("credit_note")}
        for invoice in run.rated.desired:
            key = self.company.person_of[invoice.customer_id], run.month.key
            self.ids[key].add(invoice.invoice_id)
            first = self.first.get(invoice.invoice_id, invoice)
            if (first.content_hash, first.payer) != (invoice.content_hash, invoice.payer):
                self.changed.add(invoice.invoice_id)
        for (person, currency), total in self._own_totals(run.rated).items():
            known = self.most[person, currency, run.month.key]
            self.most[person, currency, run.month.key] = max(known, total)
        due = {invoice.invoice_id for invoice in run.rated.desired}
        self.changed |= {
            name
            for name, first in self.first.items()
            if first.month_key == run.month.key and name not in due
        }

    def locks(self, through: BillingMonth, months: Iterable[BillingMonth]) -> None:
        """The books are closed: what is billed too much by then, as a credit that a payment in
        flight has held up, cannot be credited any more to one who has left."""
        self.locked = through
        invoices = self.dashboard.all("invoice")
        for month in months:
            for (person, currency), total in self._held(month, invoices).items():
                known = self.most[person, currency, month.key]
                self.most[person, currency, month.key] = max(known, total)

    def after_end(self, run: Run) -> None:
        """A run that ended early may have billed; twice it may not have."""
        self._twice(run, self.dashboard.all("invoice"))

    def after(self, run: Run, outcome: ApplyOutcome, pulled: PullResult | None) -> None:
        invoices = self.dashboard.all("invoice")
        self._twice(run, invoices)
        self._credits(run)
        self._calm(run, outcome, invoices)
        if run.shown is not None:
            self._as_shown(run.shown, outcome, invoices)
        if pulled is not None:
            self._silent(run, outcome, pulled, invoices)
            self.published(pulled)

    def _as_shown(self, shown: InvoicePlan, outcome: ApplyOutcome, invoices: list[Json]) -> None:
        """What was approved bills what it said, and no more.

        A credit note on an invoice that is void by now counts as little as the invoice: only what
        is still owed can be voided, so the note has taken off what was never paid, and the customer
        has nothing of it.
        """
        failed = {failure.action.key for failure in outcome.report.failed}
        net: dict[str, int] = defaultdict(int)
        billed = {item["id"]: item for item in invoices if _is_billed(item)}
        for name, item in billed.items():
            if name in self.made:
                net[self.made[name].invoice_id] += item["total"]
        for note in self.dashboard.all("credit_note"):
            # What people credited by hand is no part of what our books say was billed.
            if note["invoice"] in self.made and metadata_keys.CREDIT_NUMBER in note["metadata"]:
                stands = note["invoice"] in billed
                given = note["amount"] if stands else note["post_payment_amount"]
                net[self.made[note["invoice"]].invoice_id] -= given
        for action in shown.changes:
            if shown.is_closed_to(action):
                continue
            # A review is not carried out, and beside others an action is a part of the change.
            alone = sum(other.invoice_id == action.invoice_id for other in shown.changes) == 1
            is_done = action.kind is not ActionKind.REVIEW and action.key not in failed
            about = {self.made[name] for name in _invoices_of(action) if name in self.made}
            # Somebody may take an invoice that has lost its marks for one of another month.
            alone = alone and {made.invoice_id for made in about} <= {action.invoice_id}
            if alone and is_done and net[action.invoice_id] != action.amount_after:
                self._say(
                    "double-billed",
                    f"{action.invoice_id}: {action.amount_after} were approved ({action.kind}), "
                    f"and {net[action.invoice_id]} are billed",
                )

    def published(self, pulled: PullResult) -> None:
        """What is published of an invoice is what Stripe has by now."""
        rows = {row["stripe_invoice_id"]: row for row in pulled.stripe_invoices}
        for item in self.dashboard.all("invoice"):
            made = self.made.get(item["id"])
            if made is None or made.month_key != pulled.month.key or item["status"] == "draft":
                continue
            row = rows.get(item["id"])
            places = 10 ** EXPONENTS[item["currency"].upper()]
            names = ("total", "amount_paid", "amount_remaining")
            truth = [item["status"], *(item[name] for name in names)]
            published = row and [row["status"], *(int(row[name] * places) for name in names)]
            if published != truth:
                self._say("silent", f"{item['id']} is published as {published} and is {truth}")

    def tries(self) -> Counter[str]:
        """How often each payment was tried."""
        return Counter(item["payment_intent"] for item in self.dashboard.all("charge"))

    def after_dunning(self, before: Counter[str]) -> None:
        """One try a run, and a payment that a bank is still processing is waited for."""
        for intent, count in (self.tries() - before).items():
            if count > 1:
                self._say("double-billed", f"{intent} was tried {count} times by one dunning")
        waiting = {
            item["id"]
            for item in self.dashboard.all("payment_intent")
            if item["status"] == "processing"
        }
        for payment in self.dashboard.all("invoice_payment"):
            intent = payment["payment"].get("payment_intent")  # none: from a wallet
            if intent in waiting and payment["status"] == "open":
                self._given_up(payment["invoice"])

    def after_wallets(
        self,
        funds: Mapping[Wallet, WalletFunds],
        paid: Sequence[PaidFromWallet],
        waiting: set[str],
    ) -> None:
        """No wallet holds money beside an invoice of ours that is open, and none has paid more than
        it held."""
        spent: Counter[Wallet] = Counter()
        for item in paid:
            spent[item.customer_id, item.currency] += item.amount
        processing = {
            payment["invoice"]
            for payment in self.dashboard.all("invoice_payment")
            if payment["status"] == "open"
        }
        left_open = {
            (item["metadata"].get(metadata_keys.CUSTOMER_ID), item["currency"].upper()): item["id"]
            for item in self.dashboard.all("invoice")
            if item["status"] == "open"
            and item["amount_remaining"] > 0
            and item["id"] in self.made
            and item["id"] not in processing
            and item["id"] not in self.dashboard.invoices_acted_on
            and item["customer"] not in self.dashboard.customers_acted_on
        }
        for wallet, one in funds.items():
            if spent[wallet] > one.amount:
                self._say("wallet", f"{wallet} held {one.amount} and has paid {spent[wallet]}")
            left = one.amount - spent[wallet]
            if left > 0 and wallet in left_open and wallet[0] not in waiting:
                self._say("silent", f"{wallet} holds {left}, and {left_open[wallet]} is open")

    def _given_up(self, invoice_id: str) -> None:
        [item] = [i for i in self.dashboard.all("invoice") if i["id"] == invoice_id]
        if item["status"] == "uncollectible" and invoice_id not in self.dashboard.invoices_acted_on:
            self._say("stuck", f"{invoice_id} is given up while its debit is processed")

    def at_the_end(self, run: Run, outcome: ApplyOutcome, decided: set[str]) -> None:
        """Nothing waits, and what is billed is what is due, but for what somebody decided
        (`decided`: invoices) or credited."""
        month, invoices = run.month, self.dashboard.all("invoice")
        settled = decided | {
            self.made[item["id"]].invoice_id
            for item in invoices
            if item["id"] in self.made and item["id"] in self.dashboard.invoices_acted_on
        }
        for item in invoices:
            made = self.made.get(item["id"])
            is_left = item["status"] == "draft" and made is not None
            if is_left and made.month_key == month.key and made.invoice_id not in settled:
                self._say("stuck", f"draft {item['id']} of {made.invoice_id} is left for good")
        for person, currency, difference in self._differences(run, invoices):
            if not settled & self.ids[person, month.key] and not outcome.remaining.changes:
                self._say(
                    "stuck",
                    f"{person} in {month}: {difference} {currency} differ for good, undecided",
                )
        unknown = self._credited_corrections(run)
        if is_closed(self.locked, month):
            # What somebody decided about the invoice that corrects it, too.
            unknown |= {person for (person, _), names in self.ids.items() if names & decided}
            unknown |= self.not_corrected.get(month, set())
        for action in outcome.remaining.changes:
            if self.company.person_of[action.customer_id] not in unknown:
                self._say(
                    "stuck",
                    f"{month}: {action.kind} {action.invoice_id} is left at the end: "
                    f"{action.reason}",
                )

    def all_months(self, rated: Mapping[BillingMonth, Rated], decided: set[str]) -> None:
        """Over all months, what is billed is what they come to, wherever it stands. Of those about
        whom nobody has decided, and whom nobody has touched in Stripe. Who keeps what was billed of
        a closed month was billed no more than it ever came to, or had billed when it was closed."""
        invoices = self.dashboard.all("invoice")
        apart = self._touched(invoices) | {
            person for (person, _), names in self.ids.items() if names & decided
        }
        billed: Counter[tuple[str, str]] = Counter()
        due: Counter[tuple[str, str]] = Counter()
        for item in invoices:
            if item["id"] in self.made and _is_billed(item):
                billed[self.made[item["id"]].person, item["currency"].upper()] += _net(item)
        for month in rated.values():
            due.update(self._own_totals(month))
        for person, currency in sorted(billed.keys() | due.keys()):
            found, wanted = billed[person, currency], due[person, currency]
            if any(person in kept for kept in self.not_corrected.values()):
                wanted = min(found, self._most(person, currency))
            if person not in apart and found != wanted:
                self._say(
                    "double-billed" if found > wanted else "stuck",
                    f"{person}: {found} {currency} are billed for all months, which come to "
                    f"{wanted}",
                )

    def _own_totals(self, rated: Rated) -> Counter[tuple[str, str]]:
        """What a month comes to, without what stands on its invoices for closed ones."""
        totals: Counter[tuple[str, str]] = Counter()
        for invoice in rated.desired:
            own = invoice.total - sum(invoice.corrections.values())
            totals[self.company.person_of[invoice.customer_id], invoice.currency] += own
        return totals

    def _most(self, person: str, currency: str) -> int:
        return sum(most for key, most in self.most.items() if key[:2] == (person, currency))

    def _credited_corrections(self, run: Run) -> set[str]:
        """Of a closed month: who has credit notes on invoices of it or of later months. What these
        take back of a correction only the versions as billed tell, and none are saved here."""
        if not is_closed(self.locked, run.month):
            return set()
        notes = {note["invoice"] for note in self.dashboard.all("credit_note")}
        made = (self.made[name] for name in notes & self.made.keys())
        return {one.person for one in made if one.month_key >= run.month.key}

    def wallets(self, rated: Mapping[BillingMonth, Rated], taken: Taken) -> None:
        """Every movement stands once in Stripe, and what is left there is what our months leave.

        Of those whom nobody has touched in Stripe: what is moved there by hand is theirs. A month
        whose books are closed keeps what it took, whatever it would come to today.
        """
        touched = self._touched(self.dashboard.all("invoice"))
        persons = Counter(self.company.person_of.values())
        took: Counter[Wallet] = Counter()
        for month, one in rated.items():
            for invoice in () if is_closed(self.locked, month) else one.desired:
                took[invoice.customer_id, invoice.currency] += invoice.wallet_applied
        for item in taken.applications:
            if is_closed(self.locked, BillingMonth.parse(item.billing_month)):
                wallet = item.customer_id, item.currency
                took[wallet] += int(item.amount * 10 ** EXPONENTS[item.currency])
        by_customer: dict[str, list[Json]] = defaultdict(list)
        for item in self.dashboard.all("customer_balance_transaction"):
            by_customer[item["customer"]].append(item)
        last = rated[max(rated)].movements
        for item in self.dashboard.all("customer"):
            customer_id = item["metadata"].get(metadata_keys.CUSTOMER_ID)
            person = self.company.person_of.get(customer_id or "")
            if person is None or person in touched or persons[person] > 1:
                continue
            for (of, currency), movements in last.items():
                if of == customer_id:
                    posted = [
                        entry
                        for entry in by_customer[item["id"]]
                        if entry["currency"] == currency.lower()
                    ]
                    self._wallet(movements, posted, took[of, currency])

    def _wallet(self, movements: Sequence[WalletMovement], posted: list[Json], took: int) -> None:
        names = Counter(entry["metadata"].get(metadata_keys.WALLET_TRANSACTION) for entry in posted)
        for movement in movements:
            # What no invoice asked for yet may not be posted either.
            if names[movement.transaction_id] > 1:
                self._say("wallet", f"{movement.transaction_id} was posted more than once")
        if any(entry["type"] == "credit_note" for entry in posted):
            return  # what was credited is on the same balance
        if any(
            entry["type"] == "applied_to_invoice" and entry["ending_balance"] > 0
            for entry in posted
        ):
            return  # and so is what is too little for a card, which is carried over
        if any(entry["type"] == "applied_to_invoice" and entry["amount"] < 0 for entry in posted):
            return  # and what an invoice below 0 gives back that was paid by card
        if not all(names[item.transaction_id] for item in movements if item.amount):
            return
        left = -sum(entry["amount"] for entry in posted)
        ours = max(0, sum(item.amount for item in movements) - took)
        if left != ours:
            whose = f"{movements[0].customer_id} {movements[0].currency}"
            self._say("wallet", f"{whose}: {left} are left in Stripe, and {ours} by our ledger")

    # Twice.
    def _twice(self, run: Run, invoices: list[Json]) -> None:
        for item in invoices:
            if item["id"] not in self.made:
                self._see(run, item)
        billed_now = [
            item
            for item in invoices
            if item["status"] != "draft" and item["id"] not in self.finalized
        ]
        for item in billed_now:
            self.finalized[item["id"]] = self.runs
            made = self.made.get(item["id"])
            if made is not None:
                self._closed(run, item["id"], made)
            if made is not None and not run.approved and not made.approved:
                self._billed_unattended(run, item, made)
                if _corrected(item):
                    text = f"{item['id']} corrects a closed month without approval"
                    self._say("double-billed", text)

    def _closed(self, run: Run, name: str, made: Made) -> None:
        """Of a month whose books are closed nothing is billed and nothing credited, approved or
        not, but what ends a review."""
        actions = run.shown.actions if run.shown is not None else ()
        decided = {item.invoice_id for item in actions if item.kind is ActionKind.RESOLVE}
        month = BillingMonth.parse(made.month_key)
        if is_closed(self.locked, month) and made.invoice_id not in decided:
            self._say("double-billed", f"{name} changes what {month} comes to, which is closed")

    def _see(self, run: Run, item: Json) -> None:
        marks = item["metadata"]
        customer_id, invoice_id = (
            marks.get(metadata_keys.CUSTOMER_ID),
            marks.get(metadata_keys.INVOICE_ID),
        )
        if invoice_id is None or customer_id not in self.company.person_of:
            return
        person = self.company.person_of[customer_id]
        made = Made(
            person,
            marks[metadata_keys.MONTH],
            invoice_id,
            self.runs,
            run.approved,
            frozenset(self._traces(run, str(customer_id), item["customer"])),
        )
        self.made[item["id"]] = made
        self.ids[person, made.month_key] |= {invoice_id, item["id"]}

    @staticmethod
    def _traces(run: Run, customer_id: str, stripe_customer_id: str) -> Iterator[str]:
        """Those of all invoices of a customer: what tells of one currency tells of the others."""
        yield stripe_customer_id
        yield customer_id
        for invoice in run.rated.desired:
            if invoice.customer_id == customer_id:
                yield from filter(None, (invoice.payer.name, invoice.payer.email))
                yield from (line.line_id for line in invoice.lines if line.kind == "charge")

    def _billed_unattended(self, run: Run, item: Json, made: Made) -> None:
        """Nobody approved it: it must be the first of that person and month, and what is due."""
        for other, known in self.made.items():
            if other == item["id"] or (known.person, known.month_key) != (
                made.person,
                made.month_key,
            ):
                continue
            # What one plan had for several currencies may be brought to its end by later runs.
            is_earlier = 0 < self.finalized.get(other, self.runs) < self.runs
            is_by_hand = self.finalized.get(other) == 0
            same = other in self.finalized and known.invoice_id == made.invoice_id
            # Whoever has another id, name, address and Stripe customer, and is charged for other
            # things, is somebody else by all that can be known.
            is_known = bool(known.traces & made.traces)
            if same or ((is_earlier or is_by_hand) and known.run != made.run and is_known):
                self._say(
                    "double-billed",
                    f"{made.person} was billed {item['total']} {item['currency']} for "
                    f"{made.month_key[:7]} by {item['id']}, after {other}, without approval",
                )
        wanted = [i for i in run.rated.desired if i.invoice_id == made.invoice_id]
        if not wanted or item["total"] > wanted[0].total:
            due = wanted[0].total if wanted else 0
            self._say("double-billed", f"{item['id']} bills {item['total']}, and {due} is due")
        if wanted:
            self.first.setdefault(made.invoice_id, wanted[0])

    def _credits(self, run: Run) -> None:
        for note in self.dashboard.all("credit_note"):
            if note["id"] not in self.credited:
                self.credited.add(note["id"])
                if note["invoice"] in self.made:
                    self._closed(run, note["id"], self.made[note["invoice"]])
                if not run.approved:
                    self._say("double-billed", f"{note['id']} was credited without approval")

    # Stuck.
    def _calm(self, run: Run, outcome: ApplyOutcome, invoices: list[Json]) -> None:
        """Whoever nobody has touched since the first billing has a month that is at its end."""
        if is_closed(self.locked, run.month):
            return  # what would change it is billed on the invoices of another month
        correcting = {item.customer_id for item in run.rated.desired if item.corrections}
        left = {
            action.invoice_id: action
            for action in outcome.remaining.changes
            if action.customer_id not in correcting
        }
        failed = {failure.action.invoice_id: failure for failure in outcome.report.failed}
        touched = self._touched(invoices)
        persons = Counter(self.company.person_of.values())
        for item in self.dashboard.all("customer"):
            known = item["metadata"].get(metadata_keys.CUSTOMER_ID)
            if known is not None and not item.get("deleted"):
                self.company.stripe_ids.setdefault(known, item["id"])
        for invoice in run.rated.desired:
            person = self.company.person_of[invoice.customer_id]
            before = self.ids[person, run.month.key] - {invoice.invoice_id}
            others = {name for name in before if name.startswith("in_2")}
            is_calm = (
                person not in touched
                and persons[person] == 1
                and invoice.invoice_id not in self.changed
                and not self._billed_as(others)
            )
            action = left.get(invoice.invoice_id)
            if is_calm and (action is not None or invoice.invoice_id in failed):
                reason = action.reason if action else failed[invoice.invoice_id].message
                self._say("stuck", f"{invoice.invoice_id}, which nobody has touched: {reason}")

    def _billed_as(self, invoice_ids: set[str]) -> bool:
        return any(
            made.invoice_id in invoice_ids and name in self.finalized
            for name, made in self.made.items()
        )

    def _touched(self, invoices: list[Json]) -> set[str]:
        """The persons whom somebody did something to in Stripe."""
        acted = self.dashboard
        touched = {
            made.person for name, made in self.made.items() if name in acted.invoices_acted_on
        }
        customers = {
            item["customer"]: self.made[item["id"]].person
            for item in invoices
            if item["id"] in self.made
        }
        touched |= {
            person for name, person in customers.items() if name in acted.customers_acted_on
        }
        for item in self.dashboard.all("customer"):
            known = item["metadata"].get(metadata_keys.CUSTOMER_ID)
            if item["id"] in acted.customers_acted_on and known in self.company.person_of:
                touched.add(self.company.person_of[known])
        return touched

    # Silent.
    def _silent(
        self, run: Run, outcome: ApplyOutcome, pulled: PullResult, invoices: list[Json]
    ) -> None:
        """What should be billed against what Stripe holds: equal, or said in a table."""
        shown = set(self._shown(outcome, pulled))
        for person, currency, difference in self._differences(run, invoices):
            if not shown & self.ids[person, run.month.key]:
                self._say(
                    "silent",
                    f"{person} in {run.month}: {difference} {currency} differ, and nothing says so",
                )

    def _differences(self, run: Run, invoices: list[Json]) -> Iterator[tuple[str, str, int]]:
        """Person, currency, and what is billed beyond what is due."""
        unknown = self._credited_corrections(run)
        held = self._held(run.month, invoices)
        due: dict[tuple[str, str], int] = defaultdict(int)
        for invoice in run.rated.desired:
            due[self.company.person_of[invoice.customer_id], invoice.currency] += invoice.total
        for person, currency in sorted(held.keys() | due.keys()):
            difference = held[person, currency] - due[person, currency]
            if difference and person not in unknown:
                yield person, currency, difference

    def _held(self, month: BillingMonth, invoices: list[Json]) -> Counter[tuple[str, str]]:
        """By person and currency: what is billed for the month, on whichever invoices."""
        held: Counter[tuple[str, str]] = Counter()
        for item in invoices:
            made = self.made.get(item["id"])
            if made is None or not _is_billed(item):
                continue
            if made.month_key == month.key:
                held[made.person, item["currency"].upper()] += _net(item)
            held[made.person, item["currency"].upper()] += _corrected(item).get(month, 0)
        return held

    @staticmethod
    def _shown(outcome: ApplyOutcome, pulled: PullResult) -> Iterator[str]:
        for action in outcome.remaining.changes:
            yield action.invoice_id
        for failure in outcome.report.failed:
            yield failure.action.invoice_id
        for row in pulled.reconciliation:
            if row["difference"] or row["state"] != "matched":
                yield row["invoice_id"]

    def _say(self, kind: str, text: str) -> None:
        self.problems.append((kind, text))
        self.diary.append(f"    WRONG: {kind}: {text}")


def _invoices_of(action: InvoiceAction) -> set[str]:
    """The Stripe invoices that its doubts are about."""
    return {review_reason.partition(" ")[0] for review_reason in action.review_reasons}


def _is_billed(item: Json) -> bool:
    return item["status"] in ("open", "paid", "uncollectible")


def _corrected(item: Json) -> dict[BillingMonth, int]:
    """What an invoice says that it bills for closed months."""
    return read_mark(metadata_keys.corrections_mark(item["metadata"]))


def _net(item: Json) -> int:
    credited = item["pre_payment_credit_notes_amount"] + item["post_payment_credit_notes_amount"]
    return int(item["total"] - credited)
