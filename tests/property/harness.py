"""Runs the pipeline and the oracle, and reports in a few lines where they differ.

What belongs here: the only import of `billing_pipeline` in this folder, reading its tables, and
the comparison. What does not: expectations; those come from the oracle.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from billing_pipeline.rating.month import StripeMovement
from tests.property.calculations import NotRedoneError, redo, redo_line
from tests.property.invoicing import Bill
from tests.property.oracle import Charge, Part, Result, bill, describe
from tests.property.tables import World, write
from tests.property.values import EXPONENTS, decimal_text, iso, micros, round_half_away
from tests.property.world_maker import Setting, makes
from tests.property.worlds import make_data_set, world_id, zone_of

T = TypeVar("T")
Row = dict[str, Any]
Tables = dict[str, list[Row]]
TABLES = (
    "charges",
    "metered_usage",
    "charge_tiers",
    "invoice_lines",
    "invoices",
    "usage_rejections",
    "usage_issues",
    "unpriced_usage",
    "wallet_ledger",
    "wallet_lots",
    "entitlement_usage",
    "margins",
)
# Reported beside a rejection: an event that one meter could not read and others could.
REPORTS = frozenset({"missing_property", "invalid_property"})


def run_pipeline(
    data_dir: Path,
    month: str,
    timezone: str,
    home: Path | None = None,
    taken: Iterable[tuple[str, str, str, Decimal, Decimal]] = (),
    moved: Iterable[StripeMovement] = (),
    *,
    keeps_views: bool = False,
) -> Tables:
    """Rate one month of a data directory with the pipeline; its tables as rows, times in UTC.

    `taken`: the wallet amounts of the months' invoices, `moved`: what moved wallets in Stripe, both
    as for `rate_month`, and so is `keeps_views`.
    """
    from billing_pipeline.months import BillingMonth
    from billing_pipeline.settings import Settings
    from tests.compiled_models import rate_month

    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings.from_env(
            {
                "BILLING_DATA_DIR": str(data_dir),
                "BILLING_HOME": str(home or scratch),
                "BILLING_TIMEZONE": timezone,
                "BILLING_FIRST_MONTH": "2020-01-01",
            }
        )
        chosen = BillingMonth.parse(month)
        warehouse = rate_month(settings, chosen, taken, moved, keeps_views=keeps_views)
        return read_tables(warehouse)


def read_tables(warehouse: Path) -> Tables:
    tables: Tables = {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name in TABLES:
            cursor = connection.execute(f'select * from main."{name}"')
            columns = [column[0] for column in cursor.description or []]
            tables[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return tables


# --- comparison ------------------------------------------------------------------------------


@dataclass
class Difference:
    """One value that differs from the oracle's."""

    world: str
    place: str
    column: str
    pipeline: object
    oracle: object
    detail: str = ""

    def __str__(self) -> str:
        text = f"[{self.world}] {self.place}: {self.column}\n"
        text += f"    pipeline {self.pipeline}\n    oracle   {self.oracle}\n"
        return text + "".join(f"    {line}\n" for line in self.detail.splitlines())


@dataclass
class Comparison:
    """The result of one data set."""

    setting: Setting
    cases: int
    charges: int
    differences: list[Difference] = field(default_factory=list)
    unproven: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """By customer, what the calculator of a proof computes otherwise."""
    proven: int = 0
    """Cases whose charges stand in a proof that was computed: on an invoice of the month."""

    def report(self, most: int = 8) -> str:
        """The first difference of each world: its others usually follow from it."""
        shown: dict[str, Difference] = {}
        for difference in self.differences:
            shown.setdefault(difference.world, difference)
        parts = [
            f"{self.setting}: {len(self.differences)} differences in {len(shown)} worlds "
            f"of {self.cases} cases\n"
        ]
        parts += [f"{customer}: {finding}\n" for customer, finding in self.unproven[:most]]
        return "".join([*parts, *(str(item) for item in list(shown.values())[:most])])


def compare(tables: Tables, result: Result, world: World) -> list[Difference]:
    """All differences, charges first, because they explain the others."""
    return [
        *_charges(tables, result),
        *_metered(tables, result),
        *_tiers(tables, result),
        *_calculations(tables),
        *_invoices(tables, result),
        *_rejections(tables, result, world),
        *_wallets(tables, result),
        *_entitlements(tables, result),
        *_issues(tables, result),
        *_unpriced(tables, result),
        *_margins(tables, result),
    ]


