"""The price book of a made-up world: meters, plans, prices, tiers, coupons, taxes.

What belongs here: valid rows of catalog/, as odd as the contract allows. What does not: accounts
and usage.
"""

from __future__ import annotations

from fractions import Fraction

from tests.property.values import DAY, decimal_text
from tests.property.world_maker import COUNTRIES, CURRENCIES, Maker, makes

AGGREGATIONS = (
    "count",
    "sum",
    "sum",
    "sum",
    "max",
    "latest",
    "unique_count",
    "p95",
    "time_weighted_average",
)
GAUGES = ("latest", "max", "time_weighted_average", "gauge_hours")
NO_BUCKETS = ("counter", "gauge_hours", "time_weighted_average")
RECURRING_MODELS = ("flat", "flat", "per_unit", "graduated", "volume", "package")
USAGE_MODELS = (
    "flat",
    "per_unit",
    "per_unit",
    "graduated",
    "graduated",
    "volume",
    "volume",
    "package",
    "percentage",
    "graduated_percentage",
    "dynamic",
)
TIERED = ("graduated", "volume", "graduated_percentage")
BOUNDS = ("0.5", "1", "2", "3", "5", "7.25", "10", "12", "60", "100", "2.000000000000000001")
NEW_AGGREGATIONS = ("counter", "counter", "gauge_hours", "p1", "p50", "p90", "p99")
REGIONS = ("", "", "north", "south")
TAX_CODES = ("", "", "books", "food")
INTERVALS = ("week", "month", "quarter", "half_year", "year")
NEW_FILTERS: tuple[dict[str, object], ...] = (
    {"size": ["small", "Small"]},
    {"zone": ["1", 2], "live": True},
    {"ratio": {"above": "0.25", "up_to": "0.5"}},
    {"ratio": {"above": "0.25"}, "size": ["large"]},
    {"zone": {"up_to": "1"}},
)
FILTERS: tuple[dict[str, object], ...] = (
    {"size": "small"},
    {"size": "large"},
    {"live": True},
    {"live": "false", "size": "small"},
    {"zone": 1},
    {"zone": "2"},
    {"ratio": 0.5},
    {"size": 'größe, "L"\''},
)


def add_catalog(maker: Maker) -> None:
    for number in range(maker.random.randint(1, 3)):
        _add_meter(maker, number)
    for number in range(maker.random.randint(1, 2)):
        plan_id = maker.id("plan", number)
        maker.world.add(
            "plans",
            plan_id=plan_id,
            name="A plan, with a comma",
            trial_days=maker.one_of("", "", "0", "7", "14"),
            billing_cycle=_cycle(maker),
        )
        for price in range(maker.random.randint(1, 6)):
            _add_price(maker, plan_id, f"{number}.{price}")
        _add_entitlements(maker, plan_id)
    if makes("based_on") and maker.chance(0.5):
        _add_contract(maker)
    for number in range(2):
        _add_coupon(maker, number)


def _add_contract(maker: Maker) -> None:
    """A plan that is based on another, with a row or two of its own."""
    base = maker.random.choice(maker.world.tables["plans"])
    plan_id = maker.id("contract")
    maker.world.add(
        "plans",
        plan_id=plan_id,
        name="A contract",
        trial_days=maker.one_of("", "0", "7"),
        billing_cycle="",
        based_on=base["plan_id"],
    )
    rows = [row for row in maker.world.tables["prices"] if row["plan_id"] == base["plan_id"]]
    for number in range(maker.random.randint(0, 2)):
        replaced = maker.one_of("", maker.random.choice(rows)["price_id"])
        cells = {"replaces": replaced} if replaced else {}
        _add_price(maker, plan_id, f"c.{number}", **cells)
    if maker.chance(0.5):
        maker.world.add("entitlements", plan_id=plan_id, feature="own", replaces="sso")


def _cycle(maker: Maker) -> str:
    if maker.makes("intervals") and maker.chance(0.25):
        return "anniversary"
    if maker.setting.thirty_days and maker.chance(0.3):
        return "30_days"
    return maker.one_of("", "calendar_month")


def _add_meter(maker: Maker, number: int) -> None:
    news = NEW_AGGREGATIONS if makes("meters") else ()
    aggregation = maker.one_of(*AGGREGATIONS, *news)
    carry = aggregation in GAUGES and (maker.chance(0.5) or not makes("gauges by share"))
    cells: dict[str, object] = {}
    if makes("meters"):
        if maker.chance(0.25):
            cells["group_by"] = maker.one_of("size", "zone", "zone;live")
        if maker.chance(0.2) and aggregation not in NO_BUCKETS:
            cells["bucket"] = maker.one_of("hour", "day")
        if maker.chance(0.15) and aggregation not in ("count", "unique_count"):
            cells["event_rounding"] = maker.one_of("60", "1", "0.1", "2.5")
    maker.world.add(
        "meters",
        meter_id=maker.id("meter", number),
        event_name=maker.id("event", maker.random.randrange(2)),
        aggregation=aggregation,
        property=maker.one_of("", "", "gb", "weight"),
        carry_forward=maker.one_of("true", "TRUE") if carry else maker.one_of("", "false"),
        **cells,
    )


