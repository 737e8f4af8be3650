# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which samples calibration sees, and which are held out to measure the loss on.

Rules, cited by tests as O1 to O3:

O1. A sample's place depends on the values of all samples, and not on their order: they are sorted
    by the SHA-256 of what they hold, and the first ones are held out. So a file that is shuffled
    gives the same bundle, and nobody picks which samples are measured.
O2. Samples that are equal stay together: one that calibration saw is never measured.
O3. Calibration gets all samples where none is held out: there are fewer than :data:`FEW` different
    ones, so that it needs them all (two detectors of faces lost 10 dB with two of three samples),
    or the user said so. The loss is then measured on what it saw, and a warning says that.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...hw.formats.tensor import AnyArray
from ...hw.numeric import IntArray

HELD_OUT = 0.25
"""Share of the samples that calibration does not see by default."""

FEW = 8
"""Different samples from which on some are held out by default."""


@dataclass(frozen=True, eq=False)
class HoldOut:
    """Rows of the samples, in the order of the file.

    Attributes
    ----------
    seen, held : those that calibration gets, and those that the loss is measured on
    apart : whether no sample is equal to one of the others' part; they are the same rows otherwise
    distinct : number of different samples
    """

    seen: IntArray
    held: IntArray
    apart: bool
    distinct: int

    @property
    def text(self) -> str:
        """For people: what the loss is measured on."""
        if self.apart:
            return f"{len(self.held)} held-out samples"
        return f"{len(self.held)} calibration samples"


def hold_out(samples: Mapping[str, AnyArray], share: float | None = None) -> HoldOut:
    """Divide samples (arrays whose first axis counts them) by rules O1 to O3.

    ``share`` is from 0 to below 1, None for the default; one different sample at least is on either
    side, if any may be.
    """
    names = sorted(samples)
    digests = []
    for row in range(len(samples[names[0]])):
        digest = hashlib.sha256()
        for name in names:
            digest.update(np.ascontiguousarray(samples[name][row]).tobytes())
        digests.append(digest.digest())
    order = sorted(set(digests))
    every = np.arange(len(digests))
    if share is None:
        share = HELD_OUT if len(order) >= FEW else 0.0
    if share <= 0 or len(order) < 2:
        return HoldOut(every, every, False, len(order))
    count = min(max(1, math.ceil(share * len(order))), len(order) - 1)
    first = set(order[:count])
    held = np.array([digest in first for digest in digests])
    return HoldOut(every[~held], every[held], True, len(order))


@dataclass(frozen=True, eq=False)
class Data:
    """Samples of the model's inputs, divided.

    Attributes
    ----------
    samples : of :func:`~.calibrate.load_labelled`
    labels : the class of each, or None
    split : which of them calibration sees
    """

    samples: Mapping[str, AnyArray]
    labels: IntArray | None
    split: HoldOut

    @property
    def seen(self) -> dict[str, AnyArray]:
        """The samples that calibration sees."""
        return {name: array[self.split.seen] for name, array in self.samples.items()}

    @property
    def held(self) -> dict[str, AnyArray]:
        """The samples that the loss is measured on."""
        return {name: array[self.split.held] for name, array in self.samples.items()}

    @property
    def held_labels(self) -> IntArray | None:
        """The classes of :attr:`held`."""
        return None if self.labels is None else self.labels[self.split.held]


def whole(samples: Mapping[str, AnyArray], labels: IntArray | None = None) -> Data:
    """Data of which nothing is held out, for where nothing is calibrated."""
    return Data(samples, labels, hold_out(samples, 0))
