# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sliding windows over a stream of images.

Image rows go into a ring of words. The reader walks the taps of every output pixel in *passes*, one
for each accumulation; the writer overwrites rows that no later window reads, of this image or the
next. Both sides keep one signed counter, ``ahead``: pixels written, less those of all images that
were read to their end. It may go negative, since the last rows of an image may be needed by no
window.

Window rules, cited by tests as W1 to W3:

W1. A pass starts when ``enable`` is set and the last pixel of its window is in memory, and then
    issues one step each cycle without a gap.
W2. There is no gap between passes, pixels, rows or images if W1 allows.
W3. Taps outside of the image read ``pad_value``.

Where a step reads several taps, each of them has a ring of its own, written alike: a memory reads
one word a cycle, and this way strides, dilations and pads make no difference.
"""

from __future__ import annotations

from typing import Any, Literal

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..kernels.geometry import Geometry, Pair
from ..timing.components import window_rows
from .counters import counter
from .ranges import ends_of
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
    order : "dense": a pass reads (ky, kx, fold), and is repeated ``passes`` times. "channelwise":
        for each fold, a pass reads (ky, kx)
    taps : rows and columns of taps that a step reads, which divide those of the kernel; ``ky`` and
        ``kx`` count such blocks
    pad_value : what taps outside of the image read
    rows : image rows in memory, default :func:`~midwire.hw.timing.components.window_rows`

    Members
    -------
    i : In(beats of ``lanes``)
    enable : In(1)
        A pass may start.
    start : Out(1)
        A pass starts in this cycle.
    step : Out(1)
        A step is issued in this cycle.
    x : Out(array of ``lanes`` elements for each tap of a step, by rows)
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
        taps: Pair = (1, 1),
        pad_value: int = 0,
        rows: int | None = None,
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
        if min(taps) < 1 or geometry.kernel[0] % taps[0] or geometry.kernel[1] % taps[1]:
            raise ValueError(
                f"taps of a step must divide the kernel's {geometry.kernel}, not {taps!r}"
            )
        rows = window_rows(geometry) if rows is None else rows
        least = min(geometry.reach[0] + 1, geometry.height)
        if rows < least:
            raise ValueError(
                f"a window of {least} rows needs at least that many in memory, not {rows}"
            )
        self._shape = Shape.cast(shape)
        low, high = ends_of(self._shape)
        if geometry.padded and not low <= pad_value <= high:
            raise ValueError(f"pad_value must lie in [{low}, {high}], not {pad_value!r}")
        self._lanes = lanes
        self._geometry = geometry
        self._folds = folds
        self._passes = passes
        self._order = order
        self._taps = taps
        self._pad_value = pad_value
        self._rows = rows
        super().__init__(
            {
                "i": In(beats(self._shape, lanes)),
                "enable": In(1),
                "start": Out(1),
                "step": Out(1),
                "x": Out(data.ArrayLayout(self._shape, taps[0] * taps[1] * lanes)),
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
    def rows(self) -> int:
        """Image rows in memory."""
        return self._rows

    @property
    def steps(self) -> int:
        """Steps of a pass."""
        blocks = self._geometry.taps // (self._taps[0] * self._taps[1])
        return blocks * (self._folds if self._order == "dense" else 1)

    @property
    def memory_bits(self) -> int:
        """Bits of all rings."""
        copies = self._taps[0] * self._taps[1]
        words = self._rows * self._geometry.width * self._folds
        return copies * words * self._lanes * self._shape.width

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        g = self._geometry
        folds, size = self._folds, self._rows * g.width * self._folds
        (sh, sw), (dh, dw), (kh, kw) = g.stride, g.dilation, g.kernel
        # A kernel of blocks: what moves from step to step is the first tap of each.
        dh, dw = dh * self._taps[0], dw * self._taps[1]
        kh, kw = kh // self._taps[0], kw // self._taps[1]
        top, left = g.pads[:2]
        dense = self._order == "dense"

        # Position of the reader; `next_*` is one pixel ahead, so that `need` can be a register.
        rows_of = [oy * sh - top for oy in range(g.out_height)]
        columns_of = [ox * sw - left for ox in range(g.out_width)]
        second = divmod(1 % (g.out_height * g.out_width), g.out_width)
        next_y = Signal(range(rows_of[0], rows_of[-1] + 1), init=rows_of[second[0]])
        next_x = Signal(range(columns_of[0], columns_of[-1] + 1), init=columns_of[second[1]])
        next_row_end = Signal()
        next_image_end = Signal()
        row_end = Signal(init=g.out_width == 1)
        image_end = Signal(init=g.out_width == 1 and g.out_height == 1)
        m.d.comb += [
            next_row_end.eq(next_x == columns_of[-1]),
            next_image_end.eq(next_row_end & (next_y == rows_of[-1])),
        ]

        # Steps: (ky, kx, fold) of a pass, then passes of a pixel.
        step, first = self.step, Signal(init=1)
        fold_end = counter(m, "fold", folds if dense else 1, step)
        kx_end = counter(m, "kx", kw, step & fold_end)
        ky_end = counter(m, "ky", kh, step & fold_end & kx_end)
        pass_end = Signal()
        pixel_end = Signal()
        m.d.comb += pass_end.eq(fold_end & kx_end & ky_end)
        passes_end = counter(m, "turn", self._passes, step & pass_end)
        m.d.comb += pixel_end.eq(pass_end & passes_end)

        # What the pixel needs, and what the writer may overwrite.
        need_y = [min(max(y + g.reach[0], 0), g.height - 1) * g.width for y in rows_of]
        need_x = [min(max(x + g.reach[1], 0), g.width - 1) + 1 for x in columns_of]
        keep = [(min(max(y, 0), g.height) + self._rows) * g.width for y in rows_of]
        need = Signal(range(max(need_y) + max(need_x) + 1), init=need_y[0] + need_x[0])
        limit = Signal(range(max(keep) + 1), init=keep[0])
        ahead = Signal(range(-g.height * g.width, max(keep) + 1))
        ready = Signal()
        m.d.comb += [
            ready.eq(ahead >= need),
            self.start.eq(first & ready & self.enable),
            step.eq(~first | self.start),
        ]
        with m.If(step):
            m.d.sync += first.eq(pass_end)
        with m.If(step & pixel_end):
            m.d.sync += [
                need.eq(
                    _clamp(next_y, rows_of, g.reach[0], g.height - 1) * g.width
                    + _clamp(next_x, columns_of, g.reach[1], g.width - 1)
                    + 1
                ),
                limit.eq(_clamp(next_y, rows_of, 0, g.height) * g.width + self._rows * g.width),
                row_end.eq(next_row_end),
                image_end.eq(next_image_end),
                next_x.eq(next_x + sw),
            ]
            with m.If(next_row_end):
                m.d.sync += [next_x.eq(columns_of[0]), next_y.eq(next_y + sh)]
            with m.If(next_image_end):
                m.d.sync += next_y.eq(rows_of[0])

        # Writer.
        word = self._lanes * self._shape.width
        put = Signal()
        write_at = Signal(range(size))
        beat_end = counter(m, "beat", folds, put)
        wrote = Signal()
        m.d.comb += [
            self.i.ready.eq(ahead < limit),
            put.eq(self.i.valid & self.i.ready),
            wrote.eq(put & beat_end),
        ]
        with m.If(put):
            m.d.sync += write_at.eq(_wrap(write_at, 1, size))
        leave = Mux(step & pixel_end & image_end, g.height * g.width, 0)
        m.d.sync += ahead.eq(ahead + wrote - leave)

        # Addresses: of the window's corner (of the pass, where channelwise), and of the tap.
        back = 0 if dense else folds - 1
        row_step = sh * g.width - (g.out_width - 1) * sw
        image_step = g.height * g.width - (g.out_height - 1) * sh * g.width - (g.out_width - 1) * sw
        corner = Signal(range(size), init=-(top * g.width + left) * folds % size)
        moved = Signal(range(size))
        stride = Mux(
            pixel_end,
            Mux(
                image_end,
                (image_step * folds - back) % size,
                Mux(row_end, (row_step * folds - back) % size, (sw * folds - back) % size),
            ),
            0 if dense else 1 % size,
        )
        m.d.comb += moved.eq(_wrap(corner, stride, size))
        address = Signal(range(size), init=corner.init)
        back = folds - 1 if dense else 0
        advance = Mux(
            fold_end,
            Mux(
                kx_end,
                ((dh * g.width - (kw - 1) * dw) * folds - back) % size,
                (dw * folds - back) % size,
            ),
            1 % size,
        )
        with m.If(step):
            m.d.sync += address.eq(_wrap(address, advance, size))
            with m.If(pass_end):
                m.d.sync += [corner.eq(moved), address.eq(moved)]
        words: list[Value] = []
        for tap, (y, x) in enumerate(self._offsets):
            ring = Memory(shape=word, depth=size, init=[])
            m.submodules[f"ring{tap or ''}"] = ring
            write, read = ring.write_port(), ring.read_port()
            ahead_by = (y * g.width + x) * folds % size
            m.d.comb += [
                write.addr.eq(write_at),
                write.en.eq(put),
                write.data.eq(self.i.payload.data.as_value()),
                read.addr.eq(_wrap(address, ahead_by, size) if ahead_by else address),
                read.en.eq(step),
            ]
            words.append(read.data)

        # Two registers: the memory's, and this one.
        flags = Signal(3)
        m.d.sync += [
            flags.eq(Mux(step, first | pass_end << 1 | (pixel_end & image_end) << 2, 0)),
            self.first.eq(flags[0]),
            self.last.eq(flags[1]),
            self.final.eq(flags[2]),
        ]
        if g.padded:
            outside = self._outside(
                m, step & fold_end, kx_end, step & pass_end, step & pixel_end, next_y, next_x
            )
            late = Signal(len(outside))
            m.d.sync += late.eq(Cat(outside))
            mask = (1 << self._shape.width) - 1
            pad = sum(
                (self._pad_value & mask) << (k * self._shape.width) for k in range(self._lanes)
            )
            words = [Mux(late[tap], pad, read) for tap, read in enumerate(words)]
        m.d.sync += self.x.as_value().eq(Cat(each[:word] for each in words))
        return m

    @property
    def _offsets(self) -> list[Pair]:
        """Pixels from the first tap of a step to each of its taps, in rows and columns."""
        (ty, tx), (dh, dw) = self._taps, self._geometry.dilation
        return [(y * dh, x * dw) for y in range(ty) for x in range(tx)]

    def _outside(
        self,
        m: Any,
        tap_end: Value,
        kx_end: Value,
        pass_end: Value,
        pixel_end: Value,
        next_y: Value,
        next_x: Value,
    ) -> list[Value]:
        """Whether each tap of the step lies outside of the image."""
        g = self._geometry
        dh, dw = (d * n for d, n in zip(g.dilation, self._taps, strict=True))
        top, left = g.pads[:2]
        last_y = (g.out_height - 1) * g.stride[0] - top
        last_x = (g.out_width - 1) * g.stride[1] - left
        # The first tap of a step may go one dilation beyond the window before it returns.
        tap_y = Signal(range(-top, last_y + g.reach[0] + g.dilation[0] + 1), init=-top)
        tap_x = Signal(range(-left, last_x + g.reach[1] + g.dilation[1] + 1), init=-left)
        pixel_y = Signal(range(-top, last_y + 1), init=-top)
        pixel_x = Signal(range(-left, last_x + 1), init=-left)
        with m.If(tap_end):
            m.d.sync += tap_x.eq(tap_x + dw)
            with m.If(kx_end):
                m.d.sync += [tap_x.eq(pixel_x), tap_y.eq(tap_y + dh)]
        with m.If(pass_end):
            m.d.sync += tap_y.eq(pixel_y)
        with m.If(pixel_end):
            m.d.sync += [
                tap_y.eq(next_y),
                tap_x.eq(next_x),
                pixel_y.eq(next_y),
                pixel_x.eq(next_x),
            ]
        return [
            (tap_y < -y) | (tap_y >= g.height - y) | (tap_x < -x) | (tap_x >= g.width - x)
            for y, x in self._offsets
        ]


def _wrap(address: Value, by: Any, size: int) -> Value:
    """``(address + by) % size`` for two numbers below ``size``."""
    total = address + by
    return Mux(total >= size, total - size, total)


def _clamp(raw: Value, values: list[int], plus: int, high: int) -> Value:
    """``raw + plus``, brought into [0, high]; compares only where ``values`` need it."""
    result = raw + plus if plus else raw
    if max(values) + plus > high:
        result = Mux(raw > high - plus, high, result)
    if min(values) + plus < 0:
        result = Mux(raw < -plus, 0, result)
    return result
