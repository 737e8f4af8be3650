# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""GRU (ONNX operator versions 7, 14, 22) with ``linear_before_reset``: rules N12 and N14.

That is how torch and Keras have it, and what they export. Where the reset stands before the
product, a step takes two passes over the state, one behind the other; that form is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...hw.kernels.gru import GruKernel
from ...hw.numeric.cells import Grid
from ..ir.quant import QTensor
from ._recurrent import Direction, Recurrent, layer
from .base import Case, Unsupported


@dataclass(frozen=True, eq=False)
class Gru(Recurrent):
    """Gates z, r, h."""

    gates = 3
    states = 1
    activations = ("Sigmoid", "Tanh")
    onnx_types = ("GRU",)

    @classmethod
    def check(cls, attributes: Mapping[str, Any]) -> None:
        """As others, and the reset behind the product."""
        super().check(attributes)
        if not attributes.get("linear_before_reset", 0):
            raise Unsupported(
                "expected linear_before_reset 1 (the reset behind the product with the state, as "
                "torch and Keras export it), found 0"
            )

    def kernel(self, x: QTensor, grid: Grid, direction: Direction, last: bool) -> GruKernel:
        """The sums of the last gate stay apart."""
        shared = self.shared(x.qtype, grid, direction, (True, True, False))
        return GruKernel(steps=x.shape[0], last=last, **shared)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """All states, the last ones, both; each direction; first states; few bits."""
        own: dict[str, Any] = {"linear_before_reset": 1}
        yield Case("gru", layer("GRU", (4, 3, 4), attributes=own), -2.0, 2.0)
        both = {**own, "direction": "bidirectional"}
        yield Case("gru_bidirectional", layer("GRU", (3, 2, 3), ("all", "last"), attributes=both))
        turned = {**own, "direction": "reverse"}
        last = layer("GRU", (3, 5, 4), ("last",), begins=True, attributes=turned)
        yield Case("gru_6_bit", last, 0.0, 1.0, bits=6)
