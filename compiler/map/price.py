# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The one cost model: what a :class:`~midwire.hw.timing.cost.Cost` comes to on a target.

Implementations say what they take; here that is priced, for the choice between them, before any is
elaborated. Of what was chosen :mod:`.inventory` says more, and that is what the manifest has.

Memories go where Yosys's own rules put them; the coefficients of LUTs and flip-flops were fitted by
hand to what Yosys 0.70 counts on xcup for some twenty components
(``tests/compiler/map/test_price.py`` has them). On those, multipliers and all memories are exact,
adder graphs within 9 %, LUTs otherwise within a third and flip-flops within 40 %. On xc7, LUTs come
to half of the price, and flip-flops to a quarter, where its multipliers take in the adders and
registers behind them; the coefficients on ecp5 are those of xcup. For choices it is enough that
all are wrong alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ...hw.kernels.adapt import StreamFifo
from ...hw.kernels.base import Implementation
from ...hw.netlist.memories import Memory
from ...hw.timing.cost import Cost
from ..ir.dataflow import Dataflow
from .targets import RESOURCES, Target


@dataclass(frozen=True)
class Price:
    """Primitives of a target.

    Attributes
    ----------
    lut, lutram : LUTs as logic, and as memory
    ff, dsp, bram : flip-flops, hard multipliers, block memories of 18 kbit
    scalar : one number to compare by, in LUTs: a primitive is worth as many LUTs as the target's
        device has for each of it
    """

    lut: int
    lutram: int
    ff: int
    dsp: int
    bram: int
    scalar: float


def price(cost: Cost, target: Target) -> Price:
    """What a cost comes to on a target, as its synthesiser maps it."""
    lut, lutram, ff, dsp, bram = float(cost.adders), 0, cost.registers, 0, 0
    hard, memories = target.fabric.multiplier, target.fabric.memories
    for (a, b), count in Counter(cost.products).items():
        if hard.makes(a, b, a + b):
            dsp += count * hard.tiles(a, b)
        else:
            lut += count * a * b
    for (width, depth), count in Counter(cost.memories).items():
        placed = memories.place(Memory(width, depth))
        lutram += count * placed.luts
        bram += count * placed.blocks
    for (width, depth), count in Counter(cost.roms).items():
        fixed = memories.place_fixed((width, depth))
        if fixed:
            bram += count * fixed.blocks
        else:
            lut += count * width * depth / target.fabric.rom_bits
            ff += count * width // 2  # the other half is constant, or moves into multipliers
    # Of what a budget allows none at all, one is worth all LUTs.
    rates = {name: max(1, getattr(target.device, name)) for name in RESOURCES}
    taken = {"lut": lut + lutram, "ff": ff, "dsp": dsp, "bram": bram}
    scalar = rates["lut"] * sum(taken[name] / rate for name, rate in rates.items())
    return Price(round(lut), lutram, ff, dsp, bram, scalar)


@lru_cache(maxsize=1 << 14)
def priced(built: Implementation, target: Target) -> Price:
    """The price of an implementation; kept, because the choice of one, the front and a search for
    widths ask for the same ones again.
    """
    return price(built.cost, target)


def estimate(flow: Dataflow, target: Target) -> dict[str, int]:
    """``lut``, ``lutram``, ``ff``, ``dsp`` and ``bram`` (18 kbit) of a balanced dataflow, FIFOs
    included.
    """
    parts: list[Implementation] = [stage.built for stage in flow.stages]
    parts += [StreamFifo(c.port, c.depth) for c in flow.channels if c.depth]
    return together([priced(built, target) for built in parts])


def together(prices: Sequence[Price]) -> dict[str, int]:
    """``lut``, ``lutram``, ``ff``, ``dsp`` and ``bram`` of several, added up."""
    names = ("lut", "lutram", "ff", "dsp", "bram")
    return {name: sum(getattr(each, name) for each in prices) for name in names}
