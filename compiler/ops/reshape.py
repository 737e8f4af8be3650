# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reshape, Flatten, Squeeze, Unsqueeze, Identity, and in inference Dropout: views.

None of them changes the row-major order of elements, so the layout stays what it was. ONNX operator
versions 1 to 25; a Cast to the type that the tensor has already is one of them, and so is one from
integers to a type that holds them all, and one of real numbers to a type of at least single
precision, for a slice computes them exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.numeric import Function, ends_of
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, Unsupported, WrongTensor, one


@dataclass(frozen=True)
class Reshape(Op):
    """The same elements under another shape; where it is no other, even unrounded ones.

    ``unchanged`` says that the shape stays what it was.
    """

    unchanged: bool = False

    onnx_types = (
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Identity",
        "Dropout",
        "Cast",
    )

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """The target shape is the inferred shape of the output."""
        for name in node.input[1:]:
            if name and context.const(name) is None:
                raise Unsupported(f"expected a constant {name!r}, found a computed one")
        source, target = context.dtype(node.input[0]), context.dtype(node.output[0])
        if source != target and not _holds(target, source):
            raise WrongTensor(
                node.input[:1], f"expected a cast that changes nothing, found {source} to {target}"
            )
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            training = context.const(node.input[2])
            if training is None or training.values.any():
                raise Unsupported("expected training_mode false, found true")
        before, after = context.shape(node.input[0]), context.shape(node.output[0])
        if int(np.prod(before)) != int(np.prod(after)):
            raise Unsupported(f"expected {before} and {after} to hold as many elements")
        return one(cls(before == after), [node.input[0]])

    @property
    def is_view(self) -> bool:
        """Renames elements."""
        return True

    @property
    def absorbable(self) -> bool:
        """Does nothing, so it does not matter to a producer's finisher."""
        return self.unchanged

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """The functions as they are."""
        del shape, axis
        return list(functions)

    @property
    def keeps_grid(self) -> bool:
        """A view."""
        return True

    def view(self, layout: Layout, shape: tuple[int, ...], output: tuple[int, ...]) -> Layout:
        """Row-major order is kept, so dims and perm are."""
        del shape, output
        return layout

    def view_back(self, layout: Layout, shape: tuple[int, ...], output: tuple[int, ...]) -> Layout:
        """Row-major order is kept, so dims and perm are."""
        del shape, output
        return layout

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A flatten of an image, whose stream stays channels-last."""
        yield Case("flatten", one_node("Flatten", [(1, 4, 3, 2)], (1, 24)))


def _holds(wide: str, narrow: str) -> bool:
    """Whether both are types of integers, and the first has all that the second has; or both of
    reals, which hardware has of any precision: what is on a grid was rounded to that.
    """
    if narrow.startswith("float") and wide.startswith("float"):
        return True
    outer, within = ends_of(wide), ends_of(narrow)
    if outer is None or within is None:
        return False
    return outer[0] <= within[0] and within[1] <= outer[1]
