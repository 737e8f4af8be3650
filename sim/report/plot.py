# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The Pareto front as a plot with logarithmic axes, and histograms of errors.

What they show is in figures in a table beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from .histograms import Histogram
from .markup import Markup, element

WIDTH, HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 56, 16, 46
BAR_WIDTH, BARS_HEIGHT = 5, 40

Spot = tuple[float, float]
"""Cycles between inferences, and the cost; both above 0."""


class _Axis:
    """A logarithmic scale onto pixels, over whole decades."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(values))))
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return round(self._begin + share * (self._end - self._begin), 1)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def front(spots: Sequence[Spot], own: Spot | None, title: str) -> Markup:
    """Points of a front as steps, and what this bundle is."""
    every = [*spots, own] if own else list(spots)
    x = _Axis([spot[0] for spot in every], _LEFT, WIDTH - _RIGHT)
    y = _Axis([spot[1] for spot in every], HEIGHT - _BOTTOM, _TOP)
    return element(
        "svg",
        element("title", title),
        *_grid(x, y),
        element("path", d=_steps(spots, x, y), class_="front"),
        *(_spot(spot, x, y, "spot", 3.5) for spot in spots),
        *([_spot(own, x, y, "own", 6), _label(own, x, y)] if own else []),
        role="img",
        width=WIDTH,
        height=HEIGHT,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
    )


def _grid(x: _Axis, y: _Axis) -> Iterator[Markup]:
    for tick in x.ticks():
        at = x.at(tick)
        yield element("line", class_="grid", x1=at, x2=at, y1=_TOP, y2=HEIGHT - _BOTTOM)
        yield element(
            "text",
            f"{tick:,.0f}",
            class_="quiet",
            x=at,
            y=HEIGHT - _BOTTOM + 16,
            text_anchor="middle",
        )
    for tick in y.ticks():
        at = y.at(tick)
        yield element("line", class_="grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=at, y2=at)
        yield element(
            "text", f"{100 * tick:g} %", class_="quiet", x=_LEFT - 8, y=at + 4, text_anchor="end"
        )
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    words = "cycles between two inferences"
    yield element("text", words, class_="quiet", x=middle, y=HEIGHT - 8, text_anchor="middle")


def _steps(spots: Sequence[Spot], x: _Axis, y: _Axis) -> str:
    """Whatever keeps one interval keeps all longer ones: level up to the next point, then down."""
    first, *rest = ((x.at(cycles), y.at(cost)) for cycles, cost in spots)
    return f"M{first[0]} {first[1]}" + "".join(f"H{at}V{level}" for at, level in rest)


def _spot(spot: Spot, x: _Axis, y: _Axis, kind: str, radius: float) -> Markup:
    words = f"{spot[0]:,.0f} cycles, {spot[1]:.3%}"
    return element(
        "circle", element("title", words), class_=kind, cx=x.at(spot[0]), cy=y.at(spot[1]), r=radius
    )


def _label(own: Spot, x: _Axis, y: _Axis) -> Markup:
    at = x.at(own[0])
    left = at < WIDTH * 0.75
    return element(
        "text",
        "this bundle",
        class_="strong",
        x=at + (10 if left else -10),
        y=y.at(own[1]) - 8,
        text_anchor="start" if left else "end",
    )


def histogram(found: Histogram, title: str) -> Markup:
    """Bars of equal widths; their heights are roots of counts, so that rare errors can be seen."""
    most = max(found.counts)
    width = BAR_WIDTH * len(found.counts)
    bars = (
        element(
            "rect",
            class_="loss",
            x=BAR_WIDTH * index,
            y=round(BARS_HEIGHT * (1 - math.sqrt(count / most)), 1),
            width=BAR_WIDTH - 1,
            height=round(BARS_HEIGHT * math.sqrt(count / most), 1),
        )
        for index, count in enumerate(found.counts)
        if count
    )
    middle = width / 2 - 0.5
    return element(
        "svg",
        element("title", title),
        element("line", class_="mark", x1=middle, x2=middle, y1=0, y2=BARS_HEIGHT),
        *bars,
        element("line", class_="base", x1=0, x2=width, y1=BARS_HEIGHT, y2=BARS_HEIGHT),
        role="img",
        class_="chart",
        width=width,
        height=BARS_HEIGHT + 1,
        viewBox=f"0 0 {width} {BARS_HEIGHT + 1}",
    )