def _add_price(maker: Maker, plan_id: str, number: str, **more: str) -> None:
    """One price_id: one version, or several that follow one another, sometimes with a gap."""
    is_usage = maker.chance(0.7)
    model = maker.one_of(*(USAGE_MODELS if is_usage else RECURRING_MODELS))
    price_id = maker.id("price", number)
    cells: dict[str, object] = {
        "price_id": price_id,
        "plan_id": plan_id,
        "charge_model": model,
        "currency": maker.one_of("", "", "", *CURRENCIES[:5]),
        "description": maker.one_of("", "Units", "{month}: {quantity} in {events} for {amount}"),
        "prorate": maker.one_of("", "", "true", "false"),
    }
    if is_usage:
        meter = maker.random.choice(maker.world.tables["meters"])
        cells["meter_id"] = meter["meter_id"]
        if meter["aggregation"] not in ("count", "sum") and not makes("gauges by share"):
            cells["prorate"] = "false"
        if maker.chance(0.3):
            cells["filter"] = maker.one_of(*FILTERS, *(NEW_FILTERS if makes("filters") else ()))
        if maker.chance(0.1) and makes("filters"):
            cells["filter_rest"] = "true"
    elif maker.chance(0.4):
        cells["timing"] = "advance"
    if maker.makes("intervals") and maker.chance(0.3) and not _is_thirty_days(maker, plan_id):
        cells["interval"] = maker.one_of(*INTERVALS)
    if maker.makes("regions"):
        cells["tax_code"] = maker.one_of(*TAX_CODES)
    if model in TIERED:
        _add_tiers(maker, price_id, model, "")
    for valid_from, valid_to in _versions(maker):
        amounts = _amounts(maker, model)
        if is_usage:
            _add_event_amounts(maker, amounts, meter, model)
            if amounts["included_quantity"] and makes("included_per") and maker.chance(0.3):
                amounts["included_per"] = "seat"
        since = "" if valid_from is None else maker.written(valid_from)
        if model in TIERED and since and makes("tiers by version") and maker.chance(0.4):
            _add_tiers(maker, price_id, model, maker.written(valid_from or 0))
        maker.world.add(
            "prices",
            **cells,
            **amounts,
            **more,
            valid_from=since,
            valid_to="" if valid_to is None else maker.written(valid_to),
        )


def add_costs(maker: Maker) -> None:
    """What usage costs, of some meters; a cost may be named like a price."""
    for number in range(maker.one_of(0, 0, 1, 2, 3)):
        meter = maker.random.choice(maker.world.tables["meters"])
        model = maker.one_of(*USAGE_MODELS)
        price_id = maker.id("price" if maker.chance(0.5) else "cost", f"0.{number}")
        cells: dict[str, object] = {
            "price_id": price_id,
            "meter_id": meter["meter_id"],
            "charge_model": model,
            "currency": maker.one_of("", "", *CURRENCIES[:5]),
            "prorate": maker.one_of("", "", "true", "false"),
        }
        if maker.chance(0.3):
            cells["filter"] = maker.one_of(*FILTERS, *NEW_FILTERS)
        if maker.chance(0.2):
            cells["filter_rest"] = "true"
        if maker.makes("intervals") and maker.chance(0.2):
            cells["interval"] = maker.one_of(*INTERVALS)
        if model in TIERED:
            _add_tiers(maker, price_id, model, "", "cost_price_tiers")
        for valid_from, valid_to in _versions(maker):
            amounts = _amounts(maker, model)
            _add_event_amounts(maker, amounts, meter, model)
            if amounts["included_quantity"] and maker.chance(0.3):
                amounts["included_per"] = "seat"
            since = "" if valid_from is None else maker.written(valid_from)
            if model in TIERED and since and maker.chance(0.4):
                written = maker.written(valid_from or 0)
                _add_tiers(maker, price_id, model, written, "cost_price_tiers")
            maker.world.add(
                "cost_prices",
                **cells,
                **amounts,
                valid_from=since,
                valid_to="" if valid_to is None else maker.written(valid_to),
            )


def _is_thirty_days(maker: Maker, plan_id: str) -> bool:
    plans = {row["plan_id"]: row for row in maker.world.tables["plans"]}
    row = plans[plan_id]
    return "30_days" in (row["billing_cycle"], plans.get(row["based_on"], row)["billing_cycle"])


def _add_event_amounts(
    maker: Maker, cells: dict[str, object], meter: dict[str, str], model: str
) -> None:
    """Bounds of each event and free events: of a sum, without allowance and rounding."""
    is_possible = model == "percentage" and meter["aggregation"] == "sum"
    if not is_possible or not makes("event amounts") or maker.chance(0.4):
        return
    cells |= {"included_quantity": "", "quantity_rounding": ""}
    if maker.chance(0.5):
        cells["event_minimum_amount"] = maker.money_text()
    if maker.chance(0.5):
        lowest = Fraction(str(cells.get("event_minimum_amount", "0")))
        cells["event_maximum_amount"] = decimal_text(lowest + maker.money())
    if maker.chance(0.5):
        cells["free_events"] = maker.one_of("1", "2", "3", "100")


