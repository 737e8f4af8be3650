# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What folded implementations share: numbers of lanes worth offering."""

from __future__ import annotations

from ..finish.base import Finisher


def lane_counts(channels: int) -> list[int]:
    """For every number of beats that channels can take, the fewest lanes that do it, ascending.

    Lanes need not divide the channels: the last beat of a pixel is then not full.
    """
    beats = {-(-channels // lanes) for lanes in range(1, channels + 1)}
    return sorted(-(-channels // count) for count in beats)


def divisors(n: int) -> list[int]:
    """Divisors of a positive integer, ascending."""
    return [d for d in range(1, n + 1) if n % d == 0]


def filled(finisher: Finisher, lanes: int) -> Finisher:
    """A finisher for whole beats: what lanes beyond the channels compute means nothing."""
    beats = -(-finisher.channels // lanes)
    if beats * lanes == finisher.channels:
        return finisher
    return finisher.take([min(c, finisher.channels - 1) for c in range(beats * lanes)])
