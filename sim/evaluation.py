# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire evaluate``: what splitting a model costs, end to end and layer by layer.

The slice runs in the numpy reference, which gives the hardware's bits, so nothing is built. The
model's own layers are the bundle's parts: ``edge.onnx`` without its rounding, ``original.onnx``,
``cloud.onnx`` without its first step.

Rules, cited by tests as E1 to E3:

E1. A layer's *SQNR* is that of its result with all layers before it in integers too, against the
    model's own.
E2. A layer's *share* of the loss is what the noise power at the model's outputs grows by when the
    slice runs in integers up to it, and in the model's own arithmetic behind it, instead of up to
    the layer before. Rounding the slice's inputs comes first. So shares add up to 1; one may be
    negative, where an error makes up for another. Where the model's outputs have no amounts (rule
    A1 in :mod:`..hw.accuracy`), those of the slice count in their place.
E3. Layers whose results the model's own layers do not know as tensors count with the next one that
    they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..hw.accuracy import Accuracy, Scores, amounts, labels_of
from ..hw.console import Report
from ..hw.errors import DataError
from ..hw.formats.bundle import Bundle
from ..hw.formats.npz import as_taken, key_of, one_by_one, read_npz
from ..hw.formats.tensor import AnyArray
from ..hw.kernels.reference import Reference
from ..hw.session import inputs_of, open_session
from ..hw.sqnr import SignalAndNoise, Sqnr
from .own_layers import OwnLayers, Tail, as_real, real_of, shared_tensors

LAYER_SAMPLES = 32
"""Samples that layers' shares are measured on, at most; accuracy counts all."""

_CHUNK = 16
"""Samples that the reference takes at once."""


@dataclass(frozen=True)
class LayerLoss:
    """A layer by rules E1 to E3: its step's name, its tensor, its SQNR and its share."""

    name: str
    tensor: str
    sqnr: Sqnr
    share: float

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "tensor": self.tensor,
            "sqnr_db": self.sqnr.db,
            "sqnr": self.sqnr.text,
            "share": self.share,
        }


@dataclass(frozen=True)
class Evaluation:
    """What ``midwire evaluate`` found."""

    accuracy: Accuracy
    layers: tuple[LayerLoss, ...]
    layer_samples: int

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            **self.accuracy.as_json(),
            "layers": [layer.as_json() for layer in self.layers],
            "layer_samples": self.layer_samples,
        }


def evaluate(bundle: Bundle, inputs: Path, report: Report | None = None) -> Evaluation:
    """Compare the split model with the model's own layers.

    Parameters
    ----------
    inputs : ``.npz`` of samples of the model's inputs, and perhaps ``label``, the class of each

    Raises
    ------
    DataError
        If the samples do not fit the model, or labels do not fit the samples.
    """
    say = report or (lambda what, done, total: None)
    arrays = read_npz(inputs)
    feeds = _samples(bundle, arrays, str(inputs))
    total = len(next(iter(feeds.values())))
    labels = labels_of(arrays, total, str(inputs))
    own = OwnLayers(bundle)
    reference = Reference.of_bundle(bundle)
    cloud = open_session(bundle.path("cloud.onnx"))
    scores, layers = Scores(labels), _Layers(bundle, own, reference)
    for begin in range(0, total, _CHUNK):
        rows = range(begin, min(begin + _CHUNK, total))
        say("float and split", begin, total)
        edges = [own.edge({name: array[row] for name, array in feeds.items()}) for row in rows]
        wires = [
            np.stack([edge.wires[index] for edge in edges])
            for index in range(len(bundle.manifest.inputs))
        ]
        keep = begin < LAYER_SAMPLES
        values = reference.run(wires, keep=keep)
        for row, edge in enumerate(edges):
            floats = own.middle(edge.cuts, layers.names if keep else ())
            want = own.cloud(floats)
            got = cloud.run(
                list(want),
                {
                    f"wire_out{i}": values[root][row].astype(spec.qtype.wire_dtype)
                    for i, (root, spec) in enumerate(
                        zip(reference.outputs, bundle.manifest.outputs, strict=True)
                    )
                },
            )
            scores.add(want, dict(zip(want, got, strict=True)))
            if keep and begin + row < LAYER_SAMPLES:
                say("layers", begin + row, min(total, LAYER_SAMPLES))
                streams = {name: value[row] for name, value in values.items()}
                layers.add(floats, streams, want, dict(zip(want, got, strict=True)))
    accuracy = scores.result()
    if accuracy is None:
        raise DataError(
            "the model has no outputs of numbers to compare",
            where=str(bundle.root),
            expected="an output that is a tensor of numbers",
            found="none",
            remedy="Compare the slice alone with midwire verify",
        )
    return Evaluation(accuracy, layers.result(), min(total, LAYER_SAMPLES))


