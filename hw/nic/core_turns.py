# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What several cores make, a frame of each by turns."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from .bus import BEAT_BYTES, JOB, LENGTH_BITS, WORD_BITS
from .tags import first_of
from .turns import words_in_turn

_AHEAD = 4  # jobs that were taken, and whose words were not


class CoreTurns(wiring.Component):
    """Jobs of several cores as those of one; words in the same order.

    Behind a core's job come those of the cores after it, round and round: one that is busy keeps no
    other waiting for more than a frame of each.

    Parameters
    ----------
    cores : how many, at least 2

    Members
    -------
    jobs_of : In(stream of JOB), words_of : In(stream of words), of each core
    job : Out(stream of JOB); words : Out(stream of words)
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        super().__init__(
            {
                "jobs_of": In(stream.Signature(JOB)).array(cores),
                "words_of": In(stream.Signature(WORD_BITS)).array(cores),
                "job": Out(stream.Signature(JOB)),
                "words": Out(stream.Signature(WORD_BITS)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        turn = data.StructLayout({"core": range(self._cores), "words": LENGTH_BITS})
        m.submodules.turns = turns = Fifo(turn, _AHEAD)
        waits, after = Signal(self._cores), Signal(self._cores)
        behind = Signal(self._cores)  # cores behind the one that had the last turn
        core, held, holds = Signal(range(self._cores)), Signal(range(self._cores)), Signal()
        m.d.comb += [
            waits.eq(Cat(job.valid for job in self.jobs_of)),
            after.eq(waits & behind),
            core.eq(Mux(after.any(), first_of(m, after), first_of(m, waits))),
            self.job.valid.eq(waits.any() & turns.i.ready),
            self.job.payload.eq(Array(job.payload.as_value() for job in self.jobs_of)[core]),
            turns.i.payload.core.eq(core),
            turns.i.payload.words.eq((self.job.payload.bytes + (BEAT_BYTES - 1)) >> 3),
            turns.i.valid.eq(self.job.valid & self.job.ready),
        ]
        # What is offered stays until it is taken.
        with m.If(holds):
            m.d.comb += core.eq(held)
        m.d.sync += [holds.eq(self.job.valid & ~self.job.ready), held.eq(core)]
        with m.If(turns.i.valid):
            m.d.sync += behind.eq(Cat(core < k for k in range(self._cores)))
        for k, job in enumerate(self.jobs_of):
            m.d.comb += job.ready.eq(turns.i.valid & (core == k))

        words_in_turn(m, turns.o, turns.o.payload.core, self.words_of, self.words)
        return m
