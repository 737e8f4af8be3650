# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool (ONNX operator versions 1 to 22).

MaxPool keeps its input's grid: the largest integer is the largest real. Averages sum raw integers;
the real number is ``s_x / n * (acc - n * z_x)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx

from ...hw.datapath import pool as hardware
from ...hw.kernels.integer import Geometry
from ...hw.numeric import Affine, QType
from ..ir.dataflow import Folding, Stage
from ..ir.quant import Core, QNode, QTensor
from . import _build
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, Unsupported, one
from .window import image_shape, window_attributes, window_of


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
        image_shape(shape)
        mode = "max" if "Max" in node.op_type else "mean"
        if node.op_type.startswith("Global"):
            window = window_of({}, shape[2:], shape[2:])
            return one(cls(mode, window), [node.input[0]])
        if len(node.output) > 1 and node.output[1]:
            raise Unsupported("expected one output, found the indices wanted too")
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

    def lower(self, inputs: Sequence[QTensor], output: tuple[int, ...]) -> Core:
        """See the module's docstring."""
        del output
        (x,) = inputs
        return PoolCore(self.window, image_shape(x.shape)[2], x.qtype, self.mode)

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


class PoolCore(Core):
    """Maximum or sum over a window, channel by channel, of a channels-last image."""

    kernel = "pool"

    def __init__(
        self,
        window: Geometry,
        channels: int,
        x: QType,
        mode: str,
        *,
        channel_axis: int = 1,
        pad_value: int | None = None,
    ) -> None:
        self.channel_axis = channel_axis
        self.image = (window.height, window.width, channels)
        self.window = window
        self.x = x
        self.mode = mode
        taps = window.taps
        if pad_value is None:
            pad_value = x.lo if mode == "max" else x.zero_point
        self.attributes = {
            **window_attributes(window, channels),
            "mode": "max" if mode == "max" else "sum",
            "pad_value": pad_value,
        }
        self.arrays = {}
        if mode == "max":
            function = Affine((x.step,), -x.step * x.zero_point)
            span = (x.lo, x.hi)
        else:
            function = Affine((x.step / taps,), -x.step * x.zero_point)
            span = (x.lo * taps, x.hi * taps)
        self.functions = (function,) * channels
        self.ranges = ((span,),) * channels
        self.out_image = (window.out_height, window.out_width, channels)

    def foldings(self) -> list[Folding]:
        """Lanes divide channels."""
        return [Folding(n, n) for n in _build.divisors(self.image[2])]

    def cycles(self, folding: Folding) -> int:
        """Pixels x taps x channel folds, or the input's beats where those are more."""
        busy = int(np.prod(self.out_image)) * self.window.taps // folding.pe
        return max(busy, int(np.prod(self.image)) // folding.pe)

    def stage(self, node: QNode, out: QType, folding: Folding, name: str) -> Stage:
        """A comparator or adder a lane behind a line buffer."""
        plain = self.mode == "max" and out == self.x and _build.is_identity(node.requantiser)
        channels = self.image[2]

        @cache
        def component() -> hardware.FoldedPool:
            return hardware.FoldedPool(
                name,
                self.window,
                "max" if self.mode == "max" else "sum",
                channels=channels,
                lanes=folding.pe,
                x=_build.shape_of(self.x),
                requantiser=None if plain else node.requantiser,
                out=None if plain else _build.shape_of(out),
                pad_value=self.attributes["pad_value"],
            )

        width = self.image[1] * (channels // folding.pe)
        return _build.make_stage(
            name,
            node.name,
            component,
            inputs=[_build.port(self.x, folding.simd, int(np.prod(self.image)))],
            output=_build.port(out, folding.pe, int(np.prod(self.out_image))),
            folding=folding,
            cycles=self.cycles(folding),
            images=component().files,
            memories=[(folding.pe * self.x.bits, component().rows * width)],
        )
