# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Transpose (ONNX operator version 13): a view, as long as the stream's order need not change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from ...hw.bundle import Layout
from ._model import one_node
from .base import Case, ImportContext, Op


@dataclass(frozen=True)
class Transpose(Op):
    """Axis ``i`` of the output is axis ``perm[i]`` of the input."""

    perm: tuple[int, ...]

    onnx_types = ("Transpose",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> tuple[Op, list[str]]:
        """``perm`` reverses the axes by default."""
        rank = len(context.shape(node.input[0]))
        perm = context.attributes(node).get("perm") or list(range(rank))[::-1]
        return cls(tuple(int(axis) for axis in perm)), [node.input[0]]

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
        if layout.dims != shape:
            return None
        return Layout(output, tuple(self.perm.index(axis) for axis in layout.perm))

    def view_back(
        self, layout: Layout, shape: tuple[int, ...], output: tuple[int, ...]
    ) -> Layout | None:
        """The same stream, described by the input's axes."""
        if layout.dims != output:
            return None
        return Layout(shape, tuple(self.perm[axis] for axis in layout.perm))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """NHWC to NCHW, as converters put it before the first convolution."""
        yield Case(
            "transpose", one_node("Transpose", [(1, 3, 4, 5)], (1, 5, 3, 4), perm=[0, 3, 1, 2])
        )
