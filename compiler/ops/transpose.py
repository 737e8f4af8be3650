# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Transpose (ONNX operator version 13): a view.

Where its reader wants another order than the stream has, a reorder buffer goes between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, Unsupported, one


@dataclass(frozen=True)
class Transpose(Op):
    """Axis ``i`` of the output is axis ``perm[i]`` of the input."""

    perm: tuple[int, ...]

    onnx_types = ("Transpose",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """``perm`` reverses the axes by default."""
        rank = len(context.shape(node.input[0]))
        perm = context.attributes(node).get("perm", list(range(rank))[::-1])
        if sorted(perm) != list(range(rank)):
            raise Unsupported(f"expected each of the {rank} axes once in perm, found {perm}")
        return one(cls(tuple(int(axis) for axis in perm)), [node.input[0]])

    @property
    def is_view(self) -> bool:
        """Renames elements."""
        return True

    @property
    def keeps_grid(self) -> bool:
        """A view."""
        return True

    def view(
        self, layout: Layout, shape: tuple[int, ...], output: tuple[int, ...]
    ) -> Layout | None:
        """The same stream, described by the output's axes."""
        del output
        return _moved(layout, shape, self.perm)

    def view_back(
        self, layout: Layout, shape: tuple[int, ...], output: tuple[int, ...]
    ) -> Layout | None:
        """The same stream, described by the input's axes."""
        del shape
        return _moved(layout, output, tuple(np.argsort(self.perm)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """NHWC to NCHW, as converters put it before the first convolution."""
        yield Case(
            "transpose", one_node("Transpose", [(1, 3, 4, 5)], (1, 5, 3, 4), perm=[0, 3, 1, 2])
        )


def _moved(layout: Layout, shape: tuple[int, ...], perm: tuple[int, ...]) -> Layout | None:
    """The layout of a tensor of ``shape`` after its axes are permuted, for the same stream."""
    finer = layout.refined(shape)
    if finer is None:
        return None
    fine, groups = finer
    order = [axis for group in perm for axis in groups[group]]
    return Layout(
        tuple(fine.dims[axis] for axis in order), tuple(order.index(axis) for axis in fine.perm)
    )
