# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Memories of weights and parameters, filled from :mod:`midwire.hw.formats.images`."""

from __future__ import annotations

from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.lib import wiring
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
            }
        )

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
