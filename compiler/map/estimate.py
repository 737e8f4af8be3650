# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A first-order estimate of a dataflow's resources, before synthesis.

The coefficients were set by hand on two designs (the digits slice and ``resnet8_int8``) for what
Yosys 0.70 makes of them on xcup: there every figure is within 6 %. On two that they were not set on
(``net_anomaly_ae``, ``kws_dscnn_int8``) LUTs are off by +16 % and -47 %, flip-flops by -1 % and
-12 %, multipliers by 0 and -2 %; block memories are right and, where Yosys prefers logic, four
times too many. ``midwire synth`` counts.
"""

from __future__ import annotations

from ..ir.dataflow import Dataflow
from .targets import Target


def memories(flow: Dataflow, target: Target) -> tuple[int, int]:
    """(block memories of 18 kbit, bits in logic) of all memories of the stages and FIFOs."""
    shapes = [shape for stage in flow.stages for shape in stage.memories]
    shapes += [(c.port.bits * c.port.lanes + 1, c.depth) for c in flow.channels if c.depth]
    wide, deep = target.block_shape
    blocks = logic = 0
    for width, depth in shapes:
        # The words beyond the last full block are made of logic where they are few.
        full, rest = divmod(depth, deep)
        small = rest <= target.logic_depth
        blocks += -(-width // wide) * (full if small else full + 1)
        logic += width * rest if small else 0
    return blocks, logic


def estimate(flow: Dataflow, target: Target) -> dict[str, int]:
    """``lut``, ``ff``, ``dsp`` and ``bram`` (18 kbit) of a dataflow."""
    blocks, logic = memories(flow, target)
    wide, narrow = max(target.dsp_bits), min(target.dsp_bits)
    lut = logic // 64
    ff = dsp = 0
    for stage in flow.stages:
        lanes = sum(p.bits * p.lanes for p in (*stage.inputs, *stage.outputs))
        lut += 110 + 2 * lanes
        ff += 55 + 2 * lanes
        for a, b in stage.products:
            dsp += -(-max(a, b) // wide) * -(-min(a, b) // narrow)
            lut += 2 * (a + b) - 4
            ff += 2 * (a + b) - 3
    return {"lut": lut, "ff": ff, "dsp": dsp, "bram": blocks}
