# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""LSTM (ONNX operator versions 7, 14, 22): rules N12 and N13."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...hw.kernels.lstm import LstmKernel
from ...hw.numeric.cells import Grid
from ..ir.quant import QTensor
from ._directions import Direction
from ._gates import as_state
from ._model import recurrent_layer
from ._recurrent import Recurrent
from .base import Case, Unsupported


@dataclass(frozen=True, eq=False)
class Lstm(Recurrent):
    """Gates i, o, f, c; the second of the first states is the cell's."""

    gates = 4
    states = ("hidden", "cell")
    activations = ("Sigmoid", "Tanh", "Tanh")
    onnx_types = ("LSTM",)

    @classmethod
    def check(cls, attributes: Mapping[str, Any]) -> None:
        """As others, and no gate that is another's complement."""
        super().check(attributes)
        if attributes.get("input_forget", 0):
            raise Unsupported(
                "expected input_forget 0, found 1; a layer whose gates i and f have their own "
                "weights would work"
            )

    def kernel(self, x: QTensor, grid: Grid, direction: Direction, **more: Any) -> LstmKernel:
        """With the cell's states."""
        shared = self.shared(x, grid, direction, (True,) * self.gates)
        cell = as_state(direction.first[1], grid)
        return LstmKernel(cell=cell, remembers=self.wanted[2], **shared, **more)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """All states, the last ones, both; each direction; first states; few and many bits."""
        yield Case("lstm", recurrent_layer("LSTM", (4, 3, 4)), -2.0, 2.0)
        both = recurrent_layer(
            "LSTM",
            (3, 2, 3),
            ("all", "last"),
            begins=True,
            attributes={"direction": "bidirectional"},
        )
        yield Case("lstm_bidirectional", both)
        turned = recurrent_layer(
            "LSTM", (3, 4, 2), biased=False, attributes={"direction": "reverse"}
        )
        yield Case("lstm_5_bit", turned, 0.0, 3.0, bits=5)
        hard = {
            "activations": ["HardSigmoid", "Tanh", "Tanh"],
            "activation_alpha": [0.2],
            "activation_beta": [0.4],
        }
        yield Case("lstm_hard", recurrent_layer("LSTM", (3, 2, 4), attributes=hard), -2.0, 2.0)
        yield Case(
            "lstm_clip", recurrent_layer("LSTM", (4, 3, 2), attributes={"clip": 0.75}), -2.0, 2.0
        )
        yield Case("lstm_10_bit", recurrent_layer("LSTM", (5, 3, 4), ("last",)), bits=10)
        outputs = ("all", "last", "cell")
        yield Case("lstm_states", recurrent_layer("LSTM", (3, 2, 4), outputs, batch=2, fed=(5, 6)))
        yield Case("lstm_cell", recurrent_layer("LSTM", (2, 3, 3), ("last", "cell"), fed=(6,)))
