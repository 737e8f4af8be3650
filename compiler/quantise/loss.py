# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What quantisation costs: every integer tensor against the model's own, in ONNX Runtime.

Rules, cited by tests as L1 to L4:

L1. Signal and noise are powers, summed over all elements and all samples of a tensor.
L2. Where midwire quantises, an output that falls below :func:`default_limit` is refused, unless the
    user set another limit, higher or lower. Where the model brings every grid there is no default:
    what its author's quantiser lost is settled, and there is no float model to compare with.
L3. A limit that the user set is checked or refused, never passed over: without samples there is
    nothing to measure, and that is an error.
L4. A slice is as good as its worst output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...hw.formats.tensor import AnyArray
from ...hw.kernels.reference import Reference
from ...hw.sqnr import SignalAndNoise, Sqnr
from ..errors import LossError
from ..ir.graph import Graph
from ..ir.quant import QGraph
from ..load.source import Source
from .calibrate import run_model

_SEED = 20262

DEFAULT_DB = 15.0
"""Default limit from 7 bits on: noise of a sixth of the signal's amplitude. Networks that others
trained, at 8 bits, were seen at 16 dB (a face detector's boxes) and at 20 (vww_mobilenetv1_fp32)
while they still classify; one at 10 dB answers mostly noise, and somebody should know."""


@dataclass(frozen=True)
class Loss:
    """Signal to quantisation noise of a tensor, over all samples."""

    tensor: str
    sqnr: Sqnr


def default_limit(bits: int) -> float:
    """Least signal to noise ratio of an output in dB that goes without a word, by rule L2.

    A bit is worth 6 dB, of which layers that follow each other use up a little; so few bits are
    asked for knowingly, and promise little: 15 dB from 7 bits on, 10 at 6, 0 at 4, -10 at 2. Small
    sound networks stay 10 dB above that (tests/compiler/test_strangers.py).
    """
    return min(DEFAULT_DB, 5.0 * bits - 20.0)


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


def measure(
    source: Source,
    graph: Graph,
    qgraph: QGraph,
    samples: Mapping[str, AnyArray],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Loss], list[AnyArray]]:
    """Loss of every integer tensor that the model has too, and the wire inputs of all samples.

    The reference gets the model's own values at the slice's inputs, rounded to their grid, so that
    the figures are the slice's own.

    Raises
    ------
    CalibrationError
        As :func:`~.calibrate.run_model`.
    """
    reference = Reference(qgraph.inputs, qgraph.outputs, qgraph.nodes)
    named = [name for node in qgraph.nodes for name in node.outputs if name in source.values]
    results = {tensor.name: tensor for tensor in qgraph.results}
    watched = list(dict.fromkeys([*qgraph.inputs, *named, *results]))
    powers = {name: SignalAndNoise() for name in dict.fromkeys([*named, *results])}
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
    losses = [Loss(name, power.sqnr) for name, power in powers.items()]
    return losses, [np.stack(wire) for wire in wires]


def _integer(array: AnyArray) -> bool:
    return bool(np.issubdtype(array.dtype, np.integer))


def limit(
    asked: float | None, *, bits: int, quantising: bool, measured: bool
) -> tuple[float | None, str]:
    """The limit in dB by rules L2 and L3, None for none, and a remark on where it comes from.

    Parameters
    ----------
    asked : ``--min-sqnr``
    bits : what midwire quantises to
    quantising : whether midwire chooses grids
    measured : whether there is anything to measure on

    Raises
    ------
    LossError
        If a limit was asked for and nothing can be measured.
    """
    if asked is not None and not measured:
        raise LossError(
            "there is nothing to measure the loss on",
            where="--min-sqnr",
            expected="samples of the model's inputs, which are not integers",
            found="no calibration data",
            remedy="Give typical samples with --calibrate NPZ, or leave --min-sqnr out",
        )
    if asked is not None or not (quantising and measured):
        return asked, ""
    return default_limit(bits), f" (the default for {bits} bits)"


def check(
    losses: Sequence[Loss], outputs: Sequence[str], least_db: float | None, remark: str = ""
) -> None:
    """Refuse a slice that loses more than was allowed.

    Raises
    ------
    LossError
        If an output's SQNR is below ``least_db``; names the layer at which most is lost.
    """
    least = worst(losses, outputs)
    if least_db is None or least is None or least.sqnr.level >= least_db:
        return
    # Noise without a signal counts as more than any that is measured against one.
    noise = [(0.0, "")]
    levels = [(x.sqnr.level, x.tensor) for x in losses]
    noise += [(10 ** (-max(level, -300) / 10), name) for level, name in levels if level < math.inf]
    _, most = max((after[0] - before[0], after[1]) for before, after in pairwise(noise))
    raise LossError(
        "the quantised slice loses more than was allowed",
        where=f"output {least.tensor!r}",
        expected=f"a signal to noise ratio of at least {least_db:g} dB{remark}",
        found=f"{least.sqnr.text}; most is lost at {most!r}",
        remedy="Give more bits with --bits, better calibration data, or another --min-sqnr",
    )
