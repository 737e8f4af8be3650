# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Where (ONNX operator versions 9 to 16) with a constant mask and one constant branch.

That is ``factor * x + offset``: 1 and 0 where the computed branch is taken, 0 and the constant
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import onnx

from ._constants import Numbers, with_constants
from ._model import one_node
from .base import Case, ImportContext, Imported, Unsupported
from .scale import Scale


@dataclass(frozen=True)
class Where(Scale):
    """The computed branch where the mask says so, else constants."""

    onnx_types: ClassVar[tuple[str, ...]] = ("Where",)

    def __repr__(self) -> str:
        return f"Where(shape={self.shape})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """The mask is constant, and one of the branches."""
        mask = context.const(node.input[0])
        branches = [context.const(name, finite=False) for name in node.input[1:3]]
        if mask is None or branches.count(None) != 1:
            found = "a computed mask" if mask is None else "two computed branches"
            raise Unsupported(
                f"expected a constant mask and one constant branch, found {found}; Mul by the mask "
                "and Add would work"
            )
        taken = branches.index(None)
        constant = branches[1 - taken]
        assert constant is not None
        shape = np.broadcast_shapes(mask.shape, constant.shape)
        chosen = np.broadcast_to(mask.values.astype(bool) == (taken == 0), shape).ravel()
        values = np.array(Numbers.of(constant).values, object).reshape(constant.shape)
        others = np.broadcast_to(values, shape).ravel()
        op = cls(
            tuple(Fraction(int(own)) for own in chosen),
            tuple(Fraction(0) if own else v for own, v in zip(chosen, others, strict=True)),
            shape,
        )
        return with_constants(context, node, op, node.input[1 + taken])

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A mask of channels, and one of pixels; either branch computed."""
        shape = (1, 4, 3, 5)
        channels = np.array([True, False, True, False]).reshape(4, 1, 1)
        half = np.array(0.5, np.float32)
        yield Case("where", one_node("Where", [shape], shape, {0: channels, 2: half}))
        pixels = np.tril(np.ones((3, 5), bool))
        yield Case("where_pixels", one_node("Where", [shape], shape, {0: pixels, 1: -half}))
