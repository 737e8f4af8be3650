# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool (ONNX operator versions 1 to 22).

Global pools are reductions (:mod:`.reduce`), which need no image in memory. MaxPool keeps its
input's grid: the largest integer is the largest real. Averages sum raw integers; the real number is
``s_x / n * (acc - n * z_x)``. Where windows at the border count fewer pixels, sums without zero
points are multiplied by ``f``, and ``n * f`` is the same everywhere; it is a product of one factor
an axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.geometry import Geometry
from ...hw.kernels.pool import PoolKernel
from ...hw.numeric import Affine, Function, QType
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node
from ._moving import value_of
from .base import Case, ImportContext, Imported, Op, Unsupported, one
from .reduce import Reduce
from .window import image_axes, planar, window_of


@dataclass(frozen=True)
class Pool(Op):
    """The largest (``mode`` max) or mean (``mode`` mean) of each window of each channel.

    ``counted`` is, for a mean and each axis, how many pixels each output pixel's window has along
    it: the mean is of their product.
    """

    mode: str
    window: Geometry
    counted: tuple[tuple[int, ...], ...] = ()

    onnx_types = ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Windows as ONNX Runtime has them."""
        attributes = context.attributes(node)
        shape = context.shape(node.input[0])
        mode = "max" if "Max" in node.op_type else "mean"
        if node.op_type.startswith("Global"):
            return one(Reduce(mode.capitalize(), tuple(range(2, len(shape)))), [node.input[0]])
        image_axes(shape)
        if any(context.is_read(name) for name in node.output[1:]):
            raise Unsupported("expected one output, found the indices wanted too")
        if not attributes.get("kernel_shape"):  # the checker does not know com.microsoft's pools
            raise Unsupported("expected a kernel_shape, found none")
        window = window_of(attributes, attributes["kernel_shape"], shape)
        kernel = tuple(reach + 1 for reach in window.reach)
        if any(p >= k for p, k in zip(window.pads, kernel * 2, strict=True) if p):
            raise Unsupported(
                f"expected pads smaller than the kernel {list(kernel)}, found {list(window.pads)}"
            )
        output = context.shape(node.output[0])
        sizes = planar(image_axes(output))
        if window.out_size[-len(sizes) :] != sizes:
            # onnx's shape inference counts windows that start in the end padding, which
            # ONNX Runtime and the text of the specification leave out.
            raise Unsupported(
                f"expected no window that starts in the end padding, found {list(output[2:])} "
                "windows by shape inference"
            )
        if mode == "max":
            return one(cls(mode, window), [node.input[0]])
        return one(cls(mode, window, _counted(attributes, window, shape)), [node.input[0]])

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    @property
    def keeps_grid(self) -> bool:
        """The largest of values on a grid lies on it."""
        return self.mode == "max"

    def levels_of(self, before: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """The largest is one of them."""
        return tuple(before) if self.mode == "max" else ()

    @property
    def largest_along(self) -> int | None:
        """Channels stay apart."""
        return 1 if self.mode == "max" else None

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (x,), (output,) = inputs, outputs
        channels = x.shape[1]
        if self.mode == "max":
            kernel, functions = pooling(self.window, channels, x.qtype, x.qtype.lo)
        else:
            kernel, functions = self._average(channels, x.qtype)
        return single(kernel, Meaning(functions, 1, Layout.channels_last(output.shape)))

    def _average(self, channels: int, x: QType) -> tuple[PoolKernel, list[Function]]:
        """See the module's docstring."""
        common = [math.lcm(*counts) for counts in self.counted]
        factors = tuple(
            tuple(whole // n for n in counts)
            for whole, counts in zip(common, self.counted, strict=True)
        )
        if {n for each in factors for n in each} == {1}:
            factors = ()
        offset = self.window.taps * x.zero_point
        kernel = PoolKernel(
            self.window,
            channels,
            x.integers,
            "sum",
            x.zero_point,
            -offset if factors else 0,
            factors,
        )
        step = x.step / math.prod(common)
        function = Affine((step,), Fraction(0) if factors else -step * offset)
        return kernel, [function] * channels

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Even and odd windows, padding that counts and that does not, overlap, dilation, a window
        beyond the padding, whole images.
        """
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

        def average(name: str, size: int, opset: int = 13, **more: Any) -> Case:
            model = one_node("AveragePool", [shape], (1, 4, size, size), opset=opset, **more)
            return Case(f"average_pool_{name}", model)

        padded: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        yield average("border", 6, **padded)
        yield average("included", 6, count_include_pad=1, **padded)
        upper: dict[str, Any] = {
            "kernel_shape": [3, 3],
            "strides": [2, 2],
            "auto_pad": "SAME_UPPER",
        }
        yield average("same", 3, **upper)
        ceil: dict[str, Any] = {
            "kernel_shape": [2, 2],
            "pads": [1, 1, 0, 0],
            "strides": [2, 2],
            "ceil_mode": 1,
        }
        yield average("ceil", 4, **ceil)
        yield average("dilated", 4, opset=19, dilations=[2, 2], **padded)
        line = one_node(
            "AveragePool", [(1, 4, 5)], (1, 4, 3), kernel_shape=[3], strides=[2], pads=[1, 1]
        )
        yield Case("average_pool_1d", line)
        video = (1, 2, 4, 3, 4)
        halves: dict[str, Any] = {"kernel_shape": [2, 2, 2], "strides": [2, 1, 2]}
        yield Case("max_pool_3d", one_node("MaxPool", [video], (1, 2, 2, 2, 2), **halves))
        yield Case(
            "average_pool_3d",
            one_node("AveragePool", [video], (1, 2, 3, 2, 2), **halves, pads=[1, 0, 0, 1, 0, 0]),
        )
        yield Case("global_max_pool_3d", one_node("GlobalMaxPool", [video], (1, 2, 1, 1, 1)))
        yield Case("global_average_pool", one_node("GlobalAveragePool", [shape], (1, 4, 1, 1)))


def pooling(
    window: Geometry, channels: int, x: QType, pad_value: int
) -> tuple[PoolKernel, list[Function]]:
    """The largest of each window of an image on a grid, and what its accumulators stand for."""
    kernel = PoolKernel(window, channels, x.integers, "max", pad_value)
    return kernel, [value_of(x)] * channels


def _counted(
    attributes: Mapping[str, Any], window: Geometry, shape: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """How many elements of each axis count in the windows along it.

    Padding counts where ``count_include_pad`` says so; what ``ceil_mode`` adds behind it does not.
    """
    plain = window_of({**attributes, "ceil_mode": 0}, attributes["kernel_shape"], shape)
    include = attributes.get("count_include_pad", 0)
    found = []
    for axis, (size, starts) in enumerate(zip(window.size, window.starts, strict=True)):
        begin, end = (plain.begins[axis], plain.ends[axis]) if include else (0, 0)
        step = window.dilation[axis]
        first = np.maximum(0, -((starts + begin) // step))  # the first tap inside, and the last
        last = np.minimum(window.kernel[axis] - 1, (size + end - 1 - starts) // step)
        found.append(tuple(int(n) for n in np.maximum(0, last - first + 1)))
    if any(0 in each for each in found):
        raise Unsupported("expected a pixel that counts in every window, found a window of none")
    return tuple(found)
