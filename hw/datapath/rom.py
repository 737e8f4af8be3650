# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Memories of weights and parameters, filled from :mod:`midwire.hw.formats.images`."""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..timing.cost import banked_depth


class Rom(wiring.Component):
    """A ``mw_rom``: where ``en``, word ``addr`` of cycle ``t`` is on ``data`` from cycle ``t + 1``.

    Parameters
    ----------
    width : bits of a word
    depth : number of words
    file : name of the image file, inside the folder of images

    Members
    -------
    en : In(1), set if not connected
    addr : In(unsigned)
    data : Out(width)
    """

    def __init__(self, width: int, depth: int, file: str) -> None:
        if width < 1 or depth < 1:
            raise ValueError(f"a memory needs width and depth of at least 1, not {width} x {depth}")
        if not file or "/" in file or "\\" in file:
            raise ValueError(f"file must be a plain file name (no folder), not {file!r}")
        self._width = width
        self._depth = depth
        self._file = file
        super().__init__(
            {
                "en": In(1, init=1),
                "addr": In(max(1, (depth - 1).bit_length())),
                "data": Out(width),
                **self._more(),
            }
        )

    def _more(self) -> dict[str, Any]:
        """Further members."""
        return {}

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self._width

    @property
    def depth(self) -> int:
        """Number of words."""
        return self._depth

    @property
    def file(self) -> str:
        """Name of the image file."""
        return self._file

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.rom = Instance(
            "mw_rom",
            p_WIDTH=self._width,
            p_DEPTH=self._depth,
            p_FILE=self._file,
            i_clk=ClockSignal(),
            i_en=self.en,
            i_addr=self.addr,
            o_data=self.data,
        )
        return m


class Buffer(wiring.Component):
    """A ``mw_ram`` without an image: what a pipeline writes and reads again.

    Amaranth writes out every bit that a memory of its own begins with, which takes longer than all
    else where memories are large. Here the words begin as anything.

    Parameters
    ----------
    width : bits of a word
    depth : number of words
    collides : whether a word may be read in the cycle in which it is written

    Members
    -------
    write, write_addr, write_data : In, a word to keep
    en, addr : In; where ``en``, word ``addr`` of cycle ``t`` is on ``data`` from cycle ``t + 1``;
        of one that is written in cycle ``t``, the old word
    data : Out(width)
    """

    def __init__(self, width: int, depth: int, *, collides: bool = True) -> None:
        self._width = width
        self._depth = depth
        self._collides = collides
        address = max(1, (depth - 1).bit_length())
        super().__init__(
            {
                "write": In(1),
                "write_addr": In(address),
                "write_data": In(width),
                "en": In(1),
                "addr": In(address),
                "data": Out(width),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.ram = Instance(
            "mw_ram",
            p_WIDTH=self._width,
            p_DEPTH=self._depth,
            **({} if self._collides else {"p_COLLIDES": 0}),
            i_clk=ClockSignal(),
            i_en=self.en,
            i_addr=self.addr,
            o_data=self.data,
            i_write=self.write,
            i_write_addr=self.write_addr,
            i_write_data=self.write_data,
        )
        return m


def words(width: int) -> stream.Signature:
    """Signature of a side port: ``data`` is a word of ``width`` bits, ``last`` is on the last."""
    return stream.Signature(data.StructLayout({"data": width, "last": 1}))


class Writer(NamedTuple):
    """Members of a component by which its memory is written: ``load``, ``weight_bank``."""

    load: Any
    bank: Value


class Ram(Rom):
    """A :class:`Rom` of two banks in one ``mw_ram``: one is read, a stream of words writes the
    other.

    ``weight_bank`` says which one is read. Bank 0 begins as the image says, bank 1 as anything; a
    reset brings nothing back. A word is taken in every cycle, from address 0 up; the word behind
    one with ``last``, and behind that of the highest address, is that of address 0 again. Whoever
    changes ``weight_bank`` has loaded all of the other bank, and nothing is being loaded, or
    computed with what is read, in that cycle.

    The bank is the highest bit of the address, so the reader's path is as short as a Rom's.

    Members
    -------
    load : In(stream of words)
    weight_bank : In(1)
    """

    def _more(self) -> dict[str, Any]:
        return {"load": In(words(self._width)), "weight_bank": In(1)}

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        at = Signal.like(self.addr)
        with m.If(self.load.valid):
            last = self.load.payload.last | (at == self._depth - 1)
            m.d.sync += at.eq(Mux(last, 0, at + 1))
        m.d.comb += self.load.ready.eq(1)
        inside = (self._depth - 1).bit_length()  # bits of an address in a bank
        m.submodules.ram = Instance(
            "mw_ram",
            p_WIDTH=self._width,
            p_DEPTH=banked_depth(self._depth),
            p_FILE=self._file,
            i_clk=ClockSignal(),
            i_en=self.en,
            i_addr=Cat(self.addr[:inside], self.weight_bank),
            o_data=self.data,
            i_write=self.load.valid,
            i_write_addr=Cat(at[:inside], ~self.weight_bank),
            i_write_data=self.load.payload.data,
        )
        return m


def memory(m: Any, width: int, depth: int, file: str, writer: Writer | None = None) -> Rom:
    """A :class:`Rom`, or a :class:`Ram` that its owner's members write and choose the bank of."""
    if writer is None:
        return Rom(width, depth, file)
    ram = Ram(width, depth, file)
    wiring.connect(m, wiring.flipped(writer.load), ram.load)
    m.d.comb += ram.weight_bank.eq(writer.bank)
    return ram
