# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Convolutions by a few multipliers, used in turn: weights fixed in a memory, or loadable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..finish.base import FinisherUnit
from ..formats.images import pack_image
from ..numeric import IntArray, IntType
from ..timing.components import tree_stages
from ..timing.cost import Cost, counter_cost, outlet_cost, ram_cost
from .base import SidePort, StreamPort
from .folds import tree_cost, window_cost
from .geometry import Geometry, Sizes
from .windowed import WindowImplementation

__all__ = ["FoldedConvolution", "LoadableConvolution"]


@dataclass(frozen=True)
class FoldedConvolution(WindowImplementation):
    """``pe`` x ``simd`` multipliers; for depthwise, ``pe`` of them.

    Dense: for each output pixel there are ``channels_out / pe`` passes, each of ``channels_in /
    simd`` cycles a tap of the kernel, and each gives one beat of ``pe`` channels. Depthwise:
    ``channels / pe`` passes of one cycle a tap. Where lanes do not divide channels, weights of zero
    fill them up. With ``taps`` there are so many multipliers for each of these, and so many fewer
    cycles.

    Attributes
    ----------
    geometry, pad_value, depthwise : as in :class:`~.conv.ConvKernel`; a pad is None where it is a
        module of its own
    channels_in, channels_out : of the images
    pe, simd : output channels, input channels at a time
    x, weight : types of the factors
    unit : the finisher, of ``pe`` lanes
    taps : of the kernel at a time along each axis, which divide it
    lines : of the image in memory; None for :func:`~midwire.hw.timing.components.window_lines`
    depth : of the output FIFO; None for just enough for full throughput
    """

    geometry: Geometry
    channels_in: int
    channels_out: int
    depthwise: bool
    pe: int
    simd: int
    x: IntType
    weight: IntType
    pad_value: int | None
    unit: FinisherUnit
    taps: Sizes
    lines: int | None = None
    depth: int | None = None

    @property
    def folds(self) -> int:
        """Beats of an input pixel."""
        return -(-self.channels_in // self.simd)

    @property
    def passes(self) -> int:
        """Beats of an output pixel."""
        return -(-self.channels_out // self.pe)

    @property
    def steps(self) -> int:
        """Cycles of a pass."""
        return self.geometry.taps // math.prod(self.taps) * (1 if self.depthwise else self.folds)

    @property
    def terms(self) -> int:
        """Products that an accumulator adds in a cycle."""
        return math.prod(self.taps) * (1 if self.depthwise else self.simd)

    @property
    def parallelism(self) -> tuple[int, int]:
        """Lanes out, and what goes to multipliers in a cycle: lanes in of every tap."""
        return self.pe, self.simd * math.prod(self.taps)

    @property
    def weight_lanes(self) -> int:
        """Weights of a memory word: one a multiplier."""
        return self.pe * self.terms

    @property
    def weight_words(self) -> tuple[int, int]:
        """Bits and words of the weights' memory."""
        return self.weight_lanes * self.weight.bits, self.steps * self.passes

    @property
    def word_bits(self) -> int:
        """Those of all lanes."""
        return self.weight_words[0]

    @property
    def weights_cost(self) -> Cost:
        """A memory with fixed words."""
        return Cost(roms=(self.weight_words,))

    @property
    def pipeline(self) -> int:
        """Cycles from the last step of a pass to the written result: memory, operands, products,
        adder tree, accumulator, then the finisher.
        """
        return 4 + tree_stages(self.terms) + self.unit.latency

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The image."""
        size = self.geometry.pixels * self.channels_in
        return (StreamPort.of(self.x, self.simd, size, self.channels_in),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """The result's image."""
        size = self.geometry.out_pixels * self.channels_out
        return (StreamPort.of(self.unit.out, self.pe, size, self.channels_out),)

    @property
    def cost(self) -> Cost:
        """Multipliers, adder trees, accumulators, weights, line buffer, finisher, output FIFO."""
        product = self.x.bits + self.weight.bits
        acc = IntType.holding(*self.unit.ranges[0]).bits * self.pe
        cost = Cost(
            products=((self.x.bits, self.weight.bits),) * self.weight_lanes,
            adders=acc,
            registers=self.weight_words[0] + self.weight_lanes * product + acc,
        )
        cost += self.weights_cost
        tree = tree_cost(self.terms, product)
        cost += Cost(adders=tree.adders * self.pe, registers=tree.registers * self.pe)
        cost += counter_cost(self.weight_words[1])
        cost += window_cost(
            self.geometry,
            self.simd * self.x.bits,
            folds=self.folds,
            passes=self.passes,
            steps=self.steps,
            lines=self.memory_lines,
            taps=self.taps,
        )
        return (
            cost + self.unit.cost + outlet_cost(self.pe * self.unit.out.bits + 1, self.outlet_depth)
        )

    def weight_image(self, weight: IntArray) -> str:
        """Weights (O, *kernel, I) in the order of the memory.

        Dense: one word for each (pass, block of taps, fold), whose lanes are (output channel, tap,
        input channel). Depthwise: one word for each (pass, block of taps), whose lanes are
        (channel, tap).
        """
        outputs, *kernel, inputs = weight.shape
        deep = self._words_deep
        extra = 0 if self.depthwise else self.folds * self.simd - inputs
        more = [(0, self.passes * self.pe - outputs), *[(0, 0)] * len(kernel), (0, extra)]
        full = np.pad(weight, more)
        # Every axis in two: from word to word, and within a word.
        blocks = [each for k, t in zip(kernel, self.taps, strict=True) for each in (k // t, t)]
        split = full.reshape(self.passes, self.pe, *blocks, deep, full.shape[-1] // deep)
        order = [*range(0, split.ndim, 2), *range(1, split.ndim, 2)]
        words = split.transpose(order).reshape(-1, self.weight_lanes)
        return pack_image(words, self.weight.bits)

    @property
    def _words_deep(self) -> int:
        return 1 if self.depthwise else self.folds

    def component(self, name: str) -> Any:
        """See :mod:`midwire.hw.datapath.conv`."""
        from ..datapath.conv import FoldedConv

        return FoldedConv(self, name)


@dataclass(frozen=True)
class LoadableConvolution(FoldedConvolution):
    """A folded convolution whose weights and finisher's parameters can be written while it stands.

    It is wide enough for any weights of its type, and its finisher for any parameters: two layers
    with equal descriptions differ in their memory images only, and either runs with the other's.
    Until it is loaded, and in the same cycles, it does what the folded one does.

    Each memory has two banks (:class:`~midwire.hw.datapath.rom.Ram`): side ports write the one that
    is not read, while inferences go on. ``weight_bank`` says which one is read, and changes when
    the last result of the inferences under way is out and before the next one begins; else those
    under way would be computed with a mixture of both layers. Weights that come in with every
    inference are the second stream of a :class:`~.dot.DotKernel`.
    """

    strategy = "loadable"

    @property
    def side_ports(self) -> tuple[SidePort, ...]:
        """The weights, and the finisher's parameters if it has any."""
        weights = SidePort("weights", *self.weight_words)
        finish = self.unit.writable
        return (weights,) if finish is None else (weights, SidePort("finish", *finish))

    @property
    def weights_cost(self) -> Cost:
        """A memory that is written."""
        return ram_cost(*self.weight_words)
