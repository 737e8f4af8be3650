# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A constant as a module of its own."""

from __future__ import annotations

from amaranth.hdl import Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out


class PadValue(wiring.Component):
    """What a window reads outside of an image.

    Parameters
    ----------
    bits, value : of the constant, in two's complement

    Members
    -------
    value : Out(bits)
    """

    def __init__(self, bits: int, value: int) -> None:
        self._constant = Const(value, bits)
        super().__init__({"value": Out(bits)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.d.comb += self.value.eq(self._constant)
        return m
