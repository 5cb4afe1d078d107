"""Why the lines of a plan changed, and the evidence: the file and its rows, the correction, the
price or the account row.

What belongs here: comparing the saved versions of what was billed with the month's warehouse, by
the rule of the report `charge_changes`; and the text that names the evidence. What does not:
amounts, which come from the plan (``collection.plan.line_changes``).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import zip_longest
from typing import Any

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import plain_number
from billing_pipeline.months import BillingMonth
from billing_pipeline.published import account_changes, as_billed
from billing_pipeline.published.reading import attach, utc_session
from billing_pipeline.published.tables import published_tables
from billing_pipeline.settings import Settings
from billing_pipeline.text import first_few

MAX_NAMED = 5
"""How many files, rows and corrections are named one by one."""
FOLLOWS = "follows other lines"
_USAGE_CAUSES = frozenset(["late usage", "usage changed", "usage removed"])
_TERMS_CAUSES = frozenset(["price change", "account change"])


@dataclass(frozen=True)
class ChangedLine:
    """A line that a plan changes: its invoice, and its own id if it has one."""

    invoice_id: str
    line_id: str | None


@dataclass(frozen=True)
class Evidence:
    """What is known about a changed line. `customer_id` is the line's customer, if known. The
    quantities are the charge's: a charge of 0 has no line in Stripe, but its usage was measured."""

    cause: str
    evidence: str
    customer_id: str | None = None
    charge_id: str | None = None
    kind: str | None = None
    quantity_before: Decimal | None = None
    quantity_after: Decimal | None = None


UNKNOWN = Evidence("other", "no record of what it was billed from")

