# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A kernel's implementation in the simulator, against the kernel itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from midwire.hw.finish.base import Finisher
from midwire.hw.kernels.base import Implementation, Kernel
from midwire.hw.kernels.program import canonical, described_by
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


@pytest.fixture
def exercise(bench: Any, check: Any) -> Callable[..., Run]:
    """``exercise(kernel, implementation, finishers, streams)``: RTL with stalls gives what the
    kernel and its finishers give, in the cycles predicted; the prediction.
    """

    def run(
        kernel: Kernel,
        implementation: Implementation,
        finishers: Sequence[Finisher],
        streams: Sequence[IntArray],
    ) -> Run:
        wanted = [
            finisher.apply(*terms).reshape(len(streams[0]), -1)
            for finisher, terms in zip(finishers, kernel.run(*streams), strict=True)
        ]
        for ports, tensors in ((implementation.inputs, streams), (implementation.outputs, wanted)):
            assert [p.beats * p.lanes for p in ports] == [t[0].size for t in tensors]
        again = described_by(canonical(implementation))
        assert (again, hash(again)) == (implementation, hash(implementation))
        prediction = predicted(implementation, len(streams[0]))
        assert prediction.cycles_per_inference == implementation.cycles
        dut = bench(
            again.component("dut"),
            implementation.input_names,
            implementation.output_names,
            kernel.images(implementation, finishers, "dut"),
        )
        check(dut, streams, wanted, prediction)
        return prediction

    return run
