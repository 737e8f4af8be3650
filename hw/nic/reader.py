# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What is done with a collected request: into the slice, or on, or its sender is asked for more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .ask import QUESTION
from .bus import (
    BEAT_BYTES,
    HOP,
    MODEL,
    ORIGIN,
    WORD_BITS,
)
from .gearbox import Gearbox
from .given_up import GivenUp
from .kept_origins import KEPT, KeptOrigins
from .outgoing import FRAGMENT, GOES_ON_PLACE, PLACES, QUESTION_PLACE, SLICE_PLACES
from .room import Room, chore, released
from .shape import WireTensor
from .slot_memory import READ_CYCLES, WordRun


def beats_of(tensor: WireTensor) -> stream.Signature:
    """The stream of a tensor into the slice."""
    return stream.Signature(data.StructLayout({"data": 8 * tensor.beat_bytes, "last": 1}))


class Reader(wiring.Component):
    """One slot at a time. A chore goes before the next whole request.

    A request goes into the slice, its words zeroed behind it. One that is given up goes on, one
    fragment after the other, each read twice: the checksum stands in front of what it is of.

    This one is for requests of one tensor; :class:`.joining_reader.JoiningReader` for others.

    Parameters
    ----------
    room : of the slots; inputs : of the slice

    Members
    -------
    model : In(MODEL); cycle : In(32)
    begins : In(1), a tensor begins in part ``begun`` with a frame from ``origin``; what comes of it
        goes to the next hop ``hop``
    whole : In(stream of slots), in the order of execution
    chore : In(stream of :func:`.room.chore`)
    read_address, read_word, late_word, zero : of :class:`.slot_memory.SlotMemory`
    here_address, here, clear, cleared : of :class:`.decide.Decider`
    keeps, place, kept : Out, of :class:`.outgoing.Outgoing`: the frame that is looked at
    context : Out(stream of 32), one for each request, ahead of its first beat: the cycle of that
    o0, ... : Out(stream of {"data", "last"}), into the slice, one for each tensor
    evicted : Out(stream of FRAGMENT); evicted_words : Out(stream of words)
    question : Out(stream of QUESTION), is taken at once; asking : Out(1), there may be one
    release : Out(stream of :func:`.room.released`)
    busy : Out(1)
    bank, waits, halts : In(1), rests : Out(1), for :mod:`.weights`: which bank is read; no request
        may begin; nor a chore; nothing is done, or in the slice's way
    """

    def __init__(self, room: Room, inputs: Sequence[WireTensor]) -> None:
        self._room = room
        self._inputs = tuple(inputs)
        super().__init__(
            {
                "model": In(MODEL),
                "cycle": In(32),
                "begins": In(1),
                "begun": In(room.part),
                "origin": In(ORIGIN),
                "hop": In(HOP),
                "whole": In(stream.Signature(room.slot)),
                "chore": In(stream.Signature(chore(room))),
                "read_address": Out(room.address),
                "read_word": In(WORD_BITS),
                "late_word": In(WORD_BITS),
                "zero": Out(stream.Signature(room.address)),
                "here_address": Out(room.here),
                "here": In(room.here_bits),
                "clear": Out(1),
                "cleared": In(1),
                "keeps": Out(1),
                "place": Out(range(PLACES)),
                "kept": Out(KEPT),
                "context": Out(stream.Signature(32)),
                "evicted": Out(stream.Signature(FRAGMENT)),
                "evicted_words": Out(stream.Signature(WORD_BITS)),
                "question": Out(stream.Signature(QUESTION)),
                "asking": Out(1),
                "release": Out(stream.Signature(released(room))),
                "busy": Out(1),
                "bank": In(1),
                "waits": In(1),
                "halts": In(1),
                "rests": Out(1),
                **{f"o{k}": Out(beats_of(tensor)) for k, tensor in enumerate(inputs)},
                **self._more(),
            }
        )

    # What differs where requests have several tensors.

    def _more(self) -> dict[str, Any]:
        """Further members."""
        return {}

    def _feed(self, m: Module) -> Value:
        """What leads into the slice; returns whether it is empty."""
        beat_bytes = self._inputs[0].beat_bytes
        m.submodules.gearbox = gearbox = Gearbox(BEAT_BYTES, *self._inputs[0])
        wiring.connect(m, gearbox.o, wiring.flipped(self.o0))
        m.d.comb += [
            gearbox.i.payload.eq(self._run.word),
            # A read, which began in the cycle before, and as many words as the first beat needs.
            self.context.payload.eq(self.cycle + (READ_CYCLES - 1) + -(-beat_bytes // BEAT_BYTES)),
            # All words of a request that is executed, whatever the state: by registers.
            gearbox.i.valid.eq(self._run.loaded & self._executes),
            self._run.ready.eq(gearbox.i.ready & self._executes),
        ]
        return gearbox.empty

    def _begin(self, m: Module, slot: Value) -> None:
        """Look at a slot, for a chore if there is one; in state ``idle``."""
        m.d.comb += self._coming.eq(slot)
        m.d.sync += self._cut.eq(self.chore.payload.cut)

    def _on_fetch(self, m: Module) -> None:
        """To the chore, the tensor being chosen since the cycle before."""
        self._attend(m)

    def _into_slice(self, m: Module) -> None:
        """The states ``start``, and from there to ``zero``."""
        run, room = self._run, self._room
        enters = Signal()  # its context is there a cycle after its words are asked for
        m.d.sync += enters.eq(0)
        m.d.comb += self.context.valid.eq(enters)
        with m.State("start"):
            m.d.sync += enters.eq(~self._old)
            m.d.comb += [
                run.go.eq(~self._old),
                run.count.eq(room.words),
            ]
            m.next = "read"
            with m.If(self._old):
                self._turn_away(m)
        with m.State("read"):
            m.d.comb += self._zeroes.eq(1)
            with m.If(run.moves):
                m.d.sync += self._done.eq(self._done + 1)
                with m.If(run.final):
                    m.next = "zero"

    def _next_tensor(self, m: Module) -> None:
        """Where all that is here of a tensor was sent on."""

    def _attend(self, m: Module) -> None:
        """To a chore, its cut being known."""
        m.next = "ask"
        with m.If(self._evicts):
            m.next = "evict"

    def _turn_away(self, m: Module) -> None:
        """The request is not for the weights that are there (X4 of :mod:`.weights`)."""
        m.d.sync += [self._executes.eq(0), self._turned.eq(1)]
        m.next = "release"

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        room = self._room
        self._has_chore, self._old, self._turned = Signal(), Signal(), Signal()
        self._evicts = Signal()
        m.d.comb += self._has_chore.eq(self.chore.valid & ~self.halts)
        m.submodules.origins = origins = KeptOrigins(room)
        # What is kept of a part is found four cycles behind the one in which it is chosen.
        self._coming, self._chosen, self._part = origins.coming, origins.chosen, Signal(room.part)
        self._fetches, fetched = Signal(), Signal(2)
        m.d.sync += [fetched.eq(self._fetches | fetched << 1), self.keeps.eq(fetched[-1])]
        m.d.comb += origins.part.eq(self._part)
        with m.If(self._chosen):
            m.d.sync += self._part.eq(self._coming)
        for name in ("begins", "begun", "origin", "hop", "bank"):
            m.d.comb += getattr(origins, name).eq(getattr(self, name))
        given_up = GivenUp(m, self, room, origins.found.origin)
        slot, executes = Signal(room.slot), Signal()
        base, first_group = Signal(room.address), Signal(room.here)
        place, next_place = Signal(range(PLACES)), Signal(range(SLICE_PLACES))
        of_chore = Mux(self.chore.payload.evict, GOES_ON_PLACE, QUESTION_PLACE)
        with m.If(self.context.valid):
            m.d.sync += next_place.eq(next_place + 1)
        chosen = Mux(self.chore.valid, self.chore.payload.slot, self.whole.payload)
        run = WordRun(m, room, self.late_word)

        # Words behind those that were read.
        done, zeroed = Signal(range(room.words + 1)), Signal(range(room.words + 1))
        zeroes = Signal()
        m.d.comb += [
            self.zero.payload.eq(base + zeroed),
            self.zero.valid.eq(zeroes & (zeroed != done)),
        ]
        with m.If(zeroes & self.zero.valid & self.zero.ready):
            m.d.sync += zeroed.eq(zeroed + 1)

        m.d.comb += [
            self.read_address.eq(run.address),
            self._old.eq(origins.old),
            self.kept.eq(origins.found),
            self.place.eq(place),
            self.release.payload.slot.eq(slot),
            self.release.payload.executed.eq(executes),
            self.release.payload.turned.eq(self._turned),
        ]
        self._run, self._slot, self._base, self._executes = run, slot, base, executes
        self._tensor, self._cut = given_up.tensor, given_up.cut
        self._done, self._zeroes, self._fragment = done, zeroes, given_up.fragment
        given_up.look(m, first_group)
        given_up.describe(m, self._old)
        empty = self._feed(m)
        # In state idle, the slice has taken the request before, and has room for another context;
        # both are so in that state from when they are on.
        free, takes = Signal(), Signal()
        m.d.sync += [
            free.eq(empty & self.context.ready),
            self._fetches.eq(0),
            run.starts.eq(0),
        ]
        m.d.comb += takes.eq(self._has_chore | (self.whole.valid & self.whole.ready))
        with m.FSM(name="reader") as fsm:
            with m.State("idle"):
                m.d.comb += [
                    self._chosen.eq(1),
                    self.chore.ready.eq(~self.halts),
                    # The time of a request starts when its first beat can be offered. Chores need
                    # not wait for that.
                    self.whole.ready.eq(~self._has_chore & ~self.waits & free),
                ]
                m.d.sync += [
                    slot.eq(chosen),
                    executes.eq(~self._has_chore),
                    self._evicts.eq(self.chore.payload.evict),
                    # Before what is kept there is found.
                    place.eq(Mux(self._has_chore, of_chore, next_place)),
                    base.eq(room.first_word(chosen)),
                    first_group.eq(chosen * room.groups),
                    self._turned.eq(0),
                    done.eq(0),
                    zeroed.eq(0),
                    *(place.eq(0) for place in self._fragment),
                ]
                self._begin(m, chosen)
                m.d.comb += run.first.eq(room.first_word(chosen))
                with m.If(takes):
                    m.d.sync += [self._fetches.eq(1), run.starts.eq(~self._has_chore)]
                    m.next = "start"
                with m.If(self._has_chore):
                    m.d.sync += self.asking.eq(~self.chore.payload.evict)
                    m.next = "fetch"
            with m.State("fetch"):
                self._on_fetch(m)
            self._into_slice(m)
            with m.State("zero"):
                m.d.comb += zeroes.eq(1)
                # All groups of the slot.
                m.d.sync += [given_up.group.eq(0), given_up.tensor.eq(0)]
                with m.If(zeroed == done):
                    m.next = "clear"
            with m.State("clear"):  # its address is there with it
                m.d.sync += self.clear.eq(1)
                m.next = "cleared"
            with m.State("cleared"), m.If(self.cleared):
                m.d.sync += [self.clear.eq(0), given_up.group.eq(given_up.group + 1)]
                m.next = "clear"
                with m.If(given_up.group == room.groups - 1):
                    m.next = "release"
            with m.State("release"):
                m.d.comb += self.release.valid.eq(1)
                with m.If(self.release.ready):
                    m.next = "idle"
            given_up.ask(m)
            given_up.send_on(m, run, base)
            with m.State("next"):
                given_up.to_next(m)
                with m.If(given_up.is_last):
                    m.d.sync += done.eq(room.words)
                    m.next = "zero"
                    self._next_tensor(m)
        m.d.comb += self.rests.eq(fsm.ongoing("idle") & empty)
        m.d.sync += self.busy.eq(~fsm.ongoing("idle") | ~empty | takes)
        return m
