# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A finisher that is a module of its own, as its layer sees it."""

from __future__ import annotations

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value

from ..finish.separate import SeparateUnit
from .finisher import FinisherComponent


class Separate(FinisherComponent[SeparateUnit]):
    """An instance of the module that has the name of the finisher's memory image."""

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        ports = {
            "i_valid": self.valid,
            "i_final": self.final,
            "o_o_valid": self.o_valid,
            "o_o_final": self.o_final,
            "o_y": Value.cast(self.y),
        }
        for term in range(len(self._unit.ranges)):
            ports[f"i_acc{term}"] = Value.cast(getattr(self, f"acc{term}"))
        if self._unit.writable:
            ports |= {
                "i_load__payload": Value.cast(self.load.payload),
                "i_load__valid": self.load.valid,
                "o_load__ready": self.load.ready,
                "i_weight_bank": self.weight_bank,
            }
        m.submodules.unit = Instance(
            self._file.removesuffix(".hex"), i_clk=ClockSignal(), i_rst=ResetSignal(), **ports
        )
        return m
