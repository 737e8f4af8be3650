# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What folded implementations share: numbers of lanes worth offering."""

from __future__ import annotations

import math

from ..timing.components import TREE_LEVELS
from ..timing.cost import Cost, counter_cost
from .geometry import Geometry, Pair

MAX_LANES = 1024
"""Most lanes among those that divide a number of elements, which may be that of a whole tensor."""


def lane_choices(n: int) -> list[int]:
    """Numbers of lanes, at most ``MAX_LANES``, that divide ``n`` elements, ascending."""
    return [lanes for lanes in range(1, min(n, MAX_LANES) + 1) if n % lanes == 0]


def lane_counts(channels: int) -> list[int]:
    """For every number of beats that channels can take, the fewest lanes that do it, ascending.

    Lanes need not divide the channels: the last beat of a pixel is then not full. They go up to all
    channels, however many: the counts are few, about twice the root of the channels.
    """
    beats = {-(-channels // lanes) for lanes in range(1, channels + 1)}
    return sorted(-(-channels // count) for count in beats)


def tap_choices(geometry: Geometry) -> list[Pair]:
    """Rows and columns of taps worth reading at a time, ascending: a part of a row of the kernel,
    then whole rows. They divide the kernel.
    """
    kh, kw = geometry.kernel
    columns = [(1, count) for count in lane_choices(kw)]
    return columns + [(count, kw) for count in lane_choices(kh) if count > 1]


def window_cost(
    geometry: Geometry,
    width: int,
    *,
    folds: int,
    passes: int,
    steps: int,
    rows: int,
    taps: Pair = (1, 1),
) -> Cost:
    """A :class:`~midwire.hw.datapath.window.Window`: line buffer, counters, addresses.

    Parameters
    ----------
    width : bits of a beat
    folds : beats of a pixel
    passes : of an output pixel
    steps : of a pass
    rows : of the image in memory
    taps : rows and columns of taps of a step: each has a memory, an address and a comparison with
        the image's borders
    """
    size = rows * geometry.width * folds
    address = (size - 1).bit_length()
    place = (geometry.height * geometry.width).bit_length()
    copies = math.prod(taps)
    blocks = [count // size for count, size in zip(geometry.kernel, taps, strict=True)]
    counts = [*blocks, steps // math.prod(blocks), passes, folds]
    cost = sum((counter_cost(count) for count in counts), Cost())
    # Next pixel; what it needs, what may be overwritten, how far the writer is; three addresses.
    cost += Cost(adders=4 * place + 6 * address, registers=4 * place + 3 * address + 12)
    cost += Cost(adders=(copies - 1) * 2 * address)
    if geometry.padded:
        # Two comparisons a row of taps and two a column.
        cost += Cost(adders=(2 + sum(taps)) * place, registers=2 * place + copies)
    return cost + Cost(memories=((width, size),) * copies, registers=width * copies)


def tree_cost(terms: int, bits: int) -> Cost:
    """A balanced sum of ``terms`` numbers of ``bits``, with a register after every few levels."""
    adders = registers = level = 0
    while terms > 1:
        level, bits = level + 1, bits + 1
        adders += terms // 2 * bits
        terms = -(-terms // 2)
        if level % TREE_LEVELS == 0 or terms == 1:
            registers += terms * bits
    return Cost(adders=adders, registers=registers)
