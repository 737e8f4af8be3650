# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Pooling: the largest value or the sum under a window, for each channel."""

from __future__ import annotations

from typing import Any, Literal

import numpy.typing as npt
from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import wiring

from ..kernels import integer as kernels
from ..kernels.integer import Geometry
from ..numeric import IntArray, Requantiser
from ..timing.components import pool_latency
from .ranges import check_channels, check_fold, ends_of, shape_of
from .requantize import Requantize
from .stream import Outlet, beat
from .window import Window
from .windowed import Windowed

Mode = Literal["max", "sum"]


class FoldedPool(Windowed):
    """One tap of ``lanes`` channels each cycle.

    For each output pixel there are ``channels / lanes`` passes of ``kh * kw`` cycles.

    Parameters
    ----------
    name : prefix of the memory image's name
    geometry : the window
    mode : "max" or "sum"
    channels : a multiple of ``lanes``
    lanes : channels at a time, in and out
    x : shape of an element
    requantiser : parameters of rule N5 for ``channels`` channels; without them the result is the
        largest value or the sum itself
    out : shape of the result; without it the narrowest that holds every result
    pad_value : what taps outside of the image read, like any other value: the lowest ``x`` for
        "max" if they are not to count
    rows, depth : as for :class:`~midwire.hw.datapath.conv.FoldedConv`

    Members
    -------
    i : In(beats of ``lanes`` elements ``x``)
    o : Out(beats of ``lanes`` elements ``out``)
    """

    def __init__(
        self,
        name: str,
        geometry: Geometry,
        mode: Mode,
        *,
        channels: int,
        lanes: int,
        x: Shape,
        requantiser: Requantiser | None = None,
        out: Shape | None = None,
        pad_value: int = 0,
        rows: int | None = None,
        depth: int | None = None,
    ) -> None:
        if mode not in ("max", "sum"):
            raise ValueError(f"mode must be 'max' or 'sum', not {mode!r}")
        check_fold("channels", channels, "lanes", lanes)
        if requantiser is not None:
            check_channels("the pool", requantiser, channels)
        x = Shape.cast(x)
        low, high = ends_of(x)
        count = 1 if mode == "max" else geometry.taps
        span = (low * count, high * count)
        self._mode: Mode = mode
        self._accumulator = shape_of(span)
        self._pad_value = pad_value
        self._requantize = None
        if requantiser is None:
            if out is not None and Shape.cast(out) != self._accumulator:
                raise ValueError(
                    f"without a requantiser the result has shape {self._accumulator!r}, not {out!r}"
                )
            out = self._accumulator
        else:
            if out is None:
                raise ValueError("a pool with a requantiser needs the shape of its result: out")
            self._requantize = Requantize(requantiser, [span], lanes, out, f"{name}_requantize.hex")
        window = Window(
            x,
            lanes,
            geometry,
            folds=channels // lanes,
            passes=channels // lanes,
            order="channelwise",
            pad_value=pad_value,
            rows=rows,
        )
        latency = pool_latency(requantiser is not None)
        super().__init__(name, window, out=out, out_lanes=lanes, latency=latency, depth=depth)

    @property
    def files(self) -> dict[str, str]:
        """Memory images by file name."""
        return {} if self._requantize is None else self._requantize.files

    def reference(self, x: npt.NDArray[Any]) -> IntArray:
        """What the component computes, for integers (N, H, W, C)."""
        result = kernels.pool(x, self.geometry, self._mode, pad_value=self._pad_value)
        if self._requantize is None:
            return result
        return kernels.requantise(self._requantize.requantiser, result)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.window = window = self._window
        m.submodules.outlet = outlet = Outlet(beat(self._out, self._out_lanes), self._depth)
        wiring.connect(m, wiring.flipped(self.i), window.i)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        m.d.comb += [window.enable.eq(outlet.free), outlet.take.eq(window.start)]

        valid = Signal()
        final = Signal()
        m.d.sync += [valid.eq(window.last), final.eq(window.final)]
        accs = []
        for lane in range(self._out_lanes):
            acc = Signal(self._accumulator, name=f"acc_{lane}")
            x = window.x[lane]
            if self._mode == "max":
                m.d.sync += acc.eq(Mux(window.first | (x > acc), x, acc))
            else:
                m.d.sync += acc.eq(Mux(window.first, 0, acc) + x)
            accs.append(acc)
        if self._requantize is None:
            m.d.comb += [outlet.write.eq(valid), outlet.payload.last.eq(final)]
            m.d.comb += [outlet.payload.data[k].eq(acc) for k, acc in enumerate(accs)]
            return m
        m.submodules.requantize = requantize = self._requantize
        m.d.comb += [requantize.acc0[k].eq(acc) for k, acc in enumerate(accs)]
        m.d.comb += [
            requantize.valid.eq(valid),
            requantize.final.eq(final),
            outlet.write.eq(requantize.o_valid),
            outlet.payload.data.eq(requantize.y),
            outlet.payload.last.eq(requantize.o_final),
        ]
        return m
