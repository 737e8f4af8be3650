# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What comes behind the slice, run: from its integers to the model's outputs, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...hw.errors import ToolError
from ...hw.formats.tensor import AnyArray, TensorSpec
from ...hw.session import open_session, words_of
from ..ir.quant import QGraph
from ..load.source import Source
from ..quantise.loss import Behind
from .parts import cloud_model


def behind(source: Source, qgraph: QGraph) -> Behind | None:
    """A function from the slice's outputs to the model's; None if ONNX Runtime does not take the
    nodes between them, so that nothing can be said of the whole model.

    The nodes are those of ``cloud.onnx``, and so are the bits.
    """
    specs = [
        TensorSpec(name, each.shape, source.values[name].dtype, each.qtype, each.layout, lanes=1)
        for each in qgraph.results
        for name in (each.name,)
    ]
    try:
        session = open_session(cloud_model(source, specs).SerializeToString())
    except ToolError:
        return None
    names = [output.name for output in session.get_outputs()]

    def run(wires: Sequence[AnyArray]) -> Mapping[str, AnyArray]:
        feeds = {f"wire_out{index}": wire for index, wire in enumerate(wires)}
        try:
            return dict(zip(names, session.run(names, feeds), strict=True))
        except Exception as reason:  # ONNX Runtime's exceptions have no common public base
            raise ToolError(
                "ONNX Runtime cannot run what comes behind the slice",
                where=source.name,
                expected="a model that it can run",
                found=words_of(reason),
                remedy="Run the model in ONNX Runtime to see which node fails",
            ) from reason

    return run