def check(
    world: World, setting: Setting, directory: Path | None = None, *, proofs: bool = False
) -> Comparison:
    """Write the world, run both, compare. `directory` keeps the data for a closer look; `proofs`:
    the invoices' own calculator computes them as well."""
    unproven: list[tuple[str, dict[str, Any]]] = []
    proven = 0
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as home:
        data_dir = directory or Path(scratch)
        write(world, data_dir, zone_of(setting))
        tables = run_pipeline(
            data_dir, setting.month, setting.timezone, Path(home), keeps_views=True
        )
        if proofs:
            from tests.proofs import disagreements, proofs_of

            warehouse = Path(home) / "months" / setting.month / "warehouse.duckdb"
            found = proofs_of(warehouse)
            unproven = disagreements(found)
            charges = (charge for proof in found for charge in proof["charges"])
            proven = len({(charge["subscription_id"], charge["price_id"]) for charge in charges})
    result = bill(world, setting.month, setting.timezone)
    differences = compare(tables, result, world)
    return Comparison(setting, result.cases, len(result.charges), differences, unproven, proven)


def check_seed(
    seed: int | str,
    indexes: range | list[int],
    setting: Setting,
    directory: Path | None = None,
    *,
    proofs: bool = False,
) -> Comparison:
    """The worlds with these numbers of a seed."""
    return check(make_data_set(seed, indexes, setting), setting, directory, proofs=proofs)


def exact(value: object) -> Fraction:
    """A DECIMAL or whole number of DuckDB; a DOUBLE has no place in these tables."""
    if isinstance(value, (Decimal, int)):
        return Fraction(value)
    raise TypeError(f"{value!r} is {type(value).__name__}, neither a decimal nor a whole number")


def _part(row: Row) -> Part:
    start, end = row["period_start"], row["period_end"]
    return (row["subscription_id"], row["price_id"], _micros(start), _micros(end))


def _micros(value: datetime) -> int:
    assert value.tzinfo is not None, f"{value} has no zone"
    return micros(value)


def _place(part: Part) -> str:
    return f"{part[0]} {part[1]} {iso(part[2])} .. {iso(part[3])}"


def _keyed(rows: Iterable[Row]) -> Iterator[tuple[Part, Row]]:
    seen = set()
    for row in rows:
        key = _part(row)
        assert key not in seen, f"two rows for {_place(key)}"
        seen.add(key)
        yield key, row


def _missing(
    name: str, found: Iterable[tuple[str, ...]], wanted: Iterable[tuple[str, ...]]
) -> Iterator[Difference]:
    """Rows that only one of both has. The first text of a key names the world."""
    found, wanted = set(found), set(wanted)
    for key in sorted(found ^ wanted):
        has = (key in found, key in wanted)
        yield Difference(world_id(key[0]), " ".join(map(str, key)), f"{name} row", *has)


def _differing(
    world: str,
    place: str,
    pairs: Mapping[str, tuple[object, object]],
    detail: str = "",
) -> Iterator[Difference]:
    for column, (found, wanted) in pairs.items():
        if found != wanted:
            yield Difference(world, place, column, _shown(found), _shown(wanted), detail)


def _shown(value: object) -> object:
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return decimal_text(value) if isinstance(value, Fraction) else value


def _numbered(
    rows: Iterable[tuple[Part, tuple[Fraction, Fraction], T]],
) -> dict[tuple[Part, int], T]:
    """Charges of one part by amount and quantity: a fee in advance and its credit share theirs."""
    found: dict[Part, list[tuple[tuple[Fraction, Fraction], T]]] = defaultdict(list)
    for part, figures, row in rows:
        found[part].append((figures, row))
    return {
        (part, place): row
        for part, charges in found.items()
        for place, (_, row) in enumerate(sorted(charges, key=lambda charge: charge[0]))
    }


def _charge_pairs(
    tables: Tables, result: Result
) -> Iterator[tuple[Part, Row | None, Charge | None]]:
    """The pipeline's and the oracle's charge for the same part."""
    found = _numbered(
        (_part(row), (exact(row["exact_amount"]), exact(row["quantity"])), row)
        for row in tables["charges"]
    )
    wanted = _numbered(
        (key[:4], (row.exact_amount, row.quantity), row) for key, row in result.charges.items()
    )
    for key in sorted(found.keys() | wanted.keys()):
        yield key[0], found.get(key), wanted.get(key)


def _charges(tables: Tables, result: Result) -> Iterator[Difference]:
    for part, row, charge in _charge_pairs(tables, result):
        world, place = world_id(part[0]), _place(part)
        if row is None or charge is None:
            detail = describe(charge) if charge else str(row)
            has = (row is not None, charge is not None)
            yield Difference(world, place, "charge", *has, detail)
            continue
        pairs: dict[str, tuple[object, object]] = {
            "exact_amount": (exact(row["exact_amount"]), charge.exact_amount),
            "amount": (exact(row["amount"]), charge.amount),
            "currency": (row["currency"], charge.currency),
            "quantity": (exact(row["quantity"]), round_half_away(charge.quantity, 18)),
            "billable_quantity": (
                exact(row["billable_quantity"]),
                round_half_away(charge.billable_quantity, 18),
            ),
        }
        yield from _differing(world, place, pairs, describe(charge))


