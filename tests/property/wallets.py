"""Prepaid wallets: lots, what is taken out of them, and what expires.

What belongs here: the state of every wallet at a month's end. What does not: how much an invoice
comes to (invoicing.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from tests.property.intake import FOREVER, Book, amount, month_edges
from tests.property.values import read_instant
from tests.property.world_maker import makes

ZERO = Fraction(0)
PAYMENT = "payment"
Wallet = tuple[str, str]  # customer and currency
# What months' invoices took, and what of the month itself was billed already.
AppliedElsewhere = Mapping[Wallet, Mapping[str, Fraction]]
AlreadyBilled = Mapping[Wallet, Fraction]


@dataclass
class Lot:
    """What was put in at once, and what is left of it."""

    lot_id: str
    put_in_at: int
    expires_at: int
    priority: int
    held: Fraction
    is_prepaid: bool = False  # by a commitment: it pays no line of a commitment

    @property
    def order(self) -> tuple[int, int, int, str]:
        return (self.priority, self.expires_at, self.put_in_at, self.lot_id)


@dataclass
class State:
    """A wallet. `owed`: what was taken out beyond what it held; the next lots pay that first."""

    lots: list[Lot] = field(default_factory=list)
    owed: Fraction = ZERO

    @property
    def balance(self) -> Fraction:
        return sum((lot.held for lot in self.lots), ZERO) - self.owed

    def put(self, lot: Lot) -> None:
        paid_back = min(lot.held, self.owed)
        lot.held -= paid_back
        self.owed -= paid_back
        self.lots.append(lot)

    def take(self, wanted: Fraction, lots: list[Lot], prepaid_may: Fraction | None = None) -> None:
        """`prepaid_may`: what lots that were paid for beforehand may pay of it; None: all."""
        for lot in lots:
            taken = min(lot.held, wanted)
            if lot.is_prepaid and prepaid_may is not None:
                taken = min(taken, prepaid_may)
                prepaid_may -= taken
            lot.held -= taken
            wanted -= taken
        self.owed += wanted


@dataclass(frozen=True)
class Movement:
    """One thing that happens to a wallet. Of one instant: invoices, expiries, then rows."""

    at: int
    rank: int  # 0: an invoice takes, 1: a lot expires, 2: a row
    name: str
    amount: Fraction  # of a lot that expires: whatever it holds
    lot: Lot | None = None
    reference: str = ""
    prepaid_may: Fraction | None = None


def wallets_at(
    book: Book,
    through: str,
    applied: AppliedElsewhere,
    prepaid: Mapping[Wallet, list[Lot]],
    prepaid_may: Mapping[Wallet, Fraction] | None = None,
) -> dict[Wallet, State]:
    """All wallets after the month's end, with what expires in that instant gone. `prepaid_may`:
    what of the month's own invoice is no line of a commitment."""
    end = month_edges(through, book.zone)[1]
    states: dict[Wallet, State] = defaultdict(State)
    for wallet, movements in _movements(book, applied, prepaid).items():
        state = states[wallet]
        beyond = (prepaid_may or {}).get(wallet)
        for movement in sorted(movements, key=lambda row: (row.at, row.rank, row.name)):
            if movement.at < end or (movement.at == end and movement.rank < 2):
                if movement.rank == 0 and movement.name == through:
                    movement = replace(movement, prepaid_may=beyond)
                _move(state, movement)
    return states


def _movements(
    book: Book, applied: AppliedElsewhere, prepaid: Mapping[Wallet, list[Lot]]
) -> dict[Wallet, list[Movement]]:
    movements: dict[Wallet, list[Movement]] = defaultdict(list)
    lots: dict[Wallet, list[Lot]] = defaultdict(list)
    for row in book.world.tables["wallet_transactions"]:
        wallet = (row["customer_id"], row["currency"].upper())
        at = read_instant(row["occurred_at"], book.zone)
        value = amount(row["amount"])
        if value > 0:
            until = row.get("expires_at", "")
            expires_at = read_instant(until, book.zone) if until else FOREVER
            priority = int(row.get("priority", "") or 100)
            lots[wallet].append(Lot(row["transaction_id"], at, expires_at, priority, value))
        else:
            cells = (row["transaction_id"], -value, None, row["reference"])
            movements[wallet].append(Movement(at, 2, *cells))
    for wallet, bought in prepaid.items():
        lots[wallet] += [Lot(**vars(lot)) for lot in bought]
    for wallet, found in lots.items():
        for lot in found:
            movements[wallet].append(Movement(lot.put_in_at, 2, lot.lot_id, lot.held, lot))
            if lot.expires_at < FOREVER:
                movements[wallet].append(Movement(lot.expires_at, 1, lot.lot_id, ZERO, lot))
    for wallet, by_month in applied.items():
        for month, taken in by_month.items():
            end = month_edges(month, book.zone)[1]
            movements[wallet].append(Movement(end, 0, month, taken))
    return movements


