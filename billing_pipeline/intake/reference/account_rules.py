"""Rules of sellers, customers, subscriptions, wallets and corrections that need more than one cell.

What belongs here: one small function for each rule, from tables to problems. What does not: rules
of the price book (catalog_rules.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice, pairwise

from billing_pipeline.code_lists import electronic_address
from billing_pipeline.intake.problems import Problem, shown
from billing_pipeline.intake.reference.dbt_vars import AGGREGATIONS
from billing_pipeline.intake.reference.inheritance import PlanPrice
from billing_pipeline.intake.reference.rows import LoadedTable, Row

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)
_ADDED_TO = tuple(name for name, known in AGGREGATIONS.items() if known.adds_up)


# The ranges that the header of DATEV's format allows.
_DATEV_NUMBERS = {"datev_consultant": (1001, 9_999_999), "datev_client": (1, 99_999)}


def electronic_address_problems(table: LoadedTable) -> Iterator[Problem]:
    for row in table.rows:
        text = row["electronic_address"]
        if isinstance(text, str) and electronic_address(text) is None:
            yield row.problem(
                "electronic_address",
                f"{shown(text)} is neither scheme:value with a scheme of the EAS list, for example "
                "0088:5412345000013, nor an e-mail address",
            )


def seller_problems(seller: LoadedTable) -> Iterator[Problem]:
    for row in seller.rows:
        for column, (least, most) in _DATEV_NUMBERS.items():
            number = row[column]
            if isinstance(number, int) and not least <= number <= most:
                yield row.problem(column, f"{number} is not a number from {least} to {most}")
    for row in islice(seller.rows, 1, None):
        yield row.problem("name", "is a second seller; an invoice has one")


def customer_problems(customers: LoadedTable) -> Iterator[Problem]:
    """Two customers with one Stripe customer, which would take each other's invoices for their
    own."""
    first: dict[object, Row] = {}
    for row in customers.rows:
        if row.has("stripe_customer_id") and not row.bad & {"stripe_customer_id", "customer_id"}:
            other = first.setdefault(row["stripe_customer_id"], row)
            if other["customer_id"] != row["customer_id"]:
                yield row.problem(
                    "stripe_customer_id",
                    f"this stripe_customer_id is in row {other.number} already",
                )


def bill_to_problems(customers: LoadedTable) -> Iterator[Problem]:
    """More than one level of `bill_to`: a customer whose lines are on another's invoice has no
    invoice of their own."""
    by_id: dict[object, list[Row]] = defaultdict(list)
    for row in customers.rows:
        by_id[row["customer_id"]].append(row)
    for rows in by_id.values():
        rows.sort(key=_valid_from)
    for row in customers.rows:
        payer = row["bill_to"]
        if payer is None or "bill_to" in row.bad:
            continue
        if payer == row["customer_id"]:
            yield row.problem("bill_to", "is the customer itself; leave it empty")
            continue
        for other in by_id.get(payer, ()):
            if other.has("bill_to") and _valid_together(row, other, by_id):
                yield row.problem(
                    "bill_to",
                    f"{shown(str(payer))} is itself billed to {shown(str(other['bill_to']))} then "
                    f"(row {other.number}); only one level is possible",
                )


def _valid_from(row: Row) -> datetime:
    found = row["valid_from"]
    return found if isinstance(found, datetime) else _BEGINNING


def _valid_together(one: Row, other: Row, by_id: Mapping[object, Sequence[Row]]) -> bool:
    """True if both rows are valid at some instant; a customer's first row also counts before its
    start."""

    def window(row: Row) -> tuple[datetime, datetime]:
        rows = by_id[row["customer_id"]]
        place = next(index for index, found in enumerate(rows) if found.number == row.number)
        start = _valid_from(row) if place else _BEGINNING
        return start, _valid_from(rows[place + 1]) if place + 1 < len(rows) else _END

    (start, end), (other_start, other_end) = window(one), window(other)
    return max(start, other_start) < min(end, other_end)


def adjustment_problems(adjustments: LoadedTable, subscriptions: LoadedTable) -> Iterator[Problem]:
    if not subscriptions.is_complete:
        return
    owners = {row["subscription_id"]: row["customer_id"] for row in subscriptions.rows}
    for row in adjustments.rows:
        owner = owners.get(row["subscription_id"])
        if owner is not None and row.has("customer_id") and owner != row["customer_id"]:
            yield row.problem(
                "subscription_id",
                f"{shown(str(row['subscription_id']))} is a subscription of {shown(str(owner))}",
            )


def commitment_problems(commitments: LoadedTable) -> Iterator[Problem]:
    for row in commitments.rows:
        starts_at, ends_at = row["starts_at"], row["ends_at"]
        if not isinstance(starts_at, datetime) or not isinstance(ends_at, datetime):
            continue
        if ends_at <= starts_at:
            yield row.problem("ends_at", "must be later than starts_at")
        if row["kind"] == "prepaid" and row["price_ids"] is not None:
            yield row.problem(
                "price_ids", "must be empty: what is prepaid is credit, which pays for everything"
            )


def subscription_problems(subscriptions: LoadedTable) -> Iterator[Problem]:
    for row in subscriptions.rows:
        starts_at, ends_at = row["starts_at"], row["ends_at"]
        # Equal times mean a subscription that was never active: cancelled before it began.
        if not isinstance(starts_at, datetime) or not isinstance(ends_at, datetime):
            continue
        if ends_at < starts_at:
            yield row.problem("ends_at", "is before starts_at")


def subscription_version_problems(subscriptions: LoadedTable) -> Iterator[Problem]:
    """Rows of one subscription_id that belong to several customers or overlap in time."""
    versions: dict[object, list[Row]] = defaultdict(list)
    for row in subscriptions.rows:
        if row.has("subscription_id"):
            versions[row["subscription_id"]].append(row)
    for rows in versions.values():
        first = rows[0]
        for row in rows[1:]:
            if row.has("customer_id") and row["customer_id"] != first["customer_id"]:
                yield row.problem(
                    "customer_id",
                    f"row {first.number} gives the same subscription_id to "
                    f"{shown(str(first['customer_id']))}; all versions of a subscription are of "
                    "one customer",
                )
        yield from _overlapping_versions(rows)


def _overlapping_versions(rows: list[Row]) -> Iterator[Problem]:
    timed = [row for row in rows if row.has("starts_at") and "ends_at" not in row.bad]
    # A row that was never active overlaps with nothing; a wrong order of times is reported
    # elsewhere.
    active = [row for row in timed if _ends_at(row) > _starts_at(row)]
    active.sort(key=lambda row: (_starts_at(row), row.number))
    for before, row in pairwise(active):
        if _starts_at(row) < _ends_at(before):
            yield row.problem(
                "starts_at",
                f"overlaps with row {before.number}, another version of the same subscription_id; "
                "end that one (ends_at) where this one begins",
            )


def _starts_at(row: Row) -> datetime:
    value = row["starts_at"]
    assert isinstance(value, datetime)
    return value


def _ends_at(row: Row) -> datetime:
    value = row["ends_at"]
    return value if isinstance(value, datetime) else _END


def charge_id_problems(
    subscriptions: LoadedTable, prices: Mapping[str, Sequence[PlanPrice]]
) -> Iterator[Problem]:
    """A charge's id is a hash of its subscription and price joined by `|`: price `c` of `a|b` and
    price `b|c` of `a` would share it while both subscriptions are active. Billed charges have such
    ids, so the ids stay as they are and the clash is refused."""
    priced: dict[object, set[str]] = defaultdict(set)
    for plan_id, found in prices.items():
        priced[plan_id].update(price.price_id for price in found)
    if not any("|" in price_id for price_ids in priced.values() for price_id in price_ids):
        return
    by_id: dict[object, list[Row]] = defaultdict(list)
    for row in subscriptions.rows:
        by_id[row["subscription_id"]].append(row)
    for row in subscriptions.rows:
        pieces = str(row["subscription_id"]).split("|")
        for cut in range(1, len(pieces)):
            for other in by_id.get("|".join(pieces[:cut]), []):
                if _overlap(row, other):
                    rest = pieces[cut:]
                    yield from _clashes(row, other, rest, priced)


def _clashes(
    row: Row, other: Row, rest: list[str], priced: dict[object, set[str]]
) -> Iterator[Problem]:
    for price_id in sorted(priced[row["plan_id"]]):
        longer = "|".join([*rest, price_id])
        if longer in priced[other["plan_id"]]:
            yield row.problem(
                "subscription_id",
                f"its charges by price {shown(price_id)} would have the ids of those of "
                f"{shown(str(other['subscription_id']))} (row {other.number}) by price "
                f"{shown(longer)}: `|` separates both; give one of them another id",
            )


def _overlap(one: Row, other: Row) -> bool:
    """True if both subscriptions are active at some time."""
    return all(
        not isinstance(first["ends_at"], datetime)
        or not isinstance(second["starts_at"], datetime)
        or second["starts_at"] < first["ends_at"]
        for first, second in ((one, other), (other, one))
    )


# Names under which movements that are not in the file are posted in Stripe.
_RESERVED_NAMES = (
    "billing_expiry:",
    "billing_commitment:",
    "billing_credit:",
    "billing_payment:",
)


def wallet_problems(transactions: LoadedTable) -> Iterator[Problem]:
    """Signs, priorities and expiries: top-ups and grants are positive, refunds and expiries
    negative. Only what comes in has a priority and may expire, after it came in."""
    for row in transactions.rows:
        amount, kind = row["amount"], row["kind"]
        if kind in ("refund", "expiry"):
            for column in ("expires_at", "priority"):
                if row[column] is not None:
                    yield row.problem(
                        column,
                        f"must be empty: {kind} takes money out, and only what comes in has it",
                    )
        name = row["transaction_id"]
        for reserved in _RESERVED_NAMES:
            if isinstance(name, str) and name.startswith(reserved):
                yield row.problem("transaction_id", f"must not begin with {reserved}")
        came, expires = row["occurred_at"], row["expires_at"]
        if isinstance(came, datetime) and isinstance(expires, datetime) and expires <= came:
            yield row.problem("expires_at", "must be after occurred_at")
        if not isinstance(amount, Decimal) or kind is None:
            continue
        if kind in ("top_up", "grant") and amount <= 0:
            yield row.problem("amount", f"{amount:f} must be above 0: a {kind} fills the wallet")
        if kind in ("refund", "expiry") and amount >= 0:
            yield row.problem("amount", f"{amount:f} must be below 0: {kind} takes money out")


def correction_problems(corrections: LoadedTable, meters: LoadedTable) -> Iterator[Problem]:
    if not meters.is_complete:
        return
    aggregations: dict[object, set[str]] = defaultdict(set)
    unsure = set()
    for meter in meters.rows:
        aggregations[meter["event_name"]].add(str(meter["aggregation"]))
        if "aggregation" in meter.bad:
            unsure.add(meter["event_name"])
    for row in corrections.rows:
        name = row["event_name"]
        if name is None or name in unsure:
            continue
        if name not in aggregations:
            yield row.problem(
                "event_name", f"{shown(str(name))} is read by no meter of {meters.file}"
            )
        elif aggregations[name] == {"custom"}:
            yield row.problem(
                "event_name",
                f"{shown(str(name))} is only read by custom meters; corrections add to "
                f"{', '.join(_ADDED_TO)} meters and are readings of gauges",
            )
        elif not aggregations[name] & set(_ADDED_TO):
            quantity = row["quantity"]
            if isinstance(quantity, Decimal) and quantity < 0:
                yield row.problem(
                    "quantity",
                    f"{quantity:f} is negative; {shown(str(name))} is read by gauges, of which a "
                    "correction is a reading",
                )
