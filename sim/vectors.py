# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Wire tensors from a user's ``.npz``, from a bundle's golden vectors, or at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..hw.errors import DataError
from ..hw.formats.bundle import Bundle
from ..hw.formats.npz import key_of
from ..hw.formats.tensor import AnyArray, TensorSpec
from ..hw.session import Session, inputs_of, open_session


def wire_inputs(bundle: Bundle, arrays: Mapping[str, AnyArray], where: str) -> list[AnyArray]:
    """Wire tensors (N, elements) of the slice from samples of its own inputs or of the whole
    model's.

    The slice's inputs may be given by name. ``in0, in1, ...`` are the model's inputs where they fit
    those, else the slice's. Samples of the whole model go through ``edge.onnx`` first.
    """
    specs = bundle.manifest.inputs
    names = [spec.name for spec in specs]
    edge = open_session(bundle.path("edge.onnx"))
    model_inputs = inputs_of(edge)
    first = {entry.name for entry in model_inputs}
    if not (first.issuperset(names) or all(name in arrays for name in names)):
        through_edge = _through_edge(edge, arrays, len(specs), where)
        if through_edge is not None:
            return through_edge
    chosen = _choose(arrays, names)
    if chosen is not None and all(
        array[0].size == spec.elements for array, spec in zip(chosen, specs, strict=True)
    ):
        return [
            np.stack([spec.to_wire(sample) for sample in array])
            for array, spec in zip(chosen, specs, strict=True)
        ]
    found = ", ".join(f"{key} {list(a.shape)}" for key, a in arrays.items()) or "nothing"
    wanted = "; ".join(
        f"in{i} (or {spec.name!r}) [N, {', '.join(map(str, spec.shape))}]"
        for i, spec in enumerate(specs)
    )
    if not first.issuperset(names):
        wanted += "".join(
            f"; or the model's in{i} (or {entry.name!r}) [N, {', '.join(map(str, entry.shape))}]"
            for i, entry in enumerate(model_inputs)
        )
    raise DataError(
        "input data does not fit the slice",
        where=where,
        expected=wanted,
        found=found,
        remedy="The first axis counts samples; each sample keeps the model's own batch axis",
    )


def _choose(arrays: Mapping[str, AnyArray], names: Sequence[str]) -> list[AnyArray] | None:
    """The arrays of the inputs by name or by position; None if one is missing or counts differ."""
    chosen: list[AnyArray] = []
    for index, name in enumerate(names):
        key = key_of(name, index, list(arrays))
        if key is None:
            return None
        array = arrays[key]
        if array.ndim < 1 or len(array) == 0:
            return None
        chosen.append(array)
    return chosen if len({len(array) for array in chosen}) == 1 else None


def _through_edge(
    session: Session, arrays: Mapping[str, AnyArray], outputs: int, where: str
) -> list[AnyArray] | None:
    """Run ``edge.onnx`` over samples of the model's inputs; None if they do not fit it."""
    inputs = inputs_of(session)
    chosen = _choose(arrays, [entry.name for entry in inputs])
    if chosen is None:
        return None
    for index, entry in enumerate(inputs):
        array, shape = chosen[index], entry.shape
        if shape[:1] == (1,) and array.shape[1:] == shape[1:]:
            array = array[:, None]
        if array.shape[1:] != shape:
            return None
        chosen[index] = _converted(array, entry.dtype, f"{where}: input {entry.name!r}")
    names = [f"wire_in{i}" for i in range(outputs)]
    results = [
        session.run(names, {e.name: a[k] for e, a in zip(inputs, chosen, strict=True)})
        for k in range(len(chosen[0]))
    ]
    return [np.stack([result[i] for result in results]) for i in range(len(names))]


def _converted(array: AnyArray, wanted: np.dtype[Any], where: str) -> AnyArray:
    """Samples as an input takes them; what it cannot hold is refused."""
    if array.dtype == wanted and wanted.kind != "f":
        return array
    with np.errstate(invalid="ignore", over="ignore"):
        converted = array.astype(wanted)
    lost = ~np.isfinite(converted) if wanted.kind == "f" else converted != array
    if np.any(lost):
        raise DataError(
            "values that the model's input cannot take",
            where=where,
            expected="finite numbers" if wanted.kind == "f" else f"{wanted} values",
            found=f"{np.count_nonzero(lost)} others, the first being {array[lost][0]!s}",
            remedy="Prepare the samples as for ONNX Runtime",
        )
    return converted


def random_wire(spec: TensorSpec, count: int, rng: np.random.Generator) -> AnyArray:
    """Uniform integers over the whole type: reaches the ends that real data may never reach."""
    values = rng.integers(spec.qtype.lo, spec.qtype.hi + 1, (count, spec.elements))
    return values.astype(spec.qtype.wire_dtype)
