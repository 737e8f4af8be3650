# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One slice and all that is known of its requests: its decider and its executor."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .bus import CONFIG, FATE, FRAME, JOB, MODEL, WORD_BITS
from .decide import Decider
from .deep_fifo import QuickFifo
from .entries import STEERED
from .executor import Executor
from .room import Room
from .shape import SliceShape
from .weights import WEIGHTS, add_weights

EVENTS = ("requests", "asked", "evicted", "evicted_fragments", "results", "result_frames")
"""Of the registers, those that a core raises."""


def core_signature(cores: int) -> dict[str, Any]:
    """Members of a core, and of several that are one to their surroundings.

    ::

        i : In(stream of FRAME); o : Out(stream of FATE), of each in order; taken when it is gone
        comes : In(1), the origin of i is there, and its verdict will be
        config : In(CONFIG); models : In(MODEL), of each core; now : In(32), microseconds
        weights : In(WEIGHTS), of each core
        steered : In(STEERED), what the steering table says of i
        collected : In(stream of words), of the frame that o is of; stored : In(1), it is whole
        job : Out(stream of JOB); words : Out(stream of words), of each job in their order
        {event} : Out(1), for each of EVENTS
        busy : Out(1); collecting : Out(1), a request lacks fragments
        computing : Out(1), a slice has work
    """
    return {
        "i": In(stream.Signature(FRAME)),
        "comes": In(1),
        "o": Out(stream.Signature(FATE)),
        "config": In(CONFIG),
        "models": In(MODEL).array(cores),
        "weights": In(WEIGHTS).array(cores),
        "now": In(32),
        "steered": In(STEERED),
        "collected": In(stream.Signature(WORD_BITS, always_ready=True)),
        "stored": In(1),
        "job": Out(stream.Signature(JOB)),
        "words": Out(stream.Signature(WORD_BITS)),
        **{name: Out(1) for name in EVENTS},
        "busy": Out(1),
        "collecting": Out(1),
        "computing": Out(1),
    }


class Core(wiring.Component):
    """Members are those of :func:`core_signature`.

    Parameters
    ----------
    shape : of the slice; module : its name, a black box
    cores : how many there are, that share the memory of slots
    """

    def __init__(self, shape: SliceShape, module: str, cores: int = 1) -> None:
        self._shape, self._module = shape, module
        self.room = Room(tuple(tensor.tensor_bytes for tensor in shape.inputs), cores)
        super().__init__(core_signature(1))

    @property
    def cores(self) -> list[Core]:
        """As :attr:`.cores.Cores.cores`."""
        return [self]

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        room = self.room
        m.submodules.decider = decider = Decider(room)
        m.submodules.executor = executor = Executor(room, self._shape, self._module)
        wiring.connect(m, wiring.flipped(self.i), decider.i)
        for part in (decider, executor):
            m.d.comb += [
                part.config.eq(self.config),
                part.model.eq(self.models[0]),
                part.now.eq(self.now),
            ]
        m.d.comb += [
            decider.comes.eq(self.comes),
            decider.steered.eq(self.steered),
        ]

        fate = decider.o.payload
        m.d.comb += [
            self.o.payload.frame.eq(fate.frame),
            self.o.payload.reason.eq(fate.reason),
            self.o.payload.hop.eq(fate.hop),
            self.o.valid.eq(decider.o.valid),
            decider.o.ready.eq(self.o.ready),
            executor.address.eq(fate.address),
            executor.slot.eq(fate.slot),
            executor.whole.eq(fate.whole),
            executor.stored.eq(self.stored),
        ]
        wiring.connect(m, wiring.flipped(self.collected), executor.collected)
        wiring.connect(m, decider.chore, executor.chore)
        m.submodules.released = released = QuickFifo(executor.release.payload.shape())
        wiring.connect(m, executor.release, released.i)
        wiring.connect(m, released.o, decider.release)
        told = ("begins", "begun", "origin", "hop", "here", "cleared")
        for name in told + (("cut",) if room.several else ()):
            m.d.comb += getattr(executor, name).eq(getattr(decider, name))
        for name in ("here_address", "clear", "may_ask") + (("part",) if room.several else ()):
            m.d.comb += getattr(decider, name).eq(getattr(executor, name))

        add_weights(m, self._shape.sides, self.weights[0], self.models[0], decider, executor)

        wiring.connect(m, executor.job, wiring.flipped(self.job))
        wiring.connect(m, executor.words, wiring.flipped(self.words))
        for name in EVENTS:
            of = decider if name == "evicted" else executor
            event: Signal = getattr(of, name)
            m.d.comb += getattr(self, name).eq(event)
        m.d.comb += [
            self.busy.eq(decider.busy | executor.busy | released.o.valid),
            self.collecting.eq(decider.collecting),
            self.computing.eq(executor.computing),
        ]
        return m
