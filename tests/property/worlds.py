"""Made-up worlds: small, strange, and valid; many of them together are one data directory.

What belongs here: putting a world together from its catalog, accounts and usage, seeds, and the
Hypothesis strategies. What does not: the pieces (world_catalog.py, world_accounts.py,
world_usage.py), and any opinion on what a world costs (oracle.py).

Every id of a world begins with its prefix, so worlds merge without touching each other: one build
of the pipeline rates hundreds of them, and a wrong line names the world it comes from.
"""

from __future__ import annotations

from random import Random
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.property.tables import World, merge
from tests.property.world_accounts import add_accounts
from tests.property.world_catalog import add_catalog, add_costs, add_tax_rates
from tests.property.world_maker import Maker, Setting, makes
from tests.property.world_usage import add_usage

# Months with something to get wrong: leap February, clock changes by an hour and by half of one,
# zones off the hour, the turn of the year, a month of 28 days, and edges whose midnight occurs
# twice or never.
SETTINGS = (
    Setting("2024-02", "Asia/Kolkata", is_wide=False),
    Setting("2024-03", "Europe/Berlin"),
    Setting("2024-11", "America/New_York"),
    Setting("2024-04", "UTC", thirty_days=False),
    Setting("2024-10", "Australia/Lord_Howe"),
    Setting("2025-01", "America/St_Johns"),
    Setting("2023-02", "UTC"),
    Setting("2024-10", "Europe/Berlin"),
    Setting("2024-12", "Pacific/Auckland"),
    Setting("2024-03", "America/New_York", thirty_days=False),
    Setting("2024-04", "Australia/Lord_Howe"),
    Setting("2025-03", "Asia/Kathmandu"),
    Setting("2020-10", "America/Havana"),
    Setting("2020-11", "America/Havana"),
    Setting("2023-09", "America/Asuncion", thirty_days=False),
)


def make_world(random: Random, prefix: str, setting: Setting) -> World:
    """One small world of a few customers, plans, prices and events, all ids under `prefix`."""
    maker = Maker(random, prefix, setting)
    add_catalog(maker)
    add_accounts(maker)
    add_usage(maker)
    if makes("costs"):
        add_costs(maker)
    return maker.world


def numbered_world(seed: int | str, index: int, setting: Setting) -> World:
    """World number `index` of a seed: the same one whatever other worlds are made."""
    random = Random(f"{seed}/{setting.month}/{setting.timezone}/{index}")
    return make_world(random, f"w{index:05}", setting)


def make_taxes(seed: int | str, setting: Setting) -> World:
    """The tax rates that all worlds of a seed and setting share: they hang on countries."""
    maker = Maker(Random(f"{seed}/{setting.month}/{setting.timezone}/tax"), "tax", setting)
    add_tax_rates(maker)
    return maker.world


def make_data_set(seed: int | str, indexes: range | list[int], setting: Setting) -> World:
    """The worlds with these numbers, merged, with their taxes."""
    worlds = [numbered_world(seed, index, setting) for index in indexes]
    return merge([make_taxes(seed, setting), *worlds])


def world_id(any_id: str) -> str:
    """The prefix of an id: the world it belongs to."""
    return any_id.split("-", 1)[0]


@st.composite
def worlds(draw: st.DrawFn, prefix: str = "w") -> tuple[Setting, World]:
    """A setting and one world in it, without taxes; for properties that need no pipeline."""
    setting = draw(st.sampled_from(SETTINGS))
    random = draw(st.randoms(use_true_random=False))
    return setting, make_world(random, prefix, setting)


def explored_worlds(count: int, setting: Setting) -> list[World]:
    """Worlds that Hypothesis thinks up: more extreme than random ones, the same every time.

    They are collected first and rated together: a build of the pipeline for each would take hours.
    """
    made: list[World] = []

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def collect(random: Random) -> None:
        made.append(make_world(random, f"h{len(made):05}", setting))

    collect()
    return made


def zone_of(setting: Setting) -> ZoneInfo:
    return ZoneInfo(setting.timezone)
