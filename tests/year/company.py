"""A small company on the sample's price book, and its files as they come and change in a year.

What belongs here: the inputs by the calendar. What does not: what is done in Stripe (`acts.py`).
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
YEAR = 2024
SENT = ("send_invoice", "14", "")
CUSTOMERS: Mapping[str, tuple[str, str, str, str, str]] = {
    # country, currency, collection method, days until due, payment method
    "maps": ("DE", "EUR", *SENT),
    "gate": ("US", "USD", "charge_automatically", "", "pm_card_visa"),
    "fails": ("US", "USD", "charge_automatically", "", "pm_card_chargeCustomerFail"),
    "debit": ("DE", "EUR", "charge_automatically", "", "pm_success_de"),
    "phone": ("US", "USD", "charge_automatically", "", "pm_card_visa"),
    "broke": ("US", "USD", "charge_automatically", "", ""),
    "trial": ("US", "USD", "charge_automatically", "", "pm_card_visa"),
}
_SUBSCRIPTIONS = (
    ("s-maps", "maps", "restoration", "2024-01-01"),
    ("s-gate", "gate", "api", "2024-01-01"),
    ("s-fails", "fails", "api", "2024-01-10"),
    ("s-debit", "debit", "studio-starter-eur", "2023-11-01"),
    ("s-phone", "phone", "comms", "2024-01-01"),
    ("s-broke", "broke", "comms", "2024-03-01"),
)
_SOURCES = (
    ("gateway", "gateway-*.csv"),
    ("studio", "studio-*.csv"),
    ("maps", "maps-*.csv"),
)
_TOP_UPS = {
    # day: id, customer, amount, kind, expires at
    date(2024, 1, 3): ("top-1", "phone", "30", "top_up", ""),
    date(2024, 2, 5): ("gift", "phone", "5", "grant", "2024-03-10T00:00:00Z"),
    date(2024, 4, 17): ("top-2", "broke", "40", "top_up", ""),
    date(2024, 5, 6): ("top-3", "phone", "60", "top_up", ""),
    date(2024, 8, 12): ("top-4", "broke", "25", "top_up", ""),
    date(2024, 9, 2): ("gift-2", "broke", "10", "grant", "2024-10-20T00:00:00Z"),
    date(2024, 11, 4): ("top-5", "phone", "50", "top_up", ""),
}


class Company:
    """Its data directory. `morning` brings what comes on a day, and says it for the diary."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "data" / "catalog", folder / "catalog")
        (folder / "accounts").mkdir()
        shutil.copy(ROOT / "data/accounts/seller.csv", folder / "accounts")
        sources = [(name, pattern, "monthly") for name, pattern in _SOURCES]
        self._write("catalog/sources", ("source", "file_pattern", "expected"), sources)
        columns = ("customer_id", "name", "email", "country", "currency", "collection_method")
        self._write(
            "accounts/customers",
            (*columns, "days_until_due", "payment_method"),
            [
                (name, name.title(), f"{name}@example.com", country, currency, way, days, method)
                for name, (country, currency, way, days, method) in CUSTOMERS.items()
            ],
        )
        self._subscriptions = [(*row, "") for row in _SUBSCRIPTIONS]
        self._wallets: list[Sequence[str]] = []
        self._corrections: list[Sequence[str]] = []
        self._save()

    def _write(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        path = self.folder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new.csv").with_name(f".{path.name}")
        with new.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])
        new.replace(path)

    def _save(self) -> None:
        columns = ("subscription_id", "customer_id", "plan_id", "starts_at", "ends_at")
        self._write("accounts/subscriptions", columns, self._subscriptions)
        columns = ("transaction_id", "customer_id", "amount", "currency", "occurred_at", "kind")
        self._write("accounts/wallet_transactions", (*columns, "expires_at"), self._wallets)
        columns = ("correction_id", "customer_id", "event_name", "occurred_at", "quantity")
        more = ("properties", "reason", "author")
        self._write("accounts/usage_corrections", (*columns, *more), self._corrections)

    def morning(self, day: date) -> list[str]:
        events = self._files(day)
        if day in _TOP_UPS:
            name, customer, amount, kind, expires = _TOP_UPS[day]
            self._wallets.append((name, customer, amount, "USD", f"{day}T00:00:00Z", kind, expires))
            events.append(f"{kind.replace('_', '-')} {name}: {customer} has {amount}.00 USD more")
        change = _CHANGES.get(day)
        if change is not None:
            events.append(change(self))
        self._save()
        return events

    # Usage.
    def _files(self, day: date) -> list[str]:
        """The gateway delivers each week, the others once a month is over; one week comes three
        weeks late, and the studio's whole June is late as well."""
        events = []
        if day.day in (8, 15, 22):
            events += self._gateway(day - timedelta(days=7), day)
        if day.day == 1:
            before = day - timedelta(days=1)
            events += self._gateway(before.replace(day=22), day)
            if before.month != 6:
                events += self._studio(before)
            events += self._maps(before)
        if day == date(YEAR, 4, 9):
            events += self._gateway(date(YEAR, 3, 15), date(YEAR, 3, 22), late=True)
        if day == date(YEAR, 7, 6):
            events += self._studio(date(YEAR, 6, 30))
        return events

    def _gateway(self, since: date, until: date, *, late: bool = False) -> list[str]:
        if since.year != YEAR:
            return []
        if since == date(YEAR, 3, 15) and not late:
            return [f"the gateway's file of {since} does not come"]
        rows: list[Sequence[object]] = []
        for offset in range((until - since).days):
            day = since + timedelta(days=offset)
            at = f"{day}T10:00:00Z"
            for name, cost in (("gate", 45 + 5 * day.month), ("fails", 70)):
                event = f"{name}-{day}"
                rows.append((event, name, "api_call", at, "", json.dumps({"cost_cents": cost})))
            for name, texts in (("phone", 20), ("broke", 9)):
                if name == "phone" or day.month >= 3:
                    rows.append((f"{name}-{day}", name, "sms_sent", at, texts, ""))
        return self._usage(since, f"gateway-{since:%d}", rows)

    def _studio(self, last: date) -> list[str]:
        first = last.replace(day=1)
        rows: list[Sequence[object]] = [
            (
                f"{name}-{last}-{what}",
                name,
                what,
                f"{first + timedelta(days=9)}T12:00:00Z",
                used,
                "",
            )
            for name in ("debit", *(("trial",) if 3 <= last.month <= 11 else ()))
            for what, used in (("view", 12_000 + 500 * last.month), ("render", 150))
        ]
        return self._usage(last, "studio-all", rows)

    def _maps(self, last: date) -> list[str]:
        at = f"{last.replace(day=12)}T08:00:00Z"
        rows = [(f"maps-{last}", "maps", "area_restored", at, f"{100 + last.month}.5", "")]
        return self._usage(last, "maps-all", rows)

    def _usage(self, of: date, name: str, rows: Sequence[Sequence[object]]) -> list[str]:
        if of.year != YEAR:
            return []
        columns = ("event_id", "customer_id", "event_name", "occurred_at", "quantity", "properties")
        path = f"usage/{of:%Y-%m}/{name}"
        cells = [[str(cell) for cell in row] for row in rows]
        self._write(path, columns, cells)
        return [f"{path}.csv has come"]

    # Changes that people make.
    def subscribe(self) -> str:
        self._subscriptions.append(("s-trial", "trial", "studio-starter", "2024-03-05", ""))
        return "trial begins studio-starter, 14 days for nothing"

    def upgrade(self) -> str:
        row = self._subscriptions.pop()
        self._subscriptions += [
            (*row[:4], "2024-07-01"),
            ("s-trial", "trial", "studio-pro", "2024-07-01", ""),
        ]
        return "trial will be on studio-pro from 1 July"

    def cancel(self) -> str:
        row = self._subscriptions.pop()
        self._subscriptions.append((*row[:4], "2024-11-15"))
        return "trial ends its subscription on 15 November"

    def raise_price(self) -> str:
        path = self.folder / "catalog/prices.csv"
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        [old] = [row for row in rows if row["price_id"] == "restored-m2"]
        new = old | {"unit_amount": "1.10", "valid_from": "2024-09-01T00:00:00Z"}
        old["valid_to"] = "2024-09-01T00:00:00Z"
        columns = list(old)
        cells = [[row[name] for name in columns] for row in [*rows, new]]
        self._write("catalog/prices", columns, cells)
        return "restoration will cost 1.10 EUR a square metre from 1 September"

    def correct(self) -> str:
        self._corrections.append(
            ("cor-1", "phone", "sms_sent", "2024-09-12T00:00:00Z", "-30", "", "sent twice", "ops")
        )
        return "30 texts of phone in September are taken back"


_CHANGES: Mapping[date, Callable[[Company], str]] = {
    date(YEAR, 3, 4): Company.subscribe,
    date(YEAR, 6, 25): Company.upgrade,
    date(YEAR, 8, 20): Company.raise_price,
    date(YEAR, 10, 9): Company.correct,
    date(YEAR, 11, 10): Company.cancel,
}


def moment(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