def _metered(tables: Tables, result: Result) -> Iterator[Difference]:
    found = dict(_keyed(tables["metered_usage"]))
    for key in found.keys() ^ result.metered.keys():
        has = (key in found, key in result.metered)
        yield Difference(world_id(key[0]), _place(key), "metered_usage row", *has)
    for key in found.keys() & result.metered.keys():
        row, metered = found[key], result.metered[key]
        yield from _differing(
            world_id(key[0]),
            _place(key),
            {
                "metered quantity": (
                    exact(row["quantity"]),
                    round_half_away(metered.quantity, 18),
                ),
                "event_count": (row["event_count"], metered.event_count),
                "meter_id": (row["meter_id"], metered.meter_id),
            },
        )


def _tiers(tables: Tables, result: Result) -> Iterator[Difference]:
    """Tiers with a quantity or an amount; it does not matter whether others are listed."""
    found: dict[object, list[list[Fraction]]] = defaultdict(list)
    for row in tables["charge_tiers"]:
        figures = [exact(row[name]) for name in ("from_quantity", "quantity", "exact_amount")]
        if figures[1] or figures[2]:
            found[row["charge_id"]].append(figures)
    for part, charge_row, charge in _charge_pairs(tables, result):
        if charge_row is None or charge is None:
            continue
        exact_tiers = [
            [
                tier.from_quantity,
                round_half_away(tier.quantity, 18),
                round_half_away(tier.exact, 12),
            ]
            for tier in charge.tiers
        ]
        wanted = [figures for figures in exact_tiers if figures[1] or figures[2]]
        listed = sorted(found[charge_row["charge_id"]])
        pairs: dict[str, tuple[object, object]] = {"tiers": (listed, sorted(wanted))}
        yield from _differing(world_id(part[0]), _place(part), pairs, describe(charge))


def _calculations(tables: Tables) -> Iterator[Difference]:
    """The calculation of each charge and line, recalculated from its text, gives its amount."""
    for row in tables["charges"]:
        world, place = world_id(row["subscription_id"]), _place(_part(row))
        recomputed: object
        try:
            recomputed = list(redo(row["calculation"], EXPONENTS[row["currency"]]))
        except NotRedoneError as error:
            recomputed = str(error)
        amounts = [exact(row["exact_amount"]), exact(row["amount"])]
        pairs: dict[str, tuple[object, object]] = {"calculation": (recomputed, amounts)}
        yield from _differing(world, place, pairs, row["calculation"])
    for line in tables["invoice_lines"]:
        if line["kind"] == "charge":
            continue
        try:
            recomputed = redo_line(line["kind"], line["calculation"], EXPONENTS[line["currency"]])
        except NotRedoneError as error:
            recomputed = str(error)
        pairs = {"calculation": (recomputed, exact(line["amount"]))}
        place = f"line {line['line_id']} {line['kind']}"
        yield from _differing(world_id(line["customer_id"]), place, pairs, line["calculation"])


FIGURES = ("subtotal", "discount", "tax", "tax_included", "total", "wallet_applied", "amount_due")
KINDS = ("charge", "minimum", "discount", "commitment", "overage", "adjustment", "tax")


def _invoices(tables: Tables, result: Result) -> Iterator[Difference]:
    found = {(row["customer_id"], row["currency"]): row for row in tables["invoices"]}
    yield from _missing("invoice", found, result.invoices)
    lines: dict[str, list[Row]] = defaultdict(list)
    for line in tables["invoice_lines"]:
        lines[line["invoice_id"]].append(line)
    for key in found.keys() & result.invoices.keys():
        row, invoice = found[key], result.invoices[key]
        pairs: dict[str, tuple[object, object]] = {
            name: (exact(row[name]), getattr(invoice, name)) for name in FIGURES
        }
        for kind in KINDS:
            amounts = sorted(
                exact(line["amount"])
                for line in lines[row["invoice_id"]]
                if line["kind"] == kind and line["amount"] != 0
            )
            pairs[f"{kind} lines"] = (amounts, invoice.of_kind(kind))
        if _keeps_credit(invoice):
            del pairs["amount_due"]
        yield from _differing(world_id(key[0]), f"invoice {key}", pairs, str(invoice.lines))


def _keeps_credit(invoice: Bill) -> bool:
    """Until the pipeline has lots: what it does with a total below 0 is not compared."""
    return invoice.total < 0 and not makes("lots")


