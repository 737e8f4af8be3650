# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The one cost model: what a :class:`~midwire.hw.timing.cost.Cost` comes to on a target."""

from __future__ import annotations

from dataclasses import dataclass

from ...hw.kernels.adapt import StreamFifo
from ...hw.timing.cost import Cost
from ..ir.dataflow import Dataflow
from .targets import Target


@dataclass(frozen=True)
class Price:
    """Primitives of a target: LUTs, flip-flops, hard multipliers, block memories of 18 kbit."""

    lut: int
    ff: int
    dsp: int
    bram: int

    @property
    def scalar(self) -> float:
        """One number to compare by, in LUTs."""
        return self.lut + 0.5 * self.ff + 60.0 * self.dsp + 150.0 * self.bram


def price(cost: Cost, target: Target) -> Price:
    """What a cost comes to on a target."""
    wide, narrow = max(target.dsp_bits), min(target.dsp_bits)
    block_width, block_depth = target.block_shape
    lut, ff, dsp, bram = cost.adders, cost.registers, 0, 0
    for a, b in cost.products:
        dsp += -(-max(a, b) // wide) * -(-min(a, b) // narrow)
    for width, depth in cost.memories:
        # The words beyond the last full block are made of logic where they are few.
        full, rest = divmod(depth, block_depth)
        small = rest <= target.logic_depth
        bram += -(-width // block_width) * (full if small else full + 1)
        lut += -(-width * rest // 64) if small else 0
    return Price(lut, ff, dsp, bram)


def estimate(flow: Dataflow, target: Target) -> dict[str, int]:
    """``lut``, ``ff``, ``dsp`` and ``bram`` (18 kbit) of a balanced dataflow, FIFOs included."""
    parts = [stage.built.cost for stage in flow.stages]
    parts += [StreamFifo(c.port, c.depth).cost for c in flow.channels if c.depth]
    prices = [price(cost, target) for cost in parts]
    return {name: sum(getattr(p, name) for p in prices) for name in ("lut", "ff", "dsp", "bram")}
