# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool (ONNX operator versions 1 to 22).

Global pools are reductions (:mod:`.reduce`), which need no image in memory. MaxPool keeps its
input's grid: the largest integer is the largest real. Averages sum raw integers; the real number is
``s_x / n * (acc - n * z_x)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.geometry import Geometry
from ...hw.kernels.pool import PoolKernel
from ...hw.numeric import Affine, Function, QType
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, Unsupported, one
from .reduce import Reduce
from .window import image_shape, window_of


@dataclass(frozen=True)
class Pool(Op):
    """The largest (``mode`` max) or mean (``mode`` mean) of each window of each channel."""

    mode: str
    window: Geometry

    onnx_types = ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Averages over padding count it, or have none."""
        attributes = context.attributes(node)
        shape = context.shape(node.input[0])
        mode = "max" if "Max" in node.op_type else "mean"
        if node.op_type.startswith("Global"):
            return one(Reduce(mode.capitalize(), tuple(range(2, len(shape)))), [node.input[0]])
        image_shape(shape)
        if any(context.is_read(name) for name in node.output[1:]):
            raise Unsupported("expected one output, found the indices wanted too")
        if not attributes.get("kernel_shape"):  # the checker does not know com.microsoft's pools
            raise Unsupported("expected a kernel_shape, found none")
        window = window_of(attributes, attributes["kernel_shape"], shape[2:])
        kernel = (window.reach[0] + 1, window.reach[1] + 1)
        if any(p >= k for p, k in zip(window.pads, kernel * 2, strict=True) if p):
            raise Unsupported(
                f"expected pads smaller than the kernel {list(kernel)}, found {list(window.pads)}"
            )
        output = context.shape(node.output[0])
        if (window.out_height, window.out_width) != image_shape(output)[:2]:
            # onnx's shape inference counts windows that start in the end padding, which
            # ONNX Runtime and the text of the specification leave out.
            raise Unsupported(
                f"expected no window that starts in the end padding, found {list(output[2:])} "
                "windows by shape inference"
            )
        if mode == "mean" and any(window.pads):
            plain = not attributes.get("ceil_mode", 0)
            if not (attributes.get("count_include_pad", 0) and plain):
                raise Unsupported(
                    "expected no padding, or count_include_pad 1 without ceil_mode, "
                    f"found pads {list(window.pads)}"
                )
        return one(cls(mode, window), [node.input[0]])

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    @property
    def keeps_grid(self) -> bool:
        """The largest of values on a grid lies on it."""
        return self.mode == "max"

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (x,), (output,) = inputs, outputs
        kernel, functions = pooling(self.window, image_shape(x.shape)[2], x.qtype, self.mode)
        return single(kernel, Meaning(functions, 1, Layout.channels_last(output.shape)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Even and odd windows, padding, overlap, whole images."""
        shape = (1, 4, 6, 6)
        yield Case(
            "max_pool",
            one_node("MaxPool", [shape], (1, 4, 3, 3), kernel_shape=[2, 2], strides=[2, 2]),
        )
        yield Case(
            "max_pool_same",
            one_node(
                "MaxPool",
                [shape],
                (1, 4, 3, 3),
                kernel_shape=[3, 3],
                strides=[2, 2],
                pads=[1, 1, 1, 1],
            ),
        )
        yield Case(
            "average_pool",
            one_node("AveragePool", [shape], (1, 4, 4, 4), kernel_shape=[3, 3], strides=[1, 1]),
        )
        yield Case("global_average_pool", one_node("GlobalAveragePool", [shape], (1, 4, 1, 1)))


def pooling(
    window: Geometry, channels: int, x: QType, mode: str, *, pad_value: int | None = None
) -> tuple[PoolKernel, list[Function]]:
    """A pool of an image on a grid, and what its accumulators stand for (see the module)."""
    if pad_value is None:
        pad_value = x.lo if mode == "max" else x.zero_point
    step = x.step if mode == "max" else x.step / window.taps
    function = Affine((step,), -x.step * x.zero_point)
    kind = "max" if mode == "max" else "sum"
    kernel = PoolKernel(window, channels, x.integers, kind, pad_value)
    return kernel, [function] * channels