_LINES = """
SELECT line_id, charge_id, kind, customer_id, subscription_id, coupon_id, commitment_id,
    adjustment_id, tax_rate_id
FROM warehouse.main.invoice_lines WHERE list_contains($1, invoice_id)
"""
_FORMER_LINES = """
SELECT DISTINCT line_id, charge_id, kind, customer_id, subscription_id, coupon_id, commitment_id,
    adjustment_id, tax_rate_id
FROM ({saved}) SEMI JOIN before USING (invoice_id, version)
"""
# The evidence for corrections of a closed month was found when it was rated in a scratch home.
_CORRECTED = """
SELECT line_id, customer_id, charge_id, kind, cause, evidence
FROM warehouse.main.corrections WHERE list_contains($1, invoice_id)
"""
# The version before: the newest whose content is not the present one. A run that was cut off after
# saving what it was about to send has left the present content as a version; the one before counts.
_BEFORE = """
CREATE TEMP TABLE before AS
WITH others AS (
    SELECT saved.*
    FROM ({saved}) AS saved
    LEFT JOIN new_versions AS present ON saved.invoice_id = present.invoice_id
    WHERE list_contains($invoice_ids, saved.invoice_id)
        AND saved.content_hash IS DISTINCT FROM present.content_hash
)
SELECT others.* FROM others
QUALIFY version = max(version) OVER (PARTITION BY invoice_id)
"""
_SAVED_IN = "SELECT DISTINCT filename FROM before WHERE invoice_id = $1"
_TERMS = """
SELECT coalesce(before.charge_id, planned.charge_id) AS charge_id,
    'li_' || left(md5(coalesce(before.charge_id, planned.charge_id)), 24) AS line_id,
    coalesce(before.customer_id, planned.customer_id) AS customer_id,
    coalesce(before.invoice_id, planned.invoice_id) AS invoice_id,
    coalesce(before.price_id, planned.price_id) AS price_id,
    coalesce(before.subscription_id, planned.subscription_id) AS subscription_id,
    coalesce(before.meter_id, planned.meter_id) AS meter_id,
    coalesce(planned.period_start, before.period_start) AS period_start,
    coalesce(planned.period_end, before.period_end) AS period_end,
    before.price_terms AS price_terms_before, planned.price_terms AS price_terms_after,
    former.subscription_terms AS subscription_terms_before,
    present.terms AS subscription_terms_after,
    before.quantity AS quantity_before, planned.quantity AS quantity_after,
    before.filename AS saved_in
FROM before
FULL JOIN planned USING (invoice_id, charge_id)
LEFT JOIN (
    SELECT DISTINCT invoice_id, subscription_id, subscription_terms FROM before
) AS former
    ON former.invoice_id = coalesce(before.invoice_id, planned.invoice_id)
    AND former.subscription_id = coalesce(before.subscription_id, planned.subscription_id)
LEFT JOIN present_subscriptions AS present
    ON present.subscription_id = coalesce(before.subscription_id, planned.subscription_id)
"""
# A subscription without any charge is not in `planned`, and an invoice without any is no version
# there: so that the report compares both, they have a row without a charge.
_PRESENT_SUBSCRIPTIONS = f"""
CREATE TEMP TABLE present_subscriptions AS WITH {as_billed.TERMS} SELECT * FROM subscriptions
"""
_COMPARED = f"""
CREATE TEMP VIEW {as_billed.CHARGES} AS
SELECT * EXCLUDE (filename) FROM before
UNION ALL BY NAME SELECT * FROM planned
UNION ALL BY NAME
SELECT DISTINCT before.billing_month, before.invoice_id, before.currency,
    {as_billed.PLANNED} AS version, before.subscription_id, present.terms AS subscription_terms
FROM before
LEFT JOIN present_subscriptions AS present USING (subscription_id)
ANTI JOIN planned USING (invoice_id, subscription_id)
"""
_EVENTS = """
SELECT events.source_file, count(*) AS events, min(events.source_row) AS first_row,
    max(events.source_row) AS last_row,
    list(DISTINCT events.source_row ORDER BY events.source_row)[:{most}] AS some_rows
FROM warehouse.main.metered_events AS events
JOIN warehouse.main.usage_windows AS windows USING (window_id)
WHERE windows.subscription_id = $1 AND windows.price_id = $2 AND windows.window_start = $3
GROUP BY events.source_file ORDER BY events.source_file
"""
# A counter's first increase and a carried gauge rest on readings before the period.
_RESTS_ON = """
SELECT windows.customer_id, windows.event_name,
    coalesce(carried.carried_since, TIMESTAMPTZ '0001-01-01 00:00:00+00') AS since,
    windows.window_start AS until
FROM warehouse.main.usage_windows AS windows
LEFT JOIN warehouse.main.carried_windows AS carried USING (window_id)
WHERE windows.subscription_id = $1 AND windows.price_id = $2 AND windows.window_start = $3
    AND (windows.aggregation = 'counter' OR carried.window_id IS NOT NULL)
"""
_EARLIER_EVENTS = """
SELECT source_file, count(*) AS events, min(source_row) AS first_row, max(source_row) AS last_row,
    list(DISTINCT source_row ORDER BY source_row)[:{most}] AS some_rows
FROM warehouse.main.accepted_events
WHERE customer_id = $1 AND event_name = $2 AND occurred_at >= $3 AND occurred_at < $4
GROUP BY source_file ORDER BY source_file
"""
_CORRECTIONS = """
SELECT corrections.correction_id, corrections.source_row, corrections.quantity, corrections.reason,
    corrections.author
FROM warehouse.raw.usage_corrections AS corrections
JOIN warehouse.raw.meters AS meters USING (event_name)
WHERE corrections.customer_id = $1 AND meters.meter_id = $2
    AND corrections.occurred_at >= $3 AND corrections.occurred_at < $4
ORDER BY corrections.source_row
"""
_EARLIER_CORRECTIONS = """
SELECT correction_id, source_row, quantity, reason, author
FROM warehouse.raw.usage_corrections
WHERE customer_id = $1 AND event_name = $2 AND occurred_at >= $3 AND occurred_at < $4
ORDER BY source_row
"""
_SET_ASIDE = """
SELECT reason, count(*) AS events, list(source_row ORDER BY source_row)[:{most}] AS some_rows,
    min(source_row) AS first_row, max(source_row) AS last_row
FROM warehouse.main.usage_rejections WHERE source_file = $1 GROUP BY reason ORDER BY first_row
"""
_ADJUSTMENT = """
SELECT reason, author FROM warehouse.raw.adjustments WHERE adjustment_id = $1
"""


