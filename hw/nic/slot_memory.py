# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The memory in which tensors are collected, one slot behind the other."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.rom import Buffer
from ..datapath.stream import Outlet
from .bus import WORD_BITS
from .room import Room

READ_CYCLES = 4
"""From when a run begins until its first word may be taken."""

_WORD = data.StructLayout({"data": WORD_BITS, "last": 1})
_BANK_WORDS = 2048
"""Of one block of memory, with a byte of each: more would put a multiplexer behind it."""

_MAX_BANKS = 16

_WORDS_ON_THEIR_WAY = 7
"""The cycles from when a word is asked for until it may be taken, and one for its credit."""


class SlotMemory(wiring.Component):
    """A word a cycle is stored, one is read, and one is zeroed while what is stored is in another
    bank: words that follow each other are, so zeroing waits a cycle at most. All of it is done two
    cycles later: before anybody reads it, or has the slot.

    Members
    -------
    i : In(stream of words), of one fragment; always taken
    address : In, of the fragment's first word; must hold until ``stored``
    stored : In(1), the fragment is whole; no word comes in that cycle, or the last one
    read_address : In; read_word : Out(WORD_BITS), of the address of the cycle before; late_word :
        Out(WORD_BITS), what that was two cycles before, from a register
    zero : In(stream of addresses)
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        super().__init__(
            {
                "i": In(stream.Signature(WORD_BITS, always_ready=True)),
                "address": In(room.address),
                "stored": In(1),
                "read_address": In(room.address),
                "read_word": Out(WORD_BITS),
                "late_word": Out(WORD_BITS),
                "zero": In(stream.Signature(room.address)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        written = Signal(range(self._room.words + 1))
        place, word, stores = Signal(self._room.address), Signal(WORD_BITS), Signal()
        zero_place, zeroes = Signal(self._room.address), Signal()
        bits = _bank_bits(self._room.depth)
        apart = ~stores | (place[:bits] != zero_place[:bits])
        m.d.comb += self.zero.ready.eq(~zeroes | apart)
        m.d.sync += [
            place.eq(self.address + written),
            word.eq(self.i.payload),
            stores.eq(self.i.valid),
        ]
        with m.If(self.zero.ready):
            m.d.sync += [zero_place.eq(self.zero.payload), zeroes.eq(self.zero.valid)]
        with m.If(self.i.valid):
            m.d.sync += written.eq(written + 1)
        with m.If(self.stored):
            m.d.sync += written.eq(0)

        # Banks are far away: each is written from registers of its own.
        rows = range(-(-self._room.depth >> bits))
        was_read = Signal(bits)  # the bank
        m.d.sync += was_read.eq(self.read_address)
        words = []
        for number in range(1 << bits):
            # What is read belongs to the reader: nothing is stored there, and zeroed behind it.
            bank = Buffer(WORD_BITS, len(rows), collides=False)
            m.submodules[f"bank{number}"] = bank
            row, what, writes = Signal(rows), Signal(WORD_BITS), Signal()
            mine = stores & (place[:bits] == number)
            m.d.sync += [
                row.eq(Mux(mine, place, zero_place)[bits:]),
                what.eq(Mux(mine, word, 0)),
                writes.eq(mine | (zeroes & apart & (zero_place[:bits] == number))),
            ]
            m.d.comb += [
                bank.write.eq(writes),
                bank.write_addr.eq(row),
                bank.write_data.eq(what),
                bank.en.eq(1),
                bank.addr.eq(self.read_address[bits:]),
            ]
            words.append(bank.data)
        # Block memory takes most of a cycle: a register for each bank, and then one of them.
        late, late_bank = Signal(data.ArrayLayout(WORD_BITS, 1 << bits)), Signal(bits)
        m.d.sync += [
            late.eq(Cat(words)),
            late_bank.eq(was_read),
            self.late_word.eq(late[late_bank]),
        ]
        m.d.comb += self.read_word.eq(Array(words)[was_read])
        return m


def _bank_bits(depth: int) -> int:
    """Of an address, those that say which bank: there are two banks at least."""
    banks = 2
    while banks < _MAX_BANKS and banks * _BANK_WORDS < depth:
        banks *= 2
    return banks.bit_length() - 1


class WordRun:
    """Words of the slot memory that follow each other, ``count`` from ``first`` on, at least one:
    ``go`` begins with them, when all words of the run before are gone. ``first`` must be there from
    the cycle before, and in the cycle of ``go`` it ``starts``, which is a register; without ``go``,
    nothing comes of that.

    Each goes from block memory, which takes most of a cycle, to a register, from there to one for
    all banks, and then to distributed memory; the first one is there ``READ_CYCLES`` behind ``go``.
    It ``moves`` while it is ``loaded`` and ``ready``.
    """

    def __init__(self, m: Module, room: Room, late_word: Value) -> None:
        self.starts, self.go, self.ready = Signal(), Signal(), Signal()
        self.first, self.count = Signal(room.address), Signal(range(room.words + 1))
        self.loaded, self.final, self.moves = Signal(), Signal(), Signal()
        self.address, self.word = Signal(room.address), Signal(WORD_BITS)
        left, some, read = Signal(range(room.words + 1)), Signal(), Signal()
        m.submodules.words = words = Outlet(_WORD, _WORDS_ON_THEIR_WAY)
        asked, late, came, last, is_last = (Signal() for _ in range(5))
        m.d.sync += [
            asked.eq(read),
            late.eq(asked),
            came.eq(late),
            last.eq(left == 0),  # behind the one that was asked for
            is_last.eq(last),
        ]
        m.d.comb += [
            read.eq(self.go | (words.free & some)),
            words.take.eq(read),
            words.payload.data.eq(late_word),
            words.payload.last.eq(is_last),
            words.write.eq(came),
            self.word.eq(words.o.payload.data),
            self.loaded.eq(words.o.valid),
            self.final.eq(words.o.payload.last),
            words.o.ready.eq(self.ready),
            self.moves.eq(self.loaded & self.ready),
        ]
        with m.If(self.starts | (words.free & some)):
            m.d.sync += self.address.eq(self.address + 1)
        with m.Elif(~some):
            m.d.sync += self.address.eq(self.first)
        with m.If(self.go):
            m.d.sync += [left.eq(self.count - 1), some.eq(self.count != 1)]
        with m.Elif(read):
            m.d.sync += [left.eq(left - 1), some.eq(left != 1)]
