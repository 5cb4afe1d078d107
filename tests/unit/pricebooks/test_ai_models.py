"""Which rows say what the list of AI models' prices says, and what is named as left out."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, time
from decimal import Decimal

import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from billing_pipeline.pricebooks import ai_models
from billing_pipeline.pricebooks.ai_models import Price, price_book, prices_of, reason_to_leave_out


def model(
    prices: ModelPrice | list[ConditionalPrice], variants: list[PriceVariant] | None = None
) -> ModelInfo:
    return ModelInfo("m", ClauseEquals("m"), prices=prices, price_variants=variants)


def by_id(made: ModelInfo) -> dict[str, Price]:
    return {price.price_id: price for price in prices_of("p/m", made)}


def conditions(price: Price) -> dict[str, object]:
    found: dict[str, object] = json.loads(price.filter())
    return found


def test_tokens_without_a_price_of_their_own_cost_what_is_more_general() -> None:
    plain = by_id(model(ModelPrice(input_mtok=Decimal(3))))
    assert {"input_tokens", "cache_read_tokens", "input_audio_tokens"} <= set(
        plain["p/m:input_mtok"].kinds
    )
    cached = by_id(model(ModelPrice(input_mtok=Decimal(3), cache_read_mtok=Decimal("0.3"))))
    assert "cache_read_tokens" not in cached["p/m:input_mtok"].kinds
    assert "cache_audio_read_tokens" in cached["p/m:cache_read_mtok"].kinds


def test_a_price_by_the_size_of_a_request_has_bounds() -> None:
    tiers = [Tier(200000, Decimal(6)), Tier(500000, Decimal(9))]
    found = by_id(model(ModelPrice(input_mtok=TieredPrices(Decimal(3), tiers))))
    sizes = {key: conditions(price)["request_input_tokens"] for key, price in found.items()}
    assert sizes == {
        "p/m:input_mtok": {"up_to": "200000"},
        "p/m:input_mtok:above-200000": {"above": "200000", "up_to": "500000"},
        "p/m:input_mtok:above-500000": {"above": "500000"},
    }
    assert [price.amount * 10**6 for price in found.values()] == [3, 6, 9]


def test_a_variant_is_a_price_and_the_standard_one_is_for_the_rest() -> None:
    batch = PriceVariant({"processing": "batch"}, ModelPrice(input_mtok=Decimal(1)))
    both = ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(4))
    found = by_id(model(both, [batch]))
    assert set(found) == {
        "p/m:input_mtok",
        "p/m:output_mtok",
        "p/m:input_mtok:processing=batch",
    }
    assert found["p/m:input_mtok"].is_rest and found["p/m:output_mtok"].is_rest
    special = found["p/m:input_mtok:processing=batch"]
    assert not special.is_rest
    assert conditions(special)["variant"] == "processing=batch"


def test_a_price_that_changes_has_a_version_for_each_time_and_others_have_one() -> None:
    changed = [
        ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(8))),
        ConditionalPrice(
            StartDateConstraint(date(2026, 3, 13)),
            prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(8)),
        ),
    ]
    found = prices_of("p/m", model(changed))
    day = date(2026, 3, 13)
    versions = [(one.unit, one.amount * 10**6, one.valid_from, one.valid_to) for one in found]
    assert versions == [
        ("input_mtok", 2, None, day),
        ("input_mtok", 1, day, None),
        ("output_mtok", 8, None, None),
    ]


@pytest.mark.parametrize(
    ("name", "made", "reason"),
    [
        ("p/m", model(ModelPrice()), "no price"),
        ("groq/whisper-large-v3", model(ModelPrice(audio_hours=Decimal(1))), "10 seconds"),
        (
            "p/m",
            model(
                [
                    ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(2))),
                    ConditionalPrice(
                        TimeOfDateConstraint(time(0, 30), time(16, 30)),
                        prices=ModelPrice(input_mtok=Decimal(1)),
                    ),
                ]
            ),
            "time of day",
        ),
    ],
)
def test_what_a_catalogue_cannot_say_is_left_out(name: str, made: ModelInfo, reason: str) -> None:
    assert reason in reason_to_leave_out(name, made)
    assert not prices_of(name, made)


def test_a_mark_up_is_added_to_each_price_and_not_to_what_it_costs() -> None:
    book = price_book(Decimal(20), ["openai/gpt-4o"], with_costs=True)
    rows = {
        file: {row["price_id"]: row for row in book.files[file]}
        for file in ("catalog/prices", "catalog/costs/prices")
    }
    sold, cost = (rows[file]["openai/gpt-4o:output_mtok"] for file in rows)
    assert (sold["unit_amount"], cost["unit_amount"]) == ("0.000012", "0.00001")
    assert sold["plan_id"] == "ai" and "plan_id" not in cost


def test_a_unit_price_with_too_many_places_is_rounded_half_up_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prices = ModelPrice(input_mtok=Decimal("0.0000025"), output_mtok=Decimal(1))
    monkeypatch.setattr(ai_models, "models", lambda: [(ai_models.all_providers[0], model(prices))])
    book = price_book()
    amounts = [row["unit_amount"] for row in book.files["catalog/prices"]]
    assert amounts == ["0.000000000003", "0.000001"]
    assert [(one.kind, one.name) for one in book.remarks] == [("rounded", "anthropic/m:input_mtok")]


def test_every_model_of_the_list_has_prices_or_is_named() -> None:
    book = price_book()
    rows = book.files["catalog/prices"]
    assert len(rows) > 7000
    versions = Counter((row["price_id"], row["valid_from"]) for row in rows)
    assert max(versions.values()) == 1
    priced = {json.loads(row["filter"])["model"] for row in rows}
    left_out = {one.name for one in book.remarks if one.kind == "left_out"}
    everything = {f"{provider.id}/{one.id}" for provider, one in ai_models.models()}
    assert priced | left_out == everything and not priced & left_out
