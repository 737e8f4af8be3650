# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples for a model's inputs, and what can be said of its outputs without knowing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...hw.errors import DataError
from ...hw.formats.npz import as_taken, key_of, one_by_one, read_npz
from ...hw.formats.tensor import AnyArray, holds
from ..model_parts import Part


def read_samples(path: Path, part: Part, batch: int = 1) -> list[AnyArray]:
    """Samples for a part from an ``.npz``: one array an input, first axis counts samples.

    Keys are ``in0, in1, ...`` or the inputs' names; other keys are left alone. A sample with a
    model's fixed ``batch`` is as many samples, in turn.

    Raises
    ------
    DataError
        If the file is not an ``.npz``, lacks an input, or has one of another shape or with values
        that the input cannot take, NaN above all.
    """
    stored = read_npz(path)
    keys = list(stored)
    wanted = {name: key_of(name, i, keys) for i, (name, _, _) in enumerate(part.inputs)}
    arrays = {name: stored[key] for name, key in wanted.items() if key is not None}
    missing = [name for name, key in wanted.items() if key is None]
    if missing:
        raise DataError(
            f"no data for input(s) {', '.join(map(repr, missing))}",
            where=str(path),
            expected="keys in0, in1, ... or the names of the inputs",
            found=", ".join(keys) or "no keys",
            remedy="Save it with numpy.savez(path, in0=samples)",
        )
    samples = []
    for name, shape, _ in part.inputs:
        array = arrays[name]
        split = one_by_one(array, shape, batch) if array.ndim else None
        samples.append(array if split is None else split)
    for index, (name, shape, dtype) in enumerate(part.inputs):
        array, where = samples[index], f"{path}, input {name!r}"
        if array.ndim == 0 or not holds(array.shape[1:], shape) or not len(array):
            raise DataError(
                "wrong shape",
                where=where,
                expected=f"samples of shape {_own(shape, batch)} along a first axis",
                found=f"shape {list(array.shape)}",
                remedy="Give every sample as the model's input takes it",
            )
        samples[index] = as_taken(array, dtype, where)
    if len({len(array) for array in samples}) > 1:
        raise DataError(
            "inputs have different numbers of samples",
            where=str(path),
            expected="the same first axis for every input",
            found=", ".join(str(len(array)) for array in samples),
            remedy="Give as many samples of each",
        )
    return samples


def _own(shape: Sequence[int], batch: int) -> list[int]:
    """Shape of a sample as the model takes it, its batch included."""
    return [batch * shape[0], *shape[1:]] if shape else []


def random_samples(part: Part, count: int, seed: int) -> list[AnyArray]:
    """Samples without meaning: standard normal for floats, the whole range for integers."""
    rng = np.random.default_rng(seed)
    samples: list[AnyArray] = []
    for _, shape, dtype in part.inputs:
        if np.issubdtype(dtype, np.floating):
            samples.append(rng.standard_normal((count, *shape)).astype(dtype))
        elif dtype == np.bool_:
            samples.append(rng.integers(0, 2, (count, *shape)).astype(dtype))
        else:
            info = np.iinfo(dtype)
            samples.append(rng.integers(info.min, info.max, (count, *shape), dtype, endpoint=True))
    return samples


def describe(outputs: Mapping[str, AnyArray]) -> int | None:
    """Index of the largest value of the first output, where there is more than one."""
    first = next(iter(outputs.values()))
    return int(first.argmax()) if first.size > 1 else None
