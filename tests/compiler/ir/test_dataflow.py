# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules D1 to D3: the text form, and all violations at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from midwire.compiler.ir.dataflow import Channel, Dataflow, Stage, print_dataflow, verify
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.formats.tensor import Layout, TensorSpec
from midwire.hw.kernels.adapt import StreamFifo, StreamFork
from midwire.hw.kernels.base import StreamPort
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.numeric import IntType, QType

INT8 = IntType(8, True)
PORT = StreamPort(INT8, 2, 9)
ONE = np.array([1])
SUM = MultiplyShift(np.array([[1, 1]]), 0 * ONE, 0, 0, 0, -128 * ONE, 127 * ONE)
JOIN = next(
    built
    for built in EltwiseKernel((INT8, INT8), 18, 2, 1).implementations([SUM], [INT8])
    if built.inputs == (PORT, PORT)
)

FLOW = Dataflow(
    "tiny",
    (
        Stage("split", StreamFork(PORT, 2)),
        Stage("work", StreamFifo(PORT, 2), node="w"),
        Stage("join", JOIN),
    ),
    (
        Channel(("", 0), ("split", 0), PORT),
        Channel(("split", 0), ("work", 0), PORT),
        Channel(("split", 1), ("join", 1), PORT, 5),
        Channel(("work", 0), ("join", 0), PORT, None),
        Channel(("join", 0), ("", 0), PORT),
    ),
    (TensorSpec("x", (1, 18), "int8", QType(8, True, 0.5), Layout.raster((18,)), 2),),
    (TensorSpec("y", (1, 18), "float32", QType(8, True, 0.25, 3), Layout.raster((18,)), 2),),
)

TEXT = """\
dataflow tiny
  stage split cycles=9
  stage work pe=2 simd=2 cycles=9
  stage join cycles=9
  .0 -> split.0 x2 depth=0
  split.0 -> work.0 x2 depth=0
  split.1 -> join.1 x2 depth=5
  work.0 -> join.0 x2 depth=None
  join.0 -> .0 x2 depth=0
"""


def test_text_form() -> None:
    assert print_dataflow(FLOW) == TEXT


def test_a_legal_dataflow_has_no_violations() -> None:
    assert verify(FLOW) == []
    assert FLOW.stage("work").built.cycles == 9


def test_all_violations_are_reported_together() -> None:
    other = replace(PORT, lanes=1, beats=18)
    broken = replace(
        FLOW,
        channels=(
            Channel(("", 0), ("split", 0), other),
            Channel(("split", 0), ("work", 0), PORT, -1),
            Channel(("split", 0), ("work", 0), PORT),
            Channel(("join", 0), ("split", 3), PORT),
            Channel(("nobody", 0), ("", 0), PORT),
            Channel(("work", 1), ("", 1), PORT),
        ),
    )
    assert verify(broken) == [
        "D2: port 0 of 'split' differs from its channel",
        "D3: depth -1 after 'split'",
        "D2: more than one channel drives port 0 of 'work'",
        "D2: more than one channel reads port 0 of 'split'",
        "D1: 'join' stands after 'split'",
        "D2: port 3 of 'split' differs from its channel",
        "D2: a channel names 'nobody', which is no stage",
        "D2: port 1 of 'work' differs from its channel",
        "D2: output 1 of 'split' is not connected",
        "D2: output 0 of 'work' is not connected",
        "D2: input 0 of 'join' is not connected",
        "D2: input 1 of 'join' is not connected",
        "D2: input 0 of the slice differs from its channel",
        "D2: the slice has no output 1",
    ]


def test_a_run_is_part_of_a_port() -> None:
    """D2: two ports of as many lanes and beats may fill their beats differently."""
    padded = StreamPort(INT8, 2, 9, 1)
    assert padded.elements == PORT.elements // 2
    broken = replace(FLOW, channels=(replace(FLOW.channels[0], port=padded), *FLOW.channels[1:]))
    assert verify(broken) == [
        "D2: port 0 of 'split' differs from its channel",
        "D2: input 0 of the slice differs from its channel",
    ]


def test_borders_are_connected_to_what_they_say() -> None:
    (x,), (y,) = FLOW.inputs, FLOW.outputs
    broken = replace(
        FLOW,
        channels=(*FLOW.channels, Channel(("", 0), ("", 2), PORT)),
        inputs=(replace(x, lanes=3), x),
        outputs=(replace(y, qtype=QType(8, False, 0.25)),),
    )
    assert verify(broken) == [
        "D2: more than one channel reads port 0 of the slice",
        "D2: input 0 of the slice differs from its channel",
        "D2: input 1 of the slice is not connected",
        "D2: output 0 of the slice differs from its channel",
        "D2: the slice has no output 2",
    ]
