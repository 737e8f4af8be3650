# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Components of recurrent layers: rules Y1 to Y6, N12 to N14, N18, T11."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.numeric import IntType

from ..cells import CELLS, random_cell, random_tensors


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    ("steps", "width", "units", "parallel", "last", "begins", "sequences"),
    [
        (4, 3, 4, 1, False, False, 1),
        (3, 2, 6, 3, False, True, 2),
        (3, 1, 4, 4, True, True, 3),
        (1, 5, 1, 1, False, False, 1),
        (2, 20, 4, 2, True, False, 1),
    ],
)
def test_cells(
    kind: str,
    steps: int,
    width: int,
    units: int,
    parallel: int,
    last: bool,
    begins: bool,
    sequences: int,
    exercise: Any,
) -> None:
    """With and without a rest between steps, several units at a time, a first state, a batch."""
    x = IntType(8, True) if units > 1 else IntType(5, False)
    kernel = random_cell(
        kind, steps, width, units, x=x, last=last, begins=begins, sequences=sequences
    )
    finisher, out = Direct(1, *kernel.state), IntType.holding(*kernel.state)
    (built,) = (b for b in kernel.implementations([finisher], [out]) if b.parallel == parallel)
    rng = np.random.default_rng(7)
    q = rng.integers(x.lo, x.hi + 1, (5, sequences * steps * width))
    q[0], q[1] = x.hi, x.lo
    exercise(kernel, built, [finisher], [q])


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    ("steps", "width", "units", "parallel", "last", "sequences", "every"),
    [(3, 3, 4, 1, False, 1, False), (2, 2, 6, 3, True, 2, True), (1, 1, 8, 8, True, 3, True)],
)
def test_first_states_from_streams(
    kind: str,
    steps: int,
    width: int,
    units: int,
    parallel: int,
    last: bool,
    sequences: int,
    every: bool,
    exercise: Any,
) -> None:
    """Y6, of every state or of one alone: the next ones are written when the last have been read,
    at the predicted rate even where a step is all there is; the cell's state leaves too.
    """
    given = ["hidden", "cell"] if kind == "lstm" else ["hidden"]
    kernel = random_cell(
        kind,
        steps,
        width,
        units,
        last=last,
        given=given if every else given[-1:],
        remembers=True,
        sequences=sequences,
    )
    finishers = [Direct(1, *span) for ((span,), *_) in kernel.ranges]
    outs = [IntType.holding(*span) for ((span,), *_) in kernel.ranges]
    (built,) = (b for b in kernel.implementations(finishers, outs) if b.parallel == parallel)
    exercise(kernel, built, finishers, random_tensors(kernel, np.random.default_rng(9), 4))


def test_a_finisher_of_its_own(exercise: Any, requantiser: Any) -> None:
    """F4: each unit with its own scale."""
    kernel = random_cell("lstm", 2, 3, 4, channels=4)
    finisher = requantiser(np.random.default_rng(5), 4, [kernel.state], (4, True))
    built = kernel.implementations([finisher], [IntType(4, True)])[1]
    exercise(kernel, built, [finisher], [np.random.default_rng(6).integers(-128, 128, (4, 6))])
