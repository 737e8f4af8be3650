# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ConvTranspose (ONNX operator versions 1, 11, 22): one to three spatial axes.

No multiplier works on the zeros between the pixels of an input that is spread out. The outputs of
an axis with stride ``s`` are cut into groups of ``s``, whose members are *phases*: phase ``r`` of
every group is an ordinary convolution of stride 1 with each ``s``-th tap of the kernel, so all of
them are one convolution with ``s`` times as many channels. Its pixels, one after another, are those
of the result (sub-pixel convolution, Shi et al. 2016); where there are several axes, in another
order.

The first group may begin before the first output, by ``lead`` elements: where that makes the window
smaller it is worth the few elements too many, which are dropped behind the finisher. The integer
meaning of a phase is that of ``conv``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray, Layout
from ...hw.kernels.conv import ConvKernel
from ...hw.kernels.geometry import Geometry
from ...hw.numeric import IntArray
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node, weights
from .base import Case, ImportContext, Imported, Op, Unsupported, one
from .conv import (
    WeightedOp,
    bias_of,
    centred,
    channel_scales,
    convolution,
    dense,
    shifted,
    weights_of,
)
from .slice import Slice
from .window import MOST_PLACES, MOST_STEP, check_kernel_shape, check_list, image_axes, planar


@dataclass(frozen=True)
class Spread:
    """One axis: output ``t`` is the sum of ``x[i] * w[k]`` with ``i * stride + k * dilation = t +
    pad``.

    Attributes
    ----------
    size, output : elements of the input and of the output
    kernel, stride, dilation : as in ONNX
    pad : elements of the whole result before the first output
    """

    size: int
    output: int
    kernel: int
    stride: int
    dilation: int
    pad: int

    @property
    def lead(self) -> int:
        """Elements of the first group before the first output: those for which the window and the
        groups are fewest, then the least.
        """
        # With less, phase 0 of the first group would read no pixel before the first one.
        least = max(0, self.pad - (self.kernel - 1) * self.dilation)
        return min(range(least, least + self.stride), key=self._work)

    def _work(self, lead: int) -> int:
        first, last = self._offsets(lead)
        return (last - first + 1) * self._groups(lead)

    def _offsets(self, lead: int) -> tuple[int, int]:
        """The least and the largest distance from a group to a pixel that it reads."""
        reach = (self.kernel - 1) * self.dilation
        first = -((lead + reach - self.pad) // self.stride)
        return first, max((self.stride - 1 + self.pad - lead) // self.stride, first)

    def _groups(self, lead: int) -> int:
        """Groups that hold all outputs, and at least those of a window that ends in the image."""
        needed = -(-(lead + self.output) // self.stride)
        return max(needed, self.size - self._offsets(lead)[1])

    @property
    def groups(self) -> int:
        """Pixels of the convolution."""
        return self._groups(self.lead)

    @property
    def taps(self) -> int:
        """Taps of the convolution."""
        first, last = self._offsets(self.lead)
        return last - first + 1

    @property
    def pads(self) -> tuple[int, int]:
        """Pads of the convolution, before and behind."""
        first, last = self._offsets(self.lead)
        return -first, self.groups + last - self.size

    @property
    def places(self) -> IntArray:
        """The kernel's tap behind each tap (columns) of each phase (rows); -1 for none."""
        first, _ = self._offsets(self.lead)
        phase = np.arange(self.stride)[:, None]
        tap = np.arange(self.taps)[None, :] + first
        place = phase - self.lead + self.pad - tap * self.stride
        inside = (place >= 0) & (place % self.dilation == 0)
        return np.where(inside & (place // self.dilation < self.kernel), place // self.dilation, -1)

    @property
    def shares(self) -> AnyArray:
        """Share of the outputs that each tap (rows) adds each input element (columns) to: one of
        them, or none.
        """
        place = np.arange(self.size) * self.stride - self.pad
        place = place + np.arange(self.kernel)[:, None] * self.dilation
        return ((place >= 0) & (place < self.output)) / self.output


@dataclass(frozen=True, eq=False)
class ConvTranspose(WeightedOp):
    """A transposed convolution with weights (O, I/group, *kernel)."""

    axes: tuple[Spread, ...]
    group: int = 1
    images: int = 1

    onnx_types = ("ConvTranspose",)

    def __repr__(self) -> str:
        strides, pads = [a.stride for a in self.axes], [a.pad for a in self.axes]
        shape = f"weight={self.weight.shape}, strides={strides}, pads={pads}"
        return f"ConvTranspose({shape}, group={self.group})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Weights and bias must be constant."""
        attributes = context.attributes(node)
        weight = weights_of(context, node)
        shape = context.shape(node.input[0])
        rank = len(image_axes(shape))
        if len(weight.shape) != len(shape):
            raise Unsupported(
                f"expected weights of {len(shape)} axes as the input has, "
                f"found the shape {list(weight.shape)}"
            )
        group = int(attributes.get("group", 1))
        if weight.shape[0] != shape[1] or group < 1 or shape[1] % group:
            raise Unsupported(
                f"expected weights of {shape[1]} channels in {group} groups, "
                f"found {list(weight.shape)}"
            )
        outputs = weight.shape[1] * group
        bias = bias_of(context, node, outputs)
        kernel = list(weight.shape[2:])
        check_kernel_shape(attributes, kernel)
        axes = spreads(attributes, kernel, shape[2:])
        found = context.shape(node.output[0])
        if [axis.output for axis in axes] != list(found[2:]):
            raise Unsupported(
                f"expected the size {[axis.output for axis in axes]} by the operator's attributes, "
                f"found {list(found[2:])} by shape inference"
            )
        axes += [Spread(1, 1, 1, 1, 1, 0)] * (2 - rank)

        def forward(array: np.ndarray) -> np.ndarray:
            split = array.reshape(group, shape[1] // group, weight.shape[1], *planar(kernel))
            return split.swapaxes(1, 2).reshape(outputs, shape[1] // group, *planar(kernel))

        made = cls(weight.map(forward), bias, tuple(axes), group, shape[0])
        return one(made, [node.input[0]])

    def macs(self, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int:
        """Input elements times taps times output channels of a group."""
        del output
        return (
            int(np.prod(inputs[0]))
            * int(np.prod(self.weight.shape[2:]))
            * (self.weight.shape[0] // self.group)
        )

    def corrected(self, real: Op, mean: AnyArray) -> Op:
        """By what each tap adds to the outputs on average, also those that it does not reach."""
        assert isinstance(real, ConvTranspose)
        image = mean.mean(axis=0)
        taps = image.reshape(self.group, -1, *(axis.size for axis in self.axes))
        for axis in self.axes:  # the outermost one that is left; its taps go to the end
            taps = np.tensordot(taps, axis.shares, axes=(2, 1))
        error = self.weight.real - real.weight.real
        error = error.reshape(self.group, len(error) // self.group, -1)
        shift = np.einsum("gon,gn->go", error, taps.reshape(self.group, -1)).reshape(-1)
        return replace(self, bias=shifted(self.bias, shift))

    @property
    def window(self) -> Geometry:
        """The window of the convolution that computes all phases."""
        before, behind = zip(*(axis.pads for axis in self.axes), strict=True)
        return Geometry(
            tuple(axis.size for axis in self.axes),
            kernel=tuple(axis.taps for axis in self.axes),
            pads=(*before, *behind),
        ).over(self.images)

    def _phases(self, weight: IntArray) -> IntArray:
        """Weights (O, *kernel, I) as those of every phase: (phases of all axes and O, *taps, I)."""
        rank = len(self.axes)
        # One more tap of zeros stands for those that a phase lacks.
        split = np.pad(weight, [(0, 0), *[(0, 1)] * rank, (0, 0)])
        for k, axis in enumerate(self.axes):  # each becomes two: phases, taps
            split = np.take(split, axis.places, axis=1 + 2 * k)
        phases, taps = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
        every = split.transpose(*phases, 0, *taps, split.ndim - 1)
        return every.reshape(-1, *every.shape[rank + 1 :])

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (x,), (output,) = inputs, outputs
        weight = dense(self.weight, self.group)
        channels = weight.shape[0]
        phases = math.prod(axis.stride for axis in self.axes)
        bias = self.bias.exact() if self.bias else [Fraction(0)] * channels
        window = self.window
        phased = self._phases(np.moveaxis(centred(weight), 1, -1))
        kernel = ConvKernel(
            window,
            x.shape[1],
            x.qtype.integers,
            phased.reshape(len(phased), *window.kernel, -1),
            False,
            x.qtype.zero_point,
        )
        scales = channel_scales(self.weight, channels)
        functions = convolution(kernel, x.qtype, scales * phases, bias * phases)
        parts = (n for axis in self.axes for n in (axis.groups, axis.stride))
        dims = (self.images, channels, *parts)
        layout = Layout(dims, (0, *range(2, len(dims), 2), *range(3, len(dims), 2), 1))
        sizes = [axis.groups * axis.stride for axis in self.axes]
        whole = (self.images, channels, *sizes[: len(output.shape) - 2])
        crop = None
        if whole != output.shape:
            kept = [(axis.lead, 1, axis.output) for axis in self.axes]
            crop = Slice(((0, 1, self.images), (0, 1, channels), *kept[: len(whole) - 2]))
        return single(kernel, Meaning(functions, 1, layout, self.weight.chosen, whole, crop))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Kernels that strides divide and that they do not, a crop, output padding, dilation with
        and without stride, groups, one axis and three, output_shape, auto_pad.
        """

        def spread(
            name: str, shape: tuple[int, ...], out: tuple[int, ...], w: np.ndarray, **more: Any
        ) -> Case:
            bias = weights(7, out[1])
            model = one_node("ConvTranspose", [shape], out, {1: w, 2: bias}, **more)
            return Case(f"conv_transpose_{name}", model)

        image, line = (1, 4, 3, 4), (1, 4, 5)
        twice, square = [2, 2], weights(1, 4, 3, 2, 2)
        yield spread("twice", image, (1, 3, 6, 8), square, strides=twice)
        larger = weights(2, 4, 3, 4, 4)
        yield spread("crop", image, (1, 3, 6, 8), larger, strides=twice, pads=[1, 1, 1, 1])
        odd = weights(3, 4, 2, 3, 3)
        yield spread(
            "output_padding",
            image,
            (1, 2, 6, 8),
            odd,
            strides=twice,
            pads=[1, 1, 1, 1],
            output_padding=[1, 1],
        )
        yield spread("same", image, (1, 2, 6, 8), odd, strides=twice, auto_pad="SAME_UPPER")
        yield spread("dilated", image, (1, 2, 11, 6), odd, strides=[3, 1], dilations=[2, 1])
        yield spread("stride_1", image, (1, 2, 3, 4), odd, pads=[1, 1, 1, 1])
        yield spread("groups", image, (1, 4, 7, 9), weights(4, 4, 2, 3, 3), strides=twice, group=2)
        yield spread("1d", line, (1, 3, 10), weights(5, 4, 3, 2), strides=[2])
        yield spread("1d_crop", line, (1, 3, 9), weights(6, 4, 3, 3), strides=[2], pads=[1, 1])
        yield spread(
            "output_shape", line, (1, 3, 13), weights(8, 4, 3, 5), strides=[3], output_shape=[13]
        )
        volume = (1, 2, 2, 3, 2)
        yield spread("3d", volume, (1, 2, 4, 3, 4), weights(10, 2, 2, 2, 1, 2), strides=[2, 1, 2])
        yield spread(
            "3d_crop",
            volume,
            (1, 2, 2, 5, 4),
            weights(11, 2, 2, 3, 3, 2),
            strides=[2, 2, 2],
            pads=[1, 1, 0, 2, 1, 0],
        )
        yield spread("gaps", line, (1, 3, 13), weights(9, 4, 3, 1), strides=[3])


def spreads(
    attributes: Mapping[str, Any], kernel: Sequence[int], spatial: Sequence[int]
) -> list[Spread]:
    """Read ``strides``, ``dilations``, ``pads``, ``auto_pad``, ``output_padding`` and
    ``output_shape``.

    Raises Unsupported where they contradict each other or leave no output.
    """
    rank = len(kernel)
    lists = {
        "strides": list(attributes.get("strides") or [1] * rank),
        "dilations": list(attributes.get("dilations") or [1] * rank),
        "output_padding": list(attributes.get("output_padding") or [0] * rank),
        "output_shape": list(attributes.get("output_shape") or [0] * rank)[-rank:],
        "pads": list(attributes.get("pads") or [0] * 2 * rank),
    }
    for name, values in lists.items():
        count = 2 * rank if name == "pads" else rank
        least = 1 if name in ("strides", "dilations") else 0
        check_list(name, values, count, least, MOST_PLACES if name == "output_shape" else MOST_STEP)
    auto = attributes.get("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"expected a known auto_pad, found {auto!r}")
    found: list[Spread] = []
    for axis, (k, size) in enumerate(zip(kernel, spatial, strict=True)):
        stride, dilation = lists["strides"][axis], lists["dilations"][axis]
        whole = stride * (size - 1) + (k - 1) * dilation + 1 + lists["output_padding"][axis]
        output = lists["output_shape"][axis]
        if not output and auto.startswith("SAME"):
            output = size * stride
        if output:
            if output > whole:
                raise Unsupported(
                    f"expected an output of at most {whole} along spatial axis {axis}, "
                    f"found {output}"
                )
            half = (whole - output) // 2
            begin = half if auto == "SAME_UPPER" else whole - output - half
        else:
            pads = lists["pads"] if auto == "NOTSET" else [0] * 2 * rank
            begin, output = pads[axis], whole - pads[axis] - pads[axis + rank]
        if output < 1:
            raise Unsupported(f"expected an output along spatial axis {axis}, found none")
        found.append(Spread(size, output, k, stride, dilation, begin))
    return found
