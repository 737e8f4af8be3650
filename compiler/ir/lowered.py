# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What an operator becomes on integers: calls of kernels, and what their accumulators stand for.

Rules:

L1. An operator lowers to one call or several, in order. A call reads the operator's inputs or the
    results of earlier calls.
L2. A result is either *inner* (integers on a grid that later calls take, as they are or rounded to
    it), or it is an output of the operator: then its *meaning* is, for each channel, the exact real
    function of the accumulators. Bias, activation and rounding that follow are composed with those
    functions, and a finisher is found for the whole.
    A kernel may make an output in groups of all its channels (the phases of a transposed
    convolution): there are then as many functions for each channel, one a group.
L3. The outputs of the operator are the results with a meaning, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...hw.formats.tensor import Layout
from ...hw.kernels.base import Kernel
from ...hw.numeric import Function, QType

if TYPE_CHECKING:
    from ..ops.base import Op


@dataclass(frozen=True)
class OutputSpec:
    """An output of an operator that is being lowered.

    Attributes
    ----------
    shape : its ONNX shape
    grid : its grid where the very value lies on one; None where what follows has yet to be composed
        with it
    rounded : the grid that the value, with what follows, is rounded to in the end; None if nothing
        rounds it
    """

    shape: tuple[int, ...]
    grid: QType | None
    rounded: QType | None = None


@dataclass(frozen=True, eq=False)
class Meaning:
    """What the accumulators of an output stand for (rule L2).

    Attributes
    ----------
    functions : for each channel of the finisher, the real number that its accumulators stand for
    channel_axis : axis of the ONNX output along which channels lie
    layout : order in which the kernel streams the output
    adjustable : whether midwire chose the slopes of ``functions``, so that others as close to the
        model would do as well
    whole : shape of what the kernel makes, where that is more than the output; empty if it is not
    crop : the operator that takes the output out of it, behind the finisher; it keeps grids
    """

    functions: Sequence[Function]
    channel_axis: int
    layout: Layout
    adjustable: bool = False
    whole: tuple[int, ...] = ()
    crop: Op | None = None


@dataclass(frozen=True)
class Inner:
    """A result that only later calls of the same operator read (rule L2).

    Attributes
    ----------
    shape, qtype, layout : of the tensor
    functions : what its accumulators stand for, as in :class:`Meaning`, where they are rounded to
        its grid; none where they lie on it as they are
    """

    shape: tuple[int, ...]
    qtype: QType
    layout: Layout
    functions: tuple[Function, ...] = ()


@dataclass(frozen=True, eq=False)
class Call:
    """One kernel.

    ``inputs`` counts the operator's inputs first, then the results of earlier calls.
    """

    kernel: Kernel
    inputs: tuple[int, ...]
    results: tuple[Meaning | Inner, ...]


def single(kernel: Kernel, meaning: Meaning, inputs: int = 1) -> tuple[Call, ...]:
    """The common case: one call that reads all inputs and gives the one output."""
    return (Call(kernel, tuple(range(inputs)), (meaning,)),)
