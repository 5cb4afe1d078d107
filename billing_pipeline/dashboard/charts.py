"""Plots of amounts and quantities.

What belongs here: altair charts. What does not: the choice of rows (``queries``). Bars are drawn
with floats; the tooltip shows the exact amount as text, with its currency's places. Each currency
has its own chart, because currencies cannot be added or compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from billing_pipeline.duckdb_sql import Row
from billing_pipeline.money import format_amount

# Okabe and Ito's colours, which people with any colour vision can distinguish, on white and black.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
OTHERS = "others"
"""Everything without a colour of its own: a colour shared by two plans would say nothing."""
AGE_BANDS = ("not due", "1-30", "31-60", "61-90", "over 90")
MAX_BARS = 12
MAX_BAR_WIDTH, FEW_MONTHS = 40, 7
"""The width of a bar in pixels, and the number of months below which it has to be set: so few bars
would otherwise fill the plot."""


def largest_customers(totals: Sequence[Row], currency: str) -> alt.Chart:
    """Horizontal bars of the customers with the largest totals."""
    shown = [row for row in totals if row["currency"] == currency and row["total"]][:MAX_BARS]
    names = Counter(row["name"] for row in shown)
    named = [
        row if names[row["name"]] == 1 else {**row, "name": f"{row['name']} ({row['customer_id']})"}
        for row in shown
    ]
    frame = _frame(named, "total", ("customer_id", "name"))
    return _finish(
        alt.Chart(frame)
        .mark_bar(color=COLOURS[0])
        .encode(
            x=alt.X("value:Q", title=currency, axis=alt.Axis(grid=True, tickCount=4)),
            y=alt.Y("name:N", sort=None, title=None),
            tooltip=["customer_id:N", "name:N", "amount:N"],
        ),
        height=22 * max(len(shown), 1) + 30,
    )


def events_by_day(usage: Sequence[Row]) -> alt.Chart:
    shown = _largest(usage, "meter_id", "event_count", ("usage_date",))
    frame = pd.DataFrame(
        [
            {"day": str(row["usage_date"]), "meter": row["meter_id"], "events": row["event_count"]}
            for row in shown
        ],
        columns=["day", "meter", "events"],
    )
    return _finish(
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("day:T", title=None, axis=alt.Axis(format="%d %b", tickCount=8)),
            y=alt.Y("sum(events):Q", title="events"),
            color=_colour("meter", frame),
            tooltip=["day:N", "meter:N", "events:Q"],
        ),
        height=220,
    )


def revenue_by_month(revenue: Sequence[Row], currency: str) -> alt.Chart:
    """Charges by month, stacked by plan."""
    shown = [row for row in revenue if row["currency"] == currency]
    shown = _largest(shown, "plan", "amount", ("billing_month", "currency"))
    frame = _frame(shown, "amount", ("plan",))
    return _stacked_by_month(frame, currency, "plan:N", _colour("plan", frame), height=240)


def paid_by_month(months: Sequence[Row], currency: str) -> alt.Chart:
    """Billed amounts by month, paid and unpaid."""
    shown = [
        {**row, "part": part, "amount": row[name]}
        for row in months
        if row["currency"] == currency
        for part, name in (("paid", "paid"), ("unpaid", "outstanding"))
    ]
    frame = _frame(shown, "amount", ("part",))
    scale = alt.Scale(domain=["paid", "unpaid"], range=[COLOURS[2], COLOURS[5]])
    colour = alt.Color("part:N", title=None, scale=scale, legend=alt.Legend(orient="bottom"))
    return _stacked_by_month(frame, currency, "part:N", colour, height=200)


def receivables_by_age(receivables: Sequence[Row], currency: str) -> alt.Chart:
    shown = [row for row in receivables if row["currency"] == currency]
    frame = _frame(shown, "outstanding", ("age", "invoices"))
    return _finish(
        alt.Chart(frame)
        .mark_bar(color=COLOURS[5], size=MAX_BAR_WIDTH)
        .encode(
            x=alt.X("age:O", sort=list(AGE_BANDS), title=None, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title=currency, axis=alt.Axis(tickCount=5)),
            tooltip=["age:N", "invoices:Q", "amount:N"],
        ),
        height=200,
    )


def _stacked_by_month(
    frame: pd.DataFrame, currency: str, part: str, colour: Any, height: int
) -> alt.Chart:
    axis = alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=8)
    return _finish(
        alt.Chart(frame)
        .mark_bar(size=MAX_BAR_WIDTH if frame["month"].nunique() < FEW_MONTHS else alt.Undefined)
        .encode(
            x=alt.X("month:O", title=None, axis=axis),
            y=alt.Y("value:Q", title=currency, axis=alt.Axis(tickCount=5)),
            color=colour,
            tooltip=["month:N", part, "amount:N"],
        ),
        height=height,
    )


def _frame(rows: Sequence[Row], amount: str, others: tuple[str, ...]) -> pd.DataFrame:
    columns = ["month", "value", "amount", *others]
    return pd.DataFrame(
        [
            {
                "month": f"{row['billing_month']:%Y-%m}" if "billing_month" in row else "",
                "value": float(row[amount]),
                "amount": f"{format_amount(row[amount], row['currency'])} {row['currency']}",
                **{name: row[name] for name in others},
            }
            for row in rows
        ],
        columns=columns,
    )


def _largest(rows: Sequence[Row], name: str, value: str, by: tuple[str, ...]) -> list[Row]:
    """The rows of the names with the largest sums, as many names as there are colours; the rows of
    all others are added up under `OTHERS`."""
    sums: dict[str, Any] = defaultdict(int)
    for row in rows:
        sums[row[name]] += row[value]
    if len(sums) <= len(COLOURS):
        return list(rows)
    largest = sorted(sums, key=lambda one: -sums[one])[: len(COLOURS) - 1]
    others: dict[tuple[Any, ...], Any] = defaultdict(int)
    for row in rows:
        if row[name] not in largest:
            others[tuple(row[key] for key in by)] += row[value]
    added = [
        {**dict(zip(by, key, strict=True)), name: OTHERS, value: total}
        for key, total in others.items()
    ]
    return [*(row for row in rows if row[name] in largest), *added]


def _colour(name: str, frame: pd.DataFrame) -> Any:
    """A colour for each name; the last one, grey, is for `OTHERS`."""
    names = sorted(set(frame[name]) - {OTHERS})
    has_others = OTHERS in set(frame[name])
    scale = alt.Scale(
        domain=[*names, *([OTHERS] if has_others else [])],
        range=[*COLOURS[: len(names)], *([COLOURS[-1]] if has_others else [])],
    )
    legend = alt.Legend(orient="bottom", columns=1, labelLimit=320)
    return alt.Color(f"{name}:N", title=None, scale=scale, legend=legend)


def _finish(chart: alt.Chart, height: int) -> alt.Chart:
    finished: alt.Chart = (
        chart.properties(
            width="container", height=height, usermeta={"embedOptions": {"actions": False}}
        )
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=11, titleFontSize=11)
    )
    return finished
