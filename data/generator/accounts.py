"""The sample's customers: who they are, what they buy, and how they pay. accounts/ of the sample.

What belongs here: customers, subscriptions, wallets and corrections. What does not: what they use
(traffic.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from generator import people
from generator.contract import (
    MONTHS,
    SAMPLE_END,
    SAMPLE_START,
    Row,
    cents,
    chance,
    iso,
    month_window,
)

_FAR = datetime(2100, 1, 1, tzinfo=UTC)
_DAYS = (SAMPLE_END - SAMPLE_START).days

# segment: how many customers, currency, countries
SEGMENTS: tuple[tuple[str, int, str, tuple[str, ...]], ...] = (
    ("restoration", 32, "EUR", ("DE", "DE", "FR", "GR", "ES")),
    ("restoration-jpy", 8, "JPY", ("JP",)),
    ("restoration-volume", 6, "EUR", ("DE", "FR")),
    ("platform", 24, "USD", ("US", "US", "GB", "CA", "DE", "KZ", "IN")),
    ("platform-30d", 14, "USD", ("US", "GB", "SG", "CN")),
    ("api", 56, "USD", ("US", "US", "US", "GB", "CA", "BR", "IN", "KZ")),
    ("api-committed", 6, "USD", ("US", "GB")),
    ("api-tiered", 8, "USD", ("US", "CA")),
    ("comms", 60, "USD", ("US", "US", "GB", "GR", "IN", "BR")),
    ("studio", 52, "USD", ("US", "US", "GB", "CA", "SG", "CN")),
    ("studio-eur", 18, "EUR", ("DE", "FR", "ES", "GR")),
    ("studio-jpy", 6, "JPY", ("JP",)),
    ("studio-free", 10, "USD", ("US", "BR", "IN")),
    ("studio-enterprise-helios", 1, "USD", ("US",)),
    ("studio-enterprise-tsukuba", 1, "USD", ("CH",)),
)
_CARDS = (
    ("pm_card_visa",) * 12 + ("pm_card_mastercard",) * 5 + ("pm_card_amex", "pm_card_visa_debit")
)
_FAILING = (
    "pm_card_chargeCustomerFail",
    "pm_card_visa_chargeDeclined",
    "pm_card_visa_chargeDeclinedInsufficientFunds",
)
_SENT = ("restoration", "restoration-jpy", "restoration-volume")

# segment and which customer of it, event name, instant, quantity, reason, author
_CORRECTIONS: tuple[tuple[str, int, str, str, str, str, str], ...] = (
    (
        "comms",
        0,
        "sms_sent",
        "2024-01-18T10:00:00Z",
        "-40",
        "sent twice after an outage",
        "maria.lindt",
    ),
    (
        "comms",
        3,
        "email_sent",
        "2024-01-25T09:30:00Z",
        "-250",
        "campaign to a wrong list, agreed",
        "maria.lindt",
    ),
    (
        "api",
        0,
        "api_call",
        "2024-02-07T15:12:00Z",
        "-350",
        "failed calls were metered (cents)",
        "t.okafor",
    ),
    (
        "studio",
        0,
        "render",
        "2024-02-20T08:00:00Z",
        "-60",
        "renders of a broken template",
        "t.okafor",
    ),
    (
        "restoration",
        0,
        "area_restored",
        "2024-02-27T12:00:00Z",
        "3.25",
        "job missing from the export",
        "j.weiss",
    ),
    (
        "comms",
        6,
        "fax_sent",
        "2024-03-05T11:00:00Z",
        "-12",
        "pages that were not delivered",
        "maria.lindt",
    ),
    (
        "studio-eur",
        0,
        "ai_generation",
        "2024-03-14T16:45:00Z",
        "-30",
        "empty results",
        "t.okafor",
    ),
    (
        "restoration-volume",
        0,
        "area_restored",
        "2024-03-28T07:00:00Z",
        "-4.5",
        "scan restored twice",
        "j.weiss",
    ),
    (
        "comms",
        9,
        "sms_sent",
        "2024-04-03T10:00:00Z",
        "-100000",
        "whole campaign cancelled: below zero on purpose",
        "maria.lindt",
    ),
    (
        "studio",
        1,
        "bandwidth_gb",
        "2024-04-22T13:00:00Z",
        "12.75",
        "meter was down for two hours",
        "t.okafor",
    ),
    (
        "api",
        1,
        "api_call",
        "2024-05-16T09:00:00Z",
        "-1200",
        "goodwill after the incident of 15 May (cents)",
        "t.okafor",
    ),
    (
        "restoration-jpy",
        0,
        "area_restored",
        "2024-06-11T02:00:00Z",
        "-2",
        "returned by the museum",
        "j.weiss",
    ),
)


@dataclass
class Subscription:
    """One row of subscriptions.csv, with its times as instants."""

    subscription_id: str
    plan: str
    starts_at: datetime
    ends_at: datetime | None = None
    trial_ends_at: datetime | None = None
    quantity: int | None = None
    coupon: str = ""
    minimum: str = ""

    def active_in(self, month: str) -> tuple[datetime, datetime] | None:
        """The part of the month in which it is active, or None."""
        start, end = month_window(month)
        first, last = max(start, self.starts_at), min(end, self.ends_at or _FAR)
        return (first, last) if first < last else None


@dataclass
class Account:
    """A customer, and what the other modules need to know. `size` 1 to 5 scales what they use."""

    customer_id: str
    name: str
    country: str
    currency: str
    segment: str
    size: int
    payment_method: str
    collection_method: str = "charge_automatically"
    days_until_due: str = ""
    is_payer: bool = True
    is_tax_exempt: bool = False
    is_by_department: bool = False  # a subscription for each, which its usage names
    subscriptions: list[Subscription] = field(default_factory=list)


def accounts() -> list[Account]:
    """All customers with their subscriptions, always the same."""
    dice = chance("accounts")
    taken: set[str] = set()
    found: list[Account] = []
    for segment, count, currency, countries in SEGMENTS:
        for position in range(count):
            country = countries[position % len(countries)]
            account = _account(dice, len(found) + 1, segment, country, currency, taken)
            _subscribe(dice, account, position)
            found.append(account)
    _name_awkwardly(found)
    _second_products(dice, found)
    _make_trouble(dice, found)
    _give_coupons(dice, found)
    found.append(_by_department(len(found) + 1, taken))
    return found


def _account(
    dice: Random, number: int, segment: str, country: str, currency: str, taken: set[str]
) -> Account:
    account = Account(
        customer_id=f"cus-{number:04d}",
        name=people.company(dice, country, taken),
        country=country,
        currency=currency,
        segment=segment,
        size=dice.choices((1, 2, 3, 4, 5), (24, 30, 26, 14, 6))[0],
        payment_method=dice.choice(_CARDS),
    )
    if segment in _SENT or segment.startswith("studio-enterprise"):
        account.collection_method, account.payment_method = "send_invoice", ""
        account.days_until_due = "30"
    if country in ("DE", "FR") and dice.randrange(5) == 0:
        account.is_tax_exempt = True
    return account


def _by_department(number: int, taken: set[str]) -> Account:
    """Two departments with a subscription each to the same plan; one closes in March, and its
    telephone system goes on reporting."""
    account = _account(chance("departments"), number, "comms", "US", "USD", taken)
    account.is_by_department = True
    starts_at = SAMPLE_START - timedelta(days=90)
    closed_at = datetime(2024, 3, 18, tzinfo=UTC)
    account.subscriptions += [
        Subscription(f"sub-{number:04d}-sales", "comms", starts_at),
        Subscription(f"sub-{number:04d}-support", "comms", starts_at, closed_at),
    ]
    return account


def _subscribe(dice: Random, account: Account, position: int) -> None:
    """The customer's first subscriptions; about a third of the customers come during the sample."""
    number = account.customer_id[4:]
    if position % 3 == 2:
        starts_at = SAMPLE_START + timedelta(days=dice.randrange(_DAYS - 20))
    elif account.segment == "platform-30d":
        # Cycles that began before the sample would have used what no file tells of.
        starts_at = SAMPLE_START + timedelta(days=dice.randrange(28))
    else:
        starts_at = SAMPLE_START - timedelta(days=20 + dice.randrange(400))
    if position % 4 == 1 and starts_at >= SAMPLE_START:
        starts_at += timedelta(seconds=dice.randrange(86400))
    if account.segment in ("studio", "studio-eur", "studio-jpy"):
        _subscribe_studio(dice, account, position, starts_at)
        return
    subscription = Subscription(f"sub-{number}", account.segment, starts_at)
    if account.segment.startswith("studio-enterprise"):
        subscription.starts_at = datetime(2023, 9, 1, tzinfo=UTC)
        subscription.minimum = "3000"
    account.subscriptions.append(subscription)
    if account.segment == "platform" and position % 6 == 0:
        ends_at = datetime(2024, 5, 10, tzinfo=UTC) if position == 6 else None
        account.subscriptions.append(
            Subscription(
                f"sub-{number}-support",
                "support-premium",
                starts_at,
                ends_at,
                quantity=account.size,
            )
        )
    if account.segment in ("api", "comms", "platform") and position % 13 == 4:
        _cancel(dice, subscription)