def _rejections(tables: Tables, result: Result, world: World) -> Iterator[Difference]:
    rows = {(file, number): row for file, number, row in world.numbered_usage()}
    found: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in tables["usage_rejections"]:
        if row["reason"] not in REPORTS:
            found[(row["source_file"], row["source_row"])].add(row["reason"])
    wanted = {(row.source_file, row.source_row): row.reasons for row in result.rejections}
    for key in sorted(found.keys() | wanted.keys()):
        reasons = found.get(key, set())
        # A row with several faults may be reported for any of them, but once.
        if len(reasons) != 1 or not reasons <= wanted.get(key, frozenset()):
            read = rows.get(key)
            cells = read.cells if read is not None else None
            world_name = world_id((cells or {}).get("event_id") or "a row")
            where = f"{key[0]} row {key[1]}"
            expected = sorted(wanted.get(key, []))
            yield Difference(world_name, where, "reason", sorted(reasons), expected, str(read))


def _wallets(tables: Tables, result: Result) -> Iterator[Difference]:
    """The balance after the month's last transaction, including those of invoices."""
    took = {key for key, invoice in result.invoices.items() if invoice.wallet_applied}
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(tables["wallet_ledger"], key=lambda row: row["movement_number"]):
        last[(row["customer_id"], row["currency"])] = row
    yield from _missing("wallet", took & last.keys(), took)
    for key, row in last.items():
        if key in result.invoices and _keeps_credit(result.invoices[key]):
            continue
        pairs = {"balance": (exact(row["balance_after"]), result.wallets.get(key, Fraction(0)))}
        yield from _differing(world_id(key[0]), f"wallet {key}", pairs)


def _entitlements(tables: Tables, result: Result) -> Iterator[Difference]:
    found = {(row["customer_id"], row["feature"]): row for row in tables["entitlement_usage"]}
    yield from _missing("entitlement", found, result.entitlements)
    for key in found.keys() & result.entitlements.keys():
        row, wanted = found[key], result.entitlements[key]
        limit, remaining = row["limit_quantity"], row["remaining"]
        pairs: dict[str, tuple[object, object]] = {
            "plan_id": (row["plan_id"], wanted.plan_id),
            "limit": (None if limit is None else exact(limit), wanted.limit),
            "remaining": (None if remaining is None else exact(remaining), wanted.remaining),
            "state": (row["state"], wanted.state),
        }
        if wanted.used is not None:
            pairs["used"] = (exact(row["used"] or 0), wanted.used)
        yield from _differing(world_id(key[0]), f"entitlement {key}", pairs)


def _issues(tables: Tables, result: Result) -> Iterator[Difference]:
    """Events alone: that a metered quantity is below 0 is compared with the quantity."""
    found = Counter(
        (row["customer_id"], row["meter_id"], f"{row['source_file']} row {row['source_row']}")
        for row in tables["usage_issues"]
        if row["event_id"] is not None
    )
    for issue, count in found.items():
        if count > 1:
            yield Difference(world_id(issue[0]), " ".join(issue), "issue rows", count, 1)
    yield from _missing("issue", found, result.unread)
    several = "charged_by_several_subscriptions"
    shared = [row for row in tables["usage_issues"] if row["reason"] == several]
    yield from _missing(
        several, [(row["customer_id"], row["meter_id"]) for row in shared], result.shared
    )


def _unpriced(tables: Tables, result: Result) -> Iterator[Difference]:
    keys = ("customer_id", "event_name", "reason")
    found = {tuple(row[name] for name in keys): row for row in tables["unpriced_usage"]}
    yield from _missing("unpriced usage", found, result.unpriced)
    for key, wanted in result.unpriced.items():
        if (row := found.get(key)) is None:
            continue
        pairs: dict[str, tuple[object, object]] = {
            "quantity": (exact(row["quantity"]), wanted.quantity),
            "event_count": (row["event_count"], wanted.event_count),
            "first_at": (_micros(row["first_at"]), wanted.first_at),
            "last_at": (_micros(row["last_at"]), wanted.last_at),
        }
        yield from _differing(world_id(key[0]), " ".join(key), pairs)


def _margins(tables: Tables, result: Result) -> Iterator[Difference]:
    keys = ("customer_id", "plan_id", "meter_id", "currency")
    found = {tuple(row[name] or "" for name in keys): row for row in tables["margins"]}
    yield from _missing("margin", found, result.margins)
    for key, wanted in result.margins.items():
        if (row := found.get(key)) is None:
            continue
        pairs: dict[str, tuple[object, object]] = {
            "revenue": (exact(row["revenue"]), wanted.revenue),
            "cost": (exact(row["cost"]), wanted.cost),
            "margin": (exact(row["margin"]), wanted.revenue - wanted.cost),
            "exact_cost": (exact(row["exact_cost"]), wanted.exact_cost),
        }
        yield from _differing(world_id(key[0]), f"margin {' '.join(key)}", pairs)
