# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""All that collects and executes: from words of fragments to jobs for the packetiser.

::

    decider -- chores --> reader <-- whole requests, in their order
                            |
    words --> slot memory --+--> slice --> results --+--> jobs
                            +--> evicted fragments --+
                            +--> questions ----------+

The decider says what is collected, the reader what becomes of it. Each slot belongs to one of them:
to the reader from when its request is whole or given up until it is released.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.bundle import WEIGHT_BANK
from .ask import Asker
from .bus import CONFIG, HOP, JOB, MODEL, ORIGIN, WORD_BITS
from .deep_fifo import QuickFifo
from .joining_reader import JoiningReader
from .outgoing import GOES_ON, IN_SLICE, QUESTION, RESULT, SOURCES, Outgoing
from .reader import Reader
from .result import Results
from .room import Room, chore, released
from .shape import SliceShape
from .slot_memory import SlotMemory
from .weights import words_of


class Executor(wiring.Component):
    """The slots' memory, the slice, and what goes between and behind them.

    Parameters
    ----------
    room : of the slots
    shape : of the slice
    module : its name, a black box

    Members
    -------
    config : In(CONFIG); model : In(MODEL); now : In(32), microseconds
    collected : In(stream of words), always taken; address, slot, whole : In, of the fragment that
        is collected (:func:`.room.decided`); stored : In(1), it is whole
    begins, begun, origin, hop, release, chore, may_ask, here_address, here, clear, cleared, part,
        cut : of :class:`.decide.Decider`
    job : Out(stream of JOB); words : Out(stream of words)
    requests, asked, evicted_fragments, results, result_frames : Out(1), events of the registers
    busy : Out(1); computing : Out(1), the slice has work
    w0, ... : In(stream of words), into the slice's side ports
    bank, waits, halts : In(1), empty : Out(1), for :mod:`.weights`: as of :class:`.reader.Reader`,
        and nothing is in the slice
    """

    def __init__(self, room: Room, shape: SliceShape, module: str) -> None:
        self._room, self._module = room, module
        self._inputs, self._outputs, self._sides = shape.inputs, shape.outputs, shape.sides
        events = ("requests", "asked", "evicted_fragments", "results", "result_frames")
        super().__init__(
            {
                "config": In(CONFIG),
                "model": In(MODEL),
                "now": In(32),
                "collected": In(stream.Signature(WORD_BITS, always_ready=True)),
                "address": In(room.address),
                "slot": In(room.slot),
                "whole": In(1),
                "stored": In(1),
                "begins": In(1),
                "begun": In(room.part),
                "origin": In(ORIGIN),
                "hop": In(HOP),
                "release": Out(stream.Signature(released(room))),
                "chore": In(stream.Signature(chore(room))),
                "may_ask": Out(1),
                "here_address": Out(room.here),
                "here": In(room.here_bits),
                "clear": Out(1),
                "cleared": In(1),
                "job": Out(stream.Signature(JOB)),
                "words": Out(stream.Signature(WORD_BITS)),
                **{name: Out(1) for name in events},
                "busy": Out(1),
                "computing": Out(1),
                **{f"w{k}": In(words_of(side)) for k, side in enumerate(self._sides)},
                "bank": In(1),
                "waits": In(1),
                "halts": In(1),
                "empty": Out(1),
                **({"part": Out(room.part), "cut": In(room.cut)} if room.several else {}),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.memory = memory = SlotMemory(self._room)
        m.submodules.order = order = QuickFifo(self._room.slot, self._room.slots)
        m.submodules.reader = reader = (JoiningReader if self._room.several else Reader)(
            self._room, self._inputs
        )
        m.submodules.contexts = contexts = QuickFifo(32, IN_SLICE)
        m.submodules.results = results = Results(self._outputs)
        m.submodules.asker = asker = Asker()
        m.submodules.outgoing = outgoing = Outgoing(self._outputs)

        wiring.connect(m, wiring.flipped(self.collected), memory.i)
        m.d.comb += [
            memory.address.eq(self.address),
            memory.stored.eq(self.stored),
            order.i.payload.eq(self.slot),
            order.i.valid.eq(self.stored & self.whole),
        ]
        wiring.connect(m, order.o, reader.whole)
        wiring.connect(m, wiring.flipped(self.chore), reader.chore)
        wiring.connect(m, reader.release, wiring.flipped(self.release))
        for name in (
            *("begins", "begun", "origin", "hop", "here", "cleared"),
            *("bank", "waits", "halts"),
        ):
            m.d.comb += getattr(reader, name).eq(getattr(self, name))
        if self._room.several:
            m.d.comb += [self.part.eq(reader.part), reader.cut.eq(self.cut)]
        m.d.comb += [
            self.here_address.eq(reader.here_address),
            self.clear.eq(reader.clear),
            memory.read_address.eq(reader.read_address),
            reader.read_word.eq(memory.read_word),
            reader.late_word.eq(memory.late_word),
        ]
        wiring.connect(m, reader.zero, memory.zero)
        wiring.connect(m, reader.context, contexts.i)
        wiring.connect(m, contexts.o, results.context)
        wiring.connect(m, reader.question, asker.i)
        self._slice(m, reader, results)

        fragments = (reader.evicted, results.o, asker.o)
        words = (reader.evicted_words, results.words, asker.words)
        for source in range(SOURCES):
            wiring.connect(m, fragments[source], outgoing.fragments[source])
            wiring.connect(m, words[source], outgoing.words_of[source])
        wiring.connect(m, outgoing.job, wiring.flipped(self.job))
        wiring.connect(m, outgoing.words, wiring.flipped(self.words))

        cycle = Signal(32)
        m.d.sync += cycle.eq(cycle + 1)
        m.d.sync += results.sent.eq(outgoing.sent)  # the next one waits for it a cycle longer
        m.d.comb += [
            reader.cycle.eq(cycle),
            results.cycle.eq(cycle),
            reader.model.eq(self.model),
            results.config.eq(self.config),
            outgoing.now.eq(self.now),
            outgoing.model.eq(self.model),
            outgoing.cycles.eq(results.cycles),
            outgoing.keeps.eq(reader.keeps),
            outgoing.place.eq(reader.place),
            outgoing.kept.eq(reader.kept),
            self.may_ask.eq(~(asker.busy | reader.asking)),
            self.requests.eq(order.i.valid),
            # What is made: jobs of several cores are taken one by one, so each is counted.
            self.asked.eq(outgoing.went[QUESTION]),
            self.evicted_fragments.eq(outgoing.went[GOES_ON]),
            self.result_frames.eq(outgoing.went[RESULT]),
            self.results.eq(outgoing.sent),
            self.computing.eq(contexts.o.valid),
            self.empty.eq(reader.rests & ~contexts.o.valid),
            self.busy.eq(
                order.o.valid
                | reader.busy
                | contexts.o.valid
                | results.busy
                | asker.busy
                | outgoing.busy
                | self.waits
            ),
        ]
        return m

    def _slice(self, m: Module, reader: Reader, results: Results) -> None:
        ports: dict[str, Any] = {}
        for k in range(len(self._inputs)):
            beats = getattr(reader, f"o{k}")
            ports |= {
                f"i_s{k}_axis_tdata": beats.payload.data,
                f"i_s{k}_axis_tvalid": beats.valid,
                f"i_s{k}_axis_tlast": beats.payload.last,
                f"o_s{k}_axis_tready": beats.ready,
            }
        for k in range(len(self._outputs)):
            beats = getattr(results, f"i{k}")
            ports |= {
                f"o_m{k}_axis_tdata": beats.payload,
                f"o_m{k}_axis_tvalid": beats.valid,
                f"o_m{k}_axis_tlast": Signal(name=f"slice_last{k}"),  # beats are counted
                f"i_m{k}_axis_tready": beats.ready,
            }
        for k in range(len(self._sides)):
            words = getattr(self, f"w{k}")
            ports |= {
                f"i_w{k}_axis_tdata": words.payload.data,
                f"i_w{k}_axis_tvalid": words.valid,
                f"i_w{k}_axis_tlast": words.payload.last,
                f"o_w{k}_axis_tready": words.ready,
            }
        if self._sides:
            ports[f"i_{WEIGHT_BANK}"] = self.bank
        m.submodules.slice = Instance(
            self._module,
            i_clk=ClockSignal(),
            i_aresetn=~ResetSignal(),
            **ports,
        )
