# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The numpy reference of a whole slice: runs the integer program of a bundle.

Exact and vectorised over inferences; needs numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from ..formats.bundle import Bundle, Step
from ..formats.tensor import AnyArray
from ..numeric import IntArray, Requantiser
from . import integer as kernels

Arrays = Mapping[str, AnyArray]


def geometry_of(attributes: Mapping[str, Any]) -> kernels.Geometry:
    """The window that a step's attributes describe."""
    height, width, _ = attributes["image"]
    return kernels.Geometry(
        height=height,
        width=width,
        kernel=tuple(attributes["kernel"]),
        stride=tuple(attributes["strides"]),
        dilation=tuple(attributes["dilations"]),
        pads=tuple(attributes["pads"]),
    )


def _image(step: Step, x: AnyArray) -> AnyArray:
    return x.reshape(len(x), *step.attributes["image"])


def _conv(step: Step, arrays: Arrays, inputs: Sequence[AnyArray]) -> list[IntArray]:
    acc = kernels.conv2d(
        _image(step, inputs[0]),
        arrays["weight"],
        geometry_of(step.attributes),
        pad_value=step.attributes["pad_value"],
        groups=step.attributes["image"][2] if step.attributes["depthwise"] else 1,
    )
    return [acc]


def _pool(step: Step, arrays: Arrays, inputs: Sequence[AnyArray]) -> list[IntArray]:
    del arrays
    acc = kernels.pool(
        _image(step, inputs[0]),
        geometry_of(step.attributes),
        step.attributes["mode"],
        pad_value=step.attributes["pad_value"],
    )
    return [acc]


def _streams(step: Step, arrays: Arrays, inputs: Sequence[AnyArray]) -> list[IntArray]:
    del step
    channels = arrays["requant_offset"].shape[0]
    return [x.astype(np.int64).reshape(len(x), -1, channels) for x in inputs]


_KERNELS: dict[str, Callable[[Step, Arrays, Sequence[AnyArray]], list[IntArray]]] = {
    "conv": _conv,
    "pool": _pool,
    "add": _streams,
    "scale": _streams,
}


def requantiser_of(step: Step, arrays: Arrays) -> Requantiser:
    """The requantiser of a step."""
    wide = {name: arrays[f"requant_{name}"].astype(np.int64) for name in _REQUANT_ARRAYS}
    return Requantiser(
        shift=step.attributes["requant_shift"],
        tie=step.attributes["requant_tie"],
        parity=step.attributes["requant_parity"],
        **wide,
    )


_REQUANT_ARRAYS = ("multiplier", "offset", "lo", "hi")


def run_step(step: Step, arrays: Arrays, inputs: Sequence[AnyArray]) -> IntArray:
    """One integer operation on flat streams (N, elements); ``arrays`` by parameter name."""
    accs = _KERNELS[step.kernel](step, arrays, inputs)
    result = requantiser_of(step, arrays).apply(*accs)
    return result.reshape(len(inputs[0]), -1)


class Reference:
    """The integer program of a slice.

    Parameters
    ----------
    inputs, outputs : names of the tensors at the borders, in order
    steps : the program
    arrays : the parameters, by the keys that the steps name
    """

    def __init__(
        self,
        inputs: Sequence[str],
        outputs: Sequence[str],
        steps: Sequence[Step],
        arrays: Arrays,
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.steps = tuple(steps)
        self._arrays = [
            {name: arrays[key] for name, key in step.arrays.items()} for step in self.steps
        ]
        self._last_use = {
            name: index for index, step in enumerate(self.steps) for name in step.inputs
        }

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Reference:
        """The reference of a bundle."""
        program = bundle.manifest.slice
        return cls(
            program["roots_in"], program["roots_out"], bundle.manifest.steps, bundle.arrays()
        )

    def run(self, inputs: Sequence[AnyArray], *, keep: bool = False) -> dict[str, IntArray]:
        """Run streams of integers (N, elements), one array an input.

        Returns every output by name, and with ``keep`` every intermediate tensor too.
        """
        if len(inputs) != len(self.inputs):
            raise DataError(
                "wrong number of inputs",
                where="the numpy reference",
                expected=f"{len(self.inputs)} arrays",
                found=f"{len(inputs)}",
            )
        values: dict[str, IntArray] = {
            name: np.asarray(x).astype(np.int64)
            for name, x in zip(self.inputs, inputs, strict=True)
        }
        for index, (step, arrays) in enumerate(zip(self.steps, self._arrays, strict=True)):
            sources = [values[name] for name in step.inputs]
            values[step.output] = run_step(step, arrays, sources)
            if not keep:
                for name in set(step.inputs):
                    if self._last_use[name] == index and name not in self.outputs:
                        del values[name]
        return values if keep else {name: values[name] for name in self.outputs}

    def run_wire(self, inputs: Sequence[AnyArray], *, chunk: int = 64) -> list[IntArray]:
        """Run wire tensors (N, elements) in chunks, to bound memory; one array an output."""
        parts: list[list[IntArray]] = [[] for _ in self.outputs]
        for begin in range(0, len(inputs[0]), chunk):
            result = self.run([x[begin : begin + chunk] for x in inputs])
            for part, name in zip(parts, self.outputs, strict=True):
                part.append(result[name])
        return [np.concatenate(part) for part in parts]