def _subscribe_studio(dice: Random, account: Account, position: int, starts_at: datetime) -> None:
    number, suffix = account.customer_id[4:], account.segment.removeprefix("studio")
    level = {1: 0, 2: 0, 3: 1, 4: 1, 5: 2}[account.size]
    tiers = ("starter", "growth", "pro")
    first = Subscription(f"sub-{number}", f"studio-{tiers[level]}{suffix}", starts_at)
    account.subscriptions.append(first)
    if position % 5 == 0:  # changes the plan in the middle of a month
        after = 1 - level if level == 1 and position % 2 else level + 1 if level < 2 else 1
        change = _moment(dice, max(starts_at + timedelta(days=20), SAMPLE_START))
        first.ends_at = change
        account.subscriptions.append(
            Subscription(f"sub-{number}-2", f"studio-{tiers[after]}{suffix}", change)
        )
    elif position % 7 == 3:
        _cancel(dice, first)
    elif position % 9 == 8 and starts_at >= SAMPLE_START:
        first.trial_ends_at = starts_at + timedelta(days=30)  # a longer trial, agreed by hand


def _moment(dice: Random, earliest: datetime) -> datetime:
    """A moment of the sample after `earliest`: midnight, or any second of the day."""
    days = max((SAMPLE_END - earliest).days - 5, 1)
    moment = earliest.replace(hour=0, minute=0, second=0) + timedelta(days=1 + dice.randrange(days))
    return moment + timedelta(seconds=dice.choice((0, dice.randrange(86400))))


