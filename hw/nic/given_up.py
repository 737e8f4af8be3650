# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What :mod:`.reader` does with a request that lacks fragments, or is not executed: its sender is
asked for more, or what is here of it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from ..formats.wire import DeclineReason
from . import header as hdr
from .bus import LENGTH_BITS, sum_lanes
from .room import HERE_BITS, Room
from .slot_memory import WordRun

if TYPE_CHECKING:
    from .reader import Reader


class GivenUp:
    """States and registers of a reader, for one tensor at a time.

    A fragment that goes on is read twice: the checksum stands in front of what it is of.

    Parameters
    ----------
    reader : whose they are; room : of its slots; origin : of the tensor, from registers

    Attributes
    ----------
    tensor : that is asked for, or sent on; cut : how it is cut
    group : of 64 fragments that is looked at; fragment : places in the tensor, 0 at its start
    is_last : the fragment is the tensor's last one
    """

    def __init__(self, m: Module, reader: Reader, room: Room, origin: data.View[Any]) -> None:
        self._reader, self._room, self._origin = reader, room, origin
        self.tensor = Signal(room.tensor)
        self.cut = Signal(room.cut)
        self.is_last = Signal()
        self.group = Signal(range(max(2, room.groups)))
        self._index, self._offset = Signal(room.count), Signal(32)
        self.fragment = (self._index, self._offset, self.group)
        self._here = Signal(HERE_BITS)
        self._missing = Signal(HERE_BITS)
        self._told = Signal.like(
            self._missing
        )  # as it was when ``lacks`` was: one may come meanwhile
        self._rest = Signal(signed(18))  # fragments from the group's first on
        self._start, self._size, self._total = Signal(32), Signal(LENGTH_BITS), Signal(32)
        self._offers = Signal()  # in state job, as a register: what it leads to is far away

    def look(self, m: Module, first_group: Value) -> None:
        """Which fragments are here, of a slot whose groups begin with that one."""
        reader, cut = self._reader, self.cut
        groups_before = self._room.of(self.tensor, lambda part: part.first_group)
        base_of_group = self.group << 6
        m.d.comb += self._here.eq(reader.here)
        # They stand since the cycle before, and what is here is known another one behind.
        m.d.sync += [
            reader.here_address.eq(first_group + groups_before + self.group),
            self._rest.eq(cut.count - base_of_group),
        ]
        inside = Cat(self._rest > bit for bit in range(len(reader.here)))
        m.d.comb += self._missing.eq(~self._here & inside)

    def describe(self, m: Module, old: Value) -> None:
        """What goes on and what is asked for; the request may be of ``old`` weights."""
        reader = self._reader
        fragment, question = reader.evicted.payload, reader.question.payload
        reason = Signal(8)
        m.d.sync += reason.eq(self._why(old))
        m.d.comb += [
            self.is_last.eq(self._index + 1 == self.cut.count),
            reader.evicted_words.payload.eq(reader._run.word),
            reader.evicted.valid.eq(self._offers),
            fragment.bytes.eq(self._size),
            fragment.total.eq(self._total),
            fragment.index.eq(self._index),
            fragment.offset.eq(self._start),
            fragment.last.eq(self.is_last),
            fragment.reason.eq(reason),
            question.group.eq(self.group),
            question.missing.eq(self._told),
        ]

    def _why(self, old: Value) -> Value:
        """The reason for which a request is given up."""
        model = self._reader.model
        hash_now = Cat(model.model_hash_low, model.model_hash_high)
        other = hdr.get(self._origin.header, "model_hash") != hash_now
        of_old = Mux(other, DeclineReason.WRONG_MODEL, DeclineReason.WRONG_EPOCH)
        return Mux(old, of_old, DeclineReason.INCOMPLETE)

    def ask(self, m: Module) -> None:
        """The states from ``ask`` on."""
        lacks, ends = Signal(), Signal()  # some of them are not; there is no group behind it
        with m.State("ask"):
            m.next = "asked"
        with m.State("asked"):
            m.next = "missing"
        with m.State("missing"):
            m.d.sync += [
                self._told.eq(self._missing),
                lacks.eq(self._missing.any()),
                ends.eq(self._rest <= HERE_BITS),
            ]
            m.next = "tell"
        with m.State("tell"):
            m.d.comb += self._reader.question.valid.eq(lacks)
            m.d.sync += self.group.eq(self.group + 1)
            m.next = "ask"
            with m.If(lacks | ends):
                m.d.sync += self._reader.asking.eq(0)
                m.next = "idle"

    def send_on(self, m: Module, run: WordRun, base: Value) -> None:
        """The states from ``evict`` on, of a slot whose words begin at ``base``."""
        reader, room, cut = self._reader, self._room, self.cut
        start, size, total = self._start, self._size, self._total
        with m.State("evict"):
            m.next = "look"
        with m.State("look"):
            m.next = "fragment"
        with m.State("fragment"):
            tensor_bytes = room.of(self.tensor, lambda part: part.bytes)
            m.d.sync += [
                start.eq(Mux(self.is_last, cut.tail, self._offset)),
                size.eq(Mux(self.is_last, tensor_bytes - cut.tail, cut.step)),
                total.eq(0),
            ]
            with m.If((self._here >> self._index[:6])[0]):
                m.next = "first"
            with m.Else():
                m.next = "next"
        words_before = room.of(self.tensor, lambda part: part.first_word)
        first = Signal.like(run.first)
        m.d.comb += first.eq(base + words_before + (start >> 3))
        goes = [run.go.eq(1), run.count.eq((size + 7) >> 3)]
        with m.State("first"):
            m.d.comb += run.first.eq(first)
            m.d.sync += run.starts.eq(1)
            m.next = "run"
        with m.State("run"):
            m.d.comb += goes
            m.next = "sum"
        with m.State("sum"):
            m.d.comb += run.ready.eq(1)
            with m.If(run.moves):
                m.d.sync += total.eq(total + sum_lanes(run.word))
                with m.If(run.final):
                    m.d.sync += self._offers.eq(1)
                    m.next = "job"
        with m.State("job"):
            m.d.comb += run.first.eq(first)
            with m.If(reader.evicted.ready):
                m.d.sync += [self._offers.eq(0), run.starts.eq(1)]
                m.next = "again"
        with m.State("again"):
            m.d.comb += goes
            m.next = "send"
        with m.State("send"):
            m.d.comb += [
                reader.evicted_words.valid.eq(run.loaded),
                run.ready.eq(reader.evicted_words.ready),
            ]
            with m.If(run.moves & run.final):
                m.next = "next"

    def to_next(self, m: Module) -> None:
        """To the fragment behind this one, in the state ``next``."""
        m.d.sync += [self._index.eq(self._index + 1), self._offset.eq(self._offset + self.cut.step)]
        m.next = "fragment"
        with m.If(self._index[:6] == HERE_BITS - 1):
            m.d.sync += self.group.eq(self.group + 1)
            m.next = "evict"