def find_evidence(
    settings: Settings, month: BillingMonth, changed: Sequence[ChangedLine]
) -> dict[ChangedLine, Evidence]:
    """The evidence for each changed line, from the month's warehouse and the versions as billed."""
    if not changed:
        return {}
    with utc_session() as connection:
        attach(connection, settings.warehouse_path(month), "warehouse")
        return _Search(connection, settings, month, changed).all()


class _Search:
    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        settings: Settings,
        month: BillingMonth,
        changed: Sequence[ChangedLine],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._month = month
        self._changed = changed
        self._invoice_ids = sorted({line.invoice_id for line in changed})
        self._present = as_billed.read_inputs(connection, settings, month)
        self._rejections: dict[str, str] = {}
        self._is_compared = False  # `before` and `planned` are there
        self._subscriptions: dict[str, str] = {}  # what differs in their rows

    def all(self) -> dict[ChangedLine, Evidence]:
        corrected = {
            row["line_id"]: Evidence(
                row["cause"], row["evidence"], row["customer_id"], row["charge_id"], row["kind"]
            )
            for row in rows(self._connection, _CORRECTED, self._invoice_ids)
        }
        charges = self._charge_evidence()
        lines = self._lines()
        known = corrected | charges | self._elsewhere()
        moved: dict[str, set[str]] = defaultdict(set)
        for line in self._changed:
            kind = lines[line.line_id or ""]["kind"] if line.line_id in lines else None
            moved[line.invoice_id].add("charge" if line.line_id in charges else kind or "")
        return {
            line: known.get(line.line_id or "")
            or self._other_line_evidence(
                line, lines.get(line.line_id or ""), moved[line.invoice_id]
            )
            for line in self._changed
        }

    def _lines(self) -> dict[str, Row]:
        """By id: the lines of the invoices, those that are no longer there as they were saved."""
        lines = {row["line_id"]: row for row in rows(self._connection, _LINES, self._invoice_ids)}
        saved = self._saved(as_billed.LINES)
        if saved is None or not self._is_compared:
            return lines
        former = rows(self._connection, _FORMER_LINES.format(saved=saved))
        return {row["line_id"]: row for row in former} | lines

    def _saved(self, table: str) -> str | None:
        return as_billed.versions_query(self._settings, self._month, table)

    def _elsewhere(self) -> dict[str, Evidence]:
        if not self._is_compared:
            return {}
        return {
            line_id: Evidence(
                account_changes.CAUSE,
                text,
                charge["customer_id"],
                charge["charge_id"],
                "charge",
                charge["quantity_before"],
                charge["quantity_after"],
            )
            for line_id, (charge, text) in account_changes.charges_elsewhere(
                self._connection
            ).items()
        }

    def _charge_evidence(self) -> dict[str, Evidence]:
        """By line id: the evidence for charges that differ from the saved version that was
        billed."""
        saved = as_billed.versions_query(
            self._settings, self._month, as_billed.CHARGES, with_files=True
        )
        if saved is None:
            return {}
        as_billed.planned_charges(self._connection, self._settings, self._month, self._invoice_ids)
        self._connection.execute(_BEFORE.format(saved=saved), {"invoice_ids": self._invoice_ids})
        self._connection.execute(_PRESENT_SUBSCRIPTIONS)
        self._connection.execute(_COMPARED)
        self._is_compared = True
        report = published_tables(self._settings).reports["charge_changes"].query
        found = rows(self._connection, _TERMS)
        self._subscriptions = {
            charge["subscription_id"]: "; ".join(_subscription_evidence(charge)) for charge in found
        }
        same_price = {charge["charge_id"] for charge in found if _is_same_price(charge)}
        causes = {
            row["charge_id"]: _without_price(row["cause"])
            if row["charge_id"] in same_price
            else row["cause"]
            for row in rows(self._connection, report)
        }
        wanted = {line.line_id for line in self._changed}
        return {
            charge["line_id"]: self._evidence(charge, causes[charge["charge_id"]].split(", "))
            for charge in found
            if charge["line_id"] in wanted and charge["charge_id"] in causes
        }

    def _evidence(self, charge: Row, causes: Sequence[str]) -> Evidence:
        usage = self._usage(charge, causes) if _USAGE_CAUSES & {*causes} else []
        if not usage and _TERMS_CAUSES & {*causes}:
            # Another validity, filter or end counts other events of the same files.
            causes = [cause for cause in causes if cause not in _USAGE_CAUSES]
        parts = [*usage]
        if "correction" in causes:
            parts += self._corrections(charge)
        if "price change" in causes:
            parts += price_evidence(
                charge["price_id"], charge["price_terms_before"], charge["price_terms_after"]
            )
        if "account change" in causes:
            parts += _subscription_evidence(charge)
        return Evidence(
            ", ".join(causes),
            "; ".join(parts) or UNKNOWN.evidence,
            charge["customer_id"],
            charge["charge_id"],
            "charge",
            charge["quantity_before"],
            charge["quantity_after"],
        )

    def _usage(self, charge: Row, causes: Sequence[str]) -> list[str]:
        """The files that are new or changed since then, with the rows that count for the charge or
        were read before its period; corrections of such readings; and the files that are gone, or,
        if there is nothing else, that have other content."""
        saved = as_billed.saved_inputs(charge["saved_in"]) if charge["saved_in"] else None
        known: Mapping[str, str] = (saved or {}).get("usage_files", {})
        files: Mapping[str, str] = self._present["usage_files"]
        window = (charge["subscription_id"], charge["price_id"], charge["period_start"])
        read = rows(self._connection, _EVENTS.format(most=MAX_NAMED), *window)
        corrected: list[Row] = []
        earlier: Mapping[str, str] | None = (saved or {}).get("earlier_files")
        if earlier is not None:  # an earlier release has not saved which files there were
            known, files = {**earlier, **known}, {**self._present["earlier_files"], **files}
            for rests_on in rows(self._connection, _RESTS_ON, *window):
                readings = (*rests_on.values(),)
                read += rows(self._connection, _EARLIER_EVENTS.format(most=MAX_NAMED), *readings)
                corrected += rows(self._connection, _EARLIER_CORRECTIONS, *readings)
        new = [row for row in read if known.get(row["source_file"]) != files[row["source_file"]]]
        gone = [f"{name} is gone" for name in sorted(known.keys() - files.keys())]
        texts = [f"{rows_text(row)}{self._set_aside(row['source_file'])}" for row in new]
        found = [*texts, *self._new_corrections(charge, corrected)]
        if not found and "late usage" in causes and _TERMS_CAUSES & {*causes}:
            return []
        both = sorted(known.keys() & files.keys())
        edited = [f"{name} was changed" for name in both if known[name] != files[name]]
        return first_few([*found, *gone] or edited, MAX_NAMED)

    def _set_aside(self, file: str) -> str:
        """The rows of the same file that were set aside, and why."""
        if file not in self._rejections:
            found = rows(self._connection, _SET_ASIDE.format(most=MAX_NAMED), file)
            texts = [f"{row_numbers(row)} {row['reason']}" for row in found]
            self._rejections[file] = f" (set aside of it: {', '.join(texts)})" if texts else ""
        return self._rejections[file]

    def _corrections(self, charge: Row) -> list[str]:
        window = (charge["customer_id"], charge["meter_id"])
        period = (charge["period_start"], charge["period_end"])
        found = rows(self._connection, _CORRECTIONS, *window, *period)
        gone = sorted(self._known_corrections(charge) - {*self._present["corrections"]})
        texts = self._new_corrections(charge, found)
        return first_few([*texts, *(f"correction {name} is gone" for name in gone)], MAX_NAMED)

    def _new_corrections(self, charge: Row, found: Sequence[Row]) -> list[str]:
        known = self._known_corrections(charge)
        return [
            f"accounts/usage_corrections.csv row {row['source_row']} ({row['correction_id']}): "
            f"{_reason_and_author(_plain(row['quantity']), row['reason'], row['author'])}"
            for row in found
            if row["correction_id"] not in known
        ]

    def _known_corrections(self, charge: Row) -> set[str]:
        """Those that there were when the charge was saved."""
        saved = as_billed.saved_inputs(charge["saved_in"]) if charge["saved_in"] else None
        return {*(saved or {}).get("corrections", [])}

    def _other_line_evidence(
        self, changed: ChangedLine, line: Row | None, moved: set[str]
    ) -> Evidence:
        """The evidence for a line that is not a charge: a discount, a minimum, a tax, an adjustment
        or a commitment. `moved`: the kinds of the invoice's lines that change."""
        follows = "the other lines of the invoice"
        if line is None:
            return Evidence(FOLLOWS, follows) if "charge" in moved else UNKNOWN
        kind = line["kind"]
        owner = {"customer_id": line["customer_id"], "charge_id": line["charge_id"], "kind": kind}
        if kind == "adjustment":
            name = line["adjustment_id"]
            text = f"accounts/adjustments.csv {name}"
            for row in rows(self._connection, _ADJUSTMENT, name):
                text += f": {_reason_and_author(row['reason'], row['author'])}"
            return Evidence("adjustment", text, **owner)
        if kind == "charge":
            return Evidence(**vars(UNKNOWN) | owner)
        taxed = self._taxed_elsewhere.get(changed.invoice_id) if kind == "tax" else None
        if taxed is not None:
            return Evidence(account_changes.CAUSE, taxed, **owner)
        # Taxes are on all lines, and discounts on charges and minimums, which fill up charges.
        bases = {"minimum": {"charge"}, "discount": {"charge", "minimum"}}
        if moved & bases.get(kind, {"charge"}) or (kind == "tax" and moved - {"tax", ""}):
            return Evidence(FOLLOWS, follows, **owner)
        spent = self._spent_since(changed.invoice_id, line["commitment_id"])
        if spent is not None:
            return Evidence(FOLLOWS, spent, **owner)
        cell = {"discount": "coupon_id", "minimum": "minimum_amount"}.get(kind)
        account = self._subscriptions.get(line["subscription_id"] or "", "")
        if cell is not None and f" {cell} " in account:
            return Evidence(account_changes.CAUSE, account, **owner)
        cause, place = {
            "tax": ("tax change", f"catalog/tax_rates.csv {line['tax_rate_id']}"),
            "discount": ("coupon change", f"catalog/coupons.csv {line['coupon_id']}"),
            "minimum": ("account change", f"accounts/subscriptions.csv {line['subscription_id']}"),
        }.get(kind, ("account change", f"accounts/commitments.csv {line['commitment_id']}"))
        return Evidence(cause, place, **owner)

    def _spent_since(self, invoice_id: str, commitment_id: str | None) -> str | None:
        """What earlier months have spent of a commitment, if that was another amount when the
        invoice was billed."""
        present = self._present["spent_before"].get(commitment_id)
        if present is None or not self._is_compared:
            return None
        for row in rows(self._connection, _SAVED_IN, invoice_id):
            saved = as_billed.saved_inputs(row["filename"]) or {}
            before = saved.get("spent_before", {}).get(commitment_id, present)
            if before != present:
                return (
                    f"earlier months have spent {_plain(Decimal(present))} of commitment "
                    f"{commitment_id}; {_plain(Decimal(before))} when this was billed"
                )
        return None

    @cached_property
    def _taxed_elsewhere(self) -> dict[str, str]:
        parties = self._saved(as_billed.PARTIES)
        if parties is None or not self._is_compared:
            return {}
        return account_changes.taxed_elsewhere(self._connection, parties)


