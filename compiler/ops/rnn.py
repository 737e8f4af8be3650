# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""RNN (ONNX operator versions 7, 14, 22), a plain recurrent layer: rules N12 and N18."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...hw.kernels.rnn import RnnKernel
from ...hw.numeric.cells import Grid
from ..ir.quant import QTensor
from ._directions import Direction
from ._model import recurrent_layer
from ._recurrent import Recurrent
from .base import Case


@dataclass(frozen=True, eq=False)
class Rnn(Recurrent):
    """One sum a unit."""

    gates = 1
    states = ("hidden",)
    activations = ("Tanh",)
    onnx_types = ("RNN",)

    def kernel(self, x: QTensor, grid: Grid, direction: Direction, **more: Any) -> RnnKernel:
        """What all have."""
        shared = self.shared(x, grid, direction, (True,))
        return RnnKernel(**shared, **more)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """All states, the last one; both activations; both directions; two sequences."""
        yield Case("rnn", recurrent_layer("RNN", (4, 3, 4)), -2.0, 2.0)
        relu = {"activations": ["Relu"]}
        yield Case("rnn_relu", recurrent_layer("RNN", (3, 2, 3), attributes=relu))
        batch = recurrent_layer("RNN", (3, 2, 3), ("all", "last"), batch=2, begins=True)
        yield Case("rnn_batch", batch)
        yield Case("rnn_state", recurrent_layer("RNN", (3, 2, 3), ("last",), batch=2, fed=(5,)))
        both = {"direction": "bidirectional", "activations": ["Tanh", "Relu"]}
        yield Case(
            "rnn_both", recurrent_layer("RNN", (3, 2, 2), ("last",), begins=True, attributes=both)
        )
