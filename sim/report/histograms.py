# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How far each layer's results are from the model's own, in steps of their grid.

The slice's golden inputs run through the numpy reference, which has the hardware's bits, and
through the model's own layers. Only realistic inputs count: what noise does says nothing. Both
start at the rounded inputs of the slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...hw.formats.bundle import Bundle
from ...hw.formats.npz import read_npz
from ...hw.formats.tensor import AnyArray
from ...hw.kernels.reference import Reference
from ..own_layers import OwnLayers, as_real, real_of, shared_tensors

SAMPLES = 4
"""Golden inputs that are run, at most."""

BINS = 41
"""Bars of a histogram: odd, so that one stands for no error."""

_NEEDED = ("golden.npz", "original.onnx", "edge.onnx", "cloud.onnx", "program.npz")


@dataclass(frozen=True)
class Histogram:
    """Errors of one tensor, in steps of its grid.

    Attributes
    ----------
    counts : of :data:`BINS` bars from ``-reach`` to ``reach``; the outer two have all beyond, too
    reach : steps, at least half of one
    bias, deviation : mean and standard deviation
    largest : absolute value of the largest error
    samples : golden inputs that were run
    """

    counts: tuple[int, ...]
    reach: float
    bias: float
    deviation: float
    largest: float
    samples: int

    @classmethod
    def of(cls, errors: AnyArray, samples: int) -> Histogram:
        """Of errors, in steps."""
        sizes = np.abs(errors)
        reach = max(0.5, float(np.quantile(sizes, 0.999)))
        inside = np.clip(errors, -reach, reach)
        counts, _ = np.histogram(inside, BINS, (-reach, reach))
        return cls(
            tuple(int(count) for count in counts),
            reach,
            float(errors.mean()),
            float(errors.std()),
            float(sizes.max()),
            samples,
        )


def errors_of(bundle: Bundle) -> dict[str, Histogram]:
    """Histograms of the layers' first outputs, by the tensor's name.

    None where the bundle has no realistic inputs, or not the parts that are needed; and none for a
    layer whose result the model has not as a tensor, or has with values that are no numbers.

    Raises
    ------
    BundleError
        If what it has cannot be read.
    """
    if any(name not in bundle.manifest.files for name in _NEEDED):
        return {}
    golden = read_npz(bundle.path("golden.npz"))
    samples = min(SAMPLES, int(golden.get("realistic", 0)))
    if not samples:
        return {}
    own, reference = OwnLayers(bundle), Reference.of_bundle(bundle)
    specs = shared_tensors(bundle, own, reference)
    wires = [golden[f"in{index}"][:samples] for index in range(len(bundle.manifest.inputs))]
    streams = reference.run(wires, keep=True)
    made = [op.outputs[0] for op in reference.operations if op.outputs[0] in specs]
    found: dict[str, list[AnyArray]] = {name: [] for name in made}
    for row in range(samples):
        cuts = {
            specs[name].name: real_of(specs[name], streams[name][row]) for name in reference.inputs
        }
        floats = own.middle(cuts, [specs[name].name for name in made])
        for name in made:
            spec = specs[name]
            got = as_real(spec, real_of(spec, streams[name][row])).astype(np.float64)
            want = as_real(spec, floats[spec.name]).astype(np.float64)
            found[name].append(((got - want) / spec.qtype.scale).ravel())
    joined = {name: np.concatenate(errors) for name, errors in found.items()}
    return {
        name: Histogram.of(errors, samples)
        for name, errors in joined.items()
        if errors.size and np.isfinite(errors).all()
    }
