"""Plots for pages without scripts: SVG inside the page.

What belongs here: geometry. What does not: the choice of values and their texts. Bars are drawn
with floats; each carries its exact amount as text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT = 480, 210
_LEFT, _TOP, _BOTTOM = 44, 18, 38
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Bar:
    """One bar: its height, the exact amount as text, and the class that colours it."""

    value: float
    text: str
    colour: str


@dataclass(frozen=True)
class Group:
    """Bars side by side over one label; `note` is written above them."""

    label: str
    bars: Sequence[Bar]
    note: str = ""


def bars(title: str, groups: Sequence[Group], *, are_counts: bool = False) -> Markup:
    """Vertical bars from 0, the groups side by side; the axis of counts has only whole numbers."""
    values = [bar.value for group in groups for bar in group.bars]
    low, high = min(0.0, *values), max(0.0, *values)
    step = _step(high - low)
    if are_counts:
        step = float(math.ceil(step))
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step or step

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        Markup(
            '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>'
        ).format(_WIDTH, _HEIGHT, title, title)
    ]
    for place in range(round((high - low) / step) + 1):
        value = low + place * step
        parts.append(
            Markup(
                '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
                '<text class="axis" x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
            ).format(_LEFT, _WIDTH, y(value), _LEFT - 5, y(value) + 3.5, _short(value))
        )
    room = (_WIDTH - _LEFT) / max(len(groups), 1)
    for number, group in enumerate(groups):
        parts.append(_group(group, _LEFT + number * room, room, y))
    return Markup("").join([*parts, Markup("</svg>")])


def _group(group: Group, left: float, room: float, y: Callable[[float], float]) -> Markup:
    width = min(room * 0.76 / max(len(group.bars), 1), 26)
    start, middle = left + (room - width * len(group.bars)) / 2, left + room / 2
    drawn = [
        Markup(
            '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
            "<title>{}</title></rect>"
        ).format(
            bar.colour,
            start + place * width,
            min(y(bar.value), y(0)),
            max(width - 1, 1),
            abs(y(bar.value) - y(0)),
            bar.text,
        )
        for place, bar in enumerate(group.bars)
    ]
    highest = min((y(max(bar.value, 0)) for bar in group.bars), default=y(0))
    lines = group.label.split("\n")
    labels = [
        Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            middle, _HEIGHT - _BOTTOM + 15 * (place + 1), line
        )
        for place, line in enumerate(lines)
    ]
    note = Markup('<text class="note" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>')
    return Markup("").join([*drawn, *labels, note.format(middle, highest - 4, group.note)])


def _step(span: float) -> float:
    """A round distance between grid lines that gives four to eight of them over the span."""
    if span <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    return next(power * step for step in _STEPS if power * step * 6 >= span)


def _short(value: float) -> str:
    for size, sign in ((1e9, "b"), (1e6, "m"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{sign}".replace("-", "\N{MINUS SIGN}")
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
