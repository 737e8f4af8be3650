# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Finishers in kernels: hardware for some lanes at a time, and its memory images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..finish.base import Finisher, FinisherUnit, Range
from ..numeric import IntArray, IntType


def filled(finisher: Finisher, lanes: int) -> Finisher:
    """A finisher for whole beats of ``lanes`` elements.

    One channel stands for all elements alike. What lanes beyond several channels compute means
    nothing; a kernel whose beats are full has lanes that divide them.
    """
    beats = -(-finisher.channels // lanes)
    if beats * lanes == finisher.channels:
        return finisher
    return finisher.take([min(c, finisher.channels - 1) for c in range(beats * lanes)])


def spans(ranges: Sequence[Sequence[Range]]) -> tuple[Range, ...]:
    """For each term the range over all channels, of the ranges of every channel and term."""
    # Elementwise kernels have as many channels as elements, all of one range.
    different = dict.fromkeys(tuple(channel) for channel in ranges)
    return tuple(
        (min(lo for lo, _ in term), max(hi for _, hi in term))
        for term in zip(*different, strict=True)
    )


def unit_for(
    finisher: Finisher, lanes: int, ranges: Sequence[Sequence[Range]], out: IntType
) -> FinisherUnit:
    """Hardware of a finisher for ``lanes`` elements at a time, of accumulators in these ranges."""
    return filled(finisher, lanes).unit(lanes, spans(ranges), out)


def finish_file(name: str, output: int = 0) -> str:
    """Name of the memory image of an output's finisher in the component ``name``."""
    return f"{name}_finish{output or ''}.hex"


def finish_images(
    finishers: Sequence[Finisher], units: Sequence[FinisherUnit], name: str
) -> Mapping[str, str]:
    """Memory images of finishers, one unit an output, as :func:`unit_for` made them."""
    images: dict[str, str] = {}
    for output, (finisher, unit) in enumerate(zip(finishers, units, strict=True)):
        images |= filled(finisher, unit.lanes).images(unit, finish_file(name, output))
    return images


def check_turns(blocks: Sequence[int], turns: int, channels: int) -> None:
    """Refuse blocks and turns below 1, and channels that do not divide the elements of a turn."""
    if not blocks or min(blocks) < 1 or turns < 1:
        raise ValueError(f"blocks and turns must be at least 1, not {tuple(blocks)} and {turns}")
    if channels < 1 or sum(blocks) % channels:
        raise ValueError(
            f"a turn of {sum(blocks)} elements is not a multiple of {channels} channels"
        )


def turn_channels(values: Sequence[int], blocks: Sequence[int], channels: int) -> IntArray:
    """The value of each stream that an element of a turn comes from, (elements / channels,
    channels).
    """
    return np.repeat(np.array(values, dtype=np.int64), blocks).reshape(-1, channels)
