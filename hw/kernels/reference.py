# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The numpy reference of a whole slice: runs the integer program of a bundle.

Exact and vectorised over inferences; needs numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BundleError, DataError
from ..finish.base import Finisher, Range
from ..formats.bundle import Bundle, Step
from ..formats.tensor import AnyArray
from ..numeric import IntArray
from .base import PART, Kernel
from .program import finisher_of, kernel_of


@dataclass(frozen=True, eq=False)
class Operation:
    """One integer operation: a kernel, and a finisher for each of its outputs."""

    name: str
    kernel: Kernel
    finishers: tuple[Finisher, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, streams: Sequence[AnyArray]) -> list[AnyArray]:
        """Results for flat streams (N, elements) of integers, one array an output, each of the
        narrowest type that holds what its finisher gives.
        """
        made: list[list[AnyArray]] = [[] for _ in self.finishers]
        for found in self.kernel.run_parts(*streams):
            for parts, finisher, accs in zip(made, self.finishers, found, strict=True):
                part = _finished(finisher, accs).astype(_narrowest(finisher.span))
                parts.append(part.reshape(-1))
        return [np.concatenate(parts).reshape(len(streams[0]), -1) for parts in made]


def _narrowest(span: Range) -> np.dtype[Any]:
    """The smallest numpy type of integers of a range."""
    low, high = span
    kinds = map(np.dtype, ("int8", "uint8", "int16", "uint16", "int32", "int64"))
    return next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max)


def _finished(finisher: Finisher, accs: Sequence[IntArray]) -> IntArray:
    """Results of accumulators, made in parts: rows of channels do not know of each other."""
    first = accs[0]
    if first.size <= PART or any(acc.shape != first.shape for acc in accs):
        return finisher.apply(*accs)
    rows = [acc.reshape(-1, first.shape[-1]) for acc in accs]
    step = max(1, PART // first.shape[-1])
    found: IntArray | None = None
    for begin in range(0, len(rows[0]), step):
        part = finisher.apply(*(each[begin : begin + step] for each in rows))
        if found is None:
            found = np.empty((len(rows[0]), part.shape[-1]), np.int64)
        found[begin : begin + step] = part
    assert found is not None
    return found


def operations_of(
    steps: Sequence[Step], arrays: Mapping[str, AnyArray], where: str = "the program"
) -> tuple[Operation, ...]:
    """The operations that a bundle's program describes.

    Raises
    ------
    BundleError
        If a step does not describe a kernel and finishers of this version.
    """
    found = []
    for step in steps:
        try:
            kernel = kernel_of(step.kernel, arrays)
            finishers = tuple(finisher_of(part, arrays) for part in step.finishers)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                "a step of the program cannot be read",
                where=f"{where}, step {step.name!r}",
                expected="a kernel and finishers of this version of midwire",
                found=f"{type(error).__name__}: {error}",
                remedy="Compile the bundle again",
            ) from error
        found.append(Operation(step.name, kernel, finishers, step.inputs, step.outputs))
    return tuple(found)


class Reference:
    """The integer program of a slice.

    Parameters
    ----------
    inputs, outputs : names of the tensors at the borders, in order
    operations : the program, in order

    Raises
    ------
    ValueError
        If a tensor is read that nothing before has made.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        outputs: Sequence[str],
        operations: Sequence[Operation],
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.operations = tuple(operations)
        made = set(self.inputs)
        for op in self.operations:
            self._check(op.inputs, made, f"operation {op.name!r} reads")
            made.update(op.outputs)
        self._check(self.outputs, made, "is an output")
        self._last_use = {
            name: index for index, op in enumerate(self.operations) for name in op.inputs
        }

    @staticmethod
    def _check(names: Sequence[str], made: set[str], what: str) -> None:
        missing = [name for name in names if name not in made]
        if missing:
            raise ValueError(f"nothing makes {missing[0]!r}, which {what}")

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Reference:
        """The reference of a bundle.

        Raises
        ------
        BundleError
            If its program is none of this version, or reads what nothing makes.
        """
        operations = operations_of(bundle.manifest.steps, bundle.arrays(), str(bundle.root))
        program = bundle.manifest.slice
        try:
            return cls(program["roots_in"], program["roots_out"], operations)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                "the program cannot be run",
                where=str(bundle.root),
                expected="steps that lead from roots_in to roots_out",
                found=f"{type(error).__name__}: {error}",
                remedy="Compile the bundle again",
            ) from error

    def run(self, inputs: Sequence[AnyArray], *, keep: bool = False) -> dict[str, IntArray]:
        """Run streams of integers (N, elements), one array an input.

        Returns every output by name, and with ``keep`` every intermediate tensor too.
        """
        found = self.run_narrow(inputs, keep=keep)
        return {name: values.astype(np.int64) for name, values in found.items()}

    def run_narrow(self, inputs: Sequence[AnyArray], *, keep: bool = False) -> dict[str, AnyArray]:
        """The same, each tensor of a type of integers that just holds it: an eighth of the memory
        for most.
        """
        if len(inputs) != len(self.inputs):
            raise DataError(
                "wrong number of inputs",
                where="the numpy reference",
                expected=f"{len(self.inputs)} arrays",
                found=f"{len(inputs)}",
            )
        values: dict[str, AnyArray] = {
            name: x if x.dtype.kind in "iu" else x.astype(np.int64)
            for name, x in zip(self.inputs, map(np.asarray, inputs), strict=True)
        }
        for index, op in enumerate(self.operations):
            results = op.run([values[name] for name in op.inputs])
            values.update(zip(op.outputs, results, strict=True))
            if not keep:
                for name in set(op.inputs):
                    if self._last_use[name] == index and name not in self.outputs:
                        del values[name]
        return values if keep else {name: values[name] for name in self.outputs}

    def run_wire(self, inputs: Sequence[AnyArray], *, chunk: int = 64) -> list[IntArray]:
        """Run wire tensors (N, elements) in chunks, to bound memory; one array an output."""
        parts: list[list[AnyArray]] = [[] for _ in self.outputs]
        for begin in range(0, len(inputs[0]), chunk):
            result = self.run_narrow([x[begin : begin + chunk] for x in inputs])
            for part, name in zip(parts, self.outputs, strict=True):
                part.append(result[name])
        return [np.concatenate(part).astype(np.int64) for part in parts]
