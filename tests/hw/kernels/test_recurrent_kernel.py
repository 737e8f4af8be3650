# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers as kernels: rules N12 to N14, N18, K1 to K4."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.base import WidthError
from midwire.hw.kernels.folded_recurrent import Given
from midwire.hw.kernels.lstm import LstmKernel
from midwire.hw.kernels.recurrent import RecurrentKernel
from midwire.hw.numeric import IntType
from midwire.hw.timing.components import Schedule

from ..cells import CELLS, by_definition, random_cell, random_tensors


def tensors(kernel: RecurrentKernel, count: int) -> list[Any]:
    """One array a stream."""
    return random_tensors(kernel, np.random.default_rng(11), count)


def states(kind: str) -> list[str]:
    """The states of a kind of cell."""
    return ["hidden", "cell"] if kind == "lstm" else ["hidden"]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("last", [False, True])
def test_run_is_the_definition(kind: str, last: bool) -> None:
    """N12 to N14, N18, in rational numbers."""
    count = 2 if last else 1
    kernel = random_cell(kind, 5, 3, 4, last=last, begins=last, sequences=count, channels=4)
    q = tensors(kernel, 6)
    ((found,),) = kernel.run(*q)
    assert found.shape == (6, 2 if last else 5, 4)
    assert found.tolist() == [by_definition(kernel, row)[0] for row in zip(*q, strict=True)]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("last", [False, True])
def test_first_states_may_be_streams(kind: str, last: bool, agree: Any) -> None:
    """Y6: all of them, or one; what was held of an LSTM's cell may leave too."""
    for given, count in ((states(kind), 2), (states(kind)[-1:], 1)):
        kernel = random_cell(
            kind,
            3,
            2,
            4,
            last=last,
            begins=count == 1,
            given=given,
            remembers=True,
            sequences=count,
        )
        q = tensors(kernel, 5)
        agree(kernel, q)
        wanted = [by_definition(kernel, row) for row in zip(*q, strict=True)]
        found = [[each[n].reshape(-1, 4).tolist() for (each,) in kernel.run(*q)] for n in range(5)]
        assert found == wanted
        assert kernel.state[1] == 1024 or "hidden" not in given


@pytest.mark.parametrize("kind", CELLS)
def test_onnx(kind: str, agree: Any) -> None:
    """K1, K2."""
    for last, begins, count in ((False, True, 1), (True, False, 1), (False, True, 3)):
        kernel = random_cell(
            kind, 4, 5, 3, x=IntType(5, False), last=last, begins=begins, sequences=count
        )
        agree(kernel, tensors(kernel, 4))


@pytest.mark.parametrize("kind", CELLS)
def test_one_channel_for_all(kind: str) -> None:
    kernel = random_cell(kind, 2, 3, 4, sequences=5, channels=4)
    assert len(kernel.ranges[0]) == 4 and len(kernel.uniform().ranges[0]) == 1
    assert kernel.macs == 5 * 2 * 4 * len(kernel.lanes) * 7


@pytest.mark.parametrize("kind", CELLS)
def test_cycles_and_latency_come_true(kind: str) -> None:
    """K4, T13, for all numbers of units at a time; a row comes in while one is read."""
    kernel = random_cell(kind, 3, 3, 12, sequences=2)
    finisher, out = Direct(1, *kernel.state), IntType.holding(*kernel.state)
    every = kernel.implementations([finisher], [out])
    assert [built.parallel for built in every] == [1, 2, 3, 4, 6, 12]
    # 15 products of a unit, which come out of the pipeline this many cycles later.
    pipeline = {"lstm": 13, "gru": 13, "halved": 9, "rnn": 7}[kind]
    assert [built.drain for built in every] == [
        max(0, pipeline + parallel - 15) for parallel in (1, 2, 3, 4, 6, 12)
    ]
    for built in every:
        schedule = Schedule()
        source, target = schedule.source("i", 18), schedule.edge("o", 72)
        built.timing(schedule, "dut", [source], [target])
        schedule.sink(target)
        assert schedule.run(5).cycles_per_inference == built.cycles
        assert target.offer.of(0)[0] == source.take.of(0)[2] + built.latency


def test_what_does_not_fit_is_refused() -> None:
    kernel = random_cell("lstm", 2, 3, 4)
    assert isinstance(kernel, LstmKernel)
    with pytest.raises(ValueError, match="expected weights of 4 lanes for x and 4 units"):
        replace(kernel, weight=kernel.weight[:, :3])
    with pytest.raises(ValueError, match="expected a bias of 4 sums and a state of 4 units"):
        replace(kernel, bias=kernel.bias[:3])
    with pytest.raises(ValueError, match="expected a cell of 4 units"):
        replace(kernel, cell=kernel.cell[:3])
    with pytest.raises(
        ValueError, match=r"expected states out of \['hidden', 'cell'\], found \['c'\]"
    ):
        replace(kernel, given=(Given("c", IntType(8, True)),))
    with pytest.raises(ValueError, match="expected 1 or 4 channels, found 2"):
        replace(kernel, channels=2)
    with pytest.raises(ValueError, match="expected tables of 512 entries"):
        replace(kernel, h=kernel.h[1:])
    with pytest.raises(ValueError, match="expected gates from 0 to 512, found -512 to 512"):
        replace(kernel, f=kernel.g)
    with pytest.raises(WidthError, match=r"must stay below 2\*\*53"):
        replace(kernel, weight=kernel.weight << 40)


def test_equal_shapes_are_equal_hardware() -> None:
    """K3: values of weights are in images only."""
    kernel = random_cell("gru", 2, 3, 4)
    other = replace(kernel, weight=kernel.weight[:, :, ::-1].copy())
    finisher, out = Direct(1, *kernel.state), IntType.holding(*kernel.state)
    mine, theirs = (each.implementations([finisher], [out])[0] for each in (kernel, other))
    assert mine.weight == theirs.weight
    images = [k.images(mine, [finisher], "dut") for k in (kernel, other)]
    assert images[0].keys() == images[1].keys() and images[0] != images[1]
