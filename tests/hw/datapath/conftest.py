# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A kernel's implementation in the simulator, against the kernel itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from midwire.hw.finish.base import Finisher
from midwire.hw.kernels.base import Implementation, Kernel, StreamPort
from midwire.hw.kernels.program import canonical, described_by
from midwire.hw.numeric import IntType
from midwire.hw.timing.components import Run, Schedule

IntArray = npt.NDArray[np.int64]


def predicted(implementation: Implementation, inferences: int) -> Run:
    """The cycle model of an implementation by itself."""
    schedule = Schedule()
    sources = [
        schedule.source(f"in{k}", port.beats) for k, port in enumerate(implementation.inputs)
    ]
    targets = [
        schedule.edge(f"out{k}", port.beats) for k, port in enumerate(implementation.outputs)
    ]
    implementation.timing(schedule, "dut", sources, targets)
    for target in targets:
        schedule.sink(target)
    return schedule.run(inferences)


def padded(values: IntArray, port: StreamPort, rng: np.random.Generator) -> IntArray:
    """Tensors (N, elements) as a port's beats (rule S1): what fills them up is noise."""
    if not port.padded:
        return values
    runs = values.reshape(len(values), -1, port.run)
    noise = (*runs.shape[:2], -port.run % port.lanes)
    tail = rng.integers(port.type.lo, port.type.hi + 1, noise)
    return np.concatenate([runs, tail], axis=2).reshape(len(values), -1)


@pytest.fixture
def built() -> Callable[..., Any]:
    """``built(kernel, finishers, outs, pe, simd, **changes)``: the implementation that the kernel
    offers with so many lanes out and in, with changed fields.
    """

    def choose(
        kernel: Kernel,
        finishers: Sequence[Finisher],
        outs: Sequence[IntType],
        pe: int,
        simd: int | None = None,
        **changes: Any,
    ) -> Any:
        lanes = pe, pe if simd is None else simd
        (found,) = (
            each
            for each in kernel.implementations(finishers, outs)
            if each.strategy == "folded" and each.parallelism == lanes
        )
        return replace(found, **changes)  # type: ignore[type-var]

    return choose


@pytest.fixture
def exercise(bench: Any, check: Any) -> Callable[..., Run]:
    """``exercise(kernel, implementation, finishers, streams)``: RTL with stalls gives what the
    kernel and its finishers give, in the cycles predicted; the prediction.

    An implementation that says itself how deep its FIFO is, or how many rows it holds, may take
    more cycles than it says: ``at_rate=False``.
    """

    def run(
        kernel: Kernel,
        implementation: Implementation,
        finishers: Sequence[Finisher],
        streams: Sequence[IntArray],
        at_rate: bool = True,
    ) -> Run:
        count = len(streams[0])
        flat = [stream.reshape(count, -1) for stream in streams]
        wanted = [
            finisher.apply(*terms).reshape(count, -1)
            for finisher, terms in zip(finishers, kernel.run(*flat), strict=True)
        ]
        for ports, tensors in ((implementation.inputs, flat), (implementation.outputs, wanted)):
            assert [port.elements for port in ports] == [t.shape[1] for t in tensors]
        again = described_by(canonical(implementation))
        assert (again, hash(again)) == (implementation, hash(implementation))
        prediction = predicted(implementation, count)
        if at_rate and count > 1:
            assert prediction.cycles_per_inference == implementation.cycles
        dut = bench(
            again.component("dut"),
            implementation.input_names,
            implementation.output_names,
            kernel.images(implementation, finishers, "dut"),
        )
        rng = np.random.default_rng(count)
        given = [
            padded(stream, port, rng)
            for stream, port in zip(flat, implementation.inputs, strict=True)
        ]
        check(dut, given, wanted, prediction, implementation.outputs)
        return prediction

    return run
