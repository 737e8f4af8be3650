# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Bars that stand in tables: what they show is in a cell beside them, in figures.

Lengths are percentages, so that a drawing fills its cell and nothing in it is distorted.
"""

from __future__ import annotations

from .markup import Markup, element

HEIGHT = 14

MAX_MARKS = 24
"""Vertical lines of a timeline; more would be a grey area."""


def bar(share: float, title: str, kind: str = "bar") -> Markup:
    """A share of a track; more than all of it is drawn as all of it."""
    return span(0.0, share, title, kind=kind)


def span(
    begin: float, end: float, title: str, *, kind: str = "bar", marks: tuple[float, ...] = ()
) -> Markup:
    """A bar from one share of a track to another, with lines at others."""
    begin, end = (min(1.0, max(0.0, share)) for share in (begin, end))
    return element(
        "svg",
        element("title", title),
        element("rect", class_="track", width="100%", height=HEIGHT),
        element(
            "rect",
            class_=kind,
            x=_percent(begin),
            width=_percent(end - begin),
            height=HEIGHT,
        ),
        *(
            element("line", class_="mark", x1=_percent(x), x2=_percent(x), y1=0, y2=HEIGHT)
            for x in marks[:MAX_MARKS]
        ),
        role="img",
        class_="chart",
        width="100%",
        height=HEIGHT,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3f}%"
