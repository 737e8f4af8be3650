# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What quantisation costs: every integer tensor against the model's own, in ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...hw.formats.tensor import AnyArray
from ...hw.kernels.reference import Reference
from ..errors import LossError
from ..ir.graph import Graph
from ..ir.quant import QGraph, steps_of
from ..load.source import Source
from .calibrate import run_model

_SEED = 20262


@dataclass(frozen=True)
class Loss:
    """Signal to quantisation noise of a tensor, over all samples.

    ``sqnr_db`` is None where there is no noise at all (or no signal).
    """

    tensor: str
    sqnr_db: float | None


class _Power:
    def __init__(self) -> None:
        self.signal = 0.0
        self.noise = 0.0

    def add(self, want: AnyArray, got: AnyArray) -> None:
        wide = want.astype(np.float64)
        self.signal += float(np.square(wide).sum())
        self.noise += float(np.square(wide - got).sum())

    @property
    def sqnr_db(self) -> float | None:
        if self.signal == 0 or self.noise == 0:
            return None
        return 10 * math.log10(self.signal / self.noise)


def random_samples(source: Source, count: int = 4) -> dict[str, AnyArray] | None:
    """Seeded noise over the whole type of integer inputs; None if an input is not an integer.

    Better than nothing where a quantised model is compiled without data: a requantiser does not
    know what it is fed.
    """
    rng = np.random.default_rng(_SEED)
    samples: dict[str, AnyArray] = {}
    for value in source.inputs:
        dtype = np.dtype(value.dtype)
        if dtype not in (np.int8, np.uint8, np.int16, np.uint16):
            return None
        info = np.iinfo(dtype)
        samples[value.name] = rng.integers(
            info.min, info.max + 1, (count, *value.shape), dtype=dtype
        )
    return samples


def measure(
    source: Source,
    graph: Graph,
    qgraph: QGraph,
    samples: Mapping[str, AnyArray],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Loss], list[AnyArray]]:
    """Loss of every integer tensor (the last ones are the outputs), and the wire inputs of all
    samples.

    The reference gets the model's own values at the slice's inputs, rounded to their grid, so that
    the figures are the slice's own.
    """
    steps, arrays = steps_of(qgraph)
    reference = Reference(qgraph.inputs, qgraph.outputs, steps, arrays)
    named = [node.output for node in qgraph.nodes if node.output in graph.values]
    results = {tensor.name: tensor for tensor in qgraph.results}
    watched = list(dict.fromkeys([*qgraph.inputs, *named, *results]))
    powers = {name: _Power() for name in dict.fromkeys([*named, *results])}
    wires: list[list[AnyArray]] = [[] for _ in qgraph.inputs]
    total = len(next(iter(samples.values())))
    roots = dict(zip(results, qgraph.outputs, strict=True))
    for index, found in enumerate(run_model(source, watched, samples)):
        feeds = []
        for wire, name in zip(wires, qgraph.inputs, strict=True):
            tensor = qgraph.tensors[name]
            raw = found[name]
            integers = raw.astype(np.int64) if _integer(raw) else tensor.qtype.quantise(raw)
            stream = tensor.layout.to_stream(integers)
            wire.append(stream.astype(tensor.qtype.wire_dtype))
            feeds.append(stream[None])
        values = reference.run(feeds, keep=True)
        for name, power in powers.items():
            tensor = results.get(name) or qgraph.tensors[name]
            stream = values[roots.get(name, name)][0]
            got = tensor.qtype.dequantise(tensor.layout.from_stream(stream, tensor.shape))
            raw = found[name]
            power.add(tensor.qtype.dequantise(raw) if _integer(raw) else raw, got)
        if progress is not None:
            progress(index + 1, total)
    losses = [Loss(name, power.sqnr_db) for name, power in powers.items()]
    return losses, [np.stack(wire) for wire in wires]


def _integer(array: AnyArray) -> bool:
    return bool(np.issubdtype(array.dtype, np.integer))


def check(losses: Sequence[Loss], outputs: Sequence[str], least_db: float | None) -> None:
    """Refuse a slice that loses more than was allowed.

    Raises
    ------
    LossError
        If an output's SQNR is below ``least_db``; names the layer at which most is lost.
    """
    if least_db is None:
        return
    finals = [loss for loss in losses if loss.tensor in outputs and loss.sqnr_db is not None]
    short = [loss for loss in finals if loss.sqnr_db is not None and loss.sqnr_db < least_db]
    if not short:
        return
    noise = [(0.0, "")]
    noise += [
        (10 ** (-loss.sqnr_db / 10), loss.tensor) for loss in losses if loss.sqnr_db is not None
    ]
    _, worst = max((after[0] - before[0], after[1]) for before, after in pairwise(noise))
    raise LossError(
        "the quantised slice loses more than was allowed",
        where=f"output {short[0].tensor!r}",
        expected=f"a signal to noise ratio of at least {least_db:g} dB",
        found=f"{short[0].sqnr_db:.1f} dB; most is lost at {worst!r}",
        remedy="Give more bits with --bits, or better calibration data",
    )
