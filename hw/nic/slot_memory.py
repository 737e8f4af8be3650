# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The memory in which tensors are collected, one slot behind the other."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.rom import Buffer
from ..formats.fragments import FRAGMENT_STEP
from ..formats.slots import slots_of
from .bus import BEAT_BYTES, LENGTH_BITS, WORD_BITS

HERE_BITS = 64
"""Fragments that are asked for at once (W8), and bits of what is here in a word."""


@dataclass(frozen=True)
class Room:
    """What the slots of a slice's requests need, by the bytes of its input tensor."""

    tensor_bytes: int

    @property
    def slots(self) -> int:
        return slots_of(self.tensor_bytes)

    @property
    def pieces(self) -> int:
        """Most fragments that a tensor has: all but the last have at least 64 bytes (W2)."""
        return -(-self.tensor_bytes // FRAGMENT_STEP)

    @property
    def words(self) -> int:
        """Words of a tensor."""
        return -(-self.tensor_bytes // BEAT_BYTES)

    @property
    def stride(self) -> int:
        """Words from one slot to the next; even."""
        return self.pieces * (FRAGMENT_STEP // BEAT_BYTES)

    @property
    def depth(self) -> int:
        """Words of all slots."""
        return self.slots * self.stride

    @property
    def groups(self) -> int:
        """Words of a slot that say which fragments are here."""
        return -(-self.pieces // HERE_BITS)

    @property
    def here_bits(self) -> int:
        """Bits of such a word."""
        return min(HERE_BITS, self.pieces)

    @property
    def slot(self) -> range:
        """Numbers of slots."""
        return range(self.slots)

    @property
    def address(self) -> range:
        """Addresses of words."""
        return range(self.depth)

    @property
    def here(self) -> range:
        """Addresses of words that say which fragments are here."""
        return range(self.slots * self.groups)

    @property
    def count(self) -> range:
        """Numbers of fragments."""
        return range(self.pieces + 1)

    @property
    def cut(self) -> data.StructLayout:
        """How a tensor is cut: how many fragments, bytes of one, and of all in front of the last
        one; 0 while not known."""
        return data.StructLayout({"count": self.count, "step": LENGTH_BITS, "tail": 32})


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
