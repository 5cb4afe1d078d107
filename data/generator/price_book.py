"""The sample's price book: five product lines of one company, catalog/ of the sample.

What belongs here: meters, plans, prices, tiers, costs, entitlements, coupons and tax rates. What
does not: who buys what (accounts.py).
"""

from __future__ import annotations

import json
from decimal import Decimal

from generator.contract import Row

SMS_CHANGE = "2024-04-15T00:00:00Z"  # in the middle of a month: two lines on April's invoices
STARTER_CHANGE = "2024-05-01T00:00:00Z"  # at a month's edge

# metric: meter, label, allowances (free, starter, growth, pro, enterprise), price above them
STUDIO_METRICS: tuple[tuple[str, str, tuple[int, ...], tuple[str, ...]], ...] = (
    ("views", "Views", (1000, 10000, 100000, 1000000, 10000000), ("0.50", "0.40", "0.30", "0.20")),
    ("renders", "Renders", (10, 100, 1000, 5000, 50000), ("0.10", "0.08", "0.06", "0.04")),
    (
        "ai_generations",
        "AI generations",
        (5, 50, 500, 2500, 25000),
        ("0.08", "0.06", "0.04", "0.03"),
    ),
    (
        "workflow_runs",
        "Workflow runs",
        (50, 500, 5000, 25000, 250000),
        ("0.02", "0.015", "0.01", "0.005"),
    ),
    (
        "studio_storage_gb",
        "Storage (average GB)",
        (1, 10, 100, 500, 5000),
        ("0.25", "0.20", "0.15", "0.10"),
    ),
    ("bandwidth_gb", "Bandwidth (GB)", (5, 50, 500, 2500, 25000), ("0.12", "0.10", "0.08", "0.05")),
    (
        "api_requests",
        "API calls",
        (1000, 10000, 100000, 1000000, 10000000),
        ("0.40", "0.30", "0.20", "0.10"),
    ),
)
STUDIO_TIERS = ("free", "starter", "growth", "pro", "enterprise")
BY_THE_THOUSAND = ("views", "api_requests")
# currency: suffix of the plan, monthly fees, factor on the prices above the allowance
STUDIO_CURRENCIES: dict[str, tuple[str, dict[str, str], int]] = {
    "USD": ("", {"starter": "29", "growth": "99", "pro": "299"}, 1),
    "EUR": ("-eur", {"starter": "27", "growth": "92", "pro": "279"}, 1),
    "JPY": ("-jpy", {"starter": "4300", "growth": "14800", "pro": "44800"}, 150),
}
CONTRACTS = {"helios": "2400", "tsukuba": "1800"}  # Enterprise customers: fee a month, USD
CLUSTERS = {
    ("small", "development"): "20",
    ("small", "production"): "40",
    ("small", "analytics"): "30",
    ("medium", "development"): "40",
    ("medium", "production"): "80",
    ("medium", "analytics"): "60",
    ("large", "development"): "80",
    ("large", "production"): "160",
    ("large", "analytics"): "120",
}
LICENCES = {"basic": "5", "professional": "15", "enterprise": "25"}


def meters() -> list[Row]:
    def meter(meter_id: str, event_name: str, how: str, key: str = "", carry: str = "") -> Row:
        return {
            "meter_id": meter_id,
            "event_name": event_name,
            "aggregation": how,
            "property": key,
            "carry_forward": carry,
        }

    return [
        meter("restored_area", "area_restored", "sum"),
        meter("licences", "licences", "latest", carry="true"),
        meter("clusters", "clusters", "latest", carry="true"),
        meter("additional_users", "additional_users", "latest", carry="true"),
        meter("platform_storage_gb", "platform_storage_gb", "latest", carry="true"),
        meter("throughput_p95", "throughput_mbps", "p95"),
        meter("api_cost", "api_call", "sum", "cost_cents"),
        meter("api_calls", "api_call", "count"),
        meter("calls", "call", "count"),
        meter("call_minutes", "call", "sum"),
        meter("sms", "sms_sent", "sum"),
        meter("emails", "email_sent", "sum"),
        meter("fax_pages", "fax_sent", "sum"),
        meter("file_transfers", "file_transferred", "count"),
        meter("phone_lines", "phone_lines", "max", carry="true"),
        meter("views", "view", "sum"),
        meter("renders", "render", "sum"),
        meter("ai_generations", "ai_generation", "sum"),
        meter("workflow_runs", "workflow_run", "sum"),
        meter("studio_storage_gb", "studio_storage_gb", "time_weighted_average", carry="true"),
        meter("bandwidth_gb", "bandwidth_gb", "sum"),
        meter("api_requests", "api_request", "sum"),
        meter("editors", "editor_session", "unique_count", "user"),
        meter("sales", "sale", "sum", "amount"),
        meter("scans", "scan", "count"),
    ]


