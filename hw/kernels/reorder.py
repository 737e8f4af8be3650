# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reordering: a block of elements goes into a buffer and comes out in another, affine order.

Some may come several times, some not at all. So one kernel serves a Transpose that changes the
order of a stream, nearest Resize, Slice, Expand, DepthToSpace, and the operands of a product of two
computed matrices. Rules, cited by tests as M1 to M3:

M1. The output of a block is a nest of loops: ``for a in range(count): for b in ...``, and element
    ``start + a * stride + b * stride + ...`` of the block in turn. Strides may be zero (repeat) or
    negative. Where there are ``starts``, the whole nest comes once for each of them, from there on:
    any runs of elements in any order.
M2. The buffer holds two blocks: one is written while the other is read. A block is read when all
    of it is there.
M3. A word of the buffer has ``lanes`` elements that follow each other in the innermost loop. Where
    that loop has stride 1, a word is written at a time, else an element.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray, Layout
from ..numeric import IntArray, IntType
from ..timing.components import Edge, Schedule, outlet_depth
from ..timing.cost import Cost, counter_cost, outlet_cost
from ..timing.moving import reorder
from .base import Accumulators, Finished, Kernel, StreamPort
from .finishing import unit_for
from .folds import lane_choices

Loop = tuple[int, int]
"""Turns of a loop, and the stride of each, in elements."""


