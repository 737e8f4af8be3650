# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of convolutions and of matrix products with constants (images of 1 x 1 pixels).

``acc[o] = sum(x[p + tap, c] * w[o, tap, c])`` over the raw integers ``x`` (the zero point not taken
off), where taps outside of the image read ``pad_value``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from .adder_solver import digit_count
from .base import Accumulators, Implementation, Kernel, check_width
from .convolve import convolve, convolve_parts, exact_convolution
from .finishing import filled, unit_for
from .folded_convolution import FoldedConvolution, LoadableConvolution
from .folds import lane_counts, tap_choices
from .geometry import Geometry, pixels_of
from .unrolled import UnrolledDense, unrolled

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class ConvKernel(Kernel):
    """Dense or depthwise convolution of a channels-last image.

    Attributes
    ----------
    geometry : the window and the image's size
    channels : of the input
    x : type of its integers
    weight : int64 (O, *kernel, I); I is 1 for depthwise
    depthwise : whether output channel ``o`` reads input channel ``o`` only
    pad_value : what taps outside of the image read: the zero point of ``x``

    Raises
    ------
    ValueError
        If the weights do not fit, or (WidthError) an accumulator may be too wide.
    """

    geometry: Geometry
    channels: int
    x: IntType
    weight: IntArray
    depthwise: bool
    pad_value: int

    name = "conv"

    def __post_init__(self) -> None:
        depth = 1 if self.depthwise else self.channels
        expected = (*self.geometry.kernel, depth)
        if self.weight.shape[1:] != expected:
            raise ValueError(
                f"weights must have shape (O, *kernel, I) = (O, {', '.join(map(str, expected))}), "
                f"not {self.weight.shape}"
            )
        if self.depthwise and len(self.weight) != self.channels:
            raise ValueError(
                f"depthwise weights of {self.channels} channels need as many outputs, "
                f"not {len(self.weight)}"
            )
        check_width(self._spans, math.prod(expected))

    @property
    def outputs(self) -> int:
        """Channels of the output."""
        return len(self.weight)

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """See :func:`~.convolve.convolve`."""
        return ((self._convolved(convolve, *streams),),)

    def run_parts(self, *streams: AnyArray) -> Iterator[tuple[Accumulators, ...]]:
        """See :func:`~.convolve.convolve_parts`."""
        for part in self._convolved(convolve_parts, *streams):
            yield ((part,),)

    def _convolved(self, how: Callable[..., _T], x: AnyArray) -> _T:
        images = x.reshape(len(x), *self.geometry.size, self.channels)
        groups = self.channels if self.depthwise else 1
        return how(images, self.weight, self.geometry, pad_value=self.pad_value, groups=groups)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """See :func:`~.convolve.exact_convolution`."""
        (stream,) = streams
        total = exact_convolution(
            writer,
            stream,
            self.geometry,
            self.channels,
            self.x,
            self.pad_value,
            np.moveaxis(self.weight, -1, 1),
            self.channels if self.depthwise else 1,
        )
        return ((pixels_of(writer, total, self.geometry, self.outputs),),)

    @cached_property
    def _spans(self) -> tuple[Range, ...]:
        """For each output channel, the range of its accumulator."""
        flat = self.weight.reshape(self.outputs, -1)
        positive = np.maximum(flat, 0).sum(axis=1).tolist()
        negative = np.minimum(flat, 0).sum(axis=1).tolist()
        # Python's integers from here on: a product of both types may pass 64 bits.
        lo, hi = self.x.lo, self.x.hi
        return tuple(
            (up * lo + down * hi, up * hi + down * lo)
            for up, down in zip(positive, negative, strict=True)
        )

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """Each weight times the worse end of ``x``."""
        return (tuple((span,) for span in self._spans),)

    @property
    def macs(self) -> int:
        """Output pixels times weights."""
        return self.geometry.out_pixels * self.weight.size

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[Implementation]:
        """Any number of lanes on both sides; the same ones for depthwise. Several taps at a time
        where all channels already are: more lanes need no second memory.
        """
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        return self._folded(
            FoldedConvolution,
            IntType.holding(int(self.weight.min()), int(self.weight.max())),
            lambda pe: unit_for(finisher, pe, ranges, out),
            self.pad_value,
        )

    def loadable(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[Implementation]:
        """As :meth:`implementations`, for any weights of as many bits, signed; none if the finisher
        has no loadable hardware.
        """
        (finisher,), (out,) = finishers, outs
        kind = IntType.holding(min(int(self.weight.min()), -1), int(self.weight.max()))
        taps = self.weight[0].size
        ends = [taps * x * w for x in (self.x.lo, self.x.hi) for w in (kind.lo, kind.hi)]
        span = min(ends), max(ends)
        return self._folded(
            LoadableConvolution,
            kind,
            lambda pe: filled(finisher, pe).loadable(pe, (span,), out),
            # What nobody reads would only tell layers apart.
            self.pad_value if self.geometry.padded else 0,
        )

    def _folded(
        self,
        built: type[FoldedConvolution],
        weight: IntType,
        unit: Callable[[int], FinisherUnit | None],
        pad_value: int,
    ) -> list[FoldedConvolution]:
        """With every number of lanes for which there is a ``unit``."""
        units = {pe: unit(pe) for pe in lane_counts(self.outputs)}
        return [
            built(
                geometry=self.geometry,
                channels_in=self.channels,
                channels_out=self.outputs,
                depthwise=self.depthwise,
                pe=pe,
                simd=simd,
                x=self.x,
                weight=weight,
                pad_value=pad_value,
                unit=each,
                taps=taps,
            )
            for pe, each in units.items()
            if each is not None
            for simd in ([pe] if self.depthwise else lane_counts(self.channels))
            for taps in tap_choices(self.geometry)
            if math.prod(taps) == 1 or self.channels == simd
        ]

    @property
    def _is_dense(self) -> bool:
        """Whether it is a product of a matrix and vectors: pixels by themselves, none left out."""
        return self.geometry == Geometry(self.geometry.size) and not self.depthwise

    @cached_property
    def digits(self) -> int:
        """Signed digits of all weights."""
        return digit_count(self.weight.reshape(self.outputs, -1)) if self._is_dense else 0

    def unrolled(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Implementation | None:
        """A dense layer as an adder graph, unless it is too large."""
        if not self._is_dense:
            return None
        (finisher,), (out,) = finishers, outs
        vectors = self.geometry.pixels
        return unrolled(self.weight, self.x, self._spans, finisher, out, vectors)

    def images(
        self, implementation: Implementation, finishers: Sequence[Finisher], name: str
    ) -> Mapping[str, str]:
        """Weights, and the finisher's parameters."""
        assert isinstance(implementation, (FoldedConvolution, UnrolledDense))
        finish = super().images(implementation, finishers, name)
        if isinstance(implementation, UnrolledDense):
            return finish
        return {f"{name}_weights.hex": implementation.weight_image(self.weight), **finish}
