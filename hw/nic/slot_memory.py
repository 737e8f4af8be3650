# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The memory in which tensors are collected, one slot behind the other."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.rom import Buffer
from .bus import WORD_BITS
from .room import Room


class SlotMemory(wiring.Component):
    """A word a cycle is stored, one is read, and one is zeroed while what is stored has the other
    parity: stored words follow each other, so zeroing waits a cycle at most.

    Members
    -------
    i : In(stream of words), of one fragment; always taken
    address : In, of the fragment's first word; must hold until ``stored``
    stored : In(1), the fragment is whole; no word comes in that cycle, or the last one
    read, read_address : In; read_word : Out(WORD_BITS), of the cycle before, holds without ``read``
    zero : In(stream of addresses)
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        super().__init__(
            {
                "i": In(stream.Signature(WORD_BITS, always_ready=True)),
                "address": In(room.address),
                "stored": In(1),
                "read": In(1),
                "read_address": In(room.address),
                "read_word": Out(WORD_BITS),
                "zero": In(stream.Signature(room.address)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        written = Signal(range(self._room.words + 1))
        place = Signal(self._room.address)
        m.d.comb += [
            place.eq(self.address + written),
            self.zero.ready.eq(~self.i.valid | (place[0] != self.zero.payload[0])),
        ]
        with m.If(self.i.valid):
            m.d.sync += written.eq(written + 1)
        with m.If(self.stored):
            m.d.sync += written.eq(0)

        odd = Signal()  # the bank that was read last
        with m.If(self.read):
            m.d.sync += odd.eq(self.read_address[0])
        words = []
        for parity in range(2):
            bank = Buffer(WORD_BITS, self._room.depth // 2)
            m.submodules[f"bank{parity}"] = bank
            stores, zeroes = Signal(), Signal()
            m.d.comb += [
                stores.eq(self.i.valid & (place[0] == parity)),
                zeroes.eq(self.zero.valid & (self.zero.payload[0] == parity)),
                bank.write.eq(stores | zeroes),
                bank.write_addr.eq(Mux(stores, place, self.zero.payload)[1:]),
                bank.write_data.eq(Mux(stores, self.i.payload, 0)),
                bank.en.eq(self.read & (self.read_address[0] == parity)),
                bank.addr.eq(self.read_address[1:]),
            ]
            words.append(bank.data)
        m.d.comb += self.read_word.eq(Mux(odd, words[1], words[0]))
        return m


class WordRun:
    """Words of the slot memory that follow each other: the first one is asked for with ``go``, each
    next one as the one before it ``moves``, which it does while it is ``loaded`` and ``ready``."""

    def __init__(self, m: Module, room: Room) -> None:
        self.go, self.ready, self.read = Signal(), Signal(), Signal()
        self.first, self.count = Signal(room.address), Signal(range(room.words + 1))
        self.loaded, self.final, self.moves = Signal(), Signal(), Signal()
        self.address = Signal(room.address)
        at, left = Signal(room.address), Signal(range(room.words + 1))
        m.d.comb += [
            self.final.eq(left == 0),
            self.moves.eq(self.loaded & self.ready),
            self.read.eq(self.go | (self.moves & ~self.final)),
            self.address.eq(Mux(self.go, self.first, at)),
        ]
        with m.If(self.read):
            m.d.sync += [at.eq(self.address + 1), left.eq(Mux(self.go, self.count, left) - 1)]
        with m.If(self.go):
            m.d.sync += self.loaded.eq(1)
        with m.Elif(self.moves & self.final):
            m.d.sync += self.loaded.eq(0)
