"""What all parts of a made-up world share: its randomness, its clock, and its stock of numbers.

What belongs here: values at the edges where billing goes wrong. What does not: rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta, timezone
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import TypeVar
from zoneinfo import ZoneInfo

from tests.property.intake import month_edges
from tests.property.tables import World
from tests.property.values import DAY, decimal_text, instant_of, read_instant

T = TypeVar("T")
HOUR = DAY // 24
CURRENCIES = ("USD", "EUR", "EUR", "JPY", "KWD", "GBP", "TND", "KRW")
COUNTRIES = ("DE", "FR", "US", "CA", "BR", "AT", "CH", "JP", "KW", "IN", "NZ", "")

# Features of the contract's second edition that the worlds make.
FEATURES: tuple[str, ...] = (
    "filters",  # lists, bounds, filter_rest
    "versions",  # subscriptions whose quantity, plan, coupon or minimum changes
    "gauges by share",  # prorate empty or true for a gauge, and gauges that do not carry forward
    "meters",  # counter, gauge_hours, percentiles, group_by, bucket, event_rounding
    "event amounts",  # bounds of each event, free events
    "included_per",  # allowances for each seat
    "named subscriptions",  # events for one subscription only
    "tiers by version",
    "based_on",  # plans that are based on others
    "intervals",  # prices with a billing period of their own, and anniversaries
    "coupons",  # several, and on some prices
    "regions",  # regions and tax codes
    "dated customers",
    "lots",  # wallets whose lots expire and have priorities; a credit goes to the wallet
    "adjustments",
    "bill_to",
    "commitments",
    "costs",  # what usage costs, of the worlds' meters
)

WIDE = ("intervals", "regions", "dated customers")


def makes(feature: str) -> bool:
    """Whether the worlds have this feature of the second edition."""
    return feature in FEATURES


@dataclass(frozen=True)
class Setting:
    """The month and zone a data set is billed in. Without `thirty_days`, by calendar only; without
    `is_wide`, without what WIDE lists: such worlds try more of the rest."""

    month: str
    timezone: str
    thirty_days: bool = True
    is_wide: bool = True

    def __str__(self) -> str:
        return f"{self.month}@{self.timezone}"


@lru_cache(maxsize=64)
def clock_changes(month: str, timezone_name: str) -> tuple[int, ...]:
    """The instants at which the zone's offset changes in the month."""
    zone = ZoneInfo(timezone_name)
    start, end = month_edges(month, zone)
    offsets = [
        (at, instant_of(at).astimezone(zone).utcoffset()) for at in range(start, end, HOUR // 2)
    ]
    pairs = pairwise(offsets)
    return tuple(after[0] for before, after in pairs if before[1] != after[1])


def other_month(month: str, shift: int) -> str:
    index = int(month[:4]) * 12 + int(month[5:7]) - 1 + shift
    return f"{index // 12:04}-{index % 12 + 1:02}"


@dataclass
class Maker:
    """A world in the making."""

    random: Random
    prefix: str
    setting: Setting
    world: World = field(default_factory=World)
    edges: list[int] = field(default_factory=list)  # instants at which something changes

    def __post_init__(self) -> None:
        self.zone = ZoneInfo(self.setting.timezone)
        self.start, self.end = month_edges(self.setting.month, self.zone)
        changes = clock_changes(self.setting.month, self.setting.timezone)
        middle = self.start + 15 * DAY
        self.edges = [self.start, self.end, middle, *changes]

    def makes(self, feature: str) -> bool:
        return makes(feature) and (self.setting.is_wide or feature not in WIDE)

    # --- chance ---

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def one_of(self, *choices: T) -> T:
        return self.random.choice(choices)

    def id(self, name: str, number: int | str = "") -> str:
        return f"{self.prefix}-{name}{number}"

    # --- time ---

    def instant(self) -> int:
        """In or at the edge of the month; often just before, at or after something changes."""
        if self.chance(0.5):
            return self.random.choice(self.edges) + self.one_of(-1, 0, 0, 0, 1)
        if self.chance(0.3):
            return self.start + self.random.randrange(28) * DAY
        return self.random.randrange(self.start, self.end)

    def edge(self) -> int:
        """An instant at which something else changes from now on."""
        at = self.instant()
        self.edges.append(at)
        return at

    def inside(self, start: int, end: int) -> int:
        """An instant of [start, end), the first and last microsecond included."""
        known = [at + shift for at in self.edges for shift in (-1, 0, 1)]
        known = [at for at in known if start <= at < end]
        if self.chance(0.4):
            return self.random.choice([start, end - 1, *known])
        return self.random.randrange(start, end)

    def written(self, at: int) -> str:
        """One of the ways of ISO 8601 to write an instant."""
        moment = instant_of(at)
        ways = [moment.isoformat().replace("+00:00", "Z"), moment.isoformat(" ")]
        offset = timezone(timedelta(minutes=self.one_of(-330, -60, 60, 120, 345, 840)))
        ways.append(moment.astimezone(offset).isoformat())
        local = moment.astimezone(self.zone).replace(tzinfo=None)
        local_ways = [local.isoformat(), local.isoformat(" "), local.isoformat()[:10]]
        if local.microsecond:
            local_ways.append(local.isoformat() + "000")
        # An hour that occurs twice can only be written without offset for its second time, but a
        # day's midnight for its first.
        ways += [way for way in local_ways if read_instant(way, self.zone) == at]
        return self.random.choice(ways)

    # --- numbers ---

    def decimal(self, digits: int, places: int) -> Fraction:
        """A random number of at most so many digits before, and exactly so many places after."""
        return Fraction(self.random.randrange(10 ** (digits + places)), 10**places)

    def quantity(self) -> Fraction:
        kind = self.random.randrange(10)
        if kind < 4:
            return Fraction(self.random.randrange(0, 12))
        if kind < 6:
            return self.decimal(2, self.one_of(1, 2))
        if kind == 6:
            return self.decimal(2, 18)
        if kind == 7:
            return Fraction(1, 10**18)
        if kind == 8:
            return self.decimal(self.one_of(3, 6), 3)
        # Times a price of 10^5 and the hours of a year this stays below 10^20: the pipeline
        # computes in 38 digits with 18 of them behind the point, and refuses what is larger.
        return self.decimal(11, self.one_of(0, 6, 18))

    def money(self) -> Fraction:
        kind = self.random.randrange(10)
        if kind < 3:
            return Fraction(self.random.randrange(0, 40))
        if kind < 6:
            return self.decimal(2, 2)
        if kind == 6:
            return self.decimal(1, 12)
        if kind == 7:
            return self.one_of(
                Fraction(1, 200), Fraction(1, 10**12), Fraction(1, 2000), Fraction(1, 2)
            )
        if kind == 8:
            return self.decimal(1, 4)
        return self.decimal(5, self.one_of(0, 2, 12))

    def money_text(self) -> str:
        return decimal_text(self.money())

    def some_money(self) -> str:
        """Not 0."""
        return decimal_text(self.money() or Fraction(3, 2))

    def maybe_money(self, probability: float) -> str:
        return self.money_text() if self.chance(probability) else ""
