"""Customers, subscriptions and wallets of a made-up world.

What belongs here: valid rows of accounts/ but corrections, which go with usage. What does not:
the catalog.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from tests.property.values import DAY, EXPONENTS, decimal_text
from tests.property.world_catalog import REGIONS, TAX_CODES
from tests.property.world_maker import COUNTRIES, CURRENCIES, Maker, makes

Stay = tuple[int, int | None]  # a subscription's start and end
LONG_AGO = 400 * DAY


def add_accounts(maker: Maker) -> None:
    for number in range(maker.random.randint(1, 2)):
        customer_id = maker.id("customer", number)
        currency = maker.one_of(*CURRENCIES)
        _add_customer(maker, customer_id, currency)
        for index, (starts_at, ends_at) in enumerate(_stays(maker)):
            _add_subscription(maker, customer_id, f"{number}.{index}", starts_at, ends_at)
        if maker.chance(0.4):
            _add_wallet(maker, customer_id, currency)
        if makes("adjustments") and maker.chance(0.3):
            _add_adjustments(maker, customer_id, currency)
        if makes("commitments") and maker.chance(0.3):
            _add_commitment(maker, customer_id, currency)


def _add_customer(maker: Maker, customer_id: str, currency: str) -> None:
    """One row, or several of which each is valid from another instant."""
    times = [""]
    if maker.makes("dated customers") and maker.chance(0.3):
        edges = {maker.instant() for _ in range(maker.random.randint(1, 2))}
        times = [*maker.one_of([""], []), *(maker.written(at) for at in edges)]
    for valid_from in times:
        cells: dict[str, object] = {}
        first = maker.id("customer", 0)
        if makes("bill_to") and customer_id != first and maker.chance(0.4):
            cells["bill_to"] = first
        maker.world.add(
            "customers",
            customer_id=customer_id,
            name="Ünal & Söhne",
            country=maker.one_of(*COUNTRIES),
            region=maker.one_of(*REGIONS) if maker.makes("regions") else "",
            currency=maker.one_of(currency, currency.lower()),
            is_payer=maker.one_of("", "true", "true", "true", "true", "true", "true", "false"),
            collection_method=maker.one_of("", "charge_automatically", "send_invoice"),
            days_until_due=maker.one_of("", "7", "30"),
            tax_exempt=maker.one_of("", "", "", "false", "true"),
            valid_from=valid_from,
            **cells,
        )


def _stays(maker: Maker) -> list[Stay]:
    """When a customer's subscriptions begin and end."""
    long_ago = maker.start - maker.random.randrange(1, LONG_AGO)
    kinds: tuple[Callable[[], list[Stay]], ...] = (
        lambda: [(long_ago, None)],
        lambda: [(long_ago, None)],
        lambda: _change(maker, long_ago)[:1],
        lambda: [(maker.edge(), None)],
        lambda: _change(maker, long_ago),
        lambda: _change(maker, long_ago),
        lambda: _within(maker),
        lambda: [(long_ago, None), *_within(maker)],
        lambda: _odd(maker),
        lambda: _cycles(maker),
    )
    return maker.random.choice(kinds)()


def _change(maker: Maker, long_ago: int) -> list[Stay]:
    """One plan ends and another begins, in the same instant; sometimes within one second."""
    at = maker.edge()
    if maker.chance(0.3):
        again = at + maker.one_of(1, 500_000, 999_999)
        maker.edges.append(again)
        return [(min(long_ago, at), at), (at, again), (again, None)]
    return [(min(long_ago, at), at), (at, None)]


def _within(maker: Maker) -> list[Stay]:
    first, second = sorted((maker.edge(), maker.edge()))
    return [(first, second)]


def _odd(maker: Maker) -> list[Stay]:
    """Ended before the month, begins after it, or never was."""
    at = maker.edge()
    return maker.one_of(
        [(maker.start - 40 * DAY, maker.start)],
        [(maker.end, None)],
        [(maker.start - DAY, None), (at, at)],
    )


def _cycles(maker: Maker) -> list[Stay]:
    """A multiple of 30 days before something happens: periods end right there."""
    at = maker.instant()
    start = at - 30 * DAY * maker.random.randint(1, 5)
    maker.edges.append(start)
    end = maker.one_of(None, at, at + 1, at - 1, maker.edge())
    return [(start, None if end is not None and end < start else end)]


def _add_subscription(
    maker: Maker, customer_id: str, number: str, starts_at: int, ends_at: int | None
) -> None:
    trial = ""
    if maker.chance(0.25):
        trial_ends_at = maker.one_of(maker.edge(), starts_at + 14 * DAY, starts_at)
        maker.edges.append(trial_ends_at)
        trial = maker.written(trial_ends_at)
    cells: dict[str, object] = {
        "plan_id": maker.random.choice(maker.world.tables["plans"])["plan_id"],
        "quantity": _seats(maker),
        "coupon_id": _coupons(maker) if maker.chance(0.35) else "",
        "minimum_amount": maker.some_money() if maker.chance(0.25) else "",
    }
    times = [starts_at, *_version_edges(maker, starts_at, ends_at)]
    for version_starts_at, version_ends_at in zip(times, [*times[1:], ends_at], strict=True):
        maker.world.add(
            "subscriptions",
            subscription_id=maker.id("sub", number),
            customer_id=customer_id,
            starts_at=maker.written(version_starts_at),
            ends_at="" if version_ends_at is None else maker.written(version_ends_at),
            trial_ends_at=trial,
            **cells,
        )
        cells |= _changed(maker)


