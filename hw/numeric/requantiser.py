# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of rule N5, the multiply-shift requantiser, and what they compute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .qtype import IntArray

MAX_PRODUCT_BITS = 62
"""A requantiser's ``p`` must fit a signed 64-bit word, in the reference and in the simulator."""

MAX_EXACT_DOUBLE = 1 << 53
"""``slice.onnx`` evaluates requantisers in double: integers are exact up to here."""


@dataclass(frozen=True)
class Requantiser:
    """Parameters of N5, for ``channels`` output channels and ``terms`` accumulators each.

    Attributes
    ----------
    multiplier : int64 array, (channels, terms)
    offset : int64 array, (channels,)
        Holds the bias, zero points and the rounding half.
    shift : int
        Arithmetic right shift, the same for all channels.
    tie : int
        Below this fraction an odd result loses 1. Zero where no accumulator can hit a tie.
    parity : int
        What *odd* means: the lowest bit of ``y`` differs from this (that of the zero point, which
        is inside ``offset`` but is added after rounding in N3).
    lo, hi : int64 arrays, (channels,)
        The clamp.
    """

    multiplier: IntArray
    offset: IntArray
    shift: int
    tie: int
    parity: int
    lo: IntArray
    hi: IntArray

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return int(self.offset.shape[0])

    def apply(self, *accs: IntArray) -> IntArray:
        """Requantise accumulators whose last axis is the channel axis (or has length 1)."""
        p = self.offset
        for term, acc in enumerate(accs):
            p = p + acc * self.multiplier[:, term]
        y = p >> self.shift
        if self.tie:
            fraction = p & ((1 << self.shift) - 1)
            y = y - (((y & 1) ^ self.parity) & (fraction < self.tie))
        return np.clip(y, self.lo, self.hi)
