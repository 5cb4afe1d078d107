"""What the sample's customers use in a month: clean events, by product line.

What belongs here: the events of `traffic(month)`, sorted by time within their stream. What does
not: what goes wrong on the way (flaws.py), and files (files.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from generator.accounts import Account, Subscription
from generator.contract import MONTHS, Event, chance, month_window
from generator.price_book import CLUSTERS, STUDIO_METRICS, STUDIO_TIERS

Window = tuple[datetime, datetime]
# An event without its id: customer, name, instant, quantity, properties.
Draft = tuple[str, str, datetime, str, str]

# endpoint, cost in cents, how often it is called: by ordinary customers, by those who train models
_ENDPOINTS = (
    ("geocode", "0.4", 30, 10),
    ("translate", "1.25", 25, 10),
    ("vision", "2.5", 20, 20),
    ("transcribe", "4.6", 15, 20),
    ("embed", "0.05", 9, 20),
    ("train", "180", 1, 20),
)
_API_CALLS = (50, 120, 240, 480, 1100)  # a month, by size
_COMMS_EVENTS = (15, 35, 70, 130, 260)
# name, the most that one event stands for (0: one event is one)
_MESSAGES = (("sms_sent", 60), ("email_sent", 150), ("fax_sent", 12), ("file_transferred", 0))
_RESTORATIONS = (4, 8, 14, 24, 60)
_STUDIO_EVENT = {
    "views": "view",
    "renders": "render",
    "ai_generations": "ai_generation",
    "workflow_runs": "workflow_run",
    "bandwidth_gb": "bandwidth_gb",
    "api_requests": "api_request",
}


@dataclass(frozen=True)
class Use:
    """One subscription in one month: `window` is the part of it in which it is active."""

    account: Account
    subscription: Subscription
    window: Window
    month: str
    dice: Random

    @property
    def customer(self) -> str:
        return self.account.customer_id

    @property
    def plan(self) -> str:
        return self.subscription.plan

    @property
    def size(self) -> int:
        return self.account.size

    @property
    def is_first(self) -> bool:
        """Nothing was reported for it before."""
        return self.window[0] == self.subscription.starts_at or self.month == MONTHS[0]

    def instant(self) -> datetime:
        """Any millisecond of the window."""
        span = (self.window[1] - self.window[0]) // timedelta(milliseconds=1)
        return self.window[0] + timedelta(milliseconds=self.dice.randrange(max(span, 1)))

    def times(self, usual: int) -> int:
        """Around `usual` for a full month: the window's share, growth of 6 % a month, chance."""
        start, end = month_window(self.month)
        growth = 100 + 6 * MONTHS.index(self.month)
        permille = 1000 * (self.window[1] - self.window[0]) // (end - start)
        return usual * growth * permille * (70 + self.dice.randrange(61)) // 10_000_000


def traffic(found: list[Account], month: str) -> dict[str, list[Event]]:
    """All events of the month by stream: api, calls, messages, studio, commerce, platform,
    throughput, restoration, departments."""
    streams: dict[str, Callable[[Use], Iterator[Draft]]] = {
        "api": _api,
        "calls": _calls,
        "messages": _messages,
        "studio": _studio,
        "commerce": _commerce,
        "platform": _platform,
        "throughput": _throughput,
        "restoration": _restoration,
    }
    others = [account for account in found if not account.is_by_department]
    return {
        **{name: _stream(others, month, name, make) for name, make in streams.items()},
        "departments": _departments(found, month),
    }


def _stream(
    found: list[Account],
    month: str,
    name: str,
    make: Callable[[Use], Iterator[Draft]],
) -> list[Event]:
    drafts: list[Draft] = []
    for account in found:
        for subscription in account.subscriptions:
            window = subscription.active_in(month)
            if window is not None:
                dice = chance(name, month, subscription.subscription_id)
                drafts += make(Use(account, subscription, window, month, dice))
    drafts.sort(key=lambda draft: (draft[2], draft[0], draft[1], draft[4]))
    stem = f"{name}-{month.replace('-', '')}"
    return [Event(f"{stem}-{number:06d}", *draft) for number, draft in enumerate(drafts, 1)]


def _departments(found: list[Account], month: str) -> list[Event]:
    """What names its subscription, a department's: all but faxes, whose machine they share. After
    the last day of a department its telephones go on reporting."""
    events: list[Event] = []
    for account in found:
        for subscription in account.subscriptions if account.is_by_department else ():
            window = (max(month_window(month)[0], subscription.starts_at), month_window(month)[1])
            last = subscription.ends_at
            if last is not None and last <= window[0]:
                continue
            dice = chance("departments", month, subscription.subscription_id)
            use = Use(account, subscription, window, month, dice)
            drafts = [*_calls(use), *_messages(use)]
            drafts = [one for one in drafts if one[1] == "call" or not last or one[2] < last]
            stem = f"{subscription.subscription_id}-{month.replace('-', '')}"
            for number, draft in enumerate(sorted(drafts), 1):
                named = "" if draft[1] == "fax_sent" else subscription.subscription_id
                events.append(Event(f"{stem}-{number:04d}", *draft, named))
    return sorted(events, key=lambda event: (event.occurred_at, event.event_id))


def _decimal(digits: int, places: int) -> str:
    """`digits` as decimal text with that many places: (725, 2) is 7.25."""
    whole, part = divmod(digits, 10**places)
    return f"{whole}.{part:0{places}d}".rstrip("0").rstrip(".")