def plans() -> list[Row]:
    def plan(plan_id: str, name: str, trial: str = "", cycle: str = "calendar_month") -> Row:
        return {"plan_id": plan_id, "name": name, "trial_days": trial, "billing_cycle": cycle}

    studio = [
        plan(f"studio-{tier}{suffix}", f"Studio {tier.title()} ({currency})", "14")
        for currency, (suffix, fees, _) in STUDIO_CURRENCIES.items()
        for tier in fees
    ]
    contracts = [
        plan(f"studio-enterprise-{name}", f"Studio Enterprise, {name.title()}")
        for name in CONTRACTS
    ]
    return [
        plan("restoration", "Restoration, per square metre (EUR)"),
        plan("restoration-jpy", "Restoration, per square metre (JPY)"),
        plan("restoration-volume", "Restoration for archives, by volume (EUR)"),
        plan("platform", "Platform, by calendar month"),
        plan("platform-30d", "Platform, by cycles of 30 days", cycle="30_days"),
        plan("support-premium", "Premium support, paid in advance"),
        plan("api", "API, each call at its own cost"),
        plan("api-committed", "API with a committed minimum"),
        plan("api-tiered", "API by number of calls"),
        plan("comms", "Communication, paid from a wallet"),
        plan("studio-free", "Studio Free"),
        *studio,
        *contracts,
    ]


def _price(price_id: str, plan_id: str, meter_id: str, model: str, **cells: object) -> Row:
    return {
        "price_id": price_id,
        "plan_id": plan_id,
        "meter_id": meter_id,
        "charge_model": model,
        "currency": "USD",
        **cells,
    }


def prices() -> list[Row]:
    return [
        *_restoration_prices(),
        *_platform_prices("platform"),
        *_platform_prices("platform-30d"),
        _price(
            "platform-throughput",
            "platform",
            "throughput_p95",
            "per_unit",
            unit_amount="0.40",
            included_quantity="100",
            quantity_rounding="half_up",
            description="Throughput above 100 Mbit/s (95th percentile: {quantity})",
        ),
        _price(
            "support-premium-fee",
            "support-premium",
            "",
            "per_unit",
            unit_amount="75",
            timing="advance",
            description="Premium support, {quantity} contacts",
        ),
        *_api_prices(),
        *_comms_prices(),
        *(
            price
            for currency in STUDIO_CURRENCIES
            for tier in ("starter", "growth", "pro")
            for price in _studio_prices(tier, currency)
        ),
        *(price for name, fee in CONTRACTS.items() for price in _contract_prices(name, fee)),
        # One customer tries it in February; its price begins in March.
        _price(
            "studio-enterprise-tsukuba-scans",
            "studio-enterprise-tsukuba",
            "scans",
            "per_unit",
            unit_amount="0.50",
            valid_from="2024-03-01T00:00:00Z",
            description="{quantity} scans",
        ),
    ]


def _restoration_prices() -> list[Row]:
    def area(price_id: str, plan: str, model: str, **cells: object) -> Row:
        text = "AI restoration {month}: {quantity} m²"
        return _price(
            price_id,
            plan,
            "restored_area",
            model,
            description=text,
            quantity_rounding="up",
            **cells,
        )

    return [
        area("restored-m2", "restoration", "per_unit", currency="EUR", unit_amount="1.00"),
        area("restored-m2-jpy", "restoration-jpy", "per_unit", currency="JPY", unit_amount="160"),
        area("restored-m2-volume", "restoration-volume", "volume", currency="EUR"),
    ]


