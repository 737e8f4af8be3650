# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Fragments of several outputs of a slice, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from .bus import BEAT_BYTES, LENGTH_BITS, WORD_BITS
from .tags import first_of

PIECE = data.StructLayout(
    {"bytes": LENGTH_BITS, "total": 32, "index": 16, "offset": 32, "last": 1, "count": 16}
)
"""A fragment of a result, all of which is here."""

_AHEAD = 4  # fragments that were taken, and whose words were not


class Turns(wiring.Component):
    """Of fragments that are here, those of the first output first; words in the same order.

    Parameters
    ----------
    outputs : how many, at least 2

    Members
    -------
    pieces : In(stream of PIECE), words_of : In(stream of words), of each output
    ended : In(1), the slice has given all of its result; last fragments wait for that
    o : Out(stream of PIECE), and its ``output`` : Out; words : Out(stream of words)
    """

    def __init__(self, outputs: int) -> None:
        self._outputs = outputs
        super().__init__(
            {
                "pieces": In(stream.Signature(PIECE)).array(outputs),
                "words_of": In(stream.Signature(WORD_BITS)).array(outputs),
                "ended": In(1),
                "o": Out(stream.Signature(PIECE)),
                "output": Out(range(outputs)),
                "words": Out(stream.Signature(WORD_BITS)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        turn = data.StructLayout({"output": range(self._outputs), "words": LENGTH_BITS})
        m.submodules.turns = turns = Fifo(turn, _AHEAD)
        ready, holds = Signal(self._outputs), Signal()
        held = Signal.like(self.output)
        m.d.comb += [
            ready.eq(
                Cat(piece.valid & (self.ended | ~piece.payload.last) for piece in self.pieces)
            ),
            self.output.eq(first_of(m, ready)),
            self.o.valid.eq(ready.any() & turns.i.ready),
            self.o.payload.eq(
                Array(piece.payload.as_value() for piece in self.pieces)[self.output]
            ),
            turns.i.payload.output.eq(self.output),
            turns.i.payload.words.eq((self.o.payload.bytes + (BEAT_BYTES - 1)) >> 3),
            turns.i.valid.eq(self.o.valid & self.o.ready),
        ]
        # What is offered stays until it is taken.
        with m.If(holds):
            m.d.comb += self.output.eq(held)
        m.d.sync += [holds.eq(self.o.valid & ~self.o.ready), held.eq(self.output)]
        for k, piece in enumerate(self.pieces):
            m.d.comb += piece.ready.eq(turns.i.valid & (self.output == k))

        words_in_turn(m, turns.o, turns.o.payload.output, self.words_of, self.words)
        return m


def words_in_turn(m: Module, turn: Any, source: Value, words_of: Sequence[Any], words: Any) -> None:
    """Words of several sources, one after the other.

    Parameters
    ----------
    turn : In(stream), whose payload has ``words``, the number that leave in this turn; taken with
        the last of them
    source : of this turn
    words_of, words : In and Out(stream of words)
    """
    sent = Signal(LENGTH_BITS)  # words of the frame whose turn it is
    moves, last = Signal(), Signal()
    m.d.comb += [
        words.payload.eq(Array(each.payload for each in words_of)[source]),
        words.valid.eq(turn.valid & Array(each.valid for each in words_of)[source]),
        moves.eq(words.valid & words.ready),
        last.eq(sent + 1 == turn.payload.words),
        turn.ready.eq(moves & last),
    ]
    for k, each in enumerate(words_of):
        m.d.comb += each.ready.eq(turn.valid & (source == k) & words.ready)
    with m.If(moves):
        m.d.sync += sent.eq(sent + 1)
        with m.If(last):
            m.d.sync += sent.eq(0)
