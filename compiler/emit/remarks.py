# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Comments in the Verilog: which layer of the model a module is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ..ir.dataflow import Dataflow, Stage

SHOWN = 8
"""Names of one layer's nodes that are shown; the manifest has all."""

LETTERS = 80
"""Letters of a name that are shown."""


def fifo_name(index: int) -> str:
    """Name of the instance of the FIFO in a channel."""
    return f"fifo{index}"


def quoted(name: str) -> str:
    """A name out of a model, for a comment of one line: ASCII, in quotes, cut if it is long.

    No name can end the comment, or be a directive to a tool: those stand first in a comment.
    """
    return json.dumps(name if len(name) <= LETTERS else f"{name[:LETTERS]}...")


def described(flow: Dataflow, origins: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What every stage and every FIFO is, by its name.

    ``origins`` maps an integer node to the names of the ONNX nodes that it stands for.
    """
    found = {stage.name: _stage(stage, origins) for stage in flow.stages}
    for index, channel in enumerate(flow.channels):
        if channel.depth:
            ends = (channel.source[0] or "the input", channel.sink[0] or "the output")
            found[fifo_name(index)] = f"FIFO of {channel.depth} beats from {ends[0]} to {ends[1]}"
    return found


def _stage(stage: Stage, origins: Mapping[str, Sequence[str]]) -> str:
    if stage.node is None:
        return f"{type(stage.built).__name__}, between layers"
    pe, simd = stage.built.parallelism
    what = f"{quoted(stage.node)}, {stage.built.strategy}, {pe} x {simd} in parallel"
    names = origins.get(stage.node, ())
    if not names:
        return what
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{what}, of ONNX nodes {', '.join(quoted(name) for name in names[:SHOWN])}{more}"
