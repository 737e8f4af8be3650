# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The three parts of a split model in ONNX Runtime.

Client and nodes do no arithmetic of their own: quantising, dequantising and reordering are inside
``edge.onnx`` and ``cloud.onnx``. Between the parts go wire tensors, one axis, in stream order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..hw.errors import DataError
from ..hw.formats.bundle import Bundle
from ..hw.formats.npz import as_taken
from ..hw.formats.tensor import AnyArray, holds
from ..hw.session import inputs_of, open_session
from .errors import StartError


class Part:
    """One ONNX file, ready to run.

    Attributes
    ----------
    inputs : name, shape and dtype of each input
    outputs : names of the outputs

    Raises
    ------
    StartError
        If ONNX Runtime does not take the file, or no NumPy array can be an input.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._session = open_session(path, threads=threads, error=StartError)
        self.inputs = inputs_of(self._session, error=StartError)
        self.outputs: list[str] = [item.name for item in self._session.get_outputs()]

    def run(self, values: Sequence[npt.ArrayLike]) -> list[AnyArray]:
        """Run one sample; values in the order of the inputs, reshaped to what the model says.

        Raises
        ------
        DataError
            If there are more or fewer values than inputs, or one has another shape or holds what
            the input cannot take.
        """
        if len(values) != len(self.inputs):
            raise DataError(
                "wrong number of inputs",
                where="a sample",
                expected=f"one array for each of {', '.join(name for name, _, _ in self.inputs)}",
                found=f"{len(values)} arrays",
                remedy="Give one sample at a time, its arrays in the order of the model's inputs",
            )
        feeds = {}
        for (name, shape, dtype), value in zip(self.inputs, values, strict=True):
            array = np.asarray(value)
            if not holds(array.shape, shape):
                raise DataError(
                    "wrong shape",
                    where=f"input {name!r}",
                    expected=f"shape {list(shape)}",
                    found=f"shape {list(array.shape)}",
                    remedy="Give one sample at a time, as the model takes it",
                )
            taken = as_taken(array, dtype, f"input {name!r}")
            feeds[name] = np.ascontiguousarray(taken.reshape(shape))
        return [np.asarray(value) for value in self._session.run(self.outputs, feeds)]


def load_part(bundle: Bundle, name: str, threads: int = 1) -> Part:
    """Part ``edge``, ``slice`` or ``cloud`` of a bundle."""
    return Part(bundle.path(f"{name}.onnx"), threads)
