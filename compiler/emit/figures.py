# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the manifest says of a slice's layers and FIFOs, for reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...hw.formats.tensor import TensorSpec
from ...hw.sqnr import NOT_MEASURED
from ..ir.dataflow import Dataflow
from ..ir.quant import QGraph
from ..load.source import PACKED, Source
from ..map.balance import Balanced
from ..quantise.loss import Loss


def layers(
    source: Source, qgraph: QGraph, balanced: Balanced, losses: Sequence[Loss]
) -> tuple[Mapping[str, Any], ...]:
    """What a report shows of each integer node, and how its results are those of the model.

    ``first_in`` and ``last_out`` are cycles of a lone inference: of the first beat that the layer
    takes and of the last that leaves it, counted from the slice's first.
    """
    stages = {stage.node: stage for stage in balanced.flow.stages if stage.node is not None}
    found = {loss.tensor: loss.sqnr for loss in losses}
    return tuple(
        {
            "name": node.name,
            "kernel": node.kernel.name,
            "sources": list(node.sources),
            "macs": node.kernel.macs,
            "strategy": stage.built.strategy,
            "pe": stage.built.parallelism[0],
            "simd": stage.built.parallelism[1],
            "cycles": stage.built.cycles,
            "first_in": balanced.spans[stage.name][0],
            "last_out": balanced.spans[stage.name][1],
            "accumulator_bits": node.accumulator.bits,
            "finishers": [finisher.kind for finisher in node.finishers],
            "sqnr_db": None if sqnr is None else sqnr.db,
            "sqnr": NOT_MEASURED if sqnr is None else sqnr.text,
            "tensors": [
                asdict(TensorSpec(name, t.shape, source.values[name].dtype, t.qtype, t.layout, 1))
                for name in node.outputs
                if name in source.values and source.values[name].dtype not in PACKED
                for t in (qgraph.tensors[name],)
            ],
        }
        for node in qgraph.nodes
        for stage, sqnr in ((stages[node.name], found.get(node.outputs[0])),)
    )


def buffers(flow: Dataflow) -> tuple[Mapping[str, Any], ...]:
    """The FIFOs between layers: depth in beats, bits of a beat, and the layers on both sides.

    A side is the name of an integer node, or ``""`` at the border of the slice. Forks and adapters
    are looked through; a FIFO before a fork is between its writer and the first reader.
    """
    stages = {stage.name: stage for stage in flow.stages}
    into = {channel.sink[0]: channel for channel in reversed(flow.channels)}
    out_of = {channel.source[0]: channel for channel in reversed(flow.channels)}

    def layer(name: str, *, forth: bool) -> str:
        while name and stages[name].node is None:
            name = out_of[name].sink[0] if forth else into[name].source[0]
        return (stages[name].node or "") if name else ""

    return tuple(
        {
            "source": layer(channel.source[0], forth=False),
            "sink": layer(channel.sink[0], forth=True),
            "depth": channel.depth,
            "bits": channel.port.payload_bits,
        }
        for channel in flow.channels
        if channel.depth
    )