def _cancel(dice: Random, subscription: Subscription) -> None:
    """Half of them at once, half with the end of the month."""
    moment = _moment(dice, max(subscription.starts_at + timedelta(days=20), SAMPLE_START))
    if dice.randrange(2):
        moment = month_window(f"{moment.year}-{moment.month:02d}")[1]
    subscription.ends_at = moment


def _name_awkwardly(found: list[Account]) -> None:
    for position, name in enumerate(people.AWKWARD):
        found[40 + position * 41].name = name


def _second_products(dice: Random, found: list[Account]) -> None:
    """Some buy from a second product line; those in another currency get two invoices a month."""
    for account in found:
        number = account.customer_id[4:]
        if account.segment == "api" and int(number) % 9 == 0:
            plan = "comms"
        elif account.segment == "studio" and int(number) % 11 == 0:
            plan = "restoration"
        elif account.segment == "platform" and int(number) % 8 == 0:
            plan = "api"
        else:
            continue
        starts_at = SAMPLE_START + timedelta(days=dice.randrange(_DAYS - 40))
        account.subscriptions.append(Subscription(f"sub-{number}-{plan}", plan, starts_at))


def _make_trouble(dice: Random, found: list[Account]) -> None:
    """Non-payers, cards that are declined, customers without a payment method, sent invoices."""
    of = {segment: [a for a in found if a.segment == segment] for segment, *_ in SEGMENTS}
    for account in (of["restoration"][5], of["restoration"][11], of["platform"][3]):
        account.is_payer = False
    charged = [a for a in found if a.payment_method]
    dice.shuffle(charged)
    for position, account in enumerate(charged[:12]):
        account.payment_method = _FAILING[position % len(_FAILING)]
    for account in charged[12:20]:
        account.payment_method = ""
    for account in charged[20:30]:
        account.collection_method, account.days_until_due = "send_invoice", "14"
    new = [a for a in charged[30:] if a.subscriptions[0].active_in("2024-03")]
    new = [a for a in new if a.subscriptions[0].starts_at >= month_window("2024-03")[0]]
    # Stripe's test card whose holder disputes each payment: from March on.
    new[0].payment_method = "pm_card_createDispute"


def _give_coupons(dice: Random, found: list[Account]) -> None:
    for account in found:
        first = account.subscriptions[0]
        if account.segment in ("studio", "studio-eur", "studio-jpy"):
            # One that is new in the sample: the coupon of an older one would be used up by then.
            if first.starts_at >= SAMPLE_START and dice.randrange(2):
                usd, eur = ("WELCOME10", "LAUNCH25", "CREDIT20"), ("LAUNCH25", "WELCOME10")
                first.coupon = dice.choice(eur if account.currency == "EUR" else usd)
            elif account.currency == "EUR" and dice.randrange(4) == 0:
                first.coupon = "LOYAL5"
        if account.segment == "api" and dice.randrange(10) == 0:
            first.coupon = "PARTNER15"