def _platform_prices(plan: str) -> list[Row]:
    rows = [_price(f"{plan}-base", plan, "", "flat", flat_amount="10", description="Base fee")]
    for tier, amount in LICENCES.items():
        rows.append(
            _price(
                f"{plan}-licence-{tier}",
                plan,
                "licences",
                "per_unit",
                unit_amount=amount,
                filter=json.dumps({"tier": tier}),
                description=f"{{quantity}} {tier} licences",
            )
        )
    for (size, environment), amount in CLUSTERS.items():
        rows.append(
            _price(
                f"{plan}-cluster-{size}-{environment}",
                plan,
                "clusters",
                "per_unit",
                unit_amount=amount,
                filter=json.dumps({"size": size, "environment": environment}),
                description=f"{{quantity}} clusters, {size}, {environment}",
            )
        )
    rows.append(
        _price(
            f"{plan}-users",
            plan,
            "additional_users",
            "per_unit",
            unit_amount="3",
            description="{quantity} additional users",
        )
    )
    rows.append(
        _price(
            f"{plan}-storage",
            plan,
            "platform_storage_gb",
            "per_unit",
            unit_amount="0.10",
            included_quantity="100",
            description="Storage above 100 GB ({quantity} GB stored)",
        )
    )
    return rows


def _api_prices() -> list[Row]:
    text = "API usage - {month} ({events} calls, {amount})"
    return [
        _price("api-usage", "api", "api_cost", "dynamic", unit_amount="0.01", description=text),
        _price(
            "api-committed-usage",
            "api-committed",
            "api_cost",
            "dynamic",
            unit_amount="0.01",
            minimum_amount="100",
            description=text,
        ),
        _price("api-tiered-usage", "api-tiered", "api_calls", "graduated", description=text),
    ]


def _comms_prices() -> list[Row]:
    def used(price_id: str, meter: str, amount: str, text: str, **cells: object) -> Row:
        return _price(
            price_id, "comms", meter, "per_unit", unit_amount=amount, description=text, **cells
        )

    return [
        used("call-connection", "calls", "0.10", "Calls: {quantity} connections"),
        used("call-minute", "call_minutes", "0.05", "Calls: {quantity} minutes"),
        used("sms", "sms", "0.02", "SMS: {quantity}", valid_to=SMS_CHANGE),
        used("sms-v2", "sms", "0.025", "SMS: {quantity}", valid_from=SMS_CHANGE),
        used("email", "emails", "0.01", "E-mails: {quantity}", maximum_amount="40"),
        used("fax-page", "fax_pages", "0.15", "Fax: {quantity} pages"),
        used("file-transfer", "file_transfers", "0.05", "File transfers: {quantity}"),
        used("phone-line", "phone_lines", "1.50", "Phone lines: {quantity}"),
    ]


def _overage(plan: str, level: int, currency: str, factor: int) -> list[Row]:
    rows = []
    for meter, label, included, above in STUDIO_METRICS:
        by_the_thousand = meter in BY_THE_THOUSAND
        rows.append(
            _price(
                f"{plan}-{meter.replace('_', '-')}",
                plan,
                meter,
                "package" if by_the_thousand else "per_unit",
                currency=currency,
                unit_amount=f"{Decimal(above[level - 1]) * factor:f}",
                package_size="1000" if by_the_thousand else "",
                included_quantity=included[level],
                description=f"{label}: {{quantity}}, {included[level]:,} included",
            )
        )
    return rows