def _move(state: State, movement: Movement) -> None:
    if movement.rank == 2 and movement.lot is not None:
        state.put(movement.lot)
    elif movement.lot is not None:
        movement.lot.held = ZERO
    else:
        named = [lot for lot in state.lots if movement.reference == lot.lot_id]
        valid = sorted(valid_lots(state, movement.at, movement.rank == 0), key=lambda x: x.order)
        state.take(movement.amount, [*named, *valid], movement.prepaid_may)


def valid_lots(state: State, at: int, is_month_end: bool) -> list[Lot]:
    """At a month's end its last instant counts: a lot that ends exactly there is still valid."""
    last = at - 1 if is_month_end else at
    return [lot for lot in state.lots if lot.put_in_at <= last < lot.expires_at]


def limits(
    book: Book, month: str, applied: AppliedElsewhere, prepaid: Mapping[Wallet, list[Lot]]
) -> dict[Wallet, list[Lot]]:
    """The lots from which the month's invoices may take, in that order, and how much.

    What is valid at the month's end, less what all known months' invoices took.
    """
    end = month_edges(month, book.zone)[1]
    found: dict[Wallet, list[Lot]] = {}
    paid = _last_payments(book)
    for wallet, state in _before_expiry(book, month, applied, prepaid).items():
        later = [other for other in applied.get(wallet, {}) if other > month]
        lots = sorted(valid_lots(state, end, True), key=lambda lot: lot.order)
        if paid.get(wallet, -1) >= end:
            # What was open came before what was not billed yet.
            held_by(lots, wallets_now(book, paid[wallet], applied, prepaid)[wallet])
        if later and not makes("lots"):
            # Until the pipeline has lots: the lowest balance after any later month that took.
            after = [wallets_at(book, other, applied, prepaid)[wallet] for other in later]
            lowest = min(row.balance for row in (state, *after))
            lots = [Lot("all", 0, FOREVER, 100, max(lowest, ZERO))]
        elif later:
            held_by(lots, wallets_at(book, max(later), applied, prepaid)[wallet])
        found[wallet] = lots
    return found


def held_by(lots: list[Lot], later: State) -> None:
    """Leave in each lot no more than it still holds in a later state."""
    held = {lot.lot_id: lot.held for lot in later.lots}
    for lot in lots:
        lot.held = min(lot.held, held[lot.lot_id])


def wallets_now(
    book: Book, at: int, applied: AppliedElsewhere, prepaid: Mapping[Wallet, list[Lot]]
) -> dict[Wallet, State]:
    """All wallets at a moment, after what happens in it."""
    states: dict[Wallet, State] = defaultdict(State)
    for wallet, movements in _movements(book, applied, prepaid).items():
        for movement in sorted(movements, key=lambda row: (row.at, row.rank, row.name)):
            if movement.at <= at:
                _move(states[wallet], movement)
    return states


def _last_payments(book: Book) -> dict[Wallet, int]:
    """When each wallet last paid an invoice that was open: rows of the kind `payment`, which no
    file has (Stripe tells of them)."""
    last: dict[Wallet, int] = {}
    for row in book.world.tables["wallet_transactions"]:
        if row["kind"] == PAYMENT:
            wallet = (row["customer_id"], row["currency"].upper())
            last[wallet] = max(last.get(wallet, 0), read_instant(row["occurred_at"], book.zone))
    return last


def _before_expiry(
    book: Book, month: str, applied: AppliedElsewhere, prepaid: Mapping[Wallet, list[Lot]]
) -> dict[Wallet, State]:
    end = month_edges(month, book.zone)[1]
    states: dict[Wallet, State] = defaultdict(State)
    for wallet, movements in _movements(book, applied, prepaid).items():
        for movement in sorted(movements, key=lambda row: (row.at, row.rank, row.name)):
            if movement.at < end or (movement.at == end and movement.rank == 0):
                _move(states[wallet], movement)
    return states
