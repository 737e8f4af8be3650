# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Expand (ONNX operator versions 8 to 13) of a computed tensor to a constant shape, and Tile (6 to
13) of one as often as constants say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from ..ir.lowered import Call, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node
from ._moving import MovingOp, moved, repeated
from .base import Case, ImportContext, Imported, Unsupported, one
from .reshape import Reshape


@dataclass(frozen=True)
class Expand(MovingOp):
    """Axes come again until they are as long as the output's: those of one element, where it is an
    Expand.
    """

    onnx_types = ("Expand", "Tile")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """As many axes as before."""
        if context.const(node.input[1]) is None:
            raise Unsupported(f"expected a constant {node.input[1]!r}, found a computed one")
        before, after = context.shape(node.input[0]), context.shape(node.output[0])
        if before == after:
            return one(Reshape(True), [node.input[0]])
        if len(before) != len(after):
            raise Unsupported(f"expected as many axes as before, found {before} to {after}")
        return one(cls(), [node.input[0]])

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """A buffer that is read again and again."""
        (x,), (output,) = inputs, outputs
        kernel, layout = repeated(x, output.shape)
        return single(kernel, moved(x.qtype, layout))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A number a channel to an image, and a row to several; any axis, some of them twice."""
        for name, before, after in (
            ("expand_channels", (1, 4, 1, 1), (1, 4, 3, 2)),
            ("expand_rows", (1, 2, 1, 3), (1, 2, 4, 3)),
        ):
            shape = np.array(after, np.int64)
            yield Case(name, one_node("Expand", [before], after, {1: shape}))
        repeats = np.array([1, 2, 1, 3], np.int64)
        yield Case("tile", one_node("Tile", [(1, 3, 2, 2)], (1, 6, 2, 6), {1: repeats}))
        steps = np.array([1, 4, 1], np.int64)
        yield Case("tile_steps", one_node("Tile", [(1, 1, 3)], (1, 4, 3), {1: steps}))