def _studio_prices(tier: str, currency: str) -> list[Row]:
    suffix, fees, factor = STUDIO_CURRENCIES[currency]
    plan = f"studio-{tier}{suffix}"
    fee: dict[str, object] = {"currency": currency, "description": f"Studio {tier.title()}"}
    rows = [_price(f"{plan}-fee", plan, "", "flat", flat_amount=fees[tier], **fee)]
    if plan == "studio-starter":
        rows = [
            _price(
                f"{plan}-fee", plan, "", "flat", flat_amount="29", valid_to=STARTER_CHANGE, **fee
            ),
            _price(
                f"{plan}-fee-v2",
                plan,
                "",
                "flat",
                flat_amount="31",
                valid_from=STARTER_CHANGE,
                **fee,
            ),
        ]
    rows += _overage(plan, STUDIO_TIERS.index(tier), currency, factor)
    if tier != "starter":
        share, each = {"growth": ("2.5", "0.10"), "pro": ("1.5", "0.05")}[tier]
        rows += [
            _price(
                f"{plan}-editors",
                plan,
                "editors",
                "graduated",
                currency=currency,
                description="{quantity} editors",
            ),
            _price(
                f"{plan}-sales",
                plan,
                "sales",
                "percentage",
                currency=currency,
                percentage=share,
                flat_amount=f"{Decimal(each) * factor:f}",
                description="Shop: {events} sales",
            ),
        ]
    return rows


def _contract_prices(name: str, fee: str) -> list[Row]:
    plan = f"studio-enterprise-{name}"
    return [
        _price(f"{plan}-fee", plan, "", "flat", flat_amount=fee, description="Studio Enterprise"),
        *_overage(plan, STUDIO_TIERS.index("enterprise"), "USD", 1),
        _price(
            f"{plan}-sales",
            plan,
            "sales",
            "graduated_percentage",
            description="Shop: {events} sales, {quantity} in all",
        ),
    ]


def price_tiers() -> list[Row]:
    def tier(price_id: str, up_to: str, unit: str = "", flat: str = "", percent: str = "") -> Row:
        return {
            "price_id": price_id,
            "up_to": up_to,
            "unit_amount": unit,
            "flat_amount": flat,
            "percentage": percent,
        }

    rows = [
        tier("restored-m2-volume", "50", "1.00"),
        tier("restored-m2-volume", "200", "0.90"),
        tier("restored-m2-volume", "", "0.80"),
        tier("api-tiered-usage", "1000", "0.02", "5"),
        tier("api-tiered-usage", "5000", "0.015"),
        tier("api-tiered-usage", "", "0.01"),
    ]
    for suffix, _, factor in STUDIO_CURRENCIES.values():
        for level in ("growth", "pro"):
            price_id = f"studio-{level}{suffix}-editors"
            rows += [
                tier(price_id, "3", "0"),
                tier(price_id, "20", str(8 * factor)),
                tier(price_id, "", str(6 * factor)),
            ]
    for name in CONTRACTS:
        price_id = f"studio-enterprise-{name}-sales"
        rows += [tier(price_id, "10000", percent="1.2"), tier(price_id, "", percent="0.8")]
    return rows


def costs() -> list[Row]:
    """What usage costs the company. Restoration and the platform are paid by the month, not by
    use."""

    def cost(price_id: str, meter: str, model: str, unit: str = "", **cells: object) -> Row:
        row = {"price_id": price_id, "meter_id": meter, "currency": "USD", "charge_model": model}
        return {**row, "unit_amount": unit, **cells}

    new = "2024-04-01T00:00:00Z"
    return [
        cost("api-models", "api_cost", "dynamic", "0.007", description="Models behind the API"),
        cost("carrier-minutes", "call_minutes", "per_unit", "0.006", quantity_rounding="up"),
        cost("carrier-sms", "sms", "per_unit", "0.012", description="Carrier, at home"),
        cost("mail-relay", "emails", "package", "0.4", package_size="1000"),
        cost("rendering", "renders", "per_unit", "0.03", valid_to=new),
        cost("rendering", "renders", "per_unit", "0.025", valid_from=new, description="New GPUs"),
        cost("models", "ai_generations", "per_unit", "0.021"),
        cost("studio-disks", "studio_storage_gb", "per_unit", "0.023"),
        cost("traffic", "bandwidth_gb", "graduated"),
        # of the shop's money, whatever its currency
        {**cost("card-fees", "sales", "percentage", percentage="0.6"), "currency": ""},
    ]


def cost_tiers() -> list[Row]:
    return [
        {"price_id": "traffic", "up_to": "1000", "unit_amount": "0.02"},
        {"price_id": "traffic", "up_to": "", "unit_amount": "0.012"},
    ]


