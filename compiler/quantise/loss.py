# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What quantisation costs: every integer tensor against the model's own, in ONNX Runtime.

L1. Signal and noise are powers, summed over all elements and all samples of a tensor. Classes and
    places (int64) are no amounts: what is lost there is what is lost of the tensor that they are
    places in, or on its way to its grid where that comes into the slice.

What may be lost is said in :mod:`.limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType

import numpy as np

from ...hw.accuracy import CLASSES, Accuracy, Scores, class_output
from ...hw.formats.tensor import AnyArray
from ...hw.kernels.reference import Reference
from ...hw.numeric import QType
from ...hw.sqnr import SignalAndNoise, Sqnr, pieces
from ..ir.quant import QGraph, QTensor
from ..load.source import Source
from .calibrate import run_model
from .counted import Counted

_SEED = 20262


@dataclass(frozen=True)
class Loss:
    """Signal to quantisation noise of a tensor, over all samples."""

    tensor: str
    sqnr: Sqnr


def worst(losses: Sequence[Loss], outputs: Sequence[str]) -> Loss | None:
    """The output with the lowest ratio (rule L4); None if nothing was measured."""
    return min((x for x in losses if x.tensor in outputs), key=lambda x: x.sqnr.level, default=None)


def random_samples(source: Source, count: int = 4) -> dict[str, AnyArray] | None:
    """Seeded noise over the whole type of integer inputs; None if an input is not an integer.

    Better than nothing where a quantised model is compiled without data: a finisher does not
    know what it is fed.
    """
    rng = np.random.default_rng(_SEED)
    samples: dict[str, AnyArray] = {}
    for value in source.inputs:
        # By name: strings have no numpy type.
        if value.dtype not in ("int8", "uint8", "int16", "uint16"):
            return None
        dtype = np.dtype(value.dtype)
        info = np.iinfo(dtype)
        samples[value.name] = rng.integers(
            info.min, info.max + 1, (count, *value.shape), dtype=dtype
        )
    return samples


@dataclass(frozen=True, eq=False)
class Measured:
    """What quantisation costs on some samples.

    Attributes
    ----------
    losses : of every integer tensor that the model has too
    accuracy : of the whole model; None where its end cannot be run or holds no numbers
    wires, answers : the slice's inputs and outputs in integers (samples, elements), one array each
    clipped : share of the values of each float tensor that are beyond the ends of its grid
    """

    losses: Sequence[Loss] = ()
    accuracy: Accuracy | None = None
    wires: Sequence[AnyArray] = ()
    answers: Sequence[AnyArray] = ()
    clipped: Mapping[str, float] = field(default_factory=dict)


Behind = Callable[[Sequence[AnyArray]], Mapping[str, AnyArray]]
"""The nodes behind the slice: its outputs' wire tensors (elements,) to the model's outputs."""

_CHUNK, _CHUNK_ELEMENTS = 16, 1 << 19
"""Samples that the reference takes at once: so many, and no more elements of one tensor, which are
about what a processor's cache holds.
"""


def measure(
    source: Source,
    qgraph: QGraph,
    samples: Mapping[str, AnyArray],
    progress: Callable[[int, int], None] | None = None,
    *,
    behind: Behind | None = None,
    labels: AnyArray | None = None,
    counts: Counted = MappingProxyType({}),
) -> Measured:
    """Loss of every integer tensor that the model has too, and of the whole model.

    The reference gets the model's own values at the slice's inputs, rounded to their grid, so that
    the figures are the slice's own. ``counts`` are those of :func:`~.counted.counted`.

    Raises
    ------
    CalibrationError
        As :func:`~.calibrate.run_model`.
    """
    reference = Reference(qgraph.inputs, qgraph.outputs, qgraph.nodes)
    named = [name for node in qgraph.nodes for name in node.outputs if name in source.values]
    results = {tensor.name: tensor for tensor in qgraph.results}
    watched = list(dict.fromkeys([*qgraph.inputs, *named, *results]))
    measured = list(dict.fromkeys([*named, *results]))
    judged = {name: _with_amounts(source, qgraph, name) for name in measured}
    powers = {name: SignalAndNoise() for name in judged.values()}
    ends = _comparable(source) if behind else []
    wires: list[list[AnyArray]] = [[] for _ in qgraph.inputs]
    answers: list[list[AnyArray]] = [[] for _ in qgraph.outputs]
    scores = Scores(labels)
    grids = {tensor.name: tensor.qtype for tensor in qgraph.tensors.values()}
    clipped = {name: _Clipped(grids[name]) for name in [*qgraph.inputs, *named]}
    roots = dict(zip(results, qgraph.outputs, strict=True))
    done, total = 0, len(next(iter(samples.values())))
    ran = run_model(source, watched, samples, ends, counts)
    size = _chunk_size(qgraph)
    while chunk := list(islice(ran, size)):
        feeds = [_wire_of(qgraph.tensors[name], chunk, name) for name in qgraph.inputs]
        for kept, feed in zip(wires, feeds, strict=True):
            kept.append(feed)
        values = reference.run_narrow(feeds, keep=True)
        for kept, name in zip(answers, qgraph.outputs, strict=True):
            kept.append(values[name])
        for name, power in powers.items():
            tensor = results.get(name) or qgraph.tensors[name]
            for found, stream in zip(chunk, values[roots.get(name, name)], strict=True):
                got = tensor.layout.from_stream(tensor.qtype.dequantise(stream), tensor.shape)
                got = counts[name](got) if name in counts else got
                raw = found[name]
                power.add(tensor.qtype.dequantise(raw) if _integer(raw) else raw, got)
        for name, seen in clipped.items():
            for found in chunk:
                seen.add(found[name])
        for row, found in enumerate(chunk):
            if behind and ends:
                last = [
                    values[root][row].astype(results[name].qtype.wire_dtype)
                    for name, root in roots.items()
                ]
                scores.add({name: found[name] for name in ends}, behind(last))
            done += 1
            if progress is not None:
                progress(done, total)
    losses = [Loss(name, powers[own].sqnr) for name, own in judged.items()]
    return Measured(
        losses,
        scores.result(),
        [np.concatenate(wire) for wire in wires],
        [np.concatenate(answer) for answer in answers],
        {name: seen.share for name, seen in clipped.items()},
    )


def _with_amounts(source: Source, qgraph: QGraph, name: str) -> str:
    """The tensor itself, or the nearest one before it whose places it holds (L1)."""

    def amounts(tensor: str) -> bool:
        return tensor in source.values and source.values[tensor].dtype != CLASSES

    if amounts(name):
        return name
    makers = {made: node for node in qgraph.nodes for made in node.outputs}
    roots = dict(zip((tensor.name for tensor in qgraph.results), qgraph.outputs, strict=True))
    own = roots.get(name, name)
    while own in makers and not amounts(own):
        own = makers[own].inputs[0]
    return own


class _Clipped:
    """Counts the values of a float tensor that are more than half a step beyond its grid."""

    def __init__(self, grid: QType) -> None:
        self._low = (grid.lo - grid.zero_point - 0.5) * grid.scale
        self._high = (grid.hi - grid.zero_point + 0.5) * grid.scale
        self._beyond = self._all = 0

    def add(self, raw: AnyArray) -> None:
        if not _integer(raw):
            for (some,) in pieces(raw):
                wide = some.astype(np.float64)  # a grid may reach farther than float16 does
                self._beyond += int(np.count_nonzero((wide < self._low) | (wide > self._high)))
            self._all += raw.size

    @property
    def share(self) -> float:
        return self._beyond / max(1, self._all)


def classifies(source: Source) -> bool:
    """Whether an output that is compared says the class."""
    values = [source.values[name] for name in _comparable(source)]
    return class_output({value.name: (value.dtype, value.shape) for value in values}) is not None


def _comparable(source: Source) -> list[str]:
    """The model's outputs that are tensors of numbers and depend on its inputs."""
    known = (source.values[name] for name in source.outputs if name in source.values)
    return [
        value.name
        for value in known
        if value.dtype in _NUMBERS and value.name not in source.constants
    ]


_NUMBERS = ("float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64")


def _chunk_size(qgraph: QGraph) -> int:
    largest = max(int(np.prod(tensor.shape)) for tensor in qgraph.tensors.values())
    return max(1, min(_CHUNK, _CHUNK_ELEMENTS // max(1, largest)))


def _wire_of(tensor: QTensor, chunk: Sequence[Mapping[str, AnyArray]], name: str) -> AnyArray:
    """The wire tensors (N, elements) of some samples of one of the slice's inputs."""
    streams = []
    for found in chunk:
        raw = found[name]
        integers = tensor.qtype.bounded(raw) if _integer(raw) else tensor.qtype.quantise(raw)
        streams.append(tensor.layout.to_stream(integers))
    return np.stack(streams).astype(tensor.qtype.wire_dtype)


def _integer(array: AnyArray) -> bool:
    return bool(np.issubdtype(array.dtype, np.integer))
