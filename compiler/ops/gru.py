# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""GRU (ONNX operator versions 7, 14, 22): rules N12 and N14.

With ``linear_before_reset`` the reset stands behind the product with the state: so torch and newer
versions of Keras export it. Where it stands before, a step goes over the state twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...hw.kernels.gru import GruKernel
from ...hw.numeric.cells import Grid
from ..ir.quant import QTensor
from ._directions import Direction
from ._model import recurrent_layer
from ._recurrent import Recurrent
from .base import Case


@dataclass(frozen=True, eq=False)
class Gru(Recurrent):
    """Gates z, r, h.

    Attributes
    ----------
    linear : whether the reset stands behind the product
    """

    linear: bool = True

    gates = 3
    states = ("hidden",)
    activations = ("Sigmoid", "Tanh")
    onnx_types = ("GRU",)

    @classmethod
    def options(cls, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Where the reset stands."""
        return {"linear": bool(attributes.get("linear_before_reset", 0))}

    def kernel(self, x: QTensor, grid: Grid, direction: Direction, **more: Any) -> GruKernel:
        """The sums of the last gate stay apart where the reset is between them."""
        shared = self.shared(x, grid, direction, (True, True, not self.linear))
        return GruKernel(**shared, **more)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """All states, the last ones, both; each direction; first states; few bits."""
        own: dict[str, Any] = {"linear_before_reset": 1}
        yield Case("gru", recurrent_layer("GRU", (4, 3, 4), attributes=own), -2.0, 2.0)
        both = {**own, "direction": "bidirectional"}
        yield Case(
            "gru_bidirectional", recurrent_layer("GRU", (3, 2, 3), ("all", "last"), attributes=both)
        )
        turned = {**own, "direction": "reverse"}
        last = recurrent_layer("GRU", (3, 5, 4), ("last",), begins=True, attributes=turned)
        yield Case("gru_6_bit", last, 0.0, 1.0, bits=6)
        yield Case("gru_reset_first", recurrent_layer("GRU", (4, 3, 4), ("all", "last")), -2.0, 2.0)
        hard = {
            "activations": ["HardSigmoid", "Tanh"],
            "activation_alpha": [1 / 6],
            "clip": 1.25,
            "linear_before_reset": 0,
        }
        one = {**both, "linear_before_reset": 0}
        states = recurrent_layer("GRU", (2, 2, 3), ("all", "last"), fed=(5,), attributes=one)
        yield Case("gru_states", states)
        yield Case(
            "gru_hard", recurrent_layer("GRU", (3, 2, 4), ("last",), begins=True, attributes=hard)
        )
