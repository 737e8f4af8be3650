# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ReduceMean over all spatial axes (ONNX operator versions 1 to 18): a pool as large as the image.

Exporters write global average pooling so: over the last axes of (N, C, ...), or the middle axes
of (N, ..., C). The integer meaning is that of an average pool, see ``pool``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.geometry import Geometry
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, Unsupported, axis_of, one
from .pool import pooling
from .window import planar


@dataclass(frozen=True)
class Mean(Op):
    """The mean of each channel of an image. ``inner`` if channels are the last axis."""

    window: Geometry
    channels: int
    inner: bool

    onnx_types = ("ReduceMean",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Axes are an attribute up to opset 17, a constant input from 18."""
        shape = context.shape(node.input[0])
        rank = len(shape)
        axes = context.attributes(node).get("axes")
        if len(node.input) > 1 and node.input[1]:
            constant = context.const(node.input[1])
            if constant is None:
                raise Unsupported("expected constant axes, found computed ones")
            axes = constant.values.ravel()
        found = sorted({axis_of(int(axis), shape) for axis in (() if axes is None else axes)})
        inner = found == list(range(1, rank - 1))
        if rank not in (3, 4) or not (inner or found == list(range(2, rank))):
            raise Unsupported(
                "expected the mean over all spatial axes of a tensor of 3 or 4 axes, "
                f"found axes {found} of the shape {list(shape)}"
            )
        image = planar([shape[axis] for axis in found])
        window = Geometry(*image, kernel=image)
        return one(cls(window, shape[-1] if inner else shape[1], inner), [node.input[0]])

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """Channels innermost."""
        return self._innermost(shapes[index])

    def _innermost(self, shape: tuple[int, ...]) -> Layout:
        return Layout.raster(shape) if self.inner else Layout.channels_last(shape)

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """An average pool; all axes but the channels have gone, or have length 1."""
        (x,), (output,) = inputs, outputs
        axis = len(output.shape) - 1 if self.inner else 1
        kernel, functions = pooling(self.window, self.channels, x.qtype, "mean")
        return single(kernel, Meaning(functions, axis, self._innermost(output.shape)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Both positions of the channels, kept and dropped axes, one spatial axis."""
        shape = (1, 4, 3, 5)
        yield Case("mean", one_node("ReduceMean", [shape], (1, 4), axes=[2, 3], keepdims=0))
        yield Case("mean_kept", one_node("ReduceMean", [shape], (1, 4, 1, 1), axes=[-1, -2]))
        yield Case("mean_1d", one_node("ReduceMean", [(1, 4, 7)], (1, 4), axes=[2], keepdims=0))
        axes = {1: np.array([1, 2], np.int64)}
        yield Case("mean_inner", one_node("ReduceMean", [shape], (1, 1, 1, 5), axes, opset=18))