def seller_rows() -> list[Row]:
    return [
        {
            "name": "Meridian Cloud Services Ltd",
            "address": "Level 4, 27 Harbour Street; Dublin D02 XY45",
            "country": "IE",
            "tax_id": "IE 9988776T",
            "email": "billing@meridian.example",
            "website": "https://meridian.example",
            "bank_account": "IBAN IE29 AIBK 9311 5212 3456 78, BIC AIBKIE2D",
            "note": "Meridian Cloud Services Ltd is invented, and so is everybody else here.",
            "street": "Level 4, 27 Harbour Street",
            "city": "Dublin",
            "postal_code": "D02 XY45",
            "contact": "Billing",
            "phone": "+353 1 555 0100",
        }
    ]


def customer_rows(found: list[Account]) -> list[Row]:
    return [
        {
            "customer_id": a.customer_id,
            "name": a.name,
            "email": f"billing@{a.customer_id}.example",
            "country": a.country,
            "currency": a.currency,
            "is_payer": "true" if a.is_payer else "false",
            "collection_method": a.collection_method,
            "days_until_due": a.days_until_due,
            "payment_method": a.payment_method,
            "tax_exempt": "true" if a.is_tax_exempt else "",
            "address": people.address(chance("address", a.customer_id), a.country),
        }
        for a in found
    ]


def subscription_rows(found: list[Account]) -> list[Row]:
    return [
        {
            "subscription_id": s.subscription_id,
            "customer_id": a.customer_id,
            "plan_id": s.plan,
            "quantity": s.quantity or "",
            "starts_at": iso(s.starts_at),
            "ends_at": iso(s.ends_at) if s.ends_at else "",
            "trial_ends_at": iso(s.trial_ends_at) if s.trial_ends_at else "",
            "coupon_id": s.coupon,
            "minimum_amount": s.minimum,
        }
        for a in found
        for s in a.subscriptions
    ]


def wallet_rows(found: list[Account]) -> list[Row]:
    """Top-ups, now and then a grant that expires, and refunds. What is taken out of a wallet was
    put in earlier in the same month, so that no balance can fall below zero."""
    dice = chance("wallets")
    rows: list[Row] = []

    def move(account: Account, amount: int, at: datetime, kind: str, reference: str) -> None:
        rows.append(
            {
                "transaction_id": f"wt-{len(rows) + 1:04d}",
                "customer_id": account.customer_id,
                "amount": cents(amount),
                "currency": "USD",
                "occurred_at": iso(at),
                "kind": kind,
                "reference": reference,
            }
        )

    for account in found:
        comms = [s for s in account.subscriptions if s.plan == "comms"]
        if not comms or dice.randrange(6) == 0:  # some never top up, and pay by card
            continue
        for month in MONTHS:
            window = comms[0].active_in(month)
            if window is None:
                continue
            start = max(window[0], month_window(month)[0])
            at = start + timedelta(minutes=dice.randrange(5 * 1440))
            if dice.randrange(10) < 6:
                top_up = dice.choice((1000, 2000, 2500, 5000, 10000)) * max(1, account.size - 1)
                move(account, top_up, at, "top_up", f"pi_sample_{account.customer_id}_{month}")
                if top_up >= 5000 and dice.randrange(12) == 0:
                    later = at + timedelta(hours=30)
                    move(account, -2000, later, "refund", "paid back on request")
            if dice.randrange(15) == 0:
                move(account, 500, at, "grant", "goodwill credit")
                move(account, -500, at + timedelta(hours=60), "expiry", "goodwill credit expired")
    return rows


def correction_rows(found: list[Account]) -> list[Row]:
    """What support took back or added by hand; each with who and why."""
    of: dict[str, list[Account]] = {}
    for account in found:
        of.setdefault(account.segment, []).append(account)
    return [
        {
            "correction_id": f"corr-{number:03d}",
            "customer_id": of[segment][position].customer_id,
            "event_name": event_name,
            "occurred_at": at,
            "quantity": quantity,
            "reason": reason,
            "author": author,
        }
        for number, (segment, position, event_name, at, quantity, reason, author) in enumerate(
            _CORRECTIONS, 1
        )
    ]
