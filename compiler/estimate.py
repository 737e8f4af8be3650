# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A first-order estimate of a dataflow's resources, before synthesis. It is an estimate and says
so.

``midwire synth`` counts what Yosys makes of a bundle. The coefficients here are not fitted yet.
"""

from __future__ import annotations

from .ir.dataflow import Dataflow
from .targets import Target


def memories(flow: Dataflow, target: Target) -> tuple[int, int]:
    """(block memories, bits in logic) of all memories of the stages and FIFOs."""
    blocks = logic = 0
    shapes: list[tuple[int, int]] = [shape for stage in flow.stages for shape in stage.memories]
    for channel in flow.channels:
        if channel.depth:
            shapes.append((channel.port.bits * channel.port.lanes + 1, channel.depth))
    for width, depth in shapes:
        if width * depth <= target.distributed_bits:
            logic += width * depth
        else:
            columns = -(-width // 72)
            rows = max(1, -(-depth * min(width, 72) // target.bram_bits))
            blocks += columns * rows
    return blocks, logic


def estimate(flow: Dataflow, target: Target) -> dict[str, int]:
    """``lut``, ``ff``, ``dsp`` and ``bram`` of a dataflow."""
    blocks, logic = memories(flow, target)
    lut = logic // 32
    ff = dsp = 0
    for stage in flow.stages:
        lanes = sum(p.bits * p.lanes for p in (*stage.inputs, *stage.outputs))
        lut += 60 + lanes
        ff += 60 + 2 * lanes
        for a, b in stage.products:
            wide, narrow = max(target.dsp_bits), min(target.dsp_bits)
            dsp += -(-max(a, b) // wide) * -(-min(a, b) // narrow)
            lut += a + b
            ff += 2 * (a + b)
    return {"lut": lut, "ff": ff, "dsp": dsp, "bram": blocks}
