"""What should be billed: the month's invoices in the warehouse, in the form in which they are sent.

What belongs here: reading the tables `invoices`, `invoice_lines` and `stg_accounts__customers`,
turning amounts into minor units, descriptions into what Stripe takes, and more lines than an
invoice can hold into fewer. What does not: what Stripe holds (`stripe_invoice.py`), and the
difference between the two (`invoice_plan.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property, lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from billing_pipeline.collection.plan.closed_books import (
    corrected_line,
    correction_id,
    sums_by_month,
)
from billing_pipeline.collection.stripe_state.profiles import Payer
from billing_pipeline.collection.stripe_state.texts import (
    canonical,
    clean_text,
    hash_of,
    short_hash,
)
from billing_pipeline.duckdb_sql import table_names
from billing_pipeline.money import to_minor
from billing_pipeline.months import BillingMonth

MAX_LINES = 250
"""The most lines that an invoice can have in Stripe."""
DEFAULT_DAYS_UNTIL_DUE = 30
ROLLED_UP = "rolled-up"


class NotComputedError(FileNotFoundError):
    """There are no invoices of the month to send: they were not computed, they cannot be read, or
    their checks have not passed; the message says which."""


class InconsistentInvoiceError(ValueError):
    """An invoice's lines do not add up to its total: nothing of this month may be sent."""


class DesiredLine(NamedTuple):
    """One line; `amount` in minor units, the period half-open in epoch seconds.

    A tuple: a month may have half a million of them, and a dataclass takes twice as long to make.
    """

    line_id: str
    kind: str
    description: str
    amount: int
    period_start: int | None = None
    period_end: int | None = None
    quantity: str = ""

    def canonical(self) -> tuple[Any, ...]:
        """What goes into the content hash: all but the quantity."""
        return self[:-1]


@dataclass(frozen=True)
class DesiredInvoice:
    """One invoice as it should be in Stripe; amounts in minor units of `currency` (upper case)."""

    invoice_id: str
    month_key: str
    payer: Payer
    currency: str
    lines: tuple[DesiredLine, ...]
    collection_method: str = "charge_automatically"
    days_until_due: int | None = None
    wallet_applied: int = 0
    """What the wallet pays of it; below 0: what a total below 0 puts into the wallet."""
    committed: int = 0
    """What of the total is lines of commitments."""
    wallet_after_month: str | None = None
    """The later month (``YYYY-MM-01``) that was billed first: the wallet pays what that left."""
    wallet_after_payment: int | None = None
    """When the wallet paid an open invoice first, epoch seconds: it pays what that left."""
    revision: int = 1
    together: tuple[str, ...] = ()
    """The customer's other invoices that the same plan creates, as ``invoice_id:content_hash``."""
    billed_for: tuple[str, ...] = ()
    """The other customers whose lines stand on it."""

    @property
    def reference(self) -> str:
        """The invoice with its content, as `together` names it."""
        return f"{self.invoice_id}:{self.content_hash}"

    @property
    def customer_id(self) -> str:
        return self.payer.customer_id

    @cached_property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)

    @cached_property
    def corrections(self) -> dict[BillingMonth, int]:
        """What its lines correct of months whose books are closed, in minor units."""
        return sums_by_month((line.line_id, line.amount) for line in self.lines)

    @property
    def content(self) -> str:
        """Everything that the customer sees of the invoice's content, as canonical JSON."""
        content: list[Any] = [self.invoice_id, self.currency, self.revision]
        if self.wallet_applied:
            content.append(self.wallet_applied)
        return canonical([*content, [line.canonical() for line in self.lines]])

    @cached_property
    def content_hash(self) -> str:
        return hash_of(self.content)


