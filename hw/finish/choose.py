# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which finisher computes a function: the cheapest that is proven right."""

from __future__ import annotations

from collections.abc import Sequence

from ..numeric import Function, QType
from .base import Finisher, Range
from .direct import Direct
from .fit import RequantiseError, eased, fit_requantiser

EASED_ABOVE = 8
"""On grids of more bits, slopes that midwire may choose hardly ever have a multiplier as is."""


def finish(
    functions: Sequence[Function],
    ranges: Sequence[Sequence[Range]],
    out: QType,
    *,
    adjustable: bool = False,
) -> Finisher:
    """A finisher that equals the exact functions, one a channel, over the whole ranges.

    Raises
    ------
    RequantiseError
        If there is none within the limits.
    """
    spans = [span for channel in ranges for span in channel]
    low, high = min(lo for lo, _ in spans), max(hi for _, hi in spans)
    if (
        all(
            f.scales == (out.step,)
            and f.offset == -out.step * out.zero_point
            and f.floor is None
            and f.ceil is None
            for f in functions
        )
        and out.lo <= low <= high <= out.hi
    ):
        return Direct(len(functions), low, high)
    if not (adjustable and out.bits > EASED_ABOVE):
        try:
            return fit_requantiser(functions, ranges, out)
        except RequantiseError:
            if not adjustable:
                raise
    return fit_requantiser(eased(functions, ranges, out), ranges, out)
