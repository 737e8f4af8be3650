# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What folded implementations share: numbers of lanes worth offering."""

from __future__ import annotations

import math
from functools import lru_cache

from ..timing.components import TREE_LEVELS
from ..timing.cost import Cost, counter_cost
from .geometry import Geometry, Sizes

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


def tap_choices(geometry: Geometry) -> list[Sizes]:
    """Taps worth reading at a time along each axis, ascending: a part of a line of the kernel, then
    whole lines, then whole planes of them. They divide the kernel.
    """
    kernel = geometry.kernel
    choices: list[Sizes] = [(1,) * geometry.rank]
    for axis in reversed(range(geometry.rank)):
        before, behind = (1,) * axis, kernel[axis + 1 :]
        choices += [(*before, n, *behind) for n in lane_choices(kernel[axis]) if n > 1]
    return choices


@lru_cache(maxsize=1 << 12)
def window_cost(
    geometry: Geometry,
    width: int,
    *,
    folds: int,
    passes: int,
    steps: int,
    lines: int,
    taps: Sizes = (),
) -> Cost:
    """A :class:`~midwire.hw.datapath.window.Window`: line buffer, counters, addresses.

    Parameters
    ----------
    width : bits of a beat
    folds : beats of a pixel
    passes : of an output pixel
    steps : of a pass
    lines : of the image in memory
    taps : of a step along each axis, 1 by default: each has a memory, an address and a comparison
        with the image's borders
    """
    size = lines * geometry.width * folds
    taps = taps or (1,) * geometry.rank
    address = (size - 1).bit_length()
    place = geometry.pixels.bit_length()
    copies = math.prod(taps)
    blocks = [count // part for count, part in zip(geometry.kernel, taps, strict=True)]
    counts = [*blocks, steps // math.prod(blocks), passes, folds]
    cost = sum((counter_cost(count) for count in counts), Cost())
    # Next pixel; what it needs, what may be overwritten, how far the writer is; three addresses.
    cost += Cost(adders=4 * place + 6 * address, registers=4 * place + 3 * address + 12)
    cost += Cost(adders=(copies - 1) * 2 * address)
    if geometry.padded:
        # Two comparisons for each place of a tap along an axis.
        cost += Cost(adders=(len(taps) + sum(taps)) * place, registers=2 * place + copies)
    return cost + Cost(memories=((width, size),) * copies, registers=width * copies)


@lru_cache(maxsize=1 << 12)
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