def roll_up(lines: tuple[DesiredLine, ...], most: int = MAX_LINES) -> tuple[DesiredLine, ...]:
    """At most `most` lines with the same total for each kind.

    The rule: of the lines of the same kind (charges, taxes, ...; corrections by the month that they
    correct) the smallest by absolute amount are summed into one line, which says how many they are;
    the largest stay as they are, in their order. The kind with the most lines gives way first. All
    of them stay in `invoice_lines`, and the line's id is made of theirs, so that the same lines
    roll up alike.
    """
    while len(lines) > most:
        by_kind: dict[tuple[str, BillingMonth | None], list[DesiredLine]] = defaultdict(list)
        for line in lines:
            by_kind[line.kind, _corrected_month(line)].append(line)
        crowded = max(by_kind.values(), key=len)
        # One line is added for those taken away.
        count = min(len(crowded), len(lines) - most + 1)
        smallest = sorted(crowded, key=lambda line: (abs(line.amount), line.line_id))[:count]
        merged = _merge(smallest)
        gone = {line.line_id for line in smallest}
        last = max(index for index, line in enumerate(lines) if line.line_id in gone)
        lines = tuple(
            merged if index == last else line
            for index, line in enumerate(lines)
            if index == last or line.line_id not in gone
        )
    return lines


def _corrected_month(line: DesiredLine) -> BillingMonth | None:
    found = corrected_line(line.line_id) if "_for_" in line.line_id else None
    return found[0] if found is not None else None


def _merge(lines: list[DesiredLine]) -> DesiredLine:
    ids = sorted(line.line_id for line in lines)
    month = _corrected_month(lines[0])
    line_id = f"{ROLLED_UP}-{short_hash(ids)[:20]}"
    starts = [line.period_start for line in lines if line.period_start is not None]
    ends = [line.period_end for line in lines if line.period_end is not None]
    return DesiredLine(
        line_id=line_id if month is None else correction_id(line_id, month),
        kind=lines[0].kind,
        description=f"{len(lines)} further small items ({lines[0].kind}), listed on request",
        amount=sum(line.amount for line in lines),
        period_start=min(starts, default=None),
        period_end=max(ends, default=None),
    )


_TURNS = """
select customer_id, currency, after_month::varchar, {} from wallet_turns
"""
_HAS_PAYMENTS = """
select 1 from information_schema.columns where table_schema = 'main'
and table_name = 'wallet_turns' and column_name = 'after_payment_at'
"""
_CREDITS = """
select invoice_id, amount from wallet_credits where billing_month = cast(? as date)
"""
_INVOICES = """
select i.invoice_id, i.customer_id, i.currency, i.total, i.wallet_applied,
       i.collection_method, i.days_until_due, coalesce(o.billed_for, []),
       c.name, c.email, c.country, c.stripe_customer_id, c.payment_method, c.street, c.city,
       c.postal_code, c.tax_id
from invoices i left join stg_accounts__customers c using (customer_id)
left join (
    select p.invoice_id, list(distinct l.customer_id order by l.customer_id) as billed_for
    from invoice_lines l join invoices p using (invoice_id)
    where l.customer_id <> p.customer_id
    group by p.invoice_id
) o using (invoice_id)
where i.billing_month = cast(? as date)
order by i.invoice_id
"""
# The columns are the invoice's id and then the fields of `DesiredLine`, in order. Amounts are read
# as text: DuckDB calls Python to make each Decimal, which costs as much as all the rest of reading.
_LINES = """
select invoice_id, line_id, kind, coalesce(nullif(description, ''), kind), amount::varchar,
       epoch_us(period_start) // 1000000, epoch_us(period_end) // 1000000,
       -- as people write it: 12.500 as 12.5
       coalesce(rtrim(rtrim(quantity::varchar, '0'), '.'), '')
from invoice_lines
-- an inclusive tax is inside the other lines already: it informs, and adds nothing to the total
where billing_month = cast(? as date) and not is_inclusive
order by invoice_id, position, line_id
"""


