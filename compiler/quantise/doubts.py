# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reasons to doubt a loss: data from which no calibration can be good, however good it looks.

A grid that fits bad data loses nothing on that data. So the ratio alone says nothing, and these are
said beside it, as warnings.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...hw.formats.tensor import AnyArray
from ..load.source import Source
from .calibrate import run_model
from .holdout import FEW, Data

CLIPPED = 0.01
"""Share of a tensor's held-out values beyond its grid that is taken without a word: the grid of
least squared error clips a few of what it was chosen for, on purpose."""

UNLIKE = 10.0
"""Factor by which the variance before a BatchNormalization may differ from what it was in training,
and standard deviations by which the mean may, in the middle channel."""

_LOOKED_AT = 16
"""Samples whose means and variances are compared with those of training, at most."""

_SHOWN = 3
"""Tensors that a warning names."""


def of_samples(data: Data) -> list[str]:
    """What is wrong with samples, whatever the model."""
    samples, split = data.samples, data.split
    doubts: list[str] = []
    total = len(next(iter(samples.values())))
    if split.distinct < 2:
        doubts.append(
            f"calibration data is one sample{f', {total} times' if total > 1 else ''}: the loss is "
            "measured on what calibration saw; give a few hundred typical samples"
        )
    elif not split.apart:
        doubts.append(
            f"none of {split.distinct} samples is held out: the loss is measured on what "
            f"calibration saw, and looks less than it is; give {FEW} or more typical samples"
        )
    for name, array in samples.items():
        if np.all(array == array.ravel()[0]):
            doubts.append(
                f"input {name!r} is {array.ravel()[0]:g} everywhere: the model never sees such "
                "data, so grids and loss say nothing; give typical samples"
            )
        elif total > 1 and split.distinct > 1 and np.all(array == array[:1]):
            doubts.append(f"input {name!r} is the same in every sample; give samples that differ")
    return doubts


def of_clipping(clipped: Mapping[str, float]) -> list[str]:
    """Tensors whose held-out values leave their grid too often; ``clipped`` is their shares."""
    found = sorted(
        ((share, name) for name, share in clipped.items() if share > CLIPPED), reverse=True
    )
    if not found:
        return []
    listed = ", ".join(f"{100 * share:.1f} % of {name!r}" for share, name in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    sentence = (
        f"held-out samples leave the calibrated ranges: {listed}{more}, more than "
        f"{100 * CLIPPED:g} %; give more and more typical samples"
    )
    return [sentence]


def trained(source: Source) -> dict[str, tuple[AnyArray, AnyArray]]:
    """What the model says of its own training: for the input of each BatchNormalization, mean and
    variance of its channels, (C,) each.
    """
    constants = {**source.folded, **source.initialisers}
    found = {}
    for node in source.nodes:
        if node.op_type != "BatchNormalization" or node.domain or len(node.input) < 5:
            continue
        mean, variance = (constants.get(name) for name in node.input[3:5])
        if mean is not None and variance is not None and node.input[0] in source.values:
            found[node.input[0]] = (mean, variance)
    return found


def of_source(source: Source, samples: Mapping[str, AnyArray]) -> list[str]:
    """:func:`of_training` for what the model computes of a few samples."""
    expected = trained(source)
    if not expected:
        return []
    few = {name: array[:_LOOKED_AT] for name, array in samples.items()}
    count, sums, squares = 0, dict.fromkeys(expected, 0.0), dict.fromkeys(expected, 0.0)
    for found in run_model(source, list(expected), few):
        count += 1
        for name in expected:
            channels = np.moveaxis(found[name].astype(np.float64), 1, 0)
            flat = channels.reshape(len(channels), -1)
            sums[name] = sums[name] + flat.mean(axis=1)
            squares[name] = squares[name] + np.square(flat).mean(axis=1)
    seen = {}
    for name in expected:
        mean = np.asarray(sums[name] / count)
        seen[name] = (mean, np.maximum(squares[name] / count - mean**2, 0.0))
    return of_training(seen, expected)


def of_training(
    seen: Mapping[str, tuple[AnyArray, AnyArray]],
    expected: Mapping[str, tuple[AnyArray, AnyArray]],
) -> list[str]:
    """Tensors whose mean or variance is not what the model saw in training.

    Both as :func:`trained` has them; the middle channel decides, for a few may well be dead.
    """
    unlike = []
    for name, (mean, variance) in expected.items():
        own_mean, own_variance = seen[name]
        spread = np.maximum(variance, np.finfo(np.float32).tiny)
        ratio = float(np.median(own_variance / spread))
        shift = float(np.median(np.abs(own_mean - mean) / np.sqrt(spread)))
        if not 1 / UNLIKE <= ratio <= UNLIKE or shift > UNLIKE:
            unlike.append((name, ratio))
    if not unlike:
        return []
    listed = ", ".join(f"{ratio:.2g} times at {name!r}" for name, ratio in unlike[:_SHOWN])
    sentence = (
        "calibration data is unlike what the model was trained on: its BatchNormalizations tell "
        f"of another variance ({listed}) or mean, at {len(unlike)} of {len(expected)}; scale "
        "samples as in training"
    )
    return [sentence]
