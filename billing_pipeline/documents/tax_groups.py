"""Taxes of a document by category and rate, and the net amount of each line under them.

What belongs here: pure rules: net amounts, shares of discounts, the tax category of untaxed lines,
and how a credit note without recorded lines is spread over the rates of the invoice that it
credits. What does not: reading (``issued``), and the format of a standard (``electronic``).

The amounts are those of the rows: nothing is rated or rounded a second time, except where an amount
that contains tax is shown without it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import compress
from typing import Any

from billing_pipeline.documents.issued import IssuedDocument
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.money import CURRENCY_PLACES

_EU = """
AT BE BG HR CY CZ DE DK EE ES FI FR GR HU IE IT LT LU LV MT NL PL PT RO SE SI SK
"""
EU = frozenset(_EU.split())
NOTHING = Decimal(0)

# Why something is not taxed: the code in UNCL 5305, and the sentence that gives the reason.
REASONS = {
    "AE": "Reverse charge: the customer owes the tax (article 196 of directive 2006/112/EC)",
    "E": "Exempt from tax",
    "G": "Export outside the EU: not taxed",
    "K": "Intra-community supply: not taxed",
    "O": "Not subject to tax",
    "Z": "Zero rated",
}


@dataclass(frozen=True)
class Rate:
    """One tax rate on some of the lines."""

    tax_rate_id: str
    percentage: Decimal
    is_inclusive: bool


@dataclass(frozen=True)
class TaxGroup:
    """All lines with the same rates; `net` is without tax, less discounts."""

    category: str
    reason: str
    rates: tuple[Rate, ...] = ()
    net: Decimal = NOTHING
    discount: Decimal = NOTHING
    """Their share of the discounts, without tax."""
    tax: Decimal = NOTHING

    @property
    def key(self) -> tuple[str, tuple[Rate, ...]]:
        return (self.category, self.rates)

    @property
    def percentage(self) -> Decimal:
        return sum((rate.percentage for rate in self.rates), NOTHING)

    @property
    def is_mixed(self) -> bool:
        """True if some of its taxes are included in the amounts and others are added to them."""
        return len({rate.is_inclusive for rate in self.rates}) > 1


@dataclass(frozen=True)
class NetLine:
    """A line without its tax, before discounts."""

    row: Row
    net: Decimal
    group: tuple[str, tuple[Rate, ...]]


@dataclass(frozen=True)
class Breakdown:
    """The lines without tax, and the groups, whose net amounts and taxes add up to the document."""

    lines: list[NetLine]
    groups: list[TaxGroup]

    @property
    def total(self) -> Decimal:
        return sum((group.net + group.tax for group in self.groups), NOTHING)


def breakdown_of(issued: IssuedDocument) -> Breakdown | None:
    """The breakdown of a document; None if neither its own lines are recorded nor those of the
    document that it corrects."""
    if not issued.is_itemized:
        base = issued.corrects and breakdown_of(issued.corrects)
        return spread(issued, base) if base else None
    taxes: dict[str, list[Row]] = defaultdict(list)
    for tax in issued.taxes:
        taxes[tax["line_id"]].append(tax)
    is_mixed = bool(issued.taxes)
    category, reason = untaxed_category(issued.seller, issued.buyer, is_mixed=is_mixed)
    groups: dict[tuple[str, tuple[Rate, ...]], TaxGroup] = {}
    lines = []
    for row in issued.lines:
        if row["kind"] in ("tax", "discount"):
            continue
        of_line = taxes[row["line_id"]]
        group = _group(of_line, category, reason)
        share, amount = Decimal(row["discount_share"]), Decimal(row["amount"])
        included = sum((tax["tax_amount"] for tax in of_line if tax["is_inclusive"]), NOTHING)
        net_after = amount - share - included
        discount = _without_tax(share, net_after, amount - share, row["currency"])
        lines.append(NetLine(row, net_after + discount, group.key))
        known = groups.setdefault(group.key, group)
        groups[group.key] = replace(
            known,
            net=known.net + net_after,
            discount=known.discount + discount,
            tax=known.tax + sum((tax["tax_amount"] for tax in of_line), NOTHING),
        )
    billed = {row["line_id"] for row in issued.lines}
    for of_line in [found for line_id, found in taxes.items() if line_id not in billed]:
        _add_tax_only_changes(of_line, lines, groups)
    return _without_empty(lines, sorted(groups.values(), key=_order))


def _without_empty(lines: list[NetLine], groups: list[TaxGroup]) -> Breakdown:
    """Leave out lines and groups without an amount. A line of which only the share of a discount
    has changed has none: its group has the share. If there are no other lines, they stay, because a
    document needs a line."""
    lines = [line for line in lines if line.net] or lines
    used = {line.group for line in lines}
    is_used = (group.key in used or group.net or group.discount or group.tax for group in groups)
    return Breakdown(lines, list(compress(groups, is_used)))


def _add_tax_only_changes(
    taxes: Sequence[Row],
    lines: list[NetLine],
    groups: dict[tuple[str, tuple[Rate, ...]], TaxGroup],
) -> None:
    """Add a change in the tax of a line that is otherwise unchanged: the tax is rounded once for
    all lines, so another line may shift a unit of it. Tax that the line's amount includes becomes a
    line of its own."""
    tax = sum((row["tax_amount"] for row in taxes), NOTHING)
    included = sum((row["tax_amount"] for row in taxes if row["is_inclusive"]), NOTHING)
    group = _group(taxes, "", "")
    if group.key not in groups and not included:
        ids = {rate.tax_rate_id for rate in group.rates}
        shared = (g for g in groups.values() if ids & {rate.tax_rate_id for rate in g.rates})
        group = next(shared, group)
    if included:
        row = {**_NO_LINE, "amount": -included, "currency": taxes[0]["currency"]}
        lines.append(NetLine(row, -included, group.key))
    known = groups.get(group.key, group)
    groups[group.key] = replace(known, net=known.net - included, tax=known.tax + tax)


def _order(group: TaxGroup) -> tuple[Any, ...]:
    return (-group.percentage, group.category, [rate.tax_rate_id for rate in group.rates])


def _group(taxes: Sequence[Row], category: str, reason: str) -> TaxGroup:
    rates = tuple(
        Rate(tax["tax_rate_id"], Decimal(tax["percentage"]).normalize(), tax["is_inclusive"])
        for tax in sorted(taxes, key=lambda tax: tax["tax_rate_id"])
    )
    if not rates:
        return TaxGroup(category, reason)
    if any(rate.percentage for rate in rates):
        return TaxGroup("S", "", rates)
    return TaxGroup("Z", REASONS["Z"], rates)


def _without_tax(share: Decimal, net: Decimal, gross: Decimal, currency: str) -> Decimal:
    """The discount without tax, where it was given on amounts that contain tax."""
    if net == gross or not share or not gross:
        return share
    return rounded(share * net / gross, currency)


def rounded(amount: Decimal, currency: str) -> Decimal:
    places = CURRENCY_PLACES.get(currency, 2)
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def untaxed_category(seller: Row, buyer: Row, *, is_mixed: bool) -> tuple[str, str]:
    """Category and reason of lines without a rate. `is_mixed`: other lines have one.

    The category in the customer's row takes precedence. Without one, it is reverse charge within
    the EU, an exemption for an exempt customer, and otherwise not subject to tax. A document must
    not mix lines that are not subject to tax with taxed ones, so there they count as exempt.
    """
    given = (buyer.get("tax_category") or "").upper()
    reason = buyer.get("exemption_reason") or ""
    if given:
        is_out = given == "O" and is_mixed
        return "E" if is_out else given, reason or REASONS[given]
    home, away = seller.get("country"), buyer.get("country")
    if home != away and {home, away} <= EU and buyer.get("tax_id") and seller.get("tax_id"):
        return "AE", reason or REASONS["AE"]
    if buyer.get("is_tax_exempt") and seller.get("tax_id"):
        return "E", reason or REASONS["E"]
    if is_mixed:
        return "E", reason or REASONS["O"]
    return "O", reason or REASONS["O"]


def spread(issued: IssuedDocument, base: Breakdown) -> Breakdown | None:
    """Spread a document without recorded lines over the rates of the document that it corrects, in
    proportion to the amounts with tax, by largest remainder."""
    currency = str(issued.document["currency"])
    unit = Decimal(1).scaleb(-CURRENCY_PLACES.get(currency, 2))
    weights = [abs(group.net + group.tax) for group in base.groups]
    whole = sum(weights, NOTHING)
    if not whole:
        return None
    amount = Decimal(issued.document["amount"])
    parts = largest_remainder(int(amount / unit), [int(weight / unit) for weight in weights])
    groups, lines = [], []
    for group, part in zip(base.groups, parts, strict=True):
        gross = part * unit
        net = rounded(gross * 100 / (100 + group.percentage), currency)
        groups.append(replace(group, net=net, discount=NOTHING, tax=gross - net))
        row = {**_NO_LINE, "amount": net, "currency": currency}
        lines.append(NetLine(row, net, group.key))
    return Breakdown(lines, groups)


_NO_LINE: Mapping[str, Any] = {
    "kind": "correction",
    "description": None,
    "customer_id": None,
    "quantity": None,
    "billable_quantity": None,
    "unit_amount": None,
    "charge_model": None,
    "calculation": None,
    "period_start": None,
    "period_end": None,
    "is_whole": False,
}


def largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    """Split `amount` into whole parts in proportion to `weights`; the parts add up to it."""
    whole = sum(weights)
    sign = -1 if amount < 0 else 1
    exact = [divmod(abs(amount) * weight, whole) for weight in weights]
    parts = [quotient for quotient, _ in exact]
    rest = abs(amount) - sum(parts)
    most = sorted(range(len(exact)), key=lambda index: (-exact[index][1], index))
    for index in most[:rest]:
        parts[index] += 1
    return [sign * part for part in parts]