@dataclass(frozen=True)
class ReorderKernel(Kernel):
    """Blocks of a tensor, each read in the order of some loops (M1).

    Attributes
    ----------
    x : type of the elements
    block : elements of a block, as they come in
    blocks : consecutive blocks of a tensor
    loops : what is read of a block, outermost first
    start : the block's element that is read first
    starts : elements from which the loops are read, one after the other; none for ``start`` alone
    channels : length of the innermost axis of the result, along which a finisher's channels lie; 1
        if it treats all elements alike

    Raises
    ------
    ValueError
        If a loop leaves the block, the channels do not divide the result, or there is a start
        beside ``starts``.
    """

    x: IntType
    block: int
    blocks: int
    loops: tuple[Loop, ...]
    start: int = 0
    channels: int = 1
    starts: tuple[int, ...] = ()

    name = "reorder"

    def __post_init__(self) -> None:
        if self.block < 1 or self.blocks < 1 or any(count < 1 for count, _ in self.loops):
            raise ValueError(
                f"block, blocks and the turns of loops must be at least 1, not {self.block}, "
                f"{self.blocks} and {self.loops}"
            )
        ends = [(count - 1) * stride for count, stride in self.loops]
        if self.start and self.starts:
            raise ValueError(f"start must be 0 beside starts, not {self.start}")
        low = min(self.begins) + sum(min(end, 0) for end in ends)
        high = max(self.begins) + sum(max(end, 0) for end in ends)
        if low < 0 or high >= self.block:
            raise ValueError(
                f"loops {self.loops} from {_text(self.begins)} read the elements {low} to {high}, "
                f"but a block has the elements 0 to {self.block - 1}"
            )
        if self.channels < 1 or self.elements % self.channels:
            raise ValueError(
                f"the result's {self.elements} elements are not a multiple of {self.channels} "
                "channels"
            )

    @property
    def begins(self) -> tuple[int, ...]:
        """The elements that the loops start from."""
        return self.starts or (self.start,)

    @property
    def reads(self) -> int:
        """Elements that are read of a block."""
        return len(self.begins) * math.prod(count for count, _ in self.loops)

    @property
    def elements(self) -> int:
        """Elements of the result."""
        return self.blocks * self.reads

    @property
    def is_identity(self) -> bool:
        """Whether the result is the stream itself."""
        return not self.starts and merged(self.loops) == merged([(self.block, 1)])

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """The elements themselves, (N, elements / channels, channels)."""
        (x,) = streams
        places = _places(self.begins, self.loops).ravel()
        result = x.reshape(len(x), self.blocks, self.block)[:, :, places].astype(np.int64)
        return ((result.reshape(len(x), -1, self.channels),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """A Gather of what is read once, and an Expand that repeats it."""
        (x,) = streams
        once = [(count if stride else 1, stride) for count, stride in self.loops]
        places = _places(self.begins, once)
        rows = writer.reshape(x, [self.blocks, self.block])
        value = writer.op("Gather", rows, writer.constant(places, np.int64), axis=1)
        if any(stride == 0 and count > 1 for count, stride in self.loops):
            shape = [self.blocks, len(self.begins), *(count for count, _ in self.loops)]
            value = writer.op("Expand", value, writer.constant(shape, np.int64))
        wide = writer.cast(value, np.float64)
        return ((writer.reshape(wide, [-1, self.channels]),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """All that the type holds."""
        return ((((self.x.lo, self.x.hi),),) * self.channels,)

    def uniform(self) -> ReorderKernel:
        """All elements are one channel."""
        return replace(self, channels=1)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[PingPong]:
        """One for each number of lanes with which reads and writes are whole words (M3)."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        found = []
        loops = merged(self.loops)
        for lanes in lane_choices(loops[-1][0]):
            each = [_words(self.block, loops, begin, lanes) for begin in self.begins]
            words = [one for one in each if one is not None]
            if len(words) < len(each) or (self.channels > 1 and self.channels % lanes):
                continue
            stride, inner, start = words[0]
            starts = tuple(begin for *_, begin in words) if self.starts else ()
            unit = unit_for(finisher, lanes, ranges, out)
            found.append(
                PingPong(self.x, self.block, self.blocks, stride, inner, start, unit, starts)
            )
        return found


@dataclass(frozen=True)
class PingPong(Finished):
    """A buffer of two blocks (M2), read a word each cycle.

    Attributes
    ----------
    x : type of the elements
    block, blocks : as in :class:`ReorderKernel`
    stride : distance, in the stream, of the elements of a word
    loops : what is read of a block, in words
    start : the word that is read first
    unit : hardware of the finisher
    starts : as in :class:`ReorderKernel`, in words
    """

    x: IntType
    block: int
    blocks: int
    stride: int
    loops: tuple[Loop, ...]
    start: int
    unit: FinisherUnit
    starts: tuple[int, ...] = ()

    @property
    def lanes(self) -> int:
        """Elements of a word."""
        return self.unit.lanes

    @property
    def lanes_in(self) -> int:
        """Elements that are written at a time (M3)."""
        return self.lanes if self.stride == 1 else 1

    @property
    def words(self) -> int:
        """Words of a block in memory."""
        return -(-self.block // (self.stride * self.lanes)) * self.stride

    @property
    def writes(self) -> int:
        """Beats of a block, coming in."""
        return self.block // self.lanes_in

    @property
    def reads(self) -> int:
        """Beats of a block, going out."""
        return max(1, len(self.starts)) * math.prod(count for count, _ in self.loops)

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """Whole blocks."""
        return (StreamPort(self.x, self.lanes_in, self.blocks * self.writes),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """What is read of them."""
        return (StreamPort(self.unit.out, self.lanes, self.blocks * self.reads),)

    @property
    def cycles(self) -> int:
        """Writing and reading overlap (M2)."""
        return self.blocks * max(self.writes, self.reads)

    @property
    def pipeline(self) -> int:
        """Cycles from a read to its result at the output FIFO: the memory, then the finisher."""
        return 1 + self.unit.latency

    @property
    def latency(self) -> int:
        """The block is there in the cycle after its last beat; the output FIFO takes one."""
        return 1 + self.pipeline + 1

    @property
    def depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(1, self.pipeline)

    @property
    def cost(self) -> Cost:
        """Two blocks; addresses and counters of both sides; finisher and output FIFO."""
        word = self.lanes * self.x.bits
        banks = (word,) if self.lanes_in == self.lanes else (self.x.bits,) * self.lanes
        memories = tuple((bits, 2 * self.words) for bits in banks)
        counts = [self.blocks, self.writes, *(count for count, _ in self.loops)]
        own = sum((counter_cost(count) for count in counts), Cost(memories=memories))
        address = (2 * self.words - 1).bit_length()
        places = Cost(adders=address * (3 + len(self.loops)), registers=2 * address)
        if self.starts:
            own += counter_cost(len(self.starts)) + counter_cost(len(self.starts))
            own += Cost(roms=((address, len(self.starts)),), registers=address)
        outlet = outlet_cost(self.lanes * self.unit.out.bits + 1, self.depth)
        return own + places + outlet + self.unit.cost

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :func:`~midwire.hw.timing.moving.reorder`."""
        reorder(
            schedule,
            name,
            inputs[0],
            outputs[0],
            blocks=self.blocks,
            latency=self.pipeline,
            depth=self.depth,
        )

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.reorder.ReorderBuffer`."""
        from ..datapath.reorder import ReorderBuffer

        return ReorderBuffer(self, name)


def _text(begins: Sequence[int]) -> str:
    return str(begins[0]) if len(begins) == 1 else f"{min(begins)} to {max(begins)}"


def _places(begins: Sequence[int], loops: Sequence[Loop]) -> IntArray:
    """Which element each turn of each loop reads: an axis of starts, then one a loop (M1)."""
    places = np.array(begins, dtype=np.int64)
    for count, stride in loops:
        places = places[..., None] + np.arange(count) * stride
    return places


def merged(loops: Sequence[Loop]) -> tuple[Loop, ...]:
    """The same order in fewer loops: none of one turn, and none that another one only continues."""
    found: list[Loop] = []
    for count, stride in reversed(loops):
        if count == 1:
            continue
        if found and stride == found[-1][0] * found[-1][1]:
            found[-1] = (count * found[-1][0], found[-1][1])
        else:
            found.append((count, stride))
    return tuple(reversed(found)) or ((1, 1),)


def _words(
    block: int, loops: Sequence[Loop], start: int, lanes: int
) -> tuple[int, tuple[Loop, ...], int] | None:
    """Stride within a word, loops and start in words; None if reads or writes cut through words.

    Element ``e`` lies in lane ``e // stride % lanes`` of word ``e // span * stride + e % stride``,
    where a *span* is ``stride * lanes``. So loops may step by whole spans, or stay below a stride.
    """
    if lanes == 1:
        return 1, tuple(loops), start
    count, stride = loops[-1]
    if stride < 1 or count % lanes or (stride == 1 and block % lanes):
        return None
    span = stride * lanes
    words: list[Loop] = []
    whole, within = divmod(start, span)
    below = within
    for turns, step in loops[:-1]:
        if step % span == 0:
            words.append((turns, step // lanes))
        else:
            words.append((turns, step))
            below += (turns - 1) * step
            if step < 0:
                return None
    if below >= stride:
        return None
    return stride, (*words, (count // lanes, stride)), whole * stride + within


def reorder_between(
    layout_from: Layout, layout_to: Layout, x: IntType, channels: int = 1
) -> ReorderKernel | None:
    """The kernel with the smallest block that turns a stream of one layout into the other.

    Outer axes that both orders share become blocks. None if the layouts cut the tensor into axes
    that cross (6 x 4 and 4 x 6, say), so that no loops lead from one to the other; from and to
    raster order they always do.

    Parameters
    ----------
    layout_from, layout_to : orders of the same tensor
    x : type of its elements
    channels : as in :class:`ReorderKernel`
    """
    source, target = layout_from.canonical, layout_to.canonical
    finer = source.refined(target.dims)
    same = None if finer is None else target.refined(finer[0].dims)
    if finer is None or same is None:
        return None
    before, after = finer[0], same[0]
    dims = before.dims
    strides = {}
    stride = 1
    for axis in reversed(before.perm):
        strides[axis] = stride
        stride *= dims[axis]
    shared = 0
    while shared < len(dims) and before.perm[shared] == after.perm[shared]:
        shared += 1
    blocks = math.prod(dims[axis] for axis in after.perm[:shared])
    loops = merged([(dims[axis], strides[axis]) for axis in after.perm[shared:]])
    return ReorderKernel(x, stride // blocks, blocks, loops, 0, channels)