def read_desired(warehouse: Path, month_key: str) -> tuple[DesiredInvoice, ...]:
    """The month's desired invoices, by id. `month_key` is ``YYYY-MM-01``.

    Opens the warehouse read-only and closes it before anything is sent. Raises `NotComputedError`,
    `InconsistentInvoiceError` where lines and total differ, `AmountError` where Stripe cannot
    express an amount.
    """
    month = month_key[:7]
    if not warehouse.exists():
        raise NotComputedError(
            f"{month} has not been computed yet: run `billing plan {month}` first"
        )
    try:
        connection = duckdb.connect(str(warehouse), read_only=True)
    except duckdb.Error as error:
        raise NotComputedError(
            f"{warehouse} cannot be opened ({error}): `billing plan {month}` rebuilds it"
        ) from error
    with connection:
        connection.execute("set TimeZone = 'UTC'")
        tables = table_names(connection, "main")
        if "invoices" not in tables:
            raise NotComputedError(
                f"the last run of {month} ended before its invoices: run `billing plan {month}`"
            )
        invoices = connection.execute(_INVOICES, [month_key]).fetchall()
        rows = connection.execute(_LINES, [month_key]).fetchall()
        # None in a warehouse of an earlier release.
        has_payments = connection.execute(_HAS_PAYMENTS).fetchall()
        paid_at = "epoch(after_payment_at)::bigint" if has_payments else "null"
        query = _TURNS.format(paid_at)
        turns = connection.execute(query).fetchall() if "wallet_turns" in tables else []
        given = read_credits(connection, month_key)
    after = {(customer_id, currency): since for customer_id, currency, *since in turns}
    lines = {
        invoice_id: list(of_invoice) for invoice_id, of_invoice in groupby(rows, itemgetter(0))
    }
    made = (
        _invoice(row, lines.get(row[0], []), month_key, given.get(row[0], Decimal(0)))
        for row in invoices
    )
    return tuple(_with_wallet_order(invoice, after) for invoice in made)


def _with_wallet_order(
    invoice: DesiredInvoice, after: Mapping[tuple[str, str], Sequence[Any]]
) -> DesiredInvoice:
    """The invoice with the later month or payment that its wallet paid before it."""
    if invoice.wallet_applied <= 0:
        return invoice
    month, paid_at = after.get((invoice.customer_id, invoice.currency), (None, None))
    return replace(invoice, wallet_after_month=month, wallet_after_payment=paid_at)


def read_credits(connection: duckdb.DuckDBPyConnection, month_key: str) -> dict[str, Decimal]:
    """By invoice: what a total below 0 puts into the payer's wallet, major units. None in a
    warehouse of an earlier release."""
    if "wallet_credits" not in table_names(connection, "main"):
        return {}
    return dict(connection.execute(_CREDITS, [month_key]).fetchall())


def _invoice(
    row: tuple[Any, ...], lines: list[tuple[Any, ...]], month_key: str, credit: Decimal
) -> DesiredInvoice:
    invoice_id, customer_id, currency, total, wallet, method, days, billed_for, *payer = row
    if method == "send_invoice" and days is None:
        days = DEFAULT_DAYS_UNTIL_DUE
    rolled_up = roll_up(
        tuple(
            DesiredLine(line_id, kind, clean_text(text), _minor(amount, currency), *more)
            for _, line_id, kind, text, amount, *more in lines
        )
    )
    invoice = DesiredInvoice(
        invoice_id=invoice_id,
        month_key=month_key,
        payer=Payer(customer_id, *payer),
        currency=currency.upper(),
        lines=rolled_up,
        collection_method=method or "charge_automatically",
        days_until_due=int(days) if method == "send_invoice" else None,
        wallet_applied=to_minor(Decimal(wallet or 0) - credit, currency),
        committed=sum(line.amount for line in rolled_up if line.kind == "commitment"),
        billed_for=tuple(billed_for),
    )
    if invoice.total != to_minor(Decimal(total), currency):
        raise InconsistentInvoiceError(
            f"invoice {invoice_id} of customer {customer_id}: the lines add up to "
            f"{invoice.total} and the total is {total} {currency}"
        )
    return invoice


# A month has many equal amounts.
@lru_cache(maxsize=100_000)
def _minor(amount: str, currency: str) -> int:
    return to_minor(Decimal(amount), currency)
