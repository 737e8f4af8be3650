# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sliding windows over a stream of images.

Image lines go into a ring of words. The reader walks the taps of every output pixel in *passes*,
one for each accumulation; the writer overwrites lines that no later window reads, of this image or
the next. Both sides keep one signed counter, ``ahead``: pixels written, less those of all images
that were read to their end. It may go negative, since the last lines of an image may be needed by
no window.

Nothing here knows how many axes an image has: rows and columns, or planes of them. Positions,
counters and address steps are lists, outermost axis first; only a line, the innermost one, is
special, since the ring keeps it whole.

Window rules, cited by tests as W1 to W3:

W1. A pass starts when ``enable`` is set and the last pixel of its window is in memory, and then
    issues one step each cycle without a gap.
W2. There is no gap between passes, pixels, lines or images if W1 allows.
W3. Taps outside of the image read ``pad_value``.

Where a step reads several taps, each of them has a ring of its own, written alike: a memory reads
one word a cycle, and this way strides, dilations and pads make no difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import product
from operator import and_, or_
from typing import Any, Literal

from amaranth.hdl import Cat, Const, Instance, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..kernels.geometry import Geometry, Sizes
from ..timing.components import window_lines
from .counters import counter
from .ranges import ends_of
from .raster import advances, axis_name, end_name, kept_by, move, needed_by, next_pixel, wrapped
from .rom import Buffer
from .stream import beats

Order = Literal["dense", "channelwise"]