def _api(use: Use) -> Iterator[Draft]:
    if not use.plan.startswith("api"):
        return
    trains = int(use.customer[4:]) % 8 == 3
    weights = [row[3] if trains else row[2] for row in _ENDPOINTS]
    usual = _API_CALLS[use.size - 1] * (3 if use.plan == "api-tiered" else 1)
    for _ in range(use.times(usual)):
        endpoint, cost, *_ = use.dice.choices(_ENDPOINTS, weights)[0]
        properties = f'{{"cost_cents": {cost}, "endpoint": "{endpoint}"}}'
        yield use.customer, "api_call", use.instant(), "", properties


def _calls(use: Use) -> Iterator[Draft]:
    if use.plan != "comms":
        return
    for _ in range(use.times(_COMMS_EVENTS[use.size - 1])):
        minutes = _decimal(1 + use.dice.randrange(1 + use.dice.randrange(300)), 1)
        yield use.customer, "call", use.instant(), minutes, ""


def _messages(use: Use) -> Iterator[Draft]:
    if use.plan != "comms":
        return
    for _ in range(use.times(_COMMS_EVENTS[use.size - 1])):
        name, most = use.dice.choices(_MESSAGES, (5, 3, 1, 1))[0]
        quantity = str(1 + use.dice.randrange(most)) if most else ""
        yield use.customer, name, use.instant(), quantity, ""
    # A gauge: reported when the subscription starts and when it changes, else carried forward.
    if use.is_first or use.dice.randrange(6) == 0:
        at = use.window[0] + timedelta(hours=use.dice.randrange(24))
        if at < use.window[1]:
            yield use.customer, "phone_lines", at, str(use.size + use.dice.randrange(3)), ""


def _studio(use: Use) -> Iterator[Draft]:
    if not use.plan.startswith("studio-"):
        return
    level = STUDIO_TIERS.index(use.plan.split("-")[1])
    for meter, _, included, _ in STUDIO_METRICS:
        # Most stay within what is included; one in five goes up to twice over it.
        percent = (
            100 + use.dice.randrange(100)
            if use.dice.randrange(5) == 0
            else 20 + use.dice.randrange(75)
        )
        wanted = included[level] * percent // 100
        if meter == "studio_storage_gb":
            for _ in range(1 + use.dice.randrange(3)):
                size = _decimal(max(1, wanted * (80 + use.dice.randrange(41)) // 10), 1)
                yield use.customer, meter, use.instant(), size, ""
            continue
        times = min(wanted, use.times(8))
        for _ in range(times):
            amount = max(1, wanted // times)
            text = (
                _decimal(amount * 100 + use.dice.randrange(100), 2)
                if meter == "bandwidth_gb"
                else str(amount)
            )
            yield use.customer, _STUDIO_EVENT[meter], use.instant(), text, ""


def _commerce(use: Use) -> Iterator[Draft]:
    """Editors at work and sales in the customers' shops, for the plans that have them."""
    if not use.plan.startswith(("studio-growth", "studio-pro", "studio-enterprise")):
        return
    editors = 2 + use.dice.randrange(2 + 5 * use.size)
    for _ in range(use.times(3 * editors)):
        user = json.dumps({"user": f"u{1 + use.dice.randrange(editors)}"})
        yield use.customer, "editor_session", use.instant(), "", user
    factor = 15000 if use.account.currency == "JPY" else 100
    for _ in range(use.times(12 * use.size)):
        price = _decimal((500 + use.dice.randrange(20000)) * factor // 100 // 100 * 100, 2)
        yield use.customer, "sale", use.instant(), "", f'{{"amount": {price}}}'


def _platform(use: Use) -> Iterator[Draft]:
    """Snapshots of what a customer has: the first day, then now and then. One in twelve months
    is silent, and what was known is carried forward."""
    if not use.plan.startswith("platform"):
        return
    if not use.is_first and use.dice.randrange(12) == 0:
        return
    # The same resources each month: drawn by the subscription, not by the month.
    fixed = chance("resources", use.subscription.subscription_id)
    licence = fixed.choice(("basic", "basic", "professional", "enterprise"))
    cells = [fixed.choice(list(CLUSTERS)) for _ in range(use.size)]
    for snapshot in range(1 if not use.is_first and use.dice.randrange(2) else 2):
        at = use.window[0] if use.is_first and snapshot == 0 else use.instant()
        count = 2 * use.size + use.dice.randrange(4)
        yield use.customer, "licences", at, str(count), json.dumps({"tier": licence})
        for size, environment in dict.fromkeys(cells):
            cell = json.dumps({"size": size, "environment": environment})
            yield use.customer, "clusters", at, str(1 + use.dice.randrange(use.size)), cell
        yield use.customer, "additional_users", at, str(use.dice.randrange(6 * use.size)), ""
        stored = _decimal(use.dice.randrange(12000) * use.size, 2)
        yield use.customer, "platform_storage_gb", at, stored, ""


def _throughput(use: Use) -> Iterator[Draft]:
    if use.plan != "platform":
        return
    at = use.window[0].replace(minute=0, second=0, microsecond=0) + timedelta(hours=6)
    while at < use.window[1]:
        mbps = _decimal(use.size * (100 + use.dice.randrange(400)), 1)
        yield use.customer, "throughput_mbps", at, mbps, ""
        at += timedelta(hours=12)


def _restoration(use: Use) -> Iterator[Draft]:
    if not use.plan.startswith("restoration"):
        return
    usual = _RESTORATIONS[use.size - 1]
    for _ in range(use.times(usual)):
        area = _decimal(1 + use.dice.randrange(60000), 4)
        image = json.dumps({"image": f"scan-{use.dice.randrange(10**5):05d}.tif"})
        yield use.customer, "area_restored", use.instant(), area, image