def _subscription_evidence(charge: Row) -> list[str]:
    return account_evidence(
        charge["subscription_id"],
        charge["subscription_terms_before"],
        charge["subscription_terms_after"],
    )


def _is_same_price(charge: Row) -> bool:
    """True if only the form of the terms differs: a new release may add columns."""
    before, after = charge["price_terms_before"], charge["price_terms_after"]
    if before is None or after is None:
        return False
    return price_evidence("", before, after) == ["catalog/prices.csv "]


def _without_price(cause: str) -> str:
    return ", ".join(part for part in cause.split(", ") if part != "price change") or "other"


def rows_text(row: Mapping[str, Any]) -> str:
    """``usage/2024-01/late.csv rows 2, 3``."""
    return f"{row['source_file']} {row_numbers(row)}"


def row_numbers(row: Mapping[str, Any]) -> str:
    """``rows 2, 3``."""
    some, count = row["some_rows"], row["events"]
    if count == 1:
        return f"row {some[0]}"
    if count <= len(some):
        return f"rows {', '.join(map(str, some))}"
    return f"rows {row['first_row']} to {row['last_row']} ({count:,} events)"


def price_evidence(price_id: str, before: str | None, after: str | None) -> list[str]:
    """The differences between two versions of a price's terms, which are JSON objects: the price's
    row, its tiers and its meter."""
    place = f"catalog/prices.csv {price_id}"
    if before is None or after is None:
        return [f"{place} {'is new' if before is None else 'is gone'}"]
    found: list[str] = []
    for former, present in zip_longest(_objects(before), _objects(after)):
        shown: Mapping[str, Any] = present or former or {}
        if "up_to" in shown:
            bound = _plain(shown["up_to"]) if shown["up_to"] is not None else "the last"
            row = f"catalog/price_tiers.csv {price_id} up to {bound}"
        elif "event_name" in shown:
            row = f"catalog/meters.csv {shown.get('meter_id')}"
        else:
            row = place
        found += _differences(row, former, present)
    return found or [place]


