"""What goes wrong with usage on its way: everything real usage has, and a pipeline must bear.

What belongs here: copies, conflicts, late and broken rows. What does not: clean usage (traffic.py).
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from random import Random

from generator.accounts import Account
from generator.contract import MONTHS, Event, chance, iso, month_window

WITHOUT_ARCHIVES = "2024-03"  # the month whose file of the archives never came
LATE_EVERY = 40  # of the API calls of a month with a late file


def take_late(month: str, events: list[Event]) -> tuple[list[Event], list[Event]]:
    """Splits off what one gateway delivered late; only in every third month."""
    if MONTHS.index(month) % 3 != 2:
        return events, []
    late = events[LATE_EVERY // 2 :: LATE_EVERY]
    lost = {event.event_id for event in late}
    return [event for event in events if event.event_id not in lost], late


def by_sender(found: list[Account], events: list[Event]) -> tuple[list[Event], list[Event]]:
    """The scans of the archives, which have a file of their own, and those of everybody else."""
    archives = {one.customer_id for one in found if one.segment == "restoration-volume"}
    return (
        [event for event in events if event.customer_id in archives],
        [event for event in events if event.customer_id not in archives],
    )


def replayed(month: str, streams: dict[str, list[Event]]) -> list[Event]:
    """A gateway that sends again: exact copies, and two ids that were used for something else."""
    dice = chance("replay", month)
    again = [dice.choice(streams[name]) for name in ("api", "messages", "restoration") * 10]
    copies = list(dict.fromkeys(again))
    called = [event for event in streams["calls"] if event not in copies][:2]
    return copies + [replace(event, quantity="999") for event in called]


def unpriced(month: str, streams: dict[str, list[Event]], scanning: str) -> list[Event]:
    """Good events of February that nothing charges: a licence tier that no filter of a price
    names, and the scans of one customer in the month before their price begins."""
    if month != "2024-02":
        return []
    start, _ = month_window(month)
    licence = next(event for event in streams["platform"] if event.event_name == "licences")
    educational = replace(
        licence, event_id="pilot-01", quantity="4", properties='{"tier": "educational"}'
    )
    scans = [
        Event(f"pilot-{number:02d}", scanning, "scan", start + timedelta(days=10, hours=number))
        for number in range(2, 5)
    ]
    return [educational, *scans]


def broken_lines(month: str, streams: dict[str, list[Event]]) -> list[str]:
    """A client in its beta: JSON lines, most of which must be set aside with a reason."""
    dice = chance("broken", month)
    start, end = month_window(month)
    api = streams["api"]
    prefix = f"beta-{month.replace('-', '')}"

    def line(number: int, **changed: object) -> str:
        event: dict[str, object] = {
            "event_id": f"{prefix}-{number:02d}",
            "customer_id": dice.choice(api).customer_id,
            "event_name": "api_call",
            "occurred_at": iso(start + timedelta(hours=30 + dice.randrange(500))),
            "properties": {"cost_cents": 0.4, "endpoint": "geocode"},
        }
        event.update(changed)
        return json.dumps({key: value for key, value in event.items() if value is not None})

    sms = {"event_name": "sms_sent", "properties": None}
    lines = [
        line(1),  # nothing wrong with this one
        line(2, customer_id="cus-9999"),
        line(3, customer_id="test-account"),
        line(4, event_name="api_cal"),
        line(5, event_name="heartbeat", properties=None),
        line(6, quantity=-3, **sms),
        line(7, quantity="-0.5", **sms),
        line(8, quantity="three", **sms),
        line(9, quantity="NaN", **sms),
        line(10, quantity="1e400", **sms),
        line(11, occurred_at=iso(end + timedelta(hours=5))),
        line(12, occurred_at=iso(start - timedelta(milliseconds=1))),
        line(13, occurred_at="yesterday"),
        line(14, event_id=None),
        line(15, customer_id=None),
        line(16, properties={"endpoint": "vision"}),  # no cost: reported for that meter, counts
        line(17, properties={"cost_cents": "free", "endpoint": "vision"}),
        line(18, properties="not an object"),
        line(19)[:-9],  # cut off in the middle
        '["this", "is", "no", "object"]',
    ]
    return _mixed(dice, lines)


def _mixed(dice: Random, lines: list[str]) -> list[str]:
    dice.shuffle(lines)
    return lines