class Window(wiring.Component):
    """Steps of a windowed component.

    Parameters
    ----------
    shape : shape of an element
    lanes : elements of a beat
    geometry : the window
    folds : beats of a pixel
    passes : passes of an output pixel; for order "channelwise" this is ``folds``
    order : "dense": a pass reads (taps, fold), and is repeated ``passes`` times. "channelwise": for
        each fold, a pass reads all taps. Taps come as the kernel has them, the innermost axis first
    taps : how many taps along each axis a step reads, 1 by default; they divide the kernel, and
        then the taps of a pass are blocks of so many
    pad_value : what taps outside of the image read, or the name of a module that gives it
        (:mod:`midwire.hw.kernels.pads`)
    lines : of the image in memory, default :func:`~midwire.hw.timing.components.window_lines`

    Members
    -------
    i : In(beats of ``lanes``)
    enable : In(1)
        A pass may start.
    start : Out(1)
        A pass starts in this cycle.
    step : Out(1)
        A step is issued in this cycle.
    x : Out(array of ``lanes`` elements for each tap of a step, as the kernel has them)
        What the step of two cycles ago reads.
    first, last, final : Out(1)
        The step of two cycles ago is the first or last one of a pass, or the very last of an image;
        zero where there was no step.
    """

    def __init__(
        self,
        shape: Shape,
        lanes: int,
        geometry: Geometry,
        *,
        folds: int,
        passes: int,
        order: Order,
        taps: Sizes = (),
        pad_value: int | str = 0,
        lines: int | None = None,
    ) -> None:
        if order not in ("dense", "channelwise"):
            raise ValueError(f"order must be 'dense' or 'channelwise', not {order!r}")
        if folds < 1 or passes < 1:
            raise ValueError(f"folds and passes must be at least 1, not {folds} and {passes}")
        if order == "channelwise" and passes != folds:
            raise ValueError(
                f"a channelwise window has one pass for each fold: passes must be {folds}, "
                f"not {passes}"
            )
        taps = taps or (1,) * geometry.rank
        if min(taps) < 1 or any(k % n for k, n in zip(geometry.kernel, taps, strict=True)):
            raise ValueError(
                f"taps of a step must divide the kernel's {geometry.kernel}, not {taps!r}"
            )
        lines = window_lines(geometry) if lines is None else lines
        if lines < geometry.span:
            raise ValueError(
                f"a window of {geometry.span} lines needs at least that many in memory, not {lines}"
            )
        self._shape = Shape.cast(shape)
        low, high = ends_of(self._shape)
        inside = isinstance(pad_value, str) or low <= pad_value <= high
        if geometry.padded and not inside:
            raise ValueError(f"pad_value must lie in [{low}, {high}], not {pad_value!r}")
        self._lanes = lanes
        self._geometry = geometry
        self._folds = folds
        self._passes = passes
        self._order = order
        self._taps = taps
        self._pad_value = pad_value
        self._lines = lines
        super().__init__(
            {
                "i": In(beats(self._shape, lanes)),
                "enable": In(1),
                "start": Out(1),
                "step": Out(1),
                "x": Out(data.ArrayLayout(self._shape, math.prod(taps) * lanes)),
                "first": Out(1),
                "last": Out(1),
                "final": Out(1),
            }
        )

    @property
    def shape(self) -> Shape:
        """Shape of an element."""
        return self._shape

    @property
    def lanes(self) -> int:
        """Elements of a beat."""
        return self._lanes

    @property
    def geometry(self) -> Geometry:
        """Where it reads."""
        return self._geometry

    @property
    def folds(self) -> int:
        """Beats of a pixel."""
        return self._folds

    @property
    def passes(self) -> int:
        """Passes of an output pixel."""
        return self._passes

    @property
    def lines(self) -> int:
        """Image lines in memory."""
        return self._lines

    @property
    def steps(self) -> int:
        """Steps of a pass."""
        return math.prod(self._blocks) * (self._folds if self._order == "dense" else 1)

    @property
    def _blocks(self) -> Sizes:
        """Blocks of taps along each axis."""
        return tuple(k // n for k, n in zip(self._geometry.kernel, self._taps, strict=True))

    @property
    def _size(self) -> int:
        """Words of a ring."""
        return self._lines * self._geometry.width * self._folds

    @property
    def memory_bits(self) -> int:
        """Bits of all rings."""
        return math.prod(self._taps) * self._size * self._lanes * self._shape.width

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        g, size = self._geometry, self._size
        dense = self._order == "dense"

        # Position of the reader; `at` is one pixel ahead, so that `need` can be a register.
        at, next_ends = next_pixel(m, g)
        ends = [
            Signal(name=end_name(g.rank, axis), init=math.prod(g.out_size[axis:]) == 1)
            for axis in range(g.rank)
        ]

        # Steps: (taps, fold) of a pass, then passes of a pixel.
        step, first = self.step, Signal(init=1)
        fold_end = counter(m, "fold", self._folds if dense else 1, step)
        inner, taps_ends = [fold_end], list[Value]()
        for axis in reversed(range(g.rank)):
            enable = reduce(and_, [step, *inner])
            inner.append(counter(m, f"k{axis_name(g.rank, axis)}", self._blocks[axis], enable))
            taps_ends.insert(0, inner[-1])
        pass_end = Signal()
        pixel_end = Signal()
        m.d.comb += pass_end.eq(reduce(and_, inner))
        passes_end = counter(m, "turn", self._passes, step & pass_end)
        m.d.comb += pixel_end.eq(pass_end & passes_end)

        # What the pixel needs, and what the writer may overwrite.
        room = self._lines * g.width
        most = int(g.kept.max()) * g.width + room
        need = Signal(range(int(g.needed.max()) + 2), init=int(g.needed[0]) + 1)
        limit = Signal(range(most + 1), init=int(g.kept[0]) * g.width + room)
        ahead = Signal(range(-g.pixels, most + 1))
        ready = Signal()
        m.d.comb += [
            ready.eq(ahead >= need),
            self.start.eq(first & ready & self.enable),
            step.eq(~first | self.start),
        ]
        with m.If(step):
            m.d.sync += first.eq(pass_end)
        with m.If(step & pixel_end):
            m.d.sync += [need.eq(needed_by(g, at) + 1), limit.eq(kept_by(g, at) + room)]
            for axis in reversed(range(g.rank)):
                m.d.sync += ends[axis].eq(next_ends[axis])
            move(m, g, at, next_ends)

        # Writer.
        word = self._lanes * self._shape.width
        put = Signal()
        write_at = Signal(range(size))
        beat_end = counter(m, "beat", self._folds, put)
        wrote = Signal()
        m.d.comb += [
            self.i.ready.eq(ahead < limit),
            put.eq(self.i.valid & self.i.ready),
            wrote.eq(put & beat_end),
        ]
        with m.If(put):
            m.d.sync += write_at.eq(wrapped(write_at, 1, size))
        leave = Mux(step & pixel_end & ends[0], g.pixels, 0)
        m.d.sync += ahead.eq(ahead + wrote - leave)

        address = self._address(m, fold_end, taps_ends, pass_end, pixel_end, ends)
        words: list[Value] = []
        for tap, place in enumerate(self._places):
            ring = Buffer(word, size)
            m.submodules[f"ring{tap or ''}"] = ring
            by = sum(n * pixels for n, pixels in zip(place, g.steps, strict=True))
            by = by * self._folds % size
            m.d.comb += [
                ring.write.eq(put),
                ring.write_addr.eq(write_at),
                ring.write_data.eq(self.i.payload.data.as_value()),
                ring.en.eq(step),
                ring.addr.eq(wrapped(address, by, size) if by else address),
            ]
            words.append(ring.data)

        # Two registers: the memory's, and this one.
        flags = Signal(3)
        m.d.sync += [
            flags.eq(Mux(step, first | pass_end << 1 | (pixel_end & ends[0]) << 2, 0)),
            self.first.eq(flags[0]),
            self.last.eq(flags[1]),
            self.final.eq(flags[2]),
        ]
        if g.padded:
            outside = self._outside(
                m, step & fold_end, taps_ends, step & pass_end, step & pixel_end, at
            )
            late = Signal(len(outside))
            m.d.sync += late.eq(Cat(outside))
            pads = self._pad(m).replicate(self._lanes)
            words = [Mux(late[tap], pads, read) for tap, read in enumerate(words)]
        m.d.sync += self.x.as_value().eq(Cat(each[:word] for each in words))
        return m

    def _pad(self, m: Any) -> Value:
        """An element outside of the image."""
        width = self._shape.width
        if not isinstance(self._pad_value, str):
            return Const(self._pad_value, width)
        pad = Signal(width)
        m.submodules.pad = Instance(self._pad_value, o_value=pad)
        return pad

    @property
    def _distances(self) -> list[int]:
        """Pixels along each axis from the first tap of a step to that of the next block."""
        return [d * n for d, n in zip(self._geometry.dilation, self._taps, strict=True)]

    @property
    def _places(self) -> list[Sizes]:
        """Pixels along each axis from the first tap of a step to each of its taps."""
        axes = zip(self._taps, self._geometry.dilation, strict=True)
        return list(product(*(range(0, n * d, d) for n, d in axes)))

    def _address(
        self,
        m: Any,
        fold_end: Value,
        taps_ends: Sequence[Value],
        pass_end: Value,
        pixel_end: Value,
        ends: Sequence[Value],
    ) -> Signal:
        """Where the first tap of the step is read. A pass begins at the corner of its window."""
        g, folds, size = self._geometry, self._folds, self._size
        dense = self._order == "dense"

        def beats(pixels: int, back: int) -> int:
            return (pixels * folds - back) % size

        # From the last fold of a pixel, or from the first of one that is read again, to its next.
        between = 0 if dense else folds - 1
        # An image is one more axis around all others.
        distances = [s * by for s, by in zip(g.stride, g.steps, strict=True)]
        image, *along = advances([g.pixels, *distances], [1, *g.out_size])
        onward: Value | int = beats(along[-1], between)
        for end, pixels in zip(reversed(ends), reversed([image, *along[:-1]]), strict=True):
            onward = Mux(end, beats(pixels, between), onward)
        corner = Signal(range(size), init=-self._before * folds % size)
        moved = Signal(range(size))
        stride = Mux(pixel_end, onward, 0 if dense else 1 % size)
        m.d.comb += moved.eq(wrapped(corner, stride, size))

        between = folds - 1 if dense else 0
        distances = [d * by for d, by in zip(self._distances, g.steps, strict=True)]
        first, *others = advances(distances, self._blocks)
        onward = beats(first, between)
        for end, pixels in zip(taps_ends[1:], others, strict=True):
            onward = Mux(end, onward, beats(pixels, between))
        address = Signal(range(size), init=corner.init)
        advance = Mux(fold_end, onward, 1 % size)
        with m.If(self.step):
            m.d.sync += address.eq(wrapped(address, advance, size))
            with m.If(pass_end):
                m.d.sync += [corner.eq(moved), address.eq(moved)]
        return address

    @property
    def _before(self) -> int:
        """Pixels, in raster order, from the corner of the first window to the first pixel."""
        g = self._geometry
        return sum(begin * by for begin, by in zip(g.begins, g.steps, strict=True))

    def _outside(
        self,
        m: Any,
        tap_end: Value,
        taps_ends: Sequence[Value],
        pass_end: Value,
        pixel_end: Value,
        at: Sequence[Value],
    ) -> list[Value]:
        """Whether each tap of the step lies outside of the image."""
        g = self._geometry
        taps, pixels = [], []
        for axis, starts in enumerate(g.starts):
            low, high, name = int(starts[0]), int(starts[-1]), axis_name(g.rank, axis)
            # The first tap of a step may go one dilation beyond the window before it returns.
            beyond = high + g.reach[axis] + g.dilation[axis]
            taps.append(Signal(range(low, beyond + 1), init=low, name=f"tap_{name}"))
            pixels.append(Signal(range(low, high + 1), init=low, name=f"pixel_{name}"))

        def advance(axis: int) -> None:
            m.d.sync += taps[axis].eq(taps[axis] + self._distances[axis])
            if axis:
                with m.If(taps_ends[axis]):
                    m.d.sync += taps[axis].eq(pixels[axis])
                    advance(axis - 1)

        with m.If(tap_end):
            advance(g.rank - 1)
        with m.If(pass_end):
            m.d.sync += taps[0].eq(pixels[0])
        with m.If(pixel_end):
            m.d.sync += [each.eq(after) for each, after in zip(taps, at, strict=True)]
            m.d.sync += [each.eq(after) for each, after in zip(pixels, at, strict=True)]
        return [
            reduce(
                or_,
                [
                    beyond
                    for tap, by, n in zip(taps, place, g.size, strict=True)
                    for beyond in (tap < -by, tap >= n - by)
                ],
            )
            for place in self._places
        ]
