# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Folded convolution: a window, multiply-accumulate units, a requantiser, and credits.

A dense layer is a convolution of 1 x 1 images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring

from ..kernels import integer as kernels
from ..kernels.integer import Geometry
from ..numeric import IntArray, Requantiser
from ..timing.components import DEPTHWISE_LATENCY, TREE_LEVELS, conv_latency, tree_stages
from .ranges import Range, check_channels, check_fold, shape_of
from .requantize import Requantize
from .rom import Rom, pack_image
from .stream import Outlet, beat
from .window import Window
from .windowed import Windowed


class _Convolution(Windowed):
    """What dense and depthwise convolutions share: weights, accumulators, requantiser."""

    def __init__(
        self,
        name: str,
        window: Window,
        *,
        weight_lanes: int,
        weight: Shape,
        accumulator: Range,
        requantize: Requantize,
        out_lanes: int,
        out: Shape,
        pad_value: int,
        latency: int,
        depth: int | None,
    ) -> None:
        self._weight = Shape.cast(weight)
        self._weight_lanes = weight_lanes
        self._accumulator = shape_of(accumulator)
        self._requantize = requantize
        self._pad_value = pad_value
        super().__init__(name, window, out=out, out_lanes=out_lanes, latency=latency, depth=depth)

    @property
    def weights_file(self) -> str:
        """Name of the weights' memory image."""
        return f"{self._name}_weights.hex"

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.window = window = self._window
        m.submodules.requantize = requantize = self._requantize
        m.submodules.outlet = outlet = Outlet(beat(self._out, self._out_lanes), self._depth)
        width = self._weight_lanes * self._weight.width
        words = window.steps * window.passes
        m.submodules.weights = rom = Rom(width, words, self.weights_file)
        wiring.connect(m, wiring.flipped(self.i), window.i)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))

        at = Signal(range(words))
        with m.If(window.step):
            m.d.sync += at.eq(Mux(at == words - 1, 0, at + 1))
        weights = Signal(data.ArrayLayout(self._weight, self._weight_lanes))
        # No enables on wide registers: Verilator would copy each of them twice a cycle.
        m.d.sync += weights.as_value().eq(rom.data)
        m.d.comb += [
            rom.en.eq(window.step),
            rom.addr.eq(at),
            window.enable.eq(outlet.free),
            outlet.take.eq(window.start),
        ]
        x = Signal(window.x.shape())
        m.d.comb += x.eq(window.x)
        sums, delay = self._sums(m, x, weights)
        first, last, final = (
            _delayed(m, getattr(window, flag), delay, flag) for flag in ("first", "last", "final")
        )
        for lane, total in enumerate(sums):
            acc = Signal(self._accumulator, name=f"acc_{lane}")
            m.d.sync += acc.eq(Mux(first, 0, acc) + total)
            m.d.comb += requantize.acc0[lane].eq(acc)
        m.d.sync += [requantize.valid.eq(last), requantize.final.eq(final)]
        m.d.comb += [
            outlet.write.eq(requantize.o_valid),
            outlet.payload.data.eq(requantize.y),
            outlet.payload.last.eq(requantize.o_final),
        ]
        return m

    def _sums(self, m: Any, x: Any, weights: Any) -> tuple[list[Value], int]:
        """What each accumulator adds, and how many cycles after its operands."""
        raise NotImplementedError