def entitlements() -> list[Row]:
    flags = {
        "free": (),
        "starter": ("custom_domain",),
        "growth": ("custom_domain", "priority_support"),
        "pro": ("custom_domain", "priority_support", "white_label", "single_sign_on"),
        "enterprise": (
            "custom_domain",
            "priority_support",
            "white_label",
            "single_sign_on",
            "audit_log",
        ),
    }
    plans_of = {
        tier: [
            f"studio-{tier}{suffix}"
            for suffix, fees, _ in STUDIO_CURRENCIES.values()
            if tier in fees
        ]
        for tier in STUDIO_TIERS
    }
    plans_of["free"] = ["studio-free"]
    plans_of["enterprise"] = [f"studio-enterprise-{name}" for name in CONTRACTS]
    rows: list[Row] = []
    for level, tier in enumerate(STUDIO_TIERS):
        for plan in plans_of[tier]:
            for meter, _, included, _ in STUDIO_METRICS:
                soft = "false" if tier == "free" else "true"
                rows.append(
                    {
                        "plan_id": plan,
                        "feature": meter,
                        "meter_id": meter,
                        "limit_quantity": included[level],
                        "soft_limit": soft,
                    }
                )
            rows += [{"plan_id": plan, "feature": flag} for flag in flags[tier]]
    return rows


def coupons() -> list[Row]:
    return [
        {"coupon_id": "WELCOME10", "percent_off": "10", "duration": "once"},
        {
            "coupon_id": "LAUNCH25",
            "percent_off": "25",
            "duration": "repeating",
            "duration_in_months": 3,
        },
        {"coupon_id": "PARTNER15", "percent_off": "15", "duration": "forever"},
        {"coupon_id": "CREDIT20", "amount_off": "20", "currency": "USD", "duration": "once"},
        {"coupon_id": "LOYAL5", "amount_off": "5", "currency": "EUR", "duration": "forever"},
    ]


def tax_rates() -> list[Row]:
    def rate(name: str, country: str, percent: str, text: str, **cells: object) -> Row:
        return {
            "tax_rate_id": name,
            "country": country,
            "percentage": percent,
            "inclusive": "false",
            "description": text,
            **cells,
        }

    new_year = "2024-01-01T00:00:00Z"
    return [
        rate("de-vat", "DE", "19", "MwSt."),
        rate("fr-vat", "FR", "20", "TVA"),
        rate("gr-vat", "GR", "24", "ΦΠΑ"),
        rate("es-vat", "ES", "21", "IVA"),
        rate("ch-vat-2018", "CH", "7.7", "MWST", valid_to=new_year),
        rate("ch-vat-2024", "CH", "8.1", "MWST", valid_from=new_year),
        rate("jp-consumption-tax", "JP", "10", "消費税", inclusive="true"),
        rate("in-cgst", "IN", "9", "CGST"),
        rate("in-sgst", "IN", "9", "SGST"),
    ]


def sources() -> list[Row]:
    """Who sends usage: what has not come by the month's end holds its close back."""
    expected = (
        ("api", "api-calls-[0-9].parquet"),
        ("api-late", "api-calls-late.csv"),
        ("archives", "archive-scans.csv"),
        ("communication", "comms-*"),
        ("gateway", "gateway-*"),
        ("platform", "platform-*"),
        ("restoration", "restoration.csv"),
        ("studio", "studio-*"),
    )
    return [
        {
            "source": name,
            "file_pattern": pattern,
            "expected": "" if name in ("api-late", "gateway") else "monthly",
        }
        for name, pattern in expected
    ]


CATALOG = {
    "catalog/sources": sources,
    "catalog/meters": meters,
    "catalog/plans": plans,
    "catalog/prices": prices,
    "catalog/price_tiers": price_tiers,
    "catalog/costs/prices": costs,
    "catalog/costs/price_tiers": cost_tiers,
    "catalog/entitlements": entitlements,
    "catalog/coupons": coupons,
    "catalog/tax_rates": tax_rates,
}