def _versions(maker: Maker) -> list[tuple[int | None, int | None]]:
    kind = maker.random.randrange(10)
    if kind < 6:
        return [(None, None)]
    if kind == 6:  # begins or ends, with nothing before or after it
        at = maker.edge()
        return [maker.one_of((at, None), (None, at))]
    first = maker.edge()
    second = max(first + 1, maker.edge()) if maker.chance(0.5) else first
    if second > first and maker.chance(0.6):
        return [(None, first), (first, second), (second, None)]
    if maker.chance(0.2):  # a gap in which nothing is charged
        return [(None, first), (first + DAY, None)]
    return [(None, first), (first, None)]


def _amounts(maker: Maker, model: str) -> dict[str, object]:
    cells: dict[str, object] = {}
    if model in ("per_unit", "package"):
        cells["unit_amount"] = maker.money_text()
    if model == "dynamic":
        cells["unit_amount"] = maker.maybe_money(0.5)
    if model == "flat":
        cells["flat_amount"] = maker.money_text()
    if model == "percentage":
        cells["percentage"] = decimal_text(maker.decimal(1, maker.one_of(0, 1, 12)))
        cells["flat_amount"] = maker.maybe_money(0.6)
    if model == "package":
        cells["package_size"] = maker.one_of("1", "3", "10", "0.5", "7.000000000000000001", "1000")
    cells["included_quantity"] = maker.one_of("", "", "", "0", "1", "5", "2.5", "0.333")
    cells["quantity_rounding"] = maker.one_of("", "none", "none", "up", "down", "half_up")
    if maker.chance(0.25):
        cells["minimum_amount"] = maker.money_text()
    if maker.chance(0.2):
        lowest = Fraction(str(cells.get("minimum_amount", "0")))
        cells["maximum_amount"] = decimal_text(lowest + maker.money())
    return cells


def _add_tiers(
    maker: Maker, price_id: str, model: str, valid_from: str, table: str = "price_tiers"
) -> None:
    bounds = sorted(maker.random.sample(BOUNDS, maker.random.randint(0, 3)), key=Fraction)
    is_flat_only = maker.chance(0.2)
    rate = "percentage" if model == "graduated_percentage" else "unit_amount"
    for up_to in [*bounds, ""]:
        cells = {"flat_amount": maker.money_text() if is_flat_only else maker.maybe_money(0.4)}
        if not is_flat_only or not cells["flat_amount"]:
            cells[rate] = maker.money_text()
        maker.world.add(table, price_id=price_id, up_to=up_to, valid_from=valid_from, **cells)


def _add_entitlements(maker: Maker, plan_id: str) -> None:
    maker.world.add("entitlements", plan_id=plan_id, feature="sso")
    for row in maker.world.tables["meters"]:
        if maker.chance(0.4):
            maker.world.add(
                "entitlements",
                plan_id=plan_id,
                feature=row["meter_id"],
                meter_id=row["meter_id"],
                limit_quantity=maker.one_of("", "0", "1", "5", "10", "12.5", "100"),
                soft_limit=maker.one_of("", "true"),
            )


def _add_coupon(maker: Maker, number: int) -> None:
    duration = maker.one_of("once", "repeating", "forever", "forever")
    cells: dict[str, object] = {"duration": duration}
    if duration == "repeating":
        cells["duration_in_months"] = maker.one_of("1", "2", "3", "12")
    if maker.chance(0.6):
        cells["percent_off"] = maker.one_of("10", "50", "100", "33.333333333333", "0.5", "12.5")
    else:
        cells["amount_off"] = maker.some_money()
        cells["currency"] = maker.one_of(*CURRENCIES)
    if makes("coupons") and maker.chance(0.4):
        ids = sorted({row["price_id"] for row in maker.world.tables["prices"]})
        cells["price_ids"] = ";".join(maker.random.sample(ids, min(2, len(ids))))
    maker.world.add("coupons", coupon_id=maker.id("coupon", number), **cells)


def add_tax_rates(maker: Maker) -> None:
    """None, one or several rates a country; some begin or end at an edge of the month."""
    for country in COUNTRIES:
        if not country:
            continue
        for number in range(maker.one_of(0, 1, 1, 2, 3)):
            valid_from = maker.one_of(None, None, maker.start, maker.end - 1, maker.end)
            valid_to = maker.one_of(None, None, None, maker.end, maker.end - 1)
            if valid_from is not None and valid_to is not None and valid_to <= valid_from:
                valid_to = None
            maker.world.add(
                "tax_rates",
                tax_rate_id=f"{country}{number}",
                country=maker.one_of(country, country.lower()),
                percentage=maker.one_of("19", "20", "0", "5", "9.975", "7.123456789012"),
                inclusive=maker.one_of("", "false", "true"),
                valid_from="" if valid_from is None else maker.written(valid_from),
                valid_to="" if valid_to is None else maker.written(valid_to),
                region=maker.one_of(*REGIONS) if maker.makes("regions") else "",
                tax_code=maker.one_of(*TAX_CODES) if maker.makes("regions") else "",
            )
