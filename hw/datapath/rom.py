# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Memories of weights and parameters, filled from :mod:`midwire.hw.formats.images`."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


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


class Ram(Rom):
    """A ``mw_ram``: a :class:`Rom` that a stream of words writes, from address 0 up.

    It holds its image until somebody loads it; a reset does not bring the image back. The word
    behind one with ``last``, and behind that of the highest address, is that of address 0 again.

    A word is taken in every cycle and counts at once, so loading while what reads the memory is at
    work mixes old words with new ones. Two banks that change places at ``last`` would not, behind
    this same port: ``ready`` would be low until the reader lets go of the old one.

    Members
    -------
    load : In(stream of words)
    """

    def _more(self) -> dict[str, Any]:
        return {"load": In(words(self._width))}

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        at = Signal.like(self.addr)
        with m.If(self.load.valid):
            last = self.load.payload.last | (at == self._depth - 1)
            m.d.sync += at.eq(Mux(last, 0, at + 1))
        m.d.comb += self.load.ready.eq(1)
        m.submodules.ram = Instance(
            "mw_ram",
            p_WIDTH=self._width,
            p_DEPTH=self._depth,
            p_FILE=self._file,
            i_clk=ClockSignal(),
            i_en=self.en,
            i_addr=self.addr,
            o_data=self.data,
            i_write=self.load.valid,
            i_write_addr=at,
            i_write_data=self.load.payload.data,
        )
        return m


def memory(m: Any, width: int, depth: int, file: str, load: Any = None) -> Rom:
    """A :class:`Rom`, or a :class:`Ram` that is written by the member ``load`` of its owner."""
    if load is None:
        return Rom(width, depth, file)
    ram = Ram(width, depth, file)
    wiring.connect(m, wiring.flipped(load), ram.load)
    return ram