def account_evidence(subscription_id: str, before: str | None, after: str | None) -> list[str]:
    """The differences between two versions of a subscription's row."""
    place = f"accounts/subscriptions.csv {subscription_id}"
    found: list[str] = []
    for former, present in zip_longest(_objects(before or ""), _objects(after or "")):
        found += _differences(place, former, present)
    return found or [place]


def _differences(
    row: str, former: Mapping[str, Any] | None, present: Mapping[str, Any] | None
) -> Iterator[str]:
    if former is None or present is None:
        yield f"{row} {'is new' if former is None else 'is gone'}"
        return
    changes = [
        f"{name} {_shown(former.get(name))} → {_shown(present.get(name))}"
        for name in {**former, **present}
        if former.get(name) != present.get(name)
    ]
    if changes:
        yield f"{row}: {', '.join(changes)}"


def _objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects that follow one another in a text, including nested ones."""
    decoder = json.JSONDecoder(parse_float=Decimal)
    found: list[dict[str, Any]] = []
    place = 0
    while place < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except ValueError:
            return found
        found += _flat(value)
    return found


def _flat(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, dict):
        own = {name: item for name, item in value.items() if not isinstance(item, (dict, list))}
        if own:
            yield own
        for item in value.values():
            yield from _flat(item)


def _shown(value: Any) -> str:
    return "nothing" if value is None else _plain(value)


def _plain(value: Any) -> str:
    """A number as people write it; any other value unchanged."""
    if isinstance(value, Decimal):
        return plain_number(value)
    return str(value)


def _reason_and_author(*parts: str | None) -> str:
    *reasons, author = parts
    texts = [reason for reason in reasons if reason]
    return ", ".join([*texts, f"by {author}"] if author else texts)


def causes_by_invoice(
    found: Iterable[tuple[ChangedLine, Evidence]],
) -> dict[str, str]:
    """What changed each invoice, in a few words. A line that changed only because other lines did
    is not a cause."""
    causes: dict[str, list[str]] = defaultdict(list)
    for line, evidence in found:
        for cause in evidence.cause.split(", "):
            if cause not in causes[line.invoice_id]:
                causes[line.invoice_id].append(cause)
    return {
        invoice_id: ", ".join(sorted({*names} - {FOLLOWS}) or [FOLLOWS])
        for invoice_id, names in causes.items()
    }
