# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Tensors at the borders of a slice: their integers, and the order in which they are streamed.

A *wire tensor* is the integers of one tensor in stream order, one axis, in containers of 1, 2 or 4
bytes, little-endian: what is on the slice's ports and in datagrams. Standard library and numpy
only: running nodes import this.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..numeric import IntArray, QType, ends_of

AnyArray = npt.NDArray[Any]

_REAL = "biuf"
"""Kinds of numpy types that hold real numbers: booleans, integers, floats."""


@dataclass(frozen=True)
class Layout:
    """How a tensor's elements follow each other on a stream.

    ``stream = tensor.reshape(dims).transpose(perm).ravel()``: an NCHW tensor streamed channels-last
    has its own shape as ``dims`` and ``perm = (0, 2, 3, 1)``, and keeps both when it is flattened.
    """

    dims: tuple[int, ...]
    perm: tuple[int, ...]

    def __post_init__(self) -> None:
        if any(type(size) is not int or size < 1 for size in self.dims):
            raise ValueError(f"dims must be integers of at least 1, not {self.dims!r}")
        if any(type(axis) is not int for axis in self.perm) or (
            sorted(self.perm) != list(range(len(self.dims)))
        ):
            raise ValueError(f"perm must permute {len(self.dims)} axes, not {self.perm!r}")

    @classmethod
    def raster(cls, shape: Sequence[int]) -> Layout:
        """Row-major order of the shape itself."""
        return cls(tuple(shape), tuple(range(len(shape))))

    @classmethod
    def channels_last(cls, shape: Sequence[int]) -> Layout:
        """Channels innermost for (N, C, ...) with spatial axes, raster order for anything else."""
        if len(shape) < 3:
            return cls.raster(shape)
        return cls(tuple(shape), (0, *range(2, len(shape)), 1))

    @property
    def stream_shape(self) -> tuple[int, ...]:
        """Shape of the tensor in stream order."""
        return tuple(self.dims[axis] for axis in self.perm)

    @property
    def canonical(self) -> Layout:
        """The same order with axes of length 1 dropped and runs of adjacent axes merged."""
        kept = [axis for axis in self.perm if self.dims[axis] > 1]
        groups: list[list[int]] = []
        wide = [axis for axis in range(len(self.dims)) if self.dims[axis] > 1]
        rank = {axis: i for i, axis in enumerate(wide)}
        for axis in kept:
            if groups and rank[axis] == rank[groups[-1][-1]] + 1:
                groups[-1].append(axis)
            else:
                groups.append([axis])
        order = sorted(range(len(groups)), key=lambda g: groups[g][0])
        dims = tuple(int(np.prod([self.dims[a] for a in groups[g]])) for g in order)
        return Layout(dims, tuple(order.index(g) for g in range(len(groups))))

    def refined(self, shape: Sequence[int]) -> tuple[Layout, list[list[int]]] | None:
        """The same order with finer axes, of which every axis of ``shape`` is a run.

        Returns the finer layout and, for each axis of ``shape``, its axes in it (none for an axis
        of length 1); None if ``dims`` and ``shape`` cut the elements in ways that cross.
        """
        mine, theirs = _bounds(self.dims), _bounds(shape)
        bounds = sorted({*mine, *theirs})
        if mine[-1] != theirs[-1]:
            return None
        if any(after % before for before, after in pairwise(bounds)):
            return None
        sizes = tuple(after // before for before, after in pairwise(bounds))

        def runs(ends: Sequence[int]) -> list[list[int]]:
            return [
                [axis for axis, start in enumerate(bounds[:-1]) if low <= start < high]
                for low, high in pairwise(ends)
            ]

        axes = runs(mine)
        perm = tuple(axis for group in self.perm for axis in axes[group])
        return Layout(sizes, perm), runs(theirs)

    def same_order(self, other: Layout) -> bool:
        """Whether both stream the same elements in the same order."""
        return self.canonical == other.canonical

    def to_stream(self, array: AnyArray) -> AnyArray:
        """One tensor's elements in stream order, one axis."""
        return array.reshape(self.dims).transpose(self.perm).ravel()

    def from_stream(self, stream: AnyArray, shape: Sequence[int]) -> AnyArray:
        """Inverse of :meth:`to_stream`."""
        inverse = np.argsort(self.perm)
        return stream.reshape(self.stream_shape).transpose(inverse).reshape(tuple(shape))


def _bounds(shape: Sequence[int]) -> list[int]:
    """Products of the leading axes: where axes begin and end, counted from the outermost."""
    return [math.prod(shape[:axis]) for axis in range(len(shape) + 1)]


@dataclass(frozen=True)
class TensorSpec:
    """A tensor at a border of the slice.

    Attributes
    ----------
    name, shape, dtype : as in the ONNX model, batch bound to 1; ``dtype`` is a numpy name
    qtype : its integers
    layout : its order on the stream and on the wire
    lanes : elements in one beat of the slice's port; beats are whole

    Raises
    ------
    TypeError, ValueError
        If these contradict each other: they may come from a file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    qtype: QType
    layout: Layout
    lanes: int

    def __post_init__(self) -> None:
        for name in ("name", "dtype"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must not be {getattr(self, name)!r}")
        if any(type(size) is not int or size < 1 for size in self.shape):
            raise ValueError(f"shape must be integers of at least 1, not {self.shape!r}")
        if math.prod(self.layout.dims) != self.elements:
            raise ValueError(f"shape {self.shape} has other elements than {self.layout}")
        if type(self.lanes) is not int or self.lanes < 1 or self.elements % self.lanes:
            raise ValueError(f"lanes must divide {self.elements} elements, not {self.lanes!r}")
        if np.dtype(self.dtype).kind not in _REAL:  # TypeError if there is no such type
            raise ValueError(f"dtype must be a type of real numbers, not {self.dtype!r}")

    @property
    def elements(self) -> int:
        """Elements of one tensor."""
        return math.prod(self.shape)

    @property
    def wire_bytes(self) -> int:
        """Bytes of one tensor on the wire."""
        return self.elements * self.qtype.container_bytes

    @property
    def beat_bytes(self) -> int:
        """Bytes in one beat of the slice's port."""
        return self.lanes * self.qtype.container_bytes

    @property
    def is_integer(self) -> bool:
        """Whether the ONNX tensor holds the quantised integers themselves."""
        return np.issubdtype(np.dtype(self.dtype), np.integer)

    @property
    def saturates(self) -> bool:
        """Whether the ONNX tensor holds integers that mean themselves (rule N16), and its type has
        some beyond these, which become their ends.
        """
        ends = ends_of(self.dtype)
        if ends is None or (self.qtype.scale, self.qtype.zero_point) != (1.0, 0):
            return False
        return ends[0] < self.qtype.lo or ends[1] > self.qtype.hi

    def to_wire(self, array: npt.ArrayLike) -> AnyArray:
        """Quantise one tensor (integer tensors are taken as they are, but for what saturates) and
        put it in wire order.

        Raises
        ------
        DataError
            If its shape does not fit, or its values are none that the tensor can have.
        """
        values = np.asarray(array)
        if not holds(values.shape, self.shape):
            raise self._refusal(
                "wrong shape",
                expected=f"shape {list(self.shape)}",
                found=f"shape {list(values.shape)}",
                remedy="Give one sample at a time, with the model's own axes in their order",
            )
        if values.dtype.kind not in _REAL:
            raise self._refusal(
                "values are not real numbers",
                expected=f"{self.dtype} values",
                found=f"{values.dtype} values",
                remedy="Give an array of numbers",
            )
        if not np.all(np.isfinite(values)):
            raise self._refusal(
                "values are not finite",
                expected="numbers",
                found="NaN or infinity",
                remedy="Clean the input data",
            )
        integers = self._whole(values) if self.is_integer else self.qtype.quantise(values)
        return self.layout.to_stream(integers).astype(self.qtype.wire_dtype)

    def _whole(self, values: AnyArray) -> IntArray:
        """Numbers that are integers of the type."""
        remedy = "Quantise the data as the model's own input"
        if values.dtype.kind == "f" and np.any(values != np.trunc(values)):
            raise self._refusal(
                "values are not integers",
                expected=f"{self.dtype} values",
                found=f"{values.dtype} with a fraction",
                remedy=remedy,
            )
        low, high = values.min(), values.max()
        own = self.qtype.lo, self.qtype.hi
        least, most = (ends_of(self.dtype) or own) if self.saturates else own
        if int(low) < least or int(high) > most:
            raise self._refusal(
                "values out of range",
                expected=f"integers from {least} to {most}",
                found=f"{low} to {high}",
                remedy=remedy,
            )
        return self.qtype.bounded(values)

    def _refusal(self, problem: str, *, expected: str, found: str, remedy: str) -> DataError:
        return DataError(
            problem,
            where=f"tensor {self.name!r}",
            expected=expected,
            found=found,
            remedy=remedy,
        )

    def from_wire(self, wire: AnyArray) -> npt.NDArray[np.float32]:
        """Dequantise one wire tensor into the ONNX shape."""
        return self.qtype.dequantise(self.layout.from_stream(wire, self.shape))

    def of_frames(self, frames: npt.NDArray[np.uint8]) -> AnyArray:
        """Wire tensors (N, elements) of frames of bytes (N, wire_bytes)."""
        return frames.view(self.qtype.wire_dtype)


def holds(shape: Sequence[int], own: Sequence[int]) -> bool:
    """Whether an array of a shape holds one tensor: flat, or in the tensor's own shape but for axes
    of length 1.

    As many elements are not enough: channels-last samples of a channels-first model have those too.
    """
    wide, narrow = ([size for size in axes if size != 1] for axes in (shape, own))
    return wide == narrow or tuple(shape) == (math.prod(own),)


def as_frames(wires: AnyArray) -> npt.NDArray[np.uint8]:
    """Wire tensors (N, elements) as frames of bytes (N, bytes)."""
    return np.ascontiguousarray(wires).view(np.uint8).reshape(len(wires), -1)