def _samples(bundle: Bundle, arrays: Mapping[str, AnyArray], where: str) -> dict[str, AnyArray]:
    """Samples of each of the model's inputs, one inference each."""
    found: dict[str, AnyArray] = {}
    entries = inputs_of(open_session(bundle.path("edge.onnx")))
    for index, entry in enumerate(entries):
        key = key_of(entry.name, index, list(arrays))
        array = None if key is None else arrays[key]
        if array is not None:
            array = one_by_one(array, entry.shape, bundle.manifest.batch) if array.ndim else None
        if array is None or not len(array):
            raise DataError(
                "input data does not fit the model",
                where=where,
                expected=f"in{index} (or {entry.name!r}) [N, {', '.join(map(str, entry.shape))}]",
                found=", ".join(f"{key} {list(a.shape)}" for key, a in arrays.items()) or "nothing",
                remedy="The first axis counts samples; each keeps the model's own batch axis",
            )
        found[entry.name] = as_taken(array, entry.dtype, f"{where}: input {entry.name!r}")
    if len({len(array) for array in found.values()}) != 1:
        raise DataError(
            "the inputs have different numbers of samples",
            where=where,
            expected="the same first axis for every input",
            found=", ".join(f"{len(array)} of {name!r}" for name, array in found.items()),
            remedy="Give every input of every sample",
        )
    return found


class _Border:
    """The place behind a step, and the noise at the model's outputs with integers up to there."""

    def __init__(self, name: str, tensor: str, tail: Tail | None) -> None:
        self.name, self.tensor, self.tail = name, tensor, tail
        self.noise = 0.0


class _Layers:
    """Gathers rules E1 to E3, sample by sample."""

    def __init__(self, bundle: Bundle, own: OwnLayers, reference: Reference) -> None:
        self._own = own
        self._results = [spec.name for spec in bundle.manifest.outputs]
        self._specs = shared_tensors(bundle, own, reference)
        self.names = tuple(dict.fromkeys(spec.name for spec in self._specs.values()))
        self._powers = {
            name: SignalAndNoise() for name in self._specs if name not in reference.inputs
        }
        steps = reference.operations
        self._borders = [_Border("the slice's inputs", "", self._tail(reference, -1))]
        for index, step in enumerate(steps):
            tail = self._tail(reference, index) if index < len(steps) - 1 else None
            if tail is not None or index == len(steps) - 1:
                self._borders.append(_Border(step.name, step.outputs[0], tail))

    def _tail(self, reference: Reference, index: int) -> Tail | None:
        """The model's own layers behind a step; None if they need what has no integers there."""
        live = set(reference.inputs)
        for step in reference.operations[: index + 1]:
            live.update(step.outputs)
        needed = {name for step in reference.operations[index + 1 :] for name in step.inputs}
        live &= needed | set(reference.outputs)
        if not all(name in self._specs for name in live):
            return None
        return self._own.tail([self._specs[name] for name in sorted(live)])

    def add(
        self,
        floats: Mapping[str, AnyArray],
        streams: Mapping[str, AnyArray],
        want: Mapping[str, Any],
        got: Mapping[str, Any],
    ) -> None:
        """A sample: tensors of the model's own layers, the reference's, and both ends."""
        integers = {spec.name: real_of(spec, streams[name]) for name, spec in self._specs.items()}
        for name, powers in self._powers.items():
            spec = self._specs[name]
            powers.add(as_real(spec, floats[spec.name]), as_real(spec, integers[spec.name]))
        own = amounts(want)
        if not own:
            own, got = {name: floats[name] for name in self._results}, integers
        for border in self._borders:
            end = got
            if border.tail is not None:
                end = border.tail.run(integers)
                if got is not integers:
                    end = self._own.cloud(end)
            border.noise += sum(_power(array, end[name]) for name, array in own.items())

    def result(self) -> tuple[LayerLoss, ...]:
        """Every layer, in order."""
        total = self._borders[-1].noise
        losses, before = [], 0.0
        for border in self._borders:
            share = (border.noise - before) / total if total else 0.0
            before = border.noise
            powers = self._powers.get(border.tensor)
            sqnr = powers.sqnr if powers is not None else Sqnr(None)
            losses.append(LayerLoss(border.name, border.tensor, sqnr, share))
        return tuple(losses)


def _power(want: AnyArray, got: AnyArray) -> float:
    """Noise power of one sample's output over its signal's; what is equal has none."""
    a, b = want.astype(np.float64), got.astype(np.float64)
    differs = a != b
    signal = float(np.square(a[np.isfinite(a)]).sum())
    noise = float(np.square(a[differs] - b[differs]).sum())
    return noise / signal if signal else noise