class FoldedConv(_Convolution):
    """A dense convolution with ``pe`` x ``simd`` multipliers.

    For each output pixel there are ``channels_out / pe`` passes of ``kh * kw * channels_in / simd``
    cycles, and each gives one beat of ``pe`` channels. The accumulator is ``sum(x * weight)`` of
    raw ``x``: what the zero point adds belongs in the requantiser's offset.

    Parameters
    ----------
    name : prefix of the memory images' names
    geometry : the window
    channels_in, channels_out : multiples of ``simd`` and ``pe``
    pe, simd : output channels, input channels at a time
    x, weight, out : shapes of an element
    accumulator : closed range of every accumulator, over all channels
    requantiser : parameters of rule N5, for ``channels_out`` channels
    pad_value : what taps outside of the image read: the zero point of ``x``
    rows : image rows in memory, default :func:`~midwire.hw.timing.components.window_rows`
    depth : depth of the output FIFO, default just enough for full throughput

    Members
    -------
    i : In(beats of ``simd`` elements ``x``)
    o : Out(beats of ``pe`` elements ``out``)
    """

    def __init__(
        self,
        name: str,
        geometry: Geometry,
        *,
        channels_in: int,
        channels_out: int,
        pe: int,
        simd: int,
        x: Shape,
        weight: Shape,
        out: Shape,
        accumulator: Range,
        requantiser: Requantiser,
        pad_value: int = 0,
        rows: int | None = None,
        depth: int | None = None,
    ) -> None:
        check_fold("channels_in", channels_in, "simd", simd)
        check_fold("channels_out", channels_out, "pe", pe)
        check_channels("the convolution", requantiser, channels_out)
        self._channels = (channels_in, channels_out)
        self._pe = pe
        self._simd = simd
        folds, passes = channels_in // simd, channels_out // pe
        super().__init__(
            name,
            Window(
                x,
                simd,
                geometry,
                folds=folds,
                passes=passes,
                order="dense",
                pad_value=pad_value,
                rows=rows,
            ),
            weight_lanes=pe * simd,
            weight=weight,
            accumulator=accumulator,
            requantize=Requantize(requantiser, [accumulator], pe, out, f"{name}_requantize.hex"),
            out_lanes=pe,
            out=out,
            pad_value=pad_value,
            latency=conv_latency(simd),
            depth=depth,
        )

    @property
    def pe(self) -> int:
        """Output channels at a time."""
        return self._pe

    @property
    def simd(self) -> int:
        """Input channels at a time."""
        return self._simd

    def files(self, weights: npt.NDArray[Any]) -> dict[str, str]:
        """Memory images by file name, for integer weights (O, kh, kw, I)."""
        expected = (self._channels[1], *self.geometry.kernel, self._channels[0])
        _check_weights(weights, expected)
        image = self.image(weights, self._pe, self._simd, self._weight.width)
        return {self.weights_file: image, **self._requantize.files}

    @staticmethod
    def image(weights: npt.NDArray[Any], pe: int, simd: int, bits: int) -> str:
        """Weights (O, kh, kw, I) in the order of the memory.

        One word for each (pass, ky, kx, fold); its lanes are (output channel, input channel).
        """
        outputs, kh, kw, inputs = weights.shape
        split = weights.reshape(outputs // pe, pe, kh, kw, inputs // simd, simd)
        return pack_image(split.transpose(0, 2, 3, 4, 1, 5).reshape(-1, pe * simd), bits)

    def reference(self, x: npt.NDArray[Any], weights: npt.NDArray[Any]) -> IntArray:
        """What the component computes, for integers (N, H, W, C)."""
        accs = kernels.conv2d(x, weights, self.geometry, pad_value=self._pad_value)
        return kernels.requantise(self._requantize.requantiser, accs)

    def _sums(self, m: Any, x: Any, weights: Any) -> tuple[list[Value], int]:
        totals = []
        for k in range(self._pe):
            products: list[Value] = []
            for n in range(self._simd):
                product = Signal(
                    _product(x[n], weights[k * self._simd + n]), name=f"product_{k}_{n}"
                )
                m.d.sync += product.eq(x[n] * weights[k * self._simd + n])
                products.append(product)
            totals.append(_tree(m, products, f"sum_{k}"))
        return totals, 1 + tree_stages(self._simd)


class FoldedDepthwise(_Convolution):
    """A depthwise convolution: one tap of ``lanes`` channels each cycle.

    For each output pixel there are ``channels / lanes`` passes of ``kh * kw`` cycles.

    Parameters
    ----------
    channels : a multiple of ``lanes``
    lanes : channels at a time, in and out

    The others are those of :class:`FoldedConv`.

    Members
    -------
    i : In(beats of ``lanes`` elements ``x``)
    o : Out(beats of ``lanes`` elements ``out``)
    """

    def __init__(
        self,
        name: str,
        geometry: Geometry,
        *,
        channels: int,
        lanes: int,
        x: Shape,
        weight: Shape,
        out: Shape,
        accumulator: Range,
        requantiser: Requantiser,
        pad_value: int = 0,
        rows: int | None = None,
        depth: int | None = None,
    ) -> None:
        check_fold("channels", channels, "lanes", lanes)
        check_channels("the convolution", requantiser, channels)
        self._channels = channels
        self._lanes = lanes
        folds = channels // lanes
        super().__init__(
            name,
            Window(
                x,
                lanes,
                geometry,
                folds=folds,
                passes=folds,
                order="channelwise",
                pad_value=pad_value,
                rows=rows,
            ),
            weight_lanes=lanes,
            weight=weight,
            accumulator=accumulator,
            requantize=Requantize(requantiser, [accumulator], lanes, out, f"{name}_requantize.hex"),
            out_lanes=lanes,
            out=out,
            pad_value=pad_value,
            latency=DEPTHWISE_LATENCY,
            depth=depth,
        )

    @property
    def lanes(self) -> int:
        """Channels at a time."""
        return self._lanes

    def files(self, weights: npt.NDArray[Any]) -> dict[str, str]:
        """Memory images by file name, for integer weights (O, kh, kw, 1)."""
        _check_weights(weights, (self._channels, *self.geometry.kernel, 1))
        image = self.image(weights, self._lanes, self._weight.width)
        return {self.weights_file: image, **self._requantize.files}

    @staticmethod
    def image(weights: npt.NDArray[Any], lanes: int, bits: int) -> str:
        """Weights (O, kh, kw, 1) in the order of the memory: one word for each (fold, ky, kx)."""
        outputs, kh, kw, _ = weights.shape
        split = weights.reshape(outputs // lanes, lanes, kh, kw)
        return pack_image(split.transpose(0, 2, 3, 1).reshape(-1, lanes), bits)

    def reference(self, x: npt.NDArray[Any], weights: npt.NDArray[Any]) -> IntArray:
        """What the component computes, for integers (N, H, W, C)."""
        accs = kernels.conv2d(
            x, weights, self.geometry, pad_value=self._pad_value, groups=self._channels
        )
        return kernels.requantise(self._requantize.requantiser, accs)

    def _sums(self, m: Any, x: Any, weights: Any) -> tuple[list[Value], int]:
        totals = []
        for k in range(self._lanes):
            product = Signal(_product(x[k], weights[k]), name=f"product_{k}")
            m.d.sync += product.eq(x[k] * weights[k])
            totals.append(product)
        return totals, 1


def _product(a: Value, b: Value) -> Shape:
    """Exact shape of a product."""
    return (Value.cast(a) * Value.cast(b)).shape()


def _tree(m: Any, terms: Sequence[Value], name: str) -> Value:
    """Balanced sum with exact widths, with a register after every few levels."""
    level = 0
    while len(terms) > 1:
        level += 1
        pairs = [terms[k] + terms[k + 1] for k in range(0, len(terms) - 1, 2)]
        terms = pairs + list(terms[len(pairs) * 2 :])
        if level % TREE_LEVELS == 0 or len(terms) == 1:
            registers = []
            for k, term in enumerate(terms):
                register = Signal(term.shape(), name=f"{name}_{level}_{k}")
                m.d.sync += register.eq(term)
                registers.append(register)
            terms = registers
    return terms[0]


def _delayed(m: Any, value: Value, cycles: int, name: str) -> Value:
    for k in range(cycles):
        register = Signal(name=f"{name}_{k}")
        m.d.sync += register.eq(value)
        value = register
    return value


def _check_weights(weights: npt.NDArray[Any], expected: tuple[int, ...]) -> None:
    if weights.shape != expected:
        raise ValueError(f"weights must have shape {expected} (O, kh, kw, I), not {weights.shape}")
