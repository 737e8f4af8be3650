# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Wire tensors from a user's ``.npz``, from a bundle's golden vectors, or at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..hw.errors import DataError
from ..hw.formats.bundle import Bundle
from ..hw.formats.npz import as_taken, check_numbers, key_of, one_by_one
from ..hw.formats.tensor import AnyArray, TensorSpec, holds
from ..hw.session import Session, inputs_of, open_session


def wire_inputs(bundle: Bundle, arrays: Mapping[str, AnyArray], where: str) -> list[AnyArray]:
    """Wire tensors (N, elements) of the slice from samples of its own inputs or of the whole
    model's.

    The slice's inputs may be given by name. ``in0, in1, ...`` are the model's inputs where they fit
    those, else the slice's. Samples of the whole model go through ``edge.onnx`` first. A sample of
    a model of fixed batch is as many wire tensors, in turn.

    Raises
    ------
    DataError
        If they fit neither, or hold values that the inputs cannot take.
    """
    return wire_batches(bundle, arrays, where)[0]


def wire_batches(
    bundle: Bundle, arrays: Mapping[str, AnyArray], where: str
) -> tuple[list[AnyArray], int]:
    """:func:`wire_inputs`, and how many inferences each sample is: the model's batch, or 1 where
    samples came one by one.
    """
    specs, batch = bundle.manifest.inputs, bundle.manifest.batch
    names = [spec.name for spec in specs]
    edge = open_session(bundle.path("edge.onnx"))
    model_inputs = inputs_of(edge)
    first = {entry.name for entry in model_inputs}
    if not (first.issuperset(names) or all(name in arrays for name in names)):
        through_edge = _through_edge(edge, arrays, len(specs), batch, where)
        if through_edge is not None:
            return through_edge
    direct = _of_slice(specs, arrays, batch, where)
    if direct is not None:
        return direct
    found = ", ".join(f"{key} {list(a.shape)}" for key, a in arrays.items()) or "nothing"
    wanted = "; ".join(
        f"in{i} (or {spec.name!r}) {_shown(spec.shape, batch)}" for i, spec in enumerate(specs)
    )
    if not first.issuperset(names):
        wanted += "".join(
            f"; or the model's in{i} (or {entry.name!r}) {_shown(entry.shape, batch)}"
            for i, entry in enumerate(model_inputs)
        )
    raise DataError(
        "input data does not fit the slice",
        where=where,
        expected=wanted,
        found=found,
        remedy="The first axis counts samples; each sample keeps the model's own batch axis",
    )


def _shown(shape: Sequence[int], batch: int) -> str:
    own = [batch * shape[0], *shape[1:]] if shape else []
    return f"[{', '.join(map(str, ('N', *own)))}]"


def _of_slice(
    specs: Sequence[TensorSpec], arrays: Mapping[str, AnyArray], batch: int, where: str
) -> tuple[list[AnyArray], int] | None:
    """Samples of the slice's inputs; None if they do not fit."""
    chosen = _choose(arrays, [spec.name for spec in specs])
    if chosen is None:
        return None
    given = len(chosen[0])
    for index, spec in enumerate(specs):
        found = one_by_one(chosen[index], spec.shape, batch)
        if found is None and not holds(chosen[index].shape[1:], spec.shape):
            return None
        check_numbers(chosen[index], f"{where}: input {spec.name!r}")
        chosen[index] = chosen[index] if found is None else found
    if len({len(array) for array in chosen}) > 1:
        return None
    wires = [
        np.stack([spec.to_wire(sample) for sample in array])
        for array, spec in zip(chosen, specs, strict=True)
    ]
    return wires, len(wires[0]) // given


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
    session: Session, arrays: Mapping[str, AnyArray], outputs: int, batch: int, where: str
) -> tuple[list[AnyArray], int] | None:
    """Run ``edge.onnx`` over samples of the model's inputs; None if they do not fit it."""
    inputs = inputs_of(session)
    chosen = _choose(arrays, [entry.name for entry in inputs])
    if chosen is None:
        return None
    given = len(chosen[0])
    for index, entry in enumerate(inputs):
        array = one_by_one(chosen[index], entry.shape, batch)
        if array is None:
            return None
        chosen[index] = as_taken(array, entry.dtype, f"{where}: input {entry.name!r}")
    count = len(chosen[0])
    if any(len(array) != count for array in chosen):
        return None
    names = [f"wire_in{i}" for i in range(outputs)]
    results = [
        session.run(names, {e.name: a[k] for e, a in zip(inputs, chosen, strict=True)})
        for k in range(count)
    ]
    wires = [np.stack([result[i] for result in results]) for i in range(len(names))]
    return wires, count // given


def random_wire(spec: TensorSpec, count: int, rng: np.random.Generator) -> AnyArray:
    """Uniform integers over the whole type: reaches the ends that real data may never reach."""
    values = rng.integers(spec.qtype.lo, spec.qtype.hi + 1, (count, spec.elements))
    return values.astype(spec.qtype.wire_dtype)