def _version_edges(maker: Maker, starts_at: int, ends_at: int | None) -> list[int]:
    """The instants at which a new version of a subscription begins."""
    if not makes("versions") or maker.chance(0.6):
        return []
    found = {maker.edge() for _ in range(maker.one_of(1, 1, 2, 3))}
    return sorted(at for at in found if starts_at < at and (ends_at is None or at < ends_at))


def _changed(maker: Maker) -> dict[str, object]:
    """What a new version has otherwise: usually the quantity alone."""
    kind = maker.random.randrange(10)
    if kind < 6:
        return {"quantity": _seats(maker)}
    if kind < 8:
        return {"plan_id": maker.random.choice(maker.world.tables["plans"])["plan_id"]}
    if kind == 8:
        return {"coupon_id": maker.one_of("", _coupons(maker))}
    return {"minimum_amount": maker.one_of("", maker.some_money())}


def _coupons(maker: Maker) -> str:
    if makes("coupons") and maker.chance(0.5):
        return maker.id("coupon", 1) + maker.one_of(";", " ; ") + maker.id("coupon", 0)
    return maker.id("coupon", maker.random.randrange(2))


def _seats(maker: Maker) -> str:
    """Often exactly the bound of a tier, where the plan has one."""
    bounds = [row["up_to"] for row in maker.world.tables["price_tiers"] if row["up_to"]]
    if bounds and maker.chance(0.3):
        return maker.random.choice(bounds)
    return maker.one_of("", "1", "3", "12", "2.5", "0", "11")


def _add_wallet(maker: Maker, customer_id: str, currency: str) -> None:
    for number in range(maker.random.randint(1, 4)):
        used = maker.one_of(currency, currency, currency, "USD")
        places = EXPONENTS[used]
        kind = maker.one_of("top_up", "top_up", "grant", "refund", "expiry")
        value = maker.decimal(maker.one_of(1, 2, 4), places) or Fraction(1)
        came_at = maker.instant() - maker.one_of(0, 0, 50 * DAY)
        maker.world.add(
            "wallet_transactions",
            transaction_id=maker.id("wallet", f"{customer_id[-1]}.{number}"),
            customer_id=customer_id,
            amount=("-" if kind in ("refund", "expiry") else "") + decimal_text(value),
            currency=used,
            occurred_at=maker.written(came_at),
            kind=kind,
            reference=_reference(maker, customer_id, kind),
            **(_lot(maker, came_at) if kind in ("top_up", "grant") and makes("lots") else {}),
        )


def _lot(maker: Maker, came_at: int) -> dict[str, object]:
    expires_at = maker.one_of(None, maker.instant(), maker.end, maker.end + 50 * DAY)
    if expires_at is not None:
        expires_at = max(expires_at, came_at + 1)
    priority = maker.one_of("", "", "0", "100", "200")
    return {
        "expires_at": "" if expires_at is None else maker.written(expires_at),
        "priority": priority,
    }


def _reference(maker: Maker, customer_id: str, kind: str) -> str:
    if kind in ("refund", "expiry") and makes("lots") and maker.chance(0.4):
        return maker.id("wallet", f"{customer_id[-1]}.0")
    return "a reference"


def _add_adjustments(maker: Maker, customer_id: str, currency: str) -> None:
    for number in range(maker.one_of(1, 1, 2)):
        value = maker.decimal(3, EXPONENTS[currency]) or Fraction(1)
        maker.world.add(
            "adjustments",
            adjustment_id=maker.id("adjustment", f"{customer_id[-1]}.{number}"),
            customer_id=customer_id,
            amount=maker.one_of("", "-") + decimal_text(value),
            currency=currency,
            occurred_at=maker.written(maker.instant()),
            description="Goodwill",
            tax_code=maker.one_of(*TAX_CODES) if maker.makes("regions") else "",
            reason="agreed",
            author="ops",
        )


def _add_commitment(maker: Maker, customer_id: str, currency: str) -> None:
    """A term that begins or ends in the month, or goes on through it."""
    starts_at = maker.one_of(maker.edge(), maker.start - 20 * DAY)
    ends_at = maker.one_of(maker.edge(), maker.end, maker.end + 20 * DAY)
    kind = maker.one_of("true_up", "true_up", "prepaid")
    ids = sorted({row["price_id"] for row in maker.world.tables["prices"]})
    maker.world.add(
        "commitments",
        commitment_id=maker.id("commitment", customer_id[-1]),
        customer_id=customer_id,
        amount=decimal_text(maker.decimal(3, EXPONENTS[currency]) + 1),
        currency=currency,
        starts_at=maker.written(starts_at),
        ends_at=maker.written(max(ends_at, starts_at + DAY)),
        kind=kind,
        price_ids=maker.random.choice(ids) if kind == "true_up" and maker.chance(0.3) else "",
        overage_percent=maker.one_of("", "10", "33.3"),
    )
